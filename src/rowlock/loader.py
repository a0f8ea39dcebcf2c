"""`Loader`: wires dataset, plan and engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from rowlock.arguments import whole_number
from rowlock.bad_rows import BadRow, BadRows, OnError, check_policy
from rowlock.delivery import Delivery
from rowlock.engine import Engine, default_engine
from rowlock.epoch_log import EpochLog
from rowlock.errors import ConfigError, StateError
from rowlock.loader_forms import LoaderForms
from rowlock.making import Maker
from rowlock.plan import Plan
from rowlock.state import plan_from, state_of
from rowlock.stats import LoaderStats, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rowlock.batch import Batch
    from rowlock.dataset import Dataset
    from rowlock.epoch import Epoch, Made

__all__ = ["Loader"]

HandedT = TypeVar("HandedT")


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
        if plan.num_rows != len(dataset):
            raise ConfigError(f"the plan is for {plan.num_rows:,} rows, the dataset has {len(dataset):,}")
        if engine is not None and not isinstance(engine, Engine):
            raise ConfigError(f"engine must be an rl.Engine, such as rl.Engine(num_threads=4), not {engine!r}")
        check_policy(on_error, world_size=plan.world_size)
        self._engine = engine or default_engine()
        self._engine.refuse_larger_than_budget(plan.most_rows * dataset.row_bytes)
        recorder = Recorder()
        self._log = EpochLog(recorder, self._engine)
        self._maker = Maker(dataset, plan, on_error, self._engine, recorder)
        self._delivery = Delivery(self._maker, bad_rows or BadRows(0.01, len(dataset)), self._log)

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
        self._maker.check_open()
        return self._delivery.begin_epoch(hand_over)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def batch(self, step: int) -> Batch:
        """Return batch number `step` of the run, made here and now in the calling thread.

        Any step may be asked for, in any order; what iterating delivers is not affected.
        """
        return self._maker.make_here(whole_number("step", step, 0))

    def ready(self, step: int, num_batches: int) -> list[Batch]:
        """Return those of the batches from `step` on that are made already, up to the first that is not.

        They are still to be delivered, and will be these very objects. For what sends them to a device ahead.
        """
        return self._maker.ready(step, num_batches)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration deliver `epoch`; without it, each delivers the one after the last.

        Of an epoch that a loaded state lies in, it is what is left.

        Raises
        ------
        StateError
            A state was loaded, and it lies in another epoch: rows would be lost, or come again.
        """
        self._maker.check_open()
        epoch = whole_number("epoch", epoch, self.plan.start.epoch)
        current = self.plan.place(self.step).epoch
        if self._delivery.must_resume and epoch != current:
            raise StateError(
                f"the state that was loaded goes on in epoch {current}, so set_epoch({epoch}) would lose or repeat"
                f" rows. Begin the loop over epochs with {current}, or make a new loader."
            )
        if self._delivery.has_begun or epoch != current:
            self.go_to(self.plan.first_step(epoch))

    def state_dict(self) -> dict[str, Any]:
        """Return where this loader is: a flat dict for JSON, which counts what was delivered and nothing prepared.

        Load it into a loader of the same data and seed, also with another batch size or world size. It is the
        same on every rank; with several ranks it leaves their bad rows out.
        """
        return state_of(self.plan, self.step, self.dataset) | self._delivery.bad_rows.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next iteration delivers the rest of its epoch.

        Raises
        ------
        StateError
            It belongs to other data, or to another order; both values are shown, and nothing is changed.
        """
        self._maker.check_open()
        plan, step = plan_from(state, self.plan, self.dataset)
        self._delivery.resume(plan, step, self._delivery.bad_rows.resumed(state))

    @property
    def on_error(self) -> OnError:
        """What becomes of rows that cannot be read."""
        return self._maker.on_error

    @property
    def plan(self) -> Plan:
        """Which rows each step has; another one after `load_state_dict`."""
        return self._maker.plan

    @property
    def has_sample_weight(self) -> bool:
        """Whether batches have weights: the dataset's, or those of padded or masked rows."""
        return self.dataset.has_sample_weight or self.plan.last == "pad" or self.on_error == "mask"

    @property
    def step(self) -> int:
        """Number of the next batch within the run."""
        return self._delivery.step

    @property
    def goes_on(self) -> bool:
        """Whether the next iteration is the rest of an epoch, as after `load_state_dict`."""
        return self._delivery.goes_on

    def in_order(self, batch_size: int | None = None) -> Loader:
        """Return a loader of the same rows in the dataset's own order, padded; bad rows go to the same list."""
        num_rows = len(self.dataset)
        plan = Plan(num_rows, min(batch_size or self.plan.batch_size, num_rows), shuffle=False, last="pad")
        return Loader(self.dataset, plan, on_error=self.on_error, bad_rows=self._delivery.bad_rows, engine=self._engine)

    def go_to(self, step: int) -> None:
        """Make `step` the next to deliver; iterations under way end here."""
        self._maker.check_open()
        self._delivery.go_to(whole_number("step", step, self.plan.start_step))

    def made(self, step: int) -> Made:
        """Return batch `step`, made ahead where steps are asked for in their order; `count` says that it was used.

        For consumers that fetch further than they come: Keras under TensorFlow has two batches or more in hand.

        Raises
        ------
        Exception
            What happened to the batch, a `RowError` with its step; other steps are not affected.
        """
        self._maker.check_open()
        return self._delivery.made(step)

    def count(self, made: Made) -> None:
        """Take note that a batch from `made` was used: the state, and the list of bad rows, go on behind it."""
        self._delivery.count(made)

    @property
    def bad_rows(self) -> list[BadRow]:
        """The rows that were masked or skipped, each once, in the order of delivery; the same for any engine."""
        return list(self._delivery.bad_rows.entries)

    def stats(self) -> LoaderStats:
        """Return what was delivered so far, and where the time went; the difference of two is what was in between."""
        return self._log.stats()

    def close(self) -> None:
        """Forget what was prepared; iterating afterwards raises. May be called again."""
        self._maker.close()


def _as_it_is(batch: Batch) -> Batch:
    return batch
