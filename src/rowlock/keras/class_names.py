"""What the numbers of a prediction are called: names of classes that are known to be those of the outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError
from rowlock.keras.alike import trained_on

if TYPE_CHECKING:
    from rowlock.dataset import Dataset

__all__ = ["Shapes", "class_names"]

Shapes = dict[str, tuple[int | None, ...]]
"""Of a row of each output, under the name that its columns get."""


def class_names(model: Any, dataset: Dataset, given: Any, shapes: Shapes) -> dict[str, Sequence[Any]]:
    """Return the names of classes of the outputs that have some.

    Parameters
    ----------
    model : keras.Model
        What `fit` has trained it on, in this process, names its outputs.
    dataset : Dataset
        Otherwise its `Labels` do, unless they are just what this very frame holds.
    given : sequence, or dict of them, or None
        What the user says, which counts more than both.
    shapes : dict
        Of all outputs; None for sizes that are not known yet.

    Raises
    ------
    ConfigError
        What is given does not fit the outputs, or the dataset's classes are not those of the training.
    """
    if given is not None:
        return _given(given, shapes)
    known = trained_on(model)
    if known is not None:
        _refuse_other(known.classes, dataset)
    found = dataset.named_classes if known is None else known.classes
    of = {name: found.get(name, found.get("") if len(shapes) == 1 else None) for name in shapes}
    return {name: names for name, names in of.items() if names is not None and _fits(names, shapes[name])}


def _refuse_other(trained: Mapping[str, Any], dataset: Dataset) -> None:
    own = dataset.classes if isinstance(dataset.classes, dict) else {"": dataset.classes}
    for name, classes in own.items():
        if classes is not None and trained.get(name, classes) != classes:
            of = f"target {name!r}" if name else "the target"
            raise ConfigError(
                f"the model was trained on classes {list(trained[name])} of {of}, and those of these data are"
                f" {list(classes)}: their numbers would mean others. Nothing was predicted. Write"
                f" rl.Labels(..., classes={list(trained[name])}), or leave target= out to predict."
            )


def _given(given: Any, shapes: Shapes) -> dict[str, Sequence[Any]]:
    if not isinstance(given, Mapping):
        if len(shapes) != 1:
            example = ", ".join(f"{name!r}: [...]" for name in shapes)
            raise ConfigError(f"the model has {len(shapes)} outputs: classes= is a dict, classes={{{example}}}")
        given = dict.fromkeys(shapes, given)
    unknown = [name for name in given if name not in shapes]
    if unknown:
        raise ConfigError(f"classes= names {unknown[0]!r}, and the outputs are {list(shapes)}")
    return {name: _listed(names, name, shapes[name]) for name, names in given.items()}


def _listed(names: Any, output: str, shape: tuple[int | None, ...]) -> Sequence[Any]:
    if isinstance(names, str | bytes | Mapping) or not hasattr(names, "__iter__"):
        raise ConfigError(f"classes= is a list of names, such as ['cat', 'dog'], or a dict of them, not {names!r}")
    listed = list(names)
    texts = [str(name) for name in listed]
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ConfigError(f"classes= names {twice[0]!r} twice, and one column would hide the other: {listed}")
    if not _fits(listed, shape):
        numbers = f"{shape[0]} number(s)" if len(shape) == 1 else f"shape {shape}" if shape else "one number"
        raise ConfigError(
            f"classes= has {len(listed)} names, {listed[:8]}, but output {output!r} has {numbers} a row: one name a"
            " number, or the two of a single one"
        )
    return listed


def _fits(names: Sequence[Any], shape: tuple[int | None, ...]) -> bool:
    if len(shape) > 1:
        return False
    width = shape[0] if shape else 1
    return width is None or width == len(names) or (width == 1 and len(names) == 2)
