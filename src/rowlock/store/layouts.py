"""The layouts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.store import auto
from rowlock.store.auto import CHOICES
from rowlock.store.format import AUTO
from rowlock.store.watched import WatchedWriter

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.format import Commit
    from rowlock.store.layout import Layout, MatrixWriter

__all__ = ["layout_of", "matrix_writer"]

_LAYOUTS: dict[str, Layout] = {AUTO: auto, **CHOICES}


def layout_of(name: str) -> Layout:
    """Return the layout that a commit names."""
    return _LAYOUTS[name]


def matrix_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer that goes on behind `commit`; one that was chosen by looking is watched."""
    writer = layout_of(commit.layout).open_writer(path, commit)
    return WatchedWriter(path, commit, writer) if commit.layout_reason else writer
