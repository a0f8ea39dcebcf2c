"""Models of several branches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import keras

from rowlock.dataset import Dataset
from rowlock.errors import ConfigError
from rowlock.keras.branch import Branch, branch_of
from rowlock.keras.branch_models import branch_model, called
from rowlock.keras.heads import check_classes, check_targets, headed
from rowlock.keras.numbers_of_things import refuse_as_quantities
from rowlock.keras.sharing import groups_of, refuse_shared_layers

if TYPE_CHECKING:
    from rowlock.arrays import ArraySpec

__all__ = ["merge"]

JOINS = {"concatenate": "concatenated", "sum": "summed"}
"""What `join` may be, and how the layer is called."""


def merge(
    branches: Mapping[Any, Any],
    head: Any,
    *,
    data: Dataset | None = None,
    join: Literal["concatenate", "sum"] = "concatenate",
    name: str = "merged",
) -> Any:
    """Join branches by their outputs, column-wise, and put a head on top.

    Parameters
    ----------
    branches : dict of str to keras.Model, keras.layers.Layer, None or Branch
        Under the names of the dataset's inputs. A model or layer ends with one output of shape ``(batch, columns)``;
        None passes the input straight through, which numbers of categories, classes and tokens must not be: they want
        an Embedding; a `Branch` says more. Under a tuple of names: a functional model of
        several inputs, in its order (or by its names, if it takes a dict). One model under two names has the same
        weights for both. A single branch gives a model to compare the merged one with.
    head : keras.Model, keras.layers.Layer, or dict of them
        From the joined columns to the prediction; a dict of heads under the names of several targets.
    data : Dataset, optional
        Where the shapes come from, for branches that do not say theirs: None, layers, a ``Sequential`` without
        ``keras.Input``, and ``per_item``. All branches and heads are compared with it.
    join : {"concatenate", "sum"}
        Side by side, or added up, for which all branches must be equally wide.
    name : str
        Name of the model.

    Returns
    -------
    model : keras.Model
        Functional; takes a dict of inputs. Each branch is one of its layers (``image_branch``), then comes
        ``concatenated`` or ``summed``, then ``head``, or one ``price_head`` a target. It is saved and loaded again
        without custom objects.

    Raises
    ------
    ConfigError
        A shape that nobody knows or that does not fit, an output that is not of columns, names that are not those of
        the data, outputs that do not fit the classes, numbers of things taken for quantities, layers that two branches
        share in part.

    Examples
    --------
    >>> model = rowlock.keras.merge({"image": convnet, "growth": dense, "facts": None}, head)  # doctest: +SKIP
    """
    if join not in JOINS:
        raise ConfigError(f"join must be one of {', '.join(map(repr, JOINS))}, not {join!r}")
    _check_data(data)
    named = _named(branches)
    specs = {} if data is None else data.input_specs
    if data is not None:
        _compare_names(named, specs)
        refuse_as_quantities(named, data)
    inputs, columns, parts = _joinable(named, specs)
    joined = _joined(columns, join)
    outputs, heads = headed(head, joined, {_label(names): tensor.shape[1] for names, tensor in columns.items()})
    if data is not None:
        check_targets(outputs, list(data.target_specs))
        check_classes(outputs, data.classes)
    refuse_shared_layers({**parts, **heads})
    return keras.Model(inputs, outputs, name=name)


def _check_data(data: Any) -> None:
    if not (data is None or isinstance(data, Dataset)):
        hint = ", loader.dataset" if isinstance(getattr(data, "dataset", None), Dataset) else ""
        raise ConfigError(f"data is an rl.Dataset{hint}, not {type(data).__name__}")


def _named(branches: Any) -> dict[tuple[str, ...], Branch]:
    """Return the branches under the tuples of their inputs' names."""
    if not isinstance(branches, Mapping) or not branches:
        raise ConfigError("branches is a dict of inputs' names and models, such as {'image': convnet, 'facts': None}")
    named = {}
    for key, value in branches.items():
        names = (key,) if isinstance(key, str) else key
        if not isinstance(names, tuple) or not names or not all(_is_name(name) for name in names):
            raise ConfigError(f"a branch stands under the name of its input, or a tuple of names, not {key!r}")
        named[names] = branch_of(value, _label(names))
    _refuse_names_that_clash(named)
    return named


