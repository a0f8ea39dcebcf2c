"""Reading rows of an open store: by number, by key, into the memory of others; and whether they are as written."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, MissingKeysError
from rowlock.keys import Keys
from rowlock.memory import memory_limit_bytes
from rowlock.near_keys import near_keys
from rowlock.store.commit_facts import CommitFacts
from rowlock.store.given.selection import columns_of, require_out, rows_of
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.progress import Progress
    from rowlock.store.reading.opened import OpenedStore

__all__ = ["RowReading"]

_ITERATED_BYTES = 4 << 20
_TOLD_ROWS = 4096  # rows that the disk is told about, before they are read


class RowReading(CommitFacts):
    """The methods of a store that read rows, all of the commit that is open."""

    _path: Path

    @property
    @abstractmethod
    def _open(self) -> OpenedStore:
        """The commit that is open."""

    @property
    def _commit(self) -> Commit:
        return self._open.commit

    @property
    def matrix_bytes(self) -> int:
        """What the rows take on disk, without their keys and checks."""
        return self._open.matrix_bytes

    @property
    def keys(self) -> Keys | None:
        """The keys of all rows in order, mapped or in memory; None where rows have none."""
        return self._open.keys

    def extends(self, fingerprint: str) -> bool:
        """Return whether this store had that fingerprint once: the same rows, and maybe appended ones.

        Reads 8 bytes for every row of the earlier store.
        """
        name, num_rows, digest = (*fingerprint.split(":"), "", "")[:3]
        if name != self.uuid or not num_rows.isdecimal() or int(num_rows) > self.num_rows:
            return False
        return self._open.rows_digest(int(num_rows)) == digest

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, selection: Any) -> AnyArray:
        """Return rows by number: an int (shape (num_columns,)), a slice, a list, an array or a mask."""
        rows = rows_of(selection, self.num_rows)
        out = np.empty((len(rows), self.num_columns), self.dtype)
        for start in range(0, len(rows), _TOLD_ROWS):
            part = rows[start : start + _TOLD_ROWS]
            self.will_need(part)
            self.gather(part, out[start : start + _TOLD_ROWS])
        return out[0] if np.ndim(selection) == 0 and not isinstance(selection, slice) else out

    def __iter__(self) -> Iterator[AnyArray]:
        """Yield every row once, in order, shape (num_columns,): read and checked some MiB at a time.

        All are of the commit that was open when this began. For speed take slices: ``store[start:stop]``.
        """
        opened = self._open
        step = max(1, _ITERATED_BYTES // opened.commit.row_bytes)
        for start in range(0, opened.commit.num_rows, step):
            rows = np.arange(start, min(start + step, opened.commit.num_rows), dtype=np.int64)
            out = np.empty((len(rows), opened.commit.num_columns), opened.commit.row_dtype)
            opened.will_need(rows)
            opened.gather(rows, out, None, None)
            yield from out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Return the whole matrix, shape (num_rows, num_columns), for ``np.asarray(store)``; always a copy.

        Raises
        ------
        ConfigError
            It is larger than the memory of this machine, or of this process's control group.
        """
        if copy is False:
            raise ValueError(f"the rows of {self._path} are read from disk: an array of them is always a copy")
        wanted = self.dtype if dtype is None else np.dtype(dtype)
        num_bytes = self.num_rows * self.num_columns * max(self.dtype.itemsize, wanted.itemsize)
        if num_bytes > memory_limit_bytes():
            raise ConfigError(
                f"{self._path} has {self.num_rows:,} rows of {self.num_columns:,} columns, {num_bytes:,} bytes as one"
                f" array, and there are {memory_limit_bytes():,} bytes of memory. Nothing was read. Take parts,"
                " store[start:stop], iterate, or train with rl.Features, which reads what a batch needs."
            )
        return self[:].astype(wanted, copy=False)

    def by_key(self, keys: Any) -> AnyArray:
        """Return the rows of `keys`, in that order, shape (n, num_columns).

        Raises
        ------
        MissingKeysError
            Some are not in the store; the message counts them.
        """
        wanted = Keys.of(keys, "by_key")
        rows = self.find(wanted, "by_key")
        missing = np.flatnonzero(rows < 0)
        if len(missing):
            raise MissingKeysError(
                f"{len(missing):,} of {len(wanted):,} keys are not in {self._path} ({self.num_rows:,} keys):"
                f" {wanted.describe(missing)}.{near_keys(wanted.take(missing[:10]), self.find)}"
            )
        return self[rows]

    def find(self, keys: Keys, what: str = "the keys asked for") -> Int64Array:
        """Return the row of every key, int64, shape (n,); -1 where the store has none.

        Parameters
        ----------
        keys : Keys
            Any order, repeats allowed.
        what : str
            What they are, for messages: ``"the frame's column 'object_id'"``.

        Raises
        ------
        KeyTypeError
            The store's keys are of the other kind.
        ConfigError
            The store has no keys.
        """
        index = self._open.index
        if index is None:
            raise ConfigError(f"{self._path} has no keys; read it by row number, or write it with keys=")
        return index.find(keys, what)

    def gather(
        self,
        rows: Int64Array,
        out: AnyArray,
        columns: Sequence[int] | Int64Array | None = None,
        *,
        key_hashes: UInt64Array | None = None,
    ) -> None:
        """Read chosen rows into `out`, and check every one.

        Parameters
        ----------
        rows : int64, shape (n,)
            Any order, repeats allowed; 0 <= row < num_rows.
        out : shape (n, num_columns), or (n, k) with `columns`
            Of the store's dtype, or of another one of the same kind or a float. Fastest where nothing is to
            be changed: the store's dtype, all columns, C-contiguous.
        columns : sequence of int, shape (k,), or None
            Columns to choose, in order.
        key_hashes : uint64, shape (n,), or None
            ``Keys.hash()`` of the keys that the rows must belong to. The rows are then checked against these,
            and not against the store's own list of keys.

        Raises
        ------
        StoreCorruptError
            A row is not as it was written, or not that key's row; ``.rows`` lists them. Nothing in `out` is to
            be used.
        StoreReadError
            With ``io="pread"``: the disk or the network mount refused, several times. ``.rows`` has the row.
        ConfigError
            Wrong shapes or dtypes, or rows outside of the store.

        Notes
        -----
        Takes no lock, and releases the GIL for its work.
        """
        opened = self._open
        rows = np.ascontiguousarray(rows, np.int64)
        chosen = columns_of(columns, opened.commit.num_columns)
        require_out(opened.commit, rows, out, chosen)
        if key_hashes is not None:
            key_hashes = np.ascontiguousarray(key_hashes, np.uint64)
            if key_hashes.shape != rows.shape:
                raise ConfigError(f"{key_hashes.shape} key hashes for {rows.shape} rows")
        opened.gather(rows, out, chosen, key_hashes)

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system that `rows` will be gathered soon; does nothing where it cannot be told."""
        self._open.will_need(np.ascontiguousarray(rows, np.int64))

    def prepare(self) -> None:
        """Compile or load what gathering needs (a second or two, once a process), before somebody waits for it."""
        self._open.prepare()

    def verify(self, progress: Progress = None) -> list[tuple[int, int, str]]:
        """Read everything and return what is damaged: (first row, row after the last, reason)."""
        opened = self._open
        with reporting(progress, f"verifying {self._path.name}", opened.commit.num_rows) as report:
            return opened.verify(lambda done, _: report(done))
