"""The processor's name and the instructions that matter here; how many may be used, and how much memory."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

from rowlock.memory import memory_limit_bytes
from rowlock.processors import num_processors

__all__ = ["available_bytes", "cpu_quota", "instructions", "open_files_limit", "processor_facts", "processor_name"]

_WANTED: Final = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vbmi", "asimd", "sve", "sve2")
_CPUINFO = Path("/proc/cpuinfo")
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


def processor_name() -> str:
    """Return what the system calls the processor."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def instructions() -> list[str] | None:
    """Return which vector instructions there are; None where the system does not tell."""
    found = _cpuinfo()
    flags = found.get("flags") or found.get("features")
    return None if flags is None else [name for name in _WANTED if name in flags.split()]


def cpu_quota() -> float | None:
    """Return how many processors' time the control group allows, or None where it sets no limit."""
    try:
        limit, period = _CPU_MAX.read_text().split()
        return int(limit) / int(period)
    except (OSError, ValueError):  # no control group, or "max"
        return None


def available_bytes() -> int | None:
    """Return the memory that is free or can be made so, or None where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def open_files_limit() -> int | None:
    """Return how many files a process may have open, or None where there is no such limit."""
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def processor_facts() -> dict[str, object]:
    """Return everything above under its name."""
    return {
        "name": processor_name(),
        "instructions": instructions(),
        "num_processors": os.cpu_count(),
        "num_usable": num_processors(),
        "cpu_quota": cpu_quota(),
        "memory_limit_bytes": memory_limit_bytes(),
        "available_bytes": available_bytes(),
        "open_files_limit": open_files_limit(),
    }


def _cpuinfo() -> dict[str, str]:
    """Return the facts about the first processor."""
    try:
        text = _CPUINFO.read_text(errors="replace").split("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
