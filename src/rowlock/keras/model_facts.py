"""What tells a model from another one, in words that a message can show."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["differences", "facts_of_model"]

_MOST_SHOWN = 3


def facts_of_model(model: Any) -> dict[str, Any]:
    """Return the layers with their settings, the optimizer with its, and the variables' shapes; for JSON.

    Numbers that Keras puts behind names (``dense_7``) and seeds are left out: they differ between processes.
    """
    return {
        "layers": [[type(layer).__name__, _settings(layer)] for layer in _layers(model)],
        "optimizer": [type(model.optimizer).__name__, _without_rate(_settings(model.optimizer))],
        "loss": _named(getattr(model, "loss", None)),
        "variables": [[_without_number(variable.path), list(variable.shape), str(variable.dtype)] for variable in
                      model.variables],
    }  # fmt: skip


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs, with both values, the first few."""
    found = []
    for part in ("layers", "variables"):
        if len(was[part]) != len(now[part]):
            found.append(f"the model had {len(was[part])} {part}, has {len(now[part])}")
            continue
        found += [
            f"{part[:-1]} {number} was {_shown(old, new)}, is {_shown(new, old)}"
            for number, (old, new) in enumerate(zip(was[part], now[part], strict=True))
            if old != new
        ]
    for part in ("optimizer", "loss"):
        if was[part] != now[part]:
            found.append(f"{part} was {_shown(was[part], now[part])}, is {_shown(now[part], was[part])}")
    more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return found[:_MOST_SHOWN] + more


def _layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        if getattr(layer, "layers", None):
            yield from _layers(layer)
        else:
            yield layer


def _settings(thing: Any) -> dict[str, Any]:
    try:
        settings = json.loads(json.dumps(thing.get_config(), default=lambda value: type(value).__name__))
    except Exception:  # noqa: BLE001 - a layer of the user's own need not have any
        return {}
    cleaned: dict[str, Any] = _cleaned(settings)
    return cleaned


def _without_rate(settings: dict[str, Any]) -> dict[str, Any]:
    """Leave a learning rate out that is a number: it changes in training, and is saved as a variable."""
    return {name: value for name, value in settings.items() if name != "learning_rate" or isinstance(value, dict)}


def _cleaned(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_number(inner) if key == "name" and isinstance(inner, str) else _cleaned(inner)
            for key, inner in value.items()
            if key != "seed"
        }
    return [_cleaned(inner) for inner in value] if isinstance(value, list) else value


def _without_number(name: str) -> str:
    return re.sub(r"_\d+(?=/|$)", "", name)


def _named(loss: Any) -> Any:
    if isinstance(loss, dict):
        return {name: _named(one) for name, one in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [_named(one) for one in loss]
    if loss is None or isinstance(loss, str):
        return loss
    return getattr(loss, "__name__", None) or [type(loss).__name__, _settings(loss)]


def _shown(one: Any, other: Any) -> str:
    """Return what is particular to `one`: of two settings, only those that differ."""
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other) == 2 and one[0] == other[0]:
        return f"{one[0]}({_of(one[1], other[1])})"
    return _of(one, other)


def _of(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        parts = {key: value for key, value in one.items() if other.get(key) != value or key not in other}
        return ", ".join(f"{key}={_clipped(value)}" for key, value in parts.items())
    return _clipped(one)


def _clipped(value: Any) -> str:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):
        value = value[0]
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
