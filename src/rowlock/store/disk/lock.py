"""One writer at a time: a lock that the system releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from typing import TYPE_CHECKING

from rowlock.errors import StoreLockedError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LOCK", "WriterLock"]

LOCK = "row_check/.rowlock.lock"
"""In an array: Zarr readers list the members of groups, and wonder about what they do not know."""


class WriterLock:
    """Holds the writer's lock of the store in `folder` until `release`.

    Raises
    ------
    StoreLockedError
        Somebody holds it; the message names process, host and time.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._path.parent.mkdir(exist_ok=True)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        try:
            _lock(self._descriptor)
        except OSError as error:
            os.close(self._descriptor)
            raise StoreLockedError(
                f"another writer has {folder} open: {_holder(self._path)}. One writer at a time; wait for it,"
                " or stop that process: its lock ends with it, and what it did not commit is cut off."
            ) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        # The note is for people only: a full disk must not stop a writer here.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)

    def release(self) -> None:
        """Let the next writer in. The file stays: removing it would let two writers hold two files."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _lock(descriptor: int) -> None:
    try:
        import fcntl  # noqa: PLC0415 - POSIX only
    except ImportError:
        import msvcrt  # noqa: PLC0415 - Windows only

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore] # per system
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> str:
    try:
        note = json.loads(path.read_bytes())
        return f"process {note['pid']} on {note['host']}, since {note['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown process"