def _is_name(name: Any) -> bool:
    if isinstance(name, str) and "/" in name:
        raise ConfigError(f"Keras takes no {'/'!r} in a name: rename input {name!r}")
    return isinstance(name, str) and bool(name)


def _refuse_names_that_clash(named: Mapping[tuple[str, ...], Branch]) -> None:
    taken = [name for names in named for name in names]
    twice = sorted({name for name in taken if taken.count(name) > 1})
    if twice:
        raise ConfigError(
            f"input {twice[0]!r} goes into two branches: make them one model of one input and one output, or give the"
            " dataset the input under two names"
        )
    made = {f"{_label(names)}_branch" for names in named} | {*JOINS.values(), "head"}
    clash = sorted(made & {*taken, *(branch.mask for branch in named.values())})
    if clash:
        raise ConfigError(f"an input cannot be called {clash[0]!r}, as a layer of the merged model is: rename it")


def _compare_names(named: Mapping[tuple[str, ...], Branch], specs: Mapping[str, ArraySpec]) -> None:
    taken = {name for names, branch in named.items() for name in _inputs_of(names, branch)}
    if taken != set(specs):
        raise ConfigError(
            f"the branches are {sorted(taken)}, but the inputs of the data are {sorted(specs)}: by other names, or"
            " with one too many, Keras would feed branches with what is not theirs"
        )


def _joinable(
    named: Mapping[tuple[str, ...], Branch], specs: Mapping[str, ArraySpec]
) -> tuple[dict[str, Any], dict[tuple[str, ...], Any], dict[str, Any]]:
    """Return the inputs by name, the columns of each branch, and the nested models by what they are called."""
    inputs: dict[str, Any] = {}
    columns: dict[tuple[str, ...], Any] = {}
    parts = {}
    for group in groups_of(named, specs):
        branch = named[group[0]]
        label = "_".join(_label(names) for names in group)
        sources = [_inputs_of(names, named[names]) for names in group]
        model = branch_model(branch, sources[0], specs, label=_label(group[0]), name=f"{label}_branch")
        passed = branch.model is None and len(model.layers) == 1
        parts[f"branch {label!r}"] = model
        for names, taken in zip(group, sources, strict=True):
            tensors = [_input(inputs, name, like) for name, like in zip(taken, model.inputs, strict=True)]
            columns[names] = tensors[0] if passed else called(model, tensors, f"branch {_label(names)!r}")
    return {name: inputs[name] for name in inputs}, {names: columns[names] for names in named}, parts


def _inputs_of(names: tuple[str, ...], branch: Branch) -> tuple[str, ...]:
    """Return the names of all inputs of a branch, that of its mask last."""
    return names if branch.mask is None else (*names, branch.mask)


def _input(inputs: dict[str, Any], name: str, like: Any) -> Any:
    if name not in inputs:
        inputs[name] = keras.Input(like.shape[1:], dtype=like.dtype, name=name)
    elif inputs[name].shape != like.shape:
        raise ConfigError(f"input {name!r} is a mask of {inputs[name].shape[1:]} and of {like.shape[1:]} items")
    return inputs[name]


def _joined(columns: Mapping[tuple[str, ...], Any], join: str) -> Any:
    tensors = list(columns.values())
    if join == "concatenate":
        return keras.layers.Concatenate(name=JOINS[join])(tensors)
    widths = {_label(names): tensor.shape[1] for names, tensor in columns.items()}
    if len(set(widths.values())) > 1:
        raise ConfigError(
            f"branches are summed if they are equally wide, and they are {widths}: end them with Dense layers of one"
            ' width, or join="concatenate"'
        )
    if len(tensors) == 1:
        return keras.layers.Identity(name=JOINS[join])(tensors[0])
    return keras.layers.Add(name=JOINS[join])(tensors)


def _label(names: tuple[str, ...]) -> str:
    return "_".join(names)
