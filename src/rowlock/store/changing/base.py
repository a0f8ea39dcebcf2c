"""What changing rows that are there asks of a layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["Restored", "Rewritten", "RowChanges"]


@dataclass(frozen=True)
class Rewritten:
    """Files that were written beside for the next commit, and what it says about the matrix."""

    names: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Restored:
    """What became of proved rows.

    Attributes
    ----------
    touched : int64
        Other rows whose offsets were written, too.
    unplaced : int64
        Proved rows that could not be written, since it is not known where they belong.
    rewritten : Rewritten
        Files that are whole only with the next commit.
    """

    touched: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    unplaced: Int64Array = field(default_factory=lambda: np.empty(0, np.int64))
    rewritten: Rewritten = field(default_factory=Rewritten)


class RowChanges(Protocol):
    """Changes rows of the last commit, for the holder of the writer's lock."""

    def restore(self, rows: Int64Array, block: AnyArray) -> None:
        """Take rows that are proved to be what was committed; they are written here, or at the end."""
        ...

    def finish(self, damaged: Int64Array, number: int) -> Restored:
        """Write what was taken; `damaged` are all rows that do not have their check. `number` is the next commit's."""
        ...

    def rewrite(self, rows: Int64Array, block: AnyArray, number: int) -> Rewritten:
        """Write the files of commit `number`, in which `rows`, ascending, have other values, beside."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...
