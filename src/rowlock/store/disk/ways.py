"""The two ways to read a store: its files mapped into memory, or read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rowlock.errors import ConfigError
from rowlock.store.disk.mapped import map_file
from rowlock.store.disk.whole_files import load_file

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.arrays import AnyArray

__all__ = ["MMAP", "PREAD", "WAYS", "GetFile", "require_way"]

MMAP, PREAD = "mmap", "pread"


class GetFile(Protocol):
    """Returns the first bytes of a file as an array, mapped or in memory; see `map_file` and `load_file`."""

    def __call__(self, path: Path, num_bytes: int, *, random: bool) -> AnyArray:
        """Return uint8, shape (num_bytes,), read-only."""
        ...


WAYS: dict[str, GetFile] = {MMAP: map_file, PREAD: load_file}
"""How the small files of a store are got, by the value of ``io=``."""


def require_way(io: object) -> str:
    """Return `io`, or raise `ConfigError` if it is none of the ways."""
    if not isinstance(io, str) or io not in WAYS:
        raise ConfigError(f'io={io!r}: the files of a store are mapped (io="mmap"), or read (io="pread")')
    return io
