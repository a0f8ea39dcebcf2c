"""What changes rows or facts of a store that are there already: repair, replace, statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from rowlock.store.changing.repair import repair_rows
from rowlock.store.changing.replace import replace_rows
from rowlock.store.changing.statistics_update import update_statistics
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.given.blocks import Matrix
    from rowlock.store.progress import Progress
    from rowlock.store.reading.opened import OpenedStore
    from rowlock.store.statistics.columns import ColumnStatistics

__all__ = ["Mending"]


class Mending(ABC):
    """The methods of a store that mend it; each opens the last commit again."""

    @property
    @abstractmethod
    def _open(self) -> OpenedStore:
        """The commit that is open."""

    @abstractmethod
    def _reopen(self) -> None:
        """Go on to the last commit."""

    @property
    def _address(self) -> Path:
        return self._open.path

    @property
    def statistics(self) -> ColumnStatistics | None:
        """Mean, deviation, limits, zeros and gaps of every column, over all rows; None where they are not known.

        They are summed up while rows are written. They are not known in a store without rows, in one that an
        earlier version wrote, and after `replace`; `update_statistics` makes them.
        """
        return self._open.statistics

    def update_statistics(self, progress: Progress = None) -> ColumnStatistics | None:
        """Read all rows once, and commit the statistics of the columns; return them.

        Raises
        ------
        StoreCorruptError
            A row is damaged; nothing was committed.
        StoreLockedError
            Another writer has the store.
        """
        with reporting(progress, f"statistics of {self._address.name}", self._open.commit.num_rows) as report:
            update_statistics(self._address, report)
        self._reopen()
        return self.statistics

    def repair(self, source: Matrix, keys: Any = None, progress: Progress = None) -> list[tuple[int, int, str]]:
        """Find the damaged rows, and write them again from a source that holds what was written.

        A row of the source is used only if it is proved to be the one that is damaged: by the row's stored check,
        or, where that is damaged too, by the digest of all checks in the commit. What is repaired is thereby what
        was there; readers that have the store open find the rows whole. No commit is made, unless rows of a
        ``"packed"`` store were compressed by another version of LZ4 and fit in no more: their shards are written anew.

        Parameters
        ----------
        source : array, sparse matrix, frame, or iterable of these (or of pairs (keys, block))
            The rows in the order of the store, from its first; or any rows, in any order, with `keys`. Rows that are
            not damaged are passed over.
        keys : n keys, or None
            To whom the rows of the source belong; keys that the store does not have are passed over.
        progress : True, callable or None
            Of looking for damage, which reads everything.

        Returns
        -------
        list of (first row, row after the last, reason)
            What is damaged still, because the source does not have it, because it is not in a row, or because
            offsets are damaged, too, and the source does not have all rows between two that are whole; as `verify`.

        Raises
        ------
        StoreCorruptError
            The source has other values than were written for some damaged rows, listed in ``.rows``; these were left
            as they are. Or the stored keys are damaged: restore them from a copy first.
        ConfigError
            The source does not fit the store.
        StoreLockedError, StoreWriteError
            Another writer has the store; the disk refused.
        """
        with reporting(progress, f"verifying {self._address.name}", self._open.commit.num_rows) as report:
            left = repair_rows(self._address, source, keys, report)
        self._reopen()
        return left

    def replace(self, keys: Any, rows: Matrix) -> int:
        """Give rows that are there other values: all of them in one new commit, or none.

        Readers that have an earlier commit open keep its values. The files of all shards that hold one of the rows
        are written anew, about 256 MiB each, so many corrections are better given at once. In layout ``"csr"`` a row
        with another number of cells moves all that follow: everything behind the first such row is written anew.

        Parameters
        ----------
        keys : n keys, each of them once
            Which rows; row numbers where the store has no keys.
        rows : array, sparse matrix or frame
            Their new values, shape (n, num_columns), held in memory.

        Returns
        -------
        int
            How many rows were replaced.

        Raises
        ------
        MissingKeysError, RepeatedKeysError, KeyTypeError, ConfigError
            The keys or rows do not fit; nothing was written.
        StoreCorruptError
            The stored checks, or offsets that say where these rows end, are damaged: repair first.
        StoreLockedError, StoreWriteError
            Another writer has the store; the disk refused.

        Notes
        -----
        `statistics` are None afterwards, until `update_statistics`: what the old values gave cannot be taken out of
        a minimum. The store's `fingerprint` changes, so a saved state of training on the old values is refused.
        """
        count = replace_rows(self._address, keys, rows)
        self._reopen()
        return count
