"""Compares a target with the output and the loss that it meets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.keras.activations import activation_of
from rowlock.keras.outputs import class_of_loss, loss_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, ArraySpec
    from rowlock.dataset import Dataset
    from rowlock.keras.outputs import Output

__all__ = ["check_pair", "shown_classes"]

_OF_NUMBERS = ("sparse_categorical_crossentropy", "categorical_generalized_cross_entropy")
"""These want one class number a row, and one output a class."""
_OF_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge")
"""These want one number and one output a class."""
_OF_TWO = ("binary_crossentropy", "binary_focal_crossentropy", "hinge", "squared_hinge")
"""These tell yes from no, in every output for itself."""
_OF_PROBABILITIES = ("binary_crossentropy", "binary_focal_crossentropy")
_NOT_JUDGED = ("", "circle", "ctc")
"""Losses of the user's own, of embeddings, and of sequences."""
_SHORT = {
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "mean_absolute_percentage_error": "mape",
    "mean_squared_logarithmic_error": "msle",
}
_PROBABILITIES = {"softmax", "sigmoid"}


@dataclass(frozen=True)
class _Pair:
    """What is compared."""

    dataset: Dataset
    target: str
    classes: tuple[Any, ...] | None
    width: int | None
    loss: str

    @property
    def what(self) -> str:
        return f"target {self.target!r}" if self.target else "the target"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dataset.target_specs[self.target].shape

    @property
    def is_one_number(self) -> bool:
        return self.shape in ((), (1,))

    @property
    def values(self) -> AnyArray | None:
        """Of all rows, where the table has them."""
        return self.dataset.target_column(self.target)


def check_pair(dataset: Dataset, target: str, classes: Any, output: Output, loss: Any) -> None:
    """Refuse what would fail later, or be wrong without a word.

    Parameters
    ----------
    dataset : Dataset
    target : str
        Its name, ``""`` for a single one.
    classes : tuple or None
    output : Output
        Its tensor has a shape.
    loss
        As `compile` was given it.

    Raises
    ------
    ConfigError
    """
    shape = output.tensor.shape
    width = shape[-1] if len(shape) > 1 else None
    spec = dataset.target_specs[target]
    name = (
        _guessed(spec, shape) if isinstance(loss, str) and loss.lower() in ("crossentropy", "ce") else loss_name(loss)
    )
    if name in _NOT_JUDGED:
        return
    pair = _Pair(dataset, target, classes, width, name)
    if classes is not None and len(shape) > 2:
        raise ConfigError(
            f"{pair.what} is one class a row, but the output has shape {tuple(shape[1:])} a row: Flatten,"
            " GlobalAveragePooling2D or the like come before the last layer"
        )
    if name in _OF_NUMBERS:
        _check_of_numbers(pair)
    elif name in _OF_HOT:
        _check_of_hot(pair)
    else:
        _check_elementwise(pair)
    _check_activation(activation_of(output.tensor), loss, pair)


def shown_classes(classes: Sequence[Any]) -> str:
    """Return the first few classes."""
    return ", ".join(map(repr, classes[:5])) + (", ..." if len(classes) > 5 else "")


def _guessed(spec: ArraySpec, shape: Sequence[int | None]) -> str:
    """Return the loss that Keras takes for ``"crossentropy"``."""
    if shape[-1] == 1:
        return "binary_crossentropy"
    is_of_numbers = len(spec.shape) + 1 < len(shape) or spec.shape[-1:] == (1,)
    return "sparse_categorical_crossentropy" if is_of_numbers else "categorical_crossentropy"


def _check_of_numbers(pair: _Pair) -> None:
    what, width, classes = pair.what, pair.width, pair.classes
    if width == 1:
        raise ConfigError(
            f"{what} is a class, {pair.loss} wants one output a class, and the model has one in"
            f" all: Dense({len(classes) if classes else 'number of classes'}, 'softmax'), or for two classes Dense(1,"
            " 'sigmoid') and loss='binary_crossentropy'"
        )
    if not pair.is_one_number or width is None:
        if pair.shape and width is not None and pair.shape[-1] == width:
            raise ConfigError(f"{what} has {width} numbers a row: loss='categorical_crossentropy', without sparse")
        return
    if classes is not None and len(classes) != width:
        raise ConfigError(
            f"{what} has {len(classes)} classes ({shown_classes(classes)}), but the model has {width} outputs: the last"
            f" layer must be Dense({len(classes)})"
            + ("" if len(classes) > width else ", or name the classes to come, too: rl.Labels(..., classes=[...])")
        )
    _check_numbers(pair, width)


