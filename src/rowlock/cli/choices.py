"""Options that have a few values."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["KeyType", "Layout", "Missing", "OnError", "Part", "Task", "Unknown", "Weighting"]


class Layout(StrEnum):
    """How rows are stored."""

    auto = "auto"
    csr = "csr"
    packed = "packed"
    raw = "raw"


class KeyType(StrEnum):
    """What the keys of a CSV file are."""

    int = "int"
    text = "text"


class Task(StrEnum):
    """What a target is."""

    auto = "auto"
    classes = "classes"
    labels = "labels"
    quantity = "quantity"


class Missing(StrEnum):
    """What becomes of rows without a target, or whose key a store lacks."""

    raise_ = "raise"
    drop = "drop"


class OnError(StrEnum):
    """What becomes of rows that cannot be read."""

    raise_ = "raise"
    mask = "mask"


class Unknown(StrEnum):
    """What becomes of categories that nobody knows."""

    raise_ = "raise"
    zeros = "zeros"


class Part(StrEnum):
    """A part of a split."""

    train = "train"
    valid = "valid"
    test = "test"


class Weighting(StrEnum):
    """Whether the classes of a target are made equal."""

    none = "none"
    balanced = "balanced"
