"""Makes the demo's data set: picture files, a feature store, and a table that names the rows of both."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rowlock.demo.animals import CLEAR_VIEW, HIDING_VIEWS, draw
from rowlock.demo.growth import hidden_among_noise, weights
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from rowlock.demo.animals import Animal, View

__all__ = ["Animals", "DemoData", "imagine", "make"]

HIDING_SHARE: Final = 0.35
"""Rows whose picture shows no trait (the growth curve does)."""
BETWEEN_SHARE: Final = 0.35
"""Rows whose growth curve is between the two kinds (the picture shows which it is)."""
NEITHER_SHARE: Final = 0.03
"""Rows that nobody can tell: both sources are ambiguous."""

_MARKER = "made-by-rowlock-demo.json"
_FORMAT = 1


@dataclass(frozen=True)
class Animals:
    """The rows of the demo, in the table's order, before anything is on disk.

    Attributes
    ----------
    keys : list of str, length n
        ``"animal-004217"``; ascending, with gaps.
    labels : list of "cat" or "fox", length n
        Half of each, in random order.
    views : list of View, length n
        What the picture shows; "face" is the clear one. Independent of the label.
    is_between : bool, shape (n,)
        True where the growth curve tells nothing. Independent of the label.
    curves : float32, shape (n, 12)
        Monthly weights in kilograms.
    """

    keys: list[str]
    labels: list[Animal]
    views: list[View]
    is_between: NDArray[np.bool_]
    curves: NDArray[np.float32]


@dataclass(frozen=True)
class DemoData:
    """Where a finished data set lies, and what making it took.

    Attributes
    ----------
    folder, table, store : Path
    num_rows : int
    was_made : bool
        False where an earlier run had left the same data.
    pictures_seconds, store_seconds : float
        0.0 where nothing was made.
    """

    folder: Path
    table: Path
    store: Path
    num_rows: int
    was_made: bool
    pictures_seconds: float = 0.0
    store_seconds: float = 0.0


def imagine(num_rows: int, seed: int) -> Animals:
    """Decide about the rows: which animal, what the picture shows, how it grew.

    Parameters
    ----------
    num_rows : int
    seed : int
        The same seed gives the same animals.
    """
    rng = np.random.default_rng([seed, 0])
    labels: list[Animal] = ["fox" if number % 2 else "cat" for number in rng.permutation(num_rows)]
    shares = rng.permutation((np.arange(num_rows) + 0.5) / num_rows)
    is_hidden = shares < HIDING_SHARE + NEITHER_SHARE
    is_between = (shares >= HIDING_SHARE) & (shares < HIDING_SHARE + NEITHER_SHARE + BETWEEN_SHARE)
    which = rng.integers(len(HIDING_VIEWS), size=num_rows)
    views: list[View] = [
        HIDING_VIEWS[number] if hidden else CLEAR_VIEW for number, hidden in zip(which.tolist(), is_hidden, strict=True)
    ]
    numbers = np.sort(rng.choice(10**6, num_rows, replace=False)).tolist()
    keys = [f"animal-{number:06d}" for number in numbers]
    return Animals(keys, labels, views, is_between, weights(labels, is_between, rng))


def make(folder: Path, *, num_rows: int, seed: int) -> DemoData:
    """Write pictures, feature store and table, or find them made by an earlier run.

    Parameters
    ----------
    folder : Path
        Made where it is missing. Data of an earlier demo with another seed or size is replaced.
    num_rows : int
    seed : int

    Raises
    ------
    ConfigError
        The folder holds something that the demo did not make.
    """
    marker = {"format": _FORMAT, "num_rows": num_rows, "seed": seed}
    table, store = folder / "animals.parquet", folder / "growth.zarr"
    if _marker_of(folder) == marker:
        return DemoData(folder, table, store, num_rows, was_made=False)
    _clear(folder)
    animals = imagine(num_rows, seed)
    start = time.perf_counter()
    paths = _write_pictures(folder, animals, seed)
    middle = time.perf_counter()
    _write_store(store, animals, seed)
    _write_table(table, animals, paths)
    (folder / _MARKER).write_text(json.dumps(marker))
    stop = time.perf_counter()
    return DemoData(folder, table, store, num_rows, True, middle - start, stop - middle)


def _marker_of(folder: Path) -> Any:
    path = folder / _MARKER
    return json.loads(path.read_text()) if path.exists() else None


def _clear(folder: Path) -> None:
    """Remove what an earlier demo made, and nothing else."""
    ours = (folder / _MARKER).exists()
    if not ours and folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder} is not empty, and the demo did not make what is in it. Nothing was changed."
            " Give it a folder of its own."
        )
    if ours:
        for name in ("pictures", "growth.zarr"):
            shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # The marker goes in first, so that an interrupted run leaves a folder that the next one may clear.
    (folder / _MARKER).write_text("{}")


def _write_pictures(folder: Path, animals: Animals, seed: int) -> list[str]:
    """Draw one file a row, under names that have nothing to do with the keys; return the relative paths."""
    names = np.random.default_rng([seed, 1]).choice(2**32, len(animals.keys), replace=False).tolist()
    paths = [f"pictures/{name >> 28:x}/{name:08x}.jpg" for name in names]
    for digit in range(16):
        (folder / f"pictures/{digit:x}").mkdir(parents=True, exist_ok=True)
    for row, path in enumerate(paths):
        # A generator of its own for each row: what one picture draws has no effect on the next.
        rng = np.random.default_rng([seed, 2, row])
        (folder / path).write_bytes(draw(animals.labels[row], animals.views[row], rng))
    return paths


def _write_store(store: Path, animals: Animals, seed: int) -> None:
    """Write the matrix in another order than the table's; the keys keep it in step."""
    from rowlock import FeatureStore  # noqa: PLC0415 - the drawing parts need no store

    rng = np.random.default_rng([seed, 3])
    matrix = hidden_among_noise(animals.curves, rng)
    order = rng.permutation(len(animals.keys))
    FeatureStore.write(store, matrix[order], keys=[animals.keys[row] for row in order])


def _write_table(table: Path, animals: Animals, paths: list[str]) -> None:
    """Write key, picture, label, and for the curious what each row was made of."""
    columns = {
        "object_id": animals.keys,
        "imgpath": paths,
        "label": animals.labels,
        "view": animals.views,
        "growth": ["between" if between else "typical" for between in animals.is_between],
    }
    pq.write_table(pa.table(columns), table)
