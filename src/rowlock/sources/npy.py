"""NumPy's format, parsed without unpickling: the header, mapped files, and streams."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import SourceError
from rowlock.sources.base import RowSource, reading, require_matrix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.keys import Keys

__all__ = ["NpyFile", "NpyHeader"]

_FORGET_BYTES = 32 << 20


@dataclass(frozen=True)
class NpyHeader:
    """What stands before the numbers of an ``.npy`` file."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    num_header_bytes: int

    @staticmethod
    def read(file: IO[bytes], address: str, num_bytes: int) -> NpyHeader:
        """Read the header and compare it with the file's size, before anything is allocated from it.

        Raises
        ------
        SourceError
            Not this format, or a file that is longer or shorter than its header says.
        """
        with reading(address):
            version = np.lib.format.read_magic(file)
            if version not in {(1, 0), (2, 0)}:
                raise SourceError(f"{address} has version {version} of the .npy format, which is for records only")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file)
            header = NpyHeader(shape, fortran, dtype, file.tell())
        wanted = header.num_header_bytes + header.num_bytes
        if any(side < 0 for side in shape):
            raise SourceError(f"{address} says that its shape is {shape}; it is damaged")
        if not dtype.hasobject and wanted != num_bytes:
            raise SourceError(
                f"{address} has {num_bytes:,} bytes, but its header (shape {shape}, {dtype}) needs {wanted:,}: it was"
                " cut off or damaged. Restore it from a copy."
            )
        return header

    @property
    def num_bytes(self) -> int:
        """Size of the numbers, in bytes."""
        count = self.dtype.itemsize
        for side in self.shape:
            count *= int(side)
        return count


class NpyFile(RowSource):
    """An ``.npy`` file, mapped into memory.

    Attributes
    ----------
    values : numpy.memmap, shape (num_rows, num_columns)
        Read-only.
    """

    num_rows: int

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        with reading(self.address), path.open("rb") as file:
            header = NpyHeader.read(file, self.address, os.fstat(file.fileno()).st_size)
            require_matrix(self.address, header.shape, header.dtype)
            mapped: AnyArray = np.memmap(file, np.uint8, "r", offset=header.num_header_bytes)
            self.values = mapped.view(header.dtype).reshape(header.shape, order="F" if header.fortran else "C")
        self.num_rows, self.num_columns = header.shape
        self.dtype = header.dtype

    def blocks(self) -> Iterator[tuple[Keys | None, Any]]:
        step = max(1, _FORGET_BYTES // self.row_bytes)
        for start in range(0, self.num_rows, step):
            yield None, self.values[start : start + step]
            self._forget()

    def _forget(self) -> None:
        """Give back the pages that were read, which otherwise count as this process's memory."""
        mapped = getattr(self.values, "_mmap", None)
        if isinstance(mapped, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
