"""All variables of a model in training, as arrays and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.arrays import AnyArray

__all__ = ["load_random_state", "load_variables", "random_state", "variables_of"]

_TORCH_STATE = "torch_random_state"
"""With ``.0`` of the processor, ``.1`` of the first CUDA device, ..."""


def variables_of(model: Any, *, with_metrics: bool) -> dict[str, AnyArray]:
    """Return weights, states of random layers, variables of the optimizer, and metrics, under a name for each.

    Parameters
    ----------
    model : keras.Model
        Built, its optimizer too.
    with_metrics : bool
        Within an epoch: so that its history covers all of it.
    """
    arrays = {name: _array(variable) for name, variable in _named(model, with_metrics=with_metrics)}
    return arrays | random_state()


def load_variables(model: Any, arrays: Mapping[str, AnyArray]) -> None:
    """Set the variables to what `variables_of` has returned; metrics only where this model has the same ones."""
    with_metrics = any(name.startswith("metric.") for name in arrays)
    for name, variable in _named(model, with_metrics=with_metrics):
        if name in arrays and tuple(variable.shape) == arrays[name].shape:
            variable.assign(arrays[name])


def random_state() -> dict[str, AnyArray]:
    """Return PyTorch's random state, which `Dropout` without a seed draws from there; nothing on other backends."""
    if keras.backend.backend() != "torch":
        return {}
    import torch  # noqa: PLC0415 - only where it is the backend

    states = [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]
    return {f"{_TORCH_STATE}.{number}": state.numpy() for number, state in enumerate(states)}


def load_random_state(arrays: Mapping[str, AnyArray]) -> None:
    """Go on with a random state; what Keras does before its first batch (a `DataLoader`) draws from it too."""
    if keras.backend.backend() != "torch":
        return
    import torch  # noqa: PLC0415 - only where it is the backend

    for name, array in arrays.items():
        if name == f"{_TORCH_STATE}.0":
            torch.set_rng_state(torch.from_numpy(array.copy()))
        elif name.startswith(f"{_TORCH_STATE}.") and torch.cuda.is_available():
            torch.cuda.set_rng_state(torch.from_numpy(array.copy()), int(name.rpartition(".")[2]) - 1)


def _named(model: Any, *, with_metrics: bool) -> Iterator[tuple[str, Any]]:
    parts = [("model", model.variables), ("optimizer", getattr(model.optimizer, "variables", ()))]
    if with_metrics:
        parts.append(("metric", model.metrics_variables))
    for part, variables in parts:
        for number, variable in enumerate(variables):
            yield f"{part}.{number}", variable


def _array(variable: Any) -> AnyArray:
    array = np.asarray(keras.ops.convert_to_numpy(variable.value))
    return array if array.dtype.kind in "biuf" else array.astype(np.float32)  # bfloat16, exactly
