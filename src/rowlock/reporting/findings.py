"""All that a report tells, before it is a page or JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.reporting.numbers import ClassScore, Reliability, by_class, by_label, reliability, resampled, wilson

if TYPE_CHECKING:
    from rowlock.reporting.kept import Kept
    from rowlock.reporting.mistakes import Mistake, Unreadable
    from rowlock.reporting.tested import Tested
    from rowlock.training.explain import Explanation

__all__ = ["Findings"]


@dataclass
class Findings:
    """What is known of a run.

    Attributes
    ----------
    kept : Kept
        From its folder.
    tested : Tested or None
        Predicted again; None where that was not wanted, or not possible.
    explanation : Explanation or None
    mistakes : list of Mistake
        The worst.
    num_mistakes : int or None
        Of all tested rows; None where they could not be looked at.
    unreadable : list of Unreadable
        Of the tested rows.
    notes : list of str
        What is missing or has changed, and what to do.
    """

    kept: Kept
    tested: Tested | None = None
    explanation: Explanation | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    num_mistakes: int | None = None
    unreadable: list[Unreadable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> str | None:
        """What the target is; None in a run that is not finished and has no spec."""
        if self.kept.metrics is not None:
            return str(self.kept.metrics["task"])
        return None if self.kept.spec is None else self.kept.spec.target.task

    @property
    def metrics(self) -> dict[str, Any]:
        """The numbers that the run kept."""
        return {} if self.kept.metrics is None else dict(self.kept.metrics["metrics"])

    @property
    def classes(self) -> list[Any]:
        """Classes or labels, in the order of the model's outputs."""
        return [] if self.kept.metrics is None else list(self.kept.metrics["classes"])

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % intervals of metrics of the run: of an accuracy always, of others where rows were predicted again."""
        found: dict[str, tuple[float, float]] = {}
        if self.task == "classes" and self.metrics:
            rows = self.metrics["rows"]
            found["accuracy"] = wilson(round(self.metrics["accuracy"] * rows), rows)
        if self.tested is not None and (self.task == "labels" or self._is_one_quantity):
            known = self.tested.known
            found |= resampled(self.task or "", self.tested.truth[known], self.tested.predicted[known])
        return found

    @cached_property
    def class_scores(self) -> list[ClassScore]:
        """Classes or labels one by one."""
        if self.task == "classes" and "confusion" in self.metrics:
            return by_class(self.metrics["confusion"], self.classes)
        if self.task == "labels" and self.tested is not None:
            known = self.tested.known
            return by_label(self.tested.truth[known], self.tested.predicted[known], self.classes)
        return []

    @cached_property
    def reliability(self) -> Reliability | None:
        """How far probabilities can be trusted: of the class that was said, or of all labels together."""
        if self.tested is None or self.task not in {"classes", "labels"}:
            return None
        known = self.tested.known
        truth, predicted = self.tested.truth[known], self.tested.predicted[known]
        if self.task == "labels":
            return reliability(predicted.ravel(), (truth > 0).ravel())
        return reliability(predicted.max(axis=1), np.asarray(predicted.argmax(axis=1) == truth))

    @property
    def _is_one_quantity(self) -> bool:
        return self.task == "quantity" and self.tested is not None and self.tested.truth.shape[1] == 1
