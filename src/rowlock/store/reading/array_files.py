"""The Zarr metadata of a store's groups and arrays, compared with the commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rowlock.errors import StoreFormatError
from rowlock.store.commit.format import AUTO, ROOT, array_metadata
from rowlock.store.commit.replaced_files import open_committed

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.commit.format import Commit
    from rowlock.store.layouts.base import Nodes

__all__ = ["require_nodes"]

_MAY_DIFFER = {"shape", "chunk_grid"}


def require_nodes(path: Path, commit: Commit, matrix: Nodes) -> None:
    """Check that the Zarr metadata of every array is there and agrees with the commit.

    A writer that was killed may have left longer arrays than were committed, which is why only shapes that
    are too short are refused, and chunk shapes are not compared: the commit decides. The metadata of a matrix
    without rows may be of any layout, if the writer was killed that had chosen one.

    Parameters
    ----------
    path : Path
    commit : Commit
    matrix : dict
        What the layout's metadata must be.
    """
    expected = ({} if commit.layout == AUTO else matrix) | {
        name: array_metadata(shape, chunks, dtype) for name, (shape, chunks, dtype) in commit.arrays.items()
    }
    for run in commit.key_index:
        shape = (2, run.num_keys)
        expected[f"key_index/{run.name}"] = array_metadata(shape, shape, "uint64")
    for name, wanted in expected.items():
        file = path / name / ROOT
        try:
            fits = _fits(json.loads(_content(path, commit, name)), wanted)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreFormatError(
                f"{file} is not the metadata of a Zarr v3 {wanted['node_type']} ({error!r})"
            ) from error
        if not fits:
            raise StoreFormatError(
                f"{file} does not belong to the commit of {path}: {name} must be {_described(wanted)} or longer."
                " Restore it from a copy."
            )


def _content(path: Path, commit: Commit, name: str) -> bytes:
    with open_committed(path, commit, f"{name}/{ROOT}") as file:
        return file.read()


def _fits(content: dict[str, Any], wanted: dict[str, Any]) -> bool:
    same = all(content[part] == wanted[part] for part in wanted if part not in {"attributes", *_MAY_DIFFER})
    have, need = content["attributes"], wanted["attributes"]
    same = same and all(have[part] == need[part] for part in need if part not in _MAY_DIFFER)
    if "shape" in need:
        have, need = have["shape"], need["shape"]
    elif "shape" in wanted:
        have, need = content["shape"], wanted["shape"]
    else:
        return same
    return same and all(long >= short for long, short in zip(have, need, strict=True))


def _described(wanted: dict[str, Any]) -> str:
    if wanted["node_type"] == "group":
        return f"a group with the attributes {wanted['attributes']}"
    return f"{wanted['data_type']} of shape {tuple(wanted['shape'])}, with the codecs {wanted['codecs']}"
