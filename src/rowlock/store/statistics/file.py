"""Statistics on disk, kept in step with the commits.

``statistics/columns`` is a float64 array of shape (2, 7, num_columns), one chunk for each first index. Commit n has its
totals in the chunk ``n % 2``, written beside the one that the commit before uses, and their digest in the root: a
writer that dies leaves the last commit's as they were, and nothing has to be written but one file.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import StoreFormatError
from rowlock.store.commit.addresses import shown_path
from rowlock.store.commit.format import ROOT, array_metadata, chunk_name, group_metadata
from rowlock.store.disk.files import sync_folder, write_bytes, write_json
from rowlock.store.disk.mapped import map_file
from rowlock.store.statistics.columns import ColumnTotals

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray
    from rowlock.store.commit.format import Commit
    from rowlock.store.disk.ways import GetFile

__all__ = ["StatisticsWriter", "map_statistics", "statistics_digest", "write_statistics"]

FOLDER = "statistics"
ARRAY = "statistics/columns"
ROWS = ("mean", "sum_of_squared_deviations", "min", "max", "num_zeros", "num_missing", "num_infinite")
"""What the second axis is; the first four are of finite values alone."""

_SHOWN = 3  # columns that a message names
_log = logging.getLogger(__name__)


def map_statistics(path: Path, commit: Commit, get: GetFile = map_file) -> AnyArray | None:
    """Return the totals of a commit, float64, shape (7, num_columns), as `get` has files; None where it has none.

    Raises
    ------
    StoreFormatError
        Their Zarr metadata are not as they were written, or the file was cut off.
    FileNotFoundError
        They are not there (any more).
    """
    if commit.statistics is None:
        return None
    for name, wanted in _metadata(commit.num_columns).items():
        file = path / name / ROOT
        try:
            same = json.loads(file.read_bytes()) == wanted
        except (ValueError, RecursionError):
            same = False
        if not same:
            raise StoreFormatError(f"{file} does not belong to the commit of {path}. Restore it from a copy.")
    num_bytes = 8 * len(ROWS) * commit.num_columns
    words = get(_chunk(path, commit.number), num_bytes, random=False)
    return words.view("<f8").reshape(len(ROWS), commit.num_columns)


def statistics_digest(values: AnyArray) -> str:
    """Return what the root says of totals."""
    return hashlib.blake2b(np.ascontiguousarray(values, "<f8").data, digest_size=16).hexdigest()


def write_statistics(path: Path, values: AnyArray, number: int) -> str:
    """Write the totals of commit `number`, make them durable, and return their digest for the root."""
    for name, content in _metadata(values.shape[1]).items():
        if not (path / name / ROOT).exists():
            (path / name).mkdir(exist_ok=True)
            write_json(path / name / ROOT, content)
            sync_folder(path / name)
            sync_folder((path / name).parent)
    write_bytes(_chunk(path, number), np.ascontiguousarray(values, "<f8"))
    sync_folder(path / ARRAY)
    return statistics_digest(values)


def _chunk(path: Path, number: int) -> Path:
    return path / ARRAY / chunk_name(number % 2, 0, 0)


def _metadata(num_columns: int) -> dict[str, dict[str, Any]]:
    array = array_metadata((2, len(ROWS), num_columns), (1, len(ROWS), num_columns), "float64")
    array["attributes"] = {"rows": list(ROWS), "chunk": "number of the commit modulo 2"}
    return {FOLDER: group_metadata(), ARRAY: array}


class StatisticsWriter:
    """Sums up what a writer adds, and says in one line of log what of it is not finite.

    Parameters
    ----------
    path : Path
        The store.
    commit : Commit
        What is there. If its statistics are not known, those of later commits are not either.
    """

    def __init__(self, path: Path, commit: Commit) -> None:
        self._path = path
        self._columns = commit.columns
        self._totals = self._start(commit)
        self._seen = ColumnTotals(commit.num_columns) if self._totals is None else self._totals
        self._unseen_rows = commit.num_rows - self._seen.num_rows
        self._known = self._gaps()  # not finite, committed before this session
        self._committed = self._known
        self._first_row: int | None = None

    def add(self, block: AnyArray) -> None:
        """Add rows as they are stored."""
        before = self._unseen_rows + self._seen.num_rows
        found = self._seen.add(block)
        if self._first_row is None and found is not None:
            self._first_row = before + found

    def write(self, number: int) -> str | None:
        """Write the statistics of commit `number`; return their digest, or None if they are not known."""
        return None if self._totals is None else write_statistics(self._path, self._totals.values, number)

    def accept(self, number: int) -> None:
        """Go on from commit `number`: the statistics of the one before are not needed any more."""
        _chunk(self._path, number + 1).unlink(missing_ok=True)
        self._committed = self._gaps()

    def report(self) -> None:
        """Log what was committed since the writer was opened and is not finite, if anything."""
        missing, infinite = self._committed - self._known
        columns = np.flatnonzero(missing + infinite)
        if len(columns):
            named = ", ".join(f"{self._name(column)} ({missing[column] + infinite[column]:,.0f})"
                              for column in columns[:_SHOWN])  # fmt: skip
            _log.warning(
                "%s: %s missing values (NaN) and %s infinite ones in %s of %s columns: %s%s; the first in row %s."
                " They are stored as they are; rl.Features(..., fill_missing=) fills NaN in.",
                shown_path(self._path).name, f"{missing.sum():,.0f}", f"{infinite.sum():,.0f}", f"{len(columns):,}",
                f"{len(missing):,}", named, ", ..." if len(columns) > _SHOWN else "", self._first_row,
            )  # fmt: skip
        self._known = self._committed

    def _start(self, commit: Commit) -> ColumnTotals | None:
        if commit.num_rows == 0:
            return ColumnTotals(commit.num_columns)
        values = map_statistics(self._path, commit)
        if values is None:
            return None
        if statistics_digest(values) != commit.statistics:
            _log.warning("%s: its statistics are damaged and left out from now on; store.update_statistics() makes"
                         " them anew.", self._path)  # fmt: skip
            return None
        return ColumnTotals(commit.num_columns, values, commit.num_rows)

    def _gaps(self) -> AnyArray:
        return self._seen.values[-2:].copy()

    def _name(self, column: int) -> str:
        return f"column {column}" if self._columns is None else repr(self._columns[column])
