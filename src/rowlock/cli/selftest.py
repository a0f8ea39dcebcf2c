"""``rowlock selftest``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from rowlock.cli.commands import examples
from rowlock.cli.terminal import PROBLEM, console
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.selftest import EpochResult

__all__ = ["selftest"]


@examples("rowlock selftest", "rowlock selftest --folder /mnt/nas --rows 20000")
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
            console.print(f"[red]{result.name}[/]: {example}")
    total = sum(result.num_rows for result in results)
    wrong = sum(not result.is_right for result in results)
    console.print(
        f"[bold red]{wrong} of {len(results)} passes were wrong[/]" if wrong else f"[green]{total:,} rows, all right[/]"
    )
