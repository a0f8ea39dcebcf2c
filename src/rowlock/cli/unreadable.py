"""Rows that a command could not read: the first of them on the terminal, all of them in a file beside its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.markup import escape

from rowlock.bad_rows import bad_rows_of
from rowlock.cli.terminal import errors
from rowlock.cli.wording import in_options
from rowlock.errors import ConfigError
from rowlock.store.disk.files import write_bytes

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_list", "list_unreadable", "tell_unreadable"]

_SHOWN: Final = 5


def check_list(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where something is already, before any work.

    Raises
    ------
    ConfigError
    """
    if path.is_dir() or (path.exists() and not overwrite):
        raise ConfigError(f"there is something at {path} already; --overwrite replaces it, once the new one is whole")


def list_unreadable(written: Path, path: Path) -> None:
    """Show the first rows of the list in `written`, and keep it at `path`; without any, an earlier list is removed."""
    if not written.exists():
        path.unlink(missing_ok=True)
        return
    write_bytes(path, written.read_bytes())
    tell_unreadable(path, "of them could not be read; their predictions are empty")


def tell_unreadable(path: Path, what: str) -> None:
    """Show the first rows of a list, where there is one, and say where all of them are."""
    if not path.exists():
        return
    rows = bad_rows_of(path)
    errors.print(f"[yellow]note[/]: {len(rows):,} {what}:")
    for row in rows[:_SHOWN]:
        errors.print(f"  {escape(in_options(str(row)))}", soft_wrap=True)
    more = f"{len(rows) - _SHOWN:,} more; " if len(rows) > _SHOWN else ""
    errors.print(f"  {more}all of them: {escape(str(path))}", soft_wrap=True)
