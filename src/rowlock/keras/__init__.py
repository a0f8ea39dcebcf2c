"""Keras 3: batches for `fit`, `evaluate` and `predict`, models of several branches, and where the time goes."""

from __future__ import annotations

from rowlock.errors import MissingDependencyError

try:
    import keras  # noqa: F401 - asked for here, so that the modules below need not
except ModuleNotFoundError as error:
    raise MissingDependencyError(
        f"{error.name!r} is not installed, which Keras needs: pip install 'rowlock[keras]' and one of"
        " 'rowlock[jax]', 'rowlock[torch]', 'rowlock[tensorflow]', named by KERAS_BACKEND"
    ) from error

from rowlock.keras.batches import KerasBatches
from rowlock.keras.branch import Branch
from rowlock.keras.drawing import draw
from rowlock.keras.merging import merge
from rowlock.keras.predicting import predict
from rowlock.keras.resuming import Resume
from rowlock.keras.stats import Stats
from rowlock.keras.summaries import summary
from rowlock.keras.training import fit

__all__ = ["Branch", "KerasBatches", "Resume", "Stats", "draw", "fit", "merge", "predict", "summary"]
