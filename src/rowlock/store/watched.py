"""A layout that was chosen by looking is looked at again as rows stream in."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rowlock.store.probe import Probe, spread

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.store.format import Commit
    from rowlock.store.layout import MatrixWriter

__all__ = ["WatchedWriter", "new_probe"]

_log = logging.getLogger(__name__)

_MOST_A_BLOCK = 16
_ONE_IN = 64
_ENOUGH = 256  # rows, before a choice is called wrong


def new_probe(commit: Commit) -> Probe:
    """Return a probe for rows of the store."""
    return Probe(has_scipy_dtype=commit.dtype != "float16")


class WatchedWriter:
    """Writes through another writer, and says once if the layout turns out to be clearly wrong.

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
            self._probe.add(spread(block, min(_MOST_A_BLOCK, 1 + len(block) // _ONE_IN)))
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
            self._path, self._commit.layout, self._commit.layout_reason, objection, objection.split()[0],
        )  # fmt: skip
