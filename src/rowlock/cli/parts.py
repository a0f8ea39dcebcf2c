"""The rows that `rowlock check` looks at: those that `rowlock train` would take, in the parts that it would make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.checking.subject import OpenedInput
    from rowlock.table import Table
    from rowlock.training.targets import Target

__all__ = ["Rows", "Split"]


class Split(NamedTuple):
    """How a table is to be split, in the words of `rowlock train`."""

    shares: str | None
    stratify: str | bool
    group: str | None

    def column(self, target: Target | None) -> str | None:
        """Return the column that is shared out evenly: that of the classes, as in training, where nothing is said."""
        if isinstance(self.stratify, str):
            return self.stratify
        if not self.stratify or self.group is not None or target is None or target.task != "classes":
            return None
        return target.columns[0]

    def fractions(self) -> tuple[float, ...]:
        """Return the shares as numbers."""
        try:
            return tuple(float(part) for part in (self.shares or "").split(","))
        except ValueError:
            raise ConfigError(f"--split is shares that add up to 1, such as 0.8,0.1,0.1; not {self.shares!r}") from None


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table, and which of them training leaves out.

    Attributes
    ----------
    table : Table
    lacking : bool, shape (rows,)
        Without a target; they are left out before the split.
    unjoined : bool, shape (rows,), or None
        Whose key a store lacks. None where no row is left out (``--missing raise``): such rows, and those without a
        target, are errors then, which have to be found in some part.
    """

    table: Table
    lacking: BoolArray
    unjoined: BoolArray | None

    @classmethod
    def of(cls, table: Table, lacking: BoolArray, opened: Iterable[OpenedInput]) -> Rows:
        """Return the rows; what becomes of those that a store lacks, `table` says."""
        import numpy as np

        if table.missing != "drop":
            return cls(table, lacking, None)
        unjoined = np.zeros(table.num_rows, np.bool_)
        for one in opened:
            if one.reader is not None and one.reader.missing_rows is not None:
                unjoined[one.reader.missing_rows] = True
        if (lacking | unjoined).all():
            raise ConfigError("--missing drop leaves no row: each lacks its target, or a store lacks its key")
        return cls(table, lacking, unjoined)

    @property
    def with_target(self) -> Table:
        """The rows that have a target, as a table of its own; all, where none has."""
        import pyarrow as pa

        from rowlock.table import Table

        if not self.lacking.any() or self.lacking.all():
            return self.table
        return Table(self.table.take(None).filter(pa.array(~self.lacking)), key=self.table.key)

    @property
    def left(self) -> AnyArray:
        """The rows that are looked at."""
        import numpy as np

        return np.flatnonzero(np.ones_like(self.lacking) if self.unjoined is None else ~(self.lacking | self.unjoined))

    def parts(self, split: Split, target: Target | None, seed: int) -> dict[str, AnyArray]:
        """Return the rows of each part that `rowlock train` would make."""
        if split.shares is None:
            if split.group or split.stratify is not True:
                raise ConfigError(
                    "--stratify, --no-stratify and --group say how to split; say --split 0.8,0.1,0.1 as well"
                )
            return {"data": self.left}
        found = self._shared_out(split, target, seed)
        names = ["train", "valid", "test"] if len(found) <= 3 else [f"part {i + 1}" for i in range(len(found))]
        return dict(zip(names, found, strict=False))

    def _shared_out(self, split: Split, target: Target | None, seed: int) -> list[AnyArray]:
        import numpy as np

        from rowlock.split import split_rows

        with_target = self.with_target
        own = np.flatnonzero(~self.lacking) if with_target is not self.table else np.arange(self.table.num_rows)
        chosen = None if self.unjoined is None or not self.unjoined.any() else np.flatnonzero(~self.unjoined[own])
        strata, groups = (
            None if name is None else with_target.codes(name, chosen) for name in (split.column(target), split.group)
        )
        own = own if chosen is None else own[chosen]
        parts = [own[rows] for rows in split_rows(len(own), split.fractions(), seed=seed, strata=strata, groups=groups)]
        parts[0] = np.union1d(parts[0], np.setdiff1d(self.left, own))  # those that training would refuse
        return parts
