"""When: threads, ordering, the memory budget, cancellation. Knows neither rows nor bytes.

Separation of concerns: `Engine` is what a user holds and configures. `_Pool` is what the threads hold: a queue
of tasks and a condition. `Stream` is one consumer's ordered window of jobs. Threads never hold a stream or an
engine, so both can be forgotten; a finaliser takes their tasks out of the queue.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from rowlock.errors import ConfigError, ForkedLoaderError, LoaderClosedError
from rowlock.memory import memory_limit_bytes, parse_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Engine", "Job", "Stream", "default_engine"]

CLOSE_SECONDS = 2.0
"""How long closing waits for threads; what hangs longer is left behind, as daemons."""

_HINT = -1
"""In the place of a piece's number: tell disks what the job will read."""

Part = TypeVar("Part")


class Job(Protocol[Part]):
    """Work that is cut into parts, which may run in any order and at the same time."""

    @property
    def num_bytes(self) -> int:
        """Memory that the result takes."""

    def will_need(self) -> None:
        """Tell disks what the parts will read; called soon after queueing, where other jobs are done first."""

    def pieces(self) -> Iterable[Part]:
        """Allocate the result and return the parts; called once."""

    def run(self, piece: Part, /) -> None:
        """Do one part."""


JobT = TypeVar("JobT", bound=Job[Any])


