"""Where the time goes: a snapshot of a loader's counters, and what it means in words."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from rowlock.advice import advise
from rowlock.jobs import MemoryUse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowlock.meter import Meter

__all__ = ["InputStats", "LoaderStats", "MemoryUse", "Recorder"]


@dataclass(frozen=True)
class InputStats:
    """What one input cost, over all threads.

    Attributes
    ----------
    read_seconds : float
        Thread time in which files were read, or disks told what to read.
    decode_seconds : float
        Thread time in which pictures were decoded and resized.
    gather_seconds : float
        All other thread time: rows found, copied, checked.
    read_bytes : int
        Bytes taken from files; of a store, its average row's bytes on disk, wherever they were cached.
    num_retries : int
        Reads that failed for a moment and were repeated.
    transform_seconds : float
        Thread time in which pictures were augmented.
    num_cache_hits, num_cache_misses, num_cache_rejected : int
        With a cache of pictures: rows that it delivered, rows that were decoded, and those of the latter whose entry
        was damaged.
    """

    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    gather_seconds: float = 0.0
    read_bytes: int = 0
    num_retries: int = 0
    transform_seconds: float = 0.0
    num_cache_hits: int = 0
    num_cache_misses: int = 0
    num_cache_rejected: int = 0

    @property
    def seconds(self) -> float:
        """Thread time in all."""
        return sum(self.stages.values())

    @property
    def stages(self) -> dict[str, float]:
        """Seconds under the name of the stage."""
        return {
            "read": self.read_seconds,
            "decode": self.decode_seconds,
            "transform": self.transform_seconds,
            "gather": self.gather_seconds,
        }

    def __sub__(self, earlier: InputStats) -> InputStats:
        return InputStats(*(getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)))

    def __str__(self) -> str:
        parts = [f"{name} {seconds:.2f} s" for name, seconds in self.stages.items() if seconds >= 0.005]
        num_cached = self.num_cache_hits + self.num_cache_misses
        cache = f", {self.num_cache_hits:,} of {num_cached:,} from the cache" if num_cached else ""
        rejected = f" ({self.num_cache_rejected:,} damaged entries)" if self.num_cache_rejected else ""
        retries = f", {self.num_retries} retries" if self.num_retries else ""
        return ", ".join(parts or ["0 s"]) + cache + rejected + retries


@dataclass(frozen=True)
class LoaderStats:
    """What a loader did since it was made; the difference of two of them is what it did in between.

    Attributes
    ----------
    num_batches, num_rows : int
        Delivered to the consumer.
    elapsed_seconds : float
        From asking for an epoch's first batch until its last one was used, summed over epochs. Of an epoch that was
        given up, until the last delivery.
    wait_seconds : float
        The part of it in which the consumer waited for a batch. JAX computes on while it asks for the next
        batch, so there it is more than was lost.
    startup_seconds : float
        The part of that which went into the very first batch: files are opened, compiled code is loaded.
    inputs : dict of str to InputStats
        What each input, target and weight cost, under its name.
    startup_inputs : dict of str to InputStats
        The part of that which the very first batch cost.
    num_threads : int
        Of the engine.
    memory : MemoryUse
        Bytes that the batches of all loaders of the engine take: the budget, in flight now, the peak, and what is
        kept free for the threads' own needs.
    """

    num_batches: int
    num_rows: int
    elapsed_seconds: float
    wait_seconds: float
    startup_seconds: float
    inputs: dict[str, InputStats]
    startup_inputs: dict[str, InputStats]
    num_threads: int
    memory: MemoryUse

    @property
    def rows_per_second(self) -> float:
        """Rows delivered a second, the consumer's own time included."""
        return self.num_rows / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def wait_share(self) -> float:
        """Share of the time in which the consumer waited, 0 to 1."""
        return self.wait_seconds / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def advice(self) -> str:
        """One sentence: what limits the rate once the loader runs, and what would help."""
        running = _difference(self.inputs, self.startup_inputs)
        seconds = {(name, stage): spent for name, costs in running.items() for stage, spent in costs.stages.items()}
        elapsed, wait = self.elapsed_seconds - self.startup_seconds, self.wait_seconds - self.startup_seconds
        share = (self.memory.peak_bytes + self.memory.scratch_bytes) / self.memory.budget_bytes
        return advise(seconds, elapsed, wait / elapsed if elapsed else 0.0, self.num_threads, self.num_batches, share)

    def __sub__(self, earlier: LoaderStats) -> LoaderStats:
        return LoaderStats(
            self.num_batches - earlier.num_batches,
            self.num_rows - earlier.num_rows,
            self.elapsed_seconds - earlier.elapsed_seconds,
            self.wait_seconds - earlier.wait_seconds,
            self.startup_seconds - earlier.startup_seconds,
            _difference(self.inputs, earlier.inputs),
            _difference(self.startup_inputs, earlier.startup_inputs),
            self.num_threads,
            self.memory,
        )

    def __str__(self) -> str:
        inputs = "; ".join(f"{name}: {costs}" for name, costs in self.inputs.items() if costs.seconds >= 0.005)
        first = f" ({self.startup_seconds:.2f} s for the first batch)" if self.startup_seconds >= 0.005 else ""
        return (
            f"{self.num_rows:,} rows in {self.elapsed_seconds:.2f} s ({self.rows_per_second:,.0f} rows/s),"
            f" waited for data {self.wait_share:.0%}{first}; {inputs + '; ' if inputs else ''}{self.advice}"
        )


