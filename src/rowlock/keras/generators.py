"""The random generators of the process that layers and callbacks draw from without naming one, as arrays and back."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR, global_seed_generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray

__all__ = ["load_random_state", "random_state"]

_PYTHON: Final = "random.python"
_NUMPY: Final = "random.numpy"
_KERAS: Final = "random.keras"
_TORCH: Final = "random.torch"
"""With ``.0`` of the processor, ``.1`` of the first CUDA device, ..."""
_TENSORFLOW: Final = "random.tensorflow"


def random_state() -> dict[str, AnyArray]:
    """Return the states of all generators, under a name for each.

    Python's `random`, NumPy's `np.random`, Keras' generator of draws without a seed, and the backend's: PyTorch's on
    processor and CUDA devices (`Dropout` without a seed draws from there), TensorFlow's ``tf.random.Generator``. JAX
    has none. What TensorFlow's older operations (``tf.random.uniform``) have drawn is hidden in their kernels.
    """
    found = _python_state() | _numpy_state()
    keras_own = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    if keras_own is not None:
        found[_KERAS] = np.asarray(keras.ops.convert_to_numpy(keras_own.state.value))
    own = {"torch": _torch_state, "tensorflow": _tensorflow_state}.get(keras.backend.backend())
    return found if own is None else found | own()


def load_random_state(arrays: Mapping[str, AnyArray]) -> None:
    """Let all generators go on where `random_state` was taken; other arrays are passed over."""
    if _KERAS in arrays:
        global_seed_generator().state.assign(arrays[_KERAS])
    if keras.backend.backend() == "torch":
        _load_torch(arrays)
    if _TENSORFLOW in arrays and keras.backend.backend() == "tensorflow":
        _load_tensorflow(arrays)
    if _NUMPY in arrays:
        _load_numpy(arrays)
    if _PYTHON in arrays:  # last: Keras' generator, where it has to be made, draws its seed from this one
        _load_python(arrays)


def _python_state() -> dict[str, AnyArray]:
    version, words, gauss = random.getstate()
    known = np.array([version, gauss is not None, gauss or 0.0], np.float64)
    return {_PYTHON: np.array(words, np.uint32), f"{_PYTHON}.more": known}


def _load_python(arrays: Mapping[str, AnyArray]) -> None:
    version, has_gauss, gauss = arrays[f"{_PYTHON}.more"].tolist()
    random.setstate((int(version), tuple(arrays[_PYTHON].tolist()), gauss if has_gauss else None))


def _numpy_state() -> dict[str, AnyArray]:
    """Return NumPy's state; nothing where somebody has put another kind of generator there."""
    told: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - this very one
    if told["bit_generator"] != "MT19937":
        return {}
    more = np.array([told["state"]["pos"], told["has_gauss"], told["gauss"]], np.float64)
    return {_NUMPY: np.asarray(told["state"]["key"], np.uint32), f"{_NUMPY}.more": more}


def _load_numpy(arrays: Mapping[str, AnyArray]) -> None:
    place, has_gauss, gauss = arrays[f"{_NUMPY}.more"].tolist()
    np.random.set_state(("MT19937", arrays[_NUMPY], int(place), int(has_gauss), gauss))  # noqa: NPY002 - this very one


def _torch_state() -> dict[str, AnyArray]:
    import torch  # noqa: PLC0415 - only where it is the backend

    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]
    return {f"{_TORCH}.{number}": state.numpy() for number, state in enumerate(states)}


def _load_torch(arrays: Mapping[str, AnyArray]) -> None:
    import torch  # noqa: PLC0415 - only where it is the backend

    for name, array in arrays.items():
        if name == f"{_TORCH}.0":
            torch.set_rng_state(torch.from_numpy(array.copy()))
        elif name.startswith(f"{_TORCH}.") and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.from_numpy(array.copy()), int(name.rpartition(".")[2]) - 1)


def _tensorflow_state() -> dict[str, AnyArray]:
    """Return the state of the global ``tf.random.Generator``, if anybody has asked for it."""
    from tensorflow.python.ops import stateful_random_ops  # noqa: PLC0415 - only where it is the backend

    made = stateful_random_ops.global_generator
    if made is None:
        return {}
    return {_TENSORFLOW: made.state.numpy(), f"{_TENSORFLOW}.algorithm": np.array(int(made.algorithm))}


def _load_tensorflow(arrays: Mapping[str, AnyArray]) -> None:
    import tensorflow as tf  # noqa: PLC0415 - only where it is the backend

    state, algorithm = arrays[_TENSORFLOW], int(arrays[f"{_TENSORFLOW}.algorithm"])
    made = tf.random.get_global_generator()
    if int(made.algorithm) == algorithm and tuple(made.state.shape) == state.shape:
        made.state.assign(state)  # the same object: compiled functions hold it
    else:
        tf.random.set_global_generator(tf.random.Generator.from_state(state, algorithm))
