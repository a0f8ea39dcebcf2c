"""Where the columns of a table come from: a frame in memory, or files that may be larger than memory."""

from rowlock.tables.file import FileColumns, is_address
from rowlock.tables.frame import FrameColumns
from rowlock.tables.readable import readable
from rowlock.tables.values import frame_of

__all__ = ["FileColumns", "FrameColumns", "frame_of", "is_address", "readable"]
