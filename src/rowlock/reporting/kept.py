"""What the folder of a run holds, read without any framework; what is not there, or damaged, is said and left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
from pyarrow import compute, parquet

from rowlock.bad_rows import BadRow, bad_rows_of
from rowlock.errors import ConfigError
from rowlock.training import Spec
from rowlock.training import folder as names
from rowlock.training.config import PARTS
from rowlock.training.curves import read_history
from rowlock.training.folder import RunFolder, read_config, read_metrics

if TYPE_CHECKING:
    import os

    from rowlock.training import Config

__all__ = ["Kept", "Waiting", "read_kept"]

JUDGED: Final = "val_data_loss"
"""The column of the history whose lowest value chooses the epoch that is kept."""


class Waiting(NamedTuple):
    """How long a training waited for its data."""

    seconds: float
    """Of all epochs."""
    waited_seconds: float
    share: float


@dataclass
class Kept:
    """What is known of a run from its folder alone.

    Attributes
    ----------
    folder : RunFolder
    config : Config
    told : dict
        All that ``run.toml`` says: table, versions, fingerprints.
    spec : Spec or None
    metrics : dict or None
        None while the run is not finished.
    history : list of dict
        One an epoch.
    parts : dict of str to int
        Rows of each part of the split.
    bad_rows : list of BadRow
        Those that did not count, where they were masked.
    bad_parts : list of str
        The part of each of them; empty where the split does not tell.
    others : dict of str to list of dict
        Histories of the ablation's models, by their titles.
    notes : list of str
        What is missing.
    """

    folder: RunFolder
    config: Config
    told: dict[str, Any]
    spec: Spec | None = None
    metrics: dict[str, Any] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    parts: dict[str, int] = field(default_factory=dict)
    bad_rows: list[BadRow] = field(default_factory=list)
    bad_parts: list[str] = field(default_factory=list)
    others: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights are kept: that of the lowest validation loss, or without validation the last."""
        return best_epoch(self.history)

    @property
    def waiting(self) -> Waiting | None:
        """How long data was waited for; None where the history does not say."""
        known = [row for row in self.history if "seconds" in row and "wait_share" in row]
        seconds = sum(row["seconds"] for row in known)
        if not seconds:
            return None
        waited = sum(row["seconds"] * row["wait_share"] for row in known)
        return Waiting(seconds, waited, waited / seconds)

    @property
    def target(self) -> str:
        """The columns of the target, for people."""
        given = self.config.target
        if self.spec is not None:
            return self.spec.target.name
        return given if isinstance(given, str) else ", ".join(given)


def best_epoch(history: list[dict[str, float]]) -> int | None:
    """Return the number of the epoch that a run of this history keeps; None before the first."""
    judged = [row for row in history if JUDGED in row]
    if judged:
        return int(min(judged, key=lambda row: row[JUDGED])["epoch"])
    return int(history[-1]["epoch"]) if history else None


def read_kept(path: str | os.PathLike[str]) -> Kept:
    """Read the folder of a run, finished or not.

    Raises
    ------
    ConfigError
        There is no run.
    """
    folder = RunFolder(path)
    folder.require_begun()
    config, told = read_config(folder.file(names.RUN))
    kept = Kept(folder, config, told)
    kept.spec = _tried(kept, names.SPEC, lambda: Spec.load(folder.file(names.SPEC)))
    kept.history = _tried(kept, names.HISTORY, lambda: read_history(folder)) or []
    kept.parts = _tried(kept, names.SPLIT, lambda: _parts(folder)) or {}
    if folder.file(names.BAD_ROWS).exists():
        kept.bad_rows = _tried(kept, names.BAD_ROWS, lambda: bad_rows_of(folder.file(names.BAD_ROWS))) or []
        none_told = [""] * len(kept.bad_rows)
        kept.bad_parts = _tried(kept, names.SPLIT, lambda: _parts_of(folder, kept.bad_rows)) or none_told
    if folder.is_complete:
        kept.metrics = _tried(kept, names.METRICS, lambda: read_metrics(folder.file(names.METRICS)))
        kept.others = _others(kept)
    else:
        kept.notes.append(
            "The run is not finished, so nothing was measured yet. To go on:"
            f" rowlock train --config {folder.file(names.RUN)}"
        )
    return kept


def _tried(kept: Kept, name: str, read: Any) -> Any:
    """Return what a file holds; where it cannot be read, say so and return None."""
    try:
        return read()
    except FileNotFoundError:
        kept.notes.append(f"The run has no {name}.")
    except (ConfigError, OSError, ValueError, KeyError, TypeError) as error:
        there = kept.folder.file(name).exists()
        kept.notes.append(f"{name} of the run cannot be read: {error}" if there else f"The run has no {name}.")
    return None


def _parts(folder: RunFolder) -> dict[str, int]:
    counts = compute.value_counts(parquet.read_table(folder.file(names.SPLIT), columns=["part"]).column("part"))
    found = {entry["values"]: int(entry["counts"]) for entry in counts.to_pylist()}
    return {part: found[part] for part in PARTS if part in found}


def _parts_of(folder: RunFolder, rows: list[BadRow]) -> list[str]:
    """Return the part of each row; empty where rows of its key are in several."""
    split = parquet.read_table(folder.file(names.SPLIT))
    keys = [row.row if row.key is None else row.key for row in rows]
    named = split.filter(compute.is_in(split.column(0), value_set=pa.array(keys, split.column(0).type)))
    parts: dict[Any, set[str]] = {}
    for key, part in zip(named.column(0).to_pylist(), named.column("part").to_pylist(), strict=True):
        parts.setdefault(key, set()).add(part)
    return [min(parts[key]) if len(parts.get(key, ())) == 1 else "" for key in keys]


def _others(kept: Kept) -> dict[str, list[dict[str, float]]]:
    """Return the histories of the models of an ablation, as far as they are there."""
    titles = (kept.metrics or {}).get("ablation", {}).get("models", {})
    found = {}
    for title in titles:
        folder = RunFolder(kept.folder.file(names.ABLATION) / title.replace(" ", "-"))
        if folder.file(names.HISTORY).exists():
            found[title] = _tried(kept, f"{names.ABLATION}/{folder.path.name}/{names.HISTORY}",
                                  lambda folder=folder: read_history(folder)) or []  # fmt: skip
    return found
