"""Files and memory, whatever lies in them: written so that they last, locked, mapped, read, told about.

Imports no other room.
"""