def _check_numbers(pair: _Pair, width: int) -> None:
    values = pair.values
    if values is None:
        return
    wrong = (values < 0) | (values >= width) | (values != np.floor(values))
    if wrong.any():
        raise ConfigError(
            f"{pair.what} holds {values[wrong].flat[0].item():g} ({int(wrong.sum())} such value(s)), but with {width}"
            f" outputs the classes are the whole numbers 0 to {width - 1}: rl.Labels numbers them so"
        )


def _check_of_hot(pair: _Pair) -> None:
    shape, width = pair.shape, pair.width
    if width is not None and (not shape or shape[-1] != width):
        of = "one number" if not shape else f"shape {shape}"
        raise ConfigError(
            f"{pair.what} has {of} a row, but {pair.loss} wants {width}, one a class: for class numbers write"
            " loss='sparse_categorical_crossentropy'"
        )


def _check_elementwise(pair: _Pair) -> None:
    """Compare what a loss compares number by number; Keras repeats one number for all outputs without a word."""
    what, width, shape, classes = pair.what, pair.width, pair.shape, pair.classes
    if pair.loss in _OF_TWO and classes is not None and len(classes) > 2:
        raise ConfigError(
            f"{what} has {len(classes)} classes ({shown_classes(classes)}), which {pair.loss} cannot tell apart:"
            f" Dense({len(classes)}, 'softmax') and loss='sparse_categorical_crossentropy'"
        )
    if width is not None and width > 1 and pair.is_one_number:
        last = "Dense(1, 'sigmoid')" if pair.loss in _OF_TWO else "Dense(1)"
        raise ConfigError(
            f"{what} has one number a row, but the model {width} outputs, and {_SHORT.get(pair.loss, pair.loss)} would"
            f" compare it with each: {last}, or for classes loss='sparse_categorical_crossentropy' with softmax"
        )
    if width is not None and shape and shape[-1] != width:
        raise ConfigError(
            f"{what} has rows of shape {shape}, but the model has {width} output(s): the last layer must be"
            f" Dense({shape[-1]})"
        )
    if pair.loss in _OF_PROBABILITIES:
        _check_between(pair, "takes it for a probability")


def _check_between(pair: _Pair, why: str) -> None:
    """Refuse numbers that no probability is near: the loss would have no end, or no way there."""
    values = pair.values
    if values is None or values.dtype.kind == "b":
        return
    wrong = (values < 0) | (values > 1)
    if wrong.any():
        raise ConfigError(
            f"{pair.what} holds {values[wrong].flat[0].item():g} ({int(wrong.sum())} value(s) outside 0 to 1), but"
            f" {_SHORT.get(pair.loss, pair.loss)} {why}: for classes rl.Labels, for a quantity a last layer without"
            " activation and loss='mse'"
        )


def _check_activation(activation: str, loss: Any, pair: _Pair) -> None:
    name = pair.loss
    from_logits = bool(getattr(loss, "from_logits", False))
    if activation == "softmax" and pair.width == 1:
        raise ConfigError("softmax over one output is always 1: Dense(1, 'sigmoid')")
    if name in _SHORT and activation in _PROBABILITIES:
        _check_between(pair, f"compares it with the last layer's {activation}, which stays between")
    if not name.endswith("crossentropy"):
        return
    if from_logits and activation in _PROBABILITIES:
        raise ConfigError(
            f"the last activation is {activation}, and {name}(from_logits=True) would apply it again: leave one of the"
            " two out"
        )
    if not from_logits and activation == "linear":
        last = "sigmoid" if name.startswith("binary") else "softmax"
        raise ConfigError(
            f"the last layer has no activation, but {name} takes its output for probabilities: activation={last!r}, or"
            f" loss=keras.losses.{class_of_loss(name)}(from_logits=True)"
        )
