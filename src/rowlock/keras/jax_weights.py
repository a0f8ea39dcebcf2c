"""The weights of a model on JAX, where an error would lose them.

Within `fit`, `evaluate` and `predict`, Keras takes them out of the model (3.15), carries them from step to step, and
puts them back at the end. After an error in the first step of `fit`, or in any step of the others, it does not: every
later call fails with ``'NoneType' object is not callable``, and what was trained is gone.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any, Final

import keras

from rowlock.keras.calling import frame_of_call

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KeptWeights", "put_back_carried"]

_CARRIED: Final = {
    "fit": ("trainable", "non_trainable", "optimizer", "metrics"),
    "evaluate": ("trainable", "non_trainable", "metrics"),
    "predict": ("trainable", "non_trainable"),
}


def put_back_carried() -> None:
    """Put back what the call of Keras that this one was made from carries, if it took it out of the model."""
    frame = frame_of_call(inspect.currentframe()) if keras.backend.backend() == "jax" else None
    if frame is None:
        return
    model, carried = frame.f_locals["self"], frame.f_locals.get("state")
    parts = _CARRIED[frame.f_code.co_name]
    if isinstance(carried, (list, tuple)) and len(carried) == len(parts):
        for part, values in zip(parts, carried, strict=True):
            _put_back(zip(_variables(model, part), values, strict=False))


class KeptWeights:
    """What the variables of a model held when `take` was called; costs no memory, since JAX gives it to the next step.

    Parameters
    ----------
    model : keras.Model
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._held: list[tuple[Any, Any]] = []

    def take(self) -> None:
        """Note what they hold; before Keras takes it out of the model."""
        if keras.backend.backend() == "jax":
            variables = (one for part in _CARRIED["fit"] for one in _variables(self._model, part))
            self._held = [(variable, variable._value) for variable in variables]  # noqa: SLF001 - of the value itself

    def put_back(self) -> None:
        """After an error: what the last step gave, else what was there before the first."""
        if self._held:
            with contextlib.suppress(RuntimeError):  # given to a step that was interrupted
                self._model.jax_state_sync()
            _put_back(iter(self._held))
        self._held = []


def _variables(model: Any, part: str) -> Any:
    if part == "optimizer":
        return getattr(getattr(model, "optimizer", None), "variables", ())
    return getattr(model, f"{part}_variables")


def _put_back(pairs: Iterator[tuple[Any, Any]]) -> None:
    for variable, value in pairs:
        is_gone = getattr(variable, "_value", value) is None
        if is_gone and value is not None and not value.is_deleted():
            variable.assign(value)
