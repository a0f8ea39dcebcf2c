"""What is predicted: classes, several labels a row, or quantities; told by the columns' types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.arguments import nearest
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import BoolArray

__all__ = [
    "MOST_CLASSES",
    "Target",
    "find_target",
    "require_learnable",
    "rows_without_target",
    "target_columns",
    "whole_classes",
]

Task = Literal["classes", "labels", "quantity"]
TASKS: Final = ("auto", "classes", "labels", "quantity")

_ID_ROWS: Final = 20
"""In more rows than this, classes that mostly come once are ids."""

MOST_CLASSES: Final = 100
"""Whole numbers of more different values than this are a quantity, unless somebody says otherwise."""


@dataclass(frozen=True)
class Target:
    """What a model says about a row.

    Attributes
    ----------
    task : {"classes", "labels", "quantity"}
        One class of several; any number of labels; one number or more.
    columns : tuple of str
        Of the table.
    classes : tuple
        Classes or labels, in the order of the model's outputs; nothing for a quantity.
    """

    task: Task
    columns: tuple[str, ...]
    classes: tuple[Any, ...] = ()

    @property
    def name(self) -> str:
        """The columns, for people."""
        return ", ".join(self.columns)

    @property
    def num_outputs(self) -> int:
        """How many numbers the model gives a row."""
        return len(self.columns) if self.task == "quantity" else len(self.classes)

    @property
    def are_flags(self) -> bool:
        """Whether the labels are columns of 0 and 1, and not lists in one column."""
        return self.task == "labels" and self.classes == self.columns


def target_columns(table: pa.Table, given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns that ``"A,B"``, or a list, names.

    Raises
    ------
    ConfigError
        None is named, or there is no such column; the message suggests the nearest.
    """
    if isinstance(given, str):
        given = [given] if given in table.column_names else [part.strip() for part in given.split(",")]
    named = tuple(part for part in given or () if part)
    if not named:
        raise ConfigError(
            "training needs the column that is to be predicted: --target COL."
            f" The columns are {', '.join(table.column_names[:12])}."
        )
    for column in named:
        if column not in table.column_names:
            raise ConfigError(f"the table has no column {column!r} to predict.{nearest(column, table.column_names)}")
    if len(set(named)) < len(named):
        raise ConfigError(f"a column is named twice as the target: {', '.join(named)}")
    return named


def find_target(table: pa.Table, columns: tuple[str, ...], task: str = "auto") -> Target:
    """Return what is to be predicted, by the columns' types: the one way from columns to a target, for all commands.

    Text, booleans, up to `MOST_CLASSES` different whole numbers, and 0 and 1 of whatever type, are classes; other
    numbers are a quantity; a column of lists, and several columns of 0 and 1, are labels.

    Parameters
    ----------
    table : pyarrow.Table
    columns : tuple of str
    task : {"auto", "classes", "labels", "quantity"}
        Overrides what the types say.

    Raises
    ------
    ConfigError
        The types do not fit the task.
    """
    if task not in TASKS:
        raise ConfigError(f"task must be one of {', '.join(map(repr, TASKS))}, not {task!r}")
    found = _told(table, columns) if task == "auto" else task
    if found == "classes":
        return _one_of(table, columns)
    if found == "labels":
        return _any_of(table, columns)
    return _numbers(table, columns)


def require_learnable(table: pa.Table, target: Target) -> None:
    """Refuse a target that tells rows apart by nothing.

    Raises
    ------
    ConfigError
        One class alone, no label at all, or a constant; classes of which most rows have one of their own: an id.
    """
    name, classes = target.columns[0], target.classes
    if target.task == "classes" and len(classes) < 2:
        what = f"only {classes[0]!r} in all {table.num_rows:,} rows" if classes else "no value at all"
        raise ConfigError(f"column {name!r} holds {what}: with one class there is nothing to learn")
    if target.task == "classes":
        _refuse_id(table, name)
    if target.task == "labels" and not classes:
        raise ConfigError(f"column {name!r} holds empty lists only: there is no label to learn")
    for column in target.columns if target.task == "quantity" else ():
        if _num_values(table, column) < 2:
            raise ConfigError(
                f"column {column!r} has the same value in all {table.num_rows:,} rows: there is nothing to learn"
            )


def _refuse_id(table: pa.Table, name: str) -> None:
    counts = pc.value_counts(pc.drop_null(table.column(name)))
    values, rows = counts.field("values"), counts.field("counts")
    num_rows, alone = int(pc.sum(rows).as_py()), values.filter(pc.equal(rows, 1))
    if num_rows <= _ID_ROWS or 2 * len(alone) <= num_rows:
        return
    numbers = "" if _kind(table, name) == "text" else ", or of numbers say --task quantity"
    raise ConfigError(
        f"column {name!r} cannot be predicted: of {num_rows:,} rows {len(alone):,} have a class that no other row has,"
        f" such as {alone[0].as_py()!r}. That is an id or free text, and tells nothing that holds for other rows. Name"
        f" a column whose values come again in other rows (--target){numbers}"
    )


