"""Where the columns of a table come from: a frame in memory, or files that may be larger than memory."""

from rowlock.tables.file import FileColumns, is_address
from rowlock.tables.frame import FrameColumns

__all__ = ["FileColumns", "FrameColumns", "is_address"]
