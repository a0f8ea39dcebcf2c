"""Monthly weights of young animals, hidden among columns that mean nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from rowlock.demo.animals import Animal

__all__ = ["MONTHS", "NUM_COLUMNS", "WEIGHT_COLUMNS", "hidden_among_noise", "weights"]

MONTHS: Final = 12
NUM_COLUMNS: Final = 1000
WEIGHT_COLUMNS: Final = (61, 118, 207, 264, 333, 402, 489, 570, 655, 731, 846, 972)
"""Where the twelve weights stand among the columns, from the first month to the twelfth."""


@dataclass(frozen=True)
class _Course:
    """A Gompertz curve: the grown animal's weight, how fast it gets there, and its fastest month."""

    grown_kg: float
    speed: float
    fastest_month: float


_COURSES: Final[dict[Animal, _Course]] = {"cat": _Course(5.0, 0.31, 4.1), "fox": _Course(5.0, 0.49, 3.1)}
# A course that an animal of either kind may take; it is drawn without knowing which animal it is.
_BETWEEN: Final = _Course(5.0, 0.4, 3.6)
_NOISE_KG: Final = 0.12


def weights(animals: Sequence[Animal], is_between: NDArray[np.bool_], rng: Generator) -> NDArray[np.float32]:
    """Return what each animal weighed in its first twelve months.

    Parameters
    ----------
    animals : sequence of "cat" or "fox", length n
    is_between : bool, shape (n,)
        True where the curve lies between the two kinds; such a row does not depend on `animals`.
    rng : numpy.random.Generator

    Returns
    -------
    float32, shape (n, 12)
        Kilograms: A * exp(-exp(-k (t - m))) after Gompertz (1825), with every animal's own A, k and m,
        and the error of the scales.
    """
    courses = [_BETWEEN if between else _COURSES[animal] for animal, between in zip(animals, is_between, strict=True)]
    means = np.array([(course.grown_kg, course.speed, course.fastest_month) for course in courses])
    scatter = rng.normal(1.0, (0.14, 0.07, 0.07), means.shape)
    grown, speed, fastest = (means * scatter).T[:, :, None]
    month = np.arange(1, MONTHS + 1)
    curve = grown * np.exp(-np.exp(-speed * (month - fastest)))
    read: NDArray[np.float64] = curve + rng.normal(0, _NOISE_KG, curve.shape)
    return read.clip(0.05).astype(np.float32)


def hidden_among_noise(curves: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Return the weights in their twelve columns, and in every other column weights of other rows.

    A noise column is one month with its rows in another order (and a little noise), so it has the same
    unit, mean and spread as that month, and nothing but its relation to the label tells it apart.

    Parameters
    ----------
    curves : float32, shape (n, 12)
    rng : numpy.random.Generator

    Returns
    -------
    float32, shape (n, 1000)
    """
    num_rows = len(curves)
    matrix = np.empty((num_rows, NUM_COLUMNS), np.float32)
    for column in range(NUM_COLUMNS):
        matrix[:, column] = curves[rng.permutation(num_rows), rng.integers(MONTHS)]
    matrix += rng.normal(0, _NOISE_KG, matrix.shape).astype(np.float32)
    matrix[:, WEIGHT_COLUMNS] = curves
    return matrix
