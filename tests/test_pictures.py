from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, features

from rowlock.errors import DecodeError
from rowlock.pictures import jpeg, kinds, limits
from rowlock.pictures.decode import decode
from rowlock.pictures.exif import orientation_in, upright
from rowlock.pictures.headers import size_in_header
from rowlock.pictures.other import decode_other

ORIENTATION = 0x0112
AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
HEIC = pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="pillow-heif is not installed")
MARKS = {"avif": AVIF, "heic": HEIC}


def pixels_of(data, num_channels=3, target=(10_000, 10_000), fit="stretch", max_pixels=limits.MAX_PIXELS):
    """Decode at full size: no JPEG is shrunk to a target that is larger than it."""
    return decode(data, num_channels, max_pixels, target, fit)


def encoded(image, kind, **options):
    file = io.BytesIO()
    if kind == "HEIC":
        import pillow_heif

        heif = pillow_heif.from_pillow(image)
        exif = options.pop("exif", None)
        if exif:  # the encoder makes a turn and a mirror of it, which decoders obey
            heif[0].info["exif"] = exif.tobytes()
        heif.save(file, **{"quality": 90, "chroma": 444, **options})
    else:
        image.save(file, kind, **options)
    return file.getvalue()


def noise(height=48, width=64, num_channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, num_channels), np.uint8)


def smooth(height=48, width=64):
    """A colour gradient: survives lossy coding within a few levels."""
    down, right = np.mgrid[0:height, 0:width]
    return np.stack((down * 255 // height, right * 255 // width, np.full_like(down, 90)), axis=2).astype(np.uint8)


def chunk(kind, content):
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


# what a file is


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "jpeg", "quality": 95}),
        pytest.param("AVIF", {"quality": 95}, marks=AVIF),
        pytest.param("HEIC", {}, marks=HEIC),
    ],
)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_every_kind_gives_its_colours(kind, options, num_channels):
    original = smooth()
    pixels = pixels_of(encoded(Image.fromarray(original), kind, **options), num_channels)
    expected = original if num_channels == 3 else np.asarray(Image.fromarray(original).convert("L"))[:, :, None]
    lossless = kind in ("PNG", "BMP") or options.get("lossless") or options.get("compression", "").startswith("tiff")
    assert pixels.shape == (48, 64, num_channels)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= (0 if lossless else 12)
    assert np.abs(pixels.astype(int) - expected).mean() <= (0 if lossless else 3)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><html>404", "HTML page"),
        (b"<HTML><body>", "HTML page"),
        (b"\xef\xbb\xbf<svg xmlns='x'>", "SVG"),
        (b'{"error": "not found"}', "JSON"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04aaaa", "ZIP"),
        (b"\0\0\0\x18ftypmp42aaaa", "video"),
        (b"\0" * 100, "100 zero bytes"),
        (b"8BPS\0\1", "Photoshop"),
        (b"hello world", "unknown kind"),
        (b"%!PS-Adobe-3.0 EPSF", "PostScript"),
    ],
)
def test_what_is_not_a_picture_is_named(content, words):
    with pytest.raises(DecodeError, match=words):
        pixels_of(content)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow remarks on broken TIFF directories
@given(st.binary(max_size=64))
def test_the_first_bytes_never_cause_another_error(data):
    for start in (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\0\0\0\0WEBP"):
        with pytest.raises(DecodeError):
            pixels_of(start + data)


def test_formats_that_are_not_allowed_are_not_decoded():
    for kind in ("PPM", "TGA", "PCX", "ICO"):
        data = encoded(Image.fromarray(noise(16, 16)), kind)
        with pytest.raises(DecodeError, match="not a picture"):
            pixels_of(data)
    assert set(kinds.KINDS) == {"jpeg", "png", "webp", "gif", "bmp", "tiff", "avif", "heic"}


# one documented result each


def test_grey_becomes_three_equal_channels():
    grey = noise(num_channels=1)[:, :, 0]
    assert (pixels_of(encoded(Image.fromarray(grey), "PNG")) == grey[:, :, None]).all()
    jpeg_pixels = pixels_of(encoded(Image.fromarray(smooth()[:, :, 0]), "JPEG", quality=95))
    assert (jpeg_pixels[:, :, 0] == jpeg_pixels[:, :, 2]).all()


def test_one_channel_is_luma():
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    for kind in ("PNG", "JPEG", "WEBP"):
        assert abs(int(pixels_of(encoded(Image.fromarray(flat), kind), 1)[8, 8, 0]) - 124) <= 3


@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (255, 0, 0), (20, 200, 90)])
def test_cmyk_jpegs_become_rgb_and_are_not_inverted(colour):
    image = Image.new("RGB", (32, 32), colour).convert("CMYK")
    pixels = pixels_of(encoded(image, "JPEG", quality=98))
    assert np.abs(pixels.astype(int) - colour).max() <= 3
    luma = np.asarray(Image.new("RGB", (1, 1), colour).convert("L"))[0, 0]
    assert abs(int(pixels_of(encoded(image, "JPEG", quality=98), 1)[9, 9, 0]) - int(luma)) <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(kind):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    pixels = pixels_of(encoded(Image.fromarray(levels), kind), 1)
    assert (pixels[:, :, 0] == np.arange(256).reshape(16, 16)).all()
    assert pixels_of(encoded(Image.fromarray(levels), kind), 3).shape == (16, 16, 3)


