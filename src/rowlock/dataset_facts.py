"""What a dataset says of itself: its inputs, its target, its keys, its columns."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from rowlock.fingerprints import changed_between, fingerprints_of
from rowlock.inputs.columns import ArrayReader
from rowlock.meanings import meanings_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from threading import Event

    from rowlock.arrays import AnyArray, ArraySpec, BoolArray
    from rowlock.gathering import Slot
    from rowlock.inputs import Labels
    from rowlock.keys import Keys
    from rowlock.meanings import Meanings
    from rowlock.roles import Role
    from rowlock.selection import Selection
    from rowlock.table import Table

__all__ = ["DatasetFacts", "Opened"]


class Opened(NamedTuple):
    """What a dataset and all its parts share."""

    table: Table
    keys: Keys
    slots: tuple[Slot, ...]
    roles: tuple[Role, ...]
    """The inputs as they were written down, in the order of `slots`."""
    closed: Event
    """Set when `close` is called: readers fail from then on, and no row is to blame."""


class DatasetFacts:
    """What can be asked of a dataset without reading a row of its inputs."""

    _opened: Opened
    _selection: Selection
    _labels: dict[str, Labels]

    def __len__(self) -> int:
        return len(self._selection)

    def __repr__(self) -> str:
        parts = [f"{slot.label} {slot.reader.spec.dtype}{list(slot.reader.spec.shape)}" for slot in self._slots]
        return f"Dataset({len(self):,} rows: {', '.join(parts)})"

    @property
    def _slots(self) -> tuple[Slot, ...]:
        return self._opened.slots

    @property
    def input_specs(self) -> dict[str, ArraySpec]:
        """Shape and dtype of one row of each input."""
        return {slot.name: slot.reader.spec for slot in self._slots if slot.role == "input"}

    @property
    def target_specs(self) -> dict[str, ArraySpec]:
        """Shape and dtype of one row of each target; a single target has the name ``""``."""
        return {slot.name: slot.reader.spec for slot in self._slots if slot.role == "target"}

    @property
    def row_bytes(self) -> int:
        """Memory that a row takes in a batch: inputs, targets and weight."""
        return sum(slot.reader.spec.row_bytes for slot in self._slots)

    @property
    def has_sample_weight(self) -> bool:
        """Whether a column weighs the rows."""
        return any(slot.role == "sample_weight" for slot in self._slots)

    @property
    def classes(self) -> Any:
        """What the numbers of the target mean: a tuple for `Labels`, a dict of them for several targets."""
        classes = {name: labels.classes for name, labels in self._labels.items()}
        return classes.get("", classes or None)

    @property
    def named_classes(self) -> dict[str, tuple[Any, ...]]:
        """Classes by target, ``""`` the single one, that somebody named or that are those of an earlier frame.

        Not those that are only what this frame holds: another's may be others.
        """
        learnt = {slot.name for slot in self._slots if slot.role == "target" and getattr(slot.reader, "learnt", False)}
        return {name: what.classes or () for name, what in self._labels.items() if name not in learnt}

    @property
    def target_columns(self) -> dict[str, str | None]:
        """The table's column of each target, under its name; None where it is not of one column."""
        roles = self._opened.roles
        return {name: getattr(what, "column", None) for role, name, what in roles if role == "target"}

    def frame_of(self, columns: Mapping[str, AnyArray], missing: BoolArray | None = None) -> Any:
        """Return values, one a row of this dataset, beside the rows' keys as a frame of the kind that was given.

        Parameters
        ----------
        columns : dict of str to array, shape (len,)
        missing : bool, shape (len,), optional
            Rows that have no values: null, or NaN in pandas.

        Returns
        -------
        frame
            The key under its name first. Without ``key=``: of pandas by its index, of others a column ``row``.
        """
        return self._opened.table.beside_keys(self._selection.chosen, self.keys, columns, missing)

    def target_column(self, name: str = "") -> AnyArray | None:
        """Return a target of every row, shape (len, ...), or None where it is not of the table's columns."""
        for slot in self._slots:
            if slot.role == "target" and slot.name == name and isinstance(slot.reader, ArrayReader):
                values = slot.reader.spec.empty(len(self))
                slot.reader.gather(self._selection.all(), values, None)
                return values
        return None

    @property
    def keys(self) -> AnyArray:
        """Identity of each row, int64 or object (str), shape (len,)."""
        return self._opened.keys.values(self._selection.chosen)

    @property
    def dropped(self) -> dict[str, AnyArray]:
        """Keys of the rows left out by ``missing="drop"``, under the name of the input that lacks them."""
        missing = {slot.label: slot.reader.missing_rows for slot in self._slots}
        return {name: self._opened.keys.values(rows) for name, rows in missing.items() if rows is not None}

    @property
    def frame(self) -> Any:
        """The dataset's rows of the table, in its order, as a frame of the kind that was given.

        Of a table that is a file, a pyarrow.Table of all columns: mapped, where the dataset has all rows; else in
        memory, and refused where that would take more than a quarter of it.
        """
        return self._opened.table.take(self._selection.chosen)

    def column(self, name: str) -> Any:
        """Return one column of the dataset's rows, in their order, as a Series of the frame's kind.

        Of a table that is a file, a pyarrow.ChunkedArray; mapped, where the dataset has all rows. For masks::

            data.where(pc.greater(data.column("age"), 3))
        """
        return self._opened.table.take_column(name, self._selection.chosen)

    @property
    def num_things(self) -> dict[str, int]:
        """How many there are, of inputs whose numbers are names: tokens, classes, categories without zeros and ones."""
        found = {slot.name: slot.reader.num_things for slot in self._slots if slot.role == "input"}
        return {name: number for name, number in found.items() if number is not None}

    @property
    def meanings(self) -> Meanings:
        """What the numbers of inputs and targets stand for, by (role, name): what datasets of one model agree in.

        Kind of input, columns and their order, classes, scaling, shape, dtype, ...; not rows, addresses, augmentation.
        """
        return meanings_of(self._slots, self._opened.roles)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """What tells these data from others: a short text for the rows and their keys, and one an input."""
        return fingerprints_of(self._slots, self._opened.keys, self._selection)

    def changes_since(self, fingerprints: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """Return what is not as it was when `fingerprints` were taken, and is now; appended store rows do not count."""
        now = self.fingerprints
        changed = changed_between(fingerprints, now, self._slots)
        return {name: (fingerprints.get(name, "nothing"), now.get(name, "nothing")) for name in changed}
