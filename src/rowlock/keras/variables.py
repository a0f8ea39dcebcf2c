"""All variables of a model in training, as arrays and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.arrays import AnyArray

__all__ = ["load_variables", "variables_of"]


def variables_of(model: Any, *, with_metrics: bool) -> dict[str, AnyArray]:
    """Return weights, states of random layers, variables of the optimizer, and metrics, under a name for each.

    Random generators that belong to no model are those of `rowlock.keras.generators`.

    Parameters
    ----------
    model : keras.Model
        Built, its optimizer too.
    with_metrics : bool
        Within an epoch: so that its history covers all of it.
    """
    return {name: _array(variable) for name, variable in _named(model, with_metrics=with_metrics)}


def load_variables(model: Any, arrays: Mapping[str, AnyArray]) -> None:
    """Set the variables to what `variables_of` has returned; metrics only where this model has the same ones."""
    with_metrics = any(name.startswith("metric.") for name in arrays)
    for name, variable in _named(model, with_metrics=with_metrics):
        if name in arrays and tuple(variable.shape) == arrays[name].shape:
            variable.assign(arrays[name])


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
