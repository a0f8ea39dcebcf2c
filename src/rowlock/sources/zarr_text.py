"""Text arrays of Zarr (``vlen-utf8``), which tensorstore does not read: the names of AnnData's rows and columns."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

from rowlock.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_text", "read_texts"]

_MAX_CHUNK_BYTES = 1 << 30


def is_text(metadata: dict[str, Any]) -> bool:
    """Whether an array holds text of any length."""
    return metadata.get("dtype") == "|O" or metadata.get("data_type") in {"string", "variable_length_utf8"}


def read_texts(folder: Path, metadata: dict[str, Any], address: str) -> list[str]:
    """Return a text array of one axis.

    Raises
    ------
    SourceError
        Another number of axes, a codec that is not known here, or damage.
    """
    shape = metadata["shape"]
    if len(shape) != 1:
        raise SourceError(f"{address} has {len(shape)} axes; names have one")
    chunk_length, chunk_path, codec = _layout(folder, metadata, address)
    texts: list[str] = []
    for number in range(-(-shape[0] // chunk_length)):
        path = chunk_path(number)
        count = min(chunk_length, shape[0] - number * chunk_length)
        if not path.is_file():
            raise SourceError(f"{address} has no names for rows {len(texts)}..: {path.name} is missing")
        texts += _decode(_decompress(path.read_bytes(), codec, address), count, address)
    return texts


def _layout(folder: Path, metadata: dict[str, Any], address: str) -> tuple[int, Any, dict[str, Any] | None]:
    """Return the length of a chunk, where chunk i lies, and how it is compressed."""
    if metadata.get("zarr_format") == 2:
        filters = [item.get("id") for item in metadata.get("filters") or []]
        if filters != ["vlen-utf8"]:
            raise _unknown(address, f"filters {filters}")
        return int(metadata["chunks"][0]), lambda i: folder / str(i), metadata.get("compressor")
    names = [codec.get("name") for codec in metadata["codecs"]]
    if names[:1] != ["vlen-utf8"] or len(names) > 2:
        raise _unknown(address, f"codecs {names}")
    encoding = metadata["chunk_key_encoding"]
    if encoding["name"] == "default":
        separator = encoding.get("configuration", {}).get("separator", "/")
        prefix = folder / "c" if separator == "/" else folder
        start = "" if separator == "/" else "c."
    else:
        prefix, start = folder, ""
    codec = {"id": names[1]} if len(names) == 2 else None
    return int(metadata["chunk_grid"]["configuration"]["chunk_shape"][0]), lambda i: prefix / f"{start}{i}", codec


def _decompress(data: bytes, codec: dict[str, Any] | None, address: str) -> bytes:
    """Return the bytes of a chunk, at most 1 GiB of them."""
    name = None if codec is None else codec.get("id")
    if name is None:
        return data
    if name == "blosc":
        return _blosc(data, address)
    if name == "zlib":
        decoder = zlib.decompressobj()
        return _bounded(decoder.decompress(data, _MAX_CHUNK_BYTES + 1), address)
    if name in {"zstd", "gzip"}:
        import pyarrow as pa

        with pa.input_stream(pa.BufferReader(data), compression=name) as stream:
            return _bounded(stream.read(_MAX_CHUNK_BYTES + 1), address)
    raise _unknown(address, f"compression {name!r}")


def _blosc(data: bytes, address: str) -> bytes:
    import blosc2

    num_bytes, compressed, _ = blosc2.get_cbuffer_sizes(data)
    if compressed != len(data) or num_bytes > _MAX_CHUNK_BYTES:
        raise SourceError(f"{address} has a chunk of {len(data):,} bytes that says {compressed:,}; it is damaged")
    return bytes(blosc2.decompress2(data)) if num_bytes else b""


def _bounded(data: bytes, address: str) -> bytes:
    if len(data) > _MAX_CHUNK_BYTES:
        raise SourceError(f"{address} has a chunk of more than 1 GiB of text")
    return data


def _decode(data: bytes, count: int, address: str) -> list[str]:
    """Return the first `count` texts of a chunk: their number, then each with its length before it."""
    (stored,) = struct.unpack_from("<I", data)
    if stored < count:
        raise SourceError(f"{address} has a chunk of {stored} names where {count} are due; it is damaged")
    texts, offset = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if offset + length > len(data):
            raise SourceError(f"{address} has a name that goes beyond its chunk; it is damaged")
        texts.append(data[offset : offset + length].decode())
        offset += length
    return texts


def _unknown(address: str, what: str) -> SourceError:
    return SourceError(f"{address} is text stored with {what}, which is not read here; write it again without")
