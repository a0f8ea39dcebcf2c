"""What a store looks like on disk, format 1: names, the commit in the root's attributes, Zarr metadata.

::

    growth.zarr/
    ├── zarr.json              Zarr v3 group; attributes["rowlock"] is the commit: the only truth
    ├── matrix/                (N, F), as its layout has it: `raw`, `csr` or `packed`
    ├── row_check/             (N,) uint64: what binds the bytes of a row to its key
    ├── keys/                  (N,) int64, or:
    ├── key_bytes/             (total,) uint8, UTF-8 of all keys
    ├── key_offsets/           (N + 1,) int64
    ├── key_index/<run>/       (2, n) uint64: hashes of keys, ascending, and their rows; immutable
    └── statistics/columns/    (2, 7, F) float64: facts about the columns; see `rowlock.store.statistics.file`

Arrays with one entry a row are one chunk each, extended behind the committed length; see ``docs/adr/0003``.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from rowlock.errors import StoreFormatError
from rowlock.store.commit.row_check import ROW_HASH

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.keys import KeyKind

__all__ = [
    "ATTRIBUTE", "AUTO", "FORMAT", "LAYOUTS", "MOST_COLUMNS", "ROOT", "Commit", "Run", "array_metadata", "chunk_name",
    "group_metadata", "read_commit",
]  # fmt: skip

FORMAT = 1
ATTRIBUTE = "rowlock"
ROOT = "zarr.json"
KEY_HASH = "mix64-1"
DIGEST_HASH = "sum64-1"
AUTO = "auto"
LAYOUTS = (AUTO, "raw", "csr", "packed")
DTYPES = frozenset({
    "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
})  # fmt: skip
_MAX_COUNT = 1 << 62
MOST_COLUMNS = 1 << 28
"""Of a store: 2 GiB a row of float64. Above it a commit is a lie that would allocate memory."""
_RUN_NAME = re.compile(r"run-[0-9]+")  # it becomes a path
_FILE_NAME = re.compile(r"[a-z_]+(/[a-z]+)?/(c(\.[0-9]+)+|zarr\.json)")  # it becomes a path, too


@dataclass(frozen=True)
class Run:
    """One immutable piece of the key index: its name, its length, and the digest of its words."""

    name: str
    num_keys: int
    digest: str


@dataclass(frozen=True)
class Commit:
    """A state of the store that was acknowledged; readers never look past it.

    Attributes
    ----------
    number : int
        Counts the commits of this store.
    num_rows, num_columns : int
    layout : str
        `AUTO` as long as there are no rows by which to choose one.
    layout_reason : str
        Why it was chosen; empty where somebody named it.
    rows_per_shard : int
        Rows of one chunk of the matrix (raw, packed). It may grow while there is a single shard.
    num_cells, cells_per_shard : int
        Stored values, and those of one chunk (csr); the latter may grow while there is a single shard.
    tail_bytes : int
        Where the chunks of the last shard end; 0 where it is full (packed).
    shuffle : bool
        Whether the bytes of a row are transposed before they are compressed (packed).
    shard_bytes : int
        About how large a shard file may become.
    key_bytes : int
        Length of the array of that name.
    rows_digest, keys_digest : str
        Sums over all rows of ``mix64(x + mix64(row))`` in hexadecimal, x being the row_check and the key's
        hash: they can be continued without reading what is there already, and computed for any first rows.
    statistics : str or None
        Digest of the statistics of this very commit; None: they are not known.
    replaced : tuple of str
        Files, such as ``"matrix/c.3.0"``, that this very commit wrote anew; see `rowlock.store.commit.replaced_files`.
    num_replaces : int
        Commits so far that changed rows of earlier commits.
    """

    uuid: UUID
    layout: str
    dtype: str
    num_columns: int
    shard_bytes: int
    row_hash: str
    key_kind: KeyKind | None = None
    key_name: str | None = None
    columns: tuple[str, ...] | None = None
    number: int = 0
    num_rows: int = 0
    rows_per_shard: int = 1
    layout_reason: str = ""
    num_cells: int = 0
    cells_per_shard: int = 1
    tail_bytes: int = 0
    shuffle: bool = False
    key_bytes: int = 0
    rows_digest: str = "0" * 16
    keys_digest: str = "0" * 16
    key_index: tuple[Run, ...] = field(default=())
    statistics: str | None = None
    replaced: tuple[str, ...] = ()
    num_replaces: int = 0

    @cached_property
    def row_bytes(self) -> int:
        """Size of one stored row in bytes."""
        return self.num_columns * self.row_dtype.itemsize

    @cached_property
    def row_dtype(self) -> np.dtype[Any]:
        """Dtype of the matrix, little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def num_shards(self) -> int:
        """Number of files of the matrix, where they hold whole rows (raw, packed)."""
        return -(-self.num_rows // self.rows_per_shard)

    @property
    def arrays(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], str]]:
        """Shape, chunk shape and dtype of every array beside the matrix and the key index."""
        rows = self.num_rows
        found: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
            "row_check": ((rows,), (max(1, rows),), "uint64"),
        }
        if self.key_kind == "int":
            found["keys"] = ((rows,), (max(1, rows),), "int64")
        if self.key_kind == "text":
            found["key_bytes"] = ((self.key_bytes,), (max(1, self.key_bytes),), "uint8")
            found["key_offsets"] = ((rows + 1,), (rows + 1,), "int64")
        return found

    def next(self, **changes: Any) -> Commit:
        """Return the commit that follows this one."""
        return replace(self, number=self.number + 1, **{"statistics": None, "replaced": ()} | changes)


