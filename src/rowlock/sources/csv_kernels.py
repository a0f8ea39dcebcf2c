"""A compiled loop over the bytes of a CSV file; imported on first use, because importing Numba takes time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numba
from numba import types

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray

# ruff: noqa: PLR1714 - sets are slower in a compiled loop

__all__ = ["COLUMN", "STATE_SIZE", "mark_codes"]

STATE_SIZE: Final = 5
COLUMN: Final = 0
_PHASE: Final = 1
_DIGITS: Final = 2
_IN_QUOTES: Final = 3
_AFTER_HEADER: Final = 4

_START: Final = 0
_AFTER_ZERO: Final = 1
_IN_DIGITS: Final = 2
_REST: Final = 3
_CODE: Final = 4
_MOST_DIGITS: Final = 15  # float64 holds every number of so many

_BYTES = types.Array(types.uint8, 1, "C", readonly=True)
_STATE = types.Array(types.int64, 1, "C")
_FLAGS = types.Array(types.boolean, 1, "C")


@numba.njit(inline="always", cache=True)
def _next_phase(byte: int, phase: int, digits: int) -> tuple[int, int]:
    """Return the phase behind a byte of a field, and how many digits it has so far."""
    if 48 <= byte <= 57:
        digits += 1
        if phase == _AFTER_ZERO or digits > _MOST_DIGITS:
            return _CODE, digits
        return (_AFTER_ZERO if byte == 48 and phase == _START else _IN_DIGITS), digits
    if phase == _START and byte == 43:  # +
        return _CODE, digits
    is_before = phase == _START and (byte == 45 or byte == 32 or byte == 9)  # -, a space, a tab
    return (_START if is_before else _REST), digits


@numba.njit(types.void(_BYTES, _STATE, _FLAGS), nogil=True, cache=True)
def mark_codes(data: AnyArray, state: AnyArray, marked: AnyArray) -> None:
    """Mark the columns with a field that begins as ``007``, ``+5`` or with more digits than a float64 holds.

    Parameters
    ----------
    data : uint8
        The next bytes of the file.
    state : int64, shape (STATE_SIZE,)
        Where the last bytes ended; zeros at the beginning of the file.
    marked : bool, shape (columns,)
        Columns beyond its end are passed over: lines that do not fit are refused by the reader.
    """
    column, phase, digits = state[COLUMN], state[_PHASE], state[_DIGITS]
    in_quotes, after_header = state[_IN_QUOTES], state[_AFTER_HEADER]
    for i in range(data.size):
        byte = data[i]
        if phase == _REST and byte > 44:  # most bytes; what divides fields is smaller
            continue
        if byte == 34:  # a quote
            in_quotes = 1 - in_quotes
        elif byte == 44 and in_quotes == 0:  # a comma
            column += 1
            phase, digits = _START, 0
        elif (byte == 10 or byte == 13) and in_quotes == 0:
            if column > 0 or phase != _START:
                after_header = 1
            column, phase, digits = 0, _START, 0
        elif phase != _REST:
            phase, digits = _next_phase(byte, phase, digits)
            if phase == _CODE:
                phase = _REST
                if after_header == 1 and column < marked.size:
                    marked[column] = True
    state[COLUMN], state[_PHASE], state[_DIGITS] = column, phase, digits
    state[_IN_QUOTES], state[_AFTER_HEADER] = in_quotes, after_header
