"""What a training tells while it runs; the command line prints it, a library user hears nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rowlock.training.folder import RunFolder

__all__ = ["BETTER", "BranchFacts", "EpochFacts", "Listener", "Summary"]

BETTER: Final = "merged is better by"
"""Over an ablation's models, wherever they are compared: the merged model's metric less that of each."""


@dataclass(frozen=True)
class BranchFacts:
    """A branch in a line.

    Attributes
    ----------
    name, kind : str
        The input, and what it goes through.
    shape : tuple of int
        Of one row of the input.
    num_columns : int
        That it gives to the head.
    num_parameters : int
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    num_columns: int
    num_parameters: int


@dataclass(frozen=True)
class Summary:
    """Data and model, before training begins.

    Attributes
    ----------
    title : str
        Which model it is: ``"merged"``, or that of an ablation.
    task, target : str
    rows : dict of str to int
        Rows of each part.
    balance : dict of str to list of int
        Of each class or label, its rows in each part; empty for a quantity.
    spread : tuple of float or None
        Mean and deviation of a quantity's first column in the training rows.
    branches : tuple of BranchFacts
    num_parameters : int
        Of the whole model.
    backend : str
    is_resumed : bool
        Whether an interrupted run goes on.
    notes : tuple of str
    """

    title: str
    task: str
    target: str
    rows: dict[str, int]
    balance: dict[str, list[int]]
    spread: tuple[float, float] | None
    branches: tuple[BranchFacts, ...]
    num_parameters: int
    backend: str
    is_resumed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochFacts:
    """One epoch, when it is over.

    Attributes
    ----------
    number, of : int
        Counted from 1.
    values : dict of str to float
        As in ``history.csv``.
    is_best : bool
        Whether the validation loss is the lowest so far.
    """

    number: int
    of: int
    values: dict[str, float]
    is_best: bool


class Listener:
    """Hears what happens; this one says nothing."""

    def note(self, text: str) -> None:
        """Say something that the user should know."""

    def finished(self, folder: RunFolder) -> None:
        """Hear that the run was finished before, so that nothing is trained."""

    def begin(self, summary: Summary) -> None:
        """Hear what is going to be trained."""

    def step(self, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Hear that a batch was trained on; all counted from 1."""

    def epoch(self, facts: EpochFacts) -> None:
        """Hear that an epoch is over."""

    def end(self, metrics: dict[str, Any]) -> None:
        """Hear that a model is trained and measured."""

    def compare(self, metrics: dict[str, Any]) -> None:
        """Hear that all models of an ablation are trained."""

    def done(self, folder: RunFolder) -> None:
        """Hear that the run is finished, an ablation included."""
