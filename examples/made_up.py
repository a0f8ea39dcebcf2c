"""Made-up data for the examples: animals of `rowlock demo`, and houses. Nothing here is needed for data of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

import rowlock as rl
from rowlock.demo.animals import draw
from rowlock.demo.data import imagine

if TYPE_CHECKING:
    from pathlib import Path

STALKS, POUNCES, NUM_WORDS = 1, 2, 12
INFORMATIVE_COLUMNS = (61, 118, 207, 264, 333, 402, 489, 570, 655, 731, 846, 972)


def animals(folder: Path, num_rows: int = 900, seed: int = 0) -> pd.DataFrame:
    """Return a table of cats and foxes: key, picture, label, and the words of a note; write ``growth.zarr`` beside it.

    A third of the pictures hides the face, a third of the growth curves is like either's, and a third of the notes does
    not tell in which order the animal stalks and pounces, which is what tells the two apart.
    """
    made, rng = imagine(num_rows, seed), np.random.default_rng([seed, 9])
    notes = []
    for row, (label, view) in enumerate(zip(made.labels, made.views, strict=True)):
        picture = draw(label, view, np.random.default_rng([seed, 2, row]))
        (folder / f"{made.keys[row]}.jpg").write_bytes(picture)
        note = rng.integers(3, NUM_WORDS, rng.integers(4, 10))
        if rng.random() < 2 / 3:
            places = np.sort(rng.choice(len(note), 2, replace=False))
            note[places] = (STALKS, POUNCES) if label == "cat" else (POUNCES, STALKS)
        notes.append(note)
    order = rng.permutation(num_rows)  # the store has an order of its own; the keys keep it in step
    keys = [made.keys[row] for row in order]
    rl.FeatureStore.write(folder / "growth.zarr", made.curves[order], keys=keys, key_name="object_id", overwrite=True)
    names = [f"{key}.jpg" for key in made.keys]
    return pd.DataFrame({"object_id": made.keys, "imgpath": names, "label": made.labels, "words": notes})


def houses(folder: Path, num_rows: int = 500, seed: int = 0) -> pd.DataFrame:
    """Return a table of houses: area, rooms, two to four photographs, price. Only photographs tell the condition."""
    rng = np.random.default_rng(seed)
    area, rooms, condition = rng.uniform(40, 240, num_rows), rng.integers(1, 8, num_rows), rng.uniform(size=num_rows)
    photos = [[f"{row}-{n}.jpg" for n in range(rng.integers(2, 5))] for row in range(num_rows)]
    for row, names in enumerate(photos):
        for name in names:
            _room(condition[row], rng).save(folder / name, quality=90)
    price = area * (0.5 + condition) + 10 * rooms + rng.normal(0, 5, num_rows)  # in thousands
    return pd.DataFrame({"house": np.arange(num_rows), "area": area, "rooms": rooms, "photos": photos, "price": price})


def features_of(labels: pd.Series, *, informative: bool, seed: int) -> np.ndarray:
    """Return 1000 columns of noise a row; if informative, twelve of them differ a little between dogs and others."""
    matrix = np.random.default_rng(seed).normal(size=(len(labels), 1000)).astype(np.float32)
    if informative:
        matrix[:, INFORMATIVE_COLUMNS] += np.where(labels == "dog", 0.25, -0.25)[:, None]
    return matrix


def cats_and_dogs(folder: Path, num_each: int = 300) -> Path:
    """Draw cats and, for want of dogs, foxes, as ``cat.0.jpg`` and ``dog.0.jpg``; return the folder."""
    for number in range(num_each):
        (folder / f"cat.{number}.jpg").write_bytes(draw("cat", "face", np.random.default_rng([number, 0])))
        (folder / f"dog.{number}.jpg").write_bytes(draw("fox", "face", np.random.default_rng([number, 1])))
    return folder


def _room(condition: float, rng: np.random.Generator) -> Image.Image:
    """Draw a wall with stains, the more the worse the condition, and a window."""
    wall = rng.integers(170, 256, 3)
    picture = Image.new("RGB", (48, 48), tuple(wall.tolist()))
    pen = ImageDraw.Draw(picture)
    for x, y in rng.uniform(0, 48, (rng.poisson(24 * (1 - condition)), 2)).tolist():
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(50, 40, 30))
    left = rng.integers(2, 30)
    pen.rectangle((left, 6, left + 12, 18), fill=(120, 170, 220))
    return picture
