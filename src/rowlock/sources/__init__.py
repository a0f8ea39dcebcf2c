"""Matrices in the formats of others: files, folders, frames and streams, read in blocks, most of them by row."""

from rowlock.sources.base import PieceSource, RowSource
from rowlock.sources.pieces import Pieces
from rowlock.sources.registry import FORMATS, open_source, recognise

__all__ = ["FORMATS", "PieceSource", "Pieces", "RowSource", "open_source", "recognise"]
