"""What happens to files: cut, overwritten in places, one bit turned, and things that never were pictures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def cuts(data: bytes, _other: bytes, number: int) -> Iterator[bytes]:
    """Cut off everywhere, and at each of the last twelve bytes."""
    points = {*np.linspace(1, len(data) - 1, number).astype(int).tolist(), *range(len(data) - 12, len(data))}
    return (data[:point] for point in sorted(points))


def zeroed(data: bytes, _other: bytes, number: int) -> Iterator[bytes]:
    """Overwrite a block with zeros: never written, a hole after a power failure."""
    return (data[:start] + bytes(stop - start) + data[stop:] for start, stop in _blocks(data, number))


def noised(data: bytes, _other: bytes, number: int) -> Iterator[bytes]:
    """Overwrite a block with noise, as of a broken disk."""
    rng = np.random.default_rng(1)
    return (data[:start] + rng.bytes(stop - start) + data[stop:] for start, stop in _blocks(data, number))


def mixed(data: bytes, other: bytes, number: int) -> Iterator[bytes]:
    """Overwrite a block with the same place of another file of the same format."""
    return (data[:start] + other[start:stop] + data[stop:] for start, stop in _blocks(data, number))


def flipped(data: bytes, _other: bytes, number: int) -> Iterator[bytes]:
    """One bit of one byte, anywhere."""
    rng = np.random.default_rng(2)
    for place, bit in zip(rng.integers(0, len(data), number), rng.integers(0, 8, number), strict=True):
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        yield bytes(damaged)


def _blocks(data: bytes, number: int) -> Iterator[tuple[int, int]]:
    """Blocks of 512 bytes, or a fifth of a short file, from its start to its end."""
    length = min(512, len(data) // 5)
    for start in np.linspace(0, len(data) - length, number).astype(int).tolist():
        yield start, start + length


KINDS = {"cut": cuts, "zeros": zeroed, "noise": noised, "another's": mixed, "bit flip": flipped}


def not_pictures(folder: Path) -> dict[str, Path]:
    """Make what is found among pictures, and return a path for each."""
    contents = {
        "HTML saved as .jpg": ("page.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>"),
        "JSON saved as .png": ("error.png", b'{"error": "access denied"}'),
        "XML saved as .jpg": ("denied.jpg", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"),
        "zero bytes long": ("empty.jpg", b""),
        "all bytes zero": ("zeros.jpg", bytes(4096)),
        "a video": ("clip.jpg", b"\0\0\0\x18ftypmp42" + bytes(100)),
        "a PDF": ("paper.jpg", b"%PDF-1.7\n" + bytes(100)),
        "text": ("notes.jpg", b"not a picture at all\n" * 20),
        "a JPEG's first 3 bytes": ("start.jpg", b"\xff\xd8\xff"),
    }
    paths = {name: folder / file for name, (file, _) in contents.items()}
    for name, (_, content) in contents.items():
        paths[name].write_bytes(content)
    paths["a folder"] = folder / "folder.jpg"
    paths["a folder"].mkdir()
    paths["a named pipe"] = folder / "pipe.jpg"
    os.mkfifo(paths["a named pipe"])
    paths["no such file"] = folder / "missing.jpg"
    paths["a link to nowhere"] = folder / "nowhere.jpg"
    paths["a link to nowhere"].symlink_to(folder / "gone.jpg")
    paths["a link to itself"] = folder / "loop.jpg"
    paths["a link to itself"].symlink_to("loop.jpg")
    return paths
