"""A run that is killed and goes on: what is saved, when, and how it comes back."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from rowlock.arguments import whole_number
from rowlock.errors import ConfigError, StateError
from rowlock.keras.blank import build
from rowlock.keras.callback_states import append_to_logs, load_states, states_of
from rowlock.keras.generators import random_state
from rowlock.keras.model_facts import differences, facts_of_model
from rowlock.keras.variables import load_variables, variables_of
from rowlock.run_state import RunState, read_state, write_state

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray
    from rowlock.keras.batches import KerasBatches
    from rowlock.keras.watching import Watch
    from rowlock.loader import Loader

__all__ = ["Resume", "SavedRun"]

_LOG = logging.getLogger("rowlock")
FORMAT = 1


class Resume:
    """Where a run is saved, how often, and whence it goes on; for ``rowlock.keras.fit(..., resume=)``.

    One file holds weights, the optimizer's variables, the process's random states, metrics, the loader's state, history
    and what callbacks remember. It is written beside, made durable and renamed: whenever the process is killed, the
    last whole state is there. Run the same command again to go on at its step; a finished run returns at once.

    Parameters
    ----------
    path : str or path
        A file, such as ``"run.state"``; its folder is made. One run a file.
    every : "epoch" or int
        After every epoch; a number: also after every so many steps.
    every_seconds : float, optional
        Also when so much time has passed since the last save.

    Raises
    ------
    ConfigError
    """

    def __init__(
        self, path: str | os.PathLike[str], every: str | int = "epoch", *, every_seconds: float | None = None
    ) -> None:
        try:
            self.path = Path(path)
        except TypeError:
            raise ConfigError(
                f"resume is a path such as 'run.state', or a rowlock.keras.Resume, not {path!r}"
            ) from None
        if self.path.is_dir():
            raise ConfigError(f"resume={str(path)!r} is a folder: name a file in it, {str(self.path / 'run.state')!r}")
        self.every_steps = None if every == "epoch" else _steps(every)
        if every_seconds is not None and not (isinstance(every_seconds, (int, float)) and every_seconds > 0):
            raise ConfigError(f"every_seconds is a time, such as 600, not {every_seconds!r}")
        self.every_seconds = every_seconds

    def __repr__(self) -> str:
        return f"Resume({str(self.path)!r})"


class SavedRun:
    """The state of one call of `fit` on disk.

    Parameters
    ----------
    resume : Resume
    model : keras.Model

    Attributes
    ----------
    goes_on : bool
        Whether something was saved; known after `begin`.
    is_stopped : bool
        Whether a callback had ended that run.
    """

    def __init__(self, resume: Resume, model: Any) -> None:
        self._resume = resume
        self._model = model
        self._state: RunState | None = None
        self._loader: Loader
        self._watch: Watch
        self._facts: dict[str, Any] = {}
        self._tried_at = time.monotonic()
        self._tried_step = 0
        self._is_spoilt = False  # the loss was no number when it was time to save last
        self.is_stopped = False

    @property
    def goes_on(self) -> bool:  # noqa: D102 - an attribute
        return self._state is not None

    def begin(self, loader: Loader, watch: Watch, facts: Mapping[str, Any], batches: KerasBatches) -> None:
        """Bring model and loader to where the saved run was, if there is one.

        Raises
        ------
        StateError
            The saved run is of other data, another model or another schedule; nothing is changed.
        """
        self._loader, self._watch = loader, watch
        path = self._resume.path
        state = read_state(path) if path.exists() else None
        build(self._model, batches, with_metrics=state is not None and state.facts.get("within_epoch", False))
        self._facts = {**facts, "model": facts_of_model(self._model), "backend": keras.backend.backend()}
        if state is None:
            return
        self._check(state.facts)
        loader.load_state_dict(state.facts["loader"])
        self._state = state
        self.is_stopped = bool(state.facts["stopped"])
        load_variables(self._model, state.arrays)
        append_to_logs(watch.callbacks)
        self._restore_history()
        _LOG.info("%s: goes on with step %d", path, loader.step)

    def save_beginning(self) -> None:
        """Save a new run before it begins: a path that cannot be written is found now, and not after an epoch."""
        self._tried_at, self._tried_step = time.monotonic(), self._loader.step
        if self._state is None:
            self._write(within_epoch=False)

    def is_finished_for(self, epochs: int) -> bool:
        """Say whether there is nothing left to do."""
        if self._state is None or not self._state.facts["finished"]:
            return False
        return self.is_stopped or self._watch.num_epochs_done >= epochs

    def restore_callbacks(self) -> None:
        """Give callbacks back what they remembered; after they have begun."""
        if self._state is not None:
            load_states(self._watch.callbacks, self._state.facts["callbacks"], self._state.arrays)
            self._restore_history()

    def random_state(self) -> dict[str, AnyArray]:
        """Return the random state that was saved, under names that `load_random_state` knows; nothing for a new run."""
        return {} if self._state is None else dict(self._state.arrays)

    def restore_within_epoch(self) -> None:
        """Undo what the beginning of an epoch has done a second time: rates, metrics, counters."""
        if self._state is not None:
            load_variables(self._model, self._state.arrays)
            load_states(self._watch.callbacks, self._state.facts["callbacks"], self._state.arrays)

    def after_step(self, logs: Any) -> None:
        """Save if it is time; not at the end of an epoch, which is saved after its validation."""
        if self._is_time() and not self._watch.is_last_step:
            self._save(logs, within_epoch=True)

    def after_epoch(self, logs: Any) -> None:
        """Save."""
        self._state = None  # it has been restored, and needs memory
        self.is_stopped = bool(self._model.stop_training)
        self._save(logs, within_epoch=False)

    def finish(self) -> None:
        """Save the end: callbacks may have changed the weights."""
        self._state = None
        if not self._is_spoilt:
            self._save(None, within_epoch=False, finished=True)

    def _is_time(self) -> bool:
        every = self._resume
        if every.every_steps is not None and self._loader.step - self._tried_step >= every.every_steps:
            return True
        return every.every_seconds is not None and time.monotonic() - self._tried_at >= every.every_seconds

    def _save(self, logs: Any, *, within_epoch: bool, finished: bool = False) -> None:
        self._tried_at, self._tried_step = time.monotonic(), self._loader.step
        loss = float(logs["loss"]) if logs and "loss" in logs else 0.0
        self._is_spoilt = not math.isfinite(loss)
        if self._is_spoilt:
            _LOG.warning("%s: the loss is %s, so the state of before is kept", self._resume.path, loss)
            return
        try:
            self._write(within_epoch=within_epoch, finished=finished)
        except OSError as error:
            _LOG.warning("%s was not saved: %s. The state of before is kept", self._resume.path, error)

    def _write(self, *, within_epoch: bool, finished: bool = False) -> None:
        getattr(self._model, "jax_state_sync", lambda: None)()
        facts, arrays = states_of(self._watch.callbacks)
        history = self._watch.history
        told = {
            "format": FORMAT,
            **self._facts,
            "loader": self._loader.state_dict(),
            "within_epoch": within_epoch,
            "stopped": self.is_stopped,
            "finished": finished,
            "history": {name: [float(value) for value in values] for name, values in history.history.items()},
            "epochs": [int(epoch) for epoch in getattr(history, "epoch", [])],
            "callbacks": facts,
        }
        variables = variables_of(self._model, with_metrics=within_epoch)
        write_state(self._resume.path, told, variables | random_state() | arrays)

    def _check(self, saved: Mapping[str, Any]) -> None:
        if saved.get("format") != FORMAT:
            raise StateError(
                f"{self._resume.path} has format {saved.get('format')}; this version reads format {FORMAT}"
            )
        wrong = [
            f"{name} was {saved.get(name)!r}, is {value!r}"
            for name, value in self._facts.items()
            if name != "model" and saved.get(name) != value
        ]
        wrong += differences(saved["model"], self._facts["model"])
        if wrong:
            raise StateError(
                f"{self._resume.path} is of another run: {'; '.join(wrong)}. Nothing was changed. Call with what it"
                " was, or name another file to begin anew."
            )

    def _restore_history(self) -> None:
        if self._state is not None:
            history = self._watch.history
            history.history = {name: list(values) for name, values in self._state.facts["history"].items()}
            history.epoch = list(self._state.facts["epochs"])


def _steps(every: Any) -> int:
    try:
        return whole_number("every", every, 1)
    except ConfigError:
        raise ConfigError(f"every is 'epoch' or a number of steps, not {every!r}; for time every_seconds=") from None
