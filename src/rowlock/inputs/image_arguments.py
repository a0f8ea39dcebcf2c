"""What may be said about pictures: arguments checked before anything is read."""

from __future__ import annotations

import math
import operator
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import ConfigError
from rowlock.remote.settings import Remote

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "check_cache",
    "check_choice",
    "check_column",
    "check_count",
    "check_numbers",
    "check_remote",
    "digests_of",
    "hashes_column",
    "picture_dtype",
    "picture_size",
]


def check_column(kind: str, column: Any) -> None:
    """Refuse what is not the name of a column."""
    if not isinstance(column, str):
        raise ConfigError(f'{kind} takes the name of a column of paths: rl.{kind}("imgpath", ...), not {column!r}')


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Refuse what is none of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_count(name: str, value: Any, what: str) -> None:
    """Refuse what is not a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{name} must be a whole number of {what}, at least 1, not {value!r}")


def check_numbers(channels: Any, dtype: np.dtype[Any], scale: float) -> None:
    """Refuse numbers of channels that no picture has, and scales that do not go with the dtype."""
    if channels not in (1, 3) or isinstance(channels, bool):
        raise ConfigError(f"channels must be 3 (RGB) or 1 (grey), not {channels!r}")
    if not math.isfinite(scale):
        raise ConfigError(f"scale must be a finite number, not {scale!r}")
    if scale != 1.0 and dtype != np.float32:
        raise ConfigError(f'scale={scale!r} needs dtype="float32": uint8 pictures are 0 to 255')


def picture_size(size: Any) -> tuple[int, int]:
    """Return (height, width) as two ints, or raise a `ConfigError`."""
    wrong = ConfigError(f"size must be (height, width) in whole pixels, such as size=(150, 150); it is {size!r}")
    try:
        height, width = size
        height, width = operator.index(height), operator.index(width)
    except (TypeError, ValueError):
        raise wrong from None
    if isinstance(size, str) or height < 1 or width < 1:
        raise wrong
    return height, width


def picture_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return uint8 or float32, or raise a `ConfigError`."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.dtype(np.uint8), np.dtype(np.float32)):
        raise ConfigError(f'dtype must be "uint8" or "float32", not {dtype!r}')
    return found


def check_cache(cache: Any, cache_bytes: int | None) -> None:
    """Refuse a cache that is no folder, and a limit without one."""
    if cache is not None and (not isinstance(cache, (str, os.PathLike)) or not os.fspath(cache)):
        raise ConfigError(f"cache is the path of a folder, such as '/data/pixels', not {cache!r}")
    if cache is None and cache_bytes is not None:
        raise ConfigError(f'cache_bytes={cache_bytes:,} needs a folder: cache="/data/pixels"')


def check_remote(remote: Any) -> None:
    """Refuse what does not say which servers are allowed."""
    if not (remote is None or isinstance(remote, Remote)):
        raise ConfigError(
            f'remote says which servers are allowed: rl.Remote("https"), rl.Remote("s3://bucket/"), ..., not {remote!r}'
        )


def hashes_column(column: str, verify: Any, hashes: Any) -> str | None:
    """Return the name of the column of digests, or None; refuse one without ``verify="hash"``."""
    if verify not in (None, "hash"):
        raise ConfigError(f'verify must be "hash", or None, not {verify!r}')
    if hashes is not None and not isinstance(hashes, str):
        raise ConfigError(f"hashes is the name of a column of digests, not {hashes!r}")
    if verify is None:
        if hashes is not None:
            raise ConfigError(f'hashes={hashes!r} has no effect without verify="hash"')
        return None
    return digests_of(column) if hashes is None else hashes


def digests_of(column: str) -> str:
    """Return the usual name of the column that holds the digests of a column's pictures."""
    return f"{column}_hash"
