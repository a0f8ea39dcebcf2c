"""Files out of the system's memory, so that a first epoch can be measured twice."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["drop"]


def drop(paths: Iterable[bytes | str | os.PathLike[str]]) -> int:
    """Ask the system to forget the content of files; return how many it was asked about.

    Pages that a process has mapped, or that were not written to disk yet, stay. 0 where there is no such call.
    """
    if not hasattr(os, "posix_fadvise"):
        return 0
    count = 0
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            count += 1
        finally:
            os.close(descriptor)
    return count
