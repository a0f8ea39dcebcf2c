"""Numbers and categories of one table side by side, in the order in which they were written down."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rowlock.arrays import ArraySpec
from rowlock.inputs.base import Draw, Reader, check_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.inputs.categories import CategoryReader

__all__ = ["MixedReader"]


class MixedReader(Reader):
    """Exact numbers, and zeros and ones of categories, for a batch or for a `ScaledReader`.

    Parameters
    ----------
    numbers : array, shape (num_rows, number of columns of numbers)
    parts : sequence of (str, CategoryReader or None)
        Each column's name, and its reader if it holds categories.
    dtype : numpy.dtype
        Of the batches.

    Attributes
    ----------
    plain_columns : bool, shape (columns,)
        Which of the columns delivered are categories: these are neither standardised nor filled.
    """

    def __init__(self, numbers: AnyArray, parts: Sequence[tuple[str, CategoryReader | None]], dtype: Any) -> None:
        self._numbers = numbers
        self.categories = {name: reader for name, reader in parts if reader is not None}
        names: list[str] = []
        self._blocks: list[tuple[slice, CategoryReader]] = []
        for name, reader in parts:
            if reader is not None:
                self._blocks.append((slice(len(names), len(names) + len(reader.categories)), reader))
            names += [name] if reader is None else [f"{name}={value}" for value in reader.categories]
        self.plain_columns: BoolArray = np.zeros(len(names), np.bool_)
        for block, _ in self._blocks:
            self.plain_columns[block] = True
        self._places = np.flatnonzero(~self.plain_columns)
        self.spec = ArraySpec((len(names),), np.dtype(dtype))
        self.source_dtype = numbers.dtype
        self.column_names: tuple[str, ...] | None = tuple(names)

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._numbers))
        out[:, self._places] = self._numbers[rows]
        for block, reader in self._blocks:
            reader.gather(rows, out[:, block], draw)

    def in_stored_order(self, rows: Int64Array) -> Int64Array:
        """Return rows in the order of the table."""
        return np.sort(rows)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the numbers, the categories, what they mean and where they stand."""
        numbers = hashlib.blake2b(np.ascontiguousarray(self._numbers).data, digest_size=8)
        numbers.update(self.plain_columns.tobytes())
        return ":".join([numbers.hexdigest(), *(reader.fingerprint for _, reader in self._blocks)])
