"""``rowlock bench``."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from rowlock.cli.choices import Missing
from rowlock.cli.commands import examples
from rowlock.cli.data_options import MISSING_HELP, DataOptions, takes_data
from rowlock.cli.left_out import say_left_out, say_unjoined
from rowlock.cli.terminal import console, errors
from rowlock.cli.wording import in_options

if TYPE_CHECKING:
    import rowlock as rl

__all__ = ["bench"]


@examples(
    "rowlock bench animals.parquet --image path",
    "rowlock bench animals.parquet --image path --features growth=growth.zarr --key key --seconds 60",
    "rowlock bench animals.parquet --image path --verify",
    "rowlock bench animals.parquet --image path --no-reference --json",
)
@takes_data
def bench(
    data: DataOptions,
    seconds: Annotated[float, typer.Option(min=1, help="For all measurements together.")] = 20.0,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows a batch.")] = 64,
    missing: Annotated[Missing, typer.Option(help=MISSING_HELP)] = Missing.raise_,
    reference: Annotated[
        bool, typer.Option("--reference/--no-reference", help="Plain Keras and PyTorch loops beside it.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure rows a second: cold, warm and cached, by threads and by stage, beside plain Keras and PyTorch loops.

    Nothing else should run meanwhile. The system is asked to forget the files that are read, no others.
    """
    from rowlock.benching import bench as run
    from rowlock.benching.text import renderable

    def make(cache: str | None) -> rl.Dataset:
        return data.dataset(missing=missing.value, cache=cache)

    say_left_out(data, missing)
    if missing is Missing.drop and data.stores:
        with closing(make(None)) as dataset:
            say_unjoined(data, dataset)
    with errors.status("measuring") as status:
        found = run(
            make,
            seconds=seconds,
            batch_size=batch_size,
            seed=data.seed,
            with_references=reference,
            say=lambda what: status.update(f"measuring: {what}"),
        )
    found.advice = in_options(found.advice)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        plain = console.no_color or console.color_system is None
        console.print(renderable(found, console.width, ascii_only=console.options.ascii_only, letters=plain))
