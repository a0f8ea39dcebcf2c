"""The narrow waist: how one input's rows are read, and nothing about order or time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TypeAlias

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, ArraySpec, Int64Array
    from rowlock.inputs.access import AccessCost
    from rowlock.table import Table

__all__ = ["Draw", "Input", "Reader", "check_rows"]

Draw: TypeAlias = tuple[int, int]
"""(seed, epoch): where an augmentation draws its random numbers from."""


def check_rows(rows: Int64Array, num_rows: int) -> None:
    """Refuse row numbers below 0 or beyond the end, before NumPy would count them from the back.

    Raises
    ------
    ConfigError
        Names the first such row.
    """
    if len(rows) and (rows.min() < 0 or rows.max() >= num_rows):
        wrong = rows[(rows < 0) | (rows >= num_rows)]
        raise ConfigError(f"row {wrong[0]} does not exist: rows count from 0 to {num_rows - 1}")


class Reader(ABC):
    """One input of an opened dataset: rows of the table in, their arrays out.

    Attributes
    ----------
    spec : ArraySpec
        Shape and dtype of one row.
    missing_rows : int64, shape (m,)
        Rows of the table that this reader cannot serve and that may be dropped, ascending. Empty
        unless dropping was asked for; otherwise opening raises.
    piece_rows : int or None
        Rows that are worth a task of their own, about a few milliseconds of work; None: a whole batch.
    num_things : int or None
        Of numbers that are names of things (tokens, categories): how many there are, 0 included. None: quantities.
    """

    spec: ArraySpec
    missing_rows: Int64Array | None = None
    piece_rows: int | None = None
    num_things: int | None = None

    @abstractmethod
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        """Write row ``rows[i]`` of the table into ``out[i]``, for every i.

        Parameters
        ----------
        rows : int64, shape (n,)
            Rows of the table that the dataset was made from; any order, repeats allowed,
            0 <= row < number of rows of the table.
        out : dtype ``spec.dtype``, shape ``(n, *spec.shape)``
            C-contiguous. Filled completely; no reference to it is kept.
        draw : (seed, epoch) or None
            For augmentation only, which draws from (seed, epoch, row, name). None: no augmentation.

        Raises
        ------
        RowError
            The first row, in the order of `rows`, that could not be produced.

        Notes
        -----
        Called from many threads at once. The same (rows, draw) gives the same bytes. The bulk of
        the work releases the GIL.
        """

    @property
    def fingerprint(self) -> str:
        """What tells this reader's data from other data, as a short text; a saved state holds it."""
        return ""

    def extends(self, fingerprint: str) -> bool:
        """Return whether the data are those of an earlier fingerprint, or those and rows that were appended."""
        return fingerprint == self.fingerprint

    @property
    def access_cost(self) -> AccessCost | None:
        """What shuffled batches cost, where the format makes them dear; None where it does not."""
        return None

    def will_need(self, rows: Int64Array) -> None:  # noqa: B027 - most readers have nothing to tell
        """Take note that `rows` will be gathered soon, so that disks can be told early."""

    def close(self) -> None:  # noqa: B027 - most readers hold nothing open
        """Release files and maps; later calls of `gather` may raise."""


class Input(ABC):
    """What a user writes down for one named input; opened once a dataset.

    Subclass it to read something of your own: `open` gets the table and returns a `Reader`.
    """

    def meaning(self, reader: Reader) -> dict[str, Any]:  # noqa: ARG002 - most inputs ask it
        """Return what the numbers of a row stand for: plain values under words that a message can hold.

        Two datasets for one model must agree in them (`Dataset.meanings`); what is not named is not compared. Rows,
        addresses, augmentation and whatever makes reading faster are no part of it, and type, shape and dtype are
        compared anyway.

        Parameters
        ----------
        reader : Reader
            What `open` has returned, or what came of it by `Dataset.fit_statistics`.
        """
        return {}

    def opened_as(self, reader: Reader) -> None:  # noqa: B027 - most inputs have nothing to remember
        """Take note of a reader that is now part of a dataset; called once all inputs of it could be opened."""

    @abstractmethod
    def open(self, table: Table, name: str) -> Reader:
        """Check the columns, join the keys, and return a reader over all rows of `table`.

        Parameters
        ----------
        table : Table
            The frame that the dataset was made from.
        name : str
            The input's name in the dataset, for messages and random draws.

        Raises
        ------
        ConfigError
            A column is missing or of the wrong kind, keys do not join, ...
        """
