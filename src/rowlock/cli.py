"""The command line: ``rowlock demo``, ``selftest``, ``pack``, ``info`` and ``verify``.

Exit codes: 0 all right, 1 a problem was found, 2 misuse, 130 stopped by Ctrl-C. Errors of Rowlock are one line,
without a traceback.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperCommand, TyperGroup

import rowlock
from rowlock.errors import ConfigError, RowlockError
from rowlock.notes import showing_notes
from rowlock.store_report import packed_lines, store_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rowlock.selftest import EpochResult

__all__ = ["app", "main"]


class _Command(TyperCommand):
    """A command whose ``--help`` is shown as what it is: a flag."""

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))


class _Group(TyperGroup):
    """The commands, with the same ``--help``."""

    def get_help_option(self, ctx: Any) -> Any:
        return _as_flag(super().get_help_option(ctx))


class Layout(StrEnum):
    """How rows are stored."""

    auto = "auto"
    csr = "csr"
    packed = "packed"
    raw = "raw"


class KeyType(StrEnum):
    """What the keys of a CSV file are."""

    int = "int"
    text = "text"


def _as_flag(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option


app = typer.Typer(
    name="rowlock",
    cls=_Group,
    help="Train merged models on data larger than memory, straight from a DataFrame.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()
PROBLEM, MISUSE, STOPPED = 1, 2, 130


def main() -> None:
    """Run the command line, and turn Rowlock's errors into a message and an exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets at length
    try:
        app(prog_name="rowlock")
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
        bool, typer.Option("--version", metavar="", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Train merged models on data larger than memory, straight from a DataFrame."""


@app.command(cls=_Command)
def demo(
    folder: Annotated[Path, typer.Option(help="Where the data set and the two pictures go.")] = Path("demo"),
    rows: Annotated[int, typer.Option(help="Rows of the data set.")] = 3000,
    epochs: Annotated[int, typer.Option(help="Epochs of each model.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of data, split and training.")] = 0,
) -> None:
    """Make a small data set and train three models on it: pictures only, features only, merged."""
    from rowlock.demo import run

    run(folder, num_rows=rows, epochs=epochs, seed=seed)


@app.command(cls=_Command)
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


@app.command(
    cls=_Command,
    epilog="""\b
Examples:
rowlock pack features.parquet growth.zarr --key object_id
rowlock pack table.csv growth.zarr --key id --columns age,height
rowlock pack matrix.npy growth.zarr --dtype float16
rowlock pack file.h5::group/features growth.zarr --key group/ids
rowlock pack cells.h5ad cells.zarr --dataset layers/counts
rowlock pack old_bcolz_folder growth.zarr --overwrite""",
)
def pack(
    source: Annotated[
        str,
        typer.Argument(
            help="Parquet, CSV, Arrow, .npy, .npz, HDF5, AnnData, Zarr or bcolz; file.h5::name for an array."
        ),
    ],
    store: Annotated[Path, typer.Argument(help="The feature store to make.")],
    key: Annotated[str | None, typer.Option(help="Column that identifies the rows.")] = None,
    key_type: Annotated[KeyType | None, typer.Option(help="What the keys of a CSV file are.")] = None,
    columns: Annotated[str | None, typer.Option(help="Features wanted, by name or number: a,b,c; default all.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Array inside of an .npz, HDF5, Zarr or AnnData source.")] = None,
    dtype: Annotated[str, typer.Option(help="What is stored; 'source' keeps the source's.")] = "float32",
    layout: Annotated[Layout, typer.Option(help="How rows are stored; auto looks at the data.")] = Layout.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar="", help="Replace the store, once the new one is complete.")
    ] = False,
) -> None:
    """Write a feature store from a file of another format, in a stream.

    Ctrl-C keeps the rows so far as a whole store.
    """
    import time

    from rowlock.packing import pack as run

    started = time.perf_counter()
    try:
        with showing_notes():
            packed = run(
                source,
                store,
                key=key,
                key_type=None if key_type is None else key_type.value,
                columns=None if columns is None else [part.strip() for part in columns.split(",")],
                dataset=dataset,
                dtype=None if dtype == "source" else dtype,
                layout=layout.value,
                overwrite=overwrite,
                progress=console.is_terminal,
            )
    except KeyboardInterrupt as stop:
        Console(stderr=True).print(escape(str(stop) or "stopped: nothing was written"), highlight=False)
        raise typer.Exit(STOPPED) from None
    _show_lines(packed_lines(packed, time.perf_counter() - started))


@app.command(cls=_Command)
def info(
    store: Annotated[Path | None, typer.Argument(help="A feature store to describe.", show_default=False)] = None,
) -> None:
    """Describe a store; without one, print the versions of everything that matters."""
    if store is None:
        _show_versions()
        return
    with rowlock.FeatureStore.open(store) as opened:
        _show_lines(store_lines(opened))


@app.command(cls=_Command)
def verify(
    store: Annotated[Path, typer.Argument(help="The feature store to check.")],
    as_json: Annotated[bool, typer.Option("--json", metavar="", help="Print what was found as JSON.")] = False,
) -> None:
    """Read all of a store and check every row; the exit code is 1 if anything is damaged."""
    with rowlock.FeatureStore.open(store) as opened:
        faults = opened.verify(progress=console.is_terminal and not as_json)
        num_rows = opened.num_rows
    if as_json:
        listed = [{"start": start, "stop": stop, "reason": reason} for start, stop, reason in faults]
        typer.echo(json.dumps({"store": str(store), "rows": num_rows, "damaged": listed}))
    else:
        _show_faults(num_rows, faults)
    if faults:
        raise typer.Exit(PROBLEM)


def _show_faults(num_rows: int, faults: list[tuple[int, int, str]]) -> None:
    for start, stop, reason in faults:
        rows = f"row {start}" if stop == start + 1 else f"rows {start}..{stop - 1}"
        console.print(f"[red]{rows}[/]: {escape(reason)}", highlight=False, soft_wrap=True)
    num_damaged = len({row for start, stop, _ in faults for row in range(start, stop)})
    console.print(
        f"[bold red]{num_damaged:,} of {num_rows:,} rows are damaged[/]"
        if faults
        else f"[green]{num_rows:,} rows, all right[/]",
        highlight=False,
    )


def _show_versions() -> None:
    import platform
    from importlib import metadata

    from rowlock.pictures.versions import versions

    table = Table(box=None, show_header=False)
    table.add_row("rowlock", rowlock.__version__)
    table.add_row("python", platform.python_version())
    table.add_row("system", f"{platform.system()} {platform.machine()}")
    needed = ("numpy", "numba", "narwhals", "pyarrow", "tensorstore", "blosc2")
    optional = ("keras", "jax", "torch", "tensorflow", "tensorflow-cpu", "ray", "pandas", "polars", "h5py")
    for package in (*needed, *optional):
        table.add_row(package, _version(metadata, package))
    table.add_row("decoders", versions())
    console.print(table)


def _show_lines(lines: Iterable[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, escape(text))
    console.print(table, highlight=False)


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
