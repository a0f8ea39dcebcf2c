"""One commit of a store, pinned: what later writers do is not seen here."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rowlock.arrays import empty_aligned
from rowlock.errors import ConfigError, StoreCorruptError, StoreFormatError, StoreReadError
from rowlock.store.commit.format import chunk_name, read_commit
from rowlock.store.commit.replaced_files import use_committed
from rowlock.store.commit.row_check import RowCheck, RowFactors, RowProof, changed_digest
from rowlock.store.disk.ways import MMAP, WAYS
from rowlock.store.given.cast import copy_cast
from rowlock.store.index.committed import map_keys, map_run
from rowlock.store.index.key_index import KeyIndex
from rowlock.store.layouts.registry import layout_of, matrix_reader
from rowlock.store.layouts.shard_files import ReadFailedError
from rowlock.store.reading.array_files import require_nodes
from rowlock.store.statistics.columns import ColumnTotals
from rowlock.store.statistics.file import map_statistics, statistics_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.keys import Keys
    from rowlock.store.statistics.columns import ColumnStatistics

__all__ = ["OpenedStore", "ranges"]

_PIECE_BYTES = 256 << 10  # of rows on their way through a cast: they stay in the second-level cache
_VERIFY_ROWS = 1 << 16
_NONE = np.empty(0, np.uint64)
_NO_NUMBERS = np.empty(0, np.int64)


class OpenedStore:
    """All files of one commit, mapped; or those of rows open, and the others in memory.

    Parameters
    ----------
    path : Path
    io : str
        One of `rowlock.store.disk.ways.WAYS`.

    Raises
    ------
    FileNotFoundError
        There is no root.
    StoreFormatError
        A piece is missing, cut off, or of a newer format.
    """

    def __init__(self, path: Path, io: str = MMAP) -> None:
        self.path = path
        self.io = io
        get = WAYS[io]
        self.commit = read_commit(path)
        commit = self.commit
        layout = layout_of(commit.layout)
        require_nodes(path, commit, layout.nodes(commit))
        self._matrix = matrix_reader(path, commit, io)
        # Read ahead, unlike rows: 8 bytes a row are soon in memory, and nobody tells the disk about them.
        checks = use_committed(
            path, commit, f"row_check/{chunk_name(0)}", lambda file: get(file, 8 * commit.num_rows, random=False)
        )
        self._checks: UInt64Array = checks.view("<u8")
        kind = commit.key_kind
        self._keys = map_keys(path, kind, commit.num_rows, commit.key_bytes, get) if kind else None
        self._runs = [map_run(path, run, get) for run in commit.key_index]
        self._totals = map_statistics(path, commit, get)
        if self._keys is not None and len(self._keys) != commit.num_rows:
            raise StoreFormatError(f"{path} has {len(self._keys):,} keys for {commit.num_rows:,} rows")
        numbers = self._keys.numbers if kind == "int" and self._keys is not None else _NO_NUMBERS
        factors = RowFactors.of(commit.uuid, commit.row_bytes)
        self._proof = RowProof(factors, self._checks, _read_only(numbers))

    @property
    def matrix_bytes(self) -> int:
        """What all rows take on disk."""
        return self._matrix.num_bytes

    @cached_property
    def index(self) -> KeyIndex | None:
        """From keys to rows; None without keys."""
        if self._keys is None:
            return None
        keys = self._keys
        return KeyIndex(self._runs, lambda: keys, keys.kind, str(self.path))

    @cached_property
    def keys(self) -> Keys | None:
        """The stored keys, mapped; hashed once, so that a damaged key is not handed out."""
        if self._keys is not None and self._keys_digest() != self.commit.keys_digest:
            raise StoreCorruptError(
                f"the stored keys of {self.path} are damaged: they are not those that were committed. Rows whose own"
                " keys are whole can be read by number: store[[...]] checks each. `store.verify()` lists the others;"
                " restore the keys from a copy, or write the store again."
            )
        return self._keys

    @cached_property
    def statistics(self) -> ColumnStatistics | None:
        """See `FeatureStore.statistics`."""
        if self._totals is None:
            return None
        if not self.statistics_are_intact:
            raise StoreCorruptError(
                f"the statistics of {self.path} are damaged. Its rows are not affected;"
                " `store.update_statistics()` makes the statistics anew."
            )
        commit = self.commit
        return ColumnTotals(commit.num_columns, self._totals, commit.num_rows).statistics(commit.columns)

    @cached_property
    def statistics_are_intact(self) -> bool:
        """Whether the statistics are those that were committed, or there are none."""
        return self._totals is None or statistics_digest(self._totals) == self.commit.statistics

    def gather(
        self,
        rows: Int64Array,
        out: AnyArray,
        columns: Int64Array | None,
        key_hashes: UInt64Array | None,
        *,
        verify: bool = True,
    ) -> None:
        """See `FeatureStore.gather`."""
        direct = columns is None and out.dtype == self.commit.row_dtype and out.flags.c_contiguous
        if direct:
            self._gather_exact(rows, out, key_hashes, verify=verify)
            return
        piece = max(1, _PIECE_BYTES // self.commit.row_bytes)
        exact = empty_aligned((min(piece, len(rows)), self.commit.num_columns), self.commit.row_dtype)
        for start in range(0, len(rows), piece):
            part = rows[start : start + piece]
            hashes = None if key_hashes is None else key_hashes[start : start + piece]
            self._gather_exact(part, exact[: len(part)], hashes, verify=verify)
            _place(exact[: len(part)], out[start : start + piece], columns)

    def will_need(self, rows: Int64Array) -> None:
        """See `FeatureStore.will_need`."""
        if not len(rows):
            return
        if rows.min() < 0 or rows.max() >= self.commit.num_rows:
            raise self._outside(rows)
        self._matrix.will_need(_read_only(rows))

    def prepare(self) -> None:
        """Compile or load what gathering needs, so that no epoch waits for it; reads no row."""
        none = np.empty(0, np.int64)
        out = np.empty((0, self.commit.num_columns), self.commit.row_dtype)
        self.gather(none, out, None, None if self._keys is None else np.empty(0, np.uint64))
        self.will_need(np.zeros(min(1, self.commit.num_rows), np.int64))

    def rows_digest(self, num_rows: int) -> str:
        """Return the digest of the checks of the first `num_rows` rows, in hexadecimal."""
        from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use

        return f"{int(digest_words(self._checks[:num_rows], np.uint64(0))):016x}"

    def rows_digest_with(self, rows: Int64Array, checks: UInt64Array) -> str:
        """Return the digest of all checks if those of `rows`, each named once, were `checks`."""
        return changed_digest(self.rows_digest(self.commit.num_rows), rows, self.checks(rows), checks)

    def checks(self, rows: Int64Array) -> UInt64Array:
        """Return the stored checks of rows."""
        found: UInt64Array = self._checks[rows]
        return found

    def matrix_faults(self) -> list[tuple[int, int, str]]:
        """Return what is damaged in the matrix beside rows."""
        return self._matrix.faults()

    def totals(self) -> AnyArray | None:
        """Return the sums that statistics are made of; None where they are not known, or damaged."""
        return self._totals if self.statistics_are_intact else None

    def verify(self, progress: Callable[[int, int], None]) -> list[tuple[int, int, str]]:
        """See `FeatureStore.verify`."""
        return self.described(self.damaged_rows(progress))

    def damaged_rows(self, progress: Callable[[int, int], None]) -> Int64Array:
        """Read all rows and return those that do not have their check, ascending."""
        bad = [_NO_NUMBERS]
        commit = self.commit
        piece = min(_VERIFY_ROWS, max(1, (8 << 20) // commit.row_bytes))
        out = np.empty((piece, commit.num_columns), commit.row_dtype)
        for start in range(0, commit.num_rows, piece):
            rows = np.arange(start, min(start + piece, commit.num_rows), dtype=np.int64)
            self.will_need(rows)
            bad.append(self._wrong_rows(rows, out[: len(rows)]))
            progress(int(rows[-1]) + 1, commit.num_rows)
        return np.concatenate(bad)

    def still_damaged(self, rows: Int64Array) -> Int64Array:
        """Read `rows` again, and return those that do not have their check."""
        piece = max(1, _PIECE_BYTES // self.commit.row_bytes)
        out = np.empty((piece, self.commit.num_columns), self.commit.row_dtype)
        parts = [rows[start : start + piece] for start in range(0, len(rows), piece)]
        return np.concatenate([_NO_NUMBERS, *(self._wrong_rows(part, out[: len(part)]) for part in parts)])

    def described(self, damaged: Int64Array) -> list[tuple[int, int, str]]:
        """Return damaged rows as ranges, and what else is damaged, with the reasons."""
        commit = self.commit
        found = [
            (first, stop, f"the bytes, the check or the key of the row ({self._matrix.place_of(first)})")
            for first, stop in ranges(damaged)
        ]
        found += self._matrix.faults()
        if self.rows_digest(commit.num_rows) != commit.rows_digest:
            found.append((0, commit.num_rows, "the checks together are not those that were committed"))
        if self._keys is not None and not self._has_its_keys():
            found.append((0, commit.num_rows, "the keys together are not those that were committed"))
        if not self.statistics_are_intact:
            found.append((0, commit.num_rows, "the statistics (the rows are not affected)"))
        return found + [
            (0, commit.num_rows, f"the key index ({run.name})")
            for run in self._runs
            if run.digest != run.compute_digest()
        ]

    def _gather_exact(
        self, rows: Int64Array, out: AnyArray, key_hashes: UInt64Array | None, *, verify: bool = True
    ) -> None:
        found, num_bad, hashes = self._copy(rows, out, key_hashes, verify=verify)
        if num_bad < 0:
            raise self._outside(rows)
        if num_bad:
            raise self._corrupt(rows, found, hashes is not None and key_hashes is not None)

    def _copy(
        self, rows: Int64Array, out: AnyArray, key_hashes: UInt64Array | None, *, verify: bool = True
    ) -> tuple[UInt64Array, int, UInt64Array | None]:
        """Copy rows and return their checks, how many are wrong, and the key hashes they were bound to."""
        keys = self._keys
        if key_hashes is None and keys is not None and keys.kind == "text" and verify:
            key_hashes = keys.text.hash_of(rows, bad_is_zero=True)  # 0 fails the check
        found = np.empty(len(rows), np.uint64)
        given = _read_only(_NONE if key_hashes is None else key_hashes)
        try:
            num_bad = self._matrix.gather(_read_only(rows), out, RowCheck(self._proof, given, found, verify))
        except ReadFailedError as error:
            raise self._unreadable(error.row, error.__cause__) from error.__cause__
        return found, num_bad, key_hashes

    def _wrong_rows(self, rows: Int64Array, out: AnyArray) -> Int64Array:
        found, num_bad, _ = self._copy(rows, out, None)
        return rows[found != self._checks[rows]] if num_bad else rows[:0]

    def _keys_digest(self) -> str:
        from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use

        return "0" * 16 if self._keys is None else f"{int(digest_words(self._keys.hash(), np.uint64(0))):016x}"

    def _has_its_keys(self) -> bool:
        try:
            return self._keys_digest() == self.commit.keys_digest
        except StoreCorruptError:  # offsets outside of the text
            return False

    def _outside(self, rows: Int64Array) -> ConfigError:
        wrong = rows[(rows < 0) | (rows >= self.commit.num_rows)]
        return ConfigError(
            f"{len(wrong)} of {len(rows)} rows are not in {self.path} (rows 0..{self.commit.num_rows - 1}):"
            f" {', '.join(map(str, wrong[:5].tolist()))}. Rows are never counted from the end."
        )

    def _corrupt(self, rows: Int64Array, found: UInt64Array, given: bool) -> StoreCorruptError:
        """Return the error that says which rows, where, and what to do."""
        stored = self._checks[rows]
        wrong = np.flatnonzero(found != stored)
        row = int(rows[wrong[0]])
        cause = "its bytes, its check or its key" if not given else "its bytes or its check, or it is another key's row"
        return StoreCorruptError(
            f"{self._name(row)} is not as it was written: row_check {int(found[wrong[0]]):016x},"
            f" stored {int(stored[wrong[0]]):016x}; {cause}. It lies in {self._matrix.place_of(row)}."
            f" {len(wrong)} of the {len(rows)} gathered rows are damaged, none was delivered."
            " `store.verify()` lists all; restore the file from a copy, or give the data to `store.repair(source)`.",
            rows=sorted(set(rows[wrong].tolist())),
        )

    def _unreadable(self, row: int, cause: BaseException | None) -> StoreReadError:
        """Return the error of a row that the system refused to read."""
        return StoreReadError(
            f"{self._name(row)} cannot be read, and was asked for several times: {cause}. It lies in"
            f" {self._matrix.place_of(row)}. Nothing was delivered, and the store may be whole: see to the disk or the"
            " network mount, and go on from the last saved state.",
            rows=[row],
            number=getattr(cause, "errno", None),
        )

    def _name(self, row: int) -> str:
        try:
            key = "" if self._keys is None else f" (key {self._keys.describe(np.array([row]))})"
        except StoreCorruptError:
            key = " (its key cannot be read: key_offsets is damaged there)"
        return f"row {row}{key} of {self.path}"


def _read_only(values: AnyArray) -> AnyArray:
    """Return a view: kernels without signatures are compiled anew for arrays that may be written."""
    values = values.view()
    values.flags.writeable = False
    return values


def _place(exact: AnyArray, out: AnyArray, columns: Int64Array | None) -> None:
    """Choose columns and cast; NumPy does both without holding the GIL."""
    if columns is not None and out.dtype == exact.dtype and out.flags.c_contiguous:
        np.take(exact, columns, axis=1, out=out, mode="clip")
    else:
        copy_cast(exact if columns is None else np.take(exact, columns, axis=1), out)


def ranges(rows: Int64Array) -> list[tuple[int, int]]:
    """Return ascending rows as half-open ranges."""
    if not len(rows):
        return []
    edges = np.flatnonzero(np.diff(rows) != 1) + 1
    return [(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, edges)]
