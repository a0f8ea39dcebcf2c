"""A batch as Keras takes it: in the structure of the model, without a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import keras
import numpy as np

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.batch import Batch

__all__ = ["Structure", "check_structure", "converted"]

Structure = Literal["auto", "dict", "tuple", "single"]


def check_structure(structure: str, names: list[str]) -> None:
    """Refuse a structure that does not exist, or ``"single"`` for several inputs.

    Raises
    ------
    ConfigError
    """
    if structure not in get_args(Structure):
        raise ConfigError(f"inputs must be 'auto', 'dict', 'tuple' or 'single', not {structure!r}")
    if structure == "single" and len(names) != 1:
        raise ConfigError(f"inputs='single' is for one input, but the data have {len(names)}: {names}")


def converted(
    batch: Batch,
    structure: Structure,
    order: tuple[str, ...],
    *,
    class_weight: AnyArray | None = None,
    with_target: bool = True,
) -> tuple[Any, ...]:
    """Return (inputs,), (inputs, target) or (inputs, target, sample_weight).

    Parameters
    ----------
    batch : Batch
    structure : {"auto", "dict", "tuple", "single"}
        ``"auto"`` is a dict.
    order : tuple of str
        Names of the inputs, as a tuple has them.
    class_weight : float32, shape (number of classes,), optional
        Multiplies the weight of each row, by its target.
    with_target : bool
        False: only the inputs, to predict with.
    """
    inputs: Any = {name: _tensor(array) for name, array in batch.inputs.items()}
    if structure == "tuple":  # not a list: TensorFlow's data sets refuse lists
        inputs = tuple(inputs[name] for name in order)
    elif structure == "single":
        inputs = inputs[order[0]]
    if batch.target is None or not with_target:
        return (inputs,)
    if isinstance(batch.target, dict):
        target: Any = {name: _tensor(array) for name, array in batch.target.items()}
    else:
        target = _tensor(batch.target)
    weight = batch.sample_weight
    if class_weight is not None:
        of_class = class_weight[np.asarray(batch.target)]
        weight = of_class if weight is None else np.asarray(weight * of_class, np.float32)
    return (inputs, target) if weight is None else (inputs, target, _tensor(weight))


def _tensor(array: Any) -> Any:
    """Return what the backend takes without copying: tensors for PyTorch, arrays for the others."""
    if keras.backend.backend() != "torch":
        return array
    import torch  # noqa: PLC0415 - only where it is the backend

    return torch.from_numpy(array)
