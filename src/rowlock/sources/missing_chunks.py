"""Chunks that are not there: Zarr and HDF5 read them as a fill value, which may be on purpose or a copy cut short."""

from __future__ import annotations

import itertools
import logging
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["MOST_COUNTED", "num_chunks", "present_zarr_chunks", "tell_missing"]

MOST_COUNTED = 100_000
"""Of arrays with more chunks, none are counted: opening must stay quick."""

_log = logging.getLogger("rowlock")


def num_chunks(shape: Sequence[int], chunk_shape: Sequence[int]) -> int:
    """Return how many chunks an array has."""
    return math.prod(-(-side // chunk) for side, chunk in zip(shape, chunk_shape, strict=True))


def tell_missing(address: str, present: int, chunks: int, fill_value: Any) -> None:
    """Log a warning where chunks are missing."""
    if present < chunks:
        _log.warning(
            "%s: %s of %s chunks are missing and read as %s; right if they were never written, else copy it again",
            address, f"{chunks - present:,}", f"{chunks:,}", fill_value,
        )  # fmt: skip


def present_zarr_chunks(folder: Path, metadata: dict[str, Any], shape: Sequence[int]) -> tuple[int, int] | None:
    """Return how many chunk files (of shards, if sharded) are there and how many would be; None: not counted.

    Each folder is listed once; no chunk is opened.
    """
    chunk_shape, prefix, separator = _grid(metadata)
    chunks = num_chunks(shape, chunk_shape)
    if chunks > MOST_COUNTED or not shape:
        return None
    listed: dict[str, set[str]] = {}
    present = 0
    sides = (range(-(-side // chunk)) for side, chunk in zip(shape, chunk_shape, strict=True))
    for place in itertools.product(*sides):
        parent, _, name = (prefix + separator.join(map(str, place))).rpartition("/")
        if parent not in listed:
            inside = folder / parent
            listed[parent] = {entry.name for entry in inside.iterdir()} if inside.is_dir() else set()
        present += name in listed[parent]
    return present, chunks


def _grid(metadata: dict[str, Any]) -> tuple[list[int], str, str]:
    """Return the shape of a chunk's file, and what its name begins with and has between numbers."""
    if metadata.get("zarr_format") == 2:
        return metadata["chunks"], "", metadata.get("dimension_separator", ".")
    encoding = metadata["chunk_key_encoding"]
    default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get("separator", "/" if default else ".")
    return metadata["chunk_grid"]["configuration"]["chunk_shape"], f"c{separator}" * default, separator
