"""``rowlock report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from rowlock.cli.choices import KeyType
from rowlock.cli.commands import examples
from rowlock.cli.roots import Root, require_root, root_for
from rowlock.cli.terminal import console, errors
from rowlock.cli.wording import in_options
from rowlock.errors import ConfigError, RowlockError

__all__ = ["report"]

_PAGE = Path("report.html")
_ROOT_HELP = "Where relative paths of pictures start; default what --table notes, else as in training."


@examples(
    "rowlock report run",
    "rowlock report run -o run/report.html --explain",
    "rowlock report run --table moved/animals.parquet --root moved/pictures --worst 100 --overwrite",
    "rowlock report run --no-predict --json | jq .metrics",
)
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a `rowlock train`.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The page to write; default report.html, with --json none.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    no_predict: Annotated[
        bool, typer.Option("--no-predict", help="Report only what the folder of the run holds.")
    ] = False,
    table: Annotated[
        Path | None, typer.Option(help="Where the table is now; default where it was.", show_default=False)
    ] = None,
    features: Annotated[
        list[str] | None, typer.Option(metavar="NAME=STORE", help="Where a store is now; repeatable.")
    ] = None,
    root: Annotated[str | None, typer.Option(metavar="DIR|URL", help=_ROOT_HELP)] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare every picture with its digest in the column COL_hash; default as in training.",
        ),
    ] = None,
    key_type: Annotated[
        KeyType | None, typer.Option(help="What the keys of a CSV file are; default as in training.")
    ] = None,
    worst: Annotated[int, typer.Option(min=0, max=500, help="How many mistakes to show.")] = 24,
    explain: Annotated[bool, typer.Option("--explain", help="Measure too which inputs and columns matter.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the page at OUT.")] = False,
) -> None:
    """Make a page of a training run: curves, scores, worst mistakes, what was trained on what.

    The page is one file without scripts, and needs no network. What is gone or has changed since is told on it.
    """
    from rowlock.cli.predict import stores_of
    from rowlock.reporting import report as look_at
    from rowlock.reporting.report import check_page
    from rowlock.training.folder import RunFolder

    RunFolder(run).require_begun()
    page = out if out is not None or as_json else _PAGE
    if page is not None:
        check_page(page, overwrite=overwrite)
    if explain and no_predict:
        raise ConfigError("--explain needs the table's rows: leave --no-predict out")
    frame, why_not = (None, None) if no_predict else _table(run, table, key_type)
    moved = _root(run, frame if table is not None else None, root)
    with errors.status("looking at the run"):
        found = look_at(
            run, frame, features=stores_of(features), root=moved.place, verify=verify, explain=explain, worst=worst
        )
        found.notes.extend(said for said in (why_not, moved.said) if said)
        if page is not None:
            found.save(page, overwrite=overwrite)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=True))
    _say(found, page, errors if as_json else console)


def _table(run: Path, given: Path | None, key_type: KeyType | None) -> tuple[Any, str | None]:
    """Return the table of the training, or why there is none; one that was named must be there."""
    from rowlock.cli.predict import read_for
    from rowlock.reporting.kept import read_kept

    kept = read_kept(run)
    if kept.metrics is None or kept.spec is None:
        return None, None
    path = given if given is not None else kept.told.get("table")
    if path is None:
        return None, (
            "The run does not say where its table is (it was trained from Python), so nothing was predicted again:"
            " --table names it."
        )
    named = key_type.value if key_type is not None else kept.told.get("key_type")
    try:
        return read_for(Path(path), kept.spec, named), None
    except (RowlockError, OSError) as error:
        if given is not None:
            raise
        return None, f"The table cannot be read, so nothing was predicted again: {error}. --table says where it is now."


def _root(run: Path, named: Any, given: str | None) -> Root:
    """Return where pictures are: of a table that is `named` as `rowlock predict` finds them, else where they were."""
    from rowlock.reporting.kept import read_kept

    spec = read_kept(run).spec
    if given is not None or named is None or spec is None:
        return Root(None if given is None else require_root(given))
    return root_for(named, None, spec)


def _say(found: Any, page: Path | None, out: Console) -> None:
    for note in found.notes:
        errors.print(f"[yellow]note[/]: {escape(in_options(note))}", soft_wrap=True)
    if page is not None:
        out.print(f"report: [bold]{escape(str(page))}[/]", soft_wrap=True)
