"""From keys to rows: sorted runs of (hash, row), found by binary search and verified on the full key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import KeyTypeError, StoreCorruptError
from rowlock.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rowlock.arrays import Int64Array, UInt64Array
    from rowlock.keys import KeyKind

__all__ = ["KeyIndex", "SortedRun", "merge_all"]

_NO_ROWS = np.empty(0, np.int64)
_RADIX_ROWS = 1 << 14  # from here on a pass over two tables of counts is less than a sort


@dataclass(frozen=True, eq=False)
class SortedRun:
    """Hashes of keys in ascending order, and the row of each.

    Parameters
    ----------
    hashes, rows : uint64, shape (n,)
    digest : int or None
        What `digest_words` of hashes and rows must give, where that is known from a commit.
    name : str
        For messages.
    """

    hashes: UInt64Array
    rows: UInt64Array
    digest: int | None = None
    name: str = "new rows"

    @staticmethod
    def of(hashes: UInt64Array, first_row: int) -> SortedRun:
        """Return the run of consecutive rows that start at `first_row`."""
        order = np.argsort(hashes, kind="stable")
        return SortedRun(hashes[order], order.astype(np.uint64) + np.uint64(first_row))

    def __len__(self) -> int:
        return len(self.hashes)

    def compute_digest(self) -> int:
        """Return the digest of all words, hashes first."""
        from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use

        first = int(digest_words(self.hashes, np.uint64(0)))
        return (first + int(digest_words(self.rows, np.uint64(len(self))))) % (1 << 64)


def merge_all(runs: Sequence[SortedRun]) -> SortedRun:
    """Return one run of all `runs`, the shortest merged first."""
    from rowlock.store.index.run_kernels import merge  # noqa: PLC0415 - Numba is loaded on first use

    rest = sorted(runs, key=len, reverse=True)
    while len(rest) > 1:
        left, right = rest.pop(), rest.pop()
        words = np.empty((2, len(left) + len(right)), np.uint64)
        merge(left.hashes, left.rows, right.hashes, right.rows, words[0], words[1])
        rest.append(SortedRun(words[0], words[1]))
        rest.sort(key=len, reverse=True)
    return rest[0]


class KeyIndex:
    """Finds the rows of keys.

    Parameters
    ----------
    runs : sequence of SortedRun
        Together one entry for every row.
    stored : callable
        Returns the keys of all rows, in which what was found is verified.
    kind : ``"int"`` or ``"text"``
    source : str
        The store, for messages.
    suspicious : bool
        Whether the whole index is read once, and its digests checked, before a key is called missing. A
        writer expects all its keys to be missing, and does not.
    """

    def __init__(
        self,
        runs: Sequence[SortedRun],
        stored: Callable[[], Keys],
        kind: KeyKind,
        source: str,
        *,
        suspicious: bool = True,
    ) -> None:
        self._runs = runs
        self._stored = stored
        self._kind = kind
        self._source = source
        self._intact = not suspicious

    def find(self, query: Keys, what: str = "the keys asked for") -> Int64Array:
        """Return the row of every key of `query`, int64, shape (n,); -1 where there is none.

        Parameters
        ----------
        query : Keys
            Any order, repeats allowed.
        what : str
            What the keys are, for messages.

        Raises
        ------
        KeyTypeError
            Text was asked of numbers, or numbers of text.
        StoreCorruptError
            The index or the stored keys are damaged.
        """
        found = np.full(len(query), -1, np.int64)
        if not len(query):
            return found
        if query.kind != self._kind:
            raise self._other_kind(query, what)
        order, ordered = _sorted(query.hash())
        for run in self._runs:
            self._find_in(run, query, order, ordered, found)
        if (found < 0).any():
            self._require_intact()
        return found

    def _find_in(self, run: SortedRun, query: Keys, order: Int64Array, hashes: UInt64Array, found: Int64Array) -> None:
        from rowlock.join_kernels import locate, match_numbers  # noqa: PLC0415 - Numba is loaded on first use

        places = np.empty(len(hashes), np.int64)
        locate(run.hashes, hashes, places)
        places_inside = np.minimum(places, len(run) - 1)
        candidates = np.flatnonzero((places < len(run)) & (run.hashes[places_inside] == hashes))
        if len(candidates) and query.kind == "int":
            stored_numbers = self._stored().numbers
            if match_numbers(run.hashes, run.rows, stored_numbers, places, hashes, order, query.numbers, found):
                raise self._damaged(run, rows=_not_of_their_hash(run, stored_numbers))
            return  # numbers of one hash are one number
        while len(candidates):
            rows = run.rows[places[candidates]].astype(np.int64)
            stored = self._stored()
            if rows.min() < 0 or rows.max() >= len(stored):
                raise self._damaged(run, f"it names rows that are not in 0..{len(stored) - 1}")
            same = query.equal(order[candidates], stored, rows)
            found[order[candidates[same]]] = rows[same]
            candidates = self._other_text(run, rows[~same], hashes, candidates[~same])
            places[candidates] += 1
            candidates = candidates[places[candidates] < len(run)]
            candidates = candidates[run.hashes[places[candidates]] == hashes[candidates]]

    def _other_text(self, run: SortedRun, rows: Int64Array, hashes: UInt64Array, candidates: Int64Array) -> Int64Array:
        """Two texts may have one hash; a stored key that has not the hash of its entry is damaged."""
        wrong = self._stored().hash(rows) != hashes[candidates] if len(rows) else np.zeros(0, np.bool_)
        if wrong.any():
            raise self._damaged(run, rows=np.sort(rows[wrong]))
        return candidates

    def _require_intact(self) -> None:
        """Read the whole index once, before the first key is reported as missing."""
        if self._intact:
            return
        for run in self._runs:
            if run.digest is not None and run.digest != run.compute_digest():
                raise self._damaged(run)
        self._intact = True

    def _damaged(self, run: SortedRun, why: str = "", rows: Int64Array = _NO_ROWS) -> StoreCorruptError:
        if len(rows):
            why = f"the key of row {rows[0]:,} is not the one that was indexed ({len(rows):,} such)"
        return StoreCorruptError(
            f"the key index of {self._source} ({run.name}) or its stored keys are damaged:"
            f" {why or 'they do not belong together'}. No row was delivered. Rows whose own keys are whole can be read"
            " by number: store[[...]] checks each. `store.verify()` lists what is damaged; restore it from a copy, or"
            " write the store again.",
            rows=rows.tolist(),
        )

    def _other_kind(self, query: Keys, what: str) -> KeyTypeError:
        fix = (
            'Read the table with dtype={"object_id": str} (the name of its key column), so that the keys are text'
            " from the start; a column that was read as numbers has lost its leading zeros."
            if self._kind == "text"
            else "Write the store with text keys, or read the column as whole numbers if no leading zeros matter."
        )
        return KeyTypeError(
            f"store {self._source!r} has {self._kind} keys ({_first(self._stored())}), {what} has {query.kind} keys"
            f" ({_first(query)}). {fix}"
        )


def _not_of_their_hash(run: SortedRun, stored: Int64Array) -> Int64Array:
    """Return the rows, ascending, of entries that are not the hash of their row's number."""
    rows = run.rows.astype(np.int64)
    inside = (rows >= 0) & (rows < len(stored))
    wrong = Keys(stored[rows[inside]]).hash() != run.hashes[inside]
    return np.sort(rows[inside][wrong])


def _sorted(hashes: UInt64Array) -> tuple[Int64Array, UInt64Array]:
    """Return where each hash of the ascending order stands, and the hashes in that order."""
    if len(hashes) < _RADIX_ROWS:
        order = np.argsort(hashes)
        return order, hashes[order]
    from rowlock.join_kernels import sort_words  # noqa: PLC0415 - Numba is loaded on first use

    order, ordered = np.empty(len(hashes), np.int64), np.empty_like(hashes)
    sort_words(hashes, ordered, order)
    return order, ordered


def _first(keys: Keys) -> str:
    return keys.describe(np.arange(min(len(keys), 1))) + (", ..." if len(keys) > 1 else "")
