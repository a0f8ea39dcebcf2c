"""What a file is, by its first bytes: the extension is never believed."""

from __future__ import annotations

from rowlock.errors import DecodeError

__all__ = ["JPEG_START", "KINDS", "kind_of"]

KINDS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic")
"""The formats that are decoded; every other decoder stays unloaded."""

JPEG_START = b"\xff\xd8\xff"

_STARTS = (
    (JPEG_START, "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
)
_BRANDS = {
    "avif": (b"avif", b"avis"),
    "heic": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
}
_OTHERS = (
    (b"<!doctype html", "an HTML page (often a saved error message of a web server)"),
    (b"<html", "an HTML page (often a saved error message of a web server)"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
    (b"{", "a JSON text (often a saved error message of a web server)"),
    (b"%pdf", "a PDF document"),
    (b"%!ps", "a PostScript document"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x93numpy", "a NumPy array"),
    (b"\x89hdf", "an HDF5 file"),
    (b"8bps", "a Photoshop document"),
    (b"\0\0\x01\0", "a Windows icon"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjxl ", "a JPEG XL picture"),
    (b"\0\0\0\x0cjp  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
)


def kind_of(data: bytes) -> str:
    """Return which of `KINDS` these bytes start like.

    Parameters
    ----------
    data : bytes
        A whole file.

    Raises
    ------
    DecodeError
        Nothing that is decoded here; the message says what it is instead, as far as that shows.
    """
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        for kind, brands in _BRANDS.items():
            if data[8:12] in brands:
                return kind
    raise DecodeError(f"the file is {_described(data)}, not a picture ({', '.join(KINDS)})", stage="decode")


def _described(data: bytes) -> str:
    if not data:
        return "empty (0 bytes)"
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for start, name in _OTHERS:
        if head.startswith(start):
            return name
    if data[4:8] == b"ftyp":
        return f"a video or another ISO media file (brand {data[8:12]!r})"
    if not any(data):
        return f"{len(data)} zero bytes (an interrupted copy or download)"
    return f"of an unknown kind ({len(data)} bytes that start with {data[:8].hex(' ')})"
