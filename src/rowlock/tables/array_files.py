"""Files in a private folder, each named by what it is, what it was made from, and its own bytes.

A file is ``WHICH-SOURCE-CONTENT.ENDING``. Each part of the name is a digest; the last is of all bytes of the file, and
is compared before anything in it is believed. A file gets its name once it is whole. Most are arrays, ``.arrow``: Arrow
IPC, one record batch, uncompressed, to be mapped.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import re
import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.blocks import for_blocks
from rowlock.private_folder import make_folder, open_file, require_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["ArrayFiles", "digest_of"]

_log = logging.getLogger("rowlock")
_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{16}\.[a-z]+")
_ARRAY = ".arrow"
_BLOCK_WORDS = 1 << 22


def digest_of(*facts: Any) -> str:
    """Return a digest of plain values, which their `repr` tells apart."""
    return hashlib.blake2b(repr(facts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


class ArrayFiles:
    """The arrays, and other files, in a folder.

    Parameters
    ----------
    folder : Path
        Made where it is missing, for this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, which: str, source: str, num_rows: int | None = None) -> tuple[Any, str] | None:
        """Return an array, mapped, and the digest of its file; or None: there is none, or not as it was written.

        Raises
        ------
        ConfigError
            The folder is not private.
        """
        for path in self._named(which, source, _ARRAY):
            file = _whole(path)
            array = None if file is None else _array(file)
            if array is not None and num_rows in (None, len(array)):
                return array, path.stem[-16:]
            self._remove_damaged(path)
        return None

    def find_file(self, which: str, source: str, ending: str) -> Path | None:
        """Return a file whose bytes are as they were written, or None; errors as of `find`."""
        for path in self._named(which, source, ending):
            if _whole(path) is not None:
                return path
            self._remove_damaged(path)
        return None

    def _named(self, which: str, source: str, ending: str) -> list[Path]:
        try:
            require_private(self.folder)
            names = [name for name in os.listdir(self.folder) if _NAME.fullmatch(name)]  # noqa: PTH208 - names only
        except OSError:  # not there yet, or not to be read: whoever makes it says why
            return []
        return [self.folder / name for name in names if name.startswith(f"{which}-{source}-") and name.endswith(ending)]

    def _remove_damaged(self, path: Path) -> None:
        _log.warning("%s is damaged, and is made again", path)
        with contextlib.suppress(OSError):
            path.unlink()

    def add(self, which: str, source: str, batch: Callable[[], Any]) -> int:
        """Write an array in place of what was made from other sources, and return the bytes that it takes.

        Parameters
        ----------
        which, source : str
        batch : callable
            Returns a pyarrow.RecordBatch of one column.

        Raises
        ------
        OSError
            The folder cannot be written to, or the disk is full; what was there before is as it was.
        """
        return self.add_file(which, source, lambda path: _write(batch(), path), _ARRAY)

    def add_file(self, which: str, source: str, write: Callable[[Path], None], ending: str) -> int:
        """Write a file as `write` does, into a new file of that path; otherwise as `add`."""
        partial = self.folder / f"{which}.{os.getpid()}-{secrets.token_hex(4)}.partial"
        try:
            os.close(open_file(partial, new=True))
            write(partial)
            num_bytes = partial.stat().st_size
            whole = f"{which}-{source}-{_digest_of_file(_map(partial)):016x}{ending}"
            partial.rename(self.folder / whole)
            self.remove(which, ending, but=whole)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink()
        return num_bytes

    def remove(self, which: str, ending: str, but: str = "") -> None:
        """Remove all files of an array, save one."""
        for name in os.listdir(self.folder):  # noqa: PTH208 - names only
            if name.startswith(which) and name.endswith(ending) and name != but:
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()

    def make_folder(self) -> None:
        """Make the folder, or accept it as it is, if it can be written to.

        Raises
        ------
        ConfigError
            It is not private.
        OSError
        """
        make_folder(self.folder)
        if not os.access(self.folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(13, "Permission denied", str(self.folder))

    @contextlib.contextmanager
    def lock(self, which: str) -> Iterator[bool]:
        """Wait until no other process makes this array; False on file systems without locks, where all make it.

        Raises
        ------
        OSError
            The folder cannot be written to.
        """
        descriptor = os.open(self.folder / f"{which}.lock", os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            is_alone = _is_locked(descriptor)
            if is_alone:
                self.remove(which, ".partial")  # of processes that were killed
            yield is_alone
        finally:
            os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        import fcntl  # noqa: PLC0415 - POSIX only

        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except (ImportError, OSError):
        return False
    return True


def _write(batch: Any, path: Path) -> None:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    options = pa.ipc.IpcWriteOptions(allow_64bit=True)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batch.schema, options=options) as writer:
        writer.write_batch(batch)


def _map(path: Path) -> mmap.mmap:
    descriptor = open_file(path)
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _whole(path: Path) -> mmap.mmap | None:
    """Return the bytes of a file, mapped, or None: they are not those that it was named by."""
    try:
        file = _map(path)
    except (OSError, ValueError):  # vanished, a link, not to be read, or empty
        return None
    return file if f"{_digest_of_file(file):016x}" == path.stem[-16:] else None


def _array(file: mmap.mmap) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(file))).get_batch(0).column(0)


def _digest_of_file(file: mmap.mmap) -> int:
    """Return the digest of a file that is read once in order, and afterwards anyhow."""
    is_advised = hasattr(mmap, "MADV_SEQUENTIAL")
    if is_advised:
        file.madvise(mmap.MADV_SEQUENTIAL)
    digest = _digest(np.frombuffer(file, np.uint8))
    if is_advised:
        file.madvise(mmap.MADV_NORMAL)
    return digest


def _digest(memory: Any) -> int:
    """Return a digest of all bytes and their number; a sum, so parts of it are made in several threads."""
    from rowlock.key_kernels import digest_words  # noqa: PLC0415 - Numba is loaded on first use

    whole = len(memory) // 8 * 8
    words = memory[:whole].view(np.uint64)
    rest = np.zeros(2, np.uint64)
    rest[0] = len(memory)
    rest[1:].view(np.uint8)[: len(memory) - whole] = memory[whole:]
    sums = [int(digest_words(rest, np.uint64(0)))]

    def add(start: int, stop: int) -> None:
        sums.append(int(digest_words(words[start:stop], np.uint64(2 + start))))

    for_blocks(add, len(words), _BLOCK_WORDS)
    return sum(sums) % (1 << 64)
