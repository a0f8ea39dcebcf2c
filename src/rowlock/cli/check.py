"""``rowlock check``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from rowlock.cli.commands import examples
from rowlock.cli.data_options import DataOptions, takes_data
from rowlock.cli.progress import progress_bar
from rowlock.cli.terminal import PROBLEM, STOPPED, console
from rowlock.errors import ConfigError, RowlockError

if TYPE_CHECKING:
    import rowlock as rl
    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.checking import Report
    from rowlock.checking.subject import Subject
    from rowlock.table import Table
    from rowlock.training.targets import Target

__all__ = ["check"]


@examples(
    "rowlock check animals.parquet --image path --key key --target label",
    "rowlock check animals.parquet --image path --features growth=growth.zarr --key key --full",
    "rowlock check animals.parquet --image path --split 0.8,0.1,0.1 --stratify label",
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

    told = _Split(split, stratify if stratify is not None else not no_stratify, group)
    subject = _subject(data, told)
    subject.dataset = _dataset(data) if seconds else None
    subject.settings = _settings(sample, seconds, data.seed, full=full)
    with progress_bar("reading", shown=not as_json) as subject.progress:
        report = check_parts(subject)
    _print(report, as_json=as_json)
    if not report.is_complete:
        raise typer.Exit(STOPPED)
    if not report.is_right or (strict and report.of("warning")):
        raise typer.Exit(PROBLEM)


def _settings(sample: int | None, seconds: float, seed: int, *, full: bool) -> Any:
    from rowlock.checking.subject import Settings

    return Settings(sample=sample, full=full, speed_seconds=seconds, seed=seed)


class _Split(NamedTuple):
    """How the table is to be split, in the words of `rowlock train`."""

    shares: str | None
    stratify: str | bool
    group: str | None


def _subject(data: DataOptions, split: _Split) -> Subject:
    """Return what to check: each input opened by itself, so that one that fails hides no other."""
    from rowlock.checking.subject import OpenedInput, Part, Subject, open_inputs
    from rowlock.table import Table

    inputs, frame, target, wrong = data.inputs(standardize=True, fill_missing="mean"), data.frame, None, []
    try:
        frame, target = data.table_and_target()
    except ConfigError as error:
        wrong.append(OpenedInput("target", "", None, error=error))
    table = Table(frame, key=data.key)
    if data.key is not None:
        table.column(data.key)  # a name that is not there is misuse; keys that cannot be keys are found
    opened = open_inputs(table, inputs, [] if target is None else [("", target)]) + wrong
    parts = _rows_of_parts(table, split, data, has_target=target is not None)
    return Subject([Part(name, table, rows, opened) for name, rows in parts.items()])


def _rows_of_parts(table: Table, split: _Split, data: DataOptions, *, has_target: bool) -> dict[str, AnyArray]:
    """Return the rows of each part that `rowlock train` would make."""
    import numpy as np

    if split.shares is None:
        if split.group or split.stratify is not True:
            raise ConfigError("--stratify, --no-stratify and --group say how to split; say --split 0.8,0.1,0.1 as well")
        return {"data": np.arange(table.num_rows)}
    if not has_target or data.lacking.all():
        found = _shared_out(table, split, None, data.seed)
    elif not data.lacking.any():
        found = _shared_out(table, split, data.told_target, data.seed)
    else:  # training leaves them out; here they are an error, which has to be found in some part
        found = _shared_out(_without(table, data.lacking), split, data.told_target, data.seed)
        rows = np.flatnonzero(~data.lacking)
        found = [rows[part] for part in found]
        found[0] = np.union1d(found[0], np.flatnonzero(data.lacking))
    names = ["train", "valid", "test"] if len(found) <= 3 else [f"part {i + 1}" for i in range(len(found))]
    return dict(zip(names, found, strict=False))


def _shared_out(table: Table, split: _Split, target: Target | None, seed: int) -> list[AnyArray]:
    from rowlock.split import split_rows

    columns = (_stratify(split, target), split.group)
    strata, groups = (None if name is None else table.codes(name, None) for name in columns)
    return split_rows(table.num_rows, _shares(split.shares or ""), seed=seed, strata=strata, groups=groups)


def _without(table: Table, left_out: BoolArray) -> Table:
    import pyarrow as pa

    from rowlock.table import Table

    return Table(table.take(None).filter(pa.array(~left_out)), key=table.key)


def _stratify(split: _Split, target: Target | None) -> str | None:
    """Return the column that is shared out evenly: that of the classes, as in training, where nothing is said."""
    if isinstance(split.stratify, str):
        return split.stratify
    if not split.stratify or split.group is not None or target is None or target.task != "classes":
        return None
    return target.columns[0]


def _shares(split: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in split.split(","))
    except ValueError:
        raise ConfigError(f"--split is shares that add up to 1, such as 0.8,0.1,0.1; not {split!r}") from None


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
