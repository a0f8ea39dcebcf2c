"""A loader's stats as logs of Keras."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras
from typing_extensions import override

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.keras.batches import KerasBatches
    from rowlock.loader import Loader

__all__ = ["Stats"]


class Stats(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Adds to the logs of each epoch, and so to the history, how fast the training data came.

    ``rows_per_second`` counts the model's own time, and validation; ``wait_share``, 0 to 1, is the share of the epoch
    in which Keras waited for a batch (on JAX an upper bound, see `LoaderStats`). At the end of training `advice` says
    in one sentence what limited the rate.

    Parameters
    ----------
    batches : KerasBatches or Loader
        What ``fit`` gets as ``x``.

    Examples
    --------
    >>> batches = train.batches(64).to_keras()  # doctest: +SKIP
    >>> model.fit(batches, callbacks=[rowlock.keras.Stats(batches)])  # doctest: +SKIP
    """

    def __init__(self, batches: KerasBatches | Loader) -> None:
        super().__init__()
        loader = getattr(batches, "loader", batches)
        if not hasattr(loader, "stats"):
            raise ConfigError(f"Stats takes what fit gets: loader.to_keras(), or the loader, not {batches!r}")
        self._loader: Loader = loader
        self._before = self._at_start = loader.stats()
        self._began = 0.0
        self._train_seconds = 0.0
        self.advice = ""

    @override
    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._at_start, self._train_seconds = self._loader.stats(), 0.0

    @override
    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._before, self._began = self._loader.stats(), time.perf_counter()

    @override
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = time.perf_counter() - self._began  # validation included: its batches are made by the same threads
        self._train_seconds += seconds
        if logs is not None and seconds:
            waited = (self._loader.stats() - self._before).wait_seconds
            logs["rows_per_second"] = self._num_rows() / seconds
            logs["wait_share"] = min(1.0, waited / seconds)

    @override
    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        whole = self._loader.stats() - self._at_start
        self.advice = replace(whole, elapsed_seconds=self._train_seconds).advice

    def _num_rows(self) -> int:
        """Return the rows of an epoch as Keras has it: the loader may be ahead by the batches that are read early."""
        plan, steps = self._loader.plan, (self.params or {}).get("steps")
        if steps is None or steps == len(self._loader):
            first = plan.first_step(plan.start.epoch + 1)
            return plan.num_rows_between(first, first + len(self._loader))
        return int(steps) * plan.batch_size
