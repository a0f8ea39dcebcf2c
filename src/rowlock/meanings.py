"""What the numbers of a batch stand for: the same in all datasets of one model, or what it learnt is another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.gathering import Slot
    from rowlock.roles import Role

__all__ = ["Meanings", "difference", "meanings_of"]

Meanings = dict[tuple[str, str], dict[str, Any]]
"""Under role and name; plain values, by words."""

_SHOWN: Final = 5


def meanings_of(slots: Sequence[Slot], roles: Sequence[Role]) -> Meanings:
    """Return what inputs and targets stand for: kind, what each says itself, shape and dtype."""
    return {
        (slot.role, slot.name): {
            "kind": f"rl.{type(what).__name__}",
            **what.meaning(slot.reader),
            "shape": slot.reader.spec.shape,
            "dtype": str(slot.reader.spec.dtype),
        }
        for slot, (_, _, what) in zip(slots, roles, strict=True)
        if slot.role != "sample_weight"
    }


def difference(one: Meanings, other: Meanings, one_name: str, other_name: str) -> str:
    """Say in words where two datasets first differ, with both values; nothing where they agree.

    What only one of them knows, such as names of columns, is not compared.
    """
    for role in ("input", "target"):
        have, has = ([name for of, name in meanings if of == role] for meanings in (one, other))
        if set(have) != set(has):
            return f"{one_name} has {_names(have, role)}, {other_name} {_names(has, role)}"
    for place, told in one.items():
        found = _first(told, other[place])
        if found:
            word, mine, its = found
            what = f"{place[0]} {place[1]!r}" if place[1] else "the target"
            return f"{word} of {what}: {mine} in {one_name}, {its} in {other_name}"
    return ""


def _first(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return the first word whose values differ, and both values as they are shown."""
    for word, value in one.items():
        if word in other and other[word] != value:
            return word, *_shown(value, other[word], one.get("columns") if word != "columns" else None)
    return None


def _shown(one: Any, other: Any, columns: Any) -> tuple[str, str]:
    """Show two values; of long sequences only the part where they begin to differ."""
    if not (isinstance(one, tuple) and isinstance(other, tuple)) or max(len(one), len(other)) <= _SHOWN:
        return repr(one), repr(other)
    pairs = enumerate(zip(one, other, strict=False))
    start = next((place for place, (mine, its) in pairs if mine != its), min(len(one), len(other)))
    where = f"from {columns[start]!r} on" if columns and start < len(columns) else f"from number {start} on"
    return _part(one, start, where), _part(other, start, where)


def _part(values: tuple[Any, ...], start: int, where: str) -> str:
    part = ", ".join(map(repr, values[start : start + _SHOWN]))
    more = ", ..." if len(values) > start + _SHOWN else ""
    return f"{part}{more} ({len(values)}, {where})" if part else f"no more ({len(values)}, {where})"


def _names(names: Sequence[str], role: str) -> str:
    if role == "target" and list(names) in ([], [""]):
        return "one target without a name" if names else "no target"
    return f"the {role}s {sorted(names)}"
