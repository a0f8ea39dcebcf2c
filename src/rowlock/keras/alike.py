"""Batches that one model gets must mean the same: what it is trained on, validated with, and predicts for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import keras

from rowlock.errors import ConfigError
from rowlock.meanings import difference

if TYPE_CHECKING:
    from rowlock.dataset import Dataset
    from rowlock.keras.batches import KerasBatches
    from rowlock.meanings import Meanings

__all__ = ["Trained", "refuse_other", "remember", "require_alike", "require_one_order", "trained_on"]

_HOW = (
    "Both must be made alike: parts of one data.split(...); or of two frames by the same Input objects,"
    " rl.Labels(..., classes=[...]) and train.fit_statistics(valid)."
)


class Trained(NamedTuple):
    """What is known of the data that `fit` has trained a model on."""

    meanings: Meanings
    classes: dict[str, Any]
    """Of each target, under its name; ``""`` for a single one."""


_trained: WeakKeyDictionary[Any, Trained] = WeakKeyDictionary()
"""Of this process: a file of a model does not tell."""


def require_alike(train: KerasBatches, valid: KerasBatches) -> None:
    """Refuse validation data that mean something else, before a step is trained.

    Raises
    ------
    ConfigError
        Names the first difference with both values.
    """
    _refuse(difference(train.loader.dataset.meanings, valid.loader.dataset.meanings, "train", "valid"))


def require_one_order(train: KerasBatches, valid: KerasBatches) -> None:
    """Refuse inputs that are given by place, once both are bound, in two orders.

    Raises
    ------
    ConfigError
    """
    if train.order != valid.order and "tuple" in (train.structure, valid.structure):
        _refuse(f"order of the inputs: {list(train.order)} in train, {list(valid.order)} in valid")


def _refuse(found: str) -> None:
    if found:
        raise ConfigError(
            f"train and valid do not mean the same, so that validation would be wrong. {found}. Nothing was trained."
            f" {_HOW}"
        )


def remember(model: Any, dataset: Dataset) -> None:
    """Keep what the model is trained on, for as long as there is the model."""
    classes = dataset.classes if isinstance(dataset.classes, dict) else {"": dataset.classes}
    known = {name: names for name, names in classes.items() if names is not None}
    _trained[model] = Trained(dataset.meanings, known)


def trained_on(model: Any) -> Trained | None:
    """Return what `fit` has trained this model on, if it was in this process."""
    return _trained.get(model) if isinstance(model, keras.Model) else None


def refuse_other(model: Any, dataset: Dataset, *, with_target: bool) -> None:
    """Refuse rows that mean something else than those that `fit` has trained this model on.

    Raises
    ------
    ConfigError
    """
    known = trained_on(model)
    if known is None:
        return
    roles = ("input", "target") if with_target else ("input",)
    one, other = (
        {place: told for place, told in meanings.items() if place[0] in roles}
        for meanings in (known.meanings, dataset.meanings)
    )
    found = difference(one, other, "the training data", "these")
    if found:
        raise ConfigError(
            f"these data do not mean what the model was trained on. {found}. {_HOW} To train it on other data:"
            " rowlock.keras.fit."
        )