class Engine:
    """How fast batches are made: threads, how far ahead, and how much memory.

    An engine may serve any number of loaders at once; they share its threads and its memory budget. What is
    delivered does not depend on it.

    Parameters
    ----------
    num_threads : int, optional
        Threads that read and decode; by default one a processor that this process may use.
    prefetch : int
        Batches that each loader prepares ahead; 0: each batch is begun when it is asked for.
    memory_budget : int or str, optional
        Bytes, or a text such as ``"2GiB"``: most memory that batches in the making and finished batches that
        wait for their consumer may take together. By default a quarter of the process's limit.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    def __init__(
        self, *, num_threads: int | None = None, prefetch: int = 4, memory_budget: int | str | None = None
    ) -> None:
        for name, value, least in (("num_threads", num_threads, 1), ("prefetch", prefetch, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigError(f"{name} must be an integer of at least {least}, not {value!r}")
        self.num_threads = num_threads or _num_processors()
        self.prefetch = prefetch
        self.memory_budget = memory_limit_bytes() // 4 if memory_budget is None else parse_bytes(memory_budget)
        self._pool = _Pool(self.num_threads, self.memory_budget)
        self._finalizer = weakref.finalize(self, self._pool.close, wait=False)

    def __repr__(self) -> str:
        return f"Engine(num_threads={self.num_threads}, prefetch={self.prefetch}, memory_budget={self.memory_budget})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stream(self, make_job: Callable[[int], JobT], first: int) -> Stream[JobT]:
        """Return the jobs ``make_job(first)``, ``make_job(first + 1)``, ... as they are done, in this order."""
        return Stream(self._pool, make_job, first, self.prefetch)

    def close(self) -> None:
        """End the threads; loaders that still use this engine raise `LoaderClosedError`. May be called again."""
        self._pool.close(wait=True)


class Stream(Generic[JobT]):
    """Jobs in order, prepared ahead by the pool's threads.

    Not for several consumers at once.
    """

    def __init__(self, pool: _Pool, make_job: Callable[[int], JobT], first: int, prefetch: int) -> None:
        self._pool = pool
        self._make_job = make_job
        self._next = first
        self._prefetch = prefetch
        self._window: deque[_Entry[JobT]] = deque()
        self._held_back: _Entry[JobT] | None = None  # the next job, where the budget did not allow it yet
        self._token = pool.open_stream()
        self._finalizer = weakref.finalize(self, pool.close_stream, self._token)
        self.num_waits = 0

    def take(self) -> JobT:
        """Wait for the next job and return it done.

        Raises
        ------
        Exception
            What the job's first failed piece raised. Asking again begins with the same job.
        """
        self._pool.check_alive()
        self._fill(1)
        entry = self._window[0]
        self.num_waits += not entry.is_done
        self._pool.wait(entry)
        error = entry.first_error()
        if error is not None:
            self._restart()
            raise error
        self._window.popleft()
        self._pool.delivered(entry)
        self._fill(self._prefetch)
        return entry.job

    def close(self) -> None:
        """Forget what was prepared; may be called again."""
        self._finalizer()
        self._window.clear()

    def _fill(self, wanted: int) -> None:
        while len(self._window) < wanted:
            entry = self._held_back or _Entry(self._make_job(self._next), self._token)
            self._held_back = None
            if not self._pool.submit(entry, must=not self._window):
                self._held_back = entry
                return
            self._window.append(entry)
            self._next += 1

    def _restart(self) -> None:
        self._next -= len(self._window)
        self._window.clear()
        self._held_back = None
        self._pool.forget(self._token)


class _Entry(Generic[JobT]):
    """A job on its way through the pool."""

    def __init__(self, job: JobT, token: int) -> None:
        self.job = job
        self.token = token
        self.num_bytes = job.num_bytes
        self.pieces: list[Any] = []
        self.num_left = -1
        self.errors: dict[int, BaseException] = {}

    def begin(self) -> None:
        """Cut the job: from here on it takes memory."""
        self.pieces = list(self.job.pieces())
        self.num_left = len(self.pieces)

    @property
    def is_done(self) -> bool:
        return self.num_left == 0

    def first_error(self) -> BaseException | None:
        """Return the error of the earliest piece, whichever thread was first."""
        return self.errors[min(self.errors)] if self.errors else None


class _Pool:
    """A queue of pieces, the threads that work on it, and the bytes that are in flight."""

    def __init__(self, num_threads: int, budget_bytes: int) -> None:
        self._num_threads = num_threads
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._work_is_there = threading.Condition(self._lock)  # threads wait for it
        self._job_is_done = threading.Condition(self._lock)  # consumers wait for it
        self._tasks: deque[tuple[_Entry[Any], int]] = deque()
        self._in_flight: dict[int, int] = {}  # bytes of each open stream
        self._tokens = itertools.count()
        self._threads: set[threading.Thread] = set()
        self._num_idle = 0
        self._closed = False
        self._process = os.getpid()

    def check_alive(self) -> None:
        if self._process != os.getpid():  # before any lock is touched: the parent may have held it
            raise ForkedLoaderError(
                "this loader was made before a fork, and its threads live in the parent process. Make the loader in"
                " the child, or start processes with the 'spawn' method."
            )
        if self._closed:
            raise LoaderClosedError("the engine of this loader was closed; make a new one")

    def open_stream(self) -> int:
        self.check_alive()
        with self._lock:
            token = next(self._tokens)
            self._in_flight[token] = 0
            return token

    def close_stream(self, token: int) -> None:
        if self._process != os.getpid():
            return
        with self._lock:
            self._drop_tasks(token)
            self._in_flight.pop(token, None)
            self._work_is_there.notify_all()  # threads end when no stream is open
            self._job_is_done.notify_all()

    def forget(self, token: int) -> None:
        """Take a stream's tasks out of the queue, and its bytes out of the account."""
        with self._lock:
            self._drop_tasks(token)
            self._in_flight[token] = 0

    def submit(self, entry: _Entry[Any], *, must: bool) -> bool:
        """Queue a job's pieces if the budget allows; `must`: a stream may always have one job."""
        with self._lock:
            self._check_open(entry)
            if sum(self._in_flight.values()) + entry.num_bytes > self._budget_bytes:
                self._refuse_larger_than_budget(entry)
                if not must:
                    return False
            self._in_flight[entry.token] += entry.num_bytes
        entry.begin()
        with self._lock:
            self._check_open(entry)
            if not must:
                entry.num_left += 1
                self._tasks.appendleft((entry, _HINT))
            self._tasks.extend((entry, place) for place in range(len(entry.pieces)))
            self._start_threads(entry.num_left)
            self._work_is_there.notify(entry.num_left)
        return True

    def delivered(self, entry: _Entry[Any]) -> None:
        with self._lock:
            self._in_flight[entry.token] -= entry.num_bytes

    def wait(self, entry: _Entry[Any]) -> None:
        with self._lock:
            while not entry.is_done:
                self._check_open(entry)
                self._job_is_done.wait()

    def close(self, *, wait: bool) -> None:
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            self._tasks.clear()
            self._work_is_there.notify_all()
            self._job_is_done.notify_all()
            threads = set(self._threads) if wait else set()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _check_open(self, entry: _Entry[Any]) -> None:
        if self._closed or entry.token not in self._in_flight:
            raise LoaderClosedError("the loader or its engine was closed while a batch was being made")

    def _refuse_larger_than_budget(self, entry: _Entry[Any]) -> None:
        if entry.num_bytes > self._budget_bytes:
            raise ConfigError(
                f"one batch takes {entry.num_bytes:,} bytes, more than the memory budget of {self._budget_bytes:,}."
                " Choose a smaller batch or a larger Engine(memory_budget=...)."
            )

    def _drop_tasks(self, token: int) -> None:
        self._tasks = deque(task for task in self._tasks if task[0].token != token)

    def _start_threads(self, num_tasks: int) -> None:
        wanted = min(self._num_threads, len(self._threads) + max(0, num_tasks - self._num_idle))
        while len(self._threads) < wanted:
            thread = threading.Thread(target=_work, args=(self,), name="rowlock", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:  # not even one: the system's limit
                    raise
                return
            self._threads.add(thread)

    def next_task(self) -> tuple[_Entry[Any], int] | None:
        """Wait for a piece of work; None: end the thread."""
        with self._lock:
            self._num_idle += 1
            while not self._tasks and self._in_flight and not self._closed:
                self._work_is_there.wait()
            self._num_idle -= 1
            if self._tasks:
                return self._tasks.popleft()
            self._threads.discard(threading.current_thread())
            return None

    def finished(self, entry: _Entry[Any], place: int, error: BaseException | None) -> None:
        with self._lock:
            if error is not None:
                entry.errors[place] = error
            entry.num_left -= 1
            if entry.is_done:
                self._job_is_done.notify_all()


def _work(pool: _Pool) -> None:
    """Do pieces until there is nothing left to do for anybody."""
    while (task := pool.next_task()) is not None:
        entry, place = task
        error: BaseException | None = None
        try:
            if place == _HINT:
                entry.job.will_need()
            else:
                entry.job.run(entry.pieces[place])
        except BaseException as raised:  # noqa: BLE001 - it is raised where the batch is asked for
            error = raised
        pool.finished(entry, place, error)
        del task, entry, error  # a waiting thread keeps no batch alive


def _num_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_default: Engine | None = None
_default_process = 0


def default_engine() -> Engine:
    """Return the engine that serves every loader that names none; one a process."""
    global _default, _default_process
    if _default is None or _default_process != os.getpid() or _default._pool._closed:  # noqa: SLF001 - same module
        _default, _default_process = Engine(), os.getpid()
    return _default


@atexit.register
def _close_default() -> None:
    if _default is not None and _default_process == os.getpid():
        _default.close()
