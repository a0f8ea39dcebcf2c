"""How fast batches can be made on this machine, and how much memory they take, measured on a sample."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rowlock.checking.report import Estimate
from rowlock.engine import Engine
from rowlock.errors import RowlockError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.dataset import Dataset

__all__ = ["estimate"]

_BATCH_ROWS = 64
_MOST_BAD = 0.1


def estimate(dataset: Dataset, seconds: float) -> Estimate | None:
    """Read shuffled batches for about that long; bad rows are masked, since others count those.

    Returns
    -------
    Estimate or None
        None where no batch can be made, or where many rows of them are bad.
    """
    loader = None
    try:
        with Engine() as engine:
            batch_rows = min(_BATCH_ROWS, len(dataset))
            loader = dataset.batches(batch_rows, on_error="mask", max_bad=1.0, augment=False, engine=engine)
            for _ in _for_seconds(loader, seconds):
                pass
            stats, num_bad = loader.stats(), len(loader.bad_rows)
    except (RowlockError, OSError):
        return None
    finally:
        if loader is not None:
            loader.close()
    if num_bad > _MOST_BAD * min(stats.num_rows, len(dataset)):  # the rate of rows that are not there says nothing
        return None
    running = stats.elapsed_seconds - stats.startup_seconds
    num_rows = stats.num_rows - batch_rows
    if num_rows <= 0 or running <= 0:  # one batch was all
        num_rows, running = stats.num_rows, stats.elapsed_seconds
    if not num_rows or not running:
        return None
    rate = num_rows / running
    return Estimate(
        rows_per_second=rate,
        epoch_seconds=len(dataset) / rate,
        memory_bytes=stats.memory.peak_bytes + stats.memory.scratch_bytes,
        num_rows=stats.num_rows,
        num_threads=stats.num_threads,
        advice=stats.advice,
    )


def _for_seconds(loader: Any, seconds: float) -> Iterator[Any]:
    """Yield batches of as many epochs as fit, at least two batches where there are so many."""
    stop, given = time.perf_counter() + seconds, 0
    while True:
        for batch in loader:
            yield batch
            given += 1
            if time.perf_counter() > stop and given > 1:
                return
        if time.perf_counter() > stop and given > 1:
            return
