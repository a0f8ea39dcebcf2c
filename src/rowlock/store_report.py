"""What the command line says of a store: rows, layout and why, keys, columns, sizes, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal

from rowlock.errors import StoreCorruptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.store import FeatureStore

__all__ = ["packed_lines", "store_lines"]

Lines = list[tuple[str, str]]
_SHOWN = 4  # names of columns; of more, the first and the last


def packed_lines(store: FeatureStore, seconds: float) -> Lines:
    """Return what was packed and how fast, as pairs (label, text)."""
    rate = f"{store.num_rows / seconds:,.0f} rows/s, {decimal(int(_number_bytes(store) / seconds))}/s"
    return [*_shape_lines(store), ("time", f"{seconds:.1f} s: {rate}")]


def store_lines(store: FeatureStore) -> Lines:
    """Return everything worth knowing about a store, as pairs (label, text)."""
    return [*_shape_lines(store), ("statistics", _statistics(store)), ("identity", store.uuid)]


def _shape_lines(store: FeatureStore) -> Lines:
    kind = f"{store.key_kind}, called {store.key_name!r}" if store.key_name else f"{store.key_kind}, without a name"
    files = (file.stat() for file in store.path.rglob("*") if file.is_file())
    on_disk = sum(facts.st_blocks * 512 for facts in files)
    return [
        ("store", str(store.path)),
        ("rows", f"{_counted(store.num_rows, 'row')} x {_counted(store.num_columns, 'column')}, {store.dtype}"),
        (
            "layout",
            f"{store.layout}: {store.layout_reason}" if store.layout_reason else f"{store.layout}, as asked for",
        ),
        ("keys", kind if store.key_kind else "no keys: joined by row number"),
        ("columns", _names(store.columns)),
        ("size", f"{decimal(on_disk)} on disk, {decimal(_number_bytes(store))} of numbers"),
    ]


def _number_bytes(store: FeatureStore) -> int:
    return store.num_rows * store.num_columns * store.dtype.itemsize


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _names(columns: Sequence[str] | None) -> str:
    if columns is None:
        return "without names"
    if len(columns) <= _SHOWN:
        return ", ".join(columns)
    return f"{columns[0]}, {columns[1]}, ... {columns[-1]}"


def _statistics(store: FeatureStore) -> str:
    try:
        found = store.statistics
    except StoreCorruptError:
        return "damaged; the rows are not affected. store.update_statistics() makes them anew"
    if found is None:
        return "not known; store.update_statistics() makes them"
    missing, infinite = int(found.num_missing.sum()), int(found.num_infinite.sum())
    return f"of all rows; {missing:,} values missing (NaN), {infinite:,} infinite"
