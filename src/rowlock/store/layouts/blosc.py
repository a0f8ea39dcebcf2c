"""Chunks of Zarr's ``blosc`` codec: one compressed row each, in the one form that this store writes.

Blosc 1, codec LZ4, a single block that is not split (little-endian)::

    version 2 | codec version 1 | flags | type size | row bytes u32 | block bytes u32 | chunk bytes u32     16 bytes
    then, where it is compressed:    start of the block u32 (20) | its length u32 | one LZ4 block
    and where that would be longer:  the row itself (flag 0x02)

Flags: 0x01 bytes transposed (not where the row is stored itself), 0x10 not split, 0x20 LZ4. The source of the
format is ``README_CHUNK_FORMAT.rst`` of c-blosc 1.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["MOST_ROW_BYTES", "chunk_start", "codec_metadata", "encode_rows", "lz4_sizes"]

MOST_ROW_BYTES = 0x7E000000
"""The longest input of LZ4."""

_SHUFFLED, _STORED, _NOT_SPLIT, _LZ4 = 0x01, 0x02, 0x10, 0x20
_START = struct.Struct("<BBBBI")  # the same for all rows of a store, but for one flag
_SIZES = struct.Struct("<II")
_BLOCK = struct.Struct("<II")
_BLOCK_AT = 20


def codec_metadata(itemsize: int, *, shuffle: bool) -> dict[str, Any]:
    """Return how ``zarr.json`` names the codec."""
    configuration = {
        "cname": "lz4",
        "clevel": 5,  # of no meaning to a reader
        "shuffle": "shuffle" if shuffle else "noshuffle",
        "typesize": itemsize,
        "blocksize": 0,
    }
    return {"name": "blosc", "configuration": configuration}


def chunk_start(row_bytes: int, itemsize: int, *, shuffle: bool, stored: bool) -> bytes:
    """Return the first eight bytes of every chunk that is compressed, or stored."""
    flags = _NOT_SPLIT | _LZ4 | _SHUFFLED * shuffle | _STORED * stored
    return _START.pack(2, 1, flags, itemsize, row_bytes)


def encode_rows(block: AnyArray, *, shuffle: bool) -> tuple[list[bytes], Int64Array]:
    """Return the chunks of rows, and their lengths.

    Parameters
    ----------
    block : shape (n, num_columns)
        C-contiguous.
    shuffle : bool
        Whether the bytes of a row are transposed first: all first bytes of its values, all second ones, ...
    """
    row_bytes, itemsize = block.shape[1] * block.itemsize, block.itemsize
    sizes = _SIZES.pack(row_bytes, 0)[:4]
    packed_start = chunk_start(row_bytes, itemsize, shuffle=shuffle, stored=False) + sizes
    stored_start = chunk_start(row_bytes, itemsize, shuffle=shuffle, stored=True) + sizes
    stored_start += (16 + row_bytes).to_bytes(4, "little")
    chunks = []
    for row, body in zip(_rows_of_bytes(block), _compressed(block, shuffle=shuffle), strict=True):
        if 24 + len(body) < 16 + row_bytes:
            start = packed_start + (24 + len(body)).to_bytes(4, "little")
            chunks.append(b"".join((start, _BLOCK.pack(_BLOCK_AT, len(body)), body)))
        else:
            chunks.append(stored_start + row.tobytes())
    return chunks, np.fromiter(map(len, chunks), np.int64, len(chunks))


def lz4_sizes(block: AnyArray, *, shuffle: bool) -> Int64Array:
    """Return the length of the chunk of every row, without keeping any."""
    row_bytes = block.shape[1] * block.itemsize
    bodies = np.fromiter(map(len, _compressed(block, shuffle=shuffle)), np.int64, len(block))
    sizes: Int64Array = np.minimum(24 + bodies, 16 + row_bytes)
    return sizes


def _rows_of_bytes(block: AnyArray) -> AnyArray:
    return block.view(np.uint8).reshape(len(block), -1)


def _compressed(block: AnyArray, *, shuffle: bool) -> Any:
    """Yield the LZ4 block of every row."""
    rows = _rows_of_bytes(block)
    if shuffle:
        planes = rows.reshape(len(block), block.shape[1], block.itemsize).transpose(0, 2, 1)
        rows = np.ascontiguousarray(planes).reshape(len(block), -1)
    compress = _lz4().compress
    return (compress(row, asbytes=True) for row in rows)


@cache
def _lz4() -> Any:
    import pyarrow as pa  # noqa: PLC0415 - large, and only written with

    return pa.Codec("lz4_raw")
