"""Where a run is, and who takes its next batch: one thread at a time, and one iteration at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from rowlock.epoch import Epoch
from rowlock.errors import IncompleteEpochError, LoaderClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.bad_rows import BadRows
    from rowlock.batch import Batch
    from rowlock.epoch import Made
    from rowlock.epoch_log import EpochLog
    from rowlock.making import Maker
    from rowlock.plan import Plan

__all__ = ["Delivery"]

HandedT = TypeVar("HandedT")

_BUSY = (
    "this very thread is about to take a batch of this loader, and was interrupted by a signal handler, a finaliser or"
    " the function that batches go through, which cannot take another. They may ask for state_dict() and call close()."
)


class _Found(NamedTuple, Generic[HandedT]):
    """A batch that was handed over and does not count yet."""

    after: tuple[int, int, int | None]
    """The next step, the rows of the epoch up to there, and the epoch if it is complete."""
    is_empty: bool
    """Every row up to the end of the epoch was skipped: there is no batch."""
    handed: HandedT | None


class Delivery:
    """The place of a run within its plan, which goes on as batches are handed over.

    Parameters
    ----------
    maker : Maker
        Knows the plan.
    bad_rows : BadRows
        Receives the rows that were masked or skipped, when their batch counts as delivered.
    log : EpochLog
    """

    def __init__(self, maker: Maker, bad_rows: BadRows, log: EpochLog) -> None:
        self.bad_rows = bad_rows
        self.step = 0
        """The next to deliver."""
        self.must_resume = False
        """Whether a state was loaded, and nothing was delivered since."""
        self._maker = maker
        self._log = log
        self._turn = 0  # number of the iteration that may go on
        self._num_rows = 0  # delivered by the iteration under way
        self._complete: int | None = None  # an epoch that is not in the log yet
        self._lock = threading.RLock()  # one thread at a time takes a batch, or says which comes next
        self._is_busy = False  # the thread that holds the lock is within a batch

    @property
    def has_begun(self) -> bool:
        """Whether the epoch under way is iterated, and something of it was delivered."""
        return self._num_rows > 0

    @property
    def goes_on(self) -> bool:
        """Whether the next iteration is the rest of an epoch."""
        return not self._num_rows and self.step > self._maker.plan.first_step(self._maker.plan.place(self.step).epoch)

    def begin_epoch(self, hand_over: Callable[[Batch], HandedT]) -> Epoch[HandedT]:
        """Return the next epoch, or the rest of the one that a state lies in."""
        with self._lock:
            self._check_idle()
            if self._num_rows:  # the epoch under way is given up
                self.step, self._num_rows = self._end_of_epoch(), 0
            self._log.begin(self._taken_complete())
            self._turn += 1
            stop = self._end_of_epoch()
            num_rows = self._maker.plan.num_rows_between(self.step, stop)
            return Epoch(self._next, hand_over, self._turn, range(self.step, stop), num_rows)

    def go_to(self, step: int) -> None:
        """Make `step` the next to deliver; iterations under way end here."""
        with self._lock:
            self._check_idle()
            self.step, self._num_rows, self._turn, self.must_resume = step, 0, self._turn + 1, False
            self._log.begin(self._taken_complete())

    def resume(self, plan: Plan, step: int, bad_rows: BadRows) -> None:
        """Go on at `step` of another plan; iterations under way end here."""
        with self._lock:
            self._check_idle()
            turn = self._turn + 1
            stream = self._maker.follow(plan)  # nothing is called behind it: whatever is raised, they fit together
            self.bad_rows, self.step, self._num_rows, self._turn, self.must_resume = bad_rows, step, 0, turn, True
        if stream is not None:
            stream.close()

    def made(self, step: int) -> Made:
        """Return batch `step`; it is `count` that says that it was used."""
        with self._lock:
            self._check_idle()
            try:
                self._is_busy = True
                return self._maker.make(step)
            finally:
                self._is_busy = False

    def count(self, made: Made) -> None:
        """Take note that a batch from `made` was used."""
        step, epoch = made.batch.step, made.batch.epoch
        self.bad_rows.add(made.num_rows, made.bad)
        self.step, self._num_rows, self.must_resume = step + 1, self._num_rows + made.num_rows, False
        if self.step == self._maker.plan.first_step(epoch + 1):
            self._num_rows = 0
            self._log.used(epoch)

    def _next(self, hand_over: Callable[[Batch], HandedT], turn: int, steps: range) -> HandedT:
        """Deliver the next batch to iteration `turn`, which goes through `steps`; to one thread at a time.

        Ctrl-C and signal handlers come when a function of C that was called returns, so not even the lock is
        let go by a call behind the batch's being counted, or taken by one before the `try`; a loop calls unseen.
        """
        self._maker.check_open()  # before the lock: a thread that a fork left behind may hold it
        locked: Iterator[bool] = iter(self._lock.acquire, True)
        unlocked: Iterator[None] = iter(self._lock.release, None)
        for _ in locked:
            pass
        try:
            self._check_idle()
            try:
                self._is_busy = True
                found = self._handed_over(hand_over, turn, steps)
                # Together, and nothing is called afterwards: whatever is raised before, Ctrl-C too, counts no row.
                self.step, self._num_rows, self._complete, self.must_resume = *found.after, False
            finally:
                self._is_busy = False
        finally:
            for _ in unlocked:
                pass
        if found.is_empty:
            raise StopIteration
        return cast("HandedT", found.handed)

    def _handed_over(self, hand_over: Callable[[Batch], HandedT], turn: int, steps: range) -> _Found[HandedT]:
        """Return the next batch, and what is to be noted when it counts as delivered."""
        self._maker.check_open()  # it may have been closed while another thread had its turn
        if turn != self._turn:
            raise LoaderClosedError("this loader was asked for another epoch meanwhile: one iteration at a time")
        if self.step >= steps.stop:
            self._log.end(self._taken_complete())
            raise StopIteration
        step, num_rows, is_empty, handed = self.step, self._num_rows, True, None
        while is_empty and step < steps.stop:  # empty: every row of it was skipped
            made = self._maker.make(step)
            self.bad_rows.add(made.num_rows, made.bad)
            num_rows += len(made.batch) + (len(made.bad) if self._maker.on_error == "skip" else 0)
            step, is_empty = step + 1, len(made.batch) == 0
            handed = None if is_empty else hand_over(made.batch)
        complete = None
        if step == steps.stop:
            self._check_complete(steps, num_rows)
            complete, num_rows = self._maker.plan.place(steps.start).epoch, 0
        return _Found((step, num_rows, complete), is_empty, handed)

    def _taken_complete(self) -> int | None:
        complete, self._complete = self._complete, None
        return complete

    def _end_of_epoch(self) -> int:
        return self._maker.plan.first_step(self._maker.plan.place(self.step).epoch + 1)

    def _check_idle(self) -> None:
        if self._is_busy:
            raise LoaderClosedError(_BUSY)

    def _check_complete(self, steps: range, delivered: int) -> None:
        planned = self._maker.plan.num_rows_between(steps.start, steps.stop)
        if delivered != planned:
            raise IncompleteEpochError(
                f"steps {steps.start} to {steps.stop - 1} have {planned:,} rows, but {delivered:,} were delivered"
            )
