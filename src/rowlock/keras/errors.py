"""The exception that a batch met, where Keras' backend passes only its text on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowlock.keras.steps import StepBatches

__all__ = ["original"]


def original(error: BaseException, *sources: StepBatches | None) -> BaseException:
    """Return what a batch of one of the sources raised, if TensorFlow's `error` tells of it; else `error` itself."""
    if not type(error).__module__.startswith("tensorflow"):
        return error
    for source in sources:
        met = None if source is None else source.last_error
        if met is not None and type(met).__name__ in str(error):
            return met
    return error
