"""What a layout of the matrix must do; nothing else in the store knows how rows lie on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.store.commit.format import Commit
    from rowlock.store.commit.row_check import RowCheck

__all__ = ["Fault", "Layout", "MatrixReader", "MatrixWriter", "Nodes"]

Nodes = dict[str, dict[str, Any]]
"""``zarr.json`` of every group and array of the matrix, by its path inside of the store."""

Fault = tuple[int, int, str]
"""First row, row after the last, reason."""


class MatrixReader(Protocol):
    """The matrix of one commit, mapped or open. What was damaged since must never lead a kernel out of a map.

    Attributes
    ----------
    num_bytes : int
        What all rows take on disk.
    """

    num_bytes: int

    def gather(self, rows: Int64Array, out: AnyArray, check: RowCheck) -> int:
        """Write chosen rows into `out` (store's dtype, all columns, C-contiguous), and check each one.

        Parameters
        ----------
        rows : int64, shape (n,)
        out : shape (n, num_columns)
        check : RowCheck
            ``check.found`` receives the check of what was read; never the stored one if the row could not be read.

        Returns
        -------
        int
            How many rows are not as they were written; -1 if a row is not in the store (nothing was read).

        Raises
        ------
        ReadFailedError
            The system refused to read a file that is not mapped (`rowlock.store.layouts.shard_files`).
        """
        ...

    def will_need(self, rows: Int64Array) -> None:
        """Tell the system which pages will be read; `rows` are in the store."""
        ...

    def place_of(self, row: int) -> str:
        """Return the file that a row lies in and where, for messages."""
        ...

    def faults(self) -> list[Fault]:
        """Return what is damaged beside the rows themselves: what only other readers look at."""
        ...


class MatrixWriter(Protocol):
    """Adds rows behind a commit, and never touches what was committed."""

    def append(self, block: AnyArray) -> bool:
        """Add rows (C-contiguous, in the store's dtype); return whether a shard was filled: time for a commit."""
        ...

    def sync(self) -> None:
        """Make all rows durable under their final names."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what the next commit says about the matrix."""
        ...

    def close(self) -> None:
        """Drop what was not synced."""
        ...


class Layout(Protocol):
    """One way in which the matrix can lie on disk: a module with these four functions."""

    def nodes(self, commit: Commit) -> Nodes:
        """Return the Zarr metadata of the matrix as `commit` has it."""
        ...

    def start(self, path: Path) -> None:
        """Make what a matrix without rows needs, besides its metadata, in the store at `path`."""
        ...

    def open_reader(self, path: Path, commit: Commit) -> MatrixReader:
        """Return the matrix of `commit`."""
        ...

    def open_writer(self, path: Path, commit: Commit) -> MatrixWriter:
        """Return the writer that goes on behind `commit`."""
        ...