def chunk_name(*position: int) -> str:
    """Return the file name of a chunk; all files of an array lie in one folder."""
    return ".".join(["c", *map(str, position)])


def array_metadata(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Return the ``zarr.json`` of an uncompressed little-endian array."""
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0,
        "codecs": [little if np.dtype(dtype).itemsize > 1 else {"name": "bytes"}],
        "attributes": {},
    }


def group_metadata(commit: Commit | None = None) -> dict[str, Any]:
    """Return the ``zarr.json`` of a group; the root's carries the commit and its digest."""
    attributes = {}
    if commit is not None:
        content = {"format": FORMAT, "key_hash": KEY_HASH, "digest_hash": DIGEST_HASH} | asdict(commit)
        content["uuid"] = str(commit.uuid)
        attributes = {ATTRIBUTE: content | {"digest": _digest(content)}}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def read_commit(path: Path) -> Commit:
    """Return the commit in the root of the store at `path`.

    Raises
    ------
    StoreFormatError
        Not a store, a newer format, or a commit that is not as it was written.
    FileNotFoundError
        There is no root.
    """
    try:
        root = json.loads((path / ROOT).read_bytes())
        group = root["zarr_format"] == 3 and root["node_type"] == "group"
        content = root["attributes"].get(ATTRIBUTE) if group else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreFormatError(f"{path / ROOT} is not the root of a Zarr v3 group ({error!r})") from error
    if not isinstance(content, dict):
        raise StoreFormatError(
            f"{path} is a Zarr group, but not a Rowlock store: its attributes have no {ATTRIBUTE!r}."
            " Write one with rowlock.FeatureStore.write."
        )
    return _parse(content, path)


def _parse(content: dict[str, Any], path: Path) -> Commit:
    version = content.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise StoreFormatError(
            f"{path} has format {version}, but this version of Rowlock reads up to {FORMAT}. Upgrade Rowlock."
        )
    content = dict(content)
    digest = content.pop("digest", None)
    if digest != _digest(content):
        raise StoreFormatError(
            f"the commit of {path} is not as it was written (digest {digest}, computed {_digest(content)})."
            f" Restore {path / ROOT} from a copy, or write the store again."
        )
    for name, known in (("format", FORMAT), ("key_hash", KEY_HASH), ("digest_hash", DIGEST_HASH)):
        if content.pop(name, None) != known:
            raise StoreFormatError(f"{path} has a {name} that this version of Rowlock does not know")
    try:
        return _checked(_commit_of(content), path)
    except (TypeError, ValueError, KeyError) as error:
        raise StoreFormatError(f"the commit of {path} cannot be understood: {error}") from error


def _commit_of(content: dict[str, Any]) -> Commit:
    runs = tuple(Run(**run) for run in content.pop("key_index"))
    columns = content.pop("columns")
    columns = None if columns is None else tuple(map(str, columns))
    replaced = tuple(map(str, content.pop("replaced", ())))
    return Commit(
        **content | {"uuid": UUID(content["uuid"]), "key_index": runs, "columns": columns, "replaced": replaced}
    )


def _checked(commit: Commit, path: Path) -> Commit:
    """Refuse sizes that do not fit together, before anything is allocated from them."""
    numbers = (
        commit.number,
        commit.num_rows,
        commit.key_bytes,
        commit.num_cells,
        commit.tail_bytes,
        commit.num_replaces,
    )
    sizes = (commit.num_columns, commit.rows_per_shard, commit.cells_per_shard, commit.shard_bytes)
    faults = {
        "layout": commit.layout not in LAYOUTS or (commit.layout == AUTO and commit.num_rows > 0),
        "row hash": commit.row_hash != ROW_HASH,
        "dtype": commit.dtype not in DTYPES,
        "key kind": commit.key_kind not in {None, "int", "text"},
        "counts": not all(isinstance(n, int) and 0 <= n < _MAX_COUNT for n in numbers),
        "sizes": not all(isinstance(n, int) and 1 <= n < _MAX_COUNT for n in sizes),
        "length of a row": commit.num_columns > MOST_COLUMNS,
        "cells": commit.num_cells > commit.num_rows * commit.num_columns,
        "shuffle": not isinstance(commit.shuffle, bool) or not isinstance(commit.layout_reason, str),
        "column names": commit.columns is not None and len(commit.columns) != commit.num_columns,
        "key bytes": commit.key_bytes > 0 and commit.key_kind != "text",
        "names of runs": not all(_RUN_NAME.fullmatch(run.name) for run in commit.key_index),
        "names of files": not all(_FILE_NAME.fullmatch(name) for name in commit.replaced),
        "statistics": not isinstance(commit.statistics, str | None),
        "key index": sum(run.num_keys for run in commit.key_index) != commit.num_rows * bool(commit.key_kind),
    }
    wrong = [name for name, fault in faults.items() if fault]
    if wrong or (commit.num_rows + 1) * commit.row_bytes >= _MAX_COUNT:
        raise StoreFormatError(
            f"{path}: the commit's {', '.join(wrong) or 'sizes'} cannot be read by this version of Rowlock"
        )
    return commit


def _digest(content: dict[str, Any]) -> str:
    """Return a digest that does not depend on spacing or the order of names."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
