"""What tells the data of a dataset from others, in a few short texts: a saved state holds them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rowlock.blocks import for_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.gathering import Slot
    from rowlock.keys import Keys
    from rowlock.selection import Selection

__all__ = ["changed_between", "fingerprints_of"]


def fingerprints_of(slots: Sequence[Slot], keys: Keys, selection: Selection) -> dict[str, str]:
    """Return one text for the rows and their keys, and one an input; several at a time, since each reads a column."""
    found = dict.fromkeys(["rows", *(f"{slot.role}:{slot.name}" for slot in slots)], "")
    makers = [lambda: _of_rows(keys, selection), *((lambda slot=slot: slot.reader.fingerprint) for slot in slots)]
    names = list(found)

    def make(start: int, stop: int) -> None:
        for place in range(start, stop):
            found[names[place]] = makers[place]()

    for_blocks(make, len(names), 1)
    return found


def _of_rows(keys: Keys, selection: Selection) -> str:
    rows = hashlib.blake2b(digest_size=8)
    for block in keys.blocks():
        rows.update(block.hash().data)
    selection.update(rows)
    return f"{len(selection)}:{rows.hexdigest()}"


def changed_between(before: Mapping[str, str], now: Mapping[str, str], slots: Sequence[Slot]) -> list[str]:
    """Return the names of what is not as it was; rows that were appended to a store do not count."""
    readers = {f"{slot.role}:{slot.name}": slot.reader for slot in slots}
    return [
        name
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
        and not (name in before and name in readers and readers[name].extends(before[name]))
    ]
