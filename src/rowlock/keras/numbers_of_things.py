"""Inputs that are numbers of things (categories, classes, tokens): names, of which 7 is not more than 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.keras.branch import Branch

__all__ = ["refuse_as_quantities"]

_OF_QUANTITIES = (
    keras.layers.Dense,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
)


def refuse_as_quantities(branches: Mapping[tuple[str, ...], Branch], meanings: Mapping[Any, Mapping[str, Any]]) -> None:
    """Refuse branches that would compute with such numbers as if they were quantities, or look up fewer than there are.

    Parameters
    ----------
    branches : dict of tuple of str to Branch
    meanings : Meanings
        Of the dataset (`rowlock.meanings`).

    Raises
    ------
    ConfigError
        Names the input, and what to write instead.
    """
    for names, branch in branches.items():
        told = meanings.get(("input", names[0]), {})
        if len(names) == 1 and _is_of_things(told):
            _check(names[0], branch, told)


def _is_of_things(told: Mapping[str, Any]) -> bool:
    kind = told.get("kind")
    if kind == "rl.Labels":
        return len(told["classes"]) > 2  # 0 and 1 are zeros and ones
    return kind == "rl.Tokens" or (kind == "rl.Categories" and not told["one_hot"])


def _check(name: str, branch: Branch, told: Mapping[str, Any]) -> None:
    first = _first_layer(branch)
    needed = _numbers(told)
    if first is None or type(first) in _OF_QUANTITIES:
        does = "passes them on" if first is None else f"begins with {type(first).__name__}, which takes them"
        raise ConfigError(
            f"input {name!r} ({told['kind']}) is numbers of things, and its branch {does} as quantities, by which"
            f" number 2 is twice number 1. {_instead(name, told, needed)}"
        )
    if isinstance(first, keras.layers.Embedding) and needed is not None and first.input_dim < needed:
        raise ConfigError(
            f"input {name!r} ({told['kind']}) holds numbers up to {needed - 1}, but its branch begins with"
            f" Embedding({first.input_dim}, ...): keras.layers.Embedding({needed}, ...)"
        )


def _first_layer(branch: Branch) -> Any:
    """Return the first layer that an input meets; None where it is passed on."""
    first = branch.model if branch.preprocess is None else branch.preprocess
    while isinstance(first, keras.Model) and getattr(first, "layers", None):
        first = next((layer for layer in first.layers if not isinstance(layer, keras.layers.InputLayer)), None)
    return None if isinstance(first, keras.layers.Identity) else first


def _numbers(told: Mapping[str, Any]) -> int | None:
    """Return how many numbers there are, where that is known: 0 is none of the categories."""
    if told["kind"] == "rl.Categories":
        return len(told["categories"]) + 1
    return len(told["classes"]) if told["kind"] == "rl.Labels" else None


def _instead(name: str, told: Mapping[str, Any], needed: int | None) -> str:
    if told["kind"] == "rl.Tokens":
        return (
            f"Write {name!r}: keras.Sequential([layers.Embedding(number of tokens, 16, mask_zero=True),"
            " layers.LSTM(16)]). Quantities are columns of rl.Features or rl.Columns."
        )
    size = min(50, 1 + (needed or 1) // 2)
    column = told["column"]
    alike = f"rl.Categories({column!r}): zeros and a one, which may be passed on"
    return f"Write {name!r}: layers.Embedding({needed}, {size}); or make the input {alike}."
