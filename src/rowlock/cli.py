"""The command line: ``rowlock demo``, ``rowlock selftest``, ``rowlock info``.

Exit codes: 0 all right, 1 a problem was found, 2 misuse. Errors of Rowlock are one line, without a traceback.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import rowlock
from rowlock.errors import ConfigError, RowlockError

if TYPE_CHECKING:
    from rowlock.selftest import EpochResult

__all__ = ["app", "main"]

app = typer.Typer(
    name="rowlock",
    help="Train merged models on data larger than memory, straight from a DataFrame.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
PROBLEM, MISUSE = 1, 2


def main() -> None:
    """Run the command line, and turn Rowlock's errors into a message and an exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets at length
    try:
        app()
    except RowlockError as error:
        Console(stderr=True).print(f"[bold red]{type(error).__name__}[/]: {escape(str(error))}", highlight=False)
        sys.exit(MISUSE if isinstance(error, ConfigError) else PROBLEM)


def _say_version(wanted: bool) -> None:
    if wanted:
        console.print(f"rowlock {rowlock.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Train merged models on data larger than memory, straight from a DataFrame."""


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the data set and the two pictures go.")] = Path("demo"),
    rows: Annotated[int, typer.Option(help="Rows of the data set.")] = 3000,
    epochs: Annotated[int, typer.Option(help="Epochs of each model.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of data, split and training.")] = 0,
) -> None:
    """Make a small data set and train three models on it: pictures only, features only, merged."""
    from rowlock.demo import run

    run(folder, num_rows=rows, epochs=epochs, seed=seed)


@app.command()
def selftest(
    rows: Annotated[int, typer.Option(help="Rows to write and to check.")] = 2000,
    batch_size: Annotated[int, typer.Option(help="Rows a batch.")] = 64,
    epochs: Annotated[int, typer.Option(help="Shuffled epochs.")] = 2,
    seed: Annotated[int, typer.Option(help="Seed of the order.")] = 0,
    folder: Annotated[Path | None, typer.Option(help="Where to write: the disk or mount to test.")] = None,
) -> None:
    """Prove on this machine and disk that every batch is aligned and every row comes once an epoch."""
    from rowlock.selftest import run

    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is not an empty folder; the self test writes only into a new or empty one")
    with (
        tempfile.TemporaryDirectory(prefix="rowlock-selftest-", dir=folder and _made(folder)) as place,
        console.status(f"writing and checking {rows:,} rows under {place}"),
    ):
        results = run(Path(place), num_rows=rows, batch_size=batch_size, num_epochs=epochs, seed=seed)
    _show_results(results)
    if not any(result.name.startswith("Keras") for result in results):
        console.print("[yellow]Keras is not installed, so its adapter was not tested[/]")
    if not all(result.is_right for result in results):
        raise typer.Exit(PROBLEM)


@app.command()
def info() -> None:
    """Print the versions of everything that matters."""
    import platform
    from importlib import metadata

    from rowlock.pictures.versions import versions

    table = Table(box=None, show_header=False)
    table.add_row("rowlock", rowlock.__version__)
    table.add_row("python", platform.python_version())
    table.add_row("system", f"{platform.system()} {platform.machine()}")
    needed = ("numpy", "numba", "narwhals", "pyarrow")
    optional = ("keras", "jax", "torch", "tensorflow", "tensorflow-cpu", "ray", "pandas", "polars")
    for package in (*needed, *optional):
        table.add_row(package, _version(metadata, package))
    table.add_row("decoders", versions())
    console.print(table)


def _version(metadata: Any, package: str) -> str:
    try:
        return str(metadata.version(package))
    except metadata.PackageNotFoundError:
        return "[dim]not installed[/]"


def _made(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def _show_results(results: list[EpochResult]) -> None:
    table = Table(title="Every value read back and compared")
    table.add_column("way")
    for column in ("rows checked", "misaligned", "repeated", "missing"):
        table.add_column(column, justify="right")
    for result in results:
        numbers = (result.num_rows, result.num_misaligned, result.num_repeated, result.num_missing)
        style = None if result.is_right else "bold red"
        table.add_row(result.name, *(f"{number:,}" for number in numbers), style=style)
    console.print(table)
    for result in results:
        for example in result.examples:
            console.print(f"[red]{result.name}[/]: {example}", highlight=False)
    total = sum(result.num_rows for result in results)
    wrong = sum(not result.is_right for result in results)
    console.print(
        f"[bold red]{wrong} of {len(results)} passes were wrong[/]" if wrong else f"[green]{total:,} rows, all right[/]"
    )
