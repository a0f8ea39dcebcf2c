"""The outputs and losses that a model tells."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import keras

__all__ = ["Output", "class_of_loss", "loss_name", "losses_of", "outputs_of"]


class Output(NamedTuple):
    """One output of a model."""

    name: str
    """Key in a dict of outputs, else the name of the layer."""
    tensor: Any
    is_key: bool = False
    """Whether it is of a dict of outputs."""


def outputs_of(model: Any) -> list[Output] | None:
    """Return the outputs of a functional or built sequential model, else None."""
    try:
        flat = list(model.outputs)
        declared = model.output if not isinstance(model, keras.Sequential) else flat[0]
        names = list(getattr(model, "output_names", None) or [""] * len(flat))
    except (AttributeError, ValueError, TypeError, IndexError):
        return None
    if isinstance(declared, dict):
        if not all(hasattr(tensor, "shape") for tensor in declared.values()):
            return None
        return [Output(name, declared[name], is_key=True) for name in sorted(declared)]  # as Keras flattens it
    if len(names) != len(flat):
        return None
    return [Output(name, tensor) for name, tensor in zip(names, flat, strict=True)]


def losses_of(model: Any, outputs: list[Output]) -> dict[str, Any]:
    """Return the loss of each output that has one, under the output's name."""
    loss = getattr(model, "loss", None)
    if loss is None:
        return {}
    if isinstance(loss, dict):
        return {name: one for name, one in loss.items() if one is not None}
    if isinstance(loss, (list, tuple)):
        if len(loss) != len(outputs):
            return {}
        return {output.name: one for output, one in zip(outputs, loss, strict=True) if one is not None}
    return {output.name: loss for output in outputs}


def loss_name(loss: Any) -> str:
    """Return a loss's name in small letters with underscores, or nothing where it is of the user's own."""
    if isinstance(loss, str):
        try:
            loss = keras.losses.get(loss)
        except ValueError:
            return ""
    kind = loss if callable(loss) and hasattr(loss, "__name__") else type(loss)
    if not str(getattr(kind, "__module__", "")).startswith("keras."):
        return ""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower()


def class_of_loss(name: str) -> str:
    """Return the name of Keras' class for what `loss_name` gives."""
    plain = name.replace("_", "")
    return next((known for known in dir(keras.losses) if known[0].isupper() and known.lower() == plain), name)
