"""Changing what is there already: rows repaired or replaced, whatever the layout, and statistics made anew.

`base` says what is asked of a layout, `registry` has those who do it by name.

Imports commit, disk, given, layouts, reading, statistics.
"""
