"""``rowlock demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowlock.cli.commands import examples

__all__ = ["demo"]


@examples("rowlock demo", "rowlock demo --folder /data/demo --rows 10000 --epochs 12")
def demo(
    folder: Annotated[Path, typer.Option(help="Where the data set and the two pictures go.")] = Path("demo"),
    rows: Annotated[int, typer.Option(help="Rows of the data set.")] = 3000,
    epochs: Annotated[int, typer.Option(help="Epochs of each model.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of data, split and training.")] = 0,
) -> None:
    """Make a small data set and train three models on it: pictures only, features only, merged."""
    from rowlock.demo import run

    run(folder, num_rows=rows, epochs=epochs, seed=seed)
