"""The layout of a store that has no rows yet: the first ones are held back until they tell which one suits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rowlock.store.commit.format import ROOT
from rowlock.store.layouts import csr, packed, raw
from rowlock.store.layouts.probe import spread
from rowlock.store.layouts.raw import nodes, open_reader, start
from rowlock.store.layouts.watched import WatchedWriter, new_probe

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.store.commit.format import Commit
    from rowlock.store.layouts.base import Layout, MatrixWriter
    from rowlock.store.layouts.probe import Choice

__all__ = ["CHOICES", "AutoWriter", "nodes", "open_reader", "open_writer", "start"]

CHOICES: dict[str, Layout] = {"raw": raw, "csr": csr, "packed": packed}

_HELD_ROWS = 1 << 14
_HELD_BYTES = 32 << 20
_COMPRESSED_ROWS = 1024  # of those that are held


class AutoWriter:
    """Holds rows back until there are enough or a commit is due, chooses, and writes them; see `MatrixWriter`."""

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path, self._commit = path, commit
        self._held: list[AnyArray] = []
        self._writer: MatrixWriter | None = None
        _remove_leftovers(path)

    def append(self, block: AnyArray) -> bool:
        """Add rows; return whether a shard was filled."""
        if self._writer is not None:
            return self._writer.append(block)
        num_rows = len(block) + sum(map(len, self._held))
        if num_rows < _HELD_ROWS and num_rows * self._commit.row_bytes < _HELD_BYTES:
            self._held.append(block.copy())  # the caller may use its memory again
            return False
        return self._write_held(block)

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        self._write_held()
        if self._writer is not None:
            self._writer.sync()

    def facts(self) -> dict[str, Any]:
        """Return what was chosen, why, and what the layout says."""
        return self._chosen_facts | ({} if self._writer is None else self._writer.facts())

    def close(self) -> None:
        """Drop what was not synced."""
        self._held = []
        if self._writer is not None:
            self._writer.close()

    @property
    def _chosen_facts(self) -> dict[str, Any]:
        chosen = self._commit
        return {"layout": chosen.layout, "layout_reason": chosen.layout_reason, "shuffle": chosen.shuffle}

    def _write_held(self, *more: AnyArray) -> bool:
        """Choose by the rows that were held back and `more`, and write all of them."""
        blocks, self._held = [*self._held, *more], []
        if not blocks:
            return False
        choice = _choose(self._commit, blocks)
        self._commit = replace(self._commit, layout=choice.layout, layout_reason=choice.reason, shuffle=choice.shuffle)
        layout = CHOICES[choice.layout]
        layout.start(self._path)
        writer = layout.open_writer(self._path, self._commit)
        self._writer = WatchedWriter(self._path, self._commit, writer)
        filled = [self._writer.append(block) for block in blocks]
        return any(filled)


def open_writer(path: Path, commit: Commit) -> MatrixWriter:
    """Return the writer of the first rows."""
    return AutoWriter(path, commit)


def _choose(commit: Commit, blocks: list[AnyArray]) -> Choice:
    probe = new_probe(commit)
    num_rows = sum(map(len, blocks))
    for block in blocks:
        probe.add(spread(block, -(-len(block) * _COMPRESSED_ROWS // num_rows)))
    return probe.choose()


def _remove_leftovers(path: Path) -> None:
    """Remove the matrix of a writer that was killed before its first commit: another layout may be chosen now."""
    for entry in (path / "matrix").iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry.name != ROOT:
            entry.unlink()
    shutil.rmtree(path / "row_offsets", ignore_errors=True)
