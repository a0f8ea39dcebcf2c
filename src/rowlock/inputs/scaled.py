"""Features whose numbers are filled and standardised on their way into the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from typing_extensions import override

from rowlock.errors import ConfigError
from rowlock.inputs.base import Draw, Reader
from rowlock.inputs.scaling import Scaling, ScalingWish
from rowlock.meter import note_scratch, stage
from rowlock.retries import retried
from rowlock.store import ColumnStatistics, ColumnTotals

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import AnyArray, ArraySpec, Int64Array
    from rowlock.inputs.access import AccessCost

__all__ = ["NumberReader", "ScaledReader", "measure_rows", "scaling_of"]

_PIECE_BYTES = 256 << 10  # of rows on their way through float64: they stay in the second-level cache
_MEASURED_BYTES = 8 << 20


class NumberReader(Protocol):
    """What is under a `ScaledReader`: a reader of the stored numbers.

    Attributes
    ----------
    source_dtype : numpy.dtype
        Of the stored numbers.
    column_names : tuple of str, or None
        Of the columns that are taken.
    plain_columns : bool, shape (columns,), optional
        Columns that are delivered as they are.
    """

    spec: ArraySpec
    missing_rows: Int64Array | None
    piece_rows: int | None
    source_dtype: np.dtype[Any]
    column_names: tuple[str, ...] | None

    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        """As in `Reader`; `out` may be of another float dtype than the spec's."""

    def in_stored_order(self, rows: Int64Array) -> Int64Array:
        """Return rows of the table in the order in which they are stored."""

    def extends(self, fingerprint: str) -> bool:
        """As in `Reader`."""

    def will_need(self, rows: Int64Array) -> None:
        """As in `Reader`."""

    def close(self) -> None:
        """As in `Reader`."""

    @property
    def fingerprint(self) -> str:
        """As in `Reader`."""

    @property
    def access_cost(self) -> AccessCost | None:
        """As in `Reader`."""


