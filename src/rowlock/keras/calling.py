"""Which call of Keras asks for batches: `fit`, `evaluate` and `predict` tell a data set nothing of themselves."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import keras

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["Call", "call_of_keras", "frame_of_call"]

_CALLS: Final = ("fit", "evaluate", "predict")
_MOST_FRAMES: Final = 16


class Call(NamedTuple):
    """A method of a model that is being called, and what it was given."""

    name: str
    """``"fit"``, ``"evaluate"`` or ``"predict"``."""
    model: Any
    x: Any
    validation_data: Any


def call_of_keras() -> Call | None:
    """Return the innermost call of Keras that this one was made from; None where there is none, or none is seen.

    There is no other way to know the model. So nothing depends on it but what would fail, or be wrong, without it.
    """
    frame = frame_of_call(inspect.currentframe())
    if frame is None:
        return None
    given = frame.f_locals
    return Call(frame.f_code.co_name, given["self"], given.get("x"), given.get("validation_data"))


def frame_of_call(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame below that is a method of a model: `fit`, `evaluate` or `predict`."""
    for _ in range(_MOST_FRAMES):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return None
        if frame.f_code.co_name in _CALLS and isinstance(frame.f_locals.get("self"), keras.Model):
            return frame
    return None
