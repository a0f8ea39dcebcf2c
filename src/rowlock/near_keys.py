"""For a message: keys that are there, and differ from a missing one in what nobody sees."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

from rowlock.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import AnyArray

__all__ = ["near_keys"]

_MOST_KEYS = 3
_AT_ENDS = (" ", "\t", "\r", "\n", "\r\n", "\u00a0", "\ufeff")


def near_keys(missing: Keys, find: Callable[[Keys], AnyArray]) -> str:
    """Return ``" Did you mean 'a1 ' for 'a1'? It differs in ..."`` for the first missing keys, or nothing.

    Of keys that differ in the same, the first one is named.

    Keys are matched exactly all the same. A few variants of each are looked up; what differs in more is not found.

    Parameters
    ----------
    missing : Keys
    find : callable
        Returns the row of every key, -1 where there is none.
    """
    if missing.kind != "text":
        return ""
    first = missing.values(np.arange(min(len(missing), _MOST_KEYS)))
    hints = dict[str, str]()
    for key in first.tolist():
        how, text = _hint(key, find)
        hints.setdefault(how, text)
    return "".join(hints.values())


def _hint(key: str, find: Callable[[Keys], AnyArray]) -> tuple[str, str]:
    """Return what the key differs in from one that is there, and the sentence that says so; nothing where none is."""
    variants = {variant: how for variant, how in _variants(key) if variant != key}
    if not variants:
        return "", ""
    rows = find(Keys.of(list(variants), "variants of a key")).tolist()
    found = [(variant, how) for (variant, how), row in zip(variants.items(), rows, strict=True) if row >= 0]
    if not found:
        return "", ""
    variant, how = found[0]
    return how, f" Did you mean {variant!a} for {key!a}? It differs in {how}, and keys are compared exactly."


def _variants(key: str) -> Iterator[tuple[str, str]]:
    """Yield variants and what they differ in; where two ways lead to one, the dict keeps the later name."""
    stripped = key.strip(" \t\r\n\u00a0\ufeff")
    for form in ("NFKC", "NFKD", "NFC", "NFD"):
        yield unicodedata.normalize(form, key), f"Unicode's normal form (it is {form})"
    for change in (str.lower, str.upper, str.capitalize, str.title, str.swapcase, str.casefold):
        yield change(key), "case"
        if stripped != key:
            yield change(stripped), "case and spaces at its ends"
    for space in _AT_ENDS:
        yield stripped + space, "spaces at its ends"
        yield space + stripped, "spaces at its ends"
    yield stripped, "spaces at its ends"
