"""What the library logs, as notes beside the output of a command."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["showing_notes", "showing_warnings"]


@contextmanager
def showing_notes(said: Callable[[str], str] = str) -> Iterator[None]:
    """Print what is logged meanwhile to stderr, as `said` says it, at the end: no bar is on the screen then."""
    log, notes = logging.getLogger("rowlock"), _Notes(logging.INFO)
    before, others = log.level, [handler for handler in log.handlers if isinstance(handler, _AtOnce)]
    log.handlers = [*(handler for handler in log.handlers if handler not in others), notes]
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(notes)
        for other in others:
            log.addHandler(other)
        for level, text in notes.texts:
            _print(Console(stderr=True, highlight=False), level, said(text))


@contextmanager
def showing_warnings(console: Console, said: Callable[[str], str] = str) -> Iterator[None]:
    """Print each warning that is logged meanwhile to a console, as `said` says it, once."""
    log, handler = logging.getLogger("rowlock"), _AtOnce(console, said)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def _print(console: Console, level: int, text: str) -> None:
    kind = "warning" if level >= logging.WARNING else "note"
    console.print(f"[yellow]{kind}[/]: {escape(text)}", soft_wrap=True)


class _Notes(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.texts: list[tuple[int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append((record.levelno, record.getMessage()))


class _AtOnce(logging.Handler):
    def __init__(self, console: Console, said: Callable[[str], str]) -> None:
        super().__init__(logging.WARNING)
        self._console = console
        self._said = said
        self._shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self._shown:
            self._shown.add(text)
            _print(self._console, record.levelno, self._said(text))
