"""What the library logs, as notes beside the output of a command."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["showing_notes"]


@contextmanager
def showing_notes(said: Callable[[str], str] = str) -> Iterator[None]:
    """Print what is logged meanwhile to stderr, as `said` says it, at the end: no bar is on the screen then."""
    log, notes = logging.getLogger("rowlock"), _Notes(logging.INFO)
    before = log.level
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(notes)
        for text in notes.texts:
            Console(stderr=True).print(f"[yellow]note[/]: {escape(said(text))}", highlight=False)


class _Notes(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
