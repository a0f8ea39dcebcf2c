"""`Tokens`: lists of whole numbers that are in the table, such as the words of a text, by their numbers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from rowlock.arguments import number_dtype, whole_number
from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError
from rowlock.inputs.base import Draw, Input, Reader, check_rows
from rowlock.inputs.image_arguments import check_choice

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.inputs.number_lists import NumberLists
    from rowlock.table import Table

__all__ = ["Tokens", "token_column"]


class Tokens(Input):
    """Lists of whole numbers from 0 on, filled up at the end to one length, shape ``(length,)`` a row.

    For an embedding and what comes after it: words of a text, pages of a visit, codes of a patient.
    `TokensMask` tells which places are filled up; so does ``Embedding(..., mask_zero=True)``, if no token is `pad`.

    Parameters
    ----------
    column : str
        Column of the table that holds the lists: Arrow or polars lists, or pandas objects. Short and empty ones are
        fine.
    length : int
        Numbers a row. It is never guessed from the data: another frame would give the model another shape.
    pad : int
        What fills short lists up.
    longer : {"raise", "cut"}
        What becomes of longer lists: an error when the dataset is made, or their first `length` numbers count.
    dtype : dtype
        An integer type.

    Raises
    ------
    ConfigError
        A wrong argument; and when the dataset is made: no such column, not lists of integers, rows without a list,
        entries that are missing, negative or too large for `dtype`, lists that are too long. The message lists rows.

    Examples
    --------
    >>> Tokens("words", 40)
    Tokens('words', 40)
    """

    def __init__(
        self, column: str, length: int, *, pad: int = 0, longer: str = "raise", dtype: DTypeLike = "int32"
    ) -> None:
        self.column = token_column("Tokens", column)
        self.length = whole_number("length", length, 1)
        self.dtype = number_dtype(f"Tokens({column!r})", dtype)
        if self.dtype.kind not in "iu":
            raise ConfigError(f"tokens are whole numbers: dtype={dtype!r} is not an integer type, such as 'int32'")
        self.pad = whole_number("pad", pad, 0)
        if self.pad > np.iinfo(self.dtype).max:
            raise ConfigError(f"pad={pad} is more than {self.dtype} can hold")
        check_choice("longer", longer, ("raise", "cut"))
        self.longer = longer

    def __repr__(self) -> str:
        given = {"pad": (self.pad, 0), "longer": (self.longer, "raise"), "dtype": (self.dtype.name, "int32")}
        more = "".join(f", {name}={value!r}" for name, (value, usual) in given.items() if value != usual)
        return f"Tokens({self.column!r}, {self.length}{more})"

    @override
    def open(self, table: Table, name: str) -> Reader:
        from rowlock.inputs.number_lists import NumberLists  # noqa: PLC0415 - pyarrow is loaded when it is used

        lists = NumberLists(table.column(self.column), self.column, self.dtype)
        self._refuse_longer(lists.lengths)
        return _TokensReader(lists, self)

    @override
    def meaning(self, reader: Reader) -> dict[str, Any]:
        return {"column": self.column, "length": self.length, "pad": self.pad}

    def _refuse_longer(self, lengths: Int64Array) -> None:
        from rowlock.list_columns import listed  # noqa: PLC0415 - pyarrow is loaded when it is used

        too_long = np.flatnonzero(lengths > self.length)
        if len(too_long) and self.longer == "raise":
            raise ConfigError(
                f"{listed(too_long)} of column {self.column!r} have more than length={self.length} tokens, up to"
                f' {lengths.max()}. Raise length to that, or take the first {self.length} of each with longer="cut".'
            )


class _TokensReader(Reader):
    """Copies lists into the batch and fills them up."""

    def __init__(self, lists: NumberLists, tokens: Tokens) -> None:
        self._lists = lists
        self._pad = tokens.pad
        self.spec = ArraySpec((tokens.length,), tokens.dtype)
        self.num_things = 1 + max(lists.largest, tokens.pad)

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._lists))
        self._lists.fill(rows, out, self._pad)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the lists, and what is made of them."""
        return f"{self._lists.digest()}:{self.spec.shape[0]}:{self._pad}:{self.spec.dtype}"


def token_column(kind: str, column: Any) -> str:
    """Return the name of a column, or refuse what is none."""
    if not isinstance(column, str):
        raise ConfigError(f'{kind} takes the name of a column of lists: rl.{kind}("words", 40), not {column!r}')
    return column
