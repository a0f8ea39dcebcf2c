"""``rowlock info``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import rowlock
from rowlock.cli.commands import examples
from rowlock.cli.terminal import console, show_lines
from rowlock.store_report import store_lines

__all__ = ["info"]


@examples("rowlock info", "rowlock info growth.zarr")
def info(
    store: Annotated[Path | None, typer.Argument(help="A feature store to describe.", show_default=False)] = None,
) -> None:
    """Describe a store; without one, print the versions of everything that matters."""
    if store is None:
        _show_versions()
        return
    with rowlock.FeatureStore.open(store) as opened:
        show_lines(store_lines(opened))


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


def _version(metadata: Any, package: str) -> str:
    try:
        return str(metadata.version(package))
    except metadata.PackageNotFoundError:
        return "[dim]not installed[/]"