class ScaledReader(Reader):
    """Reads stored numbers, fills NaN in, and standardises, after everything about the row was checked.

    Parameters
    ----------
    raw : NumberReader
    wish : ScalingWish
        What was asked for.
    statistics : ColumnStatistics or None
        Of the columns that are taken; None: not known yet, if they are needed.
    name : str
        The input's name, for messages.
    measured : bool
        Whether the statistics are of rows that were named by `Dataset.fit_statistics`.
    """

    def __init__(
        self,
        raw: NumberReader,
        wish: ScalingWish,
        statistics: ColumnStatistics | None,
        name: str,
        *,
        measured: bool = False,
    ) -> None:
        self.raw = self._raw = raw
        self._wish = wish
        self._name = name
        self.spec = raw.spec
        self.missing_rows = raw.missing_rows
        self.piece_rows = raw.piece_rows
        self.statistics = statistics
        self.is_measured = measured
        self._num_columns = int(np.prod(raw.spec.shape))
        if statistics and statistics.columns and raw.column_names and statistics.columns != raw.column_names:
            raise ConfigError(f"{name!r}: the statistics are of other columns, or of these in another order")
        fitting = statistics is not None or not wish.needs_statistics
        plain = getattr(raw, "plain_columns", None)
        self._scaling = Scaling.of(wish, statistics, self._num_columns, name, plain=plain) if fitting else None
        cost = raw.access_cost
        self._at_once = cost is not None and cost.piece_rows > 1  # else each part would decode every piece again
        self._in_place = raw.spec.dtype.itemsize > 2 and np.can_cast(raw.source_dtype, raw.spec.dtype, "safe")

    @property
    def wants_rows(self) -> bool:
        """Whether its statistics are to be those of rows that somebody names."""
        return self._wish.needs_statistics and self._wish.statistics == "rows"

    @property
    def column_names(self) -> tuple[str, ...] | None:
        """Of the columns that are taken, where they have names."""
        return self._raw.column_names

    @property
    def meaning(self) -> dict[str, Any]:
        """What is done with the numbers, as `Input.meaning` tells it."""
        told = {} if self._scaling is None else self._scaling.meaning
        return {"standardize": self._wish.standardize} | told

    @property
    def access_cost(self) -> AccessCost | None:
        """As in `Reader`."""
        return self._raw.access_cost

    @property
    def is_ready(self) -> bool:
        """Whether rows can be delivered."""
        return self._scaling is not None

    def measure(self, rows: Int64Array, report: Callable[[int], None]) -> ColumnStatistics:
        """Read rows of the table once, in the order in which they are stored, and return their statistics."""
        raw = self._raw
        ordered = raw.in_stored_order(rows)
        totals = measure_rows(
            lambda part, out: raw.gather(part, out, None),
            ordered, self._num_columns, raw.source_dtype, report, raw.will_need,
        )  # fmt: skip
        return totals.statistics(raw.column_names)

    def fitted(self, statistics: ColumnStatistics) -> ScaledReader:
        """Return a reader of the same rows that uses these statistics of others."""
        return ScaledReader(self._raw, self._wish, statistics, self._name, measured=True)

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        scaling = self._scaling
        if scaling is None:
            raise ConfigError(f"{self._name!r} has no statistics yet: see Dataset.fit_statistics")
        flat = out.reshape(len(rows), self._num_columns)
        if self._in_place:
            self._raw.gather(rows, flat, draw)
            with stage("standardize"):
                scaling.apply(flat)
            return
        piece = len(rows) if self._at_once else min(len(rows), max(1, _PIECE_BYTES // (8 * self._num_columns)))
        exact = np.empty((piece, self._num_columns))
        for start in range(0, len(rows), piece or 1):
            part = rows[start : start + piece]
            numbers = exact[: len(part)]
            self._raw.gather(part, numbers, draw)
            with stage("standardize"):
                scaling.apply(numbers)
            with np.errstate(over="ignore"):  # beyond the dtype's range is infinite, as in every cast of a batch
                np.copyto(flat[start : start + piece], numbers, casting="same_kind")
        note_scratch(exact.nbytes)

    @property
    def fingerprint(self) -> str:
        """That of the stored rows, and the numbers that change them."""
        return f"{self._raw.fingerprint}|{'' if self._scaling is None else self._scaling.digest}"

    def extends(self, fingerprint: str) -> bool:
        """Return whether the stored rows are those, or have rows appended, and are changed alike."""
        stored, _, digest = fingerprint.rpartition("|")
        return self._scaling is not None and digest == self._scaling.digest and self._raw.extends(stored)

    @override
    def will_need(self, rows: Int64Array) -> None:
        self._raw.will_need(rows)

    @override
    def close(self) -> None:
        self._raw.close()


def scaling_of(reader: Reader) -> dict[str, Any]:
    """Return the part of `Input.meaning` that is about filling and standardising."""
    return reader.meaning if isinstance(reader, ScaledReader) else {"standardize": False}


def measure_rows(
    gather: Callable[[Int64Array, AnyArray], None],
    rows: Int64Array,
    num_columns: int,
    dtype: np.dtype[Any],
    report: Callable[[int], None] = lambda _: None,
    will_need: Callable[[Int64Array], None] = lambda _: None,
) -> ColumnTotals:
    """Return the totals of rows, read in the given order in pieces of about 8 MiB.

    Parameters
    ----------
    gather : callable
        Writes given rows into an array.
    rows : int64, shape (n,)
    num_columns : int
    dtype : numpy.dtype
        Of the numbers.
    report : callable
        Is told how many rows are done.
    will_need : callable
        Is told which rows come next.
    """
    totals = ColumnTotals(num_columns)
    size = max(1, _MEASURED_BYTES // (num_columns * dtype.itemsize))
    out = np.empty((min(size, len(rows)), num_columns), dtype)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        will_need(rows[start + size : start + 2 * size])
        retried(gather, part, out[: len(part)])
        totals.add(out[: len(part)])
        report(start + len(part))
    return totals
