"""The parts of a split of a table's rows; beside a table that is a file, the last one is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.arrays import row_type
from rowlock.split import check_fractions, split_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray
    from rowlock.selection import Selection
    from rowlock.table import Table

__all__ = ["split_table"]


def split_table(
    table: Table,
    selection: Selection,
    fractions: Sequence[float],
    *,
    seed: int,
    stratify: str | None,
    group: str | None,
) -> list[AnyArray]:
    """Share the rows of a selection out by the values of columns; see `split_rows`.

    Parameters
    ----------
    table : Table
    selection : Selection
        Of its rows. Only the split of all of them is kept.
    fractions, seed
        As in `split_rows`.
    stratify, group : str, optional
        Columns.

    Returns
    -------
    parts : list of integer arrays
        Ascending numbers of the selection's own rows.
    """

    def share() -> list[AnyArray]:
        strata = None if stratify is None else table.codes(stratify, selection.chosen)
        groups = None if group is None else table.codes(group, selection.chosen)
        return split_rows(len(selection), fractions, seed=seed, strata=strata, groups=groups)

    if selection.chosen is not None:
        return share()
    check_fractions(fractions)
    for name in (stratify, group):
        if name is not None:
            table.column(name)  # which says best what is wrong with a name
    guides = [name for name in (stratify, group) if name is not None]
    source = (1, tuple(map(float, fractions)), seed, stratify, group)
    return _unpacked(table.kept(guides, ("split",), source, lambda: _packed(share(), table.num_rows)), len(fractions))


def _packed(parts: list[AnyArray], num_rows: int) -> AnyArray:
    """Return one array: how many rows each part has, then the rows of all."""
    sizes = np.array([len(part) for part in parts], row_type(num_rows))
    return np.concatenate([sizes, *parts])


def _unpacked(packed: AnyArray, num_parts: int) -> list[AnyArray]:
    ends = num_parts + np.cumsum(packed[:num_parts], dtype=np.int64)
    return [packed[start:stop] for start, stop in zip([num_parts, *ends[:-1]], ends, strict=True)]
