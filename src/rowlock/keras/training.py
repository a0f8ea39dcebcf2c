"""`fit`: trains on a loader, and tells it what Keras tells no data set."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from rowlock.arguments import whole_number
from rowlock.errors import ConfigError, IncompleteEpochError
from rowlock.keras.alike import remember, require_alike, require_one_order
from rowlock.keras.batches import KerasBatches
from rowlock.keras.errors import original
from rowlock.keras.resuming import Resume, SavedRun
from rowlock.keras.schedule import Schedule
from rowlock.keras.steps import StepBatches
from rowlock.keras.watching import Watch

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from rowlock.arrays import AnyArray
    from rowlock.epoch import Made
    from rowlock.loader import Loader

__all__ = ["fit"]


def fit(
    model: Any,
    train: Loader | KerasBatches,
    valid: Loader | KerasBatches | None = None,
    *,
    epochs: int,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    callbacks: Sequence[Any] | Any = (),
    class_weight: Mapping[Any, float] | str | None = None,
    validation_freq: int = 1,
    verbose: str | int = "auto",
    resume: Resume | str | os.PathLike[str] | None = None,
) -> Any:
    """Train a compiled model; `model.fit` and what it does not tell a data set.

    Before step 1, model and batches are compared (`KerasBatches.bind`), and what the numbers of `train` and `valid`
    stand for (`Dataset.meanings`). Epoch e trains on the loader's epoch e, for ``initial_epoch`` too; with
    `steps_per_epoch`, on the steps from ``e * steps_per_epoch``, which go on through the epochs of the data. During
    training and afterwards the loader's state counts what was trained on, not what Keras fetched ahead. An error of a
    row arrives as the `RowError` it is, under TensorFlow too.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    train : Loader or KerasBatches
        ``data.batches(...)``, or its ``to_keras()``. A loader that was given a state (`Loader.load_state_dict`) goes
        on there; `initial_epoch` must be the state's epoch.
    valid : Loader or KerasBatches, optional
        Every validation takes the same batches, those of the loader's first epoch. Inputs and targets must mean the
        same as those of `train`: columns and their order, classes, statistics, scale, sizes, dtypes. Rows, addresses,
        augmentation, sample weights and engine may be others.
    epochs : int
        Where to stop: number of the last epoch, counted from 1.
    initial_epoch : int
        The first to train, counted from 0.
    steps_per_epoch : int, optional
        Length of Keras' epoch in steps; more than an epoch of the data is allowed. By default an epoch of the data.
    callbacks : sequence of keras.callbacks.Callback
        ``BackupAndRestore`` is refused: it replays rows; see `resume`.
    class_weight : dict or "balanced", optional
        Weight of each class of the only target, by its name (of `Labels`) or number; 1 where none is named.
        ``"balanced"``: in inverse proportion to how many rows a class has, 1 on average over the rows. Multiplies the
        dataset's sample weights.
    validation_freq : int
        Validate after every so many epochs.
    verbose : {"auto", 0, 1, 2}
        As in `model.fit`.
    resume : Resume or path, optional
        Where the run is saved, and goes on from if something was saved there: the same command again continues.

    Returns
    -------
    history : keras.callbacks.History
        Of the whole run, what was trained before an interruption included.

    Raises
    ------
    ConfigError
        Model and batches do not fit, `train` and `valid` mean different things, or a wrong argument.
    StateError
        What was saved belongs to other data, another model or another schedule.
    RowError
        A row that cannot be read; state and weights are those of the step before.
    """
    train, valid = _batches(train, "train"), None if valid is None else _batches(valid, "valid")
    _check(model, train, valid)
    _check_callbacks(callbacks)
    whole_number("validation_freq", validation_freq, 1)
    if resume is not None and train.loader.plan.world_size > 1:
        raise ConfigError(
            "resume= is for one process: several ranks would be killed at different steps. Save on your own, at one"
            " step of all ranks: model.save_weights and loader.state_dict()"
        )
    schedule = Schedule.of(train.loader, epochs, initial_epoch, steps_per_epoch)
    _check_executions(model, schedule)
    saved = None if resume is None else SavedRun(resume if isinstance(resume, Resume) else Resume(resume), model)
    class_weights = _class_weights(train.loader, class_weight)
    remember(model, train.loader.dataset)
    facts = {"initial_epoch": initial_epoch, "steps_per_epoch": steps_per_epoch, "class_weight": repr(class_weight)}
    run = _Run(model, train, valid, schedule, class_weights, saved)
    return run.train(callbacks, {"verbose": verbose, "validation_freq": validation_freq}, facts)


class _Run:
    """One call of `fit`: in one or two calls of `model.fit`, which the callbacks see as one."""

    def __init__(
        self,
        model: Any,
        train: KerasBatches,
        valid: KerasBatches | None,
        schedule: Schedule,
        class_weight: AnyArray | None,
        saved: SavedRun | None,
    ) -> None:
        self._model = model
        self._train = train
        self._valid = valid
        self._schedule = schedule
        self._class_weight = class_weight
        self._saved = saved
        self._made: deque[Made] = deque()

    def train(self, callbacks: Any, options: dict[str, Any], facts: dict[str, Any]) -> Any:
        loader, schedule = self._train.loader, self._schedule
        watch = Watch(callbacks, self._model, schedule, options["verbose"], self._trained, self._saved)
        if self._saved is not None:
            self._saved.begin(loader, watch, facts, self._train)
        is_new = self._saved is None or not self._saved.goes_on
        if is_new and not loader.goes_on:
            loader.go_to(schedule.first_step(schedule.initial_epoch))
        with watch:
            if self._saved is not None and self._saved.is_finished_for(schedule.epochs):
                return watch.history
            watch.on_run_begin()
            if self._saved is not None:
                self._saved.save_beginning()
            for first, num_steps, epochs in schedule.phases(loader.step, is_stopped=watch.is_stopped):
                self._train_phase(first, num_steps, epochs, watch, options)
                if self._model.stop_training:
                    break
            watch.on_run_end()
        return watch.history

    def _train_phase(self, first: int, num_steps: int, epochs: range, watch: Watch, options: dict[str, Any]) -> None:
        """Train whole epochs, or the rest of one."""
        self._made.clear()
        batches = StepBatches(
            self._train.loader,
            first,
            num_steps * len(epochs),
            self._train.structure,
            self._train.order,
            endless=True,
            took=self._made.append,
            class_weight=self._class_weight,
        )
        valid = None if self._valid is None else _every_pass_alike(self._valid)
        watch.begin_phase(epochs, first)
        try:
            self._model.fit(
                batches,
                epochs=epochs.stop,
                initial_epoch=epochs.start,
                steps_per_epoch=num_steps,
                validation_data=valid,
                validation_freq=options["validation_freq"],
                callbacks=watch,
                verbose=options["verbose"],
                shuffle=False,
            )
        except BaseException as error:
            watch.kept.put_back()
            cause = original(error, batches, valid)
            if cause is error:
                raise
            raise cause from None
        finally:
            batches.close()
            if valid is not None:
                valid.close()

    def _trained(self, num_steps: int) -> None:
        """Count batches that the model was trained on."""
        loader = self._train.loader
        for _ in range(num_steps):
            made = self._made.popleft() if self._made else None
            if made is None or made.batch.step != loader.step:
                trained = "a batch that it did not ask for" if made is None else f"step {made.batch.step}"
                raise IncompleteEpochError(
                    f"Keras trained on {trained}, but step {loader.step} was its turn: the loader was iterated"
                    " elsewhere meanwhile (a callback that reads batches needs a loader of its own), or this version of"
                    f" Keras ({keras.__version__}) asks for batches in another way"
                )
            loader.count(made)


def _every_pass_alike(valid: KerasBatches) -> StepBatches:
    plan = valid.loader.plan
    return StepBatches(valid.loader, plan.start_step, plan.steps_per_epoch, valid.structure, valid.order)


def _batches(given: Any, name: str) -> KerasBatches:
    if isinstance(given, KerasBatches):
        return given
    if hasattr(given, "to_keras"):
        made: KerasBatches = given.to_keras()
        return made
    raise ConfigError(
        f"{name} must be a loader, such as data.batches(64), or its to_keras(), not {type(given).__name__}"
    )


def _check(model: Any, train: KerasBatches, valid: KerasBatches | None) -> None:
    if not getattr(model, "compiled", False):
        raise ConfigError("the model is not compiled: model.compile(optimizer='adam', loss=...) comes before fit")
    for batches, name in ((train, "train"), (valid, "valid")):
        if batches is None:
            continue
        if not batches.loader.dataset.target_specs:
            raise ConfigError(
                f"{name} has no target to train for: rl.Dataset(..., target=rl.Labels('label')), or rl.Column for a"
                " quantity"
            )
    train.bind_anew(model)
    if valid is None:
        return
    if valid.loader is train.loader:
        raise ConfigError("train and valid are the same loader: make one of its own, valid.batches(64, shuffle=False)")
    require_alike(train, valid)  # first: a valid of other classes would be told to change the model
    valid.bind_anew(model)
    require_one_order(train, valid)


def _check_callbacks(callbacks: Any) -> None:
    listed = callbacks if isinstance(callbacks, (list, tuple)) else () if callbacks is None else (callbacks,)
    for callback in keras.tree.flatten(list(listed)):
        if not isinstance(callback, keras.callbacks.Callback):
            raise ConfigError(
                f"callbacks is a list of objects such as keras.callbacks.EarlyStopping(), and holds {callback!r}"
            )
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ConfigError(
                "BackupAndRestore begins an interrupted epoch anew and so replays its rows: leave it out, and pass"
                f" resume={getattr(callback, 'backup_dir', 'run')!r} to rowlock.keras.fit"
            )


def _check_executions(model: Any, schedule: Schedule) -> None:
    at_once = getattr(model, "steps_per_execution", 1)
    num_steps = schedule.steps_of_epoch
    if isinstance(at_once, int) and num_steps % at_once:
        raise ConfigError(
            f"steps_per_execution={at_once} does not divide the {num_steps} steps of an epoch, and Keras would go on"
            f" beyond its end: pass steps_per_epoch={max(1, num_steps // at_once) * at_once}, or compile with"
            " another number"
        )


def _class_weights(loader: Loader, given: Any) -> AnyArray | None:
    """Return the weight of each class number."""
    if given is None:
        return None
    specs, classes = loader.dataset.target_specs, loader.dataset.classes
    values = loader.dataset.target_column() if list(specs) == [""] else None
    if values is None or values.ndim != 1 or values.dtype.kind not in "iu":
        raise ConfigError(
            "class_weight is for one target of classes, rl.Labels('label'); for others give the weight of each row:"
            " rl.Dataset(..., sample_weight='column')"
        )
    if values.min() < 0:
        raise ConfigError(f"class_weight is for class numbers from 0, but the target holds {values.min()}")
    num_classes = len(classes) if classes else int(values.max()) + 1
    counts = np.bincount(values, minlength=num_classes)
    if isinstance(given, str) and given == "balanced":
        num_present = int(np.count_nonzero(counts))
        return np.asarray(len(values) / np.maximum(counts, 1) / num_present, np.float32)
    if not hasattr(given, "items"):
        raise ConfigError(f"class_weight is 'balanced' or a dict such as {{'cat': 1.0, 'dog': 2.5}}, not {given!r}")
    numbers = {name: number for number, name in enumerate(classes or range(num_classes))}
    if not any(isinstance(name, int) for name in numbers):  # where classes are text, their numbers will do too
        numbers |= {number: number for number in range(num_classes)}
    weights = np.ones(num_classes, np.float32)
    for name, weight in given.items():
        if name not in numbers:
            shown = list(classes or range(num_classes))
            raise ConfigError(f"class_weight names {name!r}, which is none of the classes {shown}")
        weights[numbers[name]] = weight
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ConfigError(f"class_weight holds a weight that is negative or not finite: {dict(given)!r}")
    return weights