def test_sixteen_bit_rgb_is_scaled_and_not_clipped():
    levels = (np.arange(16 * 16 * 3, dtype=np.uint16) % 256 * 257).reshape(16, 16, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert (pixels_of(data) == levels // 257).all()


def test_thirty_two_bit_pixels_are_refused_with_a_way_out():
    for numbers in (np.zeros((4, 4), np.int32), np.zeros((4, 4), np.float32)):
        with pytest.raises(DecodeError, match="32-bit numbers.*8 or 16 bits"):
            pixels_of(encoded(Image.fromarray(numbers), "TIFF"))


def test_palettes_become_their_colours():
    for kind in ("PNG", "GIF", "BMP", "TIFF"):
        image = Image.fromarray(smooth(16, 16)).quantize(64)
        assert (pixels_of(encoded(image, kind)) == np.asarray(image.convert("RGB"))).all()


def test_one_bit_pictures_are_black_and_white():
    bits = noise(16, 16, 1)[:, :, 0] > 127
    for kind in ("PNG", "BMP", "TIFF"):
        assert (pixels_of(encoded(Image.fromarray(bits), kind)) == bits[:, :, None] * 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_dropped_and_the_colours_stay(kind):
    pixels = noise(16, 16, 4)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    assert (pixels_of(encoded(Image.fromarray(pixels), kind, **options)) == pixels[:, :, :3]).all()


def test_transparent_grey_and_palettes_keep_their_colours_without_a_warning():
    grey = noise(16, 16, 2)
    assert (pixels_of(encoded(Image.fromarray(grey, "LA"), "PNG"), 1)[:, :, 0] == grey[:, :, 0]).all()
    image = Image.fromarray(smooth(16, 16)).quantize(16)
    data = encoded(image, "PNG", transparency=bytes(range(0, 256, 16)))
    assert (pixels_of(data) == np.asarray(image.convert("RGB"))).all()
    assert pixels_of(data, 1).shape == (16, 16, 1)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (20, 10), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(pixels_of(data).astype(int) - (255, 0, 0)).max() <= 2


def test_bmp_rows_may_go_from_top_to_bottom():
    data = bytearray(encoded(Image.fromarray(noise(16, 16)), "BMP"))
    upside_down = pixels_of(bytes(data))[::-1]
    struct.pack_into("<i", data, 22, -16)
    assert (pixels_of(bytes(data)) == upside_down).all()


# orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=AVIF), pytest.param("HEIC", marks=HEIC)]
)
def test_pictures_are_turned_upright(kind, orientation):
    # quadrants of four colours, as the photographer saw them
    seen = np.repeat(np.repeat(np.array([[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 0]]]), 16, 0), 32, 1)
    seen = seen.astype(np.uint8)
    ways_back = [
        None,
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
    ]
    ways_back += [Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE]
    ways_back += [Image.Transpose.ROTATE_270]
    way_back = ways_back[orientation]
    stored = Image.fromarray(seen) if way_back is None else Image.fromarray(seen).transpose(way_back)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    pixels = pixels_of(encoded(stored, kind, exif=exif))
    assert pixels.shape == (32, 64, 3)
    assert np.abs(pixels[8::16, 16::32].astype(int) - seen[8::16, 16::32]).max() < 60
    assert pixels.flags.c_contiguous


def test_orientation_is_found_in_either_byte_order_and_anything_else_is_upright():
    for order, mark in (("<", b"II*\0"), (">", b"MM\0*")):
        directory = struct.pack(f"{order}H", 1) + struct.pack(f"{order}HHIHH", ORIENTATION, 3, 1, 6, 0)
        block = mark + struct.pack(f"{order}I", 8) + directory
        assert orientation_in(b"Exif\0\0" + block) == 6
        assert orientation_in(block) == 6
        assert orientation_in(block.replace(struct.pack(f"{order}H", 6), struct.pack(f"{order}H", 9))) == 1


@given(st.binary(max_size=200))
def test_a_damaged_exif_block_is_taken_as_upright_or_one_of_eight(data):
    for start in (b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert 1 <= orientation_in(start + data) <= 8


def test_orientations_are_those_of_pillow():
    from PIL import ImageOps

    pixels = noise(5, 7)
    for orientation in range(1, 9):
        image = Image.fromarray(pixels)
        image.getexif()[ORIENTATION] = orientation
        assert (upright(pixels, orientation) == np.asarray(ImageOps.exif_transpose(image))).all()


# the size of JPEGs


@pytest.mark.parametrize(
    ("target", "fit", "expected"),
    [
        ((400, 400), "stretch", (200, 320)),
        ((100, 160), "stretch", (100, 160)),
        ((101, 100), "stretch", (200, 320)),
        ((25, 40), "stretch", (25, 40)),
        ((1, 1), "stretch", (25, 40)),
        ((50, 50), "crop", (50, 80)),
        ((50, 50), "pad", (50, 80)),
        ((100, 100), "pad", (100, 160)),
        ((40, 40), "pad", (25, 40)),
    ],
)
def test_a_jpeg_shrinks_while_it_is_decoded_but_never_below_the_target(target, fit, expected):
    data = encoded(Image.fromarray(smooth(200, 320)), "JPEG")
    assert pixels_of(data, target=target, fit=fit).shape == (*expected, 3)


def test_a_turned_jpeg_shrinks_by_its_upright_size():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encoded(Image.fromarray(smooth(200, 320)), "JPEG", exif=exif)
    assert pixels_of(data, target=(160, 100)).shape == (160, 100, 3)
    assert pixels_of(data, target=(161, 100)).shape == (320, 200, 3)


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from((1, 2, 4, 8)), st.sampled_from((1, 3)))
def test_decoded_shapes_are_rounded_up(height, width, factor, num_channels):
    data = encoded(Image.fromarray(smooth(height, width)), "JPEG")
    header = jpeg.read_header(data)
    assert header[:2] == (height, width)
    assert jpeg.decode_jpeg(data, header, factor, num_channels).shape == (
        -(-height // factor),
        -(-width // factor),
        num_channels,
    )


def test_the_jpeg_header_agrees_with_libjpeg_turbo_and_finds_exif_behind_other_segments():
    exif = Image.Exif()
    exif[ORIENTATION] = 5
    image = Image.fromarray(smooth(33, 57))
    data = encoded(image, "JPEG", exif=exif, icc_profile=b"x" * 100_000, comment=b"c" * 5000, progressive=True)
    header = jpeg.read_header(data)
    assert header == (33, 57, 5, True)
    assert simplejpeg.decode_jpeg_header(data)[:2] == (33, 57)
    moved = data[:2] + b"\xff\xfe\x00\x04\xff\xd8" + b"\xff\xff\xff" + data[2:]  # a comment, and fill bytes
    assert jpeg.read_header(moved.replace(b"\xff\xff\xff\xff", b"\xff\xff", 1)) == header


def test_bytes_after_the_end_of_a_jpeg_do_no_harm():
    data = encoded(Image.fromarray(smooth()), "JPEG")
    assert (pixels_of(data + b"trailing" * 99) == pixels_of(data)).all()


def test_jpegs_that_simplejpeg_cannot_name_would_go_to_pillow():
    original = smooth()
    data = encoded(Image.fromarray(original), "JPEG", quality=95)
    assert np.abs(decode_other(data, "jpeg", 3, limits.MAX_PIXELS).astype(int) - original).mean() < 3


# truncated and corrupt


@pytest.fixture(params=[False, True], ids=["strict Pillow", "relaxed Pillow"])
def relaxed(request, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    return request.param


FILES = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 90}),
    "webp lossless": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "tiff jpeg": ("TIFF", {"compression": "jpeg"}),
    "avif": ("AVIF", {}),
    "heic": ("HEIC", {}),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow remarks on cut TIFF directories and raises later
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in FILES])
def test_no_cut_is_silent(name, relaxed):
    kind, options = FILES[name]
    data = encoded(Image.fromarray(noise()), kind, **options)
    whole = pixels_of(data)
    silent = []
    for cut in sorted({*np.linspace(1, len(data) - 1, 150).astype(int), *range(len(data) - 12, len(data))}):
        try:
            pixels = pixels_of(data[:cut])
        except DecodeError:
            continue
        if not np.array_equal(pixels, whole):
            silent.append(int(cut))
    assert silent == []


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_every_cut_is_an_error_even_when_only_the_end_marker_is_missing(kind, relaxed):
    data = encoded(Image.fromarray(noise()), kind)
    for cut in (1, 2, 3, 4, 8, 11, 12):
        with pytest.raises(DecodeError, match="truncated|corrupt"):
            pixels_of(data[:-cut])


