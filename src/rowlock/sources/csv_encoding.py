"""CSV files in another encoding than UTF-8: where that shows, and what to do; nothing in them is damaged."""

from __future__ import annotations

import csv
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from rowlock.errors import SourceError
from rowlock.sources.base import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["reading_csv"]


class _Place(NamedTuple):
    line: int
    column: str | None
    text: str


@contextmanager
def reading_csv(path: Path) -> Iterator[None]:
    """Do as `reading` does, and say of a file in another encoding where it is in it.

    Raises
    ------
    SourceError
    """
    try:
        with reading(str(path)):
            yield
    except SourceError as error:
        place = _first_other(path) if "utf8" in str(error).lower().replace("-", "") else None
        if place is None:
            raise
        where = f"line {place.line:,}" + ("" if place.column is None else f", column {place.column!r}")
        raise SourceError(
            f"{path} is not written in UTF-8: {where} ({place.text!r}, if that is Latin-1). Nothing in it is damaged;"
            " save it as UTF-8, as spreadsheets and editors offer, or:"
            f" pandas.read_csv({str(path)!r}, dtype=str, encoding='cp1252').to_csv('utf8.csv', index=False)"
        ) from error


def _first_other(path: Path) -> _Place | None:
    """Return the first field that is not UTF-8."""
    import pyarrow as pa

    names: list[bytes] = []
    with reading(str(path)), pa.input_stream(str(path), compression="detect") as stream:
        for number, line in enumerate(io.BufferedReader(stream), 1):
            names = names or _fields(line)
            try:
                line.decode()
            except UnicodeDecodeError:
                return _place(number, line, names)
    return None


def _place(number: int, line: bytes, names: list[bytes]) -> _Place:
    fields = _fields(line)
    place = next((place for place, field in enumerate(fields) if not _is_utf8(field)), 0)
    text = (fields[place] if fields else line)[:40].decode("latin-1")
    column = names[place].decode("utf-8-sig", "replace") if number > 1 and place < len(names) else None
    return _Place(number, column, text)


def _fields(line: bytes) -> list[bytes]:
    """Return the fields of a line, as bytes; none where it is none of CSV."""
    try:
        return [field.encode("latin-1") for field in next(csv.reader([line.decode("latin-1").rstrip("\r\n")]), [])]
    except csv.Error:
        return []


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
