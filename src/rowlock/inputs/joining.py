"""Which row of a matrix belongs to which row of the table: by key, or by the frame's index, and never by a guess."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arrays import row_type
from rowlock.blocks import for_blocks
from rowlock.errors import AlignmentError, MissingKeysError
from rowlock.near_keys import near_keys
from rowlock.sources.candidates import key_candidates

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.features import Features
    from rowlock.keys import Keys
    from rowlock.table import Table

__all__ = ["key_column", "require_no_other_key", "rows_by_key", "rows_by_number"]

_JOINED_ROWS = 1 << 21  # at a time and thread: about 140 MB, and near enough to each other in the sorted index
_log = logging.getLogger("rowlock")


def key_column(features: Features, matrix: Any, table: Table, name: str) -> str:
    """Return the column that holds the store's keys, or raise where that would be a guess."""
    key_name = matrix.key_name
    column = features.key or table.key
    if column is None:
        raise AlignmentError(
            f"{name!r}: {matrix.address} has keys ({key_name or 'unnamed'}), and is never joined by row number."
            f" Name the column that holds them: rl.Dataset(..., key={key_name or '...'!r})."
        )
    if features.key is None and key_name not in (None, column):
        raise AlignmentError(
            f"{name!r}: the keys of {matrix.address} are called {key_name!r}, the dataset's key is {column!r}."
            f" If they are the same thing, say so: rl.Features({matrix.address!r}, key={column!r})."
        )
    return column


def require_no_other_key(features: Features, matrix: Any, table: Table, name: str) -> None:
    """Refuse a table whose key has another name, or say that a file is joined by row number."""
    if table.key is None or not isinstance(features.source, str):
        return
    candidates = [] if features.columns is not None else key_candidates(Path(features.source))
    if candidates:
        raise AlignmentError(
            f"{name!r}: {matrix.address} has no column {table.key!r} to be joined by, and {candidates[0]!r} looks like"
            f" the key: whole numbers, each once. Rename it to {table.key!r}, or pack the file (rowlock pack"
            f" {features.source} features.zarr --key {candidates[0]}). If it is a feature, and rows belong together by"
            " the frame's index, say which columns are features: columns=[...]."
        )
    how = "in their order, as the table has no index" if table.index() is None else "by the frame's index as row number"
    _log.warning(
        "%r: %s has no keys: its rows are joined %s, not by %r. In a table with its rows in another order,"
        " each would get another row's features. Pack it with its keys: rowlock pack SOURCE STORE --key %s.",
        name, matrix.address, how, table.key, table.key,
    )  # fmt: skip


def rows_by_key(features: Features, matrix: Any, table: Table, keys: Keys, column: str, name: str) -> AnyArray:
    """Return the matrix' row of every row of the table, as `row_type`; -1 where it has none and may be dropped.

    Beside a table that is a file they are kept, for these keys of the table and those of the store. A row that is
    gathered is proved to be its key's by the store all the same, so that no file of places can lead to a wrong row.
    """
    policy = features.missing or table.missing

    def join() -> AnyArray:
        places = _found(matrix, keys, name)
        if policy == "raise":
            _refuse_missing(np.flatnonzero(places < 0), matrix, keys, name)
        return places

    if matrix.keys_identity is None:
        return join()
    return table.kept([column], ("rows of", matrix.address), (1, matrix.keys_identity, policy), join)


def _found(matrix: Any, keys: Keys, name: str) -> AnyArray:
    places = np.empty(len(keys), row_type(matrix.num_rows))

    def join(start: int, stop: int) -> None:
        places[start:stop] = matrix.find(keys.take(slice(start, stop)), f"the frame's key of input {name!r}")

    for_blocks(join, len(keys), _JOINED_ROWS)
    return places


def _refuse_missing(missing: Int64Array, matrix: Any, keys: Keys, name: str) -> None:
    if len(missing):
        raise MissingKeysError(
            f"{name!r}: {len(missing):,} of {len(keys):,} rows have a key that is not in {matrix.address}"
            f" ({matrix.num_rows:,} keys): {keys.describe(missing)}.{_near(matrix, keys, missing)} Nothing was loaded."
            " Add them to the store, leave these rows out of the frame, or pass missing='drop'."
        )


def _near(matrix: Any, keys: Keys, missing: Int64Array) -> str:
    return near_keys(keys.take(missing[:10]), lambda variants: matrix.find(variants, "a key"))


def rows_by_number(features: Features, matrix: Any, table: Table, name: str) -> Int64Array:
    """Return the frame's index as row numbers of the matrix, int64, or raise where it cannot be that."""
    if features.key is not None:
        raise AlignmentError(
            f"{name!r}: {matrix.address} has no keys, so key={features.key!r} cannot be looked up in it. Write a"
            " store with keys=, or leave key= out to join by the frame's index."
        )
    numbers = table.index()
    if numbers is None:
        if table.num_rows != matrix.num_rows:
            raise AlignmentError(
                f"{name!r}: the frame has {table.num_rows:,} rows and no index, {matrix.address} has"
                f" {matrix.num_rows:,} rows and no keys, so which belong together cannot be known. Write a store"
                " with keys=."
            )
        return np.arange(table.num_rows)
    wrong = np.flatnonzero((numbers < 0) | (numbers >= matrix.num_rows))
    if len(wrong):
        raise AlignmentError(
            f"{name!r}: {len(wrong):,} of the frame's {table.num_rows:,} index values are not row numbers of"
            f" {matrix.address}, which has {matrix.num_rows:,} rows and no keys: {numbers[wrong[0]]} in row"
            f" {wrong[0]}. It is joined by the frame's index; write a store with keys= to join by key."
        )
    return numbers
