"""One file's bytes, with few system calls, and a clear word where there are none."""

from __future__ import annotations

import errno
import os
import stat

from rowlock.errors import RowError
from rowlock.meter import note_read
from rowlock.retries import retried

__all__ = ["FLAGS", "read_file"]

# O_NONBLOCK: opening a named pipe must not wait for a writer. It has no effect on regular files.
FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
# What is wrong with the path or the file itself; all else is the disk's, the network's, or a limit of the process.
_OF_THE_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
_OF_THE_FILE |= {errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.EILSEQ}
_LIMITS = {errno.EMFILE, errno.ENFILE}


def read_file(path: bytes, max_bytes: int, *, follow_link: bool = True) -> bytes:
    """Return the content of a regular file.

    Parameters
    ----------
    path : bytes
        As the operating system wants it.
    max_bytes : int
        A larger file is refused before it is read.
    follow_link : bool
        False: a symbolic link in the last place raises `OSError` with ``ELOOP``.

    Raises
    ------
    RowError
        There is no such file, it is not a regular one, it may not be read, or it is too large.
    OSError
        The disk or the network failed, again after three repeats, or this process may open no more files. Not a
        `RowError`, so that no policy for bad rows drops rows because of a flaky mount. Also ``ELOOP``, see above.
    """
    try:
        data = retried(_read_once, path, max_bytes, 0 if follow_link else getattr(os, "O_NOFOLLOW", 0))
    except OSError as error:
        if error.errno == errno.ELOOP and not follow_link:
            raise
        if error.errno in _OF_THE_FILE:
            raise RowError(_reason(error), stage="read") from error
        if error.errno in _LIMITS:
            error.add_note(
                "this process may open no more files; raise the limit (ulimit -n), nothing is wrong with the file"
            )
        raise
    note_read(len(data))
    return data


def _read_once(path: bytes, max_bytes: int, extra_flags: int) -> bytes:
    descriptor = os.open(path, FLAGS | extra_flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RowError(f"it is {_file_type(status.st_mode)}, not a file", stage="read")
        if status.st_size > max_bytes:
            raise RowError(
                f"the file has {status.st_size:,} bytes, more than a picture of max_pixels needs ({max_bytes:,});"
                " it was not read",
                stage="read",
            )
        data = os.read(descriptor, status.st_size)
        if len(data) < status.st_size:
            data = _read_rest(descriptor, data, status.st_size)
        return data
    finally:
        os.close(descriptor)


def _read_rest(descriptor: int, data: bytes, num_bytes: int) -> bytes:
    parts = [data]
    missing = num_bytes - len(data)
    while missing:
        part = os.read(descriptor, missing)
        if not part:
            raise RowError(f"the file shrank while it was read, from {num_bytes:,} bytes", stage="read")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _file_type(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a named pipe" if stat.S_ISFIFO(mode) else "a device or socket"


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "this user may not read the file"
    return f"{error.strerror} (errno {error.errno})"
