"""Whether a table and its stores are what a model was trained on; everything that differs, before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from rowlock.arguments import nearest
from rowlock.errors import ConfigError, RowlockError
from rowlock.inputs.matrices import open_matrix
from rowlock.training.column_inputs import category_columns, rows_with, values_of
from rowlock.training.digests import HOW_TO_HASH
from rowlock.training.spec import key_type
from rowlock.training.target_fits import target_differences

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.training.spec import Spec

__all__ = ["require_fit", "require_fit_key"]

_SHOWN: Final = 3
_BYTES: Final = ("binary", "large_binary", "binary_view")
"""Paths that are no UTF-8."""


def require_fit(spec: Spec, table: pa.Table, *, with_target: bool = False) -> None:
    """Compare a table, and the stores that the spec names, with the spec.

    Parameters
    ----------
    spec : Spec
    table : pyarrow.Table
    with_target : bool
        Whether the column of the target is needed too, with classes or labels of the run in every row.

    Raises
    ------
    ConfigError
        Names all that differs.
    """
    wrong = [*_keys(spec, table)]
    for name, told in spec.inputs.items():
        check = {"images": _images, "features": _features, "columns": _columns}[told["kind"]]
        wrong += [f"input {name!r}: {what}" for what in check(spec, told, table)]
    if with_target:
        lacking = [what for column in spec.target.columns for what in _lacking(table, column, "the target")]
        wrong += lacking or target_differences(spec.target, table)
    if wrong:
        raise ConfigError(
            "the data do not fit the model: " + "; ".join(wrong) + ". Nothing was read or written. The run's spec.json"
            " says what the model was trained on."
        )


def require_fit_key(spec: Spec, table: pa.Table) -> None:
    """Compare the key of a table with the spec's.

    Raises
    ------
    ConfigError
    """
    wrong = [*_keys(spec, table)]
    if wrong:
        raise ConfigError(f"the data do not fit the model: {'; '.join(wrong)}")


def _keys(spec: Spec, table: pa.Table) -> Iterator[str]:
    if spec.key is None:
        return
    lacking = list(_lacking(table, spec.key, "the key"))
    yield from lacking
    if not lacking and key_type(table, spec.key) != spec.key_type:
        how = " (a CSV's keys: --key-type)" if spec.key_type in {"int", "text"} else ""
        yield f"keys in column {spec.key!r} were {spec.key_type}, are {key_type(table, spec.key)}{how}"


def _lacking(table: pa.Table, column: str, what: str) -> Iterator[str]:
    if column not in table.column_names:
        yield f"the table has no column {column!r}, {what}.{nearest(column, table.column_names)}".removesuffix(".")


def _images(spec: Spec, told: Mapping[str, Any], table: pa.Table) -> Iterator[str]:  # noqa: ARG001 - as its siblings
    yield from _lacking(table, told["column"], "its paths")
    if told["column"] in table.column_names and key_type(table, told["column"]) not in {"text", *_BYTES}:
        yield f"column {told['column']!r} held paths, and holds {table.schema.field(told['column']).type}"
    hashes = told.get("hashes")
    if hashes and hashes not in table.column_names:
        yield (
            f"the table has no column {hashes!r}, the digests that its pictures are compared with ({HOW_TO_HASH};"
            " --no-verify goes without, in Python verify=False)"
        )


def _columns(spec: Spec, told: Mapping[str, Any], table: pa.Table) -> Iterator[str]:  # noqa: ARG001 - as its siblings
    for column in told["columns"]:
        yield from _lacking(table, column, "one of its columns")
        if column in table.column_names and column in told["categories"]:
            yield from _categories(told, table, column)
        elif column in table.column_names:
            kind = table.schema.field(column).type
            is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
            if not is_number and not pa.types.is_decimal(kind):
                yield f"column {column!r} held numbers, and holds {kind}"


def _categories(told: Mapping[str, Any], table: pa.Table, column: str) -> Iterator[str]:
    values = table.column(column)
    if values.null_count < len(values) and not category_columns(table, [column]):
        yield f"column {column!r} held categories, and holds {values.type}"
    elif told["unknown"] == "raise" and values.null_count < len(values):
        known = set(told["categories"][column])
        unknown = [value for value in values_of(values).to_pylist() if value not in known]
        if unknown:
            yield (f"{rows_with(values, unknown):,} row(s) of column {column!r} hold {_listed(unknown)}, which no"
                   " training row had (--unknown zeros lets them be none of its categories)")  # fmt: skip


def _features(spec: Spec, told: Mapping[str, Any], table: pa.Table) -> Iterator[str]:
    if told["join"] is not None:
        yield from _lacking(table, told["join"], "which joins its store")
    key = told["join"] or spec.key
    try:
        matrix = open_matrix(told["store"], "", key=key, named_key=told["join"] is not None, columns=None, io=None)
    except RowlockError as error:
        yield f"{error} (--features NAME=STORE says where the store is now)"
        return
    try:
        yield from _store(told, matrix)
    finally:
        matrix.close()


def _store(told: Mapping[str, Any], matrix: Any) -> Iterator[str]:
    address = matrix.address
    if matrix.num_columns != told["num_columns"]:
        yield f"{address} has {matrix.num_columns:,} columns, the model was trained on {told['num_columns']:,}"
    elif told["columns"] is not None and (matrix.columns is None or list(matrix.columns) != told["columns"]):
        yield f"{address}: {_renamed(told['columns'], matrix.columns)}"
    if getattr(matrix, "key_name", None) != told["key_name"] and told["join"] is None:
        yield f"{address} has the keys {getattr(matrix, 'key_name', None)!r}, training had {told['key_name']!r}"


def _renamed(was: list[str], now: Any) -> str:
    if now is None:
        return "its columns have no names any more"
    if sorted(now) == sorted(was):
        place = next(place for place, pair in enumerate(zip(was, now, strict=True)) if pair[0] != pair[1])
        return f"its columns are in another order: number {place} was {was[place]!r}, is {now[place]!r}"
    gone = [name for name in was if name not in set(now)]
    new = [name for name in now if name not in set(was)]
    return f"columns {_listed(gone)} are gone, {_listed(new)} are new"


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
