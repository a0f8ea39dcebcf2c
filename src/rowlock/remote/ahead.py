"""Reading ahead: each announced URL is fetched once, a few at a time, and waits for its batch within a budget.

Separation of concerns: `ReadAhead` knows when, and neither URLs nor servers; `Fetcher` knows how. Threads hold the
`ReadAhead` and never the reader, so that a reader can be forgotten: its finaliser closes this.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from rowlock.locks import tried
from rowlock.meter import Meter
from rowlock.remote.repeating import closed
from rowlock.remote.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rowlock.pictures.content import Version
    from rowlock.remote.wanted import Fetch

__all__ = ["ReadAhead"]

_LOOK_SECONDS = 1.0
_IDLE_SECONDS = 10.0
_LATELY = 64
"""Pictures that the size of the next ones is judged by."""

_FIRST_BYTES = 1 << 20
"""What the first ones are taken for."""


class ReadAhead:
    """URLs that are fetched in the background.

    Parameters
    ----------
    fetch : Fetch
    max_concurrent : int
        Threads, and so pictures that are fetched at a time.
    budget_bytes : int
        When as much waits to be taken, only what somebody already waits for is fetched; and the oldest that nobody
        took goes.
    keep_seconds : float
        What was not taken for so long is not taken any more: it is asked for anew.
    """

    def __init__(self, fetch: Fetch, max_concurrent: int, budget_bytes: int, keep_seconds: float) -> None:
        self._fetch = fetch
        self._max_concurrent = max_concurrent
        self._budget_bytes = budget_bytes
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._work_is_there = threading.Condition(self._lock)
        self._wanted: dict[str, Wanted] = {}  # in the order of their announcement
        self._urgent: deque[Wanted] = deque()
        self._ahead: deque[Wanted] = deque()
        self._waiting_bytes = 0
        self._peak_bytes = 0
        self._sizes: deque[int] = deque([_FIRST_BYTES], maxlen=_LATELY)
        self._num_running = 0
        self._num_idle = 0
        self._threads: set[threading.Thread] = set()
        self._is_closed = False
        self._process = os.getpid()

    @property
    def peak_bytes(self) -> int:
        """Most that ever waited."""
        return self._peak_bytes

    def announce(self, urls: Iterable[tuple[str, Callable[[Version], bool] | None]]) -> None:
        """Fetch these soon, in this order, unless they are here or on their way; returns at once.

        Parameters
        ----------
        urls : iterable of (str, callable or None)
            The callable says of a version whether somebody has the picture already; None: nobody has.
        """
        with self._lock:
            self._drop_forgotten()
            for url, is_kept in urls:
                wanted = self._find(url)
                if wanted is None:
                    wanted = self._add(Wanted(url, is_kept))
                    self._ahead.append(wanted)
                wanted.num_announced += 1
            self._start_threads()

    @contextlib.contextmanager
    def reading(
        self, urls: list[tuple[str, Callable[[Version], bool] | None]], *, keep_on_error: bool
    ) -> Iterator[None]:
        """Fetch these now, before all others, and keep them until the end of the ``with`` block.

        Parameters
        ----------
        urls : list of (str, callable or None)
            As of `announce`.
        keep_on_error : bool
            If the block ends with an error, keep them for whoever comes again, as `announce` does.
        """
        with self._lock:
            found = [self._begin(url, is_kept) for url, is_kept in urls]
            self._start_threads()
        is_over = not keep_on_error
        try:
            yield
            is_over = True
        finally:
            with self._lock:
                for wanted in found:
                    self._end(wanted, is_over=is_over)
                self._work_is_there.notify_all()  # there may be room now

    def wait(self, url: str, *, content: bool = False) -> Wanted:
        """Return a URL that is here; with `content`, together with its bytes.

        Raises
        ------
        LoaderClosedError
        """
        wanted = self._urgently(url)
        self._wait(wanted)
        if content and wanted.content is None and wanted.error is None:  # somebody had it, and has it no longer
            with self._lock:
                self._drop(wanted)
            wanted = self._urgently(url)
            self._wait(wanted)
        with self._lock:
            if not wanted.num_announced and not wanted.num_readers:  # nobody else will come for it
                self._drop(wanted)
        return wanted

    def end(self) -> None:
        """End what is under way, and the threads; whoever waits raises. Takes no lock: finalisers call it."""
        if self._process != os.getpid():  # a forked child shares the sockets, and must not end them
            return
        self._is_closed = True
        self._fetch.end()

    def join(self, seconds: float) -> None:
        """Wait until the threads are gone, but not longer."""
        deadline = time.monotonic() + seconds
        is_held = False
        try:
            for taken in tried(self._lock, seconds / 4):
                is_held = taken
                self._work_is_there.notify_all()
                break
        finally:
            if is_held:
                self._lock.release()
        for thread in self._threads.copy() - {threading.current_thread()}:
            thread.join(max(0.0, deadline - time.monotonic()))

    def next(self) -> Wanted | None:
        """Wait for a URL to fetch; None: end the thread."""
        with self._lock:
            idle_since = time.monotonic()
            self._num_idle += 1
            while (wanted := self._chosen()) is None:
                if self._is_closed or time.monotonic() > idle_since + _IDLE_SECONDS:
                    break
                self._work_is_there.wait(_LOOK_SECONDS)
            self._num_idle -= 1
            if wanted is None or self._is_closed:
                self._threads.discard(threading.current_thread())
                return None
            wanted.is_begun = True
            self._num_running += 1
            return wanted

    def run(self, wanted: Wanted) -> None:
        """Fetch a URL, whatever comes of it."""
        with Meter() as costs:
            try:
                if wanted.is_kept is not None:
                    wanted.version = self._fetch.version(wanted.url)
                if wanted.version is None or wanted.is_kept is None or not wanted.is_kept(wanted.version):
                    wanted.content = self._fetch.content(wanted.url)
            except BaseException as error:  # noqa: BLE001 - it is raised where the picture is asked for
                wanted.error = error
        wanted.costs = costs
        with self._lock:
            self._num_running -= 1
            wanted.done_at = time.monotonic()
            if wanted.content is not None:
                self._sizes.append(wanted.num_bytes)
            if self._wanted.get(wanted.url) is wanted:
                self._waiting_bytes += wanted.num_bytes
                self._peak_bytes = max(self._peak_bytes, self._waiting_bytes)
            wanted.done.set()
            self._work_is_there.notify()

    def _chosen(self) -> Wanted | None:
        """Return what to fetch now, if anything: what is waited for first, all else as far as the budget goes."""
        if self._urgent:
            self._make_room()
            return self._urgent.popleft()
        while self._ahead and (self._ahead[0].is_urgent or self._wanted.get(self._ahead[0].url) is not self._ahead[0]):
            self._ahead.popleft()  # it is begun, or forgotten
        return self._ahead.popleft() if self._ahead and self._has_room() else None

    def _has_room(self) -> bool:
        expected_bytes = (self._num_running + 1) * max(self._sizes)
        return self._waiting_bytes + expected_bytes <= self._budget_bytes or not (
            self._waiting_bytes or self._num_running
        )

    def _make_room(self) -> None:
        """Drop the oldest that nobody takes: of epochs that were given up, or of batches that are far ahead."""
        if self._has_room():
            return
        for wanted in list(self._wanted.values()):
            if wanted.is_idle and wanted.num_bytes:
                self._drop(wanted)
                if self._has_room():
                    return

    def _begin(self, url: str, is_kept: Callable[[Version], bool] | None) -> Wanted:
        wanted = self._find(url)
        if wanted is None:
            wanted = self._add(Wanted(url, is_kept))
            wanted.num_announced = 1
        wanted.num_readers += 1
        self._hurry(wanted)
        return wanted

    def _end(self, wanted: Wanted, *, is_over: bool) -> None:
        wanted.num_readers -= 1
        wanted.num_announced -= is_over
        if wanted.is_idle and (wanted.num_announced <= 0 or wanted.error is not None):
            self._drop(wanted)

    def _urgently(self, url: str) -> Wanted:
        with self._lock:
            wanted = self._find(url)
            if wanted is None:
                wanted = self._add(Wanted(url, None))
            self._hurry(wanted)
            self._start_threads()
            return wanted

    def _hurry(self, wanted: Wanted) -> None:
        if not wanted.is_begun and not wanted.is_urgent:
            wanted.is_urgent = True
            self._urgent.append(wanted)

    def _wait(self, wanted: Wanted) -> None:
        while not wanted.done.is_set():
            if self._is_closed:
                raise closed()
            self._fetch.end_overdue()
            wanted.done.wait(_LOOK_SECONDS)

    def _find(self, url: str) -> Wanted | None:
        wanted = self._wanted.get(url)
        if wanted is not None and wanted.is_idle and time.monotonic() > wanted.done_at + self._keep_seconds:
            self._drop(wanted)
            return None
        return wanted

    def _add(self, wanted: Wanted) -> Wanted:
        self._wanted[wanted.url] = wanted
        return wanted

    def _drop(self, wanted: Wanted) -> None:
        if self._wanted.get(wanted.url) is wanted:
            del self._wanted[wanted.url]
            self._waiting_bytes -= wanted.num_bytes if wanted.done.is_set() else 0

    def _drop_forgotten(self) -> None:
        """Drop what has waited for too long; the oldest come first."""
        now = time.monotonic()
        for wanted in list(self._wanted.values()):
            if not wanted.is_idle or now <= wanted.done_at + self._keep_seconds:
                return
            self._drop(wanted)

    def _start_threads(self) -> None:
        num_tasks = len(self._urgent) + len(self._ahead)
        wanted = min(self._max_concurrent, len(self._threads) + max(0, num_tasks - self._num_idle))
        while len(self._threads) < wanted and not self._is_closed:
            thread = threading.Thread(target=work, args=(self,), name="rowlock-remote", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:
                    raise
                break
            self._threads.add(thread)
        self._work_is_there.notify(num_tasks)


def work(ahead: ReadAhead) -> None:
    """Fetch until there is nothing left to do."""
    while (wanted := ahead.next()) is not None:
        ahead.run(wanted)
        del wanted  # a waiting thread keeps no picture alive
