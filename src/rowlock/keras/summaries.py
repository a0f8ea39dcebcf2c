"""A merged model as a table that is read at once."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from rowlock.keras.graph import BranchFacts, Source, Step, graph_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["shape_text", "summary"]

_WIDTH = 120
_MOST_SHOWN = 10
"""Steps a branch; the first and the last are shown of more."""


def summary(model: Any, print_fn: Callable[[str], object] | None = None) -> None:
    """Print what a merged model consists of: each branch with its inputs, layers, columns and parameters, and the head.

    Parameters
    ----------
    model : keras.Model
        Made by `merge`, or loaded again.
    print_fn : callable, optional
        Gets the text, instead of the terminal.

    Raises
    ------
    ConfigError
        The model was not made by `merge`.
    """
    table, below = _table(model)
    if print_fn is None:
        console = Console()
        console.print(table, below, sep="", highlight=False)
        return
    console = Console(file=io.StringIO(), width=_WIDTH)
    console.print(table, below, sep="", highlight=False)
    print_fn(console.file.getvalue())  # type: ignore[attr-defined]  # it is the StringIO


def _table(model: Any) -> tuple[Table, str]:
    graph = graph_of(model)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("branch", style="bold", no_wrap=True)
    table.add_column("input and layers", ratio=1)
    for header in ("columns", "share", "parameters", "trained"):
        table.add_column(header, justify="right", no_wrap=True)
    for branch in graph.branches:
        share = f"{branch.width / graph.width:.0%}" if graph.join == "concatenated" else ""
        inputs = "\n".join(_told(source, branch.name) for source in branch.sources)
        table.add_row(
            branch.name, f"{inputs}\n{_through(branch)}",
            f"{branch.width:,}", share, f"{branch.num_parameters:,}", f"{branch.num_trained:,}",
        )  # fmt: skip
    table.add_section()
    table.add_row(graph.join, "", f"{graph.width:,}", "", "", "")
    for head in graph.heads:
        table.add_row(
            f"{head.target} head".strip(), _listed(head.steps), shape_text(head.shape), "",
            f"{head.num_parameters:,}", f"{head.num_trained:,}",
        )  # fmt: skip
    fixed = graph.num_parameters - graph.num_trained
    below = f"{graph.name}: {graph.num_parameters:,} parameters, {graph.num_trained:,} trained, {fixed:,} not\n"
    return table, below


def _told(source: Source, branch: str) -> str:
    named = "" if source.name == branch else f"{source.name} "
    return f"{named}{shape_text(source.shape)} {source.dtype}"


def shape_text(shape: tuple[int | None, ...]) -> str:
    """Return ``"64 x 64 x 3"``; one number a row is ``"1"``, and an open side ``"?"``."""
    return " x ".join("?" if side is None else str(side) for side in shape) or "1"


def _through(branch: BranchFacts) -> str:
    if not branch.steps:
        return "straight through"
    shared = "" if branch.shares_with is None else f"the weights of {branch.shares_with}: "
    return shared + _listed(branch.steps)


def _listed(steps: Sequence[Step]) -> str:
    labels = [_step_text(step) for step in steps]
    if len(labels) > _MOST_SHOWN:
        half = _MOST_SHOWN // 2
        labels = [*labels[:half], f"... {len(labels) - 2 * half} more ...", *labels[-half:]]
    return ", ".join(labels)


def _step_text(step: Step) -> str:
    more = ", ".join(filter(None, [f"{step.num_layers} layers" if step.num_layers else "", "frozen" * step.is_frozen]))
    return f"{step.label} ({more})" if more else step.label
