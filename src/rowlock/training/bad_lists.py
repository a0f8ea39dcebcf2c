"""The list of a run's rows that could not be read: what training met, and then what validation and measuring met."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.bad_rows import bad_rows_of
from rowlock.store.disk.files import write_bytes
from rowlock.training import folder as names

if TYPE_CHECKING:
    from rowlock.bad_rows import BadRow
    from rowlock.training.folder import RunFolder

__all__ = ["add_lists", "remove_lists"]

_OTHERS = names.VALID_BAD_ROWS, names.MEASURED_BAD_ROWS


def add_lists(folder: RunFolder) -> None:
    """Write what validation and measuring met behind what training met, all or none, and each row once.

    A run that is killed afterwards, and goes on, begins with what training had met; so the other lists stay until
    it is finished.
    """
    lists = [folder.file(name) for name in (names.BAD_ROWS, *_OTHERS)]
    rows: dict[int, BadRow] = {}
    for path in lists:
        for one in bad_rows_of(path) if path.exists() else ():
            rows.setdefault(one.row, one)
    if rows:
        write_bytes(lists[0], "".join(f"{one.as_line()}\n" for one in rows.values()).encode())


def remove_lists(folder: RunFolder) -> None:
    """Remove the lists that the run's own has taken up."""
    for name in _OTHERS:
        folder.file(name).unlink(missing_ok=True)
