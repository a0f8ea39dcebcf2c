"""From keys to rows: sorted runs of hashes that are searched, and those that a commit adds.

Imports commit, disk.
"""