def test_every_flipped_bit_of_a_png_is_an_error(relaxed):
    data = encoded(Image.fromarray(noise(16, 16)), "PNG")
    for position in np.linspace(8, len(data) - 1, 200).astype(int):
        damaged = bytearray(data)
        damaged[position] ^= 1 << int(position) % 8
        with pytest.raises(DecodeError):
            pixels_of(bytes(damaged))


def deflated_tiff(strip, tags):
    """A grey TIFF of 32 x 32 pixels, all in one strip or tile behind the directory."""
    entries = {256: 32, 257: 32, 258: 8, 259: 8, 262: 1, 277: 1, **tags}
    start = 8 + 2 + 12 * len(entries) + 4
    values = {tag: {"offset": start, "length": len(strip)}.get(value, value) for tag, value in entries.items()}
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + directory + bytes(4) + strip


@pytest.mark.parametrize(
    "tags", [{273: "offset", 278: 32, 279: "length"}, {322: 32, 323: 32, 324: "offset", 325: "length"}]
)
def test_a_wrong_checksum_of_a_deflated_tiff_is_an_error_even_behind_the_last_pixel(relaxed, tags):
    grey = noise(32, 32, 1)
    strip = zlib.compress(grey.tobytes() + bytes(100))  # libtiff stops when it has all rows
    assert (pixels_of(deflated_tiff(strip, tags), 1) == grey).all()
    with pytest.raises(DecodeError, match="TIFF is truncated or corrupt.*incorrect data check"):
        pixels_of(deflated_tiff(strip[:-1] + bytes([strip[-1] ^ 1]), tags), 1)


