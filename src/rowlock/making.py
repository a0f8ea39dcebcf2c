"""Batches of a plan, made ahead by an engine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rowlock.epoch import Made
from rowlock.errors import LoaderClosedError, RowError

if TYPE_CHECKING:
    from rowlock.bad_rows import OnError
    from rowlock.batch import Batch
    from rowlock.dataset import Dataset
    from rowlock.engine import Engine, Stream
    from rowlock.gathering import Gathering
    from rowlock.plan import Plan
    from rowlock.stats import Recorder

__all__ = ["Maker"]


class Maker:
    """Makes the batch of any step; those that are asked for in their order are made ahead.

    Parameters
    ----------
    dataset : Dataset
    plan : Plan
    on_error : {"raise", "mask", "skip"}
    engine : Engine
    recorder : Recorder
        Is told what was asked for, and what it cost.
    """

    def __init__(self, dataset: Dataset, plan: Plan, on_error: OnError, engine: Engine, recorder: Recorder) -> None:
        self.plan = plan
        self.on_error: OnError = on_error
        self._dataset = dataset
        self._engine = engine
        self._recorder = recorder
        self._stream: Stream[Gathering] | None = None
        self._is_closed = False

    def make(self, step: int) -> Made:
        """Return a batch as soon as it is made, or raise what happened to it."""
        self._recorder.asked()
        if self._stream is None:
            self._stream = self._engine.stream(partial(_gathering, self._dataset, self.plan, self.on_error))
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

    def make_here(self, step: int) -> Batch:
        """Return a batch that is made now, in the calling thread; those that are made ahead are not affected."""
        job = _gathering(self._dataset, self.plan, self.on_error, step)
        for piece in job.pieces():
            try:
                job.run(piece)
            except RowError as error:
                error.add_context(step=step)
                raise
        return self._batch(job, step)

    def ready(self, step: int, num_batches: int) -> list[Batch]:
        """Return those of the batches from `step` on that are made already, up to the first that is not."""
        jobs = [] if self._stream is None else self._stream.done(step, num_batches)
        return [self._batch(job, step + index) for index, job in enumerate(jobs)]

    def follow(self, plan: Plan) -> Stream[Gathering] | None:
        """Make the batches of another plan from now on; return the stream of the old ones, for closing."""
        stream, self._stream, self.plan = self._stream, None, plan
        return stream

    def check_open(self) -> None:
        """Raise `LoaderClosedError` if no batch can be made any more. Takes no lock."""
        self._engine.check_alive()
        if self._is_closed:
            raise LoaderClosedError("this loader was closed; make a new one with dataset.batches(...)")

    def close(self) -> None:
        """Forget what was made ahead; may be called again."""
        self._is_closed = True
        if self._stream is not None:
            self._stream.close()

    def _batch(self, job: Gathering, step: int) -> Batch:
        num_padded = self.plan.num_padded(step) if self.plan.last == "pad" else None
        return job.batch(step, self.plan.place(step).epoch, num_padded=num_padded)


def _gathering(dataset: Dataset, plan: Plan, on_error: OnError, step: int) -> Gathering:
    return dataset.gathering(plan.rows(step), plan.draw(step), on_error)
