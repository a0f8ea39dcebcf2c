"""The command line: ``rowlock demo``, ``rowlock selftest``, ``rowlock pack``, ``rowlock info``.

Exit codes: 0 all right, 1 a problem was found, 2 misuse, 130 stopped by Ctrl-C. Errors of Rowlock are one line,
without a traceback.
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
PROBLEM, MISUSE, STOPPED = 1, 2, 130


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


@app.command(
    epilog="""Examples:

rowlock pack features.parquet growth.zarr --key object_id

rowlock pack table.csv growth.zarr --key id --key-type text --columns age,height

rowlock pack matrix.npy growth.zarr --dtype float16

rowlock pack file.h5::group/features growth.zarr --key group/ids

rowlock pack cells.h5ad cells.zarr --dataset layers/counts

rowlock pack old_bcolz_folder growth.zarr --overwrite"""
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
    key_type: Annotated[str | None, typer.Option(help="Of the keys of a CSV file: int or text.")] = None,
    columns: Annotated[str | None, typer.Option(help="Features wanted, by name or number: a,b,c; default all.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Array inside of an .npz, HDF5, Zarr or AnnData source.")] = None,
    dtype: Annotated[str, typer.Option(help="What is stored; 'source' keeps the source's.")] = "float32",
    layout: Annotated[str, typer.Option(help="How rows are stored; auto looks at the data.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the store, once the new one is complete.")
    ] = False,
) -> None:
    """Write a feature store from a file of another format, in a stream.

    Ctrl-C keeps the rows so far as a whole store.
    """
    import time

    from rowlock.packing import pack as run

    started = time.perf_counter()
    try:
        packed = run(
            source,
            store,
            key=key,
            key_type=key_type,
            columns=None if columns is None else [part.strip() for part in columns.split(",")],
            dataset=dataset,
            dtype=None if dtype == "source" else dtype,
            layout=layout,
            overwrite=overwrite,
            progress=console.is_terminal,
        )
    except KeyboardInterrupt as stop:
        Console(stderr=True).print(escape(str(stop) or "stopped: nothing was written"), highlight=False)
        raise typer.Exit(STOPPED) from None
    _show_packed(packed, time.perf_counter() - started)


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
    needed = ("numpy", "numba", "narwhals", "pyarrow", "tensorstore", "blosc2")
    optional = ("keras", "jax", "torch", "tensorflow", "tensorflow-cpu", "ray", "pandas", "polars", "h5py")
    for package in (*needed, *optional):
        table.add_row(package, _version(metadata, package))
    table.add_row("decoders", versions())
    console.print(table)


def _show_packed(store: rowlock.FeatureStore, seconds: float) -> None:
    from rich.filesize import decimal

    num_bytes = store.num_rows * store.num_columns * store.dtype.itemsize
    on_disk = sum(file.stat().st_blocks * 512 for file in store.path.rglob("*") if file.is_file())
    keys = (
        f"{store.key_kind} keys {store.key_name or ''}".rstrip() if store.key_kind else "no keys: joined by row number"
    )
    table = Table(box=None, show_header=False)
    table.add_row("store", escape(str(store.path)))
    table.add_row(
        "rows", f"{store.num_rows:,} rows x {store.num_columns:,} columns, {store.dtype}, layout {store.layout}"
    )
    table.add_row("keys", escape(keys))
    table.add_row("size", f"{decimal(on_disk)} on disk, {decimal(num_bytes)} of numbers")
    table.add_row(
        "time", f"{seconds:.1f} s: {store.num_rows / seconds:,.0f} rows/s, {decimal(int(num_bytes / seconds))}/s"
    )
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
