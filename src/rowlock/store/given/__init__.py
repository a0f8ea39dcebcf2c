"""What people give: a matrix as blocks of rows, values cast to a dtype, row numbers; and whether they fit the store.

Imports commit.
"""
