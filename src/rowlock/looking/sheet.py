"""`Dataset.look`: rows drawn by chance, each as a card, all on one sheet."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw

from rowlock.arguments import row_numbers, whole_number
from rowlock.errors import ConfigError
from rowlock.inputs.base import check_rows
from rowlock.looking.card import CardLook, draw_card
from rowlock.looking.facts import facts_of, ranges_of
from rowlock.looking.ink import BACKGROUND, FAINT, INK, fitted, font

if TYPE_CHECKING:
    import os

    from rowlock.arrays import Int64Array
    from rowlock.dataset import Dataset

__all__ = ["Sheet", "look"]

_WIDEST: Final = 1280
_MARGIN: Final = 24
_GAP: Final = 16
_HEADER: Final = 56
MOST_ROWS: Final = 500
"""More than that is a sheet that nobody looks at."""


class Sheet:
    """A contact sheet; a notebook shows it.

    Attributes
    ----------
    image : PIL.Image.Image
        RGB.
    rows : int64, shape (n,)
        Rows of the dataset that are on it, line by line.
    num_unreadable : int
        How many of them could not be read; their cards say why.
    """

    def __init__(self, image: Image.Image, rows: Int64Array, num_unreadable: int) -> None:
        self.image = image
        self.rows = rows
        self.num_unreadable = num_unreadable

    def __repr__(self) -> str:
        bad = f", {self.num_unreadable} unreadable" if self.num_unreadable else ""
        return f"Sheet({len(self.rows)} rows{bad}, {self.image.width} x {self.image.height} pixels)"

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.image.save(file, "PNG")
        return file.getvalue()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the sheet as a picture, whose format is what the name ends in; return the path."""
        target = Path(path)
        if target.suffix.lower() not in Image.registered_extensions():
            raise ConfigError(f"{target} should end in .png, or another extension of pictures")
        self.image.save(target)
        return target


def look(
    dataset: Dataset,
    n: int = 24,
    rows: Any = None,
    *,
    seed: int = 0,
    augment: bool = False,
    columns: int | None = None,
    tile: int = 168,
) -> Sheet:
    """Draw rows of a dataset; see `Dataset.look`.

    Parameters
    ----------
    augment : bool
        Whether pictures are augmented, as in the first epoch of ``batches(seed=seed)``.
    columns : int, optional
        Cards side by side; by default as many as fit on a page.
    tile : int
        Height of a picture on the sheet, in pixels.

    Raises
    ------
    ConfigError
        Rows that do not exist, more than 500 of them, or sizes that make no sense.
    """
    chosen = _chosen(dataset, n, rows, whole_number("seed", seed))
    height = whole_number("tile", tile, 32)
    facts = [facts_of(dataset, int(row), (seed, 0) if augment else None) for row in chosen]
    ranges = ranges_of(facts)
    card = CardLook.of(dataset, height, ranges, has_values=any(fact.values for fact in facts))
    across = whole_number("columns", columns, 1) if columns is not None else (_WIDEST - _MARGIN) // (card.width + _GAP)
    across = max(1, min(across, len(facts)))
    down = -(-len(facts) // across)
    width = max(2 * _MARGIN + across * (card.width + _GAP) - _GAP, 420)
    image = Image.new("RGB", (width, _HEADER + down * (card.height + _GAP) - _GAP + _MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(image)
    _header(draw, dataset, ranges, len(facts), width, augment=augment)
    for place, fact in enumerate(facts):
        left = _MARGIN + place % across * (card.width + _GAP)
        top = _HEADER + place // across * (card.height + _GAP)
        draw_card(image, (left, top), fact, card)
    return Sheet(image, chosen, sum(bool(fact.fault) for fact in facts))


def _chosen(dataset: Dataset, n: int, rows: Any, seed: int) -> Int64Array:
    if rows is None:
        count = min(whole_number("n", n, 1), len(dataset))
        found = np.sort(
            np.random.default_rng((seed, 0x5EE)).choice(len(dataset), min(count, MOST_ROWS + 1), replace=False)
        )
    else:
        found = row_numbers(rows, "rows to look at")
        check_rows(found, len(dataset))
    if not 1 <= len(found) <= MOST_ROWS:
        raise ConfigError(f"a sheet has 1 to {MOST_ROWS} rows, not {len(found)}")
    return np.asarray(found, np.int64)


def _header(
    draw: ImageDraw.ImageDraw,
    dataset: Dataset,
    ranges: dict[str, tuple[float, float]],
    count: int,
    width: int,
    *,
    augment: bool,
) -> None:
    shapes = {name: " x ".join(map(str, spec.shape)) for name, spec in dataset.input_specs.items()}
    drawn = {name: f", drawn from {low:.3g} to {high:.3g}" for name, (low, high) in ranges.items()}
    specs = ";  ".join(f"{name} {shape}{drawn.get(name, '')}" for name, shape in shapes.items())
    title = f"{count:,} of {len(dataset):,} rows, as the model gets them{', augmented' if augment else ''}"
    draw.text((_MARGIN, 14), title, INK, font(17, bold=True))
    draw.text((_MARGIN, 36), fitted(specs, font(12), width - 2 * _MARGIN), FAINT, font(12))
