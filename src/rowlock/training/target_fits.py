"""Whether the target of a table is what a model says: every row has one, and its classes are the model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rowlock.training.targets import rows_without_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.training.targets import Target

__all__ = ["target_differences"]

_SHOWN: Final = 3


def target_differences(target: Target, table: pa.Table) -> Iterator[str]:
    """Yield in words what of a table's target, whose columns are there, cannot be compared with a model's answers."""
    lacking = int(rows_without_target(table, target.columns).sum())
    if lacking:
        yield f"{lacking:,} row(s) have no target in {target.name!r}: leave them out"
    if target.task == "classes":
        yield from _classes(table.column(target.columns[0]), target)
    elif target.are_flags:
        for column in target.columns:
            yield from _strange(_plain(table.column(column)), column, (0, 1), "yes or no")
    elif target.task == "labels":
        yield from _labels(table.column(target.columns[0]), target)
    else:
        for column in target.columns:
            yield from _no_number(table.schema.field(column).type, column)


def _classes(column: Any, target: Target) -> Iterator[str]:
    name = target.columns[0]
    if pa.types.is_nested(column.type):
        yield f"the target {name!r} held classes, and holds {column.type}"
        return
    yield from _strange(_plain(column), name, target.classes, "class")


def _labels(column: Any, target: Target) -> Iterator[str]:
    name = target.columns[0]
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
            or pa.types.is_fixed_size_list(column.type)):  # fmt: skip
        yield f"the target {name!r} held lists of labels, and holds {column.type}"
        return
    yield from _strange(_plain(pc.list_flatten(column)), name, target.classes, "label")


def _strange(values: Any, name: str, known: tuple[Any, ...], what: str) -> Iterator[str]:
    """Yield what is not among the known values; a missing one is told elsewhere."""
    counts = {one["values"]: one["counts"] for one in pc.value_counts(values).to_pylist()}
    strange = {value: rows for value, rows in counts.items() if value == value and value not in set(known)}  # noqa: PLR0124 - NaN
    if strange:
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        shown = ", ".join(map(repr, list(strange)[:_SHOWN]))
        yield (f"{sum(strange.values()):,} row(s) of the target {name!r} hold {shown}{more}, which is no {what} of the"
               f" run ({', '.join(map(repr, known[:_SHOWN]))}{', ...' if len(known) > _SHOWN else ''})")  # fmt: skip


def _no_number(kind: Any, column: str) -> Iterator[str]:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    if not any(test(kind) for test in tests):
        yield f"the target {column!r} held numbers, and holds {kind}"


def _plain(column: Any) -> Any:
    """Return values without those that are missing, of categories the values themselves."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return pc.drop_null(column)
