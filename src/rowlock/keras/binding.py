"""Compares the inputs of a loader with those of a model, before step 1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from rowlock.arguments import nearest
from rowlock.errors import ConfigError
from rowlock.keras.bound_targets import check_targets
from rowlock.keras.bound_weights import check_weights
from rowlock.keras.converted import check_structure
from rowlock.keras.devices import check_devices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.arrays import ArraySpec
    from rowlock.keras.converted import Structure
    from rowlock.loader import Loader

__all__ = ["bind", "bind_inputs", "structure_of"]


class _ModelInputs(NamedTuple):
    """What a model says of its inputs."""

    structure: Structure
    tensors: tuple[Any, ...]
    names: tuple[str, ...]
    """Keys of a dict, else the names of the input layers."""


def bind(loader: Loader, model: Any, structure: Structure) -> tuple[Structure, tuple[str, ...]]:
    """Return the structure and the order in which this model takes the loader's inputs.

    Raises
    ------
    ConfigError
        Inputs, targets or weights do not fit the model.
    """
    bound = bind_inputs(loader, model, structure)
    check_devices(loader)
    if loader.dataset.target_specs and getattr(model, "compiled", False):
        check_targets(loader.dataset, model)
        check_weights(loader, model)
    return bound


def bind_inputs(loader: Loader, model: Any, structure: Structure) -> tuple[Structure, tuple[str, ...]]:
    """Compare the inputs only, as for predictions; see `bind`."""
    if not isinstance(model, keras.Model):
        raise ConfigError(f"bind takes a keras.Model, not {type(model).__name__}")
    specs = loader.dataset.input_specs
    known = _inputs_of(model)
    if known is None:
        return _of_unknown(model, structure, specs)
    order = _order(known, structure, specs)
    bound = _structure(known, structure, len(specs))
    check_structure(bound, list(specs))
    for tensor, own_name, name in zip(known.tensors, known.names, order, strict=True):
        _check_input(tensor, own_name, name, specs[name], loader)
    return bound, order


def structure_of(model: Any) -> Structure:
    """Return how a model takes its inputs, without a comparison; ``"auto"`` where it does not tell."""
    known = _inputs_of(model)
    if known is None:
        return "single" if isinstance(model, keras.Sequential) else "auto"
    return known.structure


def _inputs_of(model: Any) -> _ModelInputs | None:
    """Return the model's inputs, or None where it does not tell them: a subclass, a Sequential that was never built."""
    try:
        flat = model.inputs
        declared = flat[0] if isinstance(model, keras.Sequential) else model.input
    except (AttributeError, ValueError, IndexError, TypeError):
        return None
    if isinstance(declared, dict):
        names, tensors, structure = tuple(declared), tuple(declared.values()), "dict"
    elif isinstance(declared, (list, tuple)):
        tensors, structure = tuple(declared), "tuple"
        names = tuple(getattr(tensor, "name", "") for tensor in tensors)
    else:
        tensors, names, structure = (declared,), (getattr(declared, "name", ""),), "single"
    if not all(hasattr(tensor, "shape") and hasattr(tensor, "dtype") for tensor in tensors):
        return None  # nested deeper: Keras compares
    return _ModelInputs(structure, tensors, names)  # type: ignore[arg-type] # one of the three literals above


def _of_unknown(model: Any, structure: Structure, specs: Mapping[str, ArraySpec]) -> tuple[Structure, tuple[str, ...]]:
    order = tuple(specs)
    if not isinstance(model, keras.Sequential):
        return structure, order
    if len(specs) != 1:
        raise ConfigError(
            f"a Sequential model takes one input, but the data have {len(specs)}: {list(specs)}. Join several branches"
            " with rowlock.keras.merge, or leave inputs out of the dataset."
        )
    return ("single" if structure == "auto" else structure), order


def _order(known: _ModelInputs, structure: Structure, specs: Mapping[str, ArraySpec]) -> tuple[str, ...]:
    """Return the dataset's name for each input of the model: by name where both know it, else by position."""
    if sorted(known.names) == sorted(specs):
        if structure == "tuple" and known.names != tuple(specs):
            raise ConfigError(
                f"the model takes {list(known.names)}, but inputs='tuple' gives {list(specs)}: each would get what is"
                f" another's. Leave inputs= out, or name the dataset's inputs in the model's order."
            )
        return known.names
    if len(known.names) != len(specs):
        raise ConfigError(_differing(known.names, specs))
    if known.structure == "single":
        return tuple(specs)
    if known.structure == "dict" or set(known.names) & set(specs) or structure == "dict":
        raise ConfigError(_differing(known.names, specs))
    if structure == "auto" and _could_be_swapped(known, list(specs.values())):
        raise ConfigError(
            f"the model takes {list(known.names)}, the data give {list(specs)}, and by their shapes some could be"
            f" another's: name them alike, such as keras.Input(..., name={next(iter(specs))!r}); or, if the model takes"
            " them in the dataset's order, loader.to_keras(inputs='tuple')"
        )
    return tuple(specs)


