"""Damaged rows are written again from a source that is proved to hold what was there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, StoreCorruptError
from rowlock.keys import Keys
from rowlock.store.changing.raw_places import places_of_checks
from rowlock.store.changing.registry import row_changes
from rowlock.store.changing.replace import checks_of, commit_files, locked
from rowlock.store.commit.replaced_files import write_changes
from rowlock.store.given.block_checks import require_columns, require_key_name
from rowlock.store.given.blocks import Source
from rowlock.store.given.cast import cast_block
from rowlock.store.reading.opened import OpenedStore, ranges
from rowlock.store.statistics.file import write_statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.store.changing.base import Rewritten, RowChanges
    from rowlock.store.commit.format import Commit
    from rowlock.store.given.blocks import Matrix

__all__ = ["repair_rows"]

_UNPLACED = (
    "the source has these rows, but where they lie is not known: the offsets there are damaged, or rows beside them"
    " are, which the source does not have"
)
_REFUSED_BYTES = 64 << 20  # of rows that are kept because their checks, and not they, may be damaged


@dataclass(eq=False)
class _Refused:
    """Rows of the source whose check is not the stored one: other data, or the stored check is damaged."""

    rows: list[Int64Array] = field(default_factory=list)
    blocks: list[AnyArray] = field(default_factory=list)
    checks: list[UInt64Array] = field(default_factory=list)
    num_bytes: int = 0

    def add(self, rows: Int64Array, block: AnyArray, checks: UInt64Array) -> None:
        self.rows.append(rows)
        self.checks.append(checks)
        self.num_bytes += block.nbytes
        if self.is_held:
            self.blocks.append(block)
        else:
            self.blocks.clear()

    @property
    def is_held(self) -> bool:
        """Whether the rows themselves are still here: so many are not damaged checks, but other data."""
        return self.num_bytes <= _REFUSED_BYTES


def repair_rows(path: Path, matrix: Matrix, keys: Any, report: Callable[[int], None]) -> list[tuple[int, int, str]]:
    """See `FeatureStore.repair`."""
    with locked(path) as opened:
        source = Source.of(matrix, opened.commit.row_dtype)
        require_columns(path, opened.commit, source)
        require_key_name(path, opened.commit, keys)
        _require_keys(opened)
        damaged = opened.damaged_rows(lambda done, _: report(done))
        if not len(damaged) and not opened.matrix_faults():
            return opened.described(damaged)
        given = None if keys is None else Keys.of(keys, "repair")
        with row_changes(opened) as changes:
            try:
                if len(damaged):
                    _repair(opened, changes, damaged, source, given)
            finally:  # what is proved is written, whatever is wrong with the rest of the source
                restored = changes.finish(damaged, opened.commit.number + 1)
                _commit(opened, restored.rewritten)
        last = OpenedStore(path)
        left = last.still_damaged(np.union1d(damaged, restored.touched))
        return last.described(left) + [
            (first, stop, _UNPLACED) for first, stop in ranges(restored.unplaced[np.isin(restored.unplaced, left)])
        ]


def _commit(opened: OpenedStore, rewritten: Rewritten) -> None:
    """Make the files count that could not be repaired where they are: the same rows in a new commit."""
    if rewritten.names:
        totals = opened.totals()
        digest = None if totals is None else write_statistics(opened.path, totals, opened.commit.number + 1)
        commit_files(opened, rewritten.names, {**rewritten.facts, "statistics": digest})


def _repair(opened: OpenedStore, changes: RowChanges, damaged: Int64Array, source: Source, keys: Keys | None) -> None:
    """Take what is proved row by row, and try to prove the rest together."""
    refused = _Refused()
    for rows, block, hashes in _offered(opened, damaged, source, keys):
        checks = checks_of(opened.commit, block, hashes)
        proved = checks == opened.checks(rows)
        if proved.any():
            changes.restore(rows[proved], block[proved])
        if not proved.all():
            refused.add(rows[~proved], block[~proved], checks[~proved])
    if refused.rows:
        _repair_checks(opened, changes, refused)


def _repair_checks(opened: OpenedStore, changes: RowChanges, refused: _Refused) -> None:
    """Take the source's rows if all checks together are then those that were committed; else refuse them."""
    rows, first = np.unique(np.concatenate(refused.rows), return_index=True)
    checks = np.concatenate(refused.checks)[first]
    if not refused.is_held or opened.rows_digest_with(rows, checks) != opened.commit.rows_digest:
        name = "" if opened.keys is None else f" (key {opened.keys.describe(rows[:1])})"
        raise StoreCorruptError(
            f"{len(rows):,} damaged rows of {opened.path} cannot be repaired from this source: it has other values"
            f" than were written, first in row {rows[0]}{name}. These rows were left as they are; damaged rows that"
            " the source does have were repaired. Give the data that the store was written from; to put other values"
            " in their place, use store.replace.",
            rows=rows.tolist(),
        )
    changes.restore(rows, np.concatenate(refused.blocks)[first])
    places = places_of_checks(opened.commit, rows)
    write_changes(opened.path / places.name, places.changes(checks[:, None]))


def _offered(
    opened: OpenedStore, damaged: Int64Array, source: Source, keys: Keys | None
) -> Iterator[tuple[Int64Array, AnyArray, UInt64Array]]:
    """Yield what the source has for damaged rows: their numbers, the rows as stored, the hashes of their keys."""
    commit: Commit = opened.commit
    position = 0
    for block_keys, block in source.blocks:
        stop = position + len(block)
        if keys is not None and stop > len(keys):
            raise ConfigError(f"there are only {len(keys):,} keys, but more rows")
        own = block_keys if keys is None else keys.take(slice(position, stop))
        rows = np.arange(position, stop) if own is None else _find(opened, own)
        places = np.flatnonzero(np.isin(rows, damaged))
        if len(places):
            exact = cast_block(block[places], commit.row_dtype, first_row=position, columns=commit.columns)
            yield rows[places], exact, _hashes(opened, rows[places])
        position = stop
    if keys is not None and position != len(keys):
        raise ConfigError(f"{len(keys):,} keys for {position:,} rows")


def _find(opened: OpenedStore, keys: Keys) -> Int64Array:
    if opened.index is None:
        raise ConfigError(f"{opened.path} has no keys: leave keys= out, and give all rows in the store's order")
    return opened.index.find(keys, "repair")


def _hashes(opened: OpenedStore, rows: Int64Array) -> UInt64Array:
    return (Keys(rows) if opened.keys is None else opened.keys.take(rows)).hash()


def _require_keys(opened: OpenedStore) -> None:
    """Refuse a store whose keys are damaged: what a check is bound to is then not known."""
    _ = opened.keys
