"""What of a run's data is not as it was when the run began, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.training.config import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.dataset import Dataset
    from rowlock.training.config import Config

__all__ = ["changes_in_words"]


def changes_in_words(data: Dataset, before: Mapping[str, str], config: Config) -> list[str]:
    """Return what the fingerprints in ``run.toml`` say of the training rows: which columns and stores are others.

    Where there are more or fewer rows, nobody can tell of a column.
    """
    changes = data.changes_since(before)
    if _num_rows(*changes.get("rows", ("", ""))):
        changes = {name: both for name, both in changes.items() if name == "rows" or _is_store(name, both, config)}
    return [_told(name, was, now, config) for name, (was, now) in changes.items()]


def _num_rows(was: str, now: str) -> tuple[str, str] | None:
    """Return the number of rows, before and now, where they differ."""
    both = was.partition(":")[0], now.partition(":")[0]
    return None if both[0] == both[1] else both


def _is_store(name: str, both: tuple[str, str], config: Config) -> bool:
    role, _, own = name.partition(":")
    return role == "input" and own in config.features and both[0].rpartition("|")[0] != both[1].rpartition("|")[0]


def _told(name: str, was: str, now: str, config: Config) -> str:
    role, _, own = name.partition(":")
    if name == "rows":
        return _rows(was, now)
    if role == "target":
        columns = [config.target] if isinstance(config.target, str) else list(config.target)
        return f"the values of {_named(columns)}, the target, have changed"
    if own in config.image:
        is_same = was.partition(":")[0] == now.partition(":")[0]
        what = "how pictures are made of" if is_same else "the paths in"
        return f"{what} column {config.image[own]!r} ({own}) {'has' if is_same else 'have'} changed"
    is_same = was.rpartition("|")[0] == now.rpartition("|")[0]  # after it: by what training rows are standardised
    if own == COLUMNS and own not in config.features:
        what = f"the values of {_named(list(config.columns))}"
        return f"mean and deviation of {what[4:]} have changed" if is_same else f"{what} have changed"
    store = f"the store {config.features.get(own)!r} ({own})"
    return f"mean and deviation of {store} have changed" if is_same else f"{store} is another, or has changed"


def _rows(was: str, now: str) -> str:
    """Return what the number of rows says, and else that keys or order are others."""
    numbers = _num_rows(was, now)
    if numbers:
        return f"there are {numbers[1]} training rows, and were {numbers[0]}"
    return "the rows that are trained on, their keys or their order have changed"


def _named(columns: list[str]) -> str:
    return ("column " if len(columns) == 1 else "one of the columns ") + ", ".join(map(repr, columns))
