"""How much memory there is, and how a user says how much of it to use."""

from __future__ import annotations

import os
import re
from pathlib import Path

from rowlock.errors import ConfigError

__all__ = ["memory_limit_bytes", "parse_bytes", "refuse_larger_than_memory"]

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_CGROUPS = Path("/sys/fs/cgroup")


def parse_bytes(size: int | str) -> int:
    """Return a number of bytes from a count or a text such as ``"2GiB"`` or ``"500 MB"``.

    Raises
    ------
    ConfigError
        Neither, or not above 0.
    """
    if isinstance(size, str):
        found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)\s*", size.lower())
        unit = None if found is None else _UNITS.get(found[2])
        num_bytes = 0 if found is None or unit is None else int(float(found[1]) * unit)
    else:
        num_bytes = int(size) if isinstance(size, int) and not isinstance(size, bool) else 0
    if num_bytes <= 0:
        raise ConfigError(f"a size is a number of bytes or a text such as '2GiB', not {size!r}")
    return num_bytes


def memory_limit_bytes() -> int:
    """Return the memory that this process may use: the machine's, or its control group's if that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")] if hasattr(os, "sysconf") else [8 * 2**30]
    for path in _limit_files():
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # no such control group, or no limit ("max")
            continue
    return min(limits)


def refuse_larger_than_memory(num_bytes: int, what: str) -> None:
    """Refuse what can never be held.

    Raises
    ------
    ConfigError
    """
    if num_bytes > 1 << 20 and num_bytes > memory_limit_bytes():
        raise ConfigError(
            f"{what} takes {num_bytes:,} bytes, and this process may use {memory_limit_bytes():,}. Choose a smaller"
            " size or shape."
        )


def _limit_files() -> list[Path]:
    """Return where limits stand for this process's control group and those around it, versions 2 and 1."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    files = [_CGROUPS / "memory.max", _CGROUPS / "memory" / "memory.limit_in_bytes"]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        folder = _CGROUPS / group.strip("/") if not controllers else _CGROUPS / "memory" / group.strip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        if not controllers or "memory" in controllers.split(","):
            files += [place / name for place in (folder, *folder.parents) if place.is_relative_to(_CGROUPS)]
    return files
