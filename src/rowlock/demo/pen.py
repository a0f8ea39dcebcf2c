"""Draws filled shapes in the animal's own coordinates: one unit tall, feet at (0, 0), y downwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import ImageDraw

__all__ = ["Colour", "Pen", "mix", "shade"]

Colour: TypeAlias = tuple[int, int, int]
Point: TypeAlias = tuple[float, float]

_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made darker (factor < 1) or lighter."""
    red, green, blue = (min(255, int(value * factor)) for value in colour)
    return red, green, blue


def mix(colour: Colour, other: Colour, share: float) -> Colour:
    """Return `colour` with a share (0 to 1) of `other` in it."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


class Pen:
    """Shapes that are moved, scaled, turned and mirrored before they are drawn.

    Parameters
    ----------
    canvas : PIL.ImageDraw.ImageDraw
    origin : (float, float)
        Where the point (0, 0) lies on the canvas, in pixels from the upper left.
    scale : float
        Pixels in a unit.
    angle : float, optional
        Turns the shapes about the origin, in radians.
    mirrored : bool, optional
    """

    def __init__(
        self,
        canvas: ImageDraw.ImageDraw,
        *,
        origin: Point,
        scale: float,
        angle: float = 0.0,
        mirrored: bool = False,
    ) -> None:
        cos, sin = np.cos(angle), np.sin(angle)
        self._canvas = canvas
        self._origin = np.array(origin)
        self._scale = scale
        self._matrix = np.array([[cos, sin], [-sin, cos]]) * scale
        if mirrored:
            self._matrix[0] *= -1

    def shape(self, points: Sequence[Point] | NDArray[np.float64], colour: Colour) -> None:
        """Fill a polygon, shape (n, 2)."""
        placed = np.asarray(points) @ self._matrix + self._origin
        self._canvas.polygon(placed.ravel().tolist(), fill=colour)

    def blob(self, centre: Point, radii: Point, colour: Colour) -> None:
        """Fill an ellipse."""
        self.shape(_CIRCLE * radii + centre, colour)

    def line(self, points: Sequence[Point], width: float, colour: Colour) -> None:
        """Draw straight lines of a width in units."""
        placed = np.asarray(points) @ self._matrix + self._origin
        self._canvas.line(placed.ravel().tolist(), fill=colour, width=max(1, round(width * self._scale)))

    def tube(self, points: Sequence[Point], radii: Sequence[float], colour: Colour) -> None:
        """Fill a curved tail: a Bezier curve through its control points, as thick as `radii` say on the way."""
        way = np.linspace(0, 1, 18)
        curve = _bezier(np.asarray(points, np.float64), way)
        thick = np.interp(way, np.linspace(0, 1, len(radii)), radii)
        for (x, y), radius in zip(curve.tolist(), thick.tolist(), strict=True):
            self.blob((x, y), (radius, radius), colour)


def _bezier(points: NDArray[np.float64], way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of a Bezier curve, shape (len(way), 2), by de Casteljau's algorithm."""
    layer = np.repeat(points[None], len(way), axis=0)
    while layer.shape[1] > 1:
        layer = layer[:, :-1] + (layer[:, 1:] - layer[:, :-1]) * way[:, None, None]
    return layer[:, 0]
