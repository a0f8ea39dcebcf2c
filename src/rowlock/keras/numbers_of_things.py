"""Inputs that are numbers of things (categories, classes, tokens): names, of which 7 is not more than 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.dataset import Dataset
    from rowlock.keras.branch import Branch

__all__ = ["refuse_as_quantities"]

_OF_QUANTITIES = (
    keras.layers.Dense,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
)


def refuse_as_quantities(branches: Mapping[tuple[str, ...], Branch], data: Dataset) -> None:
    """Refuse branches that would compute with such numbers as if they were quantities, or look up fewer than there are.

    Raises
    ------
    ConfigError
        Names the input, and what to write instead.
    """
    for names, branch in branches.items():
        needed = data.num_things.get(names[0])
        if len(names) == 1 and needed is not None:
            told = data.meanings["input", names[0]]
            _check(f"input {names[0]!r} ({told['kind']})", branch, needed, _instead(names[0], told, needed))


def _check(what: str, branch: Branch, needed: int, instead: str) -> None:
    first = _first_layer(branch)
    if needed > 2 and (first is None or type(first) in _OF_QUANTITIES):  # 0 and 1 are zeros and ones
        does = "passes them on" if first is None else f"begins with {type(first).__name__}, which takes them"
        raise ConfigError(
            f"{what} is numbers of things, and its branch {does} as quantities, by which number 2 is twice number 1."
            f" {instead}"
        )
    if isinstance(first, keras.layers.Embedding) and first.input_dim < needed:
        raise ConfigError(
            f"{what} holds numbers up to {needed - 1}, but its branch begins with Embedding({first.input_dim}, ...),"
            f" which backends take for errors or for what is not a number: keras.layers.Embedding({needed}, ...)"
        )


def _first_layer(branch: Branch) -> Any:
    """Return the first layer that an input meets; None where it is passed on."""
    first = branch.model if branch.preprocess is None else branch.preprocess
    while isinstance(first, keras.Model) and getattr(first, "layers", None):
        first = next((layer for layer in first.layers if not isinstance(layer, keras.layers.InputLayer)), None)
    return None if isinstance(first, keras.layers.Identity) else first


def _instead(name: str, told: Mapping[str, Any], needed: int) -> str:
    if told["kind"] == "rl.Tokens":
        return (
            f"Write {name!r}: keras.Sequential([layers.Embedding({needed}, 16, mask_zero=True), layers.LSTM(16)])."
            " Quantities are columns of rl.Features or rl.Columns."
        )
    alike = f"rl.Categories({told['column']!r}): zeros and a one, which may be passed on"
    return f"Write {name!r}: layers.Embedding({needed}, {min(50, 1 + needed // 2)}); or make the input {alike}."
