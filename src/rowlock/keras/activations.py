"""Which activation an output certainly comes from."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["activation_of"]


def activation_of(tensor: Any) -> str:
    """Return the name of the activation that a tensor certainly comes from, ``"linear"`` for none; else nothing."""
    layer = _layer_of(tensor)
    while isinstance(layer, keras.Model):
        inner = getattr(layer, "outputs", None)
        if not inner or len(inner) != 1:
            return ""
        layer = _layer_of(inner[0])
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if type(layer) not in (keras.layers.Dense, keras.layers.Activation):
        return ""
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(getattr(activation, "__name__", ""))


def _layer_of(tensor: Any) -> Any:
    return getattr(getattr(tensor, "_keras_history", None), "operation", None)
