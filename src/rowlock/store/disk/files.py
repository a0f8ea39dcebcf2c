"""Writing files so that they are there after a crash: whole, or extended behind what was committed."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rowlock.errors import StoreFormatError, StoreWriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = [
    "GrowingFile",
    "copy_bytes",
    "copy_start",
    "sync_folder",
    "write_all",
    "write_bytes",
    "write_json",
    "writing",
]

PARTIAL = ".partial"
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def writing(what: str, num_safe_rows: int) -> Iterator[None]:
    """Turn what the disk refuses into a `StoreWriteError` that says what is safe."""
    try:
        yield
    except OSError as error:
        safe = f"rows 0..{num_safe_rows - 1} are" if num_safe_rows else "nothing was committed before; that is"
        raise StoreWriteError(
            f"cannot write {what}: {error.strerror or error}. The last commit is safe ({safe} as it was)."
            " Make room or repair the disk, then append again what was not acknowledged."
        ) from error


def write_all(descriptor: int, data: Any, offset: int) -> None:
    """Write all bytes of a C-contiguous array or bytes at `offset`; a short write goes on where it stopped."""
    rest = memoryview(data)
    rest = rest.cast("B") if rest.nbytes else rest[:0]
    while len(rest):
        done = os.pwrite(descriptor, rest[: 1 << 26], offset)
        rest, offset = rest[done:], offset + done


def sync_folder(path: Path) -> None:
    """Make renames inside of `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, *parts: Any) -> None:
    """Write a whole file beside `path`, make it durable, and rename it; the folder is not synced."""
    beside = path.with_name(f".{path.name}{PARTIAL}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _BINARY, 0o666)
    try:
        offset = 0
        for part in parts:
            write_all(descriptor, part, offset)
            offset += memoryview(part).nbytes
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(beside, path)  # noqa: PTH105 - counted by the crash tests


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as the whole file `path`, as `write_bytes` does."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: dict[str, Any]) -> bytes:
    """Return metadata as they are written."""
    return json.dumps(content, indent=1, allow_nan=False).encode()


def copy_start(source: Path, descriptor: int, num_bytes: int) -> None:
    """Copy the first bytes of a file inside of the system, where it can; some share them without a copy."""
    copy_bytes(source, 0, descriptor, 0, num_bytes)


def copy_bytes(source: Path, start: int, descriptor: int, offset: int, num_bytes: int) -> None:
    """Copy `num_bytes` of a file from its byte `start` to `offset`, as `copy_start` does."""
    origin = os.open(source, os.O_RDONLY | _BINARY)
    try:
        position, stop = start, start + num_bytes
        while position < stop:
            target = offset + position - start
            try:
                done = os.copy_file_range(origin, descriptor, stop - position, position, target)
            except (AttributeError, OSError):  # not on this system, or not on these file systems
                data = os.pread(origin, min(stop - position, 1 << 24), position)
                write_all(descriptor, data, target)
                done = len(data)
            if not done:
                raise StoreWriteError(f"{source} ended at byte {position:,}, before its committed {stop:,}")
            position += done
    finally:
        os.close(origin)


class GrowingFile:
    """The single chunk of an array of one axis: bytes are added behind the committed ones, never over them.

    Parameters
    ----------
    path : Path
    num_bytes : int
        Committed length. What a killed writer left behind it is cut off; no reader looks there.
    """

    def __init__(self, path: Path, num_bytes: int) -> None:
        self.path = path
        self.num_bytes = num_bytes
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | _BINARY, 0o666)
        size = os.fstat(self._descriptor).st_size
        if size < num_bytes:
            self.close()
            raise StoreFormatError(f"{path} has {size:,} bytes, but the last commit has {num_bytes:,}: restore it")
        if size > num_bytes:
            os.ftruncate(self._descriptor, num_bytes)

    def append(self, values: AnyArray) -> None:
        """Add the bytes of a C-contiguous array."""
        write_all(self._descriptor, values, self.num_bytes)
        self.num_bytes += values.nbytes

    def sync(self) -> None:
        """Make everything appended durable."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
