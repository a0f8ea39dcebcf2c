"""The address of a store: as it was given, and as the user knows it while the store is built."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rowlock.errors import ConfigError

__all__ = ["BUILDING", "shown_path", "store_path"]

BUILDING = "rowlock-building"
"""In the name of a folder beside the store that it will be."""


def store_path(path: Any) -> Path:
    """Return the address of a store as a path without a trailing slash or ``~``, or raise a `ConfigError`."""
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        told = f"{path!r}: write os.fsdecode(...)" if isinstance(path, bytes) else type(path).__name__
        raise ConfigError(f"the address of a store is a str or a path, not {told}")
    return Path(os.path.abspath(os.path.expanduser(os.fspath(path))))  # noqa: PTH100, PTH111 - resolve() would follow links


def shown_path(path: Path) -> Path:
    """Return the address that the user knows: of a folder that is built beside a store, that of the store."""
    name, building, _ = path.name.partition(f".{BUILDING}-")
    return path.with_name(name.removeprefix(".")) if building else path
