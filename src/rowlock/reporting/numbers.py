"""The numbers of a report that no metric tells: intervals, classes one by one, how far probabilities can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from rowlock.training.metrics import area_under_curve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["ClassScore", "Reliability", "by_class", "by_label", "chance", "reliability", "resampled", "wilson"]

_Z: Final = 1.959964  # 95 % of a normal distribution
_DRAWS: Final = 400
_MOST_WORK: Final = 40_000_000


class ClassScore(NamedTuple):
    """How well one class or label is found; None where the rows do not say."""

    name: str
    rows: int
    said: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None = None


class Bin(NamedTuple):
    """Rows of which the model was about as sure."""

    rows: int
    sure: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """How often a model is right, by how sure it was.

    Attributes
    ----------
    bins : tuple of Bin
        Those that have rows; tenths of the probability.
    error : float
        Mean distance between the two, by rows: the expected calibration error.
    """

    bins: tuple[Bin, ...]
    error: float


def wilson(right: float, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927), which holds for small numbers and near 0 and 1."""
    if not rows:
        return 0.0, 1.0
    share, spread = right / rows, _Z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * ((share * (1 - share) + spread / 4) / rows) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def chance(share: float, rows: int) -> float:
    """Return the difference of two shares of so many rows that may well be chance: two deviations of it."""
    return max(2 * math.sqrt(2 * share * (1 - share) / rows), 1 / rows)


def by_class(confusion: Sequence[Sequence[int]], classes: Sequence[Any]) -> list[ClassScore]:
    """Return the classes of a confusion matrix (a line a true class) one by one."""
    counts = np.asarray(confusion, np.int64)
    right, true, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return [_score(str(name), int(true[i]), int(said[i]), int(right[i])) for i, name in enumerate(classes)]


def by_label(truth: AnyArray, predicted: AnyArray, labels: Sequence[Any]) -> list[ClassScore]:
    """Return the labels one by one."""
    is_so, is_said = truth > 0, predicted > 0.5
    found = []
    for place, name in enumerate(labels):
        both = int((is_so[:, place] & is_said[:, place]).sum())
        one = _score(str(name), int(is_so[:, place].sum()), int(is_said[:, place].sum()), both)
        found.append(one._replace(auc=area_under_curve(is_so[:, place], predicted[:, place])))
    return found


def reliability(sure: AnyArray, is_right: BoolArray, num_bins: int = 10) -> Reliability:
    """Compare how sure a model was, 0 to 1, with whether it was right."""
    place = np.clip((sure * num_bins).astype(int), 0, num_bins - 1)
    bins = []
    for number in range(num_bins):
        inside = place == number
        rows = int(inside.sum())
        if rows:
            right = int(is_right[inside].sum())
            bins.append(Bin(rows, float(sure[inside].mean()), right / rows, *wilson(right, rows)))
    total = sum(one.rows for one in bins)
    error = sum(one.rows * abs(one.sure - one.right) for one in bins) / total if total else 0.0
    return Reliability(tuple(bins), float(error))


def resampled(task: str, truth: AnyArray, predicted: AnyArray, *, seed: int = 0) -> dict[str, tuple[float, float]]:
    """Return 95 % intervals of metrics, by drawing the rows again (Efron, 1979).

    Of labels ``f1_macro``; of one quantity, ``(rows, 1)``, ``mae``, ``rmse`` and ``r2``.
    """
    rows = len(truth)
    facts, metrics = _label_sums(truth, predicted) if task == "labels" else _quantity_sums(truth, predicted)
    draws = int(np.clip(_MOST_WORK // max(1, facts.size), 50, _DRAWS))
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        times = np.bincount(rng.integers(0, rows, rows), minlength=rows)
        for name, value in metrics(times @ facts, rows).items():
            found.setdefault(name, []).append(value)
    return {name: _middle(values) for name, values in found.items() if np.isfinite(values).all()}


def _middle(values: list[float]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _quantity_sums(truth: AnyArray, predicted: AnyArray) -> tuple[AnyArray, Any]:
    wrong, middled = (truth - predicted)[:, 0], (truth - truth.mean(axis=0))[:, 0]
    facts = np.column_stack([np.abs(wrong), np.square(wrong), middled, np.square(middled)])

    def metrics(sums: AnyArray, rows: int) -> dict[str, float]:
        variance = sums[3] - sums[2] ** 2 / rows
        r2 = 1 - sums[1] / variance if variance > 0 else float("nan")
        return {"mae": sums[0] / rows, "rmse": (sums[1] / rows) ** 0.5, "r2": r2}

    return facts, metrics


def _label_sums(truth: AnyArray, predicted: AnyArray) -> tuple[AnyArray, Any]:
    is_so, is_said = truth > 0, predicted > 0.5
    facts = np.concatenate([is_so & is_said, is_so, is_said], axis=1).astype(np.float64)

    def metrics(sums: AnyArray, rows: int) -> dict[str, float]:
        del rows
        both, true, said = np.split(sums, 3)
        used = true + said > 0
        return {"f1_macro": float((2 * both[used] / (true + said)[used]).mean()) if used.any() else 0.0}

    return facts, metrics


def _score(name: str, rows: int, said: int, right: int) -> ClassScore:
    share = None if rows + said == 0 else 2 * right / (rows + said)
    return ClassScore(name, rows, said, right / said if said else None, right / rows if rows else None, share)
