"""When: threads, ordering, the memory budget, cancellation. Knows neither rows nor bytes.

Separation of concerns: `Engine` is what a user holds and configures. `Pool` is what the threads hold: a queue
of tasks and a condition. `Stream` is one consumer's ordered window of jobs. Threads never hold a stream or an
engine, so both can be forgotten; a finaliser takes their tasks out of the queue.
"""

from __future__ import annotations

import atexit
import itertools
import os
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from rowlock.arguments import whole_number
from rowlock.jobs import Entry, Job, MemoryUse
from rowlock.memory import memory_limit_bytes, parse_bytes
from rowlock.pool import Pool
from rowlock.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Engine", "Stream", "default_engine"]

MOST_THREADS = 1024
"""More than any machine makes use of, and less than what a user may have."""

JobT = TypeVar("JobT", bound=Job[Any])


class Engine:
    """How fast batches are made: threads, how far ahead, and how much memory.

    An engine may serve any number of loaders at once; they share its threads and its memory budget. What is
    delivered does not depend on it.

    Parameters
    ----------
    num_threads : int, optional
        Threads that read and decode, at most 1,024; by default one a processor that this process may use.
    prefetch : int
        Batches that each loader prepares ahead; 0: each batch is begun when it is asked for.
    memory_budget : int or str, optional
        Bytes, or a text such as ``"2GiB"``: most memory that batches in the making, finished batches that wait
        for their consumer, and what threads need beside them (decoded pictures before they are resized) may take
        together. A loader's next batch is always made, also where the rest leaves no room; one that is larger than
        the budget by itself is refused by `Dataset.batches`. By default a quarter of the process's limit.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    def __init__(
        self, *, num_threads: int | None = None, prefetch: int = 4, memory_budget: int | str | None = None
    ) -> None:
        self.num_threads = (
            num_processors() if num_threads is None else whole_number("num_threads", num_threads, 1, MOST_THREADS)
        )
        self.prefetch = whole_number("prefetch", prefetch, 0)
        self.memory_budget = memory_limit_bytes() // 4 if memory_budget is None else parse_bytes(memory_budget)
        self._pool = Pool(self.num_threads, self.memory_budget)
        self._finalizer = weakref.finalize(self, self._pool.close_later)

    def __repr__(self) -> str:
        return f"Engine(num_threads={self.num_threads}, prefetch={self.prefetch}, memory_budget={self.memory_budget})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._pool.is_closed

    def memory(self) -> MemoryUse:
        """Return what the batches of all loaders take now, and the most they ever took, in bytes."""
        return self._pool.memory()

    def stream(self, make_job: Callable[[int], JobT]) -> Stream[JobT]:
        """Return a stream of the jobs ``make_job(0)``, ``make_job(1)``, ..., prepared ahead."""
        return Stream(self._pool, make_job, self.prefetch)

    def check_alive(self) -> None:
        """Raise `LoaderClosedError` if the threads are gone: closed, or left behind in the parent of a fork."""
        self._pool.check_alive()

    def refuse_larger_than_budget(self, num_bytes: int) -> None:
        """Raise `ConfigError` if a batch of so many bytes is more than the memory budget."""
        self._pool.refuse_larger_than_budget(num_bytes)

    def close(self) -> None:
        """End the threads; loaders that still use this engine raise `LoaderClosedError`. May be called again."""
        self._pool.close()


class Stream(Generic[JobT]):
    """Jobs by number, prepared ahead by the pool's threads.

    Not for several consumers at once; closing it is allowed from anywhere.
    """

    def __init__(self, pool: Pool, make_job: Callable[[int], JobT], prefetch: int) -> None:
        self._pool = pool
        self._make_job = make_job
        self._prefetch = prefetch
        self._window: deque[Entry[JobT]] = deque()
        self._held_back: Entry[JobT] | None = None  # the next job, where the budget did not allow it yet
        self._token = pool.open_stream()
        self._finalizer = weakref.finalize(self, pool.close_stream_later, self._token)

    def take(self, number: int) -> JobT:
        """Wait for a job and return it done; the jobs after it are begun.

        Asking for the numbers in their order is fast. Any other number, also the same again after an error,
        begins anew there: nothing is lost or shifted, whatever happened before.

        Raises
        ------
        Exception
            What the job's first failed piece raised.
        """
        self._pool.check_alive()
        window = self._window
        if window and window[0].number != number:
            self._begin_anew()
        if not window:
            self._submit(number, must=True)
        self._fill_ahead(number)
        entry = window[0]
        self._pool.wait(entry)
        error = entry.first_error()
        if error is not None:
            self._begin_anew()
            raise error
        window.popleft()
        self._pool.delivered(entry)
        self._fill_ahead(number + 1)
        job: JobT = entry.job
        return job

    def done(self, number: int, num_jobs: int) -> list[JobT]:
        """Return the jobs from `number` on that are done, up to the first that is not; they stay to be taken."""
        found: list[JobT] = []
        for entry in itertools.islice(self._window, num_jobs):
            if entry.number != number + len(found) or not entry.is_done or entry.errors:
                break
            found.append(entry.job)
        return found

    def close(self) -> None:
        """Forget what was prepared; may be called again, also from finalisers and signal handlers."""
        self._finalizer()

    def _fill_ahead(self, first: int) -> None:
        """Begin jobs until `prefetch` are on their way. What fails before its turn is tried again in its turn."""
        while len(self._window) < self._prefetch:
            try:
                if not self._submit(first + len(self._window), must=not self._window):
                    return
            except Exception:  # noqa: BLE001 - it is raised where the job is asked for
                return

    def _submit(self, number: int, *, must: bool) -> bool:
        entry = self._held_back
        self._held_back = None
        if entry is None or entry.number != number:
            entry = Entry(self._make_job(number), number, self._token)
        if not self._pool.submit(entry, must=must, announce=self._prefetch > 0):
            self._held_back = entry
            return False
        self._window.append(entry)
        return True

    def _begin_anew(self) -> None:
        self._window.clear()
        self._held_back = None
        self._pool.forget(self._token)


_default: Engine | None = None
_default_process = 0


def default_engine() -> Engine:
    """Return the engine that serves every loader that names none; one a process."""
    global _default, _default_process
    if _default is None or _default_process != os.getpid() or _default.is_closed:
        _default, _default_process = Engine(), os.getpid()
    return _default


@atexit.register
def _close_default() -> None:
    if _default is not None and _default_process == os.getpid():
        _default.close()
