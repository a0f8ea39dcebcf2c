"""Colours, fonts, and texts that fit."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from PIL import ImageFont

__all__ = ["ACCENT", "BACKGROUND", "BAD", "CARD", "EDGE", "FAINT", "INK", "fitted", "font", "wrapped"]

BACKGROUND: Final = "#f4f4f1"
CARD: Final = "#ffffff"
EDGE: Final = "#dddcd6"
INK: Final = "#1f1f1f"
FAINT: Final = "#77756e"
ACCENT: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito: told apart with every colour vision
BAD: Final = "#b3261e"


@functools.cache
def font(size: int, *, bold: bool = False) -> Any:
    """Return DejaVu Sans, which has most alphabets, where matplotlib brings it; else Pillow's own font."""
    try:
        import matplotlib  # noqa: ICN001, PLC0415 - only for the folder of its fonts, and only where it is installed

        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size - 1)
    except (ImportError, OSError):
        return ImageFont.load_default(size)


def fitted(text: str, face: Any, width: int) -> str:
    """Return the text, or as much of its start as has room, and dots."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    if face.getlength(text) <= width:
        return text
    while text and face.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def wrapped(text: str, face: Any, width: int, most_lines: int) -> list[str]:
    """Return the text in lines that fit; what does not fit into `most_lines` is cut."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = lines[:most_lines]
    if len(lines) > most_lines:
        kept[-1] += " ..."
    return [fitted(line, face, width) for line in kept]
