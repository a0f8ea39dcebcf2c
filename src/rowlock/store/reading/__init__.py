"""One commit of a store, opened: all of its files together, compared with what the commit says.

Imports commit, disk, given, index, layouts, statistics.
"""
