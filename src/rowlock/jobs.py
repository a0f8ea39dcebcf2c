"""What goes through a pool of threads: work cut into parts, and the account of the memory it takes."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Entry", "Job", "MemoryUse"]

Part = TypeVar("Part")


class Job(Protocol[Part]):
    """Work that is cut into parts, which may run in any order and at the same time."""

    @property
    def num_bytes(self) -> int:
        """Memory that the result takes."""

    def will_need(self) -> None:
        """Tell disks and servers what the parts will read; called soon after queueing, in the order of the jobs."""

    def pieces(self) -> Iterable[Part]:
        """Allocate the result and return the parts; called once."""

    def run(self, piece: Part, /) -> int:
        """Do one part; return the memory that it used beside the result, in bytes."""


JobT = TypeVar("JobT", bound=Job[Any])


class Entry(Generic[JobT]):
    """A job on its way through the pool."""

    def __init__(self, job: JobT, number: int, token: int) -> None:
        self.job = job
        self.number = number
        self.token = token
        self.num_bytes = job.num_bytes
        self.scratch_bytes = 0
        self.pieces: list[Any] = []
        self.num_left = -1
        self.num_running = 0  # threads that work on it now
        self.is_held = False  # its memory is in the account
        self.is_forgotten = False  # nobody waits for it; its memory is in use as long as a thread is at it
        self.errors: dict[int, BaseException] = {}
        self.news: SimpleQueue[None] = SimpleQueue()  # wakes whoever waits for it

    def begin(self) -> None:
        """Cut the job: from here on it takes memory."""
        self.pieces = list(self.job.pieces())
        self.num_left = len(self.pieces)

    @property
    def is_done(self) -> bool:
        """Whether every piece ran, with or without an error."""
        return self.num_left == 0

    def first_error(self) -> BaseException | None:
        """Return the error of the earliest piece, whichever thread was first."""
        return self.errors[min(self.errors)] if self.errors else None


class MemoryUse(NamedTuple):
    """What the batches of an engine take.

    Attributes
    ----------
    budget_bytes : int
    in_flight_bytes : int
        Batches in the making, finished ones that wait, and given up ones that a thread is still at.
    peak_bytes : int
        Most that was in flight at a time.
    scratch_bytes : int
        Kept free for what threads use beside the batches: the number of threads times the most seen lately.
    """

    budget_bytes: int
    in_flight_bytes: int
    peak_bytes: int
    scratch_bytes: int
