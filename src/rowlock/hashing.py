"""`hash_pictures`: a column of digests, so that later runs can prove that the files are still the same."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.arguments import whole_number
from rowlock.errors import ConfigError, RowError
from rowlock.pictures.limits import MAX_PIXELS, max_file_bytes
from rowlock.processors import num_processors
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.pictures.content import PictureSource
    from rowlock.pictures.paths import PathColumn
    from rowlock.remote.settings import Remote
    from rowlock.store.progress import Progress

__all__ = ["hash_pictures"]

_ROWS = 64
"""Of a task: many are fetched at a time where they lie on servers."""

_UNREADABLE = ("raise", "none")


def hash_pictures(
    paths: Any,
    root: str | os.PathLike[str] | None = None,
    *,
    algorithm: str = "blake2b-128",
    remote: Remote | None = None,
    unreadable: str = "raise",
    num_threads: int | None = None,
    progress: Progress = None,
) -> list[Any]:
    """Return the digest of every file, for ``rl.Images(..., verify="hash")``.

    ::

        df["imgpath_hash"] = rl.hash_pictures(df["imgpath"])

    Parameters
    ----------
    paths : column or list of text
        A Series of pandas or polars, an Arrow column, or a list; of paths, or of lists of them.
    root, remote
        As of `Images`.
    algorithm : {"blake2b-128", "sha256", "md5"}
        Which digest. MD5 finds accidents, and no forgery.
    unreadable : {"raise", "none"}
        What becomes of a file that cannot be read: an error, or None in its place.
    num_threads : int, optional
        By default one a processor.
    progress : True, callable or None
        True shows a bar; a function gets (rows done, rows in all).

    Returns
    -------
    digests : list of str
        ``"blake2b-128:<hexadecimal digits>"``, one a row; lists of them where `paths` has lists.

    Raises
    ------
    ConfigError
        A wrong argument, rows without a path, paths that leave `root`, URLs that are not allowed.
    RowError
        The first file that cannot be read, with its row and path.
    OSError
        The disk or the network failed, again and again.
    """
    from rowlock.pictures.digests import ALGORITHMS  # noqa: PLC0415 - loads pyarrow

    if algorithm not in ALGORITHMS:
        raise ConfigError(f"algorithm must be one of {', '.join(map(repr, ALGORITHMS))}, not {algorithm!r}")
    if unreadable not in _UNREADABLE:
        raise ConfigError(f'unreadable must be "raise" or "none", not {unreadable!r}')
    threads = num_processors() if num_threads is None else whole_number("num_threads", num_threads, 1)
    column, are_lists = _column(paths)
    from rowlock.remote.source import open_source  # noqa: PLC0415 - loads pyarrow

    source = open_source(column, "paths", root, remote, max_file_bytes(MAX_PIXELS))
    hashing = _Hashing(column, source, algorithm, may_miss=unreadable == "none")
    digests: list[Any] = []
    try:
        with reporting(progress, "hashing", len(column)) as report:
            for some in _in_order(hashing, len(column), threads):
                digests += some
                report(len(digests))
    finally:
        source.close()
    return digests if are_lists else [one for (one,) in digests]


def _column(paths: Any) -> tuple[PathColumn, bool]:
    """Return the paths, and whether a row has a list of them."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    from rowlock.pictures.path_lists import PathLists  # noqa: PLC0415 - loaded on use
    from rowlock.pictures.paths import PathColumn, to_arrow  # noqa: PLC0415 - loaded on use

    if isinstance(paths, (str, bytes, os.PathLike)):
        raise ConfigError(f"hash_pictures takes a column of paths, or a list: write [{paths!r}]")
    if isinstance(paths, (list, tuple, np.ndarray)):
        values = [os.fspath(path) if isinstance(path, os.PathLike) else path for path in paths]
        paths = pa.chunked_array([pa.array(values, None if values else pa.large_string())])
    elif isinstance(paths, pa.Array):
        paths = pa.chunked_array([paths])
    try:
        series: Any = nw.from_native(paths, series_only=True)
    except TypeError:
        raise ConfigError(f"hash_pictures takes a column of paths, or a list, not {type(paths).__name__}") from None
    kind = to_arrow(series, "paths").type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return PathLists(series, "paths", most=np.iinfo(np.int64).max, longer="raise"), True
    return PathColumn(series, "paths"), False


def _in_order(hashing: _Hashing, num_rows: int, num_threads: int) -> Iterator[list[list[str | None]]]:
    """Hash some rows at a time, in several threads."""
    executor = ThreadPoolExecutor(num_threads, thread_name_prefix="rowlock-hash")
    try:
        yield from executor.map(hashing.run, range(0, num_rows, _ROWS))
    finally:  # an error, or Ctrl-C: what was not begun is not begun any more
        executor.shutdown(cancel_futures=True)


class _Hashing:
    """What each thread does."""

    def __init__(self, column: PathColumn, source: PictureSource, algorithm: str, *, may_miss: bool) -> None:
        self._column = column
        self._source = source
        self._algorithm = algorithm
        self._may_miss = may_miss

    def run(self, first: int) -> list[list[str | None]]:
        """Return the digests of the rows from `first` on."""
        rows = np.arange(first, min(first + _ROWS, len(self._column)))
        names = [[self._source.locate(path) for path in paths] for paths in self._column.take_lists(rows)]
        with self._source.reading([name for row_names in names for name in row_names], None, keep_on_error=False):
            return [
                [self._digest(row, name) for name in row_names]
                for row, row_names in zip(rows.tolist(), names, strict=True)
            ]

    def _digest(self, row: int, name: bytes) -> str | None:
        from rowlock.pictures.digests import digest_of_bytes  # noqa: PLC0415 - loaded before

        try:
            return digest_of_bytes(self._source.read(name).data, self._algorithm)
        except RowError as error:
            if self._may_miss:
                return None
            error.row, error.path = row, os.fsdecode(name)
            raise
        except OSError as error:
            error.filename = os.fsdecode(name)
            raise
