"""What the engine's threads hold: a queue of pieces of jobs, and the bytes that are in flight."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import deque
from typing import Any

from rowlock.errors import ConfigError, ForkedLoaderError, LoaderClosedError
from rowlock.jobs import Entry, Memory

__all__ = ["Pool"]

SWEEP_SECONDS = 1.0
"""How long an idle thread waits before it looks for streams that a finaliser could only note."""

CLOSE_SECONDS = 2.0
"""How long closing waits for threads; what hangs longer is left behind, as daemons."""

_HINT = -1
"""In the place of a piece's number: tell disks what the job will read."""


class Pool:
    """A queue of pieces, the threads that work on it, and the bytes that are in flight."""

    def __init__(self, num_threads: int, budget_bytes: int) -> None:
        self._num_threads = num_threads
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._work_is_there = threading.Condition(self._lock)  # threads wait for it
        self._job_is_done = threading.Condition(self._lock)  # consumers wait for it
        self._tasks: deque[tuple[Entry[Any], int]] = deque()
        self._streams: dict[int, set[Entry[Any]]] = {}  # the jobs of each open stream that take memory
        self._in_flight_bytes = 0
        self._peak_bytes = 0
        self._scratch_bytes = 0  # the most that one thread used
        self._tokens = itertools.count()
        self._threads: set[threading.Thread] = set()
        self._num_idle = 0
        self._closed_streams: deque[int] = deque()
        self._closed = False
        self._process = os.getpid()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def check_alive(self) -> None:
        """Raise if the threads are gone: closed, or left behind in the parent process."""
        if self._process != os.getpid():  # before any lock is touched: the parent may have held it
            raise ForkedLoaderError(
                "this loader was made before a fork, and its threads live in the parent process. Make the loader in"
                " the child, or start processes with the 'spawn' method."
            )
        if self._closed:
            raise LoaderClosedError("the engine of this loader was closed; make a new one")

    def open_stream(self) -> int:
        """Return a token for a new stream; threads live while there is one."""
        self.check_alive()
        with self._lock:
            token = next(self._tokens)
            self._streams[token] = set()
            return token

    def close_stream_later(self, token: int) -> None:
        """Forget a stream; whoever waits for it raises.

        For finalisers: the garbage collector may call one while this very thread holds the lock, so the lock is
        only tried. Every other user of the lock, and idle threads once a second, do what is left.
        """
        self._closed_streams.append(token)
        self._sweep_if_free()

    def close_later(self) -> None:
        """End the threads; for finalisers, see `close_stream_later`."""
        self._closed = True
        self._sweep_if_free()

    def sweep(self) -> None:
        """Forget the streams that were closed."""
        if self._process == os.getpid():
            with self._lock:
                self._sweep()

    def _sweep_if_free(self) -> None:
        if self._process == os.getpid() and self._lock.acquire(blocking=False):
            try:
                self._sweep()
            finally:
                self._lock.release()

    def _sweep(self) -> None:
        if self._closed:
            self._tasks.clear()
        elif not self._closed_streams:
            return
        while self._closed_streams:
            token = self._closed_streams.popleft()
            self._forget(token)
            self._streams.pop(token, None)
        self._work_is_there.notify_all()  # threads end when no stream is open
        self._job_is_done.notify_all()

    def forget(self, token: int) -> None:
        """Give up what a stream began. Memory that a thread is still at leaves the account when it is done."""
        with self._lock:
            self._forget(token)

    def _forget(self, token: int) -> None:
        self._tasks = deque(task for task in self._tasks if task[0].token != token)
        for entry in self._streams.get(token, set()).copy():
            entry.is_forgotten = True
            if not entry.num_running:
                self._release(entry)

    def memory(self) -> Memory:
        """Return what the jobs take now."""
        with self._lock:
            scratch = self._num_threads * self._scratch_bytes
            return Memory(self._budget_bytes, self._in_flight_bytes, self._peak_bytes, scratch)

    def submit(self, entry: Entry[Any], *, must: bool) -> bool:
        """Queue a job's pieces if the budget allows; `must`: a stream may always have one job."""
        with self._lock:
            self._sweep()
            self._check_open(entry)
            room = self._budget_bytes - self._in_flight_bytes - self._num_threads * self._scratch_bytes
            if entry.num_bytes > room:
                self._refuse_larger_than_budget(entry)
                if not must:
                    return False
            self._streams[entry.token].add(entry)
            entry.is_held = True
            self._in_flight_bytes += entry.num_bytes
            self._peak_bytes = max(self._peak_bytes, self._in_flight_bytes)
        try:
            entry.begin()
            self._queue(entry, announce=not must)
        except BaseException:  # no memory for it, no thread, closed meanwhile
            self.delivered(entry)
            raise
        return True

    def _queue(self, entry: Entry[Any], *, announce: bool) -> None:
        with self._lock:
            self._check_open(entry)
            self._start_threads(len(entry.pieces))
            if announce:
                self._tasks.appendleft((entry, _HINT))
            self._tasks.extend((entry, place) for place in range(len(entry.pieces)))
            self._work_is_there.notify(len(entry.pieces) + announce)

    def delivered(self, entry: Entry[Any]) -> None:
        """Take a job's bytes out of the account: they are its consumer's now."""
        with self._lock:
            self._release(entry)

    def _release(self, entry: Entry[Any]) -> None:
        if entry.is_held:
            entry.is_held = False
            self._in_flight_bytes -= entry.num_bytes
            self._streams.get(entry.token, set()).discard(entry)

    def wait(self, entry: Entry[Any]) -> None:
        """Wait until a job is done; raise if its stream or the pool is closed meanwhile."""
        with self._lock:
            while not entry.is_done:
                self._sweep()
                self._check_open(entry)
                self._job_is_done.wait(SWEEP_SECONDS)

    def close(self) -> None:
        """End the threads, and wait a little for them; may be called again."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closed = True
            self._sweep()
            threads = set(self._threads)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in threads - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _check_open(self, entry: Entry[Any]) -> None:
        if self._closed or entry.token not in self._streams:
            raise LoaderClosedError("the loader or its engine was closed while a batch was being made")

    def _refuse_larger_than_budget(self, entry: Entry[Any]) -> None:
        if entry.num_bytes > self._budget_bytes:
            raise ConfigError(
                f"one batch takes {entry.num_bytes:,} bytes, more than the memory budget of {self._budget_bytes:,}."
                " Choose a smaller batch or a larger Engine(memory_budget=...)."
            )

    def _start_threads(self, num_tasks: int) -> None:
        wanted = min(self._num_threads, len(self._threads) + max(0, num_tasks - self._num_idle))
        while len(self._threads) < wanted:
            thread = threading.Thread(target=work, args=(self,), name="rowlock", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:  # not even one: the system's limit
                    raise
                return
            self._threads.add(thread)

    def next_task(self) -> tuple[Entry[Any], int] | None:
        """Wait for a piece of work; None: end the thread."""
        with self._lock:
            self._num_idle += 1
            while not self._tasks and self._streams and not self._closed:
                self._work_is_there.wait(SWEEP_SECONDS)
                self._sweep()
            self._num_idle -= 1
            if self._tasks:
                task = self._tasks.popleft()
                task[0].num_running += 1
                return task
            self._threads.discard(threading.current_thread())
            return None

    def finished(self, entry: Entry[Any], place: int, error: BaseException | None) -> None:
        """Take note that a piece ran, or that disks were told."""
        with self._lock:
            entry.num_running -= 1
            if entry.is_forgotten and not entry.num_running:
                self._release(entry)
            if place == _HINT:
                return
            if error is not None:
                entry.errors[place] = error
            entry.num_left -= 1
            if entry.is_done:
                self._scratch_bytes = max(self._scratch_bytes, entry.scratch_bytes)
                self._job_is_done.notify_all()


def work(pool: Pool) -> None:
    """Do pieces until there is nothing left to do for anybody."""
    while (task := pool.next_task()) is not None:
        entry, place = task
        pool.finished(entry, place, _error_of(entry, place))
        del task, entry  # a waiting thread keeps no batch alive


def _error_of(entry: Entry[Any], place: int) -> BaseException | None:
    try:
        if place == _HINT:
            with contextlib.suppress(Exception):  # advice that cannot be given changes nothing
                entry.job.will_need()
        else:
            entry.job.run(entry.pieces[place])
            entry.scratch_bytes = entry.job.scratch_bytes
    except BaseException as error:  # noqa: BLE001 - it is raised where the batch is asked for
        return error
    return None
