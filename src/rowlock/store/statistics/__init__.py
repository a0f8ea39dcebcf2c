"""What the columns of a matrix are like: summed up over rows, and kept on disk in step with the commits.

Imports commit, disk.
"""
