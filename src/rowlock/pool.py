"""What the engine's threads hold: a queue of pieces of jobs, and the bytes that are in flight."""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import threading
import time
from collections import deque
from typing import Any

from rowlock.errors import ConfigError, ForkedLoaderError, LoaderClosedError
from rowlock.jobs import Entry, MemoryUse
from rowlock.locks import tried

__all__ = ["Pool"]

SWEEP_SECONDS = 1.0
"""How long an idle thread waits before it looks for streams that a finaliser could only note."""

CLOSE_SECONDS = 1.6
"""How long closing waits for threads; what hangs longer is left behind, as daemons."""

_LATELY = 64
"""Jobs that the room for scratch memory is judged by: one giant picture must not narrow the window for good."""

_NO_THREAD = "The limit on processes (ulimit -u), or the memory, of this user or container is used up; raise it."

_HINT = -1
"""In the place of a piece's number: tell disks what the job will read."""


class Pool:
    """A queue of pieces, the threads that work on it, and the bytes that are in flight."""

    def __init__(self, num_threads: int, budget_bytes: int) -> None:
        self._num_threads = num_threads
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._work_is_there = threading.Condition(self._lock)  # threads wait for it
        self._awaited: dict[int, queue.SimpleQueue[None]] = {}  # what the consumer of each stream waits for
        self._tasks: deque[tuple[Entry[Any], int]] = deque()
        self._hints: deque[Entry[Any]] = deque()  # jobs that disks and servers are to be told of, in their order
        self._is_hinting = False  # a thread is at it: another one could overtake it
        self._streams: dict[int, set[Entry[Any]]] = {}  # the jobs of each open stream that take memory
        self._in_flight_bytes = 0
        self._peak_bytes = 0
        self._scratches: deque[int] = deque(maxlen=_LATELY)  # what a thread of each of the last jobs used
        self._scratch_bytes = 0  # the most of them
        self._num_running = 0
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

    def _sweep_if_free(self) -> None:
        if self._process == os.getpid():
            self._sweep_if_free_within(0.0)

    def _sweep_if_free_within(self, seconds: float) -> None:
        is_held = False
        try:
            for taken in tried(self._lock, seconds):
                is_held = taken
                self._sweep()
                break
        finally:
            if is_held:
                self._lock.release()

    def _sweep(self) -> None:
        if self._closed:
            self._closed_streams.extend(self._streams)
        if not self._closed_streams:
            return
        while self._closed_streams:
            token = self._closed_streams.popleft()
            self._forget(token)
            self._streams.pop(token, None)
        self._work_is_there.notify_all()  # threads end when no stream is open
        for news in self._awaited.values():
            news.put(None)
        self._awaited.clear()

    def forget(self, token: int) -> None:
        """Give up what a stream began. MemoryUse that a thread is still at leaves the account when it is done."""
        with self._lock:
            self._forget(token)

    def _forget(self, token: int) -> None:
        self._tasks = deque(task for task in self._tasks if task[0].token != token)
        self._hints = deque(entry for entry in self._hints if entry.token != token)
        for entry in self._streams.get(token, set()).copy():
            entry.is_forgotten = True
            if not entry.num_running:
                self._release(entry)

    def memory(self) -> MemoryUse:
        """Return what the jobs take now. Takes no lock: signal handlers and forked children may ask, too."""
        scratch = self._num_threads * self._scratch_bytes
        return MemoryUse(self._budget_bytes, self._in_flight_bytes, self._peak_bytes, scratch)

    def submit(self, entry: Entry[Any], *, must: bool, announce: bool) -> bool:
        """Queue a job's pieces if the budget allows.

        Parameters
        ----------
        entry : Entry
        must : bool
            A stream may always have one job.
        announce : bool
            Tell disks and servers of it before that.
        """
        with self._lock:
            self._sweep()
            self._check_open(entry)
            room = self._budget_bytes - self._in_flight_bytes - self._num_threads * self._scratch_bytes
            if entry.num_bytes > room:
                self.refuse_larger_than_budget(entry.num_bytes)
                if not must:
                    return False
            self._streams[entry.token].add(entry)
            entry.is_held = True
            self._in_flight_bytes += entry.num_bytes
            self._peak_bytes = max(self._peak_bytes, self._in_flight_bytes)
        try:
            entry.begin()
            self._queue(entry, announce=announce)
        except BaseException:  # no memory for it, no thread, closed meanwhile
            self.delivered(entry)
            raise
        return True

    def _queue(self, entry: Entry[Any], *, announce: bool) -> None:
        with self._lock:
            self._check_open(entry)
            self._start_threads(len(entry.pieces))
            if announce:
                self._hints.append(entry)
            self._tasks.extend((entry, place) for place in range(len(entry.pieces)))
            self._work_is_there.notify(len(entry.pieces) + announce)

    def delivered(self, entry: Entry[Any]) -> None:
        """Take a job's bytes out of the account: they are its consumer's now."""
        with self._lock:
            self._release(entry)
            with contextlib.suppress(ValueError):  # nobody needs to be told of it any more
                self._hints.remove(entry)

    def _release(self, entry: Entry[Any]) -> None:
        if entry.is_held:
            entry.is_held = False
            self._in_flight_bytes -= entry.num_bytes
            self._streams.get(entry.token, set()).discard(entry)

    def wait(self, entry: Entry[Any]) -> None:
        """Wait until a job is done; raise if its stream or the pool is closed meanwhile.

        On a queue, without the lock: a condition takes its lock again after waiting, and a second Ctrl-C in that
        moment would leave it without, to release what another thread holds.
        """
        while not entry.is_done:
            with self._lock:
                self._sweep()
                self._check_open(entry)
                self._awaited[entry.token] = entry.news
            with contextlib.suppress(queue.Empty):
                entry.news.get(timeout=SWEEP_SECONDS)

    def close(self) -> None:
        """End the threads, and wait a little for them; may be called again, also from a signal handler."""
        if self._process != os.getpid():
            return
        self._closed = True
        deadline = time.monotonic() + CLOSE_SECONDS
        self._sweep_if_free_within(CLOSE_SECONDS / 4)  # this very thread may hold it: threads see `_closed`
        for thread in self._threads.copy() - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _check_open(self, entry: Entry[Any]) -> None:
        if self._closed or entry.token not in self._streams:
            raise LoaderClosedError("the loader or its engine was closed while a batch was being made")

    def refuse_larger_than_budget(self, num_bytes: int) -> None:
        """Raise `ConfigError` if a batch of so many bytes is more than the memory budget."""
        if num_bytes > self._budget_bytes:
            raise ConfigError(
                f"one batch takes {num_bytes:,} bytes, more than the memory budget of {self._budget_bytes:,}."
                " Choose a smaller batch or a larger Engine(memory_budget=...)."
            )

    def _start_threads(self, num_tasks: int) -> None:
        wanted = min(self._num_threads, len(self._threads) + max(0, num_tasks - self._num_idle))
        while len(self._threads) < wanted:
            thread = threading.Thread(target=work, args=(self,), name="rowlock", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                if not self._threads:
                    raise RuntimeError(f"{error}: not even one. {_NO_THREAD}") from error
                return
            self._threads.add(thread)

    def next_task(self) -> tuple[Entry[Any], int] | None:
        """Wait for a piece of work; None: end the thread."""
        with self._lock:
            self._sweep()
            self._num_idle += 1
            task = None
            while self._streams and not self._closed and (task := self._chosen()) is None:
                self._work_is_there.wait(SWEEP_SECONDS)
                self._sweep()
            self._num_idle -= 1
            if task is not None:
                task[0].num_running += 1
                self._num_running += 1
                return task
            self._threads.discard(threading.current_thread())
            return None

    def _chosen(self) -> tuple[Entry[Any], int] | None:
        """Return what to do now, if anything: hints first, which take no time, one after the other."""
        if self._hints and not self._is_hinting:
            self._is_hinting = True
            return self._hints.popleft(), _HINT
        return self._tasks.popleft() if self._tasks and self._has_room() else None

    def _has_room(self) -> bool:
        """Return whether one more thread may use memory beside the batches; one may always."""
        scratch = (self._num_running + 1) * self._scratch_bytes
        return not self._num_running or self._in_flight_bytes + scratch <= self._budget_bytes

    def finished(self, entry: Entry[Any], place: int, error: BaseException | None, scratch_bytes: int) -> None:
        """Take note that a piece ran, or that disks were told."""
        with self._lock:
            self._sweep()
            entry.num_running -= 1
            self._num_running -= 1
            entry.scratch_bytes = max(entry.scratch_bytes, scratch_bytes)
            self._scratch_bytes = max(self._scratch_bytes, scratch_bytes)
            if entry.is_forgotten and not entry.num_running:
                self._release(entry)
            if place == _HINT:
                self._is_hinting = False
            if self._tasks or self._hints:
                self._work_is_there.notify()  # there may be room now
            if place == _HINT:
                return
            if error is not None:
                entry.errors[place] = error
            entry.num_left -= 1
            if entry.is_done:
                self._scratches.append(entry.scratch_bytes)
                self._scratch_bytes = max(self._scratches)
                entry.news.put(None)


def work(pool: Pool) -> None:
    """Do pieces until there is nothing left to do for anybody."""
    while (task := pool.next_task()) is not None:
        entry, place = task
        error, scratch_bytes = _done(entry, place)
        pool.finished(entry, place, error, scratch_bytes)
        del task, entry, error  # a waiting thread keeps no batch alive


def _done(entry: Entry[Any], place: int) -> tuple[BaseException | None, int]:
    """Do a piece; return its error, if any, and the memory that it used beside the result."""
    try:
        if place == _HINT:
            with contextlib.suppress(Exception):  # advice that cannot be given changes nothing
                entry.job.will_need()
            return None, 0
        return None, int(entry.job.run(entry.pieces[place]))
    except BaseException as error:  # noqa: BLE001 - it is raised where the batch is asked for
        return error, 0
