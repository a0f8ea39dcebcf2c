"""What ``rowlock train`` prints: data and model, a line an epoch, what came out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from rich.box import SIMPLE
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rowlock.checking.report import amount
from rowlock.cli.terminal import console, errors
from rowlock.cli.unreadable import tell_unreadable
from rowlock.cli.wording import in_options
from rowlock.training.folder import BAD_ROWS
from rowlock.training.listener import BETTER, Listener

if TYPE_CHECKING:
    from rowlock.training.folder import RunFolder
    from rowlock.training.listener import EpochFacts, Summary

__all__ = ["TerminalListener", "metrics_table"]

_MOST_CLASSES: Final = 12
_MOST_CONFUSED: Final = 8
_SHOWN: Final = {"labels": "labels a row", "classes": "one class a row", "quantity": "a quantity"}
_UNITS: Final = {"mae", "rmse"}


class TerminalListener(Listener):
    """Prints; where a terminal is, also what goes on between the lines."""

    def __init__(self) -> None:
        self._waiting = errors.status("opening the data, loading Keras")
        self._bar: Progress | None = None
        self._has_header = False
        self._last: EpochFacts | None = None
        self._has_rows = False

    def __enter__(self) -> Self:
        self._waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._still()

    def _still(self) -> None:
        """Let nothing move on the screen."""
        self._waiting.stop()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def note(self, text: str) -> None:
        """Print it to stderr."""
        errors.print(f"[yellow]note[/]: {escape(in_options(text))}", soft_wrap=True)

    def finished(self, folder: RunFolder) -> None:
        """Say that nothing is trained, and how something would be."""
        self._still()
        console.print(
            f"[bold]nothing was trained[/]: the run in {escape(str(folder.path))} is finished. To train longer: more"
            " --epochs in a new folder (--out); to train the same anew: --overwrite. This is what came out of it:",
            soft_wrap=True,
        )

    def begin(self, summary: Summary) -> None:
        """Print rows and balance, once for all models of an ablation, and branches."""
        self._still()
        console.print(f"\n[bold]{escape(summary.target)}[/] from [bold]{escape(summary.title)}[/]"
                      f" [dim]({_SHOWN[summary.task]}; Keras on {summary.backend})[/]")  # fmt: skip
        if not self._has_rows:
            console.print(_rows_table(summary))
            self._has_rows = True
        console.print(_branches_table(summary))
        for text in summary.notes:
            self.note(text)
        if summary.is_resumed:
            console.print("going on where this run was interrupted")
        self._has_header = False
        self._waiting.update("compiling the first step")
        self._waiting.start()

    def step(self, epoch: int, epochs: int, step: int, steps: int) -> None:
        """Move the bar."""
        if not errors.is_terminal:
            return
        if self._bar is None:
            self._still()
            count = TextColumn("{task.completed}/{task.total} batches")
            columns = (TextColumn("[dim]{task.description}"), BarColumn(), count, TimeRemainingColumn())
            self._bar = Progress(*columns, console=errors, transient=True)
            self._bar.add_task("")
            self._bar.start()
        task = self._bar.task_ids[0]
        self._bar.update(task, description=f"epoch {epoch}/{epochs}", completed=step, total=steps)

    def epoch(self, facts: EpochFacts) -> None:
        """Print a line."""
        self._still()
        self._last = facts
        score = next((name for name in ("accuracy", "mae") if name in facts.values), "")
        if not self._has_header:
            console.print(f"[dim]{'epoch':>9}  {'loss':>9} {score:>9}   {'valid':>9} {score:>9}"
                          f" {'seconds':>9} {'waited':>7}[/]")  # fmt: skip
            self._has_header = True
        values = facts.values
        numbers = [_number(values.get(name)) for name in ("data_loss", score, "val_data_loss", f"val_{score}")]
        best = " [green]best[/]" if facts.is_best else ""
        console.print(
            f"{f'{facts.number}/{facts.of}':>9}  {numbers[0]:>9} {numbers[1]:>9}   {numbers[2]:>9} {numbers[3]:>9}"
            f" {values['seconds']:>9.1f} {values['wait_share']:>7.0%}{best}"
        )

    def end(self, metrics: dict[str, Any]) -> None:
        """Print the metrics."""
        self._still()
        last = self._last
        if last is not None and last.is_best and last.number == last.of:
            console.print("[dim]the last epoch was the best: more --epochs in a new folder (--out) may give more[/]")
        self._last = None
        console.print(f"\n[bold]{_measured_on(metrics)}[/]")
        console.print(metrics_table(metrics))
        confusion = metrics["metrics"].get("confusion")
        if confusion is not None and len(confusion) <= _MOST_CONFUSED:
            console.print("[bold]Rows by class (down) and answer (across)[/]")
            console.print(_confusion_table(metrics["classes"], confusion))
        if metrics["unreadable_rows"]:
            self.note(f"{amount(metrics['unreadable_rows'], 'row', 'rows')} could not be read and so not measured")
        if "ablation" in metrics:
            self.compare(metrics)

    def compare(self, metrics: dict[str, Any]) -> None:
        """Print the models of an ablation beside the merged one."""
        self._still()
        told = metrics["ablation"]
        main = told["metric"]
        console.print("\n[bold]What each branch adds[/]")
        table = Table(box=SIMPLE, pad_edge=False)
        table.add_column("model")
        table.add_column(_title(main), justify="right")
        table.add_column(BETTER, justify="right")
        own = metrics["metrics"][main]
        table.add_row("merged", _number(own), "", style="bold")
        for title, one in told["models"].items():
            value = one["metrics"][main]
            table.add_row(escape(title), _number(value), "" if None in (own, value) else f"{own - value:+.4f}")
        console.print(table)
        others = [
            title for title, one in told["models"].items() if one["metrics"]["rows"] != metrics["metrics"]["rows"]
        ]
        if others:
            self.note(f"{' and '.join(others)}: measured on rows that merged could not read, too, so compare with care")
        for name, adds in told["adds"].items():
            if adds is not None:
                console.print(f"{escape(name)} adds {adds:+.4f} to what the other branches know")
        if main == "accuracy":
            rows = metrics["metrics"]["rows"]
            chance = 2 * math.sqrt(2 * own * (1 - own) / rows)
            console.print(f"[dim]of {rows:,} rows, differences below {max(chance, 1 / rows):.2f} may be chance[/]")

    def done(self, folder: RunFolder) -> None:
        """Print which rows did not count, where the run is, and how it is used."""
        self._still()
        tell_unreadable(folder.file(BAD_ROWS), "of all rows could not be read, and do not count")
        console.print(f"[bold]{escape(str(folder.path))}[/] holds model, history, split, spec and metrics. To use it:")
        console.print(f"  rowlock predict {escape(str(folder.path))} TABLE predictions.parquet", soft_wrap=True)
        console.print(f"  rowlock report {escape(str(folder.path))}", soft_wrap=True)


def _measured_on(metrics: dict[str, Any]) -> str:
    on = {"test": "test rows that the model has not seen", "valid": "validation rows (there is no test part)",
          "train": "training rows (there is no other part)"}[metrics["measured_on"]]  # fmt: skip
    return f"{metrics['metrics']['rows']:,} {on}"


def metrics_table(metrics: dict[str, Any]) -> Table:
    """Return the metrics with what they are."""
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, value in metrics["metrics"].items():
        if name in metrics["meanings"]:
            style = "bold" if name == metrics["main"] else None
            table.add_row(_title(name), _number(value), metrics["meanings"][name], style=style)
    return table


def _rows_table(summary: Summary) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("rows")
    for part in summary.rows:
        table.add_column({"train": "training", "valid": "validation"}.get(part, part), justify="right")
    total = list(summary.rows.values())
    for place, (name, counts) in enumerate(summary.balance.items()):
        if place == _MOST_CLASSES:
            table.add_row(f"... {len(summary.balance) - place} more")
            break
        table.add_row(escape(name), *(f"{count:,} [dim]{count / all_of:>4.0%}[/]"
                                      for count, all_of in zip(counts, total, strict=True)))  # fmt: skip
    table.add_row("all", *(f"{count:,}" for count in total), style="bold")
    if summary.spread is not None:
        table.caption = f"{summary.target}: mean {summary.spread[0]:,.4g}, deviation {summary.spread[1]:,.4g}"
    return table


def _branches_table(summary: Summary) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    for column in ("branch", "model"):
        table.add_column(column)
    for column in ("a row of it", "gives", "parameters"):
        table.add_column(column, justify="right")
    for branch in summary.branches:
        kind, _, weights = branch.kind.partition(":")
        shown = escape(kind + (f" ({Path(weights).name})" if weights else ""))
        table.add_row(escape(branch.name), shown, " x ".join(map(str, branch.shape)), str(branch.num_columns),
                      f"{branch.num_parameters:,}")  # fmt: skip
    head = summary.num_parameters - sum(branch.num_parameters for branch in summary.branches)
    given = sum(branch.num_columns for branch in summary.branches)
    table.add_row("head", "dense", str(given), "", f"{head:,}")
    return table


def _confusion_table(classes: list[Any], confusion: list[list[int]]) -> Table:
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("")
    for name in classes:
        table.add_column(escape(str(name)), justify="right")
    for place, (name, counts) in enumerate(zip(classes, confusion, strict=True)):
        cells = (f"[bold]{count:,}[/]" if other == place else f"{count:,}" for other, count in enumerate(counts))
        table.add_row(escape(str(name)), *cells)
    return table


def _title(name: str) -> str:
    return {
        "auc": "AUC",
        "auc_macro": "AUC, mean",
        "f1_macro": "F1, mean",
        "mae": "MAE",
        "rmse": "RMSE",
        "r2": "R2",
    }.get(name, name.replace("_", " "))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"
