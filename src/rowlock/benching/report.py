"""What was measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["SCHEMA", "Bench", "Reference", "Run"]

SCHEMA: Final = "rowlock-bench-1"


@dataclass(frozen=True)
class Run:
    """Batches read for a while in one way.

    Attributes
    ----------
    name : str
        ``"cold"``: the system had none of the files in memory; ``"warm"``; ``"cached"``: decoded pictures on disk.
    num_threads : int
    num_rows : int
    seconds : float
    rows_per_second : float
    """

    name: str
    num_threads: int
    num_rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        """Delivered, on average."""
        return self.num_rows / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and texts."""
        return {**asdict(self), "rows_per_second": self.rows_per_second}


@dataclass(frozen=True)
class Reference:
    """Another library's plain loop over the same pictures, in a process of its own; `note`: what it did or why not."""

    name: str
    rows_per_second: float | None
    note: str


@dataclass
class Bench:
    """All of it.

    Attributes
    ----------
    num_rows, batch_size : int
    runs : list of Run
    stages : dict of str to dict of str to float
        Thread seconds of each stage of each input, in the warm run with all threads.
    wait_share : float
        Of that run: how much of its time the consumer waited, 0 to 1.
    memory_bytes : int
        Most that batches took.
    advice : str
    references : list of Reference
    notes : list of str
        What could not be measured, and why.
    """

    num_rows: int
    batch_size: int
    runs: list[Run] = field(default_factory=list)
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    wait_share: float = 0.0
    memory_bytes: int = 0
    advice: str = ""
    references: list[Reference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, name: str) -> Run | None:
        """Return a run by its name, with the most threads."""
        found = [run for run in self.runs if run.name == name]
        return max(found, key=lambda run: run.num_threads) if found else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as ``rowlock bench --json`` prints it."""
        return {"schema": SCHEMA} | asdict(self) | {"runs": [run.to_dict() for run in self.runs]}
