"""Which pictures and compressed rows can be decoded here, and by which library."""

from __future__ import annotations

import importlib.util
from typing import Final

from rowlock.machine.packages import installed

__all__ = ["codec_facts"]

_OF_PILLOW: Final = ("webp", "avif", "libtiff", "zlib")


def codec_facts() -> dict[str, str | None]:
    """Return the version of each decoder under its name; None where it is not there."""
    from PIL import features  # noqa: PLC0415 - loaded when somebody asks

    found: dict[str, str | None] = {
        "jpeg": f"simplejpeg {installed('simplejpeg')}",
        "jpeg (Pillow)": f"libjpeg-turbo {features.version('libjpeg_turbo') or 'of an unknown version'}",
    }
    found |= {name: features.version(name) for name in _OF_PILLOW}
    found["heic"] = f"pillow-heif {installed('pillow-heif')}" if importlib.util.find_spec("pillow_heif") else None
    return found | {"blosc2": _blosc(), "hdf5": _of("h5py")}


def _of(package: str) -> str | None:
    version = installed(package)
    return None if version is None else f"{package} {version}"


def _blosc() -> str | None:
    try:
        import blosc2  # noqa: PLC0415 - loaded when somebody asks
    except ImportError:
        return None
    return f"C-Blosc2 {str(blosc2.blosclib_version).split(' (')[0]}"
