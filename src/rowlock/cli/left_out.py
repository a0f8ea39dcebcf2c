"""What a command says of rows that it leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from rowlock.cli.choices import Missing
from rowlock.cli.terminal import errors
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    import rowlock as rl
    from rowlock.cli.data_options import DataOptions

__all__ = ["say_left_out", "say_unjoined"]


def say_left_out(data: DataOptions, missing: Missing) -> None:
    """Say on standard error how many rows have no target and are left out.

    Raises
    ------
    ConfigError
        There are some, and none is to be left out.
    """
    lacking = data.lacking.nonzero()[0]
    if not len(lacking):
        return
    what = f"{len(lacking):,} of {len(data.lacking):,} rows have no value in {data.target}"
    if missing is Missing.raise_:
        raise ConfigError(f"{what}, the first is row {lacking[0]}. --missing drop leaves them out; or fill them in.")
    errors.print(f"[yellow]note[/]: {escape(what)} and are left out", soft_wrap=True)


def say_unjoined(data: DataOptions, dataset: rl.Dataset) -> None:
    """Say on standard error how many rows are left out because a store lacks their key."""
    for name, keys in dataset.dropped.items():
        if len(keys):
            what = f"{name}: {len(keys):,} of {len(data.lacking):,} rows have a key that the store lacks"
            errors.print(f"[yellow]note[/]: {escape(what)} and are left out", soft_wrap=True)
