"""The column that weighs rows in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from rowlock.inputs.columns import ArrayReader, Column
from rowlock.inputs.finite import refuse_where

if TYPE_CHECKING:
    from rowlock.table import Table

__all__ = ["Weight"]


class Weight(Column):
    """A `Column` of weights: finite, not negative.

    Raises
    ------
    ConfigError
        When the dataset is made: as `Column`; and negative weights.
    """

    @override
    def open(self, table: Table, name: str) -> ArrayReader:
        reader = super().open(table, name)
        values = reader.spec.empty(table.num_rows)
        reader.gather(np.arange(table.num_rows), values, None)
        advice = "A row that shall not count has weight 0."
        refuse_where(lambda block: block < 0, values, f"sample_weight: column {self.column!r}", "negative", advice)
        return reader
