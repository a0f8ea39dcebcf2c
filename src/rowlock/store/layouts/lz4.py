"""The address of an LZ4 decoder that compiled loops can call, where this machine has one.

``LZ4_decompress_safe`` is part of the C library of the blosc2 package, which does not promise it. It is found
by name, tried on a known block, and not used where it is not as expected: `rowlock.store.layouts.packed` then decodes
row by row through ``blosc2.decompress2``, which is public, and slower.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["decode_chunk", "lz4_decoder"]

_NAME = "LZ4_decompress_safe"
_LIBRARIES = ("lib*/libblosc2.so*", "lib*/libblosc2*.dylib", "blosc2_ext*.so", "lib*/*blosc2*.dll")
_BLOCK = bytes.fromhex("1f61010007506161616161")
_DECODED = b"a" * 32

_kept: list[Any] = []  # libraries must not be unloaded while somebody has an address


@cache
def lz4_decoder() -> int:
    """Return the address of ``LZ4_decompress_safe(source, target, source size, target size)``; 0 if there is none.

    It never reads or writes outside of what it is given, whatever the source holds.
    """
    for path in _libraries():
        try:
            library = ctypes.CDLL(str(path))
            function = getattr(library, _NAME)
        except (OSError, AttributeError):
            continue
        function.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]
        function.restype = ctypes.c_int
        target = ctypes.create_string_buffer(len(_DECODED))
        if function(_BLOCK, target, len(_BLOCK), len(_DECODED)) == len(_DECODED) and target.raw == _DECODED:
            _kept.append(library)
            return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


def decode_chunk(chunk: bytes) -> bytes:
    """Return what a Blosc chunk holds; raises `RuntimeError` or `ValueError` if it is damaged."""
    import blosc2  # noqa: PLC0415 - large, and seldom needed

    decoded: bytes = blosc2.decompress2(chunk)
    return decoded


def _libraries() -> Iterator[Path]:
    spec = importlib.util.find_spec("blosc2")
    for folder in spec.submodule_search_locations or () if spec else ():
        for pattern in _LIBRARIES:
            yield from sorted(Path(folder).glob(pattern))
