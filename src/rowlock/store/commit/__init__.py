"""What a store is: its address, the commit that says all of it, the check of a row, files of a commit that are anew.

Imports disk.
"""
