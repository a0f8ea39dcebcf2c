"""``rowlock``: the commands, and how it starts.

Exit codes: 0 all right, 1 a problem was found, 2 it could not begin as asked, 130 stopped by Ctrl-C, 141 nobody reads
the output any more.
"""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

import rowlock
from rowlock.cli import bench, check, demo, info, look, pack, predict, report, selftest, table, train, verify
from rowlock.cli.commands import Command, Group, epilog_of
from rowlock.cli.leaving import leave
from rowlock.cli.terminal import console, print_anything

__all__ = ["app", "main", "start"]

COMMANDS: Final = (
    demo.demo,
    table.table,
    check.check,
    look.look,
    bench.bench,
    pack.pack,
    train.train,
    predict.predict,
    report.report,
    info.info,
    verify.verify,
    selftest.selftest,
)

app = typer.Typer(
    name="rowlock",
    cls=Group,
    help="Train merged models on data larger than memory, straight from a DataFrame.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command(cls=Command, epilog=epilog_of(command))(command)


def main() -> None:
    """Run the command line; ends by `SystemExit`, as within a process that goes on."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets at length
    print_anything()
    app(prog_name="rowlock")


def start() -> None:
    """Run the command line as a process of its own, which ends with it, at once."""
    try:
        main()
    except SystemExit as end:
        leave(end)


def _say_version(wanted: bool) -> None:
    if wanted:
        console.print(f"rowlock {rowlock.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """Train merged models on data larger than memory, straight from a DataFrame."""