def _could_be_swapped(known: _ModelInputs, specs: Sequence[ArraySpec]) -> bool:
    """Whether inputs have names of the user's, none of them the dataset's, and two may stand in each other's place."""
    if all(re.fullmatch(r"|(keras_tensor|input_layer)(_\d+)?", name) for name in known.names):
        return False
    shapes = [tuple(tensor.shape[1:]) for tensor in known.tensors]
    places = range(len(shapes))
    return any(_fits(specs[b].shape, shapes[a]) and _fits(specs[a].shape, shapes[b]) for a in places for b in range(a))


def _differing(names: Sequence[str], specs: Mapping[str, ArraySpec]) -> str:
    extra = [name for name in specs if name not in names]
    missing = [name for name in names if name not in specs]
    parts = [f"the data give {list(specs)}, the model takes {list(names)}"]
    if extra and (len(specs) > len(names) or not missing):
        parts.append(f"leave {extra} out of the dataset's inputs, or add a branch for it")
    elif missing and len(names) > len(specs):
        parts.append(f"add {missing} to the dataset's inputs")
    elif extra and missing:
        hint = nearest(missing[0], extra)
        parts.append(f"name them alike: {missing} and {extra}.{hint}")
    return ": ".join(parts[:1]) + ". " + " ".join(part[0].upper() + part[1:] for part in parts[1:])


def _structure(known: _ModelInputs, structure: Structure, num_inputs: int) -> Structure:
    if structure == "auto":
        return known.structure
    if structure == "tuple" and known.structure == "dict":
        raise ConfigError("the model takes a dict of inputs: leave inputs= out, or write inputs='dict', not 'tuple'")
    if structure == "single" and known.structure != "single" and num_inputs == 1:
        return known.structure
    if structure == "dict" and known.structure == "single":
        return "single"
    return structure


def _check_input(tensor: Any, own_name: str, name: str, spec: ArraySpec, loader: Loader) -> None:
    named = repr(name) if name == own_name else f"{name!r} (the model's {own_name!r})"
    takes = tuple(tensor.shape[1:])
    if not _fits(spec.shape, takes):
        raise ConfigError(
            f"input {named} has rows of shape {spec.shape}, but the model takes {takes}: write"
            f" keras.Input({spec.shape}, name={name!r}), or change the dataset's input to that shape"
        )
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    if dtype.startswith(("int", "uint", "bool")) and spec.dtype.kind == "f":
        raise ConfigError(
            f"input {named} is {spec.dtype}, but the model takes {dtype} and would cut the fractions off: write"
            f" dtype={dtype!r} for it in the dataset, or keras.Input(..., dtype={spec.dtype.name!r})"
        )
    _check_batch_size(tensor.shape[0], named, loader)


def _check_batch_size(fixed: int | None, named: str, loader: Loader) -> None:
    plan = loader.plan
    if fixed is None:
        return
    is_partial = plan.last == "keep" and plan.num_rows % plan.batch_size != 0
    if fixed != plan.batch_size or is_partial:
        short = ", the last one shorter" if is_partial else ""
        raise ConfigError(
            f"input {named} of the model takes batches of exactly {fixed} rows, the loader gives {plan.batch_size}"
            f"{short}: batches({fixed}, last='drop' or 'pad'), or leave batch_size out of keras.Input"
        )


def _fits(given: tuple[int, ...], takes: tuple[int | None, ...]) -> bool:
    """Say whether Keras takes rows of this shape; it adds or removes a last axis of 1."""
    if len(given) == len(takes):
        return all(want in (None, have) for have, want in zip(given, takes, strict=True))
    if len(given) == len(takes) - 1 and takes[-1] == 1:
        return _fits(given, takes[:-1])
    if len(given) == len(takes) + 1 and given[-1] == 1:
        return _fits(given[:-1], takes)
    return False