def _difference(later: dict[str, InputStats], earlier: dict[str, InputStats]) -> dict[str, InputStats]:
    return {name: costs - earlier.get(name, InputStats()) for name, costs in later.items()}


class _InputRecord:
    """The counters behind an `InputStats`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.stages: defaultdict[str, float] = defaultdict(float)
        self.read_bytes = 0
        self.num_retries = 0
        self.num_cache_hits = 0
        self.num_cache_misses = 0
        self.num_cache_rejected = 0

    def add(self, meter: Meter) -> None:
        self.seconds += meter.seconds
        for name, seconds in meter.stages.items():
            self.stages[name] += seconds
        self.read_bytes += meter.read_bytes
        self.num_retries += meter.num_retries
        self.num_cache_hits += meter.num_cache_hits
        self.num_cache_misses += meter.num_cache_misses
        self.num_cache_rejected += meter.num_cache_rejected

    def snapshot(self) -> InputStats:
        read, decode, transform = (self.stages.get(name, 0.0) for name in ("read", "decode", "transform"))
        return InputStats(
            read_seconds=read,
            decode_seconds=decode,
            gather_seconds=max(0.0, self.seconds - read - decode - transform),
            read_bytes=self.read_bytes,
            num_retries=self.num_retries,
            transform_seconds=transform,
            num_cache_hits=self.num_cache_hits,
            num_cache_misses=self.num_cache_misses,
            num_cache_rejected=self.num_cache_rejected,
        )


class Recorder:
    """Counts what a loader delivers, and times what its consumer waits for. One consumer; anybody may look."""

    def __init__(self) -> None:
        self._num_batches = 0
        self._num_rows = 0
        self._elapsed_seconds = 0.0
        self._wait_seconds = 0.0
        self._startup_seconds = 0.0
        self._inputs: dict[str, _InputRecord] = {}
        self._startup_inputs: dict[str, InputStats] = {}
        self._asked = 0.0
        self._delivered: float | None = None

    def new_epoch(self) -> None:
        """Leave the time until the first batch is asked for out of the account."""
        self._delivered = None

    def ended(self) -> None:
        """Note that the consumer is done with an epoch's last batch."""
        if self._delivered is not None:
            self._elapsed_seconds += time.perf_counter() - self._delivered
            self._delivered = None

    def asked(self) -> None:
        """Note that the consumer asks for a batch, and is done with the one before."""
        self.ended()
        self._asked = time.perf_counter()

    def failed(self) -> None:
        """Note that the consumer gets an error instead."""
        self._waited()

    def delivered(self, num_rows: int, costs: Iterable[tuple[str, Meter]]) -> None:
        """Note that the consumer gets the batch it asked for."""
        waited = self._waited()
        self._num_batches += num_rows > 0
        self._num_rows += num_rows
        for name, meter in costs:
            self._inputs.setdefault(name, _InputRecord()).add(meter)
        if not self._startup_seconds:
            self._startup_seconds = waited
            self._startup_inputs = self._snapshot_of_inputs()

    def snapshot(self, num_threads: int, memory: MemoryUse) -> LoaderStats:
        """Return the counters as they are now."""
        return LoaderStats(
            self._num_batches,
            self._num_rows,
            self._elapsed_seconds,
            self._wait_seconds,
            self._startup_seconds,
            self._snapshot_of_inputs(),
            self._startup_inputs,
            num_threads,
            memory,
        )

    def _waited(self) -> float:
        now = time.perf_counter()
        waited, self._asked = now - self._asked, now
        self._wait_seconds += waited
        self._elapsed_seconds += waited
        self._delivered = now
        return waited

    def _snapshot_of_inputs(self) -> dict[str, InputStats]:
        return {name: record.snapshot() for name, record in self._inputs.copy().items()}
