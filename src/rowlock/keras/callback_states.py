"""What callbacks remember from epoch to epoch, to be saved with a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rowlock.arrays import AnyArray

__all__ = ["append_to_logs", "load_states", "states_of"]

_LOG = logging.getLogger("rowlock")

_REMEMBERED: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (keras.callbacks.EarlyStopping, ("best", "best_epoch", "stopped_epoch", "wait")),
    (keras.callbacks.ReduceLROnPlateau, ("best", "cooldown_counter", "wait")),
    (
        keras.callbacks.ModelCheckpoint,
        ("best", "_batches_seen_since_last_saving", "_last_batch_seen", "_current_epoch"),
    ),
)
"""Attributes of Keras' own callbacks that change as epochs go by; Keras 3.15."""

_BEST_WEIGHTS = "best_weights"


def states_of(callbacks: Iterable[Any]) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Return what callbacks remember, as facts for JSON and arrays, under a name for each.

    Keras' EarlyStopping, ReduceLROnPlateau and ModelCheckpoint; and any that has ``state_dict()``, a dict for JSON.
    """
    facts: dict[str, Any] = {}
    arrays: dict[str, AnyArray] = {}
    for name, callback in _named(callbacks):
        if hasattr(callback, "state_dict"):
            facts[name] = callback.state_dict()
            continue
        for kind, attributes in _REMEMBERED:
            if isinstance(callback, kind):
                facts[name] = {one: _plain(getattr(callback, one, None)) for one in attributes}
        for place, value in enumerate(getattr(callback, _BEST_WEIGHTS, None) or ()):
            arrays[f"{name}.{place}"] = np.asarray(value)
    return facts, arrays


def load_states(callbacks: Iterable[Any], facts: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> None:
    """Give callbacks back what they remembered; one that cannot say what it remembers begins anew, with a warning."""
    for name, callback in _named(callbacks):
        if name in facts and hasattr(callback, "load_state_dict"):
            callback.load_state_dict(facts[name])
        elif name in facts:
            for attribute, value in facts[name].items():
                if value is not None or hasattr(callback, attribute):
                    setattr(callback, attribute, value)
            own = {one: array for one, array in arrays.items() if one.rpartition(".")[0] == name}
            if own:
                callback.best_weights = [own[f"{name}.{place}"] for place in range(len(own))]
        elif not type(callback).__module__.startswith(("keras.", "rowlock.")) and vars(callback).keys() - _BASE:
            _LOG.warning(
                "%s begins anew with the resumed run: what it remembers is unknown. Give it state_dict() and"
                " load_state_dict(state), of a dict for JSON.",
                type(callback).__name__,
            )


def append_to_logs(callbacks: Iterable[Any]) -> None:
    """Let a resumed run go on with the files that `CSVLogger` has begun."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger):
            callback.append = True


_BASE = frozenset(vars(keras.callbacks.Callback())) | {"_model", "params", "validation_data"}


def _named(callbacks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    counts: dict[str, int] = {}
    for callback in callbacks:
        kind = type(callback).__name__
        counts[kind] = counts.get(kind, -1) + 1
        yield f"callback.{kind}.{counts[kind]}", callback


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return float(value)
