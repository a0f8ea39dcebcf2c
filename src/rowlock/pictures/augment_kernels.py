# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202 - kernels are typed by their signatures
"""Compiled augmentations of one picture; imported on first use, because importing Numba takes time.

All in fixed point of 16 bits behind the point: the same bytes on every machine. In place, but for `warp`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types, uint8, uint32, uintp

__all__ = ["adjust", "mirror", "warp"]

_PICTURE = types.Array(types.uint8, 3, "C", readonly=True)
_PICTURE_OUT = types.Array(types.uint8, 3, "C")
_VALUES_OUT = types.Array(types.uint8, 1, "C")
_WHITE = 255 << 16


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


def _warp(num_channels: Any) -> Any:
    @numba.njit(types.void(_PICTURE, *[types.int64] * 4, types.boolean, _PICTURE_OUT), nogil=True, cache=True)
    def warp_channels(source, cosine, sine, down, right, reflect, out):
        height, width = out.shape[0], out.shape[1]
        values, mixed, to = source.reshape(-1), out.reshape(-1), uintp(0)
        half, bits = uint32(32768), uint32(16)
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
                # places in the flat picture, and weights that sum to 65536
                a, b = uintp(top * width + left) * num_channels, uintp(top * width + right_of) * num_channels
                d, e = uintp(below * width + left) * num_channels, uintp(below * width + right_of) * num_channels
                in_a, in_b = uint32(of_top * of_left), uint32(of_top * of_right)
                in_d, in_e = uint32(of_below * of_left), uint32(of_below * of_right)
                for c in range(num_channels):
                    total = values[a + c] * in_a + values[b + c] * in_b + values[d + c] * in_d + values[e + c] * in_e
                    mixed[to + c] = uint8(uint32(total + half) >> bits)
                to += num_channels

    return warp_channels


_warp_1, _warp_3 = _warp(uintp(1)), _warp(uintp(3))


@numba.njit(types.void(_PICTURE, *[types.int64] * 4, types.boolean, _PICTURE_OUT), nogil=True, cache=True)
def warp(source, cosine, sine, down, right, reflect, out):
    """Turn a picture about its centre, then shift it; bilinear.

    Parameters
    ----------
    source, out : uint8, shape (height, width, 1 or 3)
        Not the same memory.
    cosine, sine : int
        Of the angle, clockwise, in 65536ths.
    down, right : int
        Shift, in 65536ths of a pixel.
    reflect : bool
        Beyond the edges is the mirror image; else black.
    """
    if out.shape[2] == 3:
        _warp_3(source, cosine, sine, down, right, reflect, out)
    else:
        _warp_1(source, cosine, sine, down, right, reflect, out)
