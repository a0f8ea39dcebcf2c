"""What every command prints to: output, errors, exit codes; quiet where nobody reads on."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MISUSE",
    "PIPE_CLOSED",
    "PROBLEM",
    "STOPPED",
    "console",
    "errors",
    "print_anything",
    "show_lines",
    "silence",
]

PROBLEM, MISUSE, STOPPED = 1, 2, 130
PIPE_CLOSED = 141
"""What a shell says of a program whose reader is gone: ``rowlock info | head -1``."""


class _Terminal(Console):
    """A console that ends quietly when its reader does."""

    def on_broken_pipe(self) -> NoReturn:
        silence()
        raise SystemExit(PIPE_CLOSED)


console = _Terminal(highlight=False)
errors = _Terminal(stderr=True, highlight=False)


def print_anything() -> None:
    """Let every text be printed: what the terminal's encoding lacks, such as parts of a file name, is escaped."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def silence() -> None:
    """Point standard output at nothing, so that Python's last flush has no reader to miss."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Print pairs (label, text) as two columns."""
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, escape(text))
    console.print(table)
