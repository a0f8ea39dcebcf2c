"""Which places of a row's tokens hold one: the mask beside `Tokens`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rowlock.arguments import number_dtype, whole_number
from rowlock.arrays import ArraySpec
from rowlock.inputs.base import Input, Reader
from rowlock.inputs.list_mask import MaskReader
from rowlock.inputs.tokens import token_column

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rowlock.table import Table

__all__ = ["TokensMask"]


class TokensMask(Input):
    """1 where a row has a token, 0 where it is filled up, shape ``(length,)`` a row.

    An input of its own, since a model takes it as one: beside ``Tokens(column, length)`` of the same column and length.

    Parameters
    ----------
    column : str
        Column of the table that holds lists. Only their lengths count.
    length : int
        Places a row; longer lists fill all of them.
    dtype : dtype
        What the batches hold, such as ``"bool"``.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, not a column of lists, rows without a list.

    Examples
    --------
    >>> TokensMask("words", 40)
    TokensMask('words', 40)
    """

    def __init__(self, column: str, length: int, *, dtype: DTypeLike = "float32") -> None:
        self.column = token_column("TokensMask", column)
        self.length = whole_number("length", length, 1)
        self.dtype = number_dtype(f"TokensMask({column!r})", dtype)

    def __repr__(self) -> str:
        return f"TokensMask({self.column!r}, {self.length})"

    @override
    def open(self, table: Table, name: str) -> Reader:
        from rowlock.inputs.number_lists import number_lists  # noqa: PLC0415 - pyarrow is loaded when it is used
        from rowlock.list_columns import list_starts  # noqa: PLC0415 - pyarrow is loaded when it is used

        lists = number_lists(table.column(self.column), self.column)
        return MaskReader(np.diff(list_starts(lists)), ArraySpec((self.length,), self.dtype))

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {"column": self.column, "length": self.length}
