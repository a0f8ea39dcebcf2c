"""Models of several branches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import ArraySpec
    from rowlock.dataset import Dataset

__all__ = ["merge"]


def merge(
    branches: Mapping[str, Any],
    head: Any,
    *,
    data: Dataset | None = None,
    name: str = "merged",
) -> Any:
    """Join branches by their outputs, column-wise, and put a head on top.

    Parameters
    ----------
    branches : dict of str to keras.Model or None
        Two or more models (``Sequential`` or functional) of one input and one output of shape
        ``(batch, columns)``, under the names of the dataset's inputs; None passes that input straight through.
    head : keras.Model or keras.Layer
        From the concatenated columns to the prediction.
    data : Dataset, optional
        Where the shapes come from, for branches that do not say theirs: None, and a ``Sequential`` without
        ``keras.Input``.
    name : str
        Name of the model.

    Returns
    -------
    model : keras.Model
        Functional; takes a dict of inputs (or a list, in the order of `branches`).

    Raises
    ------
    ConfigError
        Fewer than two branches, a shape that nobody knows, an output that is not of columns.

    Examples
    --------
    >>> model = rowlock.keras.merge({"image": convnet, "growth": dense}, head)  # doctest: +SKIP
    """
    if len(branches) < 2:
        raise ConfigError(f"merge joins two or more branches, not {len(branches)}: {list(branches)!r}")
    specs = {} if data is None else data.input_specs
    if data is not None and sorted(specs) != sorted(branches):
        raise ConfigError(
            f"the branches are {sorted(branches)}, but the inputs of the data are {sorted(specs)}: by other names, or"
            " with one too many, Keras would feed branches with what is not theirs"
        )
    inputs, columns = {}, []
    for input_name, branch in branches.items():
        inputs[input_name] = _input(input_name, branch, specs.get(input_name))
        output = inputs[input_name] if branch is None else branch(inputs[input_name])
        columns.append(_checked(output, input_name, passed=branch is None))
    return keras.Model(inputs, head(keras.layers.Concatenate(name="concatenated")(columns)), name=name)


def _input(name: str, branch: Any, spec: ArraySpec | None) -> Any:
    known = getattr(branch, "inputs", None) if getattr(branch, "built", False) else None
    if known:
        if len(known) != 1:
            raise ConfigError(f"branch {name!r} has {len(known)} inputs; a branch takes one")
        shape = tuple(known[0].shape[1:])
        fits = spec is None or all(own in (None, given) for own, given in zip(shape, spec.shape, strict=False))
        if spec is not None and (len(shape) != len(spec.shape) or not fits):
            raise ConfigError(f"branch {name!r} takes rows of shape {shape}, the data give {spec.shape}")
        return keras.Input(shape, dtype=known[0].dtype, name=name)
    if spec is None:
        what = "is passed straight through" if branch is None else "does not begin with keras.Input(shape)"
        raise ConfigError(f"branch {name!r} {what}, so its shape is not known: pass merge(..., data=dataset)")
    return keras.Input(spec.shape, name=name)


def _checked(output: Any, name: str, *, passed: bool) -> Any:
    shape = getattr(output, "shape", None)
    if shape is None or len(shape) != 2:
        what = "is passed through with" if passed else "ends with"
        raise ConfigError(
            f"branch {name!r} {what} shape {shape}, but branches are joined column-wise, by (batch, columns):"
            " end it with Flatten, GlobalAveragePooling2D or Dense"
        )
    return output
