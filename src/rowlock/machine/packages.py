"""Installed packages that matter, without importing one; and which of them are too old or known to be bad."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Final, NamedTuple

__all__ = ["KNOWN_BAD", "NEEDED", "OPTIONAL", "KnownBad", "installed", "is_older", "version_warnings"]

NEEDED: Final = (
    "numpy", "numba", "llvmlite", "narwhals", "pyarrow", "tensorstore", "blosc2", "simplejpeg", "pillow", "rich",
    "typer",
)  # fmt: skip
OPTIONAL: Final = (
    "keras", "jax", "torch", "tensorflow", "tensorflow-cpu", "ray", "pandas", "polars", "h5py", "pillow-heif",
    "matplotlib", "tqdm", "scipy",
)  # fmt: skip


class KnownBad(NamedTuple):
    """A package that is bad before a version."""

    package: str
    fixed_in: str
    reason: str


KNOWN_BAD: Final = (
    KnownBad("pillow", "12.3.0", "damaged pictures can write outside of its memory (CVE-2026-59197 and others)"),
    KnownBad("pyarrow", "14.0.1", "a Parquet or Arrow file can run code (CVE-2023-47248)"),
    KnownBad("blosc2", "2.7.1", "crashes while it compresses (python-blosc2 issue 167)"),
)
"""From advisories and release notes; only what concerns files that Rowlock reads."""


def installed(package: str) -> str | None:
    """Return the version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_older(version: str, than: str) -> bool:
    """Whether a version comes before another; only numbers between dots count."""
    return _numbers(version) < _numbers(than)


def version_warnings() -> list[str]:
    """Return a line for each installed package that is known to be bad or older than Rowlock asks for."""
    found = [
        f"{bad.package} {version}: {bad.reason}; {bad.fixed_in} is right"
        for bad in KNOWN_BAD
        if (version := installed(bad.package)) is not None and is_older(version, bad.fixed_in)
    ]
    for package, least in _minimums().items():
        version = installed(package)
        if version is not None and is_older(version, least):
            found.append(f"{package} {version} is older than {least}, which Rowlock is made for")
    return found


def _minimums() -> dict[str, str]:
    try:
        wanted = metadata.requires("rowlock") or []
    except metadata.PackageNotFoundError:  # used from its source, without being installed
        wanted = []
    found = (re.match(r"([\w-]+)(?:\[[\w,]*\])?>=([\d.]+)", text) for text in wanted)
    return {match[1]: match[2] for match in found if match}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part)  # type: ignore[index]  # matches anything