def whole_classes(table: pa.Table, target: Target) -> pa.Table:
    """Return the table with whole numbers where pandas made floats of them, since a class is no float."""
    name = target.columns[0]
    if target.task != "classes" or _kind(table, name) != "float":
        return table
    column = table.column(name)
    known = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    return table.set_column(table.column_names.index(name), name, known.cast(pa.int64()))


def rows_without_target(table: pa.Table, target_names: tuple[str, ...]) -> BoolArray:
    """Return where a row lacks its target: a missing value, NaN or an infinite one; shape (rows,)."""
    lacking = np.zeros(table.num_rows, np.bool_)
    for name in target_names:
        column = table.column(name)
        lacking |= pc.is_null(column, nan_is_null=True).to_numpy()
        if pa.types.is_floating(column.type):
            lacking |= pc.fill_null(pc.is_inf(column), False).to_numpy()
    return lacking


def _told(table: pa.Table, columns: tuple[str, ...]) -> str:
    kinds = {column: _kind(table, column) for column in columns}
    if len(columns) == 1:
        return {"list": "labels", "text": "classes", "flag": "classes"}.get(kinds[columns[0]]) or (
            "classes" if _are_few_wholes(table, columns[0]) else "quantity"
        )
    if all(kind == "flag" or _is_zero_or_one(table, column) for column, kind in kinds.items()):
        return "labels"
    if all(kind in {"whole", "float"} for kind in kinds.values()):
        return "quantity"
    raise ConfigError(
        "several targets are either labels (columns of 0 and 1) or quantities (columns of numbers), but these are "
        + ", ".join(f"{column!r} ({table.schema.field(column).type})" for column in columns)
        + ". Name one column, or columns of one kind."
    )


def _are_few_wholes(table: pa.Table, column: str) -> bool:
    """Return whether numbers are classes: a few whole ones, or 0 and 1, which an empty cell makes floats."""
    if _kind(table, column) == "whole":
        return _num_values(table, column) <= MOST_CLASSES
    return _is_zero_or_one(table, column)


def _kind(table: pa.Table, column: str) -> str:
    kind = table.schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    for name, of_kind in _KINDS.items():
        if any(test(kind) for test in of_kind):
            return name
    raise ConfigError(
        f"column {column!r} holds {kind}, which cannot be predicted: a target is text, booleans or whole numbers"
        " (classes), lists of them (labels), or numbers (a quantity)"
    )


_KINDS: Final = {
    "list": (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "flag": (pa.types.is_boolean,),
    "whole": (pa.types.is_integer,),
    "float": (pa.types.is_floating, pa.types.is_decimal),
}


def _num_values(table: pa.Table, column: str) -> int:
    return int(pc.count_distinct(table.column(column)).as_py())


def _is_zero_or_one(table: pa.Table, column: str) -> bool:
    if _kind(table, column) not in {"whole", "float"}:
        return False
    values = pc.unique(table.column(column).cast(pa.float64()))
    return set(values.filter(pc.is_finite(values)).to_pylist()) <= {0.0, 1.0}


def _one_of(table: pa.Table, columns: tuple[str, ...]) -> Target:
    if len(columns) > 1:
        raise ConfigError(
            f"a model says one class a row, but {len(columns)} columns are named: {', '.join(columns)}. Columns of 0"
            " and 1 are labels: --task labels"
        )
    (column,) = columns
    if _kind(table, column) == "list":
        raise ConfigError(f"column {column!r} holds lists, which are labels: --task labels")
    values = pc.drop_null(pc.unique(table.column(column)))
    if _kind(table, column) == "float":
        values = _whole(values, column)
    return Target("classes", columns, tuple(sorted(values.to_pylist())))


def _whole(values: pa.Array, column: str) -> pa.Array:
    try:
        return pc.unique(values.filter(pc.is_finite(values)).cast(pa.int64()))
    except pa.ArrowInvalid:
        raise ConfigError(
            f"column {column!r} holds fractions, which are no classes: --task quantity, or round them in the table"
        ) from None


def _any_of(table: pa.Table, columns: tuple[str, ...]) -> Target:
    if len(columns) == 1 and _kind(table, columns[0]) == "list":
        values = pc.drop_null(pc.unique(pc.list_flatten(table.column(columns[0]))))
        return Target("labels", columns, tuple(sorted(values.to_pylist())))
    for column in columns:
        if _kind(table, column) != "flag" and not _is_zero_or_one(table, column):
            raise ConfigError(
                f"column {column!r} is no label: labels are a column of lists, or columns of 0 and 1 (--target A,B)"
            )
    return Target("labels", columns, columns)


def _numbers(table: pa.Table, columns: tuple[str, ...]) -> Target:
    for column in columns:
        if _kind(table, column) in {"list", "text"}:
            kind = table.schema.field(column).type
            raise ConfigError(
                f"column {column!r} holds {kind}, which is no quantity; leave --task to the column's type"
            )
    return Target("quantity", columns)
