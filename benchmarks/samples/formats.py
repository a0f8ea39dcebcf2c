"""One picture in every format that is read."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from PIL import features

if TYPE_CHECKING:
    from PIL import Image


class Format(NamedTuple):
    """How Pillow, or pillow-heif, writes a picture."""

    kind: str
    extension: str
    mode: str
    options: dict[str, object]


FORMATS = {
    "JPEG": Format("JPEG", "jpg", "RGB", {"quality": 90}),
    "JPEG, progressive": Format("JPEG", "jpg", "RGB", {"quality": 90, "progressive": True}),
    "JPEG, grey": Format("JPEG", "jpg", "L", {"quality": 90}),
    "JPEG, CMYK": Format("JPEG", "jpg", "CMYK", {"quality": 90}),
    "PNG": Format("PNG", "png", "RGB", {}),
    "WebP": Format("WEBP", "webp", "RGB", {"quality": 90}),
    "WebP, lossless": Format("WEBP", "webp", "RGB", {"lossless": True}),
    "GIF": Format("GIF", "gif", "P", {}),
    "BMP": Format("BMP", "bmp", "RGB", {}),
    "TIFF": Format("TIFF", "tif", "RGB", {}),
    "TIFF, LZW": Format("TIFF", "tif", "RGB", {"compression": "tiff_lzw"}),
    "TIFF, Deflate": Format("TIFF", "tif", "RGB", {"compression": "tiff_adobe_deflate"}),
    "TIFF, JPEG": Format("TIFF", "tif", "RGB", {"compression": "jpeg", "quality": 90}),
    "AVIF": Format("AVIF", "avif", "RGB", {"quality": 85, "speed": 9}),
    "HEIC": Format("HEIC", "heic", "RGB", {"quality": 85}),
}


def available() -> dict[str, Format]:
    """Return those of `FORMATS` that can be written here."""
    missing = set() if features.check("avif") else {"AVIF"}
    if not importlib.util.find_spec("pillow_heif"):
        missing.add("HEIC")
    return {name: made for name, made in FORMATS.items() if name not in missing}


def encoded(image: Image.Image, made: Format) -> bytes:
    """Return the bytes of a file."""
    image = image.quantize(200) if made.mode == "P" else image.convert(made.mode)
    file = io.BytesIO()
    if made.kind == "HEIC":
        import pillow_heif

        pillow_heif.from_pillow(image).save(file, **made.options)
    else:
        image.save(file, made.kind, **made.options)
    return file.getvalue()


def bomb(image: Image.Image, name: str, side: int = 20_000) -> bytes:
    """Return a small file whose header promises ``side * side`` pixels."""
    made = FORMATS[name]
    data = bytearray(encoded(image.resize((64, 64)), made))
    if made.kind == "JPEG":
        frame = data.index(b"\xff\xc2" if "progressive" in made.options else b"\xff\xc0")
        struct.pack_into(">HH", data, frame + 5, side, side)
    elif made.kind == "PNG":
        return _png_bomb(side)
    elif made.kind == "WEBP":
        return _webp_bomb(bytes(data), side)
    elif made.kind == "GIF":
        struct.pack_into("<HH", data, 6, side, side)
    elif made.kind == "BMP":
        struct.pack_into("<ii", data, 18, side, side)
    elif made.kind == "TIFF":
        for tag in (256, 257):  # ImageWidth, ImageLength
            types = (struct.pack("<HHI", tag, size, 1) for size in (3, 4))  # SHORT or LONG
            at = max(data.find(entry) for entry in types)
            struct.pack_into("<I", data, at + 8, side)
    else:
        struct.pack_into(">II", data, data.index(b"ispe") + 8, side, side)
    return bytes(data)


def _png_bomb(side: int) -> bytes:
    """Return a PNG in which all pixels are: 400 million in 400 kB."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    packer = zlib.compressobj(9)
    rows = b"".join([*(packer.compress(bytes(side + 1)) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        parts += [struct.pack(">I4s", len(content), kind), content, struct.pack(">I", zlib.crc32(kind + content))]
    return b"".join(parts)


def _webp_bomb(data: bytes, side: int) -> bytes:
    """Return a WebP whose canvas is larger than one frame may be (16383 x 16383)."""
    canvas = (side - 1).to_bytes(3, "little") * 2
    chunks = b"VP8X" + struct.pack("<II", 10, 0) + canvas + data[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
