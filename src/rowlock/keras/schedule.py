"""Which steps of a loader are Keras' epoch e: plain arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rowlock.arguments import whole_number
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.loader import Loader
    from rowlock.plan import Plan

__all__ = ["Schedule"]


@dataclass(slots=True)
class Schedule:
    """Keras' epochs as ranges of steps.

    Attributes
    ----------
    loader : Loader
        Its plan says where an epoch of the data begins; a state may give it another plan.
    epochs, initial_epoch : int
        ``range(initial_epoch, epochs)`` is trained.
    steps_per_epoch : int or None
        None: an epoch of Keras is an epoch of the data.
    """

    loader: Loader
    epochs: int
    initial_epoch: int
    steps_per_epoch: int | None

    @classmethod
    def of(cls, loader: Loader, epochs: int, initial_epoch: int, steps_per_epoch: int | None) -> Schedule:
        """Check the numbers, and that they fit where the loader is.

        Raises
        ------
        ConfigError
        """
        epochs = whole_number("epochs", epochs, 1)
        initial_epoch = whole_number("initial_epoch", initial_epoch, 0)
        if initial_epoch >= epochs:
            raise ConfigError(
                f"initial_epoch={initial_epoch} leaves nothing to train: epochs={epochs} is where to stop, not how many"
                f" more. Pass epochs={initial_epoch + epochs} for {epochs} more."
            )
        if steps_per_epoch is not None:
            steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch, 1)
        schedule = cls(loader, epochs, initial_epoch, steps_per_epoch)
        if loader.goes_on and schedule.epoch_of(loader.step) != initial_epoch:
            raise ConfigError(
                f"the loader goes on within epoch {schedule.epoch_of(loader.step)}, as its state says, but"
                f" initial_epoch={initial_epoch}: pass initial_epoch={schedule.epoch_of(loader.step)}"
            )
        return schedule

    @property
    def steps_of_epoch(self) -> int:
        """Steps of a whole epoch of Keras."""
        return self.steps_per_epoch or self._plan.steps_per_epoch

    def first_step(self, epoch: int) -> int:
        """Return the first step of Keras' epoch, or of what is left of it where the plan starts within."""
        if self.steps_per_epoch is None:
            return self._plan.first_step(epoch)
        return max(epoch * self.steps_per_epoch, self._plan.start_step)

    def epoch_of(self, step: int) -> int:
        """Return the epoch of Keras that a step belongs to."""
        return self._plan.place(step).epoch if self.steps_per_epoch is None else step // self.steps_per_epoch

    def phases(self, step: int, *, is_stopped: bool = False) -> Iterator[tuple[int, int, range]]:
        """Yield (first step, steps an epoch, epochs) of each call of `model.fit`: the rest of one, then whole ones.

        Parameters
        ----------
        step : int
            The first to train.
        is_stopped : bool
            A callback has ended the run already.
        """
        epoch = self.epoch_of(step)
        if is_stopped or epoch >= self.epochs:
            return
        stop = self.first_step(epoch + 1)
        if stop - step != self.steps_of_epoch:
            yield step, stop - step, range(epoch, epoch + 1)
            step, epoch = stop, epoch + 1
        if epoch < self.epochs:
            yield step, self.steps_of_epoch, range(epoch, self.epochs)

    @property
    def _plan(self) -> Plan:
        return self.loader.plan
