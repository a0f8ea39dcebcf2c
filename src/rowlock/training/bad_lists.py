"""The list of a run's rows that could not be read: what training met, and then what validation and measuring met."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rowlock.bad_rows import BadRow, bad_rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["add_to_list"]


def add_to_list(path: Path, rows: Iterable[BadRow]) -> None:
    """Write rows behind those that are in a list already; a row that is in it is not written again.

    A run that is killed afterwards and goes on begins with the rows that training had met, and these are met anew.
    """
    known = {one.row for one in bad_rows_of(path)} if path.exists() else set()
    lines = [json.dumps(asdict(one)) for one in rows if one.row not in known]
    if lines:
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
