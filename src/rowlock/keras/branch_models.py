"""Each branch as one nested model, from its inputs to the columns that are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError
from rowlock.keras.items import columns_of_items, each_item

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.arrays import ArraySpec
    from rowlock.keras.branch import Branch

__all__ = ["branch_model", "called", "declared_inputs"]

Declared = list[tuple[tuple[int | None, ...], str]]
"""Shape of a row and dtype, an input."""

_TAKE_NUMBERS_OF_THINGS = ("Embedding", "CategoryEncoding", "IntegerLookup", "Hashing")
_NORMALIZATIONS = {"batch": keras.layers.BatchNormalization, "layer": keras.layers.LayerNormalization}


def branch_model(
    branch: Branch, inputs: Sequence[str], specs: Mapping[str, ArraySpec], *, label: str, name: str
) -> Any:
    """Return a functional model of the branch.

    Parameters
    ----------
    branch : Branch
    inputs : sequence of str
        Names of the inputs, the mask last.
    specs : dict of str to ArraySpec
        What the data give, as far as it is known.
    label : str
        Of the branch, for messages.
    name : str
        Of the model.

    Raises
    ------
    ConfigError
        A shape that nobody knows, that the data do not have, or that cannot be joined.
    """
    rows = [name for name in inputs if name != branch.mask]
    declared = _declared_rows(branch, rows, specs, label)
    tensors = [keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in zip(rows, declared, strict=True)]
    mask = None if branch.mask is None else _mask_input(branch.mask, tensors[0].shape[1], specs, label)
    outcome = _through(branch, tensors, rows, mask, label)
    if branch.normalize is not None:
        outcome = _NORMALIZATIONS[branch.normalize](name=f"{branch.normalize}_normalization")(outcome)
    return keras.Model([*tensors, *([] if mask is None else [mask])], outcome, name=name)


def declared_inputs(stage: Any) -> dict[str, Any] | list[Any] | None:
    """Return the inputs that a model was made with, or None for a layer and a model that was not built yet."""
    if not isinstance(stage, keras.Model) or not stage.built or not getattr(stage, "inputs", None):
        return None
    structure = getattr(stage, "input", None)  # a Sequential has none until it is called
    if isinstance(structure, dict):
        return dict(structure)
    return list(stage.inputs)


def called(model: Any, arguments: Any, label: str) -> Any:
    """Call a model of the user's on symbolic tensors; what goes wrong names the branch or head."""
    try:
        outcome = model(arguments)
    except (TypeError, ValueError) as error:
        told = str(error).replace("\033[1m", "").replace("\033[0m", "")
        shapes = ", ".join(str(tensor.shape) for tensor in keras.tree.flatten(arguments))
        raise ConfigError(f"{label} cannot take {shapes}: {told}") from error
    if outcome is None:
        raise ConfigError(f"{label} gives None")
    return outcome


def _through(branch: Branch, tensors: list[Any], rows: list[str], mask: Any, label: str) -> Any:
    """Return the columns of the branch."""
    outcome: Any = tensors[0]
    told = f"branch {label!r}"
    if branch.per_item is not None:
        outcome = each_item(outcome)
    if branch.preprocess is not None:
        outcome = _preprocessed(branch.preprocess, outcome, f"preprocess of {told}")
    if branch.model is not None:
        if branch.frozen:
            branch.model.trainable = False
        arguments = outcome if len(tensors) == 1 else _arranged(branch.model, tensors, rows, label)
        outcome = called(branch.model, arguments, told)
    elif len(outcome.shape) == 1:
        outcome = keras.layers.Reshape((1,), name="one_column")(outcome)
    _check_columns(outcome, label, passed=branch.model is None)
    if branch.per_item is not None:
        outcome = columns_of_items(outcome, mask, tensors[0].shape[1], branch.per_item)
    return outcome


def _preprocessed(preprocess: Any, tensor: Any, label: str) -> Any:
    """Return the layer's outcome; that of a function as a model of its own, in floating point as it expects."""
    if isinstance(preprocess, keras.Layer):
        return called(preprocess, tensor, label)
    inner = keras.Input(tensor.shape[1:], dtype=tensor.dtype)
    outcome = called(preprocess, keras.ops.cast(inner, "float32"), label)
    if not isinstance(outcome, keras.KerasTensor):
        raise ConfigError(f"{label} must work on Keras' tensors, with keras.ops; it gives {type(outcome).__name__}")
    return keras.Model(inner, outcome, name="preprocess")(tensor)


def _arranged(model: Any, tensors: list[Any], rows: list[str], label: str) -> Any:
    """Return the inputs of a model of several as it takes them: by name, or in the order in which they were named."""
    declared = declared_inputs(model)
    if not isinstance(declared, dict):
        return tensors
    if sorted(declared) != sorted(rows):
        raise ConfigError(f"branch {label!r} takes inputs called {sorted(declared)}, but is given {sorted(rows)}")
    return dict(zip(rows, tensors, strict=True))


