"""Models of `keras.applications` as branches: their name, their scaling of pixels, their weights from a local file."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

import keras

from rowlock.arguments import nearest
from rowlock.errors import ConfigError

__all__ = ["backbone", "names", "scaled_pixels"]

_SCALING: Final = {
    "convnext": "itself",
    "densenet": "torch",
    "efficientnet": "itself",
    "efficientnet_v2": "itself",
    "inception_resnet_v2": "tf",
    "inception_v3": "tf",
    "mobilenet": "tf",
    "mobilenet_v2": "tf",
    "mobilenet_v3": "itself",
    "nasnet": "tf",
    "resnet": "caffe",
    "resnet_v2": "tf",
    "vgg16": "caffe",
    "vgg19": "caffe",
    "xception": "tf",
}
"""How the models of each module want 0 to 255: ``preprocess_input`` of that module, in words; tests compare the two."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's red, green and blue, 0 to 1
_CAFFE_MEAN = (103.939, 116.779, 123.68)  # of its blue, green and red, 0 to 255


def names() -> dict[str, Any]:
    """Return the models that there are, by their name in small letters."""
    found = vars(keras.applications)
    return {name.lower(): maker for name, maker in found.items() if inspect.isfunction(maker)}


def backbone(name: str, weights: str | None, shape: tuple[int, int, int], input_name: str) -> Any:
    """Return a model of `keras.applications` from uint8 pictures to a row of numbers each.

    Parameters
    ----------
    name : str
        Such as ``"efficientnetv2b0"``, in small or capital letters.
    weights : str, optional
        A local ``.weights.h5`` or ``.h5`` file of this model without its top. None: weights by chance. Nothing is
        ever downloaded.
    shape : (height, width, 3)
    input_name : str

    Raises
    ------
    ConfigError
        No such model, pictures too small for it, no such file or one of another model.
    """
    makers = names()
    if name.lower() not in makers:
        raise ConfigError(
            f"branch {input_name!r}: {name!r} is neither 'convnet' nor a model of keras.applications."
            f"{nearest(name.lower(), makers)} There are {', '.join(sorted(makers))}."
        )
    maker = makers[name.lower()]
    pixels = keras.Input(shape, dtype="uint8", name=input_name)
    body = _body(maker, shape, name, input_name)
    if weights is not None:
        _load(body, weights, name, input_name)
    made = body(scaled_pixels(pixels, scaling_of(maker)))
    return keras.Model(pixels, made, name=f"{input_name}_branch")


def scaling_of(maker: Any) -> str:
    """Return how a model wants its pixels, a value of `_SCALING`."""
    module = maker.__module__.rpartition(".")[2]
    if module not in _SCALING:
        raise ConfigError(f"it is not known how {maker.__name__} of this version of Keras wants its pixels scaled")
    return _SCALING[module]


def scaled_pixels(pixels: Any, scaling: str) -> Any:
    """Return pixels (0 to 255) as a model wants them, by layers that a saved model holds without code."""
    floats = keras.layers.Rescaling(1.0)
    if scaling == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    if scaling == "torch":
        return keras.layers.Rescaling(
            [1 / (255 * std) for std in _STD],
            offset=[-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
        )(pixels)
    if scaling == "caffe":
        return keras.layers.Rescaling([1.0, 1.0, 1.0], offset=[-mean for mean in _CAFFE_MEAN])(
            keras.ops.flip(floats(pixels), axis=-1)
        )
    return floats(pixels)


def _body(maker: Any, shape: tuple[int, int, int], name: str, input_name: str) -> Any:
    try:
        return maker(include_top=False, weights=None, input_shape=shape, pooling="avg")
    except ValueError as error:
        raise ConfigError(f"branch {input_name!r}: {name} does not take pictures of {shape[:2]}: {error}") from error


def _load(body: Any, weights: str, name: str, input_name: str) -> None:
    path = Path(weights)
    if not path.is_file():
        raise ConfigError(f"branch {input_name!r}: there is no weights file {weights!r} for {name}")
    try:
        body.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds for a file that does not fit
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"branch {input_name!r}: {weights} does not hold the weights of {name} without its top: {reason}"
        ) from error
