"""Batches for Keras by the number of their step: the same batch for the same number, however Keras asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import keras

from rowlock.keras.converted import converted
from rowlock.keras.jax_weights import put_back_carried

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import AnyArray
    from rowlock.epoch import Made
    from rowlock.keras.converted import Structure
    from rowlock.loader import Loader

__all__ = ["StepBatches"]

_NUM_PROBED = 2
"""Most batches that Keras takes before it trains, and asks for again."""


class StepBatches(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """Steps ``first``, ``first + 1``, ... of a loader, under Keras' indices 0, 1, ...

    An index is a step, so probes, passes that are begun again and read-ahead change nothing. Endless for training
    (``num_batches`` None, with ``steps_per_epoch``), finite for validation and predictions.

    Parameters
    ----------
    loader : Loader
    first : int
        The step under index 0.
    num_steps : int
        What is asked for beyond, by read-ahead of TensorFlow, is the last batch again.
    structure, order
        How the model takes its inputs; see `rowlock.keras.converted`.
    endless : bool
        Whether Keras shall go on counting over its epochs.
    took : callable, optional
        Called with every batch as Keras takes it, once; by default it counts as used (`Loader.count`).
    class_weight : float32, shape (number of classes,), optional
    with_target : bool

    Attributes
    ----------
    last_error : BaseException or None
        What happened to a batch last: TensorFlow passes only its text on.
    """

    def __init__(
        self,
        loader: Loader,
        first: int,
        num_steps: int,
        structure: Structure,
        order: tuple[str, ...],
        *,
        endless: bool = False,
        took: Callable[[Made], object] | None = None,
        class_weight: AnyArray | None = None,
        with_target: bool = True,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.last_error: BaseException | None = None
        self._lock = threading.Lock()  # TensorFlow takes batches in a thread of its own
        self._loader = loader
        self._first = first
        self._num_steps = num_steps
        self._structure = structure
        self._order = order
        self._endless = endless
        self._took = loader.count if took is None else took
        self._class_weight = class_weight
        self._with_target = with_target
        self._probed: dict[int, Any] = {}
        self._last: Any = None
        self._is_closed = False

    @property
    def num_batches(self) -> int | None:
        """Number of batches of a pass; None where training counts on."""
        return None if self._endless else self._num_steps

    def __getitem__(self, index: int) -> Any:
        with self._lock:
            if index in self._probed:
                return self._probed[index]
            if self._last is not None and (self._is_closed or index >= self._num_steps):
                return self._last
            try:
                return self._take(index)
            except BaseException as error:
                put_back_carried()
                self.last_error = error
                raise

    def close(self) -> None:
        """Leave the loader alone from now on, whatever TensorFlow's thread still asks for."""
        with self._lock:
            self._is_closed = True
            self._probed = {}

    def _take(self, index: int) -> Any:
        made = self._loader.made(self._first + index)
        self._took(made)
        taken = converted(
            made.batch, self._structure, self._order, class_weight=self._class_weight, with_target=self._with_target
        )
        if index < _NUM_PROBED:
            self._probed[index] = taken
        else:
            self._probed = {}
        self._last = taken
        return taken
