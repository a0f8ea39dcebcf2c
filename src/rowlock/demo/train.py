"""Trains a model on one source or on both, always on the same rows, and asks it about the test part."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np
import pyarrow.parquet as pq

import rowlock as rl
from rowlock.demo.models import SIZE, build

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rowlock.demo.data import DemoData
    from rowlock.stats import LoaderStats

__all__ = ["CLASSES", "MODELS", "Answers", "TrainedModel", "train"]

CLASSES: Final = ("cat", "fox")
MODELS: Final[dict[str, tuple[str, ...]]] = {
    "images only": ("image",),
    "features only": ("growth",),
    "merged": ("image", "growth"),
}
"""Name of each model, and the inputs it gets."""

BATCH_SIZE: Final = 50


@dataclass(frozen=True)
class Answers:
    """What a model said about the rows of the test part.

    Attributes
    ----------
    frame : pyarrow.Table
        The rows, as they are in the table on disk.
    probability : float32, shape (n,)
        Of being a fox.
    is_right : bool, shape (n,)
    """

    frame: Any
    probability: NDArray[np.float32]
    is_right: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.is_right.mean())

    def accuracy_where(self, column: str, *values: str) -> float:
        """Share of right answers where a column of the table has one of the values; nan where none has."""
        chosen = np.isin(self.frame[column].to_pylist(), values)
        return float(self.is_right[chosen].mean()) if chosen.any() else float("nan")


@dataclass(frozen=True)
class TrainedModel:
    """One model of the demo after its last epoch.

    Attributes
    ----------
    name : str
        A key of `MODELS`.
    valid_accuracy : tuple of float
        After each epoch.
    test : Answers
    seconds : float
        From the first batch of training to the last of validation.
    stats : LoaderStats
        Of the training batches.
    """

    name: str
    valid_accuracy: tuple[float, ...]
    test: Answers
    seconds: float
    stats: LoaderStats


def train(name: str, data: DemoData, *, seed: int, epochs: int, on_epoch: Callable[[float], object]) -> TrainedModel:
    """Train one model and test it.

    Parameters
    ----------
    name : str
        A key of `MODELS`.
    data : DemoData
    seed : int
        Of the split, of the order of rows, and of the weights: the same for all models.
    epochs : int
    on_epoch : callable
        Called after each epoch with the accuracy on the validation part.
    """
    keras.utils.set_random_seed(seed)
    train_part, valid_part, test_part = _dataset(name, data).split(0.7, 0.15, 0.15, stratify="label", seed=seed)
    model = build(MODELS[name])
    loader = train_part.batches(BATCH_SIZE, seed=seed)
    start = time.perf_counter()
    history = model.fit(
        loader.to_keras(),
        validation_data=valid_part.batches(BATCH_SIZE, shuffle=False).to_keras(),
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: on_epoch(logs["val_accuracy"]))],
    )
    seconds = time.perf_counter() - start
    stats = loader.stats()
    loader.close()
    valid_accuracy = tuple(float(value) for value in history.history["val_accuracy"])
    return TrainedModel(name, valid_accuracy, _asked(model, test_part), seconds, stats)


def _dataset(name: str, data: DemoData) -> rl.Dataset:
    """Return the table's rows with the inputs that this model gets, and no others."""
    inputs: dict[str, rl.Input] = {
        "image": rl.Images("imgpath", size=SIZE, root=data.folder),
        "growth": rl.Features(str(data.store)),
    }
    return rl.Dataset(
        pq.read_table(data.table),
        inputs={source: inputs[source] for source in MODELS[name]},
        target=rl.Labels("label", classes=CLASSES),
        key="object_id",
    )


def _asked(model: Any, part: rl.Dataset) -> Answers:
    loader = part.batches(BATCH_SIZE, shuffle=False)  # the order of the frame, so answers belong to its rows
    probability = model.predict(loader.to_keras(), verbose=0)[:, 1]
    loader.close()
    frame = part.frame
    is_fox = np.asarray(frame["label"].to_pylist()) == CLASSES[1]
    return Answers(frame, probability, (probability > 0.5) == is_fox)
