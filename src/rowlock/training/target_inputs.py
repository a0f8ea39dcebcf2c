"""Targets that `rowlock.inputs` has no word for: labels of which a row has any number, and scaled quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from typing_extensions import override

from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError
from rowlock.inputs import Column, Columns, Input, Labels
from rowlock.inputs.columns import ArrayReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray
    from rowlock.inputs import Reader
    from rowlock.table import Table
    from rowlock.training.targets import Target

__all__ = ["LabelSet", "Quantities", "input_of"]


def input_of(target: Target) -> Input:
    """Return how a target is read from the table."""
    if target.task == "quantity":
        return Quantities(target.columns)
    if target.task == "classes":
        return Labels(target.columns[0], classes=target.classes)
    return Columns(target.columns) if target.are_flags else LabelSet(target.columns[0], target.classes)


class LabelSet(Input):
    """A column of lists of labels, delivered as float32 zeros and ones, shape ``(labels,)`` a row.

    Parameters
    ----------
    column : str
        Lists of text or whole numbers; an empty list is a row without labels.
    labels : sequence
        In the order of the numbers delivered.
    """

    def __init__(self, column: str, labels: Sequence[Any]) -> None:
        self.column = column
        self.labels = tuple(labels)

    @override
    def open(self, table: Table, name: str) -> Reader:
        lists = table.column(self.column).to_arrow()
        if isinstance(lists, pa.ChunkedArray):
            lists = lists.combine_chunks()
        places = pc.index_in(pc.list_flatten(lists), pa.array(self.labels))
        if places.null_count:
            unknown = pc.list_flatten(lists).filter(pc.is_null(places))[0].as_py()
            raise ConfigError(f"{name!r}: column {self.column!r} holds {unknown!r}, none of {list(self.labels)!r}")
        values = np.zeros((len(lists), len(self.labels)), np.float32)
        values[pc.list_parent_indices(lists).to_numpy(), places.to_numpy()] = 1.0
        return ArrayReader(values)


class Quantities(Input):
    """Columns of numbers to predict, delivered as ``(value - mean) / std`` in float32, shape ``(columns,)`` a row.

    A model learns numbers of about 1 best; mean and deviation are those of the training rows. They are undone in
    float64, so that a target of 1e9 give or take 1 loses nothing.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = tuple(columns)
        self.reader: QuantityReader | None = None

    @override
    def open(self, table: Table, name: str) -> Reader:
        found = [Column(column, dtype="float64").open(table, name) for column in self.columns]
        rows = np.arange(table.num_rows)
        values = np.empty((table.num_rows, len(found)))
        for place, reader in enumerate(found):
            column = np.empty(table.num_rows)
            reader.gather(rows, column, None)
            values[:, place] = column
        return QuantityReader(values)

    def opened_as(self, reader: Reader) -> None:
        """Keep the reader, to tell it the training rows."""
        if isinstance(reader, QuantityReader):
            self.reader = reader


class QuantityReader(ArrayReader):
    """Exact numbers, and how they are scaled: not at all until `scale_by` was called.

    Attributes
    ----------
    exact : float64, shape (rows of the table, columns)
    mean, std : float64, shape (columns,)
    """

    def __init__(self, values: AnyArray) -> None:
        self.exact = values
        self.scale_by(np.zeros(values.shape[1]), np.ones(values.shape[1]))

    def scale_by(self, mean: AnyArray, std: AnyArray) -> None:
        """Deliver ``(value - mean) / std`` from now on."""
        self.mean, self.std = mean, std
        super().__init__(((self.exact - mean) / std).astype(np.float32))
        self.spec = ArraySpec(self.exact.shape[1:], np.dtype(np.float32))
