"""Work on the rows of a whole table: a block at a time, a few blocks at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from rowlock.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["for_blocks"]

_MOST_THREADS = 4  # each holds the scratch memory of a block


def for_blocks(work: Callable[[int, int], None], num_rows: int, block_rows: int) -> None:
    """Call ``work(start, stop)`` for all blocks of rows; the first error, in the order of blocks, is raised.

    Parameters
    ----------
    work : callable
        Safe from several threads at once; the bulk of it releases the GIL.
    num_rows, block_rows : int
    """
    starts = range(0, num_rows, block_rows)
    num_threads = min(_MOST_THREADS, num_processors(), len(starts))
    if num_threads <= 1:
        for start in starts:
            work(start, min(start + block_rows, num_rows))
        return
    with ThreadPoolExecutor(num_threads, "rowlock-blocks") as pool:
        tasks = [pool.submit(work, start, min(start + block_rows, num_rows)) for start in starts]
        try:
            for task in tasks:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
