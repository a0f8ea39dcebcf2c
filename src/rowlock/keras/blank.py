"""A batch of zeros, to build what Keras builds only when it sees data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.batch import Batch
from rowlock.keras.converted import converted

if TYPE_CHECKING:
    from rowlock.keras.batches import KerasBatches

__all__ = ["build"]


def build(model: Any, batches: KerasBatches, *, with_metrics: bool = False) -> None:
    """Make the variables of a model and its optimizer, so that saved ones can be put there.

    Parameters
    ----------
    model : keras.Model
        Compiled.
    batches : KerasBatches
        What it will be trained on.
    with_metrics : bool
        Make the variables of compiled metrics too, by a step of evaluation.
    """
    if with_metrics:
        model.test_on_batch(*_blank(batches))
        model.reset_metrics()
    elif not model.built:
        model(_blank(batches)[0])
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)


def _blank(batches: KerasBatches) -> tuple[Any, ...]:
    dataset, num_rows = batches.loader.dataset, batches.loader.plan.batch_size
    inputs = {name: np.zeros((num_rows, *spec.shape), spec.dtype) for name, spec in dataset.input_specs.items()}
    targets: dict[str, Any] = {
        name: np.zeros((num_rows, *spec.shape), spec.dtype) for name, spec in dataset.target_specs.items()
    }
    rows = np.zeros(num_rows, np.int64)
    batch = Batch(inputs, targets.get("", targets or None), None, rows, rows, 0, 0)
    return converted(batch, batches.structure, batches.order)
