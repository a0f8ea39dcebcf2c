# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202 - kernels are typed by their signatures
"""Compiled augmentations of one picture; imported on first use, because importing Numba takes time.

All in fixed point of 16 bits behind the point: the same bytes on every machine. In place.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import types, uint8, uint64, uintp

__all__ = ["adjust", "mirror", "warp"]

_PICTURE = types.Array(types.uint8, 3, "C", readonly=True)
_PICTURE_OUT = types.Array(types.uint8, 3, "C")
_VALUES_OUT = types.Array(types.uint8, 1, "C")
_PACKED = types.Array(types.uint64, 1, "C")
_WHITE = 255 << 16
_EIGHT, _GREEN, _BLUE = uint64(8), uint64(16), uint64(32)
_HALVES, _LEVELS = uint64(0x0080_0080_0080), uint64(0x00FF_00FF_00FF)


@numba.njit(types.void(_PICTURE_OUT), nogil=True, cache=True)
def mirror(picture):
    """Swap left and right.

    Parameters
    ----------
    picture : uint8, shape (height, width, c)
    """
    height, width, num_channels = picture.shape
    for y in range(uintp(height)):
        for x in range(uintp(width // 2)):
            other = uintp(width) - uintp(1) - x
            for c in range(uintp(num_channels)):
                picture[y, x, c], picture[y, other, c] = picture[y, other, c], picture[y, x, c]


@numba.njit(types.void(_VALUES_OUT, types.int64, types.int64, types.int64), nogil=True, cache=True)
def adjust(values, num_channels, brightness, contrast):
    """Multiply values, then their distances to the mean grey, and cut to 0 .. 255.

    Parameters
    ----------
    values : uint8, shape (number of pixels * num_channels,)
    num_channels : int
        1 or 3 (RGB; its grey is 0.299 R + 0.587 G + 0.114 B).
    brightness, contrast : int
        Factors, in 65536ths.
    """
    total = 0
    if num_channels == 3:
        for i in range(0, values.size, 3):
            total += 299 * values[i] + 587 * values[i + 1] + 114 * values[i + 2]
        total //= 1000
    else:
        for i in range(values.size):
            total += values[i]
    mean = min(_WHITE, ((total << 16) // (values.size // num_channels) * brightness) >> 16)
    table = np.empty(256, np.uint8)
    for value in range(256):
        level = min(_WHITE, value * brightness)
        level = mean + (((level - mean) * contrast) >> 16)
        table[value] = uint8(min(255, max(0, (level + 32768) >> 16)))
    for i in range(uintp(values.size)):
        values[i] = table[values[i]]


@numba.njit(types.int64(types.int64, types.int64), nogil=True, cache=True)
def _reflected(place, size):
    """Continue 0 .. size-1 by its mirror image, the edge twice: c b a | a b c | c b a."""
    if 0 <= place < size:
        return place
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


@numba.njit(types.UniTuple(types.int64, 2)(types.int64, types.int64, types.int64), nogil=True, cache=True)
def _or_nothing(place, size, weight):
    """Return place and weight; outside of 0 .. size-1 the weight is 0."""
    if 0 <= place < size:
        return place, weight
    return 0, 0


@numba.njit(types.void(_PICTURE, _PACKED), nogil=True, cache=True)
def _pack(picture, packed):
    """Write the channels of each pixel into one word, 16 bits each."""
    values = picture.reshape(-1)
    if picture.shape[2] == 1:
        for i in range(uintp(packed.size)):
            packed[i] = uint64(values[i])
        return
    for i in range(uintp(packed.size)):
        j = uintp(3) * i
        packed[i] = uint64(values[j]) | uint64(values[j + uintp(1)]) << _GREEN | uint64(values[j + uintp(2)]) << _BLUE


@numba.njit(types.uint64(*[types.uint64] * 4), nogil=True, cache=True)
def _blend(a, b, of_a, of_b):
    """Mix two packed pixels by weights that sum to 256, rounded to whole levels: all channels in one product."""
    return ((a * of_a + b * of_b + _HALVES) >> _EIGHT) & _LEVELS


@numba.njit(types.void(_PICTURE_OUT, *[types.int64] * 4, types.boolean), nogil=True, cache=True)
def warp(picture, cosine, sine, down, right, reflect):
    """Turn a picture about its centre, then shift it; bilinear, in place.

    Parameters
    ----------
    picture : uint8, shape (height, width, 1 or 3)
    cosine, sine : int
        Of the angle, clockwise, in 65536ths.
    down, right : int
        Shift, in 65536ths of a pixel.
    reflect : bool
        Beyond the edges is the mirror image; else black.
    """
    height, width, num_channels = picture.shape
    packed = np.empty(height * width, np.uint64)
    _pack(picture, packed)
    values, to, step = picture.reshape(-1), uintp(0), uintp(num_channels)
    from_x = (width - 1) * 32768 - ((cosine * right + sine * down) >> 16)
    from_y = (height - 1) * 32768 - ((cosine * down - sine * right) >> 16)
    for y in range(height):
        dy = 2 * y + 1 - height  # twice the distance to the centre
        for x in range(width):
            dx = 2 * x + 1 - width
            at_x, at_y = ((cosine * dx + sine * dy) >> 1) + from_x, ((cosine * dy - sine * dx) >> 1) + from_y
            left, top = at_x >> 16, at_y >> 16
            right_of, below = left + 1, top + 1
            of_right, of_below = (at_x >> 8) & 255, (at_y >> 8) & 255
            of_left, of_top = 256 - of_right, 256 - of_below
            if left < 0 or right_of >= width or top < 0 or below >= height:
                if reflect:
                    left, right_of = _reflected(left, width), _reflected(right_of, width)
                    top, below = _reflected(top, height), _reflected(below, height)
                else:
                    left, of_left = _or_nothing(left, width, of_left)
                    right_of, of_right = _or_nothing(right_of, width, of_right)
                    top, of_top = _or_nothing(top, height, of_top)
                    below, of_below = _or_nothing(below, height, of_below)
            upper_row, lower_row = top * width, below * width
            a, b = packed[uintp(upper_row + left)], packed[uintp(upper_row + right_of)]
            c, d = packed[uintp(lower_row + left)], packed[uintp(lower_row + right_of)]
            upper = _blend(a, b, uint64(of_left), uint64(of_right))
            lower = _blend(c, d, uint64(of_left), uint64(of_right))
            mixed = _blend(upper, lower, uint64(of_top), uint64(of_below))
            values[to] = uint8(mixed)
            if step == uintp(3):
                values[to + uintp(1)] = uint8(mixed >> _GREEN)
                values[to + uintp(2)] = uint8(mixed >> _BLUE)
            to += step
