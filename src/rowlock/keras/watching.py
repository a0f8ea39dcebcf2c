"""The callbacks of a run: they see one run, with true numbers of epochs and batches, whatever `fit` calls it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import keras
from typing_extensions import override

from rowlock.keras.generators import load_random_state, random_state
from rowlock.keras.jax_weights import KeptWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.keras.resuming import SavedRun
    from rowlock.keras.schedule import Schedule

__all__ = ["Watch"]


class Watch(keras.callbacks.CallbackList):  # type: ignore[misc] # Keras has no types
    """Passes Keras' calls on to the user's callbacks, counts what was trained, and saves after them.

    A run that goes on within an epoch takes two calls of `model.fit`. The callbacks see one: one beginning, one end,
    and the batches of the rest of an epoch under their own numbers.

    Parameters
    ----------
    callbacks : callback or sequence of callbacks
    model : keras.Model
    schedule : Schedule
    verbose : {"auto", 0, 1, 2}
    trained : callable
        Called with the number of batches that were trained since the last call.
    saved : SavedRun or None
    """

    def __init__(
        self,
        callbacks: Any,
        model: Any,
        schedule: Schedule,
        verbose: str | int,
        trained: Callable[[int], None],
        saved: SavedRun | None,
    ) -> None:
        listed = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks] if callbacks else []
        self._schedule = schedule
        self._trained = trained
        self._saved = saved
        self._offset = 0  # batches of this epoch of Keras that another life trained
        self._num_counted = 0  # batches of this call's epoch
        self._num_steps = schedule.steps_of_epoch  # of an epoch in this call
        self._epochs = range(0)
        self._was_begun = False  # the first batch of this call
        self._logs: Any = None
        self._averaged_over: list[Any] | None = None
        self.kept = KeptWeights(model)
        self._random_state: dict[str, Any] = {}  # to go on with, from a call of `fit` until its first batch
        super().__init__(
            listed,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=schedule.epochs,
            steps=schedule.steps_of_epoch,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        executor = getattr(self, "_executor", None)
        if executor is not None:  # after an error Keras leaves its threads
            executor.shutdown()

    @property
    def history(self) -> Any:
        """The `keras.callbacks.History` of the run."""
        return self._history

    @property
    def is_stopped(self) -> bool:
        """Whether a callback ended the run in an earlier life."""
        return self._saved is not None and self._saved.is_stopped

    @property
    def num_epochs_done(self) -> int:
        """Epochs of Keras that are over, those before the run's first included."""
        done = getattr(self._history, "epoch", [])
        return done[-1] + 1 if done else 0

    @property
    def is_last_step(self) -> bool:
        """Whether the step that was trained last is the last of its epoch of Keras."""
        return self._offset + self._num_counted >= self._num_steps

    def on_run_begin(self) -> None:
        """Begin, once a run; callbacks get back what was saved of them."""
        super().on_train_begin()
        if self._saved is not None:
            self._saved.restore_callbacks()
            self._random_state = self._saved.random_state()
        self._random_state = self._random_state or random_state()

    def on_run_end(self) -> None:
        """End, once a run."""
        super().on_train_end(self._logs)
        if self._saved is not None:
            self._saved.finish()

    def begin_phase(self, epochs: range, first: int) -> None:
        """Note that a call of `model.fit` begins, with step `first`."""
        self._epochs = epochs
        self._was_begun = False
        self._offset = first - self._schedule.first_step(epochs.start)
        self._num_steps = self._schedule.first_step(epochs.start + 1) - self._schedule.first_step(epochs.start)
        self.set_params({**self.params, "steps": self._num_steps})
        if self._averaged_over is not None:  # the call before has put moving averages in place of the weights
            for variable, value in zip(self.model.trainable_variables, self._averaged_over, strict=True):
                variable.assign(value)
            self._averaged_over = None

    @override
    def on_train_begin(self, logs: Any = None) -> None:
        return

    @override
    def on_train_end(self, logs: Any = None) -> None:
        return

    @override
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._random_state and not self._offset:
            load_random_state(self._random_state)
        super().on_epoch_begin(epoch, logs)
        if self._random_state and not self._offset:
            self._random_state = random_state()  # what `fit` draws for its iterators does not count
        self._num_counted = 0
        if self._saved is not None and self._offset:  # its beginning was in another life: undo what it did again
            self._saved.restore_within_epoch()

    @override
    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._random_state:
            load_random_state(self._random_state)
            self._random_state = {}
        super().on_train_batch_begin(batch + self._offset, logs)
        if not self._was_begun:
            self.kept.take()
            self._was_begun = True

    @override
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._trained(batch + 1 - self._num_counted)
        self._num_counted = batch + 1
        super().on_train_batch_end(batch + self._offset, logs)
        if self._saved is not None:
            self._saved.after_step(logs)

    @override
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        super().on_epoch_end(epoch, logs)
        self._offset, self._logs = 0, logs
        if self._saved is not None:
            self._saved.after_epoch(logs)
        if epoch + 1 != self._epochs.stop or epoch + 1 == self._schedule.epochs:
            return
        self._random_state = random_state()  # another call of `fit` follows
        if getattr(self.model.optimizer, "use_ema", False):
            numpy = keras.ops.convert_to_numpy
            self._averaged_over = [numpy(variable.value) for variable in self.model.trainable_variables]
