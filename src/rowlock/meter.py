"""What a piece of work costs: seconds by stage, bytes, retries; noted where it happens, summed by whoever asked.

Separation of concerns: readers say what they do (``with stage("decode"): ...``), without knowing who listens.
Whoever runs them listens with a `Meter`, in the same thread. Where nobody listens, nothing is noted.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Meter", "note_cache", "note_read", "note_retry", "note_scratch", "stage"]


class _Listening(threading.local):
    meter: Meter | None = None


_listening = _Listening()


class Meter:
    """Costs of what this thread does inside the ``with`` block.

    Attributes
    ----------
    seconds : float
        In all.
    stages : dict of str to float
        Seconds of it that readers attributed to a stage: ``"read"``, ``"decode"``, ...
    read_bytes : int
        Taken from files.
    num_retries : int
        Reads that failed for a moment and were repeated.
    num_cache_hits, num_cache_misses, num_cache_rejected : int
        Rows that a cache delivered, those that it did not, and those of the latter whose entry was damaged.
    scratch_bytes : int
        Most memory that was used at a time beside the result.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.stages: dict[str, float] = {}
        self.read_bytes = 0
        self.num_retries = 0
        self.num_cache_hits = 0
        self.num_cache_misses = 0
        self.num_cache_rejected = 0
        self.scratch_bytes = 0

    def __enter__(self) -> Self:
        self._outer = _listening.meter
        _listening.meter = self
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.perf_counter() - self._started
        _listening.meter = self._outer


class stage:  # noqa: N801 - reads as a statement: with stage("decode"): ...
    """Attribute the time of the ``with`` block to a stage; stages do not nest."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        meter = _listening.meter
        if meter is not None:
            seconds = time.perf_counter() - self._started
            meter.stages[self._name] = meter.stages.get(self._name, 0.0) + seconds


def note_read(num_bytes: int) -> None:
    """Note bytes that were taken from files."""
    meter = _listening.meter
    if meter is not None:
        meter.read_bytes += num_bytes


def note_retry() -> None:
    """Note a read that failed for a moment and is repeated."""
    meter = _listening.meter
    if meter is not None:
        meter.num_retries += 1


def note_cache(*, num_hits: int = 0, num_misses: int = 0, num_rejected: int = 0) -> None:
    """Note what became of rows that were looked for in a cache; rejected entries are misses besides."""
    meter = _listening.meter
    if meter is not None:
        meter.num_cache_hits += num_hits
        meter.num_cache_misses += num_misses
        meter.num_cache_rejected += num_rejected


def note_scratch(num_bytes: int) -> None:
    """Note memory that is used at a time beside the result."""
    meter = _listening.meter
    if meter is not None:
        meter.scratch_bytes = max(meter.scratch_bytes, num_bytes)
