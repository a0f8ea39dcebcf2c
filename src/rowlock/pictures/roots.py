# ruff: noqa: PTH100, PTH112, PTH118, PTH120 - paths are bytes here, which pathlib does not take
"""Where relative paths start, and the folder that they must not leave."""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from rowlock.errors import ConfigError, RowError
from rowlock.pictures.files import read_file
from rowlock.pictures.paths import PathColumn, listed

if TYPE_CHECKING:
    from rowlock.arrays import BoolArray

__all__ = ["Root"]

_SEP = os.sep.encode()


class Root:
    """A starting folder, fixed when it is made; with `root`, also a fence.

    Parameters
    ----------
    root : str, path or None
        None: the working directory of this moment, without a fence.

    Notes
    -----
    The fence guards against tables from strangers (``../../etc/passwd``) and against mistakes, not against
    somebody who changes links while they are followed.
    """

    def __init__(self, root: str | os.PathLike[str] | None) -> None:
        self._base = os.fsencode(os.path.abspath(root or os.curdir))
        self._fence = None if root is None else os.path.realpath(self._base)
        if self._fence is not None and not os.path.isdir(self._fence):
            raise ConfigError(f"root={os.fspath(root or '')!r} is not a directory ({os.fsdecode(self._base)})")
        self._allows_directory = functools.lru_cache(maxsize=1 << 16)(self._is_inside)

    def check_text(self, paths: PathColumn, name: str) -> None:
        """Refuse paths that leave the fence by their text alone; links are followed when they are read.

        Raises
        ------
        ConfigError
            Lists the rows.
        """
        if self._fence is None:
            return
        places = paths.places_where(self._leaves)
        if len(places):
            first = os.fsdecode(paths.take(places[:1])[0])
            rows = paths.rows_of(places)
            raise ConfigError(
                f"{listed(rows)} of column {name!r} leave root={os.fsdecode(self._base)!r}: the first is {first!r}."
                " Nothing was read. Correct the paths, or leave root= out if the table is your own."
            )

    def locate(self, path: bytes) -> bytes:
        """Return where the file is, as an absolute path."""
        return os.path.join(self._base, path)

    def read(self, path: bytes, max_bytes: int) -> bytes:
        """Return the content of the file at `path`, which is absolute; see `read_file`.

        Raises
        ------
        RowError
            It is not inside of the fence, or cannot be read.
        """
        if self._fence is None:
            return read_file(path, max_bytes)
        if not self._allows_directory(os.path.dirname(path)):
            raise self._escape(path)
        try:
            return read_file(path, max_bytes, follow_link=False)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        if not self._is_inside(path):
            raise self._escape(path)
        return read_file(os.path.realpath(path), max_bytes)

    def _leaves(self, paths: Any) -> BoolArray:
        climbs = np.asarray(pc.match_substring_regex(paths, r"(^|/)\.\.(/|$)"))
        absolute = np.asarray(pc.starts_with(paths, _SEP))
        for inside in {self._base, self._fence}:
            absolute = absolute & ~np.asarray(pc.starts_with(paths, _with_separator(inside or b"")))
        leaves: BoolArray = climbs | absolute
        return leaves

    def _is_inside(self, path: bytes) -> bool:
        fence = self._fence or b""
        return _with_separator(os.path.realpath(path)).startswith(_with_separator(fence))

    def _escape(self, path: bytes) -> RowError:
        return RowError(
            f"a link leads out of root={os.fsdecode(self._base)!r}, to {os.fsdecode(os.path.realpath(path))!r};"
            " it was not read",
            stage="read",
        )


def _with_separator(path: bytes) -> bytes:
    return path if path.endswith(_SEP) else path + _SEP
