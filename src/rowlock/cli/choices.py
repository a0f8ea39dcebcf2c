"""Options that have a few values."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["KeyType", "Layout", "Task"]


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
    quantity = "quantity"
