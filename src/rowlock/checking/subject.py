"""What is checked: tables, the inputs that read them, and the parts that they are split into."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.checking.report import Example
from rowlock.errors import RowlockError
from rowlock.inputs import Categories, Column, Columns, Labels
from rowlock.training.target_inputs import LabelSet, Quantities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rowlock.arrays import Int64Array
    from rowlock.checking.files import PictureFiles
    from rowlock.checking.scan import Scan
    from rowlock.checking.stores import Stored
    from rowlock.dataset import Dataset
    from rowlock.inputs import Input
    from rowlock.inputs.base import Reader
    from rowlock.keys import Keys
    from rowlock.store.progress import Progress
    from rowlock.table import Table

__all__ = ["NUM_EXAMPLES", "OpenedInput", "Part", "Settings", "Subject", "columns_of", "open_inputs"]

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class OpenedInput:
    """An input or target, and its reader, or why there is none."""

    role: str
    name: str
    what: Input | None
    """None where it could not be told."""
    reader: Reader | None = None
    error: Exception | None = None

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return self.name or self.role


@dataclass(frozen=True)
class Part:
    """A dataset, or a part of a split; `rows` are rows of its table."""

    name: str
    table: Table
    rows: Int64Array
    inputs: Sequence[OpenedInput]

    @cached_property
    def keys(self) -> Keys | None:
        """Of all rows of the table, where they have any that can be used."""
        try:
            return self.table.row_keys()
        except RowlockError:
            return None

    def example(self, row: int, detail: str = "", *, named: bool = False, **more: Any) -> Example:
        """Return a row of the table as an example, with its key, and with the part's name if it is to be `named`."""
        key = None
        if self.keys is not None and self.table.key is not None:
            key = self.keys.values(np.array([row], np.int64)).tolist()[0]
        return Example(part=self.name if named else None, row=int(row), key=key, detail=detail, **more)


@dataclass(frozen=True)
class Settings:
    """How thoroughly.

    Attributes
    ----------
    sample : int or None
        Most rows whose pictures are read; None: all.
    full : bool
        Verify every row of the stores.
    speed_seconds : float
        How long to measure the rate; 0: not at all.
    seed : int
        Of the sample.
    """

    sample: int | None = None
    full: bool = False
    speed_seconds: float = 3.0
    seed: int = 0


@dataclass
class Subject:
    """What the checks look at; pictures are read when the first check asks."""

    parts: Sequence[Part]
    settings: Settings = field(default_factory=Settings)
    dataset: Dataset | None = None
    """To measure the rate with; None where it could not be made."""
    progress: Progress = None
    without_target: Sequence[int] | Int64Array = ()
    """Rows of the table that are left out because they have none."""

    @cached_property
    def files(self) -> PictureFiles:
        """Every picture that the tables name."""
        from rowlock.checking.files import picture_files  # noqa: PLC0415 - pyarrow is loaded where there are pictures

        return picture_files(self)

    @cached_property
    def scan(self) -> Scan:
        """What the pictures are like."""
        from rowlock.checking.scan import Scan  # noqa: PLC0415 - decoders are loaded where there are pictures

        return Scan(self.files, self.progress)

    @cached_property
    def stores(self) -> Sequence[Stored]:
        """The inputs of features, and the stores behind them."""
        from rowlock.checking.stores import stores_of  # noqa: PLC0415 - that module needs this one

        return list(stores_of(self))

    @property
    def is_split(self) -> bool:
        """Whether there are several parts."""
        return len(self.parts) > 1

    @property
    def tables(self) -> Iterator[Part]:
        """Each table once, with all rows of it that any part has."""
        for table in {id(part.table): part.table for part in self.parts}.values():
            own = [part for part in self.parts if part.table is table]
            rows = own[0].rows if len(own) == 1 else np.unique(np.concatenate([part.rows for part in own]))
            yield Part(own[0].name, table, rows, own[0].inputs)

    def inputs_of(self, kind: type[Input]) -> Iterator[tuple[Part, OpenedInput]]:
        """Yield each input of a kind with its table."""
        for part in self.tables:
            for opened in part.inputs:
                if isinstance(opened.what, kind):
                    yield part, opened


def columns_of(what: object) -> list[str]:
    """Return the table's own columns that an input or target takes its numbers or labels from."""
    if isinstance(what, Columns | Quantities):
        return list(what.columns)
    return [what.column] if isinstance(what, Categories | Column | Labels | LabelSet) else []


def open_inputs(table: Table, inputs: Mapping[str, Input], targets: Iterable[tuple[str, Input]]) -> list[OpenedInput]:
    """Open each input by itself, so that one that fails hides no other."""
    named = [("input", name, what) for name, what in inputs.items()] + [
        ("target", name, what) for name, what in targets
    ]
    return [_opened(role, name, what, table) for role, name, what in named]


def _opened(role: str, name: str, what: Input, table: Table) -> OpenedInput:
    try:
        return OpenedInput(role, name, what, what.open(table, name or role))
    except (RowlockError, OSError) as error:
        return OpenedInput(role, name, what, error=error)
