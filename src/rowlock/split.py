"""Which rows go to which part: exact shares, within every stratum, without cutting groups; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rowlock.arrays import row_type
from rowlock.errors import ConfigError
from rowlock.permutation import permute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["check_fractions", "split_rows"]

_BLOCK_ROWS = 1 << 20
_EPOCH = -1  # no epoch of training has this number, so that a split never repeats a training order


def split_rows(
    num_rows: int,
    fractions: Sequence[float],
    *,
    seed: int,
    strata: AnyArray | None = None,
    groups: AnyArray | None = None,
) -> list[AnyArray]:
    """Share rows out to parts, by chance but in exact proportion.

    Parameters
    ----------
    num_rows : int
    fractions : sequence of float
        Share of each part; positive, adding up to 1.
    seed : int
        The same seed gives the same parts.
    strata : integers, shape (num_rows,), optional
        Number of each row's class, from 0. In every part, each class has its share within one row.
    groups : integers, shape (num_rows,), optional
        Number of each row's group, from 0. A group goes to one part whole; shares are then as near as the
        groups allow (largest groups first, each to the part that lacks most).

    Returns
    -------
    parts : list of integer arrays
        Ascending row numbers, of `row_type`; disjoint, and complete together.

    Raises
    ------
    ConfigError
        Shares that do not add up to 1, or a part that would get no row.
    """
    check_fractions(fractions)
    shares = np.array(fractions, float)
    shares /= shares.sum()
    classes = np.zeros(num_rows, np.uint8) if strata is None else strata
    if groups is None:
        part_of_row = _share_rows(classes, shares, seed)
    else:
        part_of_row = _share_groups(classes, groups, shares, seed)[groups]
    parts = [_rows_of(part_of_row, part) for part in range(len(shares))]
    for part, rows in enumerate(parts):
        if len(rows) == 0:
            what = f"{num_rows} row(s)" if groups is None else f"{groups.max() + 1} group(s) of {num_rows} row(s)"
            raise ConfigError(
                f"part {part + 1} of the split ({fractions[part]:g} of {what}) would be empty. Give it a larger"
                " share, or use more data."
            )
    return parts


def _rows_of(part_of_row: AnyArray, part: int) -> AnyArray:
    """Return the rows of a part, a block at a time: beside the rows themselves it takes no memory."""
    starts = range(0, len(part_of_row), _BLOCK_ROWS)
    chosen = (start + np.flatnonzero(part_of_row[start : start + _BLOCK_ROWS] == part) for start in starts)
    return np.concatenate([rows.astype(row_type(len(part_of_row))) for rows in chosen])


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse shares that are not positive, or do not add up to 1."""
    usable = all(isinstance(share, (int, float, np.floating)) and share > 0 for share in fractions)
    if not fractions or not usable or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise ConfigError(
            f"the shares of a split must be positive and add up to 1, not {', '.join(map(str, fractions)) or 'nothing'}"
        )


def _share_rows(classes: AnyArray, shares: np.ndarray, seed: int) -> AnyArray:
    """Give every class its share in each part, rounded down or up, and keep the totals near.

    A pass over the rows in an order of chance, a block at a time: a byte or two a row, and no sort.
    """
    from rowlock.split_kernel import share_out  # noqa: PLC0415 - numba is loaded on first use

    num_rows = len(classes)
    ends = _ends(_counts(classes), shares)
    seen = np.zeros(len(ends), np.int64)
    part_of_row = np.empty(num_rows, np.int16)
    for start in range(0, num_rows, _BLOCK_ROWS):
        rows = permute(np.arange(start, min(start + _BLOCK_ROWS, num_rows)), num_rows, seed, _EPOCH)
        parts = np.empty(len(rows), np.int16)
        share_out(classes[rows].astype(np.int64), seen, ends, parts)
        part_of_row[rows] = parts
    return part_of_row


def _counts(classes: AnyArray) -> Int64Array:
    counts = np.zeros(int(classes.max()) + 1, np.int64)
    for start in range(0, len(classes), _BLOCK_ROWS):
        counts += np.bincount(classes[start : start + _BLOCK_ROWS], minlength=len(counts))
    return counts


def _ends(counts: Int64Array, shares: np.ndarray) -> Int64Array:
    """Return how many rows of each class go to a part or one before it, shape (classes, parts)."""
    ends = np.empty((len(counts), len(shares)), np.int64)
    lacking = np.zeros(len(shares))
    for place, count in enumerate(counts):
        of_parts, lacking = _rounded(count * shares, lacking)
        ends[place] = np.cumsum(of_parts)
    return ends


def _rounded(wanted: np.ndarray, lacking: np.ndarray) -> tuple[Int64Array, np.ndarray]:
    """Round to whole rows of the same sum; what earlier classes left lacking decides who is rounded up."""
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    left = round(wanted.sum()) - counts.sum()
    lack = lacking + wanted - counts
    may_rise = wanted - counts > 1e-9
    rise = np.argsort(np.where(may_rise, -lack, np.inf), kind="stable")[:left]
    counts[rise] += 1
    return counts, lacking + wanted - counts


def _share_groups(classes: AnyArray, groups: AnyArray, shares: np.ndarray, seed: int) -> AnyArray:
    """Give whole groups away, largest first, each to the part where it brings all classes nearest to their share."""
    num_groups = int(groups.max()) + 1
    _, classes = np.unique(classes, return_inverse=True)
    content = np.zeros((num_groups, classes.max() + 1))
    np.add.at(content, (groups, classes), 1)
    lacking = shares[:, None] * content.sum(axis=0)
    by_chance = permute(np.arange(num_groups), num_groups, seed, _EPOCH)
    by_size = by_chance[np.argsort(-content[by_chance].sum(axis=1), kind="stable")]
    part_of_group = np.empty(num_groups, np.int16)
    for group in by_size:
        # least sum of squares of what is still lacking afterwards: only the cross term differs between parts
        part = int(np.argmax(lacking @ content[group]))
        part_of_group[group] = part
        lacking[part] -= content[group]
    return part_of_group
