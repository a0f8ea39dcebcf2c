"""The table's own columns as an input: numbers as they are, text as categories; the same for every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import rowlock as rl
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["category_columns", "columns_input", "gaps_in", "refuse_ids", "rows_with", "values_of", "without_codes"]

_ID_ROWS: Final = 20
"""So many rows of which no two are alike hold an id."""

_PLAIN: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_boolean,
    pa.types.is_temporal,
)


def category_columns(table: pa.Table, columns: Iterable[str]) -> list[str]:
    """Return the columns that hold text or categories; of numbers nobody can tell, so they stay numbers."""
    return [name for name in columns if name in table.column_names and _is_text(table.schema.field(name).type)]


def columns_input(
    table: pa.Table, columns: Sequence[str], known: Mapping[str, Sequence[Any]] | None = None, **options: Any
) -> rl.Columns:
    """Return columns of a table as one input.

    Parameters
    ----------
    table : pyarrow.Table
        Its types say what is a category.
    columns : sequence of str
    known : dict of sequences, optional
        Categories by column; others, and missing values, are none of them.
    **options
        Of `rl.Columns`.
    """
    known = known or {}
    texts = category_columns(table, columns)
    return rl.Columns(
        [rl.Categories(name, known.get(name), missing="zeros", unknown="zeros") if name in texts else name
         for name in columns],
        **options,
    )  # fmt: skip


def gaps_in(table: pa.Table, columns: Iterable[str]) -> bool:
    """Return whether a column of numbers lacks a value."""
    numbers = [name for name in columns if name in table.column_names]
    return any(pc.any(pc.is_null(table.column(name), nan_is_null=True)).as_py() for name in numbers
               if name not in category_columns(table, numbers))  # fmt: skip


def refuse_ids(table: pa.Table, columns: Iterable[str]) -> None:
    """Refuse a column of text that has another value in every row.

    Raises
    ------
    ConfigError
    """
    for name in category_columns(table, columns):
        values = values_of(table.column(name))
        if len(values) > _ID_ROWS and len(values) == table.num_rows - table.column(name).null_count:
            raise ConfigError(
                f"column {name!r} has another value in each of {len(values):,} rows, such as {values[0].as_py()!r}: an"
                " id or free text tells nothing that holds for other rows. Leave it out of --columns"
            )


def values_of(column: Any) -> pa.Array:
    """Return the different values of a column of text or categories, as text, sorted."""
    values = pc.drop_null(pc.unique(_as_text(column)))
    return values.take(pc.array_sort_indices(values)) if len(values) else values


def rows_with(column: Any, values: Sequence[str]) -> int:
    """Return how many rows of a column hold one of the values."""
    return int(np.asarray(pc.is_in(_as_text(column), pa.array(values, pa.large_string()))).sum())


def without_codes(table: pa.Table) -> pa.Table:
    """Return the table with categories that are numbers, booleans or times as these, as datasets read them."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and any(test(field.type.value_type) for test in _PLAIN):
            values = table.column(place).cast(field.type.value_type)
            table = table.set_column(place, field.with_type(values.type), values)
    return table


def _as_text(column: Any) -> Any:
    """Return text, or categories that are text, as one type of text."""
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return plain.cast(pa.large_string())


def _is_text(kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
