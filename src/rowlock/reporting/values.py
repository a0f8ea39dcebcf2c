"""A report as plain values, for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rowlock.reporting.findings import Findings

__all__ = ["SCHEMA", "values_of"]

SCHEMA: Final = "rowlock-report-1"


def values_of(found: Findings) -> dict[str, Any]:
    """Return what a report tells; numbers that are none are null."""
    kept, tested = found.kept, found.tested
    told = kept.metrics or {}
    content = {
        "schema": SCHEMA,
        "run": str(kept.folder.path),
        "finished": kept.metrics is not None,
        "notes": found.notes,
        "task": found.task,
        "target": kept.target,
        "classes": found.classes,
        "rows": kept.parts,
        "versions": kept.told.get("versions", {}),
        "fingerprints": kept.told.get("data", {}),
        "best_epoch": kept.best_epoch,
        "history": [{**row, "epoch": int(row["epoch"])} for row in kept.history],
        "waiting": None if kept.waiting is None else kept.waiting._asdict(),
        "measured_on": told.get("measured_on"),
        "metrics": found.metrics,
        "intervals": found.intervals,
        "measured_again": None if tested is None else tested.metrics,
        "by_class": [one._asdict() for one in found.class_scores],
        "reliability": _reliability(found),
        "ablation": told.get("ablation"),
        "importance": _importance(found),
        "num_mistakes": found.num_mistakes,
        "mistakes": [
            {"key": one.key, "true": one.true, "predicted": one.predicted, "loss": one.loss, "paths": list(one.paths)}
            for one in found.mistakes
        ],
        "unreadable": [asdict(one) for one in found.unreadable],
        "bad_rows": [asdict(one) | {"part": part} for one, part in zip(kept.bad_rows, kept.bad_parts, strict=True)],
    }
    return {name: _plain(value) for name, value in content.items()}


def _reliability(found: Findings) -> dict[str, Any] | None:
    if found.reliability is None:
        return None
    return {"error": found.reliability.error, "bins": [one._asdict() for one in found.reliability.bins]}


def _importance(found: Findings) -> dict[str, Any] | None:
    told = found.explanation
    if told is None:
        return None
    return {
        "metric": told.metric, "value": told.value, "rows": told.num_rows, "repeats": told.repeats,
        "drops": [one._asdict() for one in (*told.inputs, *told.columns)],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value that JSON has: NaN is null, tuples are lists."""
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
