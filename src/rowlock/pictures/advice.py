"""Word to the operating system about files that will be read soon."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["will_need"]

_SAMPLES = 8
"""Files that are looked at before the rest is taken to be in memory too."""


def will_need(paths: Iterable[bytes]) -> None:
    """Let the system read files into its cache, and do not wait for it.

    If it has the first few in its memory already, it has all of them, or nearly: nothing more is opened. About 5 us a
    file; measured in docs/adr/0005. What cannot be opened is left for the reader to complain about. Where the system
    takes no advice, nothing happens.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    num_in_memory = 0
    for number, path in enumerate(paths):
        if number == num_in_memory == _SAMPLES:
            return
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            continue
        try:
            if number < _SAMPLES and _is_in_memory(descriptor):
                num_in_memory += 1
            else:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
        except OSError:  # a pipe, a device: not what can be read ahead
            continue
        finally:
            os.close(descriptor)


def _is_in_memory(descriptor: int) -> bool:
    """Return whether the last bytes of a file could be read without waiting; False where the system does not say."""
    if not hasattr(os, "RWF_NOWAIT"):
        return False
    try:
        last = max(0, os.fstat(descriptor).st_size - 1)
        return os.preadv(descriptor, [bytearray(1)], last, os.RWF_NOWAIT) == 1
    except OSError:  # it would have to wait, or this file system does not know the question
        return False
