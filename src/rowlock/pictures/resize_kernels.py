# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202, PLR0917 - kernels are typed by their signatures, and take no keywords
"""The compiled resize; imported on first use, because importing Numba takes time.

Eight target rows are made at a time:

1. vertical pass: each of the eight is a weighted sum of source rows (contiguous, so it vectorises);
2. the eight are interleaved, so that the eight values of one column (*lanes*) stand side by side;
3. horizontal pass: a column of the target is a weighted sum of columns of the source, all lanes at once
   (contiguous again; fetching single pixels took most of the time);
4. the lanes are dealt out to the eight target rows.

Weights are whole 256ths that sum to 256, and sums are 16-bit: nothing overflows, SIMD registers hold twice as
many as of float32, and the result has the same bits on every machine. Both passes round to whole levels.
Counters are unsigned, since Numba provides for negative indices otherwise, and the innermost loops have constant
lengths: either one made it several times slower.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types, uint8, uint16, uintp

__all__ = ["MIN_LINE", "resize_rows"]

MIN_LINE = 64
"""Source rows must have at least this many bytes; the vertical pass works in steps of it."""

_LANES = 8
_STEP = uintp(MIN_LINE)
_HALF = uint16(128)
_BITS = uint16(8)

# Signatures are explicit, so that one machine compiles each loop once. Read-only types take every array.
_LINE = types.Array(types.uint8, 1, "C", readonly=True)
_LINE_OUT = types.Array(types.uint8, 1, "C")
_LINES = types.Array(types.uint8, 2, "C", readonly=True)
_LINES_OUT = types.Array(types.uint8, 2, "C")
_SUMS = types.Array(types.uint16, 1, "C")
_STARTS = types.Array(types.uint32, 1, "C", readonly=True)
_WEIGHTS = types.Array(types.uint16, 1, "C", readonly=True)
_TABLE = types.Array(types.uint16, 2, "C", readonly=True)


@numba.njit(types.void(*[_LINE] * 4, _WEIGHTS, _LINE_OUT), nogil=True, cache=True)
def _blend_4(a, b, c, d, weights, out):
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    size = uintp(out.size)
    for step in range(uintp(0), size, _STEP):
        first = min(step, size - _STEP)  # the last step overlaps the one before: no slow remainder
        for i in range(_STEP):
            j = first + i
            total = uint16(a[j]) * w0 + uint16(b[j]) * w1 + uint16(c[j]) * w2 + uint16(d[j]) * w3
            out[j] = uint8(uint16(total + _HALF) >> _BITS)


@numba.njit(types.void(*[_LINE] * 6, _WEIGHTS, _LINE_OUT), nogil=True, cache=True)
def _blend_6(a, b, c, d, e, f, weights, out):
    w0, w1, w2, w3, w4, w5 = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
    size = uintp(out.size)
    for step in range(uintp(0), size, _STEP):
        first = min(step, size - _STEP)
        for i in range(_STEP):
            j = first + i
            total = uint16(a[j]) * w0 + uint16(b[j]) * w1 + uint16(c[j]) * w2 + uint16(d[j]) * w3
            total += uint16(e[j]) * w4 + uint16(f[j]) * w5
            out[j] = uint8(uint16(total + _HALF) >> _BITS)


@numba.njit(types.void(*[_LINE] * 4, _WEIGHTS, _SUMS), nogil=True, cache=True)
def _add_4(a, b, c, d, weights, sums):
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    for j in range(uintp(sums.size)):
        total = uint16(a[j]) * w0 + uint16(b[j]) * w1 + uint16(c[j]) * w2 + uint16(d[j]) * w3
        sums[j] = uint16(sums[j] + total)


@numba.njit(types.void(_SUMS, _LINE_OUT), nogil=True, cache=True)
def _round(sums, out):
    for j in range(uintp(out.size)):
        out[j] = uint8(uint16(sums[j] + _HALF) >> _BITS)


@numba.njit(types.void(_SUMS), nogil=True, cache=True)
def _clear(sums):
    for j in range(uintp(sums.size)):
        sums[j] = uint16(0)


@numba.njit(types.void(_LINES, *[types.uintp] * 3, _WEIGHTS, _SUMS, _LINE_OUT), nogil=True, cache=True)
def _make_line(source, start, left, right, weights, sums, out):
    """Vertical pass of one target row, from bytes `left` to `right` of the source rows from `start` on."""
    last = uintp(source.shape[0] - 1)  # rows beyond the end have weight 0: any row serves for them
    a, b = source[start][left:right], source[min(start + uintp(1), last)][left:right]
    c, d = source[min(start + uintp(2), last)][left:right], source[min(start + uintp(3), last)][left:right]
    if weights.size == 4:
        _blend_4(a, b, c, d, weights, out)
        return
    e, f = source[min(start + uintp(4), last)][left:right], source[min(start + uintp(5), last)][left:right]
    if weights.size == 6:
        _blend_6(a, b, c, d, e, f, weights, out)
        return
    _clear(sums)
    for k in range(uintp(0), uintp(weights.size), uintp(4)):
        a, b = source[min(start + k, last)][left:right], source[min(start + k + uintp(1), last)][left:right]
        c = source[min(start + k + uintp(2), last)][left:right]
        d = source[min(start + k + uintp(3), last)][left:right]
        _add_4(a, b, c, d, weights[k : k + uintp(4)], sums)
    _round(sums, out)


@numba.njit(types.void(_LINES, _LINE_OUT), nogil=True, cache=True)
def _interleave(lines, lanes):
    a, b, c, d, e, f, g, h = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], lines[6], lines[7]
    for j in range(uintp(a.size)):
        i = uintp(8) * j
        lanes[i] = a[j]
        lanes[i + uintp(1)] = b[j]
        lanes[i + uintp(2)] = c[j]
        lanes[i + uintp(3)] = d[j]
        lanes[i + uintp(4)] = e[j]
        lanes[i + uintp(5)] = f[j]
        lanes[i + uintp(6)] = g[j]
        lanes[i + uintp(7)] = h[j]


@numba.njit(types.void(_LINE, _LINES_OUT, types.uintp), nogil=True, cache=True)
def _deal(lanes, out, y):
    a, b, c, d = out[y], out[y + uintp(1)], out[y + uintp(2)], out[y + uintp(3)]
    e, f, g, h = out[y + uintp(4)], out[y + uintp(5)], out[y + uintp(6)], out[y + uintp(7)]
    for j in range(uintp(a.size)):
        i = uintp(8) * j
        a[j] = lanes[i]
        b[j] = lanes[i + uintp(1)]
        c[j] = lanes[i + uintp(2)]
        d[j] = lanes[i + uintp(3)]
        e[j] = lanes[i + uintp(4)]
        f[j] = lanes[i + uintp(5)]
        g[j] = lanes[i + uintp(6)]
        h[j] = lanes[i + uintp(7)]


@numba.njit(types.void(_LINE, _LINES_OUT), nogil=True, cache=True)
def _deal_few(lanes, out):
    for y in range(uintp(out.shape[0])):
        for j in range(uintp(out.shape[1])):
            out[y, j] = lanes[uintp(_LANES) * j + y]


# One each for grey and RGB: the number of lanes must be a constant.


def _of_its_own(lanes: Any, signature: Any) -> Any:
    """Return a decorator like `numba.njit`, under a name of its own for each number of lanes.

    Numba keeps functions of one name and line in numbered files of one index, which two processes that compile at the
    same time may number alike: one of them would then find the other number of lanes under its own.
    """

    def compiled(function):
        function.__qualname__ = f"{function.__qualname__}_{lanes}"
        return numba.njit(signature, nogil=True, cache=True)(function)

    return compiled


def _mix_4(lanes: Any) -> Any:
    two, three = uintp(2) * lanes, uintp(3) * lanes

    @_of_its_own(lanes, types.void(_LINE, _STARTS, _TABLE, _LINE_OUT))
    def mix_4(columns, starts, weights, out):
        for x in range(uintp(starts.size)):
            w0, w1, w2, w3 = weights[x, 0], weights[x, 1], weights[x, 2], weights[x, 3]
            first, to = uintp(starts[x]) * lanes, x * lanes  # here: below, every store might change them
            for i in range(lanes):
                j = first + i
                total = uint16(columns[j]) * w0 + uint16(columns[j + lanes]) * w1
                total += uint16(columns[j + two]) * w2 + uint16(columns[j + three]) * w3
                out[to + i] = uint8(uint16(total + _HALF) >> _BITS)

    return mix_4


def _mix_6(lanes: Any) -> Any:
    two, three, four, five = uintp(2) * lanes, uintp(3) * lanes, uintp(4) * lanes, uintp(5) * lanes

    @_of_its_own(lanes, types.void(_LINE, _STARTS, _TABLE, _LINE_OUT))
    def mix_6(columns, starts, weights, out):
        for x in range(uintp(starts.size)):
            w0, w1, w2 = weights[x, 0], weights[x, 1], weights[x, 2]
            w3, w4, w5 = weights[x, 3], weights[x, 4], weights[x, 5]
            first, to = uintp(starts[x]) * lanes, x * lanes
            for i in range(lanes):
                j = first + i
                total = uint16(columns[j]) * w0 + uint16(columns[j + lanes]) * w1
                total += uint16(columns[j + two]) * w2 + uint16(columns[j + three]) * w3
                total += uint16(columns[j + four]) * w4 + uint16(columns[j + five]) * w5
                out[to + i] = uint8(uint16(total + _HALF) >> _BITS)

    return mix_6


def _mix_more(lanes: Any) -> Any:
    two, three = uintp(2) * lanes, uintp(3) * lanes

    @_of_its_own(lanes, types.void(_LINE, _STARTS, _TABLE, _SUMS, _LINE_OUT))
    def mix_more(columns, starts, weights, sums, out):
        _clear(sums)
        for k in range(uintp(0), uintp(weights.shape[1]), uintp(4)):
            for x in range(uintp(starts.size)):
                w0, w1, w2, w3 = weights[x, k], weights[x, k + 1], weights[x, k + 2], weights[x, k + 3]
                first, to = (uintp(starts[x]) + k) * lanes, x * lanes
                for i in range(lanes):
                    j = first + i
                    total = uint16(columns[j]) * w0 + uint16(columns[j + lanes]) * w1
                    total += uint16(columns[j + two]) * w2 + uint16(columns[j + three]) * w3
                    sums[to + i] = uint16(sums[to + i] + total)
        _round(sums, out)

    return mix_more


_ONE, _THREE = uintp(_LANES), uintp(_LANES * 3)
_mix_4_1, _mix_4_3 = _mix_4(_ONE), _mix_4(_THREE)
_mix_6_1, _mix_6_3 = _mix_6(_ONE), _mix_6(_THREE)
_mix_more_1, _mix_more_3 = _mix_more(_ONE), _mix_more(_THREE)


# At module level, not a closure over these functions: numba would find it in no cache, and compile it in every process.
@numba.njit(types.void(_LINE, types.uintp, _STARTS, _TABLE, _SUMS, _LINE_OUT), nogil=True, cache=True)
def _make_columns(columns, num_channels, starts, weights, sums, out):
    """Mix columns of pixels of 1 or 3 values: the horizontal pass."""
    num_taps = weights.shape[1]
    if num_channels == 1:
        if num_taps == 4:
            _mix_4_1(columns, starts, weights, out)
        elif num_taps == 6:
            _mix_6_1(columns, starts, weights, out)
        else:
            _mix_more_1(columns, starts, weights, sums, out)
    elif num_taps == 4:
        _mix_4_3(columns, starts, weights, out)
    elif num_taps == 6:
        _mix_6_3(columns, starts, weights, out)
    else:
        _mix_more_3(columns, starts, weights, sums, out)


@numba.njit(
    types.void(_LINES, *[types.uintp] * 4, _STARTS, _TABLE, _STARTS, _TABLE, _LINES_OUT), nogil=True, cache=True
)
def resize_rows(source, top, left, right, num_channels, y_starts, y_weights, x_starts, x_weights, out):
    """Resize a part of a picture.

    Parameters
    ----------
    source : uint8, shape (source height, source width * num_channels)
    top : int
        First row of the part.
    left, right : int
        First byte of the part in a row, and the one behind its last; at least `MIN_LINE` apart.
    num_channels : int
        1 or 3.
    y_starts, y_weights, x_starts, x_weights
        Tables of `rowlock.pictures.taps`, for the part.
    out : uint8, shape (height, width * num_channels)
        Overwritten completely.
    """
    height, size = uintp(out.shape[0]), uintp(out.shape[1])
    num_bytes, eight = right - left, uintp(_LANES)
    lines = np.empty((_LANES, num_bytes), np.uint8)
    columns = np.empty(eight * (num_bytes + uintp(x_weights.shape[1]) * num_channels), np.uint8)
    mixed = np.empty(eight * size, np.uint8)
    # only more than six taps need sums; fresh memory costs page faults
    line_sums = np.empty(num_bytes if y_weights.shape[1] > 6 else uintp(0), np.uint16)
    mixed_sums = np.empty(eight * size if x_weights.shape[1] > 6 else uintp(0), np.uint16)
    for block in range(uintp(0), height, eight):
        first = min(block, max(height, eight) - eight)  # the last block overlaps the one before
        for y in range(first, min(first + eight, height)):
            _make_line(source, top + y_starts[y], left, right, y_weights[y], line_sums, lines[y - first])
        _interleave(lines, columns)
        _make_columns(columns, num_channels, x_starts, x_weights, mixed_sums, mixed)
        if height >= eight:
            _deal(mixed, out, first)
        else:
            _deal_few(mixed, out)
