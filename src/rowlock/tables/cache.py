"""Columns of a table's files as mapped Arrow arrays: converted once, kept in a folder, checked before they are used.

A column is a file ``COLUMN-TABLE-CONTENT.arrow``: Arrow IPC, one record batch, uncompressed. Each part of its name is a
digest: of the column's name, of the table's files as they were (`TableFiles.identity`), and of all bytes of the file
itself, which are checked before anything in it is believed. A file gets its name once it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import re
import secrets
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError, RowlockError, SourceError
from rowlock.private_folder import make_folder, open_file, require_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rowlock.tables.source import TableFiles

__all__ = ["ColumnCache"]

_log = logging.getLogger("rowlock")
_FORMAT = "columns-1"
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}\.arrow")


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
        self._folder = folder

    def column(self, name: str) -> Any:
        """Return a column as one Arrow array, mapped; it is made if it is not there, of other files, or damaged.

        Raises
        ------
        ConfigError
            The folder cannot be made or is not private, or the column is of a type that nothing reads.
        SourceError
            The table cannot be read, has changed, or the folder cannot be written to.
        """
        start = self._start_of_name(name)
        found = self._find(start)
        if found is not None:
            return found
        self._make_folder()
        with self._lock(name, start) as is_alone:  # several processes may want it at once: one makes it
            found = self._find(start)
            if found is None:
                if is_alone:
                    self._remove(start, ".partial")  # of processes that were killed
                self._make(name, start)
                found = self._find(start)
        if found is None:
            raise SourceError(
                f"column {name!r} of {self._table.path} was converted into {self._folder} and is not there as it was"
                " written. See to that disk, or name another folder: cache=, or the environment variable ROWLOCK_CACHE."
            )
        return found

    def _find(self, start: str) -> Any:
        """Return the column from its file, or None: there is none, or not as it was written."""
        try:
            require_private(self._folder)
            names = [name for name in os.listdir(self._folder) if _NAME.fullmatch(name)]  # noqa: PTH208 - names only
        except OSError:  # not there yet, or not to be read: whoever makes it says why
            return None
        for name in names:
            if name.startswith(f"{start}-{self._table.identity}-"):
                found = _mapped(self._folder / name)
                if found is not None and len(found) == self._table.num_rows:
                    return found
                _log.warning("%s is damaged, and is made again from %s", self._folder / name, self._table.path)
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()
        return None

    def _make(self, name: str, start: str) -> None:
        began = time.monotonic()
        partial = self._folder / f"{start}.{os.getpid()}-{secrets.token_hex(4)}.partial"
        try:
            self._write(name, partial)
            num_bytes = partial.stat().st_size
            whole = f"{start}-{self._table.identity}-{_digest(_map(partial)):016x}.arrow"
            partial.rename(self._folder / whole)
            self._remove(start, ".arrow", but=whole)  # of the table as it was before
        except RowlockError:
            raise
        except OSError as error:
            raise self._unwritable(name, error) from error
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        seconds = time.monotonic() - began
        _log.info("column %r of %s: converted, %.0f MB, %.1f s", name, self._table.path, num_bytes / 1e6, seconds)

    def _write(self, name: str, path: Path) -> None:
        import pyarrow as pa  # noqa: PLC0415 - loaded on use

        from rowlock.tables.spool import Spool, spool_type  # noqa: PLC0415 - as above

        kind = self._table.schema.field(name).type
        spooled = spool_type(kind)
        if spooled is None:
            raise ConfigError(
                f"column {name!r} of {self._table.path} is of type {kind}, which no input reads: numbers, text, times,"
                " categories and lists of them are read."
            )
        with Spool(spooled, self._folder) as spool:
            for block in self._table.blocks(name):
                spool.add(block)
            batch = pa.record_batch([spool.array()], names=["column"])
        os.close(open_file(path, new=True))
        options = pa.ipc.IpcWriteOptions(allow_64bit=True)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema, options=options) as writer:
            writer.write_batch(batch)

    def _remove(self, start: str, ending: str, but: str = "") -> None:
        for name in os.listdir(self._folder):  # noqa: PTH208 - names only
            if name.startswith(start) and name.endswith(ending) and name != but:
                with contextlib.suppress(OSError):
                    (self._folder / name).unlink()

    def _make_folder(self) -> None:
        try:
            make_folder(self._folder)
            if not os.access(self._folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise PermissionError(13, "Permission denied", str(self._folder))
        except OSError as error:
            raise ConfigError(
                f"columns of {self._table.path} are kept in {str(self._folder)!r}, which cannot be made or written to:"
                f" {error.strerror or error}. Name a folder on a disk with room: cache=, or the environment variable"
                " ROWLOCK_CACHE. Nothing was read or written."
            ) from error

    @contextlib.contextmanager
    def _lock(self, name: str, start: str) -> Iterator[bool]:
        """Wait until no other process makes this column; False on file systems without locks, where all make it."""
        try:
            descriptor = os.open(
                self._folder / f"{start}.lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600
            )
        except OSError as error:
            raise self._unwritable(name, error) from error
        try:
            yield _is_locked(descriptor)
        finally:
            os.close(descriptor)

    def _start_of_name(self, name: str) -> str:
        text = repr((_FORMAT, os.fspath(self._table.path), name))
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()

    def _unwritable(self, name: str, error: OSError) -> SourceError:
        return SourceError(
            f"column {name!r} of {self._table.path} cannot be written to {self._folder}: {error.strerror or error}."
            " What was there before is as it was. While a column is converted, it takes twice its size, uncompressed;"
            " make room, or name another folder: cache=, or the environment variable ROWLOCK_CACHE."
        )


def _is_locked(descriptor: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - POSIX only

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True


def _map(path: Path) -> Any:
    descriptor = open_file(path)
    try:
        return np.frombuffer(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ), np.uint8)
    finally:
        os.close(descriptor)


def _mapped(path: Path) -> Any:
    """Return the array that a file holds, or None: its bytes are not those that it was named by."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    try:
        memory = _map(path)
    except (OSError, ValueError):  # vanished, a link, not to be read, or empty
        return None
    if f"{_digest(memory):016x}" != path.stem[-16:]:
        return None
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(memory))).get_batch(0).column(0)


def _digest(memory: Any) -> int:
    """Return a digest of all bytes and their number."""
    from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use

    whole = len(memory) // 8 * 8
    rest = np.zeros(2, np.uint64)
    rest[0] = len(memory)
    rest[1:].view(np.uint8)[: len(memory) - whole] = memory[whole:]
    total = int(digest_words(memory[:whole].view(np.uint64), np.uint64(2)))
    return (total + int(digest_words(rest, np.uint64(0)))) % (1 << 64)