def test_a_deflated_tiff_that_never_ends_is_given_up():
    packer = zlib.compressobj(9)
    strip = b"".join([packer.compress(bytes(1 << 20)) for _ in range(400)]) + packer.flush()
    with pytest.raises(DecodeError, match="inflates to far more"):
        pixels_of(deflated_tiff(strip, {273: "offset", 278: 32, 279: "length"}), 1)


def test_holes_in_a_deflated_tiff_are_errors(relaxed):
    data = encoded(Image.fromarray(smooth(96, 96) // 16 * 16 + noise(96, 96) // 64), "TIFF", compression="tiff_deflate")
    for start in range(8, len(data) - 700, 300):
        with pytest.raises(DecodeError):
            pixels_of(data[:start] + bytes(300) + data[start + 300 :])


@pytest.mark.parametrize("interlaced", [0, 1])
def test_a_png_whose_compressed_rows_end_too_early_is_an_error(relaxed, interlaced):
    rows = b"".join(b"\0" + row.tobytes() for row in noise(16, 16))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, interlaced))
    body = chunk(b"IDAT", zlib.compress(rows[:300]))  # all checksums are right
    with pytest.raises(DecodeError):
        pixels_of(b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b""))


def test_an_interlaced_png_is_whole(relaxed):
    # one pass is enough for a picture of one pixel; all seven for a larger one, made of equal pixels
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    sizes = [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8)]
    rows = b"".join((b"\0" + b"\x7b" * width) * height for height, width in sizes)
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert (pixels_of(data) == 0x7B).all()


def test_a_gif_with_damaged_codes_is_an_error_or_unchanged_colours_only(relaxed):
    data = encoded(Image.fromarray(noise(32, 32)).quantize(200), "GIF")
    results = []
    for position in range(len(data) - 500, len(data) - 20, 7):
        damaged = data[:position] + b"\xff\xff\xff\xff" + data[position + 4 :]
        try:
            results.append(pixels_of(damaged).tobytes())
        except DecodeError:
            results.append(None)
    relaxed_now, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        for position, result in zip(range(len(data) - 500, len(data) - 20, 7), results, strict=True):
            damaged = data[:position] + b"\xff\xff\xff\xff" + data[position + 4 :]
            try:
                assert pixels_of(damaged).tobytes() == result
            except DecodeError:
                assert result is None
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = relaxed_now


