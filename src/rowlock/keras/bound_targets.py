"""Compares the targets of a dataset with a model's outputs and losses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import ArraySpec
    from rowlock.dataset import Dataset

__all__ = ["Output", "check_targets", "loss_name", "losses_of", "outputs_of"]

_ELEMENTWISE = {
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_logarithmic_error": "msle",
    "huber": "huber",
    "log_cosh": "log_cosh",
}
_PROBABILITIES = {"softmax", "sigmoid"}


class Output(NamedTuple):
    """One output of a model."""

    name: str
    """Key in a dict of outputs, else the name of the layer."""
    tensor: Any
    is_key: bool = False
    """Whether it is of a dict of outputs."""


def check_targets(dataset: Dataset, model: Any) -> None:
    """Compare targets, outputs and losses; what the model does not tell is not judged.

    Raises
    ------
    ConfigError
    """
    outputs = outputs_of(model)
    if outputs is None:
        return
    losses = losses_of(model, outputs)
    pairs = _pairs(dataset.target_specs, outputs, losses)
    classes = dataset.classes if isinstance(dataset.classes, dict) else {"": dataset.classes}
    for target, output in pairs.items():
        loss = losses.get(output.name)
        if loss is None or not hasattr(output.tensor, "shape"):
            continue
        _check_pair(dataset, target, classes.get(target), output, loss)


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


def _pairs(specs: Mapping[str, ArraySpec], outputs: list[Output], losses: Mapping[str, Any]) -> dict[str, Output]:
    """Return the output of each target."""
    by_name = {output.name: output for output in outputs}
    if list(specs) == [""]:
        if len(outputs) > 1:
            raise ConfigError(
                f"the data have one target, the model has {len(outputs)} outputs, {list(by_name)}: write"
                f" target={{{', '.join(f'{name!r}: ...' for name in by_name)}}}"
            )
        return {"": outputs[0]}
    if len(outputs) == 1 and len(specs) == 1 and not outputs[0].is_key:
        raise ConfigError(
            f"the data have a dict of one target, {list(specs)}, which Keras does not take for a model of one output:"
            " give the target itself, target=rl.Labels('label')"
        )
    of_some = bool(losses) and outputs[0].is_key and set(losses) <= set(specs) < set(by_name)
    if set(specs) == set(by_name) or of_some:
        return {name: by_name[name] for name in specs}
    raise ConfigError(
        f"the targets of the data are {list(specs)}, the outputs of the model {list(by_name)}: they must have the same"
        f" names. Name the last layers so, such as keras.layers.Dense(1, name={next(iter(specs))!r}), or give the model"
        " a dict of outputs."
    )


def _check_pair(dataset: Dataset, target: str, classes: Any, output: Output, loss: Any) -> None:
    spec = dataset.target_specs[target]
    what = f"target {target!r}" if target else "the target"
    name, width = loss_name(loss), output.tensor.shape[-1] if len(output.tensor.shape) > 1 else None
    if name == "sparse_categorical_crossentropy":
        _check_sparse(dataset, target, classes, what, width)
    elif name == "categorical_crossentropy":
        _check_categorical(spec, what, width)
    elif name == "binary_crossentropy":
        _check_binary(spec, classes, what, width)
    elif name in _ELEMENTWISE:
        _check_elementwise(spec, what, width, name)
    if name.endswith("crossentropy"):
        _check_activation(output, loss, name, width)


def _check_sparse(dataset: Dataset, target: str, classes: Any, what: str, width: int | None) -> None:
    spec = dataset.target_specs[target]
    if width == 1:
        raise ConfigError(
            f"{what} is a class, sparse_categorical_crossentropy wants one output a class, and the model has one in"
            f" all: Dense({len(classes) if classes else 'number of classes'}, 'softmax'), or for two classes Dense(1,"
            " 'sigmoid') and loss='binary_crossentropy'"
        )
    if spec.shape not in ((), (1,)) or width is None:
        if spec.shape and width is not None and spec.shape[-1] == width:
            raise ConfigError(f"{what} has {width} numbers a row: loss='categorical_crossentropy', without sparse")
        return
    if classes is not None and len(classes) > width:
        raise ConfigError(
            f"{what} has {len(classes)} classes ({_some(classes)}), but the model has {width} outputs: the last layer"
            f" must be Dense({len(classes)})"
        )
    _check_range(dataset, target, what, width)


def _check_range(dataset: Dataset, target: str, what: str, width: int) -> None:
    values = dataset.target_column(target)
    if values is None:
        return
    wrong = (values < 0) | (values >= width) | (values != np.floor(values))
    if wrong.any():
        raise ConfigError(
            f"{what} holds {values[wrong].flat[0]!r} ({int(wrong.sum())} such value(s)), but with {width} outputs the"
            f" classes are the whole numbers 0 to {width - 1}: rl.Labels numbers them so"
        )


def _check_categorical(spec: ArraySpec, what: str, width: int | None) -> None:
    if width is not None and (not spec.shape or spec.shape[-1] != width):
        of = "one number" if not spec.shape else f"shape {spec.shape}"
        raise ConfigError(
            f"{what} has {of} a row, but categorical_crossentropy wants {width}, one a class: for class numbers write"
            " loss='sparse_categorical_crossentropy'"
        )


def _check_binary(spec: ArraySpec, classes: Any, what: str, width: int | None) -> None:
    if classes is not None and len(classes) > 2:
        raise ConfigError(
            f"{what} has {len(classes)} classes ({_some(classes)}), which binary_crossentropy cannot tell apart:"
            f" Dense({len(classes)}, 'softmax') and loss='sparse_categorical_crossentropy'"
        )
    if width is not None and width > 1 and spec.shape in ((), (1,)):
        raise ConfigError(
            f"{what} has one number a row, but the model {width} outputs, and binary_crossentropy would compare it with"
            " each: Dense(1, 'sigmoid'), or loss='sparse_categorical_crossentropy' with softmax"
        )


def _check_elementwise(spec: ArraySpec, what: str, width: int | None, name: str) -> None:
    if width is not None and width > 1 and spec.shape in ((), (1,)):
        raise ConfigError(
            f"{what} has one number a row, but the model {width} outputs, and {_ELEMENTWISE[name]} would compare it"
            " with each: Dense(1), or for classes loss='sparse_categorical_crossentropy'"
        )
    if width is not None and spec.shape and spec.shape[-1] not in (1, width):
        raise ConfigError(f"{what} has rows of shape {spec.shape}, but the model has {width} outputs")


def _check_activation(output: Output, loss: Any, name: str, width: int | None) -> None:
    activation = _activation(output.tensor)
    from_logits = bool(getattr(loss, "from_logits", False))
    if activation == "softmax" and width == 1:
        raise ConfigError("softmax over one output is always 1: Dense(1, 'sigmoid')")
    if from_logits and activation in _PROBABILITIES:
        raise ConfigError(
            f"the last activation is {activation}, and {name}(from_logits=True) would apply it again: leave one of the"
            " two out"
        )
    if not from_logits and activation == "linear":
        last = "sigmoid" if name.startswith("binary") else "softmax"
        raise ConfigError(
            f"the last layer has no activation, but {name} takes its output for probabilities: activation={last!r}, or"
            f" loss=keras.losses.{''.join(part.title() for part in name.split('_'))}(from_logits=True)"
        )


def _activation(tensor: Any) -> str:
    """Return the activation that a tensor certainly comes from, else nothing."""
    layer = getattr(getattr(tensor, "_keras_history", None), "operation", None)
    while isinstance(layer, keras.Model):
        inner = getattr(layer, "outputs", None)
        if not inner or len(inner) != 1:
            return ""
        layer = getattr(getattr(inner[0], "_keras_history", None), "operation", None)
    if isinstance(layer, keras.layers.Softmax):
        return "softmax"
    if type(layer) not in (keras.layers.Dense, keras.layers.Activation):
        return ""
    activation = getattr(layer, "activation", None)
    return "linear" if activation is None else str(getattr(activation, "__name__", ""))


def _some(classes: Any) -> str:
    shown = ", ".join(repr(one) for one in classes[:5])
    return shown + (", ..." if len(classes) > 5 else "")
