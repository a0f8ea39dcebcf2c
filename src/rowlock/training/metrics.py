"""How good predictions are, in the terms of their kind; plain NumPy, exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray, BoolArray, Int64Array
    from rowlock.training.targets import Target

__all__ = ["MAIN", "MEANINGS", "area_under_curve", "measure", "row_losses"]

MAIN: Final = {"classes": "accuracy", "labels": "f1_macro", "quantity": "r2"}
"""The one number that models of a task are compared by; more is better."""

MEANINGS: Final = {
    "accuracy": "share of rows whose class is right",
    "balanced_accuracy": "mean over the classes of the share of their rows that is right; guessing gives 1 / classes",
    "auc": "chance that a row of the second class gets a higher probability of it than a row of the first",
    "auc_macro": "mean over the labels of the chance that a row with it gets a higher probability than one without",
    "f1_macro": "mean over the classes of the harmonic mean of precision and recall",
    "exact_match": "share of rows all of whose labels are right",
    "log_loss": "mean of -log(probability of what is right)",
    "mae": "mean distance from what is right, in the target's units",
    "rmse": "root of the mean squared distance, in the target's units",
    "r2": "share of the target's variance that is explained; 0: no better than its mean",
}
_TINY: Final = 1e-7


def measure(target: Target, truth: AnyArray, predicted: AnyArray) -> dict[str, Any]:
    """Return the metrics of predictions.

    Parameters
    ----------
    target : Target
    truth : array
        Class numbers, int, shape (n,); labels, 0 or 1, shape (n, labels); quantities in their units, shape
        (n, columns).
    predicted : float array
        Probabilities, shape (n, classes) or (n, labels); quantities in their units, shape (n, columns).

    Returns
    -------
    metrics : dict of str to float, None or list
        None where the rows do not give the number: an AUC needs both classes, an R2 a target that varies.
    """
    found = {"classes": _classes, "labels": _labels, "quantity": _quantity}[target.task](truth, predicted)
    if target.task == "quantity" and len(target.columns) > 1:
        columns = range(len(target.columns))
        each = [_quantity(truth[:, [column]], predicted[:, [column]]) for column in columns]
        found["columns"] = dict(zip(target.columns, each, strict=True))
    return {"rows": len(truth), **found}


def row_losses(task: str, truth: AnyArray, predicted: AnyArray) -> AnyArray:
    """Return what each row adds to the loss, float64, shape (n,); finer than the metrics, to rank small effects by."""
    if task == "quantity":
        return np.asarray(np.square(truth - predicted).mean(axis=1), float)
    if task == "classes":
        return np.asarray(-np.log(np.clip(predicted[np.arange(len(truth)), truth], _TINY, 1).astype(float)))
    safe = np.clip(predicted.astype(float), _TINY, 1 - _TINY)
    return np.asarray(-np.where(truth > 0, np.log(safe), np.log1p(-safe)).mean(axis=1))


def area_under_curve(positive: BoolArray, score: AnyArray) -> float | None:
    """Return the area under the ROC curve, from ranks (Mann and Whitney, 1947), ties counting half; None: one kind."""
    num_positive = int(positive.sum())
    num_negative = len(positive) - num_positive
    if not num_positive or not num_negative:
        return None
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    above = mean_rank[place][positive].sum() - num_positive * (num_positive + 1) / 2
    return float(above / (num_positive * num_negative))


def _classes(truth: Int64Array, predicted: AnyArray) -> dict[str, Any]:
    num_classes = predicted.shape[1]
    answer = predicted.argmax(axis=1)
    confusion = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(confusion, (truth, answer), 1)
    right, of_class = np.diag(confusion), confusion.sum(axis=1)
    present = of_class > 0
    found: dict[str, Any] = {
        "accuracy": float(right.sum() / len(truth)),
        "balanced_accuracy": float((right[present] / of_class[present]).mean()),
        "f1_macro": _f1(right, of_class, confusion.sum(axis=0)),
    }
    if num_classes == 2:
        found["auc"] = area_under_curve(truth == 1, predicted[:, 1])
    found["log_loss"] = float(row_losses("classes", truth, predicted).mean())
    found["confusion"] = confusion.tolist()
    return found


def _labels(truth: AnyArray, predicted: AnyArray) -> dict[str, Any]:
    is_so, said = truth > 0, predicted > 0.5
    areas = [area_under_curve(is_so[:, label], predicted[:, label]) for label in range(truth.shape[1])]
    known = [area for area in areas if area is not None]
    return {
        "f1_macro": _f1((is_so & said).sum(axis=0), is_so.sum(axis=0), said.sum(axis=0)),
        "auc_macro": float(np.mean(known)) if known else None,
        "exact_match": float((is_so == said).all(axis=1).mean()),
        "log_loss": float(row_losses("labels", truth, predicted).mean()),
        "auc_by_label": areas,
    }


def _quantity(truth: AnyArray, predicted: AnyArray) -> dict[str, Any]:
    wrong = truth - predicted
    variance = np.square(truth - truth.mean(axis=0)).mean(axis=0)
    known = variance > 0
    shares = 1 - np.square(wrong).mean(axis=0)[known] / variance[known]
    return {
        "mae": float(np.abs(wrong).mean()),
        "rmse": float(np.sqrt(np.square(wrong).mean())),
        "r2": float(shares.mean()) if known.any() else None,
    }


def _f1(right: Sequence[int] | AnyArray, true: AnyArray, said: AnyArray) -> float:
    """Return the mean F1 of the classes that are there or were said."""
    total = np.asarray(true) + np.asarray(said)
    used = total > 0
    return float((2 * np.asarray(right)[used] / total[used]).mean()) if used.any() else 0.0