def _declared_rows(branch: Branch, rows: list[str], specs: Mapping[str, ArraySpec], label: str) -> Declared:
    stage = branch.model if branch.preprocess is None else branch.preprocess
    declared = declared_inputs(stage)
    if declared is None and branch.preprocess is not None and not set(rows) <= set(specs):
        declared = declared_inputs(branch.model)  # it is taken to keep the shape; the model says otherwise if not
    if isinstance(declared, dict) and len(rows) > 1:
        declared = [declared.get(name) for name in rows]
    known = None if declared is None else [*(declared.values() if isinstance(declared, dict) else declared)]
    if len(rows) > 1:
        _check_several(branch, known, rows, label)
    elif known is not None and len(known) != 1:
        raise ConfigError(
            f"branch {label!r} has {len(known)} inputs: name those that it takes in its order, as in"
            " {('words', 'mask'): model}"
        )
    return [_row(branch, stage, known and known[place], specs.get(name), name) for place, name in enumerate(rows)]


def _check_several(branch: Branch, known: list[Any] | None, rows: list[str], label: str) -> None:
    if branch.per_item is not None or branch.preprocess is not None or branch.model is None:
        raise ConfigError(f"branch {label!r} of several inputs is one model that takes them all, and nothing before it")
    if known is None:
        raise ConfigError(f"branch {label!r} of several inputs is a functional model, which says what it takes")
    if None in known or len(known) != len(rows):
        names = sorted(declared) if isinstance(declared := declared_inputs(branch.model), dict) else len(known)
        raise ConfigError(f"branch {label!r} has other inputs ({names}) than it is given: {rows}")


def _row(
    branch: Branch, stage: Any, known: Any, spec: ArraySpec | None, label: str
) -> tuple[tuple[int | None, ...], str]:
    """Return shape and dtype of an input's row: what the data give, if the branch takes that."""
    if spec is None and (known is None or branch.per_item is not None):
        raise ConfigError(f"branch {label!r} {_why_unknown(branch)}: pass merge(..., data=dataset)")
    if known is None and spec is not None:
        if spec.shape == () and isinstance(stage, keras.Layer) and not _is_of_things(stage):
            return (1,), "float32"  # a single number is a column, as Keras takes it
        dtype = spec.dtype.name if branch.preprocess is not None or _takes_numbers(stage, spec) else "float32"
        return spec.shape, dtype  # Keras casts what it is fed, on the device
    taken = tuple(known.shape[1:])
    if spec is None:
        return taken, known.dtype
    given = spec.shape if branch.per_item is None else spec.shape[1:]
    fits = len(taken) == len(given) and all(own in (None, size) for own, size in zip(taken, given, strict=True))
    if not fits and spec.shape == () and taken in ((1,), (None,)) and branch.per_item is None:
        return (1,), known.dtype  # Keras makes a column of a single number
    if not fits:
        raise ConfigError(_misfit(branch, label, taken, spec.shape))
    return spec.shape, spec.dtype.name if _takes_numbers(stage, spec) else known.dtype


def _misfit(branch: Branch, label: str, taken: tuple[int | None, ...], given: tuple[int, ...]) -> str:
    what = "rows" if branch.per_item is None else "items"
    hint = ""
    if branch.per_item is None and len(given) == len(taken) + 1:
        hint = f'. To apply it to each of the {given[0]}: Branch(model, per_item="mean")'
    return f"branch {label!r} takes {what} of shape {taken}, the data give {given}{hint}"


def _why_unknown(branch: Branch) -> str:
    if branch.per_item is not None:
        return "is applied to each item, and how many a row has is not known"
    if branch.model is None:
        return "is passed straight through, so its shape is not known"
    return "does not begin with keras.Input(shape), so its shape is not known"


def _takes_numbers(stage: Any, spec: ArraySpec) -> bool:
    """Return whether whole numbers go into a layer that wants them; a Sequential that was built by a call denies it."""
    return _is_of_things(stage) and spec.dtype.kind in "iu"


def _is_of_things(stage: Any) -> bool:
    """Return whether a layer or model begins with a layer that looks numbers up."""
    first = stage
    while isinstance(first, keras.Model) and getattr(first, "layers", None):
        first = next((layer for layer in first.layers if not isinstance(layer, keras.layers.InputLayer)), None)
    return type(first).__name__ in _TAKE_NUMBERS_OF_THINGS


def _mask_input(name: str, num_items: int | None, specs: Mapping[str, ArraySpec], label: str) -> Any:
    spec = specs.get(name)
    if spec is not None and spec.shape != (num_items,):
        raise ConfigError(
            f"branch {label!r} has {num_items} items a row, but its mask {name!r} has rows of shape {spec.shape}"
        )
    return keras.Input((num_items,), dtype="float32", name=name)


def _check_columns(outcome: Any, label: str, *, passed: bool) -> None:
    if not isinstance(outcome, keras.KerasTensor):
        raise ConfigError(f"branch {label!r} has several outputs; a branch ends with one, of shape (batch, columns)")
    shape = outcome.shape
    if len(shape) != 2 or shape[1] is None:
        what = "is passed through with" if passed else "ends with"
        advice = "Flatten, GlobalAveragePooling2D (pooling='avg' of keras.applications) or Dense"
        if len(shape) == 3:
            advice = "Flatten, GlobalAveragePooling1D or a recurrent layer without return_sequences"
        raise ConfigError(
            f"branch {label!r} {what} shape {tuple(shape)}, but branches are joined column-wise, by (batch, columns):"
            f" end it with {advice}"
        )
