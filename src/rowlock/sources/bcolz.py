"""Folders of bcolz (carray, format 1), read without bcolz: JSON for the facts, a Blosc 1 buffer for each chunk.

::

    features/
    ├── meta/sizes       {"shape": [1000, 7], "nbytes": ..., "cbytes": ...}
    ├── meta/storage     {"dtype": "float32", "chunklen": 64, ...}
    └── data/__<i>.blp   16 bytes "blpk", version, ..., number of chunks (1); then the chunk

The last chunk holds the rows that are left.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import SourceError
from rowlock.sources.base import PieceSource, reading, require_matrix
from rowlock.sources.pieces import Pieces

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["BcolzFolder"]

_HEADER = struct.Struct("<4sBBBBq")
_MAX_METADATA_BYTES = 1 << 20


class BcolzFolder(PieceSource):
    """A carray of two axes; a piece is a chunk."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._path = path
        sizes, storage = self._facts("sizes"), self._facts("storage")
        with reading(self.address):
            shape = tuple(int(side) for side in sizes["shape"])
            self.dtype = np.dtype(str(storage["dtype"]))
            chunk_rows = int(storage["chunklen"])
        require_matrix(self.address, shape, self.dtype)
        if chunk_rows < 1:
            raise SourceError(f"{self.address} says that its chunks have {chunk_rows} rows; meta/storage is damaged")
        self.num_rows, self.num_columns = shape
        self.pieces = Pieces(self.num_rows, piece_rows=min(chunk_rows, self.num_rows))

    def read(self, first: int, last: int, columns: Int64Array | None = None) -> AnyArray:
        start = self.pieces.start(first)
        out = np.empty((self.pieces.start(last) - start, self.num_columns), self.dtype)
        for piece in range(first, last):
            self._decode(piece, out[self.pieces.start(piece) - start : self.pieces.start(piece + 1) - start])
        return out if columns is None else out[:, columns]

    def _decode(self, piece: int, out: AnyArray) -> None:
        """Write a chunk into `out`, once its sizes are known to fit."""
        import blosc2

        path = self._path / "data" / f"__{piece}.blp"
        with reading(str(path)):
            data = path.read_bytes()
            magic, version, _, _, _, num_chunks = _HEADER.unpack_from(data)
            chunk = memoryview(data)[_HEADER.size :]
            num_bytes, compressed, _ = blosc2.get_cbuffer_sizes(chunk)
        if (magic, version, num_chunks) != (b"blpk", 1, 1) or compressed != len(chunk) or num_bytes != out.nbytes:
            raise SourceError(
                f"{path} is damaged: {len(chunk):,} bytes that say {compressed:,}, and hold {num_bytes:,} bytes where"
                f" {out.nbytes:,} are due. Restore the folder from a copy."
            )
        with reading(str(path)):
            blosc2.decompress2(chunk, dst=out.reshape(-1).view(np.uint8))

    def _facts(self, name: str) -> dict[str, Any]:
        path = self._path / "meta" / name
        with reading(str(path)):
            with path.open("rb") as file:
                found = json.loads(file.read(_MAX_METADATA_BYTES))
            if not isinstance(found, dict):
                raise SourceError(f"{path} holds no facts about an array; it is damaged")
        return found
