"""What is kept beside a table: its columns as mapped Arrow arrays, and what was computed from them alone.

Both are in files that `ArrayFiles` reads and writes. The source of a column is the table's files as they were
(`TableFiles.identity`); that of something computed is the content of columns, and whatever else went into it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, RowlockError, SourceError
from rowlock.tables.array_files import ArrayFiles, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rowlock.tables.source import TableFiles

__all__ = ["ColumnCache"]

_log = logging.getLogger("rowlock")
_FORMAT = "columns-1"
_KEPT_FORMAT = "kept-1"
_KEPT_ROWS = 1 << 16
"""In shorter tables, what is computed from a column is sooner computed again than opened."""


class ColumnCache:
    """The columns of one table that were asked for so far, by anybody.

    Parameters
    ----------
    table : TableFiles
    folder : Path
        Made where it is missing, for this user alone.
    """

    def __init__(self, table: TableFiles, folder: Path) -> None:
        self._table = table
        self._files = ArrayFiles(folder)

    def column(self, name: str) -> tuple[Any, str]:
        """Return a column as one Arrow array, mapped, and the digest of its content.

        It is made if it is not there, of other files, or damaged.

        Raises
        ------
        ConfigError
            The folder cannot be made or is not private, or the column is of a type that nothing reads.
        SourceError
            The table cannot be read, has changed, or the folder cannot be written to.
        """
        which, source = digest_of(_FORMAT, os.fspath(self._table.path), name), self._table.identity
        found = self._files.find(which, source, self._table.num_rows)
        if found is not None:
            return found
        self._make_folder()
        with self._locked(name, which):  # several processes may want it at once: one makes it
            found = self._files.find(which, source, self._table.num_rows)
            if found is None:
                self._make(name, which)
                found = self._files.find(which, source, self._table.num_rows)
        if found is None:
            raise SourceError(
                f"column {name!r} of {self._table.path} was converted into {self._files.folder} and is not there as it"
                " was written. See to that disk, or name another folder: cache=, or the environment variable"
                " ROWLOCK_CACHE."
            )
        return found

    def kept(self, contents: dict[str, str], what: tuple[str, ...], source: Any, make: Callable[[], Any]) -> Any:
        """Return an Arrow array that was computed from columns, from where it lies ready, or made and kept.

        Keeping it fails no run: where nothing can be written, it is what `make` returns, in memory.

        Parameters
        ----------
        contents : dict of str to str
            The columns, and the digests of their contents.
        what : tuple of str
            Which array; of another source it takes the place of the one before.
        source : Any
            Whatever else it depends on: values that `repr` tells apart.
        make : callable
            Returns the array; what it raises passes.
        """
        if self._table.num_rows < _KEPT_ROWS:
            return make()
        which = digest_of(_KEPT_FORMAT, os.fspath(self._table.path), list(contents), what)
        source = digest_of(self._table.num_rows, list(contents.values()), source)
        found = self._files.find(which, source)
        if found is not None:
            return found[0]
        with self._locked_if_possible(which):
            found = self._files.find(which, source)
            return self._keep(which, source, make()) if found is None else found[0]

    def _keep(self, which: str, source: str, array: Any) -> Any:
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        try:
            self._files.add(which, source, lambda: pa.record_batch([array], names=["kept"]))
        except OSError as error:
            _log.info("%s: nothing more is kept there (%s)", self._files.folder, error.strerror or error)
            return array
        found = self._files.find(which, source)
        return array if found is None else found[0]

    def _make(self, name: str, which: str) -> None:
        began = time.monotonic()
        try:
            num_bytes = self._files.add(which, self._table.identity, lambda: self._batch(name))
        except RowlockError:  # some are an OSError as well
            raise
        except OSError as error:
            raise self._unwritable(name, error) from error
        seconds = time.monotonic() - began
        _log.info("column %r of %s: converted, %.0f MB, %.1f s", name, self._table.path, num_bytes / 1e6, seconds)

    def _batch(self, name: str) -> Any:
        """Return a column as a record batch of buffers in files without a name."""
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        from rowlock.tables.spool import Spool, spool_type  # noqa: PLC0415 - loaded on use

        kind = self._table.schema.field(name).type
        spooled = spool_type(kind)
        if spooled is None:
            raise ConfigError(
                f"column {name!r} of {self._table.path} is of type {kind}, which no input reads: numbers, text, times,"
                " categories and lists of them are read."
            )
        with Spool(spooled, self._files.folder) as spool:
            for block in self._table.blocks(name):
                spool.add(block)
            return pa.record_batch([spool.array()], names=["column"])

    def _make_folder(self) -> None:
        try:
            self._files.make_folder()
        except OSError as error:
            raise ConfigError(
                f"columns of {self._table.path} are kept in {str(self._files.folder)!r}, which cannot be made or"
                f" written to: {error.strerror or error}. Name a folder on a disk with room: cache=, or the environment"
                " variable ROWLOCK_CACHE. Nothing was read or written."
            ) from error

    @contextlib.contextmanager
    def _locked(self, name: str, which: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._files.lock(which))
            except OSError as error:
                raise self._unwritable(name, error) from error
            yield

    @contextlib.contextmanager
    def _locked_if_possible(self, which: str) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                stack.enter_context(self._files.lock(which))
            yield

    def _unwritable(self, name: str, error: OSError) -> SourceError:
        return SourceError(
            f"column {name!r} of {self._table.path} cannot be written to {self._files.folder}:"
            f" {error.strerror or error}. What was there before is as it was. While a column is converted, it takes"
            " twice its size, uncompressed; make room, or name another folder: cache=, or the environment variable"
            " ROWLOCK_CACHE."
        )
