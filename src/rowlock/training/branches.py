"""What an input goes through before it is joined with the others. Why these: docs/adr/0024-training-defaults.md."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import keras

from rowlock.errors import ConfigError
from rowlock.training.backbones import backbone, scaled_pixels

if TYPE_CHECKING:
    from rowlock.arrays import ArraySpec

__all__ = ["branch"]

_WIDTHS: Final = (32, 64, 128, 256)
_SMALLEST_MAP: Final = 4
"""Height or width, in cells, at which a convnet stops to halve its map."""

_MANY: Final = 64
_PENALTY: Final = 3e-3

_MOMENTUM: Final = 0.9
"""Of batch normalisation: Keras' 0.99 needs 500 steps before what it has learnt can be used."""


def branch(name: str, spec: ArraySpec, kind: str | None) -> Any:
    """Return the branch of an input.

    Parameters
    ----------
    name : str
        The input.
    spec : ArraySpec
        Of one row: ``(height, width, 3)`` uint8 for pictures, else ``(columns,)``.
    kind : str, optional
        As in `Config.branches`.

    Returns
    -------
    keras.Model or None
        One input, one output of shape (batch, columns). None: straight through.
    """
    if len(spec.shape) != 3:
        if kind not in (None, "dense", "none"):
            raise ConfigError(f"branch {name!r} is of numbers: it is 'dense' or 'none', not {kind!r}")
        return None if kind == "none" else _dense(name, spec.shape[0])
    if kind is None or kind == "convnet":
        return _convnet(name, spec.shape)
    model, _, weights = kind.partition(":")
    height, width, channels = spec.shape
    return backbone(model, weights or None, (height, width, channels), name)


def _convnet(name: str, shape: tuple[int, ...]) -> Any:
    """Return a small residual network: a stem, then one or two blocks a width, each width at half the resolution."""
    pixels = keras.Input(shape, dtype="uint8", name=name)
    halvings = max(1, min(5, int(math.log2(max(2.0, min(shape[:2]) / _SMALLEST_MAP)))))
    widths = _WIDTHS[: max(1, halvings - (halvings > 2))]
    x = scaled_pixels(pixels, "tf")
    x = _normalised(
        keras.layers.Conv2D(widths[0], 3, strides=2 if halvings > 2 else 1, padding="same", use_bias=False)(x)
    )
    x = keras.layers.Activation("relu")(x)
    for width in widths:
        x = _residual(x, width)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, x, name=f"{name}_branch")


def _residual(x: Any, width: int) -> Any:
    """Halve the map: two 3x3 convolutions beside a pooled 1x1 one (He et al., 2016, shortcut D)."""
    inner = keras.layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
    inner = keras.layers.Activation("relu")(_normalised(inner))
    inner = _normalised(keras.layers.Conv2D(width, 3, padding="same", use_bias=False)(inner))
    beside = keras.layers.AveragePooling2D(2, padding="same")(x)
    beside = _normalised(keras.layers.Conv2D(width, 1, use_bias=False)(beside))
    return keras.layers.Activation("relu")(keras.layers.Add()([inner, beside]))


def _normalised(x: Any) -> Any:
    return keras.layers.BatchNormalization(momentum=_MOMENTUM)(x)


def _dense(name: str, num_columns: int) -> Any:
    """Return two dense layers; of many columns, an L1 penalty lets go of those that do not help."""
    many = num_columns > _MANY
    penalty = keras.regularizers.L1(_PENALTY) if many else None
    width = 16 if num_columns <= 8 else 64
    layers = [
        keras.Input((num_columns,), name=name),
        keras.layers.Dense(width, activation="relu", kernel_regularizer=penalty),
        keras.layers.Dropout(0.2),
        keras.layers.Dense(max(16, width // 2), activation="relu"),
    ]
    return keras.Sequential(layers, name=f"{name}_branch")
