"""``rowlock verify``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import rowlock
from rowlock.cli.commands import examples
from rowlock.cli.terminal import PROBLEM, console

__all__ = ["verify"]


@examples("rowlock verify growth.zarr", "rowlock verify growth.zarr --json")
def verify(
    store: Annotated[Path, typer.Argument(help="The feature store to check.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
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
        console.print(f"[red]{rows}[/]: {escape(reason)}", soft_wrap=True)
    num_damaged = len({row for start, stop, _ in faults for row in range(start, stop)})
    console.print(
        f"[bold red]{num_damaged:,} of {num_rows:,} rows are damaged[/]"
        if faults
        else f"[green]{num_rows:,} rows, all right[/]",
    )
