"""The demo from end to end, and what it tells while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from rowlock.demo.animals import HIDING_VIEWS
from rowlock.demo.growth import NUM_COLUMNS
from rowlock.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    import os

    from rowlock.demo.data import DemoData
    from rowlock.demo.train import TrainedModel

__all__ = ["DemoResult", "run"]

MIN_ROWS = 100
"""Fewer would leave parts of the data without a row of each kind."""


@dataclass(frozen=True)
class DemoResult:
    """What `run` made.

    Attributes
    ----------
    data : DemoData
    backend : str
        The Keras backend that ran.
    models : tuple of TrainedModel
        Images only, features only, merged.
    curves, rows : Path
        The two pictures.
    seconds : float
        All of it, from the first picture drawn to the last one painted.
    """

    data: DemoData
    backend: str
    models: tuple[TrainedModel, ...]
    curves: Path
    rows: Path
    seconds: float

    @property
    def scores(self) -> dict[str, float]:
        """Test accuracy of each model, under its name."""
        return {model.name: model.test.accuracy for model in self.models}


def run(
    folder: str | os.PathLike[str] = "demo",
    *,
    num_rows: int = 3000,
    seed: int = 0,
    epochs: int = 8,
    console: Console | None = None,
) -> DemoResult:
    """Make the data set, train the three models on the same split, print and draw what came out.

    Parameters
    ----------
    folder : path
        Made where it is missing; data of an earlier demo in it is used again, or replaced.
    num_rows : int
    seed : int
        Of data, split, order and weights.
    epochs : int
        The same number for each model.
    console : rich.console.Console, optional
        Where to print.

    Raises
    ------
    ConfigError
        Too few rows or epochs, or a folder with something else in it.
    MissingDependencyError
        Keras, a backend or Matplotlib is not installed; the message names the extra.
    """
    _check(num_rows, epochs)
    console = console or Console(highlight=False)
    start = time.perf_counter()
    with console.status("loading Keras"):
        from rowlock.backend import load  # noqa: PLC0415 - `import rowlock.demo` loads no framework

        backend = load()
        from rowlock.demo import data, pictures  # noqa: PLC0415 - they import Pillow and Matplotlib
        from rowlock.demo.train import MODELS  # noqa: PLC0415 - imports Keras
    console.print(f"Keras runs on [bold]{backend}[/] [dim](choose with KERAS_BACKEND)[/]")
    with console.status(f"drawing {num_rows:,} animals"):
        made = data.make(Path(folder), num_rows=num_rows, seed=seed)
    console.print(_about(made))
    models = tuple(_trained(name, made, seed, epochs, console) for name in MODELS)
    curves = pictures.draw_curves(models, made.folder / "curves.png")
    rows = pictures.draw_rows(models, made, made.folder / "rows.png")
    result = DemoResult(made, backend, models, curves, rows, time.perf_counter() - start)
    _print_result(result, console)
    return result


def _check(num_rows: int, epochs: int) -> None:
    if num_rows < MIN_ROWS or epochs < 1:
        raise ConfigError(f"the demo needs {MIN_ROWS} rows and 1 epoch or more, not {num_rows} and {epochs}")
    if find_spec("matplotlib") is None:
        raise MissingDependencyError("matplotlib is not installed, which draws the result: pip install 'rowlock[plot]'")


def _about(made: DemoData) -> str:
    if not made.was_made:
        return f"{made.num_rows:,} pictures and growth curves of an earlier run found in {made.folder}"
    return (
        f"{made.num_rows:,} pictures drawn in {made.pictures_seconds:.1f} s;"
        f" feature store of {made.num_rows:,} x {NUM_COLUMNS:,} written in {made.store_seconds:.1f} s,"
        " in another order of rows"
    )


def _trained(name: str, made: DemoData, seed: int, epochs: int, console: Console) -> TrainedModel:
    """Train one model behind a progress bar, and leave one line of it."""
    from rowlock.demo.train import train  # noqa: PLC0415 - loads Keras

    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"))
    score, clock = TextColumn("{task.fields[score]}"), TimeElapsedColumn()
    with Progress(*columns, score, clock, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=epochs, score="")

        def on_epoch(accuracy: float) -> None:
            progress.update(task, advance=1, score=f"validation {accuracy:.3f}")

        model = train(name, made, seed=seed, epochs=epochs, on_epoch=on_epoch)
    console.print(f"{name:<14} {epochs} epochs in {model.seconds:.0f} s, validation {model.valid_accuracy[-1]:.3f}")
    return model


def _print_result(result: DemoResult, console: Console) -> None:
    num_rows = len(result.models[0].test.is_right)
    table = Table(title=f"Test accuracy on {num_rows} rows that no model has seen", title_justify="left", box=SIMPLE)
    table.add_column("model", no_wrap=True)
    for column in ("all rows", "picture hides it", "curve like either", "rows/s", "waited for data"):
        table.add_column(column, justify="right")
    best = max(result.scores.values())
    for model in result.models:
        table.add_row(*_cells(model), style="bold green" if model.test.accuracy == best else None)
    console.print()
    console.print(table)
    console.print(
        f"curves   {result.curves}\nrows     {result.rows}\ndata     {result.data.table}, {result.data.store}"
    )
    console.print(
        f"{result.seconds:.0f} s in all. Look at rows.png first: where one source cannot tell, the other can."
    )


def _cells(model: TrainedModel) -> tuple[str, ...]:
    test, stats = model.test, model.stats
    return (
        model.name,
        f"{test.accuracy:.3f}",
        f"{test.accuracy_where('view', *HIDING_VIEWS):.3f}",
        f"{test.accuracy_where('growth', 'between'):.3f}",
        f"{stats.rows_per_second:,.0f}",
        f"{stats.wait_share:.1%}",
    )
