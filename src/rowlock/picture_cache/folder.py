"""The files of a picture cache."""

from __future__ import annotations

import os
import re
import secrets
import time
from typing import TYPE_CHECKING, NamedTuple

from rowlock.private_folder import is_own_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Found", "list_files", "make_segment_name"]

_NAME = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}-[0-9a-f]{8}\.(pixels|places)")


class Found(NamedTuple):
    """A file of a cache."""

    name: str
    num_bytes: int


def make_segment_name(settings: bytes) -> str:
    """Return a name that no other file has; names of the same settings sort by age."""
    return f"{settings.hex()[:16]}-{time.time_ns():016x}-{secrets.token_hex(4)}"


def list_files(path: Path) -> list[Found]:
    """Return the files of all caches in the folder, of this user, oldest first.

    Raises
    ------
    OSError
        The folder is gone, or cannot be read.
    """
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                status = entry.stat(follow_symlinks=False)
                if is_own_file(status):
                    found.append(Found(entry.name, status.st_size))
    return sorted(found)
