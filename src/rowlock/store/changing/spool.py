"""Proved rows wait on disk until it is known where all of them belong."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import StoreWriteError
from rowlock.store.disk.files import write_all

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import Int64Array

__all__ = ["Spool"]


class Spool:
    """Items (bytes, cells) of rows, in a file without a name: it is gone with the process.

    Parameters
    ----------
    folder : Path
        On the disk that has room for them.
    itemsizes : int
        Of the arrays that each row has items of.
    """

    def __init__(self, folder: Path, *itemsizes: int) -> None:
        self._itemsizes = itemsizes
        self._files = [tempfile.TemporaryFile(dir=folder) for _ in itemsizes]  # noqa: SIM115 - closed with the spool
        self._rows: list[Int64Array] = []
        self._sizes: list[Int64Array] = []
        self._num_items = 0

    def add(self, rows: Int64Array, sizes: Int64Array, *items: Any) -> None:
        """Take the items of rows, one after the other."""
        for file, itemsize, data in zip(self._files, self._itemsizes, items, strict=True):
            write_all(file.fileno(), data, self._num_items * itemsize)
        self._rows.append(rows)
        self._sizes.append(sizes)
        self._num_items += int(sizes.sum())

    def rows(self) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return all rows, ascending, each once, how many items they have, and where these begin here."""
        none = np.empty(0, np.int64)
        sizes = np.concatenate([none, *self._sizes])
        rows, first = np.unique(np.concatenate([none, *self._rows]), return_index=True)
        return rows, sizes[first], (np.cumsum(sizes) - sizes)[first]

    def read(self, array: int, start: int, count: int) -> bytes:
        """Return items of one of the arrays."""
        itemsize = self._itemsizes[array]
        data = os.pread(self._files[array].fileno(), count * itemsize, start * itemsize)
        if len(data) != count * itemsize:
            raise StoreWriteError("the rows to repair could not be read back from a temporary file")
        return data

    def close(self) -> None:
        """Forget everything."""
        for file in self._files:
            file.close()
