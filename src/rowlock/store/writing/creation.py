"""How a store begins: what is asked for is checked, and the files of a store without rows are made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, RepeatedKeysError
from rowlock.keys import Keys
from rowlock.store.commit.format import LAYOUTS, MOST_COLUMNS, ROOT, Commit, array_metadata, chunk_name, group_metadata
from rowlock.store.commit.row_check import ROW_HASH
from rowlock.store.disk.files import sync_folder, write_bytes, write_json
from rowlock.store.given.cast import storable_dtype
from rowlock.store.layouts.blosc import MOST_ROW_BYTES
from rowlock.store.layouts.registry import layout_of

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.keys import KeyKind

__all__ = ["SHARD_BYTES", "first_commit", "start_store", "unique_keys"]

SHARD_BYTES = 256 << 20


def first_commit(
    *,
    num_columns: int,
    columns: tuple[str, ...] | None,
    key_kind: KeyKind | None,
    key_name: str | None,
    dtype: Any,
    layout: str,
    shard_bytes: int,
) -> Commit:
    """Return the commit of a new store without rows, or raise a `ConfigError`."""
    if layout not in LAYOUTS:
        raise ConfigError(f"layout={layout!r}: a store is {', '.join(map(repr, LAYOUTS))}")
    if not 1 <= num_columns <= MOST_COLUMNS:
        raise ConfigError(f"a store has 1 to {MOST_COLUMNS:,} columns, not {num_columns:,}")
    if columns is not None and (len(columns) != num_columns or len(set(columns)) != num_columns):
        raise ConfigError(f"{len(columns)} column names ({len(set(columns))} different) for {num_columns} columns")
    if columns is not None and not all(isinstance(name, str) for name in columns):
        raise ConfigError("column names are text")
    if shard_bytes < 1:
        raise ConfigError(f"shard_bytes={shard_bytes} is no size")
    commit = Commit(
        uuid=uuid.uuid4(),
        layout=layout,
        dtype=storable_dtype(dtype).name,
        num_columns=int(num_columns),
        shard_bytes=int(shard_bytes),
        row_hash=ROW_HASH,
        key_kind=key_kind,
        key_name=key_name,
        columns=columns,
    )
    if layout == "packed" and commit.row_bytes > MOST_ROW_BYTES:
        raise ConfigError(f"rows of {commit.row_bytes:,} bytes cannot be packed (most: {MOST_ROW_BYTES:,})")
    return commit


def unique_keys(values: Any, num_rows: int | None) -> Keys | None:
    """Return the keys of a whole matrix, each of them once, as many as there are rows (if that is known)."""
    if values is None:
        return None
    keys = Keys.of(values, "keys")
    if num_rows is not None and len(keys) != num_rows:
        raise ConfigError(f"{len(keys):,} keys for {num_rows:,} rows")
    twice = keys.repeated()
    if len(twice):
        raise RepeatedKeysError(
            f"{len(twice):,} of {len(keys):,} keys repeat an earlier one: {keys.describe(twice)}. A store has one"
            " row for a key; drop the repeats first. Nothing was written."
        )
    return keys


def start_store(path: Path, commit: Commit) -> None:
    """Make the folders and files of a store without rows in the existing folder `path`."""
    layout = layout_of(commit.layout)
    layout.start(path)
    for name, metadata in layout.nodes(commit).items():
        write_json(path / name / ROOT, metadata)
        sync_folder(path / name)
    for name, (shape, chunks, dtype) in commit.arrays.items():
        (path / name).mkdir(exist_ok=True)
        write_json(path / name / ROOT, array_metadata(shape, chunks, dtype))
        if name == "key_offsets":
            write_bytes(path / name / chunk_name(0), np.zeros(1, "<i8"))
        else:
            write_bytes(path / name / chunk_name(0))
        sync_folder(path / name)
    if commit.key_kind:
        (path / "key_index").mkdir()
        write_json(path / "key_index" / ROOT, group_metadata())
        sync_folder(path / "key_index")
    write_json(path / ROOT, group_metadata(commit))
    sync_folder(path)
