"""The layouts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.store.commit.format import AUTO
from rowlock.store.disk.ways import PREAD
from rowlock.store.layouts import auto
from rowlock.store.layouts.auto import CHOICES
from rowlock.store.layouts.pread_readers import PREAD_READERS
from rowlock.store.layouts.watched import WatchedWriter

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.commit.format import Commit
    from rowlock.store.layouts.base import Layout, MatrixReader, MatrixWriter

__all__ = ["layout_of", "matrix_reader", "matrix_writer"]

_LAYOUTS: dict[str, Layout] = {AUTO: auto, **CHOICES}


def layout_of(name: str) -> Layout:
    """Return the layout that a commit names."""
    return _LAYOUTS[name]


def matrix_reader(path: Path, commit: Commit, io: str) -> MatrixReader:
    """Return the matrix of `commit`, to be read by one of `rowlock.store.disk.ways.WAYS`."""
    if io == PREAD and commit.layout in PREAD_READERS:  # a layout that was not chosen yet has no rows
        return PREAD_READERS[commit.layout](path, commit)
    return layout_of(commit.layout).open_reader(path, commit)


def matrix_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer that goes on behind `commit`; one that was chosen by looking is watched."""
    writer = layout_of(commit.layout).open_writer(path, commit)
    return WatchedWriter(path, commit, writer) if commit.layout_reason else writer
