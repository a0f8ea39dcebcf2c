"""A merged model as plain facts, read from its layers: for `summary` and `draw`, also after loading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError
from rowlock.keras.merging import JOINS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BranchFacts", "HeadFacts", "MergedGraph", "Source", "Step", "graph_of"]

_MOST_STEPS = 12
"""Longer models are one step: a backbone has hundreds of layers."""


@dataclass(frozen=True)
class Source:
    """An input: its name, the shape of a row, and the dtype."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True)
class Step:
    """A layer, or a model that is too large to show its layers.

    Attributes
    ----------
    label : str
        Such as ``"Dense 16 relu"``.
    shape : tuple
        Of what it gives, a row.
    num_parameters : int
    is_frozen : bool
        It has parameters, and is set not to be trained.
    num_layers : int
        Of a model whose layers are not shown, else 0.
    """

    label: str
    shape: tuple[int | None, ...]
    num_parameters: int
    is_frozen: bool
    num_layers: int = 0


@dataclass(frozen=True)
class BranchFacts:
    """One branch: inputs, steps, and its columns among those that are joined.

    Attributes
    ----------
    name : str
    sources : tuple of Source
    steps : tuple of Step
        None where the input passes straight through.
    width : int
    num_parameters, num_trained : int
    shares_with : str or None
        Name of the branch before it that has the same weights.
    """

    name: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    width: int
    num_parameters: int
    num_trained: int
    shares_with: str | None


@dataclass(frozen=True)
class HeadFacts:
    """One head: its target (``""`` for a single one), steps, and the shape of what it predicts."""

    target: str
    steps: tuple[Step, ...]
    shape: tuple[int | None, ...]
    num_parameters: int
    num_trained: int


@dataclass(frozen=True)
class MergedGraph:
    """All of a merged model; parameters that branches share are counted once in the whole."""

    name: str
    branches: tuple[BranchFacts, ...]
    join: str
    width: int
    heads: tuple[HeadFacts, ...]
    num_parameters: int
    num_trained: int


def graph_of(model: Any) -> MergedGraph:
    """Return the facts of a model that was made by `merge`.

    Raises
    ------
    ConfigError
        It was not.
    """
    join = next((layer for layer in getattr(model, "layers", ()) if layer.name in JOINS.values()), None)
    if join is None:
        raise ConfigError(f"this shows models made by rowlock.keras.merge, and {model!r} is none; see model.summary()")
    branches: list[BranchFacts] = []
    seen: dict[int, str] = {}
    for tensor in _input_tensors(join, 0):
        facts = _branch(tensor, seen)
        branches.append(facts)
    after = model.layers[model.layers.index(join) + 1 :]
    heads = tuple(_head(layer) for layer in after if layer.name == "head" or layer.name.endswith("_head"))
    return MergedGraph(
        model.name, tuple(branches), join.name, join.output.shape[1], heads, model.count_params(), num_trained(model)
    )


def num_trained(layer: Any) -> int:
    """Return the number of parameters that training changes."""
    return sum(math.prod(weight.shape) for weight in layer.trainable_weights)


def _branch(tensor: Any, seen: dict[int, str]) -> BranchFacts:
    made_by = tensor._keras_history  # noqa: SLF001 - the only way from a tensor to what made it
    layer = made_by.operation
    if isinstance(layer, keras.layers.InputLayer):
        return BranchFacts(layer.name, (_source(tensor),), (), tensor.shape[1], 0, 0, None)
    sources = tuple(_source(taken) for taken in _input_tensors(layer, made_by.node_index))
    name = sources[0].name
    shares_with = seen.setdefault(id(layer), name)
    return BranchFacts(
        name,
        sources,
        tuple(_steps(layer)),
        tensor.shape[1],
        layer.count_params(),
        num_trained(layer),
        None if shares_with == name else shares_with,
    )


def _head(layer: Any) -> HeadFacts:
    output = layer.outputs[0]
    target = "" if layer.name == "head" else layer.name.removesuffix("_head")
    return HeadFacts(target, tuple(_steps(layer)), output.shape[1:], layer.count_params(), num_trained(layer))


def _source(tensor: Any) -> Source:
    return Source(tensor._keras_history.operation.name, tuple(tensor.shape[1:]), tensor.dtype)  # noqa: SLF001 - the only way from a tensor to what made it


def _input_tensors(layer: Any, node: int) -> Any:
    return layer._inbound_nodes[node].input_tensors  # noqa: SLF001 - Keras has no public way


def _steps(model: Any) -> Iterator[Step]:
    """Yield what happens in a nested model of ours; models of the user's are opened where they are short."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inner = [one for one in getattr(layer, "layers", ()) if not isinstance(one, keras.layers.InputLayer)]
        if not inner or not hasattr(layer, "inputs"):
            yield _step(layer, _label(layer))
        elif len(inner) <= _MOST_STEPS:
            yield from _steps(layer)
        else:
            yield _step(layer, str(layer.name), len(inner))


def _step(layer: Any, label: str, num_layers: int = 0) -> Step:
    num_parameters = layer.count_params() if layer.built else 0
    is_frozen = bool(num_parameters) and not layer.trainable
    return Step(label, _shape(layer), num_parameters, is_frozen, num_layers)


def _shape(layer: Any) -> tuple[int | None, ...]:
    shape = getattr(getattr(layer, "output", None), "shape", None)
    return () if shape is None else tuple(shape[1:])


def _label(layer: Any) -> str:
    """Return the kind of a layer and what matters most about it."""
    if isinstance(layer, keras.Model):
        return str(layer.name).replace("_", " ")
    wrapped = getattr(layer, "forward_layer", None) or getattr(layer, "layer", None)
    if wrapped is not None:
        return f"{type(layer).__name__} {_label(wrapped)}"
    for attribute in ("units", "filters", "output_dim", "rate"):
        size = getattr(layer, attribute, None)
        if isinstance(size, int | float):
            return f"{type(layer).__name__} {size:g}{_activation(layer)}"
    return f"{type(layer).__name__}{_activation(layer)}"


def _activation(layer: Any) -> str:
    name = getattr(getattr(layer, "activation", None), "__name__", "linear")
    shown = isinstance(layer, keras.layers.Dense | keras.layers.Conv2D | keras.layers.Activation)
    return f" {name}" if shown and name != "linear" else ""
