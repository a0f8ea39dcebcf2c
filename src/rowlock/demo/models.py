"""The branches, the head, and what is made of them: two models of one source, one of both."""

from __future__ import annotations

from typing import Any, Final

import keras

import rowlock.keras
from rowlock.demo.growth import NUM_COLUMNS

__all__ = ["SIZE", "build"]

SIZE: Final = (64, 64)
"""Height and width of the pictures as the model sees them."""


def build(names: tuple[str, ...]) -> Any:
    """Return a compiled model of the named branches.

    Parameters
    ----------
    names : tuple of "image", "growth"
        One of them, or both: then their outputs are joined column-wise.

    Returns
    -------
    keras.Model
        Takes a dict of inputs under these names; returns the probability of each class, shape (batch, 2).
    """
    makers = {"image": _image_branch, "growth": _growth_branch}
    branches = {name: makers[name]() for name in names}
    model = rowlock.keras.merge(branches, _head())
    optimizer = keras.optimizers.Adam(2e-3)
    model.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _image_branch() -> Any:
    """Three small convolutions; the first steps over every other pixel, which halves the demo's time."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3), dtype="uint8", name="image"),
            layers.Rescaling(1 / 127.5, offset=-1),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(48, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(32, activation="relu"),
        ]
    )


def _growth_branch() -> Any:
    """One dense layer whose L1 penalty lets go of columns that do not help: 988 of the 1000."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((NUM_COLUMNS,), name="growth"),
            layers.BatchNormalization(momentum=0.9),
            layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.L1(0.02)),
        ]
    )


def _head() -> Any:
    return keras.Sequential(
        [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(2, activation="softmax")], name="head"
    )
