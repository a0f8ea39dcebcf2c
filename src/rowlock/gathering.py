"""One batch in the making: its arrays, and the pieces of work that fill them in any order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rowlock.bad_rows import BadRow
from rowlock.batch import Batch
from rowlock.errors import LoaderClosedError, RowError, StoreClosedError
from rowlock.meter import Meter, stage
from rowlock.retries import retried

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rowlock.arrays import AnyArray, Int64Array
    from rowlock.bad_rows import OnError
    from rowlock.inputs.base import Draw, Reader
    from rowlock.keys import Keys

__all__ = ["Gathering", "Piece", "Slot"]

_OF_THE_USER = (KeyboardInterrupt, SystemExit)
"""In the main thread these are the user's wish to stop, and pass."""

_OF_NO_ROW = (LoaderClosedError, StoreClosedError)
"""Whoever closed something meant all rows."""

_NEVER_BAD_ROWS = (OSError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit)
"""A mount that fails, or a user who interrupts, must not shrink the data set."""


class Slot(NamedTuple):
    """A named place in the batch, and the reader that fills it."""

    role: str
    """``"input"``, ``"target"`` or ``"sample_weight"``."""
    name: str
    reader: Reader

    @property
    def label(self) -> str:
        """What it is called in messages and statistics."""
        return self.name or self.role


class Piece(NamedTuple):
    """Some rows of some slots: what one thread does at a time."""

    slots: Sequence[int]
    first: int
    stop: int


