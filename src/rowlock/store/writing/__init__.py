"""How a store begins and grows: built beside its place, filled by a writer, committed.

Imports commit, disk, given, index, layouts, statistics.
"""
