"""What of a run's data is not as it was when the run began, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rowlock.training.config import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.dataset import Dataset
    from rowlock.training.config import Config

__all__ = ["changes_in_words"]

_FOLLOWING: Final = ("mean and deviation", "the rows that are")
"""What may have changed because something else has, such as a label by which rows are shared out."""


def changes_in_words(data: Dataset, before: Mapping[str, str], config: Config) -> list[str]:
    """Return what the fingerprints in ``run.toml`` say of the training rows: which columns and stores are others.

    Where there are more or fewer rows, nobody can tell of a column.
    """
    changes = data.changes_since(before)
    if _num_rows(*changes.get("rows", ("", ""))):
        changes = {name: both for name, both in changes.items() if name == "rows" or _is_store(name, both, config)}
    told = [_told(name, was, now, config) for name, (was, now) in changes.items()]
    return sorted(told, key=lambda words: words.startswith(_FOLLOWING))


def _num_rows(was: str, now: str) -> tuple[str, str] | None:
    """Return the number of rows, before and now, where they differ."""
    both = was.partition(":")[0], now.partition(":")[0]
    return None if both[0] == both[1] else both


def _is_store(name: str, both: tuple[str, str], config: Config) -> bool:
    role, _, own = name.partition(":")
    return role == "input" and own in config.features and _matrix(both[0]) != _matrix(both[1])


def _matrix(text: str) -> str:
    """Return what a fingerprint says of the store itself: behind it stand rows taken, and how they are standardised."""
    return text.rsplit("|", 2)[0]


def _told(name: str, was: str, now: str, config: Config) -> str:
    role, _, own = name.partition(":")
    if name == "rows":
        return _rows(was, now)
    if role == "target":
        columns = [config.target] if isinstance(config.target, str) else list(config.target)
        return f"the values of {_named(columns)}, the target, have changed"
    if own in config.image:
        return _pictures(was, now, f"column {config.image[own]!r} ({own})")
    if own == COLUMNS and own not in config.features:
        is_same = was.rpartition("|")[0] == now.rpartition("|")[0]  # behind it: how rows are standardised
        what = f"the values of {_named(list(config.columns))}"
        return f"mean and deviation of {what[4:]} have changed" if is_same else f"{what} have changed"
    store = f"the store {config.features.get(own)!r} ({own})"
    if _matrix(was) == _matrix(now):
        return f"the rows that are taken of {store}, or their mean and deviation, have changed"
    return f"{store} is another, or has changed"


def _pictures(was: str, now: str, column: str) -> str:
    if was.partition(":")[0] != now.partition(":")[0]:
        return f"the paths in {column} have changed"
    if was.partition(":hash=")[0] != now.partition(":hash=")[0]:
        return f"how pictures are made of {column} has changed"
    return f"the digests of the pictures in {column} have changed, so the files may be others"


def _rows(was: str, now: str) -> str:
    """Return what the number of rows says, and else that keys or order are others."""
    numbers = _num_rows(was, now)
    if numbers:
        return f"there are {numbers[1]} training rows, and were {numbers[0]}"
    return "the rows that are trained on, their keys or their order have changed"


def _named(columns: list[str]) -> str:
    return ("column " if len(columns) == 1 else "one of the columns ") + ", ".join(map(repr, columns))
