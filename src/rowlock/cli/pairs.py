"""Options that say ``NAME=VALUE``."""

from __future__ import annotations

from typing import Any

from rowlock.errors import ConfigError

__all__ = ["by_name", "pair"]


def pair(text: str) -> tuple[str | None, str]:
    """Return name and value of ``NAME=VALUE``; a bare value has no name."""
    name, separator, value = text.partition("=")
    if not separator:
        return None, text
    if not name or not value:
        raise ConfigError(f"{text!r} should be NAME=VALUE")
    return name, value


def by_name(what: str, pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Return pairs as a dict; two of one name are refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{what}: two have the name {twice!r}; write NAME=... with different names")
    return found
