"""``rowlock look``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from rowlock.cli.choices import Missing
from rowlock.cli.commands import examples
from rowlock.cli.data_options import MISSING_HELP, DataOptions, takes_data
from rowlock.cli.left_out import say_left_out, say_unjoined
from rowlock.cli.terminal import console
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    import rowlock as rl

__all__ = ["look"]


@examples(
    "rowlock look animals.parquet --image path --target label -o sheet.png",
    "rowlock look animals.parquet --image path --features growth=growth.zarr --key key -n 48",
    "rowlock look animals.parquet --image path --verify",
    "rowlock look animals.parquet --image path --rows 3,17,204 --augment --overwrite",
)
@takes_data
def look(
    data: DataOptions,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture to make.")] = Path("sheet.png"),
    n: Annotated[int, typer.Option("-n", "--num-rows", min=1, help="How many rows, drawn by chance.")] = 24,
    rows: Annotated[str | None, typer.Option(metavar="I,J", help="These rows instead, counted from 0.")] = None,
    missing: Annotated[Missing, typer.Option(help=MISSING_HELP)] = Missing.raise_,
    augment: Annotated[bool, typer.Option("--augment", help="Flip, crop, turn and shade, as in training.")] = False,
    across: Annotated[int | None, typer.Option(min=1, help="Cards side by side; default what fits.")] = None,
    tile: Annotated[int, typer.Option(min=32, max=1024, help="Height of a picture on the sheet, in pixels.")] = 168,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the picture at OUT.")] = False,
) -> None:
    """Draw a contact sheet of pictures as a model gets them, with target, key and features."""
    import rowlock as rl

    if out.exists() and not (overwrite and out.is_file()):
        raise ConfigError(f"{out} is there already{'; --overwrite replaces it' if out.is_file() else ''}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {out.absolute().parent} to write {out.name} into")
    usual = rl.Augment(flip=0.5, crop=(0.7, 1.0), rotate=10, brightness=0.15, contrast=0.15) if augment else None
    say_left_out(data, missing)
    dataset = data.dataset(augment=usual, missing=missing.value)
    say_unjoined(data, dataset)
    try:
        sheet = dataset.look(
            n, _numbers(rows, data, dataset), seed=data.seed, augment=augment, columns=across, tile=tile
        )
        sheet.save(out)
    finally:
        dataset.close()
    count = f"{len(sheet.rows):,} row{'s' * (len(sheet.rows) != 1)}"
    console.print(f"{escape(str(out))}: {count}, {sheet.image.width} x {sheet.image.height} pixels")
    if sheet.num_unreadable:
        console.print(f"[yellow]{sheet.num_unreadable} of them cannot be read[/]; the sheet says why", soft_wrap=True)


def _numbers(rows: str | None, data: DataOptions, dataset: rl.Dataset) -> list[int] | None:
    """Return the rows asked for, of the table, as rows of the dataset."""
    from rowlock.checking.run import part_of

    if rows is None:
        return None
    try:
        numbers = [int(part) for part in rows.split(",")]
    except ValueError:
        raise ConfigError(f"--rows is numbers of rows, such as 3,17,204; not {rows!r}") from None
    num_rows = len(data.lacking)
    own = (~data.lacking).nonzero()[0][part_of("data", dataset).rows]  # which row of the table each row is
    for row in numbers:
        if not 0 <= row < num_rows:
            raise ConfigError(f"--rows: row {row} does not exist; the table has rows 0 to {num_rows - 1}")
        if data.lacking[row]:
            raise ConfigError(f"--rows: row {row} has no value in {data.target}; leave --target out to see it")
        if row not in own:
            raise ConfigError(f"--rows: row {row} has a key that a store lacks; leave --features out to see it")
    return [int(own.searchsorted(row)) for row in numbers]
