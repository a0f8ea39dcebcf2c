"""Photographs, real where they are there, and made ones that compress to about as many bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "cats-dogs"


def real_photographs(most: int) -> list[str]:
    """Return paths of at most `most` photographs of 0.15 megapixels; none where they are not there."""
    return sorted(str(path.resolve()) for path in REAL.glob("*.jpg"))[:most] if REAL.is_dir() else []


def photograph(height: int, width: int, seed: int = 0) -> Image.Image:
    """Return large soft shapes, a few hard edges and the grain of a sensor."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((5, 0.55), (24, 0.3), (90, 0.15)):
        coarse = Image.fromarray(rng.integers(0, 256, (cells, cells + cells // 3, 3), np.uint8))
        pixels += weight * np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    for _ in range(6):
        top, left = int(rng.integers(height)), int(rng.integers(width))
        pixels[top : top + height // 5, left : left + width // 6] += rng.integers(-60, 60, 3)
    pixels += rng.normal(0, 4, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def save_photographs(folder: Path, number: int, height: int, width: int, *, progressive: bool = False) -> list[str]:
    """Write `number` JPEGs of quality 87 into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{place}.jpg") for place in range(number)]
    for place, path in enumerate(paths):
        photograph(height, width, place).save(path, quality=87, progressive=progressive)
    return paths
