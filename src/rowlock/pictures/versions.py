"""Which decoders make the pixels: two versions may differ in a level, so `rowlock info` names them."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util

__all__ = ["RESIZE_VERSION", "versions"]

RESIZE_VERSION = 1
"""Raised whenever the resize gives other bytes."""


@functools.cache
def versions() -> str:
    """Return names and versions of everything between a file's bytes and the pixels of a batch."""
    from PIL import features  # noqa: PLC0415 - Pillow is loaded on first use

    found = [f"resize={RESIZE_VERSION}"]
    found += [f"{package}={importlib.metadata.version(package)}" for package in ("simplejpeg", "pillow")]
    found += [f"{library}={features.version(library)}" for library in ("webp", "libtiff", "zlib", "avif")]
    if importlib.util.find_spec("pillow_heif"):
        found.append(f"pillow-heif={importlib.metadata.version('pillow-heif')}")
    return " ".join(found)
