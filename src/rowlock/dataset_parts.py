"""Parts of a dataset: other rows of the same tables and stores, in another order, or fewer inputs; nothing is read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import row_numbers, whole_number
from rowlock.bad_rows import bad_rows_of
from rowlock.dataset_facts import DatasetFacts
from rowlock.errors import AlignmentError, ConfigError
from rowlock.inputs.base import check_rows
from rowlock.masks import rows_where
from rowlock.split_table import split_table

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from rowlock.bad_rows import BadRow
    from rowlock.dataset import Dataset
    from rowlock.gathering import Slot
    from rowlock.roles import Role
    from rowlock.selection import Selection

__all__ = ["DatasetParts"]


class DatasetParts(DatasetFacts, ABC):
    """The methods of a dataset that return others of its rows."""

    _is_measured: bool

    @abstractmethod
    def _of(
        self,
        selection: Selection,
        slots: tuple[Slot, ...] | None = None,
        *,
        roles: tuple[Role, ...] | None = None,
        is_measured: bool = False,
    ) -> Dataset:
        """Return the dataset of some rows, of these inputs or all."""

    def select(self, rows: Any) -> Dataset:
        """Return the dataset of the given rows, in the given order; repeats are allowed.

        Parameters
        ----------
        rows : integers, shape (n,)
            0 <= row < len(self).
        """
        chosen = row_numbers(rows, "rows that are selected")
        if len(chosen) == 0:
            raise ConfigError("no row is selected; a dataset has one or more")
        check_rows(chosen, len(self))
        return self._of(self._selection.of(chosen))

    def where(self, mask: Any) -> Dataset:
        """Return the dataset of the rows where `mask` is true.

        Parameters
        ----------
        mask : booleans, shape (len(self),)
            An array, or a Series such as ``df["age"] > 3``, in the order of this dataset's rows. A pandas
            Series must carry this dataset's index: one made from another frame, or sorted, is refused.
        """
        index = self._opened.table.frame_index()
        own = None if index is None else index.take(self._selection.all())
        return self._of(self._selection.of(rows_where(mask, len(self), own)))

    def without(self, bad_rows: Iterable[BadRow] | str | os.PathLike[str]) -> Dataset:
        """Return the dataset without the given bad rows: ``loader.bad_rows``, or the path of a ``bad_rows_file``."""
        entries = bad_rows_of(bad_rows)
        bad = np.array([entry.row for entry in entries], np.int64)
        check_rows(bad, self._opened.table.num_rows)
        if self._opened.keys.values(bad).tolist() != [entry.key for entry in entries]:
            raise AlignmentError("these bad rows have other keys in this dataset: they were listed for another one")
        kept = self._selection.without(bad)
        if len(kept) == 0:
            raise ConfigError(f"nothing is left of the {len(self)} rows without these {len(bad)} bad ones")
        return self._of(kept)

    def only(self, *names: str) -> Dataset:
        """Return the same rows with some of the inputs: for a model of a branch alone, beside the merged one.

        Parameters
        ----------
        *names : str
            The inputs to keep; targets, keys, weights and statistics stay.
        """
        unknown = [name for name in names if name not in self.input_specs]
        if unknown or not names:
            what = f"{unknown[0]!r} is none of them" if unknown else "none is named"
            raise ConfigError(f"only() keeps some of the inputs {list(self.input_specs)}; {what}")
        kept = [slot.role != "input" or slot.name in names for slot in self._slots]
        slots = tuple(slot for slot, stays in zip(self._slots, kept, strict=True) if stays)
        roles = tuple(role for role, stays in zip(self._opened.roles, kept, strict=True) if stays)
        return self._of(self._selection, slots, roles=roles)

    def split(
        self, *fractions: float, stratify: str | None = None, group: str | None = None, seed: int = 0
    ) -> tuple[Dataset, ...]:
        """Share the rows out by chance, in exact proportion.

        Parameters
        ----------
        *fractions : float
            Share of each part; positive, adding up to 1.
        stratify : str, optional
            Column of classes: each has its share in every part, within one row.
        group : str, optional
            Column whose equal values stay together: a patient, a house, a day.
        seed : int
            The same seed gives the same parts.

        Returns
        -------
        parts : tuple of Dataset
            Disjoint, and complete together; each in the order of this dataset.
        """
        if self._is_measured:
            raise ConfigError(
                "the statistics of these rows are in use, so no part of them can serve for validation. Split first:"
                " train, valid = data.split(0.9, 0.1); train, valid = train.fit_statistics(valid)"
            )
        seed = whole_number("seed", seed)
        parts = split_table(self._opened.table, self._selection, fractions, seed=seed, stratify=stratify, group=group)
        return tuple(self._of(self._selection.of(rows)) for rows in parts)
