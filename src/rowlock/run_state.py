"""A run's state in one file: JSON and arrays, written whole or not at all, read without executing anything."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rowlock.errors import StateError
from rowlock.store.disk.files import sync_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["RunState", "has_trained", "read_state", "write_state"]

_FACTS = "facts"


class RunState(NamedTuple):
    """What a file holds."""

    facts: dict[str, Any]
    """For JSON."""
    arrays: dict[str, AnyArray]


def write_state(path: Path, facts: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> None:
    """Write beside `path`, make it durable, and rename it: whenever the process dies, `path` is the old or the new.

    The file is a ``.npz`` (a zip archive with a CRC of every member), uncompressed.

    Raises
    ------
    OSError
        The disk refused; what was there is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.partial")
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    try:
        with beside.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{_FACTS: text}, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        beside.unlink(missing_ok=True)  # a full disk needs the room
        raise
    beside.replace(path)
    sync_folder(path.parent)


def read_state(path: Path) -> RunState:
    """Read what `write_state` has written; every member's CRC is checked.

    Raises
    ------
    StateError
        The file is not one of these, or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        facts = json.loads(arrays.pop(_FACTS).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StateError(
            f"{path} is no state of a run, or damaged: {error}. Nothing was changed. Move it away to begin anew."
        ) from error
    return RunState(facts, arrays)


def has_trained(path: Path) -> bool:
    """Return whether a state is of after the first step; of a file that cannot be read, nobody may say that it is not.

    A run saves its state before it begins as well. Only the facts are read, whatever the model weighs.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as members:
            loader = json.loads(members[_FACTS].tobytes())["loader"]
        return bool(loader["epoch"] or loader["rows_delivered"])
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return True
