"""What is said of the data on the command line, and what it means by itself, before a table is read."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from rowlock.cli.choices import KeyType, Task
from rowlock.cli.pairs import by_name, pair
from rowlock.errors import ConfigError
from rowlock.tables.csv_types import CSV_TYPES
from rowlock.tables.formats import is_csv

__all__ = ["ToldOfData"]

_PANEL: Final = "Data"


def _option(*names: str, metavar: str | None = None, text: str) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, rich_help_panel=_PANEL)


@dataclass(frozen=True)
class ToldOfData:
    """What a command is told of the data; its fields are arguments and options of every such command.

    Attributes
    ----------
    table : Path
        Parquet, Arrow or CSV.
    image : list of str
        ``COL`` or ``NAME=COL``: columns of paths. One without a name is the input ``"image"``; of several, each has
        the name of its column.
    features : list of str
        ``NAME=STORE``.
    columns : str or None
        ``A,B``: numbers and categories that are in the table; the input ``"columns"``.
    verify : bool
        Compare every picture with its digest, in the column ``COL_hash``.
    """

    table: Annotated[Path, typer.Argument(help="The table: Parquet, Arrow (Feather) or CSV.", show_default=False)]
    image: Annotated[
        list[str] | None, _option("--image", metavar="[NAME=]COL", text="Column of paths of pictures; repeatable.")
    ] = None
    size: Annotated[
        str, _option("--size", metavar="N|H,W", text="Pixels of the pictures that a model gets: 150, or 150,200.")
    ] = "150"
    root: Annotated[
        str | None,
        _option(
            "--root",
            metavar="DIR|URL",
            text="Where relative paths start: a folder or a bucket; default what `rowlock table` noted, else the"
            " working directory.",
        ),
    ] = None
    remote: Annotated[
        list[str] | None,
        _option(
            "--remote",
            metavar="SCHEME|URL",
            text="Servers that pictures may be read from: https, s3://bucket/photos/; repeatable.",
        ),
    ] = None
    verify: Annotated[
        bool,
        _option(
            "--verify/--no-verify",
            text="Compare every picture with its digest, in the column COL_hash, which `rowlock table --hash` writes.",
        ),
    ] = False
    features: Annotated[
        list[str] | None,
        _option("--features", metavar="NAME=STORE", text="Feature store joined by the key; repeatable."),
    ] = None
    join: Annotated[
        list[str] | None,
        _option("--join", metavar="NAME=COL", text="Column that joins that store, where it is not the key."),
    ] = None
    columns: Annotated[
        str | None,
        _option("--columns", metavar="A,B", text="Columns of numbers or text that the model gets too."),
    ] = None
    target: Annotated[
        str | None,
        _option("--target", metavar="COL|A,B", text="Column that is to be predicted, or several of one kind."),
    ] = None
    task: Annotated[
        Task,
        _option(
            "--task",
            text="What the target is; auto: text, booleans and up to 100 whole numbers are classes, lists and columns"
            " of 0 and 1 are labels.",
        ),
    ] = Task.auto
    key: Annotated[str | None, _option("--key", metavar="COL", text="Column that identifies the rows.")] = None
    key_type: Annotated[
        KeyType | None, _option("--key-type", text="What the keys of a CSV file are; default what they look like.")
    ] = None
    types: Annotated[
        list[str] | None,
        _option(
            "--type",
            metavar="COL=TYPE",
            text="What a column of a CSV file is: text, int, float or bool; default what is written; repeatable.",
        ),
    ] = None
    seed: Annotated[int, _option("--seed", text="The one number that fixes order, split and samples.")] = 0

    @functools.cached_property
    def column_types(self) -> dict[str, str]:
        """What columns of a CSV file are said to be."""
        pairs = [pair(text) for text in self.types or []]
        found = {name or "": kind for name, kind in pairs}
        if len(found) < len(pairs):
            raise ConfigError(f"--type says more than once what a column is: {', '.join(self.types or [])}")
        for name, kind in found.items():
            if not name or kind not in CSV_TYPES:
                raise ConfigError(f"--type says COL=TYPE, and TYPE is one of {', '.join(CSV_TYPES)}; not {kind!r}")
            if name == self.key:
                raise ConfigError(f"--type {name}={kind}: what keys are, --key-type says")
        if found and self.table.exists() and not is_csv(self.table):
            raise ConfigError(f"--type is about CSV files; {self.table} says itself what its columns are")
        return found

    @functools.cached_property
    def images(self) -> dict[str, str]:
        """Column of each input of pictures, by the input's name."""
        given = [pair(text) for text in self.image or []]
        only = "image" if len(given) == 1 else None
        return by_name("--image", [(name or only or column, column) for name, column in given])

    @functools.cached_property
    def stores(self) -> dict[str, str]:
        """Address of each feature store, by the input's name."""
        given = [pair(text) for text in self.features or []]
        only = "features" if len(given) == 1 else None
        return by_name("--features", [(name or only or Path(address).stem, address) for name, address in given])

    @functools.cached_property
    def joins(self) -> dict[str, str]:
        """Column that joins a store, by the input's name, where it is not the key."""
        given = [pair(text) for text in self.join or []]
        unknown = [name for name, _ in given if name not in self.stores]
        if unknown:
            raise ConfigError(
                f"--join says NAME=COL for a --features NAME=STORE, not {unknown[0] or given[0][1]!r};"
                f" the stores are {list(self.stores)}"
            )
        return by_name("--join", given)

    @functools.cached_property
    def column_names(self) -> list[str]:
        """The columns of numbers and categories."""
        return [] if self.columns is None else [part.strip() for part in self.columns.split(",") if part.strip()]

    @functools.cached_property
    def image_size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        parts = self.size.replace("x", ",").split(",")
        if len(parts) > 2 or not all(part.strip().isdecimal() and int(part) for part in parts):
            raise ConfigError(f"--size is one number of pixels, or height,width such as 150,200; not {self.size!r}")
        numbers = [int(part) for part in parts]
        return numbers[0], numbers[-1]
