# ruff: noqa: PTH100, PTH112, PTH118, PTH120 - paths are bytes here, which pathlib does not take
"""Where relative paths start, and the folder that they must not leave."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from rowlock.errors import ConfigError, RowError
from rowlock.list_columns import listed
from rowlock.meter import note_read
from rowlock.pictures.advice import will_need
from rowlock.pictures.content import Content, Version, name_of
from rowlock.pictures.files import FLAGS, read_file
from rowlock.pictures.many_files import can_read_many, read_many, stat_many

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from rowlock.arrays import BoolArray
    from rowlock.pictures.content import Kept
    from rowlock.pictures.paths import PathColumn

__all__ = ["Root"]

_SEP = os.sep.encode()
_STATUS = struct.Struct("<QQQ")
_WORD = (1 << 64) - 1


class Root:
    """A starting folder, fixed when it is made; with `root`, also a fence.

    Parameters
    ----------
    root : str, path or None
        None: the working directory of this moment, without a fence.
    max_bytes : int
        Larger files are not read.

    Notes
    -----
    The fence guards against tables from strangers (``../../etc/passwd``) and against mistakes, not against
    somebody who changes links while they are followed.
    """

    def __init__(self, root: str | os.PathLike[str] | None, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._base = os.fsencode(os.path.abspath(root or os.curdir))
        self._fence = None if root is None else os.path.realpath(self._base)
        if self._fence is not None and not os.path.isdir(self._fence):
            raise ConfigError(f"root={os.fspath(root or '')!r} is not a directory ({os.fsdecode(self._base)})")
        self._allows_directory = functools.lru_cache(maxsize=1 << 16)(self._is_inside)

    @property
    def base(self) -> bytes:
        """Where relative paths start."""
        return self._base

    def check_text(self, paths: PathColumn, name: str, among: BoolArray | None = None) -> None:
        """Refuse paths that leave the fence by their text alone; links are followed when they are read.

        Parameters
        ----------
        paths : PathColumn
        name : str
            Of the column.
        among : bool, shape (number of paths,), optional
            Which of them lead here.

        Raises
        ------
        ConfigError
            Lists the rows.
        """
        if self._fence is None:
            return
        places = paths.places_where(self._leaves)
        if among is not None:
            places = places[among[places]]
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

    def version(self, path: bytes) -> Version | None:
        """Return size, mtime and ctime of the file; None where the system does not say.

        The latter is set by whatever writes or renames a file and cannot be set by hand: a file of equal size that
        comes with its old mtime (``cp -p``, archives) in another's place is told apart.
        """
        try:
            status = os.stat(path)  # noqa: PTH116 - paths are bytes
        except OSError:
            return None
        # a file may say that it comes from any year
        facts = _STATUS.pack(status.st_size, status.st_mtime_ns & _WORD, status.st_ctime_ns & _WORD)
        return Version(facts, status.st_ctime_ns)

    def versions(self, paths: Sequence[bytes]) -> list[Version | None]:
        """Return the state of each file; see `version`."""
        if not can_read_many():
            return [self.version(path) for path in paths]
        found = stat_many(paths)
        sizes, changed_ns = found[:, 0].tolist(), found[:, 2].tolist()
        facts = found.astype("<i8").tobytes()
        return [
            None if size < 0 else Version(facts[at : at + _STATUS.size], changed)
            for size, changed, at in zip(sizes, changed_ns, range(0, len(facts), _STATUS.size), strict=True)
        ]

    def read(self, path: bytes) -> Content:
        """Return the content of the file at `path`, which is absolute; see `read_file`.

        Raises
        ------
        RowError
            It is not inside of the fence, or cannot be read.
        """
        return Content(self._read(path))

    def read_each(self, paths: Sequence[bytes]) -> Generator[Content, None, None]:
        """Yield the content of each file, in order; see `PictureSource`."""
        if not can_read_many():
            yield from map(self.read, paths)
            return
        flags = FLAGS if self._fence is None else FLAGS | os.O_NOFOLLOW
        for path, data in zip(paths, read_many([*map(self._if_allowed, paths)], flags, self._max_bytes), strict=True):
            if data is None:  # what is wrong with it, or where it leads, is found out when it is read alone
                yield self.read(path)
            else:
                note_read(len(data))
                yield Content(data)

    def will_need(self, keys: Iterable[bytes], kept: Kept | None) -> None:
        """Let the system read the files ahead, or what is kept of them."""
        if kept is not None:
            keys = kept.will_need((key, self.version(name_of(key))) for key in keys)
        will_need(map(name_of, keys))

    def reading(
        self,
        keys: Iterable[bytes],  # noqa: ARG002 - only servers are told
        kept: Kept | None,  # noqa: ARG002 - only servers are told
        *,
        keep_on_error: bool,  # noqa: ARG002 - only servers are told
    ) -> contextlib.AbstractContextManager[None]:
        """Return a context that does nothing: files are opened one by one."""
        return contextlib.nullcontext()

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _read(self, path: bytes) -> bytes:
        if self._fence is None:
            return read_file(path, self._max_bytes)
        if not self._allows_directory(os.path.dirname(path)):
            raise self._escape(path)
        try:
            return read_file(path, self._max_bytes, follow_link=False)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
        if not self._is_inside(path):
            raise self._escape(path)
        return read_file(os.path.realpath(path), self._max_bytes)

    def _if_allowed(self, path: bytes) -> bytes:
        """Return the path, or one that no file has."""
        return path if self._fence is None or self._allows_directory(os.path.dirname(path)) else b""

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