class Gathering:
    """A batch whose rows are still to be read.

    Parameters
    ----------
    slots : sequence of Slot
        What the batch consists of.
    keys : Keys
        Identity of each row of the table.
    rows : int64, shape (n,)
        The batch's rows, as rows of the dataset.
    table_rows : int64, shape (n,)
        The same, as rows of the table.
    draw : (seed, epoch) or None
        For augmentation.
    on_error : {"raise", "mask", "skip"}
        What becomes of rows that cannot be read.
    is_closed : callable, optional
        Whether the readers were closed, so that what they raise is about no row.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        keys: Keys,
        rows: Int64Array,
        table_rows: Int64Array,
        draw: Draw | None,
        on_error: OnError = "raise",
        is_closed: Callable[[], bool] = bool,
    ) -> None:
        self._slots = slots
        self._keys = keys
        self._rows = rows
        self._table_rows = table_rows
        self._draw = draw
        self._on_error = on_error
        self._is_closed = is_closed
        self._errors: list[tuple[int, int, RowError]] = []  # place in the batch, slot, what happened
        self._arrays: list[AnyArray] = []
        self._made: Batch | None = None
        self.num_rows = len(rows)
        """Rows of the batch, those that turn out bad included."""
        self.costs: list[tuple[str, Meter]] = []
        """Name of an input and what was spent on it, one entry a piece and input."""

    @property
    def num_bytes(self) -> int:
        """Memory of the batch's arrays."""
        return sum(slot.reader.spec.row_bytes for slot in self._slots) * len(self._rows)

    def will_need(self) -> None:
        """Tell the readers, and they their disks, which rows come."""
        for slot in self._slots:
            with Meter() as meter, stage("read"):
                slot.reader.will_need(self._table_rows)
            self.costs.append((slot.label, meter))

    def pieces(self) -> Iterator[Piece]:
        """Allocate the arrays and cut the work: costly inputs by rows, all others together."""
        num_rows = len(self._rows)
        self._arrays = [slot.reader.spec.empty(num_rows) for slot in self._slots]
        whole = [place for place, slot in enumerate(self._slots) if slot.reader.piece_rows is None]
        if whole:
            yield Piece(whole, 0, num_rows)
        for place, slot in enumerate(self._slots):
            piece_rows = slot.reader.piece_rows  # once: it may change while others are read
            if piece_rows is not None:
                for first in range(0, num_rows, piece_rows):
                    yield Piece((place,), first, min(first + piece_rows, num_rows))

    def run(self, piece: Piece) -> int:
        """Fill the piece's part of the arrays.

        Returns
        -------
        int
            Memory that was used beside the batch, in bytes, as far as readers say.

        Raises
        ------
        RowError
            Whatever went wrong, with the input's name and the row's key.
        """
        scratch_bytes = 0
        for place in piece.slots:
            slot = self._slots[place]
            rows, out = self._table_rows[piece.first : piece.stop], self._arrays[place][piece.first : piece.stop]
            with Meter() as meter:
                try:
                    self._gather(slot, rows, out)
                except RowError:
                    if self._on_error == "raise":
                        raise
                    self._gather_one_by_one(place, piece.first, rows, out)
            self.costs.append((slot.label, meter))
            scratch_bytes = max(scratch_bytes, meter.scratch_bytes)
        return scratch_bytes

    def batch(self, step: int, epoch: int, *, num_padded: int | None = None) -> Batch:
        """Return the filled batch; the same object, however often it is asked for.

        Parameters
        ----------
        step, epoch : int
        num_padded : int, optional
            Rows at the end that only fill it up: they weigh nothing. None: it has no weights of its own.
        """
        if self._made is None:
            self._made = self._make(step, epoch, num_padded)
        return self._made

    def _make(self, step: int, epoch: int, num_padded: int | None) -> Batch:
        if self._errors and self._on_error == "skip":
            self._leave_out_bad()
        weight = self._weight(num_padded)
        if self._errors and self._on_error == "mask":
            self._mask_bad(weight)
        targets = self._named("target")
        target = targets.get("", targets or None)
        keys = self._keys.values(self._table_rows)
        return Batch(self._named("input"), target, weight, keys, self._rows, step, epoch)

    def bad_rows(self, step: int, epoch: int) -> list[BadRow]:
        """Return the rows that could not be read, each once, in their order in the batch."""
        first: dict[int, RowError] = {}
        for place, _, error in sorted(self._errors, key=lambda found: found[:2]):
            first.setdefault(place, error)
        return [BadRow.of(error, epoch, step) for error in first.values()]

    def _weight(self, num_padded: int | None) -> AnyArray | None:
        weight = self._named("sample_weight").get("")
        if weight is None and (num_padded is not None or self._on_error == "mask"):
            weight = np.ones(len(self._rows), np.float32)
        if weight is not None and num_padded:
            weight[len(weight) - num_padded :] = 0
        return weight

    def bad_places(self) -> Int64Array:
        """Return where in the batch rows could not be read."""
        return np.unique(np.array([place for place, _, _ in self._errors], np.int64))

    def _mask_bad(self, weight: AnyArray | None) -> None:
        places = self.bad_places()
        for array in self._arrays:
            array[places] = 0
        if weight is not None:
            weight[places] = 0

    def _leave_out_bad(self) -> None:
        kept = np.setdiff1d(np.arange(len(self._rows)), self.bad_places())
        self._rows, self._table_rows = self._rows[kept], self._table_rows[kept]
        for place, slot in enumerate(self._slots):
            array = slot.reader.spec.empty(len(kept))
            np.take(self._arrays[place], kept, axis=0, out=array, mode="clip")
            self._arrays[place] = array

    def _named(self, role: str) -> dict[str, AnyArray]:
        pairs = zip(self._slots, self._arrays, strict=True)
        return {slot.name: array for slot, array in pairs if slot.role == role}

    def _gather(self, slot: Slot, rows: Int64Array, out: AnyArray) -> None:
        try:
            self._read(slot, rows, out)
        except RowError as error:
            self._add_context(error, slot, rows, out)
            raise
        except _OF_NO_ROW:
            raise
        except BaseException as error:  # whatever a reader raises ends here, and never an epoch
            if isinstance(error, _OF_THE_USER) and threading.current_thread() is threading.main_thread():
                raise
            if self._on_error != "raise" and isinstance(error, _NEVER_BAD_ROWS):
                raise
            found = _as_row_error(error)
            self._add_context(found, slot, rows, out)
            raise found from error

    def _read(self, slot: Slot, rows: Int64Array, out: AnyArray) -> None:
        try:
            retried(slot.reader.gather, rows, out, self._draw)
        except Exception as error:
            if self._is_closed():
                raise LoaderClosedError(
                    f"the dataset was closed before this batch of {slot.label!r} was read; make it anew"
                ) from error
            raise

    def _gather_one_by_one(self, slot_place: int, first: int, rows: Int64Array, out: AnyArray) -> None:
        """Read what can be read; note what cannot."""
        for place in range(len(rows)):
            try:
                self._gather(self._slots[slot_place], rows[place : place + 1], out[place : place + 1])
            except RowError as error:
                error.row, error.key = int(rows[place]), self._key(int(rows[place]))  # whatever the reader says
                self._errors.append((first + place, slot_place, error))

    def _add_context(self, error: RowError, slot: Slot, rows: Int64Array, out: AnyArray) -> None:
        if error.row is None:
            error.row = self._first_failing(slot, rows, out)
        key = None if error.row is None else self._key(error.row)
        error.add_context(input=slot.label, key=key)

    def _key(self, row: int) -> int | str:
        key = self._keys.values(np.array([row]))[0]
        return key if isinstance(key, str) else int(key)

    def _first_failing(self, slot: Slot, rows: Int64Array, out: AnyArray) -> int | None:
        """Find the row behind an exception that does not name one, by asking for the rows one by one."""
        for place in range(len(rows)):
            try:
                slot.reader.gather(rows[place : place + 1], out[place : place + 1], self._draw)
            except _OF_THE_USER:
                if threading.current_thread() is threading.main_thread():
                    raise
                return int(rows[place])
            except BaseException:  # noqa: BLE001 - its kind is known already
                return int(rows[place])
        return None


def _as_row_error(error: BaseException) -> RowError:
    """Return what any exception of a reader says, as the error of a row; what it is about may still be unknown."""
    try:
        text = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
    except Exception as second:  # noqa: BLE001 - an exception that cannot say what it is must not hide the row
        text = f"{type(error).__name__} (its text cannot be had: {type(second).__name__})"
    if not isinstance(error, OSError):
        return RowError(text)
    path = error.filename if isinstance(error.filename, str) else None
    return RowError(text, stage="read", row=getattr(error, "row", None), path=path)
