"""A layout that was chosen by looking is looked at again as rows stream in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rowlock.store.commit.addresses import shown_path
from rowlock.store.layouts.probe import Probe, spread

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.store.commit.format import Commit
    from rowlock.store.layouts.base import MatrixWriter

__all__ = ["WatchedWriter", "new_probe"]

_log = logging.getLogger("rowlock.store.watched")  # a name that the manual tells, whatever becomes of this file

_ONE_IN = 64  # rows is looked at
_LATER_ONE_IN = 256  # since looking at one in 64 takes 2 to 5 % of a write, 13 % where rows are 128 bytes
_LATER = 1024  # rows looked at
_MOST_A_BLOCK = 256
_ENOUGH = 128  # rows looked at before a choice is called wrong: an append of 8,192 rows, however it comes


def new_probe(commit: Commit) -> Probe:
    """Return a probe for rows of the store."""
    return Probe(has_scipy_dtype=commit.dtype != "float16")


class WatchedWriter:
    """Writes through another writer, and says once if the layout turns out to be clearly wrong.

    What was seen is kept for as long as the writer lives, over its commits.

    Parameters
    ----------
    path : Path
    commit : Commit
        Names the layout and why it was chosen.
    writer : MatrixWriter
    """

    def __init__(self, path: Path, commit: Commit, writer: MatrixWriter) -> None:
        self._path, self._commit = path, commit
        self._writer = writer
        self._probe = new_probe(commit)
        self._told = False

    def append(self, block: AnyArray) -> bool:
        """Add rows, and look at a few of them."""
        if not self._told and len(block):
            one_in = _ONE_IN if self._probe.num_rows < _LATER else _LATER_ONE_IN
            self._probe.add(spread(block, min(_MOST_A_BLOCK, 1 + len(block) // one_in)))
            self._object()
        return self._writer.append(block)

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        self._writer.sync()

    def facts(self) -> dict[str, Any]:
        """Return what the next commit says about the matrix."""
        return self._writer.facts()

    def close(self) -> None:
        """Drop what was not synced."""
        self._writer.close()

    def _object(self) -> None:
        objection = self._probe.objection(self._commit.layout) if self._probe.num_rows >= _ENOUGH else None
        if objection is None:
            return
        self._told = True
        _log.warning(
            "%s has the layout %s (%s), but its later rows are other: %s. All is stored and read right; for speed or"
            " size, write the store again with layout=%r.",
            shown_path(self._path), self._commit.layout, self._commit.layout_reason, objection, objection.split()[0],
        )  # fmt: skip
