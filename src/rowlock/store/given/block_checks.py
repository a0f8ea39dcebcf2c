"""Whether rows that a user gives belong to a store: as many columns, of the same names, with keys of the same name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError
from rowlock.keys import key_name

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.store.commit.format import Commit
    from rowlock.store.given.blocks import Source

__all__ = ["require_columns", "require_key_name"]


def require_columns(path: Path, commit: Commit, source: Source) -> None:
    """Refuse rows of another width, or with other column names, than the store at `path`."""
    if source.num_columns != commit.num_columns:
        raise ConfigError(f"the block has {source.num_columns} columns, but {path} has {commit.num_columns}")
    if source.columns and commit.columns and source.columns != commit.columns:
        pairs = zip(source.columns, commit.columns, strict=True)
        first = next(i for i, (ours, theirs) in enumerate(pairs) if ours != theirs)
        raise ConfigError(
            f"column {first} of the block is {source.columns[first]!r}, but that of {path} is"
            f" {commit.columns[first]!r}. Bring the columns into the store's order."
        )


def require_key_name(path: Path, commit: Commit, keys: Any) -> None:
    """Refuse keys that have a name, such as a Series, and another one than the keys of the store at `path`."""
    name = None if keys is None else key_name(keys)
    if name and commit.key_name and name != commit.key_name:
        raise ConfigError(
            f"the keys are called {name!r}, but those of {path} are {commit.key_name!r}."
            " Rename the series if they are the same thing."
        )
