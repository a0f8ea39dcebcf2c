"""Where the time goes: a snapshot of a loader's counters."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LoaderStats", "Recorder"]


@dataclass(frozen=True)
class LoaderStats:
    """What a loader did since it was made.

    Attributes
    ----------
    num_batches, num_rows : int
        Delivered to the consumer.
    elapsed_seconds : float
        From asking for an epoch's first batch to the delivery of its last, summed over epochs.
    wait_seconds : float
        The part of it in which the consumer waited for a batch. JAX computes on while it asks for the next
        batch, so there it is more than was lost.
    gather_seconds : dict of str to float
        Thread time spent on each input, under its name.
    """

    num_batches: int
    num_rows: int
    elapsed_seconds: float
    wait_seconds: float
    gather_seconds: dict[str, float]

    @property
    def rows_per_second(self) -> float:
        """Rows delivered a second, the consumer's own time included."""
        return self.num_rows / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time in which the consumer waited, 0 to 1."""
        return self.wait_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    def __str__(self) -> str:
        inputs = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in self.gather_seconds.items())
        return (
            f"{self.num_rows:,} rows in {self.elapsed_seconds:.2f} s ({self.rows_per_second:,.0f} rows/s);"
            f" waited for data {self.wait_share:.0%}; thread time: {inputs}"
        )


class Recorder:
    """Counts what a loader delivers, and times what its consumer waits for."""

    def __init__(self) -> None:
        self._num_batches = 0
        self._num_rows = 0
        self._elapsed_seconds = 0.0
        self._wait_seconds = 0.0
        self._gather_seconds: defaultdict[str, float] = defaultdict(float)
        self._asked = 0.0
        self._delivered: float | None = None

    def new_epoch(self) -> None:
        """Leave the time until the first batch is asked for out of the account."""
        self._delivered = None

    def asked(self) -> None:
        """Note that the consumer asks for a batch."""
        self._asked = time.perf_counter()

    def delivered(self, num_rows: int, timings: Iterable[tuple[str, float]]) -> None:
        """Note that the consumer gets the batch it asked for."""
        now = time.perf_counter()
        self._num_batches += num_rows > 0
        self._num_rows += num_rows
        self._wait_seconds += now - self._asked
        self._elapsed_seconds += now - (self._asked if self._delivered is None else self._delivered)
        self._delivered = now
        for name, seconds in timings:
            self._gather_seconds[name] += seconds

    def snapshot(self) -> LoaderStats:
        """Return the counters as they are now."""
        return LoaderStats(
            self._num_batches,
            self._num_rows,
            self._elapsed_seconds,
            self._wait_seconds,
            dict(self._gather_seconds),
        )
