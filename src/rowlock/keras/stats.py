"""A loader's stats as logs of Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.keras.batches import KerasBatches
    from rowlock.loader import Loader

__all__ = ["Stats"]


class Stats(keras.callbacks.Callback):  # type: ignore[misc] # Keras has no types
    """Adds to the logs of each epoch, and so to the history, how fast the training data came.

    ``rows_per_second`` counts the model's own time too; ``wait_share``, 0 to 1, is the share of the epoch in which
    Keras waited for a batch (on JAX an upper bound, see `LoaderStats`). At the end of training `advice` says in one
    sentence what limited the rate.

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
        self.advice = ""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002, D102 - as in Callback
        self._at_start = self._loader.stats()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002, D102 - as above
        self._before = self._loader.stats()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002, D102 - as above
        epoch_stats = self._loader.stats() - self._before
        if logs is not None:
            logs["rows_per_second"] = epoch_stats.rows_per_second
            logs["wait_share"] = epoch_stats.wait_share

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002, D102 - as above
        self.advice = (self._loader.stats() - self._at_start).advice
