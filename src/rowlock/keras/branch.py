"""`Branch`: what lies between an input and the columns that are joined."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

import keras

from rowlock.arguments import true_or_false
from rowlock.errors import ConfigError

__all__ = ["Branch", "branch_of"]

Normalize = Literal["batch", "layer"]
PerItem = Literal["mean", "max", "concat"]


@dataclass(frozen=True, eq=False)
class Branch:
    """A model and what is done around it: a branch of `merge` that says more than which model.

    Parameters
    ----------
    model : keras.Model or keras.layers.Layer, optional
        Ends with one output of shape ``(batch, columns)``. None: the input itself.
    preprocess : keras.layers.Layer, keras.Model or callable, optional
        What comes before the model, such as ``keras.layers.Rescaling(1 / 255)``, or a function of floating-point
        tensors such as ``keras.applications.mobilenet_v2.preprocess_input``. It becomes part of the merged model, is
        saved with it, and runs on its device.
    per_item : {"mean", "max", "concat"}, optional
        The input is several things a row, ``(T, ...)``, such as four pictures. The model is applied to each of them;
        then their columns are averaged, the greatest of each is taken, or they are set side by side.
    mask : str, optional
        Name of the input of shape ``(T,)`` that is 1 where there is an item and 0 where not, such as `rl.ImagesMask`:
        items that are not there do not count for `per_item`. The columns of a row without any are 0.
    normalize : {"batch", "layer"}, optional
        A BatchNormalization or LayerNormalization behind all that, so that no branch drowns the others by the size of
        its numbers.
    frozen : bool
        The weights of the model stay as they are (its ``trainable`` is set to False). So do the statistics of its batch
        normalisation, which works as for predictions. To fine-tune later, ``model.trainable = True``, but freeze its
        BatchNormalization layers, and compile anew.

    Raises
    ------
    ConfigError
        A wrong argument.

    Examples
    --------
    >>> Branch(backbone, preprocess=preprocess_input, frozen=True)  # doctest: +SKIP
    """

    model: Any = None
    _: KW_ONLY
    preprocess: Any = None
    per_item: PerItem | None = None
    mask: str | None = None
    normalize: Normalize | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.model, Branch) or not (self.model is None or isinstance(self.model, keras.Layer)):
            raise ConfigError(f"a branch is a Keras model or layer, or None to pass its input on, not {self.model!r}")
        _check_choice("per_item", self.per_item, PerItem)
        _check_choice("normalize", self.normalize, Normalize)
        true_or_false("frozen", self.frozen)
        if self.preprocess is not None and not callable(self.preprocess):
            raise ConfigError(f"preprocess is a Keras layer or a function of tensors, not {self.preprocess!r}")
        if self.mask is not None and (self.per_item is None or not isinstance(self.mask, str)):
            raise ConfigError(
                f"mask={self.mask!r} is the name of the input that says which items count, and goes with per_item=. A"
                " model that takes a mask itself is a branch of two inputs: {('words', 'mask'): model}."
            )
        if self.model is None and (self.frozen or self.per_item is not None):
            raise ConfigError("frozen= and per_item= say what becomes of a model, and this branch has none")


def branch_of(value: Any, name: str) -> Branch:
    """Return what stands in the dict of branches as a `Branch`, or raise a `ConfigError` that names it."""
    if isinstance(value, Branch):
        return value
    try:
        return Branch(value)
    except ConfigError as error:
        raise ConfigError(f"branch {name!r}: {error}") from None


def _check_choice(name: str, value: Any, choices: Any) -> None:
    if value is not None and value not in get_args(choices):
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, get_args(choices)))} or None, not {value!r}")
