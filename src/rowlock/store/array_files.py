"""The Zarr metadata of a store's arrays, compared with the commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rowlock.errors import StoreFormatError
from rowlock.store.format import ROOT, array_metadata

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.format import Commit

__all__ = ["require_arrays"]


def require_arrays(path: Path, commit: Commit) -> None:
    """Check that the Zarr metadata of every array is there and agrees with the commit.

    A writer that was killed may have left longer arrays than were committed, which is why only shapes that
    are too short are refused, and chunk shapes are not compared: the commit decides.
    """
    expected: dict[str, Any] = {
        name: array_metadata(shape, chunks, dtype) for name, (shape, chunks, dtype) in commit.arrays.items()
    }
    for run in commit.key_index:
        shape = (2, run.num_keys)
        expected[f"key_index/{run.name}"] = array_metadata(shape, shape, "uint64")
    for name, wanted in expected.items():
        file = path / name / ROOT
        try:
            content = json.loads(file.read_bytes())
            same = all(content[part] == wanted[part] for part in wanted if part not in {"shape", "chunk_grid"})
            fits = all(have >= need for have, need in zip(content["shape"], wanted["shape"], strict=True))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise StoreFormatError(f"{file} is not the metadata of a Zarr v3 array ({error!r})") from error
        if not (same and fits):
            raise StoreFormatError(
                f"{file} does not belong to the commit of {path}: {name} must be {wanted['data_type']} of shape"
                f" {tuple(wanted['shape'])} or longer, uncompressed. Restore it from a copy."
            )
