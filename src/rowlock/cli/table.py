"""``rowlock table``."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from rowlock.cli.commands import examples
from rowlock.cli.progress import progress_bar
from rowlock.cli.terminal import console, errors, show_lines
from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.folders import FolderTable

__all__ = ["table"]

_SUFFIXES = (".parquet", ".feather", ".arrow")
_MOST_REASONS = 12


class Labels(StrEnum):
    """Where the classes of the pictures are looked for."""

    auto = "auto"
    name = "name"
    folder = "folder"
    none = "none"


@examples(
    "rowlock table photos animals.parquet",
    "rowlock table photos animals.parquet --labels folder --sizes --hash",
    "rowlock table photos animals.parquet --csv animals.csv --key object_id",
)
def table(
    folder: Annotated[Path, typer.Argument(help="Where the pictures are, at any depth.", show_default=False)],
    out: Annotated[Path, typer.Argument(help="The table to make: .parquet, .feather or .arrow.", show_default=False)],
    labels: Annotated[
        Labels, typer.Option(help="Classes by the start of the name (cat.0.jpg), by the folder, or whichever fits.")
    ] = Labels.auto,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="A table with a row a picture, joined by file name.")
    ] = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv-file", metavar="COL", help="Its column of file names; default the best fit.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Its column of keys; default the path without extension, as column 'key'."),
    ] = None,
    sizes: Annotated[bool, typer.Option("--sizes", help="Add height, width and num_bytes.")] = False,
    hashes: Annotated[
        bool, typer.Option("--hash", help="Add path_hash, by which --verify of other commands notices changed files.")
    ] = False,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Write absolute paths; default relative to FOLDER.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file at OUT.")] = False,
) -> None:
    """Make a table from a folder of pictures: key, path and label of each, sorted by path."""
    from rowlock.cli.tables import read_table
    from rowlock.folders import table_from_folder

    _check_place(out, overwrite=overwrite)
    listing = None if csv is None else read_table(csv, key=key, types={} if csv_file is None else {csv_file: "text"})
    if listing is None and csv_file is not None:
        raise ConfigError("--csv-file names a column of the file that --csv names")
    with progress_bar("reading pictures") as progress:
        made = table_from_folder(
            folder,
            labels=labels.value,
            listing=listing,
            listing_column=csv_file,
            key=key,
            absolute=absolute,
            sizes=sizes,
            hashes=hashes,
            progress=progress,
        )
    _write(made, out, absolute=absolute)
    _show(made, out, absolute=absolute)


def _check_place(out: Path, *, overwrite: bool) -> None:
    if out.suffix not in _SUFFIXES:
        raise ConfigError(f"{out} should end in one of {', '.join(_SUFFIXES)}: that says how it is written")
    if out.exists() and not (overwrite and out.is_file()):
        raise ConfigError(f"{out} is there already{'; --overwrite replaces it' if out.is_file() else ''}")
    if not out.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {out.absolute().parent} to write {out.name} into")


def _write(made: FolderTable, out: Path, *, absolute: bool) -> None:
    """Write beside and rename, so that nobody ever reads half a table."""
    from rowlock.cli.roots import ROOT_ENTRY

    rows = made.rows if absolute else made.rows.replace_schema_metadata({ROOT_ENTRY: os.fsencode(made.folder)})
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        _write_as(rows, beside, out.suffix)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)


def _write_as(rows: Any, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        from pyarrow import parquet

        parquet.write_table(rows, path)
    else:
        from pyarrow import feather

        feather.write_feather(rows, str(path), compression="uncompressed")  # so that it can be mapped


def _show(made: FolderTable, out: Path, *, absolute: bool) -> None:
    rows, shown = made.rows, made.ignored[:_MOST_REASONS]
    lines = [
        ("table", f"{out}: {rows.num_rows:,} row{'s' * (rows.num_rows != 1)}, columns {', '.join(rows.column_names)}"),
        (
            "pictures",
            f"{'absolute paths' if absolute else 'paths relative to'} {'' if absolute else made.folder}".strip(),
        ),
        ("key", f"{made.key}, such as {rows.column(made.key)[0].as_py()!r}"),
        ("label", _label_line(made)),
        *(("note", note) for note in made.notes),
        *(("ignored", f"{count:,} {why}: {', '.join(map(repr, first))}") for why, count, first in shown),
    ]
    if len(made.ignored) > len(shown):
        rest = sum(count for _, count, _ in made.ignored[_MOST_REASONS:])
        lines.append(("ignored", f"{rest:,} more, for {len(made.ignored) - len(shown):,} other reasons"))
    show_lines(lines)
    if made.key in rows.column_names and rows.column(made.key).null_count:
        errors.print(f"[yellow]note[/]: {escape(made.key)} has empty fields, so it cannot be a key yet")
    more = " --target label" if "label" in rows.column_names else ""
    more += " --verify" if "path_hash" in rows.column_names else ""
    console.print(
        f"[dim]next: rowlock check {escape(str(out))} --image path --key {escape(made.key)}{more}[/]", soft_wrap=True
    )


def _label_line(made: FolderTable) -> str:
    if "label" not in made.rows.column_names:
        return f"none, from {made.labels_from}" if made.labels_from != "the listing" else "see the listing's columns"
    counts = made.rows.column("label").value_counts().to_pylist()
    counts.sort(key=lambda entry: -entry["counts"])
    shown = ", ".join(f"{entry['values']} {entry['counts']:,}" for entry in counts[:6])
    more = f" and {len(counts) - 6} more classes" if len(counts) > 6 else ""
    return f"{shown}{more} (from {made.labels_from})"
