"""Statistics that are learnt from some rows (those of training) and used for these and for others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rowlock.errors import ConfigError, RowError
from rowlock.inputs.scaled import ScaledReader
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rowlock.arrays import Int64Array
    from rowlock.gathering import Slot
    from rowlock.keys import Keys
    from rowlock.store import ColumnStatistics
    from rowlock.store.progress import Progress

__all__ = ["known_statistics", "measure", "require_fitted", "with_statistics"]

_HOW = "train, valid, test = train.fit_statistics(valid, test)"


def known_statistics(slots: Sequence[Slot]) -> dict[str, ColumnStatistics]:
    """Return the statistics that are in use, under the names of their inputs."""
    return {slot.label: reader.statistics for slot, reader in _scaled(slots) if reader.statistics is not None}


def require_fitted(slots: Sequence[Slot]) -> None:
    """Refuse to deliver rows whose statistics were not measured yet."""
    waiting = [slot.label for slot, reader in _scaled(slots) if not reader.is_ready]
    if waiting:
        raise ConfigError(
            f"{', '.join(map(repr, waiting))} is to be standardised or filled by the training rows, and nobody said"
            f" which these are: {_HOW}"
        )


def measure(
    slots: Sequence[Slot], keys: Keys, rows: Int64Array, progress: Progress = None
) -> dict[str, ColumnStatistics]:
    """Return the statistics of table rows for all inputs that wait for them.

    Raises
    ------
    ConfigError
        No input waits, or one has been given statistics of rows already.
    RowError
        A row cannot be read.
    """
    wanted = [(slot, reader) for slot, reader in _scaled(slots) if reader.wants_rows]
    if not wanted:
        raise ConfigError(
            "no input asks for statistics of these rows: rl.Features(..., standardize=True), or fill_missing='mean'"
        )
    measured = [slot.label for slot, reader in wanted if reader.is_measured]
    if measured:
        raise ConfigError(
            f"{', '.join(map(repr, measured))} has statistics already, and others would not fit what was learnt with"
            " them. Start from the parts that `split` returned (in a notebook: run the cell with the split again)."
        )
    found = {}
    for slot, reader in wanted:
        with reporting(progress, f"statistics of {slot.label}", len(rows)) as report:
            try:
                found[slot.label] = reader.measure(rows, report)
            except RowError as error:
                if error.row is not None:
                    error.add_context(key=keys.values(np.array([error.row])).tolist()[0])
                error.add_context(input=slot.label)
                raise
    return found


def with_statistics(slots: Sequence[Slot], statistics: Mapping[str, ColumnStatistics]) -> tuple[Slot, ...]:
    """Return the slots with readers that use these statistics.

    Raises
    ------
    ConfigError
        An input waits for statistics that are not among them, has some already, has other columns, or does not wait.
    """
    fitted = dict(_scaled(slots))
    useless = set(statistics) - {slot.label for slot, reader in fitted.items() if reader.wants_rows}
    if useless:
        raise ConfigError(
            f"{', '.join(map(repr, sorted(useless)))} would not be standardised or filled: this dataset has no such"
            " input with rl.Features(..., standardize=True) or fill_missing='mean'"
        )
    for slot, reader in fitted.items():
        if reader.wants_rows and (slot.label not in statistics or reader.is_measured):
            why = "has statistics already" if reader.is_measured else "is not among the training inputs"
            raise ConfigError(f"{slot.label!r} {why}. Start from the parts that `split` returned: {_HOW}")
    return tuple(
        slot._replace(reader=fitted[slot].fitted(statistics[slot.label]))
        if slot in fitted and fitted[slot].wants_rows
        else slot
        for slot in slots
    )


def _scaled(slots: Sequence[Slot]) -> Iterator[tuple[Slot, ScaledReader]]:
    for slot in slots:
        if isinstance(slot.reader, ScaledReader):
            yield slot, slot.reader
