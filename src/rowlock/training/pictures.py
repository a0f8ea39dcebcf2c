"""Whether pictures are where they are looked for: asked of a few, before any work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from rowlock.errors import ConfigError
from rowlock.remote.permission import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["lost_pictures", "require_pictures"]

_LOOKED_AT: Final = 8


def require_pictures(table: pa.Table, columns: Mapping[str, str], root: str | None, others: Sequence[str] = ()) -> None:
    """Refuse a table of whose pictures none of a few is there.

    Raises
    ------
    ConfigError
        Says where they were looked for, and where they are if that is near.
    """
    lost = lost_pictures(table, columns, root, others)
    if lost:
        raise ConfigError(f"{lost}. Nothing was read.")


def lost_pictures(
    table: pa.Table, columns: Mapping[str, str], root: str | None, others: Sequence[str] = ()
) -> str | None:
    """Return in words that none of a few pictures is there; None where one is, or a server has them.

    Parameters
    ----------
    table : pyarrow.Table
    columns : dict of str to str
        Columns of paths, by the input's name.
    root : str or None
        Where relative paths start; None: the working directory.
    others : sequence of str
        Folders where they may be instead, beside the working directory and the folder that holds `root`.
    """
    if root is not None and is_url(os.fsencode(root)):
        return None
    for name, column in columns.items():
        paths = _some_paths(table, column)
        if paths and not any(_may_be_there(root or "", path) for path in paths):
            return _told(name, column, paths, root, others)
    return None


def _some_paths(table: pa.Table, column: str) -> list[str]:
    """Return a few paths from the whole of a table; none where they are no text, or of servers."""
    if column not in table.column_names or table.num_rows == 0:
        return []
    rows = np.unique(np.linspace(0, table.num_rows - 1, _LOOKED_AT).astype(np.int64))
    found = [value for value in table.column(column).take(pa.array(rows)).to_pylist() if value]
    if not all(isinstance(value, (str, bytes)) for value in found):
        return []
    paths = [os.fsdecode(value) for value in found]
    return [] if any(is_url(os.fsencode(path)) for path in paths) else paths


def _may_be_there(root: str, path: str) -> bool:
    try:
        Path(root, path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):  # something is there, or the path is none: reading it says what is wrong
        return True
    return True


def _told(name: str, column: str, paths: list[str], root: str | None, others: Sequence[str]) -> str:
    base = Path(root or os.curdir).absolute()
    said = (
        f"no picture that column {column!r} ({name}) names is there, of {len(paths)} that were looked for, such as"
        f" {str(base / paths[0])!r}"
    )
    if all(Path(path).is_absolute() for path in paths):
        return said
    where = str(base) if root is not None else f"the working directory, {base}"
    near = _near(paths, [str(Path.cwd()), str(base.parent), *others])
    found = "" if near is None else f": with --root {near} they are there"
    return f"{said}. Relative paths start from {where}; --root says otherwise{found}"


def _near(paths: list[str], roots: Sequence[str]) -> str | None:
    """Return the first of some folders in which all of the pictures are."""
    return next((root for root in roots if all(_may_be_there(root, path) for path in paths)), None)
