"""The header line of a CSV file: what would be misread without a word is refused with what to do instead."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from rowlock.errors import ConfigError
from rowlock.sources.base import reading

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["column_names", "require_header"]

_HEAD_BYTES = 1 << 20  # of a longer header, what is read is judged
_SEPARATORS = {";": "';'", "\t": "a tab"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SURELY_COUNTED = 4  # names 0, 1, 2, 3, ... are what pandas calls columns without names; no row of data counts so far


def require_header(path: Path, key: str | None, columns: Sequence[str | int] | None, *, is_table: bool = False) -> None:
    """Refuse a header that is none, or whose columns are not separated by commas or have no names.

    Parameters
    ----------
    path : Path
    key, columns
        As the user gave them: who names columns knows that they are names.
    is_table : bool
        It is read as a table and not as features: other things help then. Its first column needs no name: pandas writes
        an index so, and nobody takes it for data.

    Raises
    ------
    ConfigError
        Says what to do.
    """
    names = column_names(path)
    for separator, called in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise ConfigError(
                f"{path} has one column, {names[0][:60]!r}: is it separated by {called}? Only commas are read here;"
                f" {_cure(path, separator, is_table=is_table)}"
            )
    if columns is not None:
        return
    if names and all(map(_NUMBER.fullmatch, names)) and not _counts(names):
        raise ConfigError(
            f"{path} has no header: its first line is all numbers, {', '.join(names[:4])}. Add a line of names"
            + (
                "."
                if is_table
                else "; or use pandas.read_csv(header=None) and give the frame. If these are names, choose columns with"
                " columns= (--columns)."
            )
        )
    unnamed = next(
        (place for place, name in enumerate(names, 1) if not name and name != key and place > is_table), None
    )
    if unnamed is not None:
        why = " (pandas writes its index so)" if unnamed == 1 else ""
        cure = "give it one" if is_table else "choose columns with --columns / columns=, or give it one"
        raise ConfigError(f"{path}: column {unnamed} has no name{why}: {cure}")


def _cure(path: Path, separator: str, *, is_table: bool) -> str:
    if not is_table:
        return (
            f"use pandas.read_csv(sep={separator!r}) (and decimal=',' where numbers are written so) and give the"
            " frame to rl.pack."
        )
    return (
        "write it with commas and decimal points, or as Parquet:"
        f" pandas.read_csv({str(path)!r}, sep={separator!r}, dtype=str).to_csv('commas.csv', index=False)"
    )


def _counts(names: list[str]) -> bool:
    return len(names) >= _SURELY_COUNTED and names == [str(place) for place in range(len(names))]


def column_names(path: Path) -> list[str]:
    """Return the names of the columns: the fields of the first line that is not empty."""
    with reading(str(path)):
        import pyarrow as pa

        with pa.input_stream(str(path), compression="detect") as stream:
            text = stream.read(_HEAD_BYTES).decode("utf-8-sig", "replace")
        try:
            return next((fields for fields in csv.reader(io.StringIO(text, newline="")) if fields), [])
        except csv.Error:  # the reader of the whole file says best what is wrong
            return []
