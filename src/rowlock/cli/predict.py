"""``rowlock predict``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from rowlock.cli.choices import KeyType, OnError, Part, Unknown
from rowlock.cli.commands import examples
from rowlock.cli.roots import root_for
from rowlock.cli.terminal import console, errors
from rowlock.cli.unreadable import check_list, list_unreadable
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.training.explain import Explanation, Importance

__all__ = ["ROOT_HELP", "predict", "read_for", "stores_of"]

ROOT_HELP: Final = "Where relative paths of pictures start; default what TABLE notes, else as in training."


@examples(
    "rowlock predict run new.parquet predictions.parquet",
    "rowlock predict run new.csv predictions.csv --features growth=new-growth.zarr --on-error mask",
    "rowlock predict run new.parquet predictions.parquet --verify",
    "rowlock predict run labelled.parquet predictions.parquet --explain --part test",
)
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a finished `rowlock train`.", show_default=False)],
    table: Annotated[
        Path, typer.Argument(help="The table: Parquet, Arrow or CSV; no target needed.", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(help="What to write: .parquet, .csv or .arrow.", show_default=False)],
    features: Annotated[
        list[str] | None, typer.Option(metavar="NAME=STORE", help="Where a store is now; repeatable.")
    ] = None,
    root: Annotated[str | None, typer.Option(metavar="DIR|URL", help=ROOT_HELP)] = None,
    part: Annotated[
        Part | None, typer.Option(help="Only the rows of the table that were in this part of the training's split.")
    ] = None,
    unknown: Annotated[
        Unknown,
        typer.Option(
            help="What becomes of a category that no training row had; zeros: it is none of the column's categories."
        ),
    ] = Unknown.raise_,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare every picture with its digest in the column COL_hash of TABLE; default as in training.",
        ),
    ] = None,
    on_error: Annotated[
        OnError,
        typer.Option(
            help="What becomes of rows that cannot be read; mask: their predictions stay empty, and they are listed."
        ),
    ] = OnError.raise_,
    batch_size: Annotated[int | None, typer.Option(help="Rows a batch; default that of the training.")] = None,
    key_type: Annotated[
        KeyType | None, typer.Option(help="What the keys of a CSV file are; default as in training.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there, once the new one is whole.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Say too which inputs and columns matter (needs the target); beside OUT, as .explain.csv."
        ),
    ] = False,
    explain_rows: Annotated[int, typer.Option(min=2, help="At most so many rows for that, by chance.")] = 2000,
    explain_columns: Annotated[int, typer.Option(min=0, help="Columns an input that are measured in full.")] = 20,
    explain_repeats: Annotated[int, typer.Option(min=1, help="Permutations of each.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the permutations.")] = 0,
) -> None:
    """Predict for every row of a table, once and in its order; refuses data that the model was not made for."""
    from rowlock.training import Run
    from rowlock.training.tables import check_place, write_table

    check_place(out, overwrite=overwrite)
    beside, unread = (out.with_name(f"{out.stem}.{end}") for end in ("explain.csv", "bad-rows.jsonl"))
    if explain:
        check_place(beside, overwrite=overwrite)
    if on_error is OnError.mask:
        check_list(unread, overwrite=overwrite)
    trained = Run.open(run)
    frame = read_for(table, trained.spec, None if key_type is None else key_type.value)
    if part is not None:
        frame = trained.part_of(frame, part.value)
    stores = stores_of(features)
    moved = root_for(frame, root, trained.spec)
    if moved.said:
        errors.print(f"[yellow]note[/]: {escape(moved.said)}", soft_wrap=True)
    trained.check(frame, features=stores, unknown=unknown.value, verify=verify, with_target=explain)
    lost = trained.lost_pictures(frame, moved.place) if on_error is OnError.mask else None
    if lost:
        errors.print(f"[yellow]note[/]: {escape(lost)}", soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, unread.name)
        with errors.status("predicting"):
            predictions = trained.predict(
                frame,
                features=stores,
                root=moved.place,
                unknown=unknown.value,
                verify=verify,
                on_error=on_error.value,
                bad_rows_file=written,
                batch_size=batch_size,
            )
        write_table(predictions, out, overwrite=overwrite)
        console.print(f"{predictions.num_rows:,} rows predicted: [bold]{escape(str(out))}[/]", soft_wrap=True)
        if on_error is OnError.mask:
            list_unreadable(written, unread)
    if explain:
        with errors.status("shuffling inputs and columns"):
            found = trained.explain(frame, rows=explain_rows, columns=explain_columns, repeats=explain_repeats,
                                    seed=seed, features=stores, root=moved.place, unknown=unknown.value,
                                    verify=verify)  # fmt: skip
        write_table(found.table(), beside, overwrite=overwrite)
        _show(found, beside)


def read_for(path: Path, spec: Any, named: str | None) -> Any:
    """Return a table as the spec of a run wants it read; `named` is what the keys of a CSV file are."""
    from rowlock.cli.csv_tables import as_numbers
    from rowlock.cli.tables import read_table
    from rowlock.tables.formats import is_csv

    if not path.exists() or not is_csv(path):  # it says itself what its columns are, or that it is not there
        return read_table(path, key=spec.key, key_type=named if spec.key is not None else None)
    texts, numbers = _columns_of(spec)
    key_type = None if spec.key is None else named or spec.key_type
    return as_numbers(read_table(path, key=spec.key, key_type=key_type, types=dict.fromkeys(texts, "text")), numbers)


def _columns_of(spec: Any) -> tuple[list[str], list[str]]:
    """Return the columns that were text in training, and those that were numbers, whatever they look like now."""
    texts = [told["column"] for told in spec.inputs.values() if told["kind"] == "images"]
    numbers = list(spec.target.columns) if spec.target.task == "quantity" else []
    for told in spec.inputs.values():
        if told["kind"] == "columns":
            texts += [column for column in told["columns"] if column in told["categories"]]
            numbers += [column for column in told["columns"] if column not in told["categories"]]
    if spec.target.task == "classes" and all(isinstance(name, str) for name in spec.target.classes):
        texts += spec.target.columns
    return texts, numbers


def stores_of(given: list[str] | None) -> dict[str, str]:
    """Return the stores of ``--features NAME=STORE``."""
    found = {}
    for text in given or []:
        name, separator, address = text.partition("=")
        if not separator or not name or not address:
            raise ConfigError(f"--features says NAME=STORE, not {text!r}")
        found[name] = address
    return found


def _show(found: Explanation, beside: Path) -> None:
    metric = found.metric.replace("_", " ")
    console.print(f"\n[bold]{metric} is {found.value:.4f} on {found.num_rows:,} rows[/]")
    console.print("Lost when one input, or one column, comes from other rows:")
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("input")
    table.add_column("column")
    table.add_column("drop", justify="right")
    table.add_column("spread", justify="right")
    table.add_column("loss rises by", justify="right")
    for one in found.inputs:
        table.add_row(*_cells(one), style="bold")
    for one in found.columns:
        table.add_row(*_cells(one))
    console.print(table)
    console.print(f"[dim]mean and deviation of {found.repeats} permutations;[/] {escape(str(beside))}", soft_wrap=True)


def _cells(one: Importance) -> tuple[str, ...]:
    what = "(all of it)" if one.column is None else one.column
    return escape(one.input), escape(what), f"{one.drop:+.4f}", f"{one.spread:.4f}", f"{one.loss_rise:+.4f}"
