"""A row as a card: its pictures, below them target and key, and its numbers as lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw

from rowlock.inputs import Images
from rowlock.looking.facts import definitions_of
from rowlock.looking.ink import ACCENT, BAD, CARD, EDGE, FAINT, INK, fitted, font, wrapped
from rowlock.looking.sparkline import sparkline

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray
    from rowlock.dataset import Dataset
    from rowlock.looking.facts import RowFacts

__all__ = ["CardLook", "draw_card"]

_PAD: Final = 8
_LINE: Final = 20
_SPARK: Final = 48
_NAME: Final = 13
"""Height of a series' name, where there are several."""
_MOST_PICTURES: Final = 6
_LEAST_WIDTH: Final = 150


@dataclass(frozen=True)
class CardLook:
    """How all cards of a sheet look."""

    width: int
    height: int
    tile: int
    """Height of the pictures; 0 where there are none."""
    ranges: dict[str, tuple[float, float]]
    """Scale of each series."""
    has_values: bool

    @staticmethod
    def of(dataset: Dataset, tile: int, ranges: dict[str, tuple[float, float]], *, has_values: bool) -> CardLook:
        """Return a look that has room for everything."""
        widths = []
        for role, _, what in definitions_of(dataset):
            if role == "input" and isinstance(what, Images):
                height, width = what.size
                count = min(_MOST_PICTURES, what.num_images or 1)
                widths += [round(tile * width / height)] * count
        across = max(_LEAST_WIDTH, sum(widths) + 4 * max(0, len(widths) - 1))
        tall = (tile if widths else 0) + _LINE + _SPARK * len(ranges) + _LINE * has_values
        return CardLook(across + 2 * _PAD, tall + 2 * _PAD, tile if widths else 0, ranges, has_values)


def draw_card(sheet: Image.Image, corner: tuple[int, int], facts: RowFacts, look: CardLook) -> None:
    """Draw one row with its upper left corner there."""
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    box = (left, top, left + look.width - 1, top + look.height - 1)
    draw.rounded_rectangle(box, 6, CARD, BAD if facts.fault else EDGE, 1)
    inside = left + _PAD
    at = top + _PAD
    room = look.width - 2 * _PAD
    if facts.fault:
        _fault(draw, (inside, at), facts, look, room)
        return
    if look.tile:
        _pictures(sheet, (inside, at), facts.pictures, look.tile, room)
        at += look.tile
    _caption(draw, (inside, at + 4), facts.target, facts.key, room)
    at += _LINE
    if look.has_values:
        draw.text((inside, at + 3), fitted("   ".join(facts.values), font(11), room), FAINT, font(11))
        at += _LINE
    for place, (name, limits) in enumerate(look.ranges.items()):
        if name in facts.series:
            above = _NAME if len(look.ranges) > 1 else 0
            size = (room, _SPARK - 8 - above)
            sheet.paste(
                sparkline(facts.series[name], limits, size, ACCENT[place % len(ACCENT)], CARD), (inside, at + 6 + above)
            )
            if above:
                draw.text((inside, at + 4), fitted(name, font(10), room), FAINT, font(10))
        at += _SPARK


def _pictures(sheet: Image.Image, corner: tuple[int, int], pictures: list[AnyArray], tile: int, room: int) -> None:
    left, top = corner
    for pixels in pictures:
        width = round(tile * pixels.shape[1] / pixels.shape[0])
        if left + width > corner[0] + room + 1:
            return
        sheet.paste(_resized(pixels, (width, tile)), (left, top))
        left += width + 4


def _resized(pixels: AnyArray, size: tuple[int, int]) -> Image.Image:
    """Return a picture for the sheet; enlarged ones show the pixels that the model gets."""
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)).convert("RGB")
    enlarged = size[1] >= 2 * image.height
    return image.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.BICUBIC)


def _caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int], target: str, key: str, room: int) -> None:
    left, top = corner
    strong, weak = font(13, bold=True), font(11)
    named = fitted(target, strong, room * 2 // 3 if key else room)
    draw.text((left, top), named, INK, strong)
    free = room - int(strong.getlength(named)) - (8 if named else 0)
    shown = fitted(key, weak, free)
    place: Any = left + room - int(weak.getlength(shown)) if named else left
    draw.text((place, top + 2), shown, FAINT, weak)


def _fault(draw: ImageDraw.ImageDraw, corner: tuple[int, int], facts: RowFacts, look: CardLook, room: int) -> None:
    left, top = corner
    draw.text((left, top + 4), "cannot be read", BAD, font(13, bold=True))
    most = max(1, (look.height - 2 * _PAD - _LINE - 28) // 15)
    for number, line in enumerate(wrapped(facts.fault, font(11), room, most)):
        draw.text((left, top + 28 + 15 * number), line, INK, font(11))
    draw.text((left, top + look.height - 2 * _PAD - 14), fitted(facts.key, font(11), room), FAINT, font(11))
