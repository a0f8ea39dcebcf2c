"""What a user wrote down as inputs, target and weight, checked and in one list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rowlock.errors import ConfigError
from rowlock.inputs import Input
from rowlock.inputs.weights import Weight

__all__ = ["Role", "roles_of"]

Role = tuple[str, str, Input]


def roles_of(
    inputs: Mapping[str, Input], target: Input | Mapping[str, Input] | None, sample_weight: str | None
) -> list[Role]:
    """Return (role, name, input) of everything that a batch consists of.

    Raises
    ------
    ConfigError
        Something is not an input, or has no usable name; the message shows how it is written.
    """
    weight = [] if sample_weight is None else [("sample_weight", "", Weight(sample_weight))]
    return [*_inputs(inputs), *_targets(target), *weight]


def _inputs(inputs: Mapping[str, Input]) -> list[tuple[str, str, Input]]:
    if not isinstance(inputs, Mapping) or not inputs:
        raise ConfigError("inputs is a dict of names and inputs, such as {'image': rl.Images('path', size=(150, 150))}")
    for name, what in inputs.items():
        if not isinstance(name, str) or not name:
            raise ConfigError(f"an input is named by text, not by {name!r}")
        _check_input(what, f"input {name!r}")
    return [("input", name, what) for name, what in inputs.items()]


def _targets(target: Input | Mapping[str, Input] | None) -> list[tuple[str, str, Input]]:
    if target is None:
        return []
    if isinstance(target, Mapping) and not target:
        raise ConfigError("target={} names no target: write {'weight': rl.Column('weight')}, or None to predict with")
    targets: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {"": target}
    for name, what in targets.items():
        if isinstance(target, Mapping) and (not isinstance(name, str) or not name):
            raise ConfigError(f"a target is named by text, not by {name!r}")
        _check_input(what, f"target {name!r}" if name else "the target")
    return [("target", name, what) for name, what in targets.items()]


def _check_input(what: object, name: str) -> None:
    if not isinstance(what, Input):
        named = what if isinstance(what, str) else "column"
        kinds = ("Labels", "Column") if "target" in name else ("Images", "Columns", "Features")
        written = {
            "Images": f"rl.Images({named!r}, size=(150, 150))",
            "Columns": f"rl.Columns([{named!r}])",
            "Features": "rl.Features('store.zarr')",
            "Labels": f"rl.Labels({named!r})",
            "Column": f"rl.Column({named!r})",
        }
        examples = ", ".join(written[kind] for kind in kinds)
        raise ConfigError(f"{name} must say how it is read, not be {what!r}: write {examples}")
