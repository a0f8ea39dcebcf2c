"""What a command says of rows that it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from rowlock.cli.terminal import errors

if TYPE_CHECKING:
    from rowlock.cli.data_options import DataOptions

__all__ = ["say_left_out"]


def say_left_out(data: DataOptions) -> None:
    """Say on standard error how many rows have no target and are left out."""
    count = int(data.lacking.sum())
    if count:
        errors.print(f"[yellow]note[/]: {count:,} of {len(data.lacking):,} rows have no value in"
                     f" {escape(str(data.target))} and are left out", soft_wrap=True)  # fmt: skip
