"""A table from a folder of pictures: which files, their classes, keys that stay the same."""

from rowlock.folders.table import FolderTable, table_from_folder

__all__ = ["FolderTable", "table_from_folder"]
