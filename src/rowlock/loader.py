"""`Loader`: wires dataset, plan and engine."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, cast

from rowlock.arguments import whole_number
from rowlock.bad_rows import BadRow, BadRows, OnError, check_policy
from rowlock.engine import Engine, Stream, default_engine
from rowlock.epoch import Epoch, Made
from rowlock.errors import ConfigError, IncompleteEpochError, LoaderClosedError, RowError, StateError
from rowlock.loader_forms import LoaderForms
from rowlock.plan import Plan
from rowlock.state import plan_from, state_of
from rowlock.stats import LoaderStats, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rowlock.batch import Batch
    from rowlock.dataset import Dataset
    from rowlock.gathering import Gathering

__all__ = ["Loader"]

_LOG = logging.getLogger("rowlock")
HandedT = TypeVar("HandedT")

_BUSY = (
    "this very thread is about to take a batch of this loader, and was interrupted by a signal handler, a finaliser or"
    " the function that batches go through, which cannot take another. They may ask for state_dict() and call close()."
)


class Loader(LoaderForms):
    """The batches of a dataset, in the order of a plan, made ahead by an engine.

    ``iter(loader)`` starts an epoch, and the next one the next, also after a ``break``. While the last
    batches of an epoch are consumed, the first of the next are made. Several threads may share one iterator: each
    batch goes to one of them.

    Parameters
    ----------
    dataset : Dataset
    plan : Plan
    on_error : {"raise", "mask", "skip"}
    bad_rows : BadRows, optional
        The list that masked and skipped rows go to.
    engine : Engine, optional
        By default the one that all loaders share.

    Raises
    ------
    ConfigError
        A wrong argument, or a batch that is larger than the engine's memory budget.

    Notes
    -----
    The oracle: ``list(loader)`` equals ``[loader.batch(step) for step in ...]`` bit for bit, whatever the
    engine does.
    """

    def __init__(
        self,
        dataset: Dataset,
        plan: Plan,
        *,
        on_error: OnError = "raise",
        bad_rows: BadRows | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.dataset = dataset
        self.plan = plan
        self.on_error: OnError = on_error
        self._bad_rows = bad_rows or BadRows(0.01, len(dataset))
        if plan.num_rows != len(dataset):
            raise ConfigError(f"the plan is for {plan.num_rows:,} rows, the dataset has {len(dataset):,}")
        if engine is not None and not isinstance(engine, Engine):
            raise ConfigError(f"engine must be an rl.Engine, such as rl.Engine(num_threads=4), not {engine!r}")
        check_policy(on_error, world_size=plan.world_size)
        self._engine = engine or default_engine()
        self._engine.refuse_larger_than_budget(plan.most_rows * dataset.row_bytes)
        self._stream: Stream[Gathering] | None = None
        self._recorder = Recorder()
        self._at_start = self.stats()  # of the epoch under way
        self._unlogged: int | None = None  # an epoch that is complete
        self._step = 0  # the next to deliver
        self._turn = 0  # number of the iteration that may go on
        self._num_rows = 0  # delivered by the iteration under way
        self._must_resume = False  # a state was loaded, and nothing was delivered since
        self._is_closed = False
        self._lock = threading.RLock()  # one thread at a time takes a batch, or says which comes next
        self._is_busy = False  # the thread that holds the lock is within a batch

    def __reduce__(self) -> NoReturn:
        raise ConfigError(
            "a loader cannot be pickled or copied: its threads and open files are of this process. Make dataset and"
            " loader in the other process, started with 'spawn'; load_state_dict(loader.state_dict()) goes on there."
        )

    def __len__(self) -> int:
        """Return the number of steps of an epoch, the same on every rank."""
        return self.plan.steps_per_epoch

    def __repr__(self) -> str:
        return f"Loader({len(self.dataset):,} rows, batches of {self.plan.batch_size}, {len(self):,} steps an epoch)"

    def __iter__(self) -> Epoch[Batch]:
        return self.epoch(_as_it_is)

    def epoch(self, hand_over: Callable[[Batch], HandedT]) -> Epoch[HandedT]:
        """Iterate the next epoch, each batch passed through a function, such as one that sends it to a device.

        A batch counts as delivered when the function has returned: where it raises, the same step comes again.
        """
        self._check_open()
        with self._lock:
            self._check_idle()
            if self._num_rows:  # the epoch under way is given up
                self._step, self._num_rows = self.plan.first_step(self.plan.place(self._step).epoch + 1), 0
            self._log_epoch()
            self._recorder.new_epoch()
            self._at_start = self.stats()
            self._turn += 1
            stop = self.plan.first_step(self.plan.place(self._step).epoch + 1)
            num_rows = self.plan.num_rows_between(self._step, stop)
            return Epoch(self._next, hand_over, self._turn, range(self._step, stop), num_rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def batch(self, step: int) -> Batch:
        """Return batch number `step` of the run, made here and now in the calling thread.

        Any step may be asked for, in any order; what iterating delivers is not affected.
        """
        step = whole_number("step", step, 0)
        job = _gathering(self.dataset, self.plan, self.on_error, step)
        for piece in job.pieces():
            try:
                job.run(piece)
            except RowError as error:
                error.add_context(step=step)
                raise
        return self._batch(job, step)

    def ready(self, step: int, num_batches: int) -> list[Batch]:
        """Return those of the batches from `step` on that are made already, up to the first that is not.

        They are still to be delivered, and will be these very objects. For what sends them to a device ahead.
        """
        jobs = [] if self._stream is None else self._stream.done(step, num_batches)
        return [self._batch(job, step + index) for index, job in enumerate(jobs)]

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration deliver `epoch`; without it, each delivers the one after the last.

        Of an epoch that a loaded state lies in, it is what is left.

        Raises
        ------
        StateError
            A state was loaded, and it lies in another epoch: rows would be lost, or come again.
        """
        self._check_open()
        epoch = whole_number("epoch", epoch, self.plan.start.epoch)
        current = self.plan.place(self._step).epoch
        if self._must_resume and epoch != current:
            raise StateError(
                f"the state that was loaded goes on in epoch {current}, so set_epoch({epoch}) would lose or repeat"
                f" rows. Begin the loop over epochs with {current}, or make a new loader."
            )
        if self._num_rows or epoch != current:
            self.go_to(self.plan.first_step(epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return where this loader is: a flat dict for JSON, which counts what was delivered and nothing prepared.

        Load it into a loader of the same data and seed, also with another batch size or world size. It is the
        same on every rank; with several ranks it leaves their bad rows out.
        """
        return state_of(self.plan, self._step, self.dataset) | self._bad_rows.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next iteration delivers the rest of its epoch.

        Raises
        ------
        StateError
            It belongs to other data, or to another order; both values are shown, and nothing is changed.
        """
        self._check_open()
        with self._lock:
            self._check_idle()
            plan, step = plan_from(state, self.plan, self.dataset)
            self._bad_rows = self._bad_rows.resumed(state)
            self.plan = plan
            stream, self._stream = self._stream, None
            self._turn += 1  # iterations under way end here
            self._step = step
            self._num_rows = 0
            self._must_resume = True
        if stream is not None:
            stream.close()

    @property
    def has_sample_weight(self) -> bool:
        """Whether batches have weights: the dataset's, or those of padded or masked rows."""
        return self.dataset.has_sample_weight or self.plan.last == "pad" or self.on_error == "mask"

    @property
    def step(self) -> int:
        """Number of the next batch within the run."""
        return self._step

    @property
    def goes_on(self) -> bool:
        """Whether the next iteration is the rest of an epoch, as after `load_state_dict`."""
        return not self._num_rows and self._step > self.plan.first_step(self.plan.place(self._step).epoch)

    def in_order(self, batch_size: int | None = None) -> Loader:
        """Return a loader of the same rows in the dataset's own order, padded; bad rows go to the same list."""
        num_rows = len(self.dataset)
        plan = Plan(num_rows, min(batch_size or self.plan.batch_size, num_rows), shuffle=False, last="pad")
        return Loader(self.dataset, plan, on_error=self.on_error, bad_rows=self._bad_rows, engine=self._engine)

    def go_to(self, step: int) -> None:
        """Make `step` the next to deliver; iterations under way end here."""
        self._check_open()
        with self._lock:
            self._check_idle()
            self._step, self._num_rows = whole_number("step", step, self.plan.start_step), 0
            self._turn += 1
            self._must_resume = False
            self._recorder.new_epoch()
            self._at_start = self.stats()

    def made(self, step: int) -> Made:
        """Return batch `step`, made ahead where steps are asked for in their order; `count` says that it was used.

        For consumers that fetch further than they come: Keras under TensorFlow has two batches or more in hand.

        Raises
        ------
        Exception
            What happened to the batch, a `RowError` with its step; other steps are not affected.
        """
        self._check_open()
        with self._lock:
            self._check_idle()
            try:
                self._is_busy = True
                return self._made(step)
            finally:
                self._is_busy = False

    def _made(self, step: int) -> Made:
        self._recorder.asked()
        if self._stream is None:
            self._stream = self._engine.stream(partial(_gathering, self.dataset, self.plan, self.on_error))
            if self._is_closed:  # by another thread, which saw no stream
                self._stream.close()
        try:
            job = self._stream.take(step)
        except BaseException as error:
            self._recorder.failed()
            if isinstance(error, RowError):
                error.add_context(step=step)
            raise
        batch = self._batch(job, step)
        self._recorder.delivered(len(batch), job.costs)
        return Made(batch, job.num_rows, job.bad_rows(step, batch.epoch), job.bad_places())

    def count(self, made: Made) -> None:
        """Take note that a batch from `made` was used: the state, and the list of bad rows, go on behind it."""
        step = made.batch.step
        self._bad_rows.add(made.num_rows, made.bad)
        self._step, self._num_rows, self._must_resume = step + 1, self._num_rows + made.num_rows, False
        if self._step == self.plan.first_step(made.batch.epoch + 1):
            self._num_rows, self._unlogged = 0, made.batch.epoch
            self._log_epoch()
            self._at_start = self.stats()

    @property
    def bad_rows(self) -> list[BadRow]:
        """The rows that were masked or skipped, each once, in the order of delivery; the same for any engine."""
        return list(self._bad_rows.entries)

    def stats(self) -> LoaderStats:
        """Return what was delivered so far, and where the time went; the difference of two is what was in between."""
        return self._recorder.snapshot(self._engine.num_threads, self._engine.memory())

    def close(self) -> None:
        """Forget what was prepared; iterating afterwards raises. May be called again."""
        self._is_closed = True
        if self._stream is not None:
            self._stream.close()

    def _next(self, hand_over: Callable[[Batch], HandedT], turn: int, steps: range) -> HandedT:
        """Deliver the next batch to iteration `turn`, which goes through `steps`; to one thread at a time.

        Ctrl-C and signal handlers come when a function of C that was called returns, so not even the lock is
        let go by a call behind the batch's being counted, or taken by one before the `try`; a loop calls unseen.
        """
        self._check_open()  # before the lock: a thread that a fork left behind may hold it
        locked: Iterator[bool] = iter(self._lock.acquire, True)
        unlocked: Iterator[None] = iter(self._lock.release, None)
        for _ in locked:
            pass
        try:
            self._check_idle()
            try:
                self._is_busy = True
                step, num_rows, is_empty, handed = self._handed_over(hand_over, turn, steps)
                # Together, and nothing is called afterwards: whatever is raised before, Ctrl-C too, counts no row.
                self._step, self._num_rows, self._must_resume = step, num_rows, False
            finally:
                self._is_busy = False
        finally:
            for _ in unlocked:
                pass
        if is_empty:
            raise StopIteration
        return cast("HandedT", handed)

    def _handed_over(
        self, hand_over: Callable[[Batch], HandedT], turn: int, steps: range
    ) -> tuple[int, int, bool, HandedT | None]:
        """Return the step after the next batch, the rows up to there, whether there is no batch, and the batch."""
        self._check_open()  # it may have been closed while another thread had its turn
        if turn != self._turn:
            raise LoaderClosedError("this loader was asked for another epoch meanwhile: one iteration at a time")
        if self._step >= steps.stop:
            self._recorder.ended()
            self._log_epoch()
            raise StopIteration
        step, num_rows, is_empty, handed = self._step, self._num_rows, True, None
        while is_empty and step < steps.stop:  # empty: every row of it was skipped
            made = self._made(step)
            self._bad_rows.add(made.num_rows, made.bad)
            num_rows += len(made.batch) + (len(made.bad) if self.on_error == "skip" else 0)
            step, is_empty = step + 1, len(made.batch) == 0
            handed = None if is_empty else hand_over(made.batch)
        if step == steps.stop:
            self._check_complete(steps, num_rows)
            self._unlogged, num_rows = self.plan.place(steps.start).epoch, 0
        return step, num_rows, is_empty, handed

    def _check_idle(self) -> None:
        if self._is_busy:
            raise LoaderClosedError(_BUSY)

    def _batch(self, job: Gathering, step: int) -> Batch:
        num_padded = self.plan.num_padded(step) if self.plan.last == "pad" else None
        return job.batch(step, self.plan.place(step).epoch, num_padded=num_padded)

    def _check_complete(self, steps: range, delivered: int) -> None:
        planned = self.plan.num_rows_between(steps.start, steps.stop)
        if delivered != planned:
            raise IncompleteEpochError(
                f"steps {steps.start} to {steps.stop - 1} have {planned:,} rows, but {delivered:,} were delivered"
            )

    def _log_epoch(self) -> None:
        """Say in one line how the last complete epoch went, if it was not said yet."""
        epoch, self._unlogged = self._unlogged, None
        if epoch is not None and _LOG.isEnabledFor(logging.INFO):
            _LOG.info("epoch %d: %s", epoch, self.stats() - self._at_start)

    def _check_open(self) -> None:
        self._engine.check_alive()
        if self._is_closed:
            raise LoaderClosedError("this loader was closed; make a new one with dataset.batches(...)")


def _gathering(dataset: Dataset, plan: Plan, on_error: OnError, step: int) -> Gathering:
    return dataset.gathering(plan.rows(step), plan.draw(step), on_error)


def _as_it_is(batch: Batch) -> Batch:
    return batch