def test_pillows_settings_are_left_alone(relaxed):
    for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP"):
        pixels_of(encoded(Image.fromarray(noise(8, 8)), kind))
    assert ImageFile.LOAD_TRUNCATED_IMAGES is relaxed
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_the_middle_of_a_jpeg_replaced_is_an_error_of_the_decoder_or_its_warning():
    data = bytearray(encoded(Image.fromarray(noise(200, 200)), "JPEG", quality=95))
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff\xd5" * 200
    with pytest.raises(DecodeError, match="truncated or corrupt"):
        pixels_of(bytes(data))


# limits


def png_header(height, width):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def test_the_limit_names_both_numbers_and_the_argument():
    data = encoded(Image.fromarray(noise(20, 30)), "JPEG")
    with pytest.raises(DecodeError, match=r"30 x 20 = 600 pixels.*max_pixels=599"):
        pixels_of(data, max_pixels=599)
    assert pixels_of(data, max_pixels=600).shape == (20, 30, 3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        pytest.param("AVIF", {}, marks=AVIF),
        pytest.param("HEIC", {}, marks=HEIC),
    ],
)
def test_every_kind_is_checked_before_it_is_decoded(kind, options):
    data = encoded(Image.fromarray(noise(20, 30)), kind, **options)
    with pytest.raises(DecodeError, match="30 x 20 = 600 pixels"):
        pixels_of(data, max_pixels=599)
    assert size_in_header(data, kind.lower()) in (None, (20, 30))


def test_pictures_beyond_pillows_own_limit_are_decoded_where_allowed_without_a_warning():
    rows = zlib.compress(bytes(12_001) * 8000, 1)  # 96 megapixels: Pillow warns from 89 on
    data = png_header(8000, 12_000) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert pixels_of(data, 1).shape == (8000, 12_000, 1)


BOMB = """
import sys
from rowlock.errors import DecodeError
from rowlock.pictures.decode import decode
def peak():  # KiB; not ru_maxrss, which a child inherits from the process that starts it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
data = open(sys.argv[1], "rb").read()
try:
    decode(b"", 3, 1, (1, 1), "stretch")
except DecodeError:
    pass
before = peak()
try:
    decode(data, 3, 178_956_970, (150, 150), "stretch")
except DecodeError as error:
    print(peak() - before, error)
"""


def bombs():
    rows = zlib.compress(bytes(20_001) * 20_000)
    yield "png", png_header(20_000, 20_000) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    vast = bytearray(encoded(Image.fromarray(smooth(16, 16)), "JPEG"))
    frame = vast.index(b"\xff\xc0")
    struct.pack_into(">HH", vast, frame + 5, 65_500, 65_500)
    yield "jpeg", bytes(vast)
    webp = bytearray(encoded(Image.fromarray(noise(8, 8)), "WEBP", lossless=True))
    struct.pack_into("<I", webp, 21, (16_383 - 1) | (16_383 - 1) << 14)
    yield "webp", bytes(webp)
    gif = bytearray(encoded(Image.fromarray(noise(8, 8)), "GIF"))
    struct.pack_into("<HH", gif, 6, 65_500, 65_500)
    yield "gif", bytes(gif)
    bmp = bytearray(encoded(Image.fromarray(noise(8, 8)), "BMP"))
    struct.pack_into("<ii", bmp, 18, 20_000, -20_000)
    yield "bmp", bytes(bmp)
    tiff = encoded(Image.fromarray(noise(8, 8)), "TIFF")
    for tag in (256, 257):  # width and height, 16 bits each
        tiff = tiff.replace(struct.pack("<HHIH", tag, 4, 1, 8), struct.pack("<HHIH", tag, 4, 1, 20_000))
    yield "tiff", tiff
    for kind in ("avif", "heic"):
        if not MARKS[kind].args[0]:  # the reason to skip it
            box = bytearray(encoded(Image.fromarray(noise(64, 64)), kind.upper()))
            struct.pack_into(">II", box, box.index(b"ispe") + 8, 20_000, 20_000)
            yield kind, bytes(box)


