"""Whether a model says more than an answer that is always the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["no_better"]

_PARTS: Final = {"test": "test", "valid": "validation", "train": "training"}
_TRY: Final = (
    "more --epochs, another --learning-rate, other inputs; and see that labels, pictures and features are those of"
    " the same rows (rowlock look)"
)


def no_better(metrics: Mapping[str, Any], *, is_balanced: bool = False) -> str | None:
    """Return in words that a model is no better than one answer for all rows; None where it is, or nobody can say.

    Parameters
    ----------
    metrics : dict
        As in ``metrics.json``.
    is_balanced : bool
        Whether classes counted equally in training: then they do here.
    """
    told = metrics["metrics"]
    if metrics["task"] == "classes":
        found = [_of_classes(told, metrics["classes"], is_balanced=is_balanced)]
    elif metrics["task"] == "quantity":
        found = list(_of_quantities(told, metrics["target"]))
    else:
        return None
    worse = [one for one in found if one]
    if not worse:
        return None
    where = f"on the {told['rows']:,} {_PARTS[metrics['measured_on']]} rows"
    more = ", --class-weights balanced" if metrics["task"] == "classes" and not is_balanced else ""
    return f"the model is no better than {'; nor than '.join(worse)} ({where}). What to try: {_TRY}{more}"


def _of_classes(told: Mapping[str, Any], classes: list[Any], *, is_balanced: bool) -> str | None:
    counts = [sum(row) for row in told["confusion"]]
    if is_balanced:
        own, always = told["balanced_accuracy"], 1 / sum(count > 0 for count in counts)
        name, said = "balanced accuracy", "always saying one class"
    else:
        own, always = told["accuracy"], max(counts) / told["rows"]
        name, said = "accuracy", f"always saying {classes[counts.index(max(counts))]!r}, the commonest class"
    if own > always and not math.isclose(own, always):
        return None
    return f"{said}: {name} {own:.3f}, and that gives {always:.3f}"


def _of_quantities(told: Mapping[str, Any], columns: list[str]) -> Iterator[str]:
    """Yield each column that its mean tells as well; an R2 of 0 is the mean's."""
    for name, one in told.get("columns", {columns[0]: told}).items():
        share = one["r2"]
        if share is not None and share <= 0:
            always = one["rmse"] / math.sqrt(1 - share)
            yield f"always saying the mean of {name!r}: RMSE {one['rmse']:.4g}, and that gives {always:.4g}"
