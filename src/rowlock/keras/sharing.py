"""Branches that are one model: the same weights for several inputs, wholly or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.arrays import ArraySpec
    from rowlock.keras.branch import Branch

__all__ = ["groups_of", "refuse_shared_layers"]

Names = tuple[str, ...]


def groups_of(named: Mapping[Names, Branch], specs: Mapping[str, ArraySpec]) -> list[list[Names]]:
    """Return the branches in groups that use one model, in the order of the first of each.

    Raises
    ------
    ConfigError
        The same model, but otherwise used, or for rows of other shapes.
    """
    groups: dict[Any, list[Names]] = {}
    for names, branch in named.items():
        groups.setdefault(names if branch.model is None else id(branch.model), []).append(names)
    for group in groups.values():
        first, label = named[group[0]], "_".join(group[0])
        for names in group[1:]:
            if _use(named[names]) != _use(first):
                raise ConfigError(
                    f"branches {label!r} and {'_'.join(names)!r} are one model, but used in two ways: give both the"
                    " same preprocess, per_item, mask, normalize and frozen"
                )
            shapes = [[specs[name].shape for name in some if name in specs] for some in (group[0], names)]
            if shapes[0] != shapes[1]:
                raise ConfigError(
                    f"branches {label!r} and {'_'.join(names)!r} are one model, but the data give rows of shape"
                    f" {shapes[0]} and {shapes[1]}"
                )
    return list(groups.values())


def refuse_shared_layers(parts: Mapping[str, Any]) -> None:
    """Refuse layers with weights that stand in two parts: Keras saves them, but cannot load them again.

    Raises
    ------
    ConfigError
        Names the layer and the parts.
    """
    owners: dict[int, str] = {}
    for label, model in parts.items():
        for layer in {id(layer): layer for layer in _layers(model)}.values():
            if layer.weights and owners.setdefault(id(layer), label) != label:
                raise ConfigError(
                    f"layer {layer.name!r} is part of {owners[id(layer)]} and of {label}, which Keras could not load"
                    " again. Share a whole branch (one model under two names), or make a layer for each."
                )


def _layers(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        yield layer
        if isinstance(layer, keras.Model):
            yield from _layers(layer)


def _use(branch: Branch) -> tuple[Any, ...]:
    return id(branch.preprocess), branch.per_item, branch.mask is None, branch.normalize, branch.frozen
