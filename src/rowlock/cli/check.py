"""``rowlock check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowlock.cli.choices import Missing
from rowlock.cli.commands import examples
from rowlock.cli.data_options import MISSING_HELP, DataOptions, takes_data
from rowlock.cli.parts import Rows, Split
from rowlock.cli.progress import progress_bar
from rowlock.cli.terminal import PROBLEM, STOPPED, console
from rowlock.cli.wording import report_in_options
from rowlock.errors import ConfigError, RowlockError

if TYPE_CHECKING:
    import rowlock as rl
    from rowlock.checking import Report
    from rowlock.checking.subject import Subject

__all__ = ["check"]


@examples(
    "rowlock check animals.parquet --image path --key key --target label",
    "rowlock check animals.parquet --image path --features growth=growth.zarr --key key --full",
    "rowlock check animals.parquet --image path --split 0.8,0.1,0.1 --stratify label",
    "rowlock check animals.parquet --image path --features growth=growth.zarr --key key --missing drop",
    "rowlock check animals.parquet --image path --verify",
    "rowlock check animals.parquet --image path --sample 10000 --json > report.json",
)
@takes_data
def check(
    data: DataOptions,
    split: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Split so first, and look for what is on both sides.")
    ] = None,
    stratify: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column that the split shares out evenly; default the target's classes."),
    ] = None,
    no_stratify: Annotated[bool, typer.Option("--no-stratify", help="Split by chance alone.")] = False,
    group: Annotated[
        str | None, typer.Option(metavar="COL", help="Column whose equal values the split keeps together.")
    ] = None,
    missing: Annotated[Missing, typer.Option(help=MISSING_HELP)] = Missing.raise_,
    sample: Annotated[int | None, typer.Option(min=1, help="Read the pictures of that many rows; default all.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Verify every row of the stores.")] = False,
    seconds: Annotated[float, typer.Option(min=0, help="How long the rate is measured; 0: not at all.")] = 3.0,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings too end with exit code 1.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Look for what is wrong with a table, its pictures and its stores, before a training run finds it.

    The exit code is 1 if there is an error. Ctrl-C prints what was found until then.
    """
    from rowlock.checking import check_parts

    told = Split(split, stratify if stratify is not None else not no_stratify, group)
    subject = _subject(data, told, missing.value)
    subject.dataset = _dataset(data) if seconds else None
    subject.settings = _settings(sample, seconds, data.seed, full=full)
    with progress_bar("reading", shown=not as_json) as subject.progress:
        report = check_parts(subject)
    _print(report_in_options(report), as_json=as_json)
    if not report.is_complete:
        raise typer.Exit(STOPPED)
    if not report.is_right or (strict and report.of("warning")):
        raise typer.Exit(PROBLEM)


def _settings(sample: int | None, seconds: float, seed: int, *, full: bool) -> Any:
    from rowlock.checking.subject import Settings

    return Settings(sample=sample, full=full, speed_seconds=seconds, seed=seed)


def _subject(data: DataOptions, split: Split, missing: str) -> Subject:
    """Return what to check: each input opened by itself, so that one that fails hides no other."""
    import numpy as np

    from rowlock.checking.subject import OpenedInput, Part, Subject, open_inputs
    from rowlock.table import Table

    inputs, frame, target, wrong = data.inputs(standardize=True, fill_missing="mean"), data.frame, None, []
    try:
        frame, target = data.table_and_target()
    except ConfigError as error:
        wrong.append(OpenedInput("target", "", None, error=error))
    table = Table(frame, key=data.key, missing=missing)
    if data.key is not None:
        table.column(data.key)  # a name that is not there is misuse; keys that cannot be keys are found
    opened, is_dropped = open_inputs(table, inputs, []), missing == "drop"
    lacking = data.lacking if target is not None else np.zeros(table.num_rows, np.bool_)
    rows = Rows.of(table, lacking, opened)
    targets = [] if target is None else [("", target)]
    opened += open_inputs(rows.with_target if is_dropped else table, {}, targets) + wrong
    parts = rows.parts(split, None if target is None or lacking.all() else data.told_target, data.seed)
    return Subject(
        [Part(name, table, one, opened) for name, one in parts.items()],
        without_target=np.flatnonzero(lacking) if is_dropped else (),
    )


def _dataset(data: DataOptions) -> rl.Dataset | None:
    """Return the dataset, to measure the rate with; None where it cannot be made, which the checks explain."""
    try:
        return data.dataset(missing="drop")
    except (RowlockError, OSError):
        return None


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(report.to_dict(), indent=2, ensure_ascii=True))
        return
    from rowlock.checking.text import renderable

    console.print(renderable(report, console.width))
