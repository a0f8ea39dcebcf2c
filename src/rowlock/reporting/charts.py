"""Charts as SVG: axes, lines, dots, bars; coloured by the page's style, so that they follow a dark theme and print."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Chart", "nice_range", "short", "ticks"]

_WIDTH: Final = 440
_HEIGHT: Final = 270
_TOP, _RIGHT, _BOTTOM = 12, 14, 44
_LETTER: Final = 7.2
"""Width of a figure of the axis."""
_MOST_MARKED: Final = 60
"""Points of a line that are marked; more are a band."""


def short(value: float) -> str:
    """Return a number for an axis: 0.25, 12,000, 3e-05."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        text = f"{value:,.6g}" if abs(value) < 1e5 else f"{value:,.0f}"
        return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    return f"{value:.2g}"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers from low to high: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


def nice_range(values: Iterable[float], *, margin: float = 0.06, zero: bool = False) -> tuple[float, float]:
    """Return lowest and highest of the finite values with a margin, and with 0 where it is asked for."""
    known = [value for value in values if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = (high - low) * margin or abs(high) * 0.1 or 1.0
    return (low if zero and low == 0 else low - room), high + room


class Chart:
    """A chart that is drawn mark by mark; what is beyond its ranges is drawn at the edge.

    Parameters
    ----------
    x, y : (low, high)
    x_label, y_label : str
    title : str
        What a reader who sees no picture hears.
    x_ticks, y_ticks : sequence of float, optional
        By default round numbers.
    x_form, y_form : callable
        A number as the axis tells it.
    square : bool
        Whether the plot is as high as wide.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        x_label: str,
        y_label: str,
        title: str,
        x_ticks: Sequence[float] | None = None,
        y_ticks: Sequence[float] | None = None,
        x_form: Callable[[float], str] = short,
        y_form: Callable[[float], str] = short,
        square: bool = False,
    ) -> None:
        self._x, self._y = x, y
        self._height = _HEIGHT + 70 if square else _HEIGHT
        side = self._height - _TOP - _BOTTOM
        y_ticks = y_ticks or ticks(*y)
        self._label_room = round(18 + _LETTER * max(len(y_form(value)) for value in y_ticks))
        self._left, self._right = self._label_room + 12, _WIDTH - _RIGHT
        if square:
            self._left = max(self._left, (_WIDTH - side) // 2)
            self._right = min(self._right, self._left + side)
        self._title = title
        self._marks: list[str] = []
        self._axes(x_label, y_label, x_ticks or ticks(*x), y_ticks, x_form, y_form)

    def line(self, xs: Sequence[float], ys: Sequence[float], look: str, *, marked: bool = False) -> None:
        """Draw a line of the style's class `look` (``"c0"``, ``"c0 dotted"``), with a mark a point where wanted."""
        known = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        points = " ".join(f"{self._across(x)},{self._down(y)}" for x, y in known)
        if len(known) > 1:
            self._marks.append(f'<polyline class="line {look}" points="{points}"/>')
        if known and (marked or len(known) == 1):
            shown = known[:: -(-len(known) // _MOST_MARKED)]
            self.dots([x for x, _ in shown], [y for _, y in shown], look)

    def dots(self, xs: Sequence[float], ys: Sequence[float], look: str, radius: float | Sequence[float] = 2.6,
             titles: Sequence[str] | None = None) -> None:  # fmt: skip
        """Draw a dot a point; titles are told where the pointer rests."""
        radii = [radius] * len(xs) if isinstance(radius, (int, float)) else radius
        told = titles or [""] * len(xs)
        self._marks.extend(
            f'<circle class="dot {look}" cx="{self._across(x)}" cy="{self._down(y)}" r="{r:.1f}">'
            + (f"<title>{escape(text)}</title>" if text else "") + "</circle>"
            for x, y, r, text in zip(xs, ys, radii, told, strict=True)
        )  # fmt: skip

    def ring(self, x: float, y: float, look: str) -> None:
        """Mark one point."""
        self._marks.append(f'<circle class="ring {look}" cx="{self._across(x)}" cy="{self._down(y)}" r="6"/>')

    def bar(self, low: float, high: float, value: float, look: str, title: str = "") -> None:
        """Draw an upright bar from 0."""
        left, right = self._across(low), self._across(high)
        top, foot = sorted((self._down(value), self._down(0.0)))
        self._marks.append(
            f'<rect class="bar {look}" x="{left + 0.5:.1f}" y="{top}" width="{max(0.5, right - left - 1):.1f}"'
            f' height="{foot - top:.1f}"><title>{escape(title)}</title></rect>'
        )

    def whisker(self, x: float, low: float, high: float, look: str) -> None:
        """Draw an upright interval."""
        at = self._across(x)
        self._marks.append(f'<path class="whisker {look}" d="M{at} {self._down(low)}V{self._down(high)}"/>')

    def guide(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Draw a dashed line to compare with."""
        (x1, x2), (y1, y2) = map(self._across, x), map(self._down, y)
        self._marks.append(f'<path class="guide" d="M{x1} {y1}L{x2} {y2}"/>')

    def svg(self) -> str:
        """Return the drawing."""
        return (
            f'<svg viewBox="0 0 {_WIDTH} {self._height}" role="img" aria-label="{escape(self._title)}">'
            f"{''.join(self._marks)}</svg>"
        )

    def _across(self, x: float) -> float:
        low, high = self._x
        share = (min(max(x, low), high) - low) / (high - low)
        return round(self._left + share * (self._right - self._left), 1)

    def _down(self, y: float) -> float:
        low, high = self._y
        share = (min(max(y, low), high) - low) / (high - low)
        return round(self._height - _BOTTOM - share * (self._height - _TOP - _BOTTOM), 1)

    def _axes(self, x_label: str, y_label: str, x_ticks: Sequence[float], y_ticks: Sequence[float],
              x_form: Callable[[float], str], y_form: Callable[[float], str]) -> None:  # fmt: skip
        foot = self._height - _BOTTOM
        for value in y_ticks:
            at = self._down(value)
            self._marks.append(f'<path class="grid" d="M{self._left} {at}H{self._right}"/>')
            self._marks.append(
                f'<text x="{self._left - 7}" y="{at + 4:.1f}" text-anchor="end">{escape(y_form(value))}</text>'
            )
        self._marks.append(f'<path class="axis" d="M{self._left} {foot}H{self._right}"/>')
        for value in x_ticks:
            at = self._across(value)
            self._marks.append(f'<path class="axis" d="M{at} {foot}v4"/>')
            self._marks.append(f'<text x="{at}" y="{foot + 17}" text-anchor="middle">{escape(x_form(value))}</text>')
        middle = (self._left + self._right) / 2
        self._marks.append(
            f'<text class="label" x="{middle}" y="{foot + 36}" text-anchor="middle">{escape(x_label)}</text>'
        )
        upright = (_TOP + foot) / 2
        self._marks.append(
            f'<text class="label" x="{self._left - self._label_room}" y="{upright}" text-anchor="middle"'
            f' transform="rotate(-90 {self._left - self._label_room} {upright})">{escape(y_label)}</text>'
        )