@pytest.mark.parametrize(("kind", "data"), list(bombs()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_bomb_is_refused_by_its_header_and_costs_no_memory(tmp_path, kind, data):
    path = tmp_path / f"bomb.{kind}"
    path.write_bytes(data)
    run = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True, check=True)
    grown, message = run.stdout.split(" ", 1)
    assert "max_pixels=178,956,970" in message
    assert int(grown) * (1 if sys.platform == "darwin" else 1024) < 50 << 20


def test_a_progressive_jpeg_of_many_scans_is_refused():
    data = encoded(Image.fromarray(smooth(16, 16)), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    with pytest.raises(DecodeError, match="1001 scans"):
        pixels_of(data[:first] + b"\xff\xda\x00\x08" * 1001)


def test_a_gif_frame_larger_than_its_screen_is_refused():
    data = bytearray(encoded(Image.fromarray(noise(8, 8)).quantize(8), "GIF"))
    struct.pack_into("<HH", data, data.index(b",\0\0\0\0\x08\0\x08\0") + 5, 60_000, 60_000)
    with pytest.raises(DecodeError):
        pixels_of(bytes(data))


# from one picture to the next


def test_a_failed_picture_leaves_no_trace_in_the_next():
    good, other = (encoded(Image.fromarray(noise(seed=seed)), "JPEG", quality=95) for seed in (1, 2))
    expected = pixels_of(good)
    for _ in range(50):
        with pytest.raises(DecodeError):
            pixels_of(other[: len(other) // 2])
        assert (pixels_of(good) == expected).all()


@HEIC
def test_heic_is_grey_transparent_or_of_ten_bits():
    grey = smooth()[:, :, 1]
    assert np.abs(pixels_of(encoded(Image.fromarray(grey), "HEIC"), 1)[:, :, 0].astype(int) - grey).max() <= 3
    clear = Image.merge("RGBA", [*Image.fromarray(smooth()).split(), Image.new("L", (64, 48), 0)])
    assert np.abs(pixels_of(encoded(clear, "HEIC")).astype(int) - smooth()).mean() <= 3
    levels = (np.arange(64 * 64, dtype=np.uint16) * 16).reshape(64, 64)
    pixels = pixels_of(encoded(Image.fromarray(levels), "HEIC"), 1)[:, :, 0]
    assert np.abs(pixels.astype(int) - (levels >> 8)).max() <= 4


@HEIC
def test_of_several_pictures_of_a_heic_the_primary_is_taken():
    import pillow_heif

    file = io.BytesIO()
    heif = pillow_heif.HeifFile()
    for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)):
        heif.add_from_pillow(Image.new("RGB", (64, 48), colour))
    heif.save(file, primary_index=1)
    assert np.abs(pixels_of(file.getvalue()).astype(int) - (0, 255, 0)).max() <= 4


@AVIF
def test_an_avif_that_is_too_large_is_not_called_damaged_and_one_without_a_size_is():
    data = encoded(Image.fromarray(noise(64, 64)), "AVIF")
    vast = bytearray(data)
    struct.pack_into(">II", vast, vast.index(b"ispe") + 8, 40_000, 40_000)  # beyond libavif's own limit too
    with pytest.raises(DecodeError, match=r"40000 x 40000 = 1,600,000,000 pixels.*max_pixels"):
        pixels_of(bytes(vast))
    assert size_in_header(data, "avif") == (64, 64)
    for name in (b"meta", b"iprp", b"ipco", b"ispe"):
        nameless = data.replace(name, b"none")
        assert size_in_header(nameless, "avif") is None
        with pytest.raises(DecodeError, match="corrupt"):
            pixels_of(nameless)


@given(st.binary(max_size=200))
def test_damaged_boxes_of_an_avif_have_no_size_or_some(data):
    start = struct.pack(">I4sI4sI4s", 8, b"ftyp", 200, b"meta", 0, b"\0\0\0\x90")
    found = size_in_header(start + b"iprp" + struct.pack(">I4s", 100, b"ipco") + data, "avif")
    assert found is None or len(found) == 2


@pytest.mark.parametrize("num_channels", [1, 3])
def test_lab_tiffs_become_rgb_or_grey(num_channels):
    data = encoded(Image.new("LAB", (8, 8), (128, 128, 128)), "TIFF")
    assert pixels_of(data, num_channels).shape == (8, 8, num_channels)


def test_heic_without_its_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(DecodeError, match="pip install pillow-heif"):
        pixels_of(b"\0\0\0\x18ftypheic" + b"\0" * 64)
