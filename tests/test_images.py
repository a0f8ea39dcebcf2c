from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from rowlock.errors import ConfigError, DecodeError, RowError
from rowlock.inputs.images import Images
from rowlock.table import Table

PHOTOGRAPHS = Path(__file__).parents[1] / ".." / "shared" / "data" / "cats-dogs"


def number_picture(number, size=(48, 64)):
    """Blocks of black and white that spell the number: it survives JPEG and resizing."""
    bits = np.array([number >> bit & 1 for bit in range(12)], np.uint8).reshape(3, 4) * 255
    grey = np.kron(bits, np.ones((size[0] // 3, size[1] // 4), np.uint8))
    return Image.fromarray(np.repeat(grey[:, :, None], 3, axis=2))


def number_in(pixels):
    height, width = pixels.shape[:2]
    centres = pixels[height // 6 :: height // 3, width // 8 :: width // 4].mean(axis=2)
    return int(((centres.reshape(-1) > 127) << np.arange(12)).sum())


@pytest.fixture
def numbered(tmp_path):
    """A frame of 60 files of five kinds, each of which shows the number of its row."""
    paths = []
    for number in range(60):
        kind = ("jpg", "png", "webp", "bmp", "gif")[number % 5]
        path = tmp_path / f"{number}.{kind}"
        number_picture(number, (48 + 3 * (number % 7), 64 + 4 * (number % 11))).save(path)
        paths.append(str(path))
    return pd.DataFrame({"imgpath": paths})


def opened(frame, **settings):
    settings = {"size": (24, 32), **settings}
    return Images("imgpath", **settings).open(Table(frame), "image")


def gathered(reader, rows):
    rows = np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    reader.gather(rows, out, None)
    return out


def one_file(path):
    return pd.DataFrame({"imgpath": [str(path)]})


# rows


def test_every_row_shows_its_own_number_in_any_order_and_repeated(numbered, rng):
    reader = opened(numbered)
    rows = rng.integers(0, 60, 200)
    out = gathered(reader, rows)
    assert out.shape == (200, 24, 32, 3)
    assert out.dtype == np.uint8
    assert [number_in(pixels) for pixels in out] == rows.tolist()


def test_many_threads_gather_the_same_bytes(numbered, rng):
    reader = opened(numbered)
    expected = gathered(reader, np.arange(60))
    orders = [rng.permutation(60) for _ in range(24)]
    with ThreadPoolExecutor(4) as pool:
        for rows, out in zip(orders, pool.map(lambda rows: gathered(reader, rows), orders), strict=True):
            assert (out == expected[rows]).all()


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("settings", [{}, {"channels": 1}, {"dtype": "float32"}])
def test_every_byte_of_the_batch_is_written(numbered, resize, settings):
    reader = opened(numbered, resize=resize, size=(33, 19), **settings)
    outs = [reader.spec.empty(60) for _ in range(2)]
    for out, poison in zip(outs, (0xA5, 0x5A), strict=True):
        out.view(np.uint8)[...] = poison
        reader.gather(np.arange(60), out, None)
    assert outs[0].tobytes() == outs[1].tobytes()


def test_frames_of_all_libraries_and_text_types_are_alike(numbered):
    expected = gathered(opened(numbered), [3, 59, 0])
    paths = numbered["imgpath"].to_list()
    frames = [
        pl.DataFrame({"imgpath": paths}),
        pl.DataFrame({"imgpath": pl.Series(paths, dtype=pl.Categorical)}),
        pa.table({"imgpath": pa.chunked_array([paths[:7], paths[7:]])}),
        pa.table({"imgpath": pa.array(paths, pa.large_string())}),
        pa.table({"imgpath": pa.array(paths, pa.string_view())}),
        pa.table({"imgpath": paths}).slice(0),
        numbered.astype("category"),
        numbered.astype(object),
        numbered.astype("string[pyarrow]"),
        numbered.set_index(np.arange(60)[::-1]),
    ]
    for frame in frames:
        assert (gathered(opened(frame), [3, 59, 0]) == expected).all()


def test_a_slice_of_a_frame_has_the_rows_of_the_slice(numbered):
    table = pa.table({"imgpath": numbered["imgpath"].to_list()}).slice(20, 10)
    assert [number_in(pixels) for pixels in gathered(opened(table), [0, 9])] == [20, 29]
    assert number_in(gathered(opened(numbered[::-1]), [0])[0]) == 59


@pytest.mark.parametrize("row", [-1, 60])
def test_rows_that_do_not_exist_are_refused(numbered, row):
    with pytest.raises(ConfigError, match=f"row {row} does not exist"):
        gathered(opened(numbered), [0, row])


def test_nothing_is_gathered_for_no_rows(numbered):
    assert gathered(opened(numbered), []).shape == (0, 24, 32, 3)


# numbers


def test_float_pictures_are_the_byte_pictures_times_scale(numbered):
    whole = gathered(opened(numbered), np.arange(60))
    floats = gathered(opened(numbered, dtype="float32"), np.arange(60))
    assert floats.dtype == np.float32
    assert (floats == whole).all()
    scaled = gathered(opened(numbered, dtype=np.float32, scale=1 / 255), np.arange(60))
    assert (scaled == whole * np.float32(1 / 255)).all()


def test_grey_pictures_have_one_channel(numbered):
    out = gathered(opened(numbered, channels=1), np.arange(60))
    assert out.shape == (60, 24, 32, 1)
    assert [number_in(pixels) for pixels in out] == list(range(60))


def test_photographs_are_close_to_a_full_decode_with_an_antialiased_resize():
    if not PHOTOGRAPHS.is_dir():
        pytest.skip("no photographs beside the project (../shared/data/cats-dogs)")
    paths = sorted(PHOTOGRAPHS.glob("*.jpg"))[::40]
    frame = pd.DataFrame({"imgpath": list(map(str, paths))})
    out = gathered(opened(frame, size=(150, 150)), np.arange(len(paths)))
    decibels = []
    for path, pixels in zip(paths, out, strict=True):
        full = Image.open(path).convert("RGB").resize((150, 150), Image.Resampling.BILINEAR)
        error = (np.asarray(full, float) - pixels) ** 2
        decibels.append(10 * np.log10(255**2 / error.mean()))
    assert np.median(decibels) > 41  # as far apart as two antialiased filters are
    assert min(decibels) > 27


def test_fingerprints_differ_where_pixels_may(numbered):
    settings = [{}, {"size": (24, 33)}, {"channels": 1}, {"dtype": "float32"}, {"resize": "pad"}]
    texts = [opened(numbered, **setting).fingerprint for setting in settings]
    assert len(set(texts)) == len(settings)
    assert texts[0] == opened(numbered).fingerprint
    assert texts[0] == opened(pa.table(numbered)).fingerprint
    assert texts[0] != opened(numbered[::-1]).fingerprint


# paths


def test_relative_paths_start_from_the_folder_where_the_dataset_was_made(numbered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"imgpath": [Path(path).name for path in numbered["imgpath"]]})
    reader = opened(frame)
    monkeypatch.chdir("/")
    assert number_in(gathered(reader, [41])[0]) == 41


def test_relative_paths_start_from_root_and_absolute_ones_inside_of_it_are_fine(numbered, tmp_path):
    names = [Path(path).name for path in numbered["imgpath"]]
    frame = pd.DataFrame({"imgpath": [names[0], numbered["imgpath"][1], f"./{names[2]}"]})
    for root in (tmp_path, str(tmp_path), f"{tmp_path}/", tmp_path / "sub" / ".."):
        (tmp_path / "sub").mkdir(exist_ok=True)
        assert [number_in(pixels) for pixels in gathered(opened(frame, root=root), [0, 1, 2])] == [0, 1, 2]


@pytest.mark.parametrize("path", ["../x.png", "a/../../x.png", "..", "/etc/passwd", "a/.."])
def test_paths_that_leave_root_are_refused_with_their_rows_before_anything_is_read(tmp_path, path):
    frame = pd.DataFrame({"imgpath": ["a..b.png", "..c/d", path, "fine.png", path]})
    with pytest.raises(ConfigError, match=r"2 rows \(2, 4\) of column 'imgpath' leave root="):
        opened(frame, root=tmp_path)


def test_a_folder_whose_name_begins_like_root_is_outside(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(ConfigError, match="leave root="):
        opened(one_file(tmp_path / "data2" / "x.png"), root=tmp_path / "data")


def test_links_that_leave_root_are_refused_with_their_row(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    number_picture(5).save(outside / "secret.png")
    number_picture(6).save(root / "inside.png")
    (root / "file.png").symlink_to(outside / "secret.png")
    (root / "folder").symlink_to(outside)
    (root / "good.png").symlink_to(root / "inside.png")
    reader = opened(pd.DataFrame({"imgpath": ["good.png", "file.png", "folder/secret.png"]}), root=root)
    assert number_in(gathered(reader, [0])[0]) == 6
    for row in (1, 2):
        with pytest.raises(RowError, match="a link leads out of root") as caught:
            gathered(reader, [0, row])
        assert caught.value.row == row
        assert caught.value.stage == "read"
    assert number_in(gathered(opened(one_file(root / "file.png")), [0])[0]) == 5  # without root: anywhere


def test_root_may_itself_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    number_picture(9).save(tmp_path / "real" / "x.png")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for path in ("x.png", str(tmp_path / "link" / "x.png"), str(tmp_path / "real" / "x.png")):
        assert number_in(gathered(opened(one_file(path), root=tmp_path / "link"), [0])[0]) == 9


def test_a_root_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is not a directory"):
        opened(one_file("x.png"), root=tmp_path / "nowhere")


ODD_NAMES = [
    " ",
    "a b",
    "-x",
    "new\nline",
    "\U0001f408",
    "e\u0301",
    "\u00e9",
    "a\\b",
    "%41",
    "x" * 250,
    "'\"`$",
    "\ttab",
]


def test_odd_file_names_work(tmp_path):
    for number, name in enumerate(ODD_NAMES):
        number_picture(number).save(tmp_path / name, "PNG")
    frame = pd.DataFrame({"imgpath": ODD_NAMES})
    out = gathered(opened(frame, root=tmp_path), np.arange(len(ODD_NAMES)))
    assert [number_in(pixels) for pixels in out] == list(range(len(ODD_NAMES)))


def test_file_names_that_are_not_utf8_work(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        number_picture(7).save(tmp_path / name, "PNG")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    frame = pd.DataFrame({"imgpath": pd.Series(["gone.png", name], dtype=object)})
    reader = opened(frame, root=tmp_path)
    assert number_in(gathered(reader, [1])[0]) == 7


@pytest.mark.parametrize("frame_type", [pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_without_a_path_are_refused_at_once_and_listed(frame_type):
    with pytest.raises(ConfigError, match=r"2 rows \(1, 2\) of column 'imgpath' have no path"):
        opened(frame_type({"imgpath": ["a.png", None, "", "b.png"]}))
    with pytest.raises(ConfigError, match=r"7 rows \(0, 1, 2, 3, 4, ...\)"):
        opened(frame_type({"imgpath": [""] * 7}))


def test_a_nul_in_a_path_is_refused_at_once():
    with pytest.raises(ConfigError, match=r"1 row \(2\) of column 'imgpath' have a NUL"):
        opened(pd.DataFrame({"imgpath": ["a", "b", "c\0d", "e"]}))


@pytest.mark.parametrize("values", [[1, 2], [1.5, 2.5], [True, False], [["a.png"], ["b.png"]]])
def test_a_column_that_is_not_text_is_refused(values):
    with pytest.raises(ConfigError, match="must hold paths as text"):
        opened(pd.DataFrame({"imgpath": values}))


def test_a_column_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'imgpath'"):
        Images("impath", size=(8, 8)).open(Table(one_file("x")), "image")


def test_paths_do_not_cost_a_python_object_a_row(numbered):
    reader = opened(numbered)
    assert reader._paths.array.type == pa.large_binary()
    assert reader._paths.take(np.array([2, 0])) == [os.fsencode(numbered["imgpath"][row]) for row in (2, 0)]


# files


def failing(frame, row=0, **settings):
    with pytest.raises(RowError) as caught:
        gathered(opened(frame, **settings), [row])
    assert caught.value.row == row
    assert caught.value.path == str(Path.cwd() / frame["imgpath"][row])
    return caught.value


def test_a_file_is_judged_by_its_content_and_not_by_its_name(tmp_path):
    path = tmp_path / "photo.jpg"
    number_picture(77).save(path, "PNG")
    assert number_in(gathered(opened(one_file(path)), [0])[0]) == 77
    path.write_bytes(b"<!DOCTYPE html><title>Not found</title>")
    error = failing(one_file(path))
    assert isinstance(error, DecodeError)
    assert "an HTML page" in str(error)
    assert error.stage == "decode"


def test_a_file_that_cannot_be_read_is_an_error_of_its_row(tmp_path):
    (tmp_path / "empty.png").touch()
    assert "empty (0 bytes)" in str(failing(one_file(tmp_path / "empty.png")))
    (tmp_path / "folder.png").mkdir()
    assert "it is a directory" in str(failing(one_file(tmp_path / "folder.png")))
    missing = failing(one_file(tmp_path / "missing.png"))
    assert "there is no such file" in str(missing)
    assert missing.stage == "read"
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert "errno" in str(failing(one_file(tmp_path / "loop.png")))
    assert "errno" in str(failing(one_file(tmp_path / ("x" * 300))))
    (tmp_path / "file").touch()
    assert "errno" in str(failing(one_file(tmp_path / "file" / "x.png")))


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "a named pipe" in str(failing(one_file(tmp_path / "pipe.jpg")))
    opened(one_file(tmp_path / "pipe.jpg")).will_need(np.array([0]))


def test_a_file_that_may_not_be_read_is_an_error_of_its_row(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = tmp_path / "x.png"
    number_picture(1).save(path)
    path.chmod(0)
    assert "may not read" in str(failing(one_file(path)))


def test_a_file_far_larger_than_a_picture_of_max_pixels_is_not_read(tmp_path):
    path = tmp_path / "vast.png"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: it takes no space
    assert "it was not read" in str(failing(one_file(path)))


def test_the_first_bad_row_in_the_order_asked_for_is_named_and_the_others_stay_readable(numbered):
    reader = opened(numbered)
    for row in (7, 31):
        with Path(numbered["imgpath"][row]).open("r+b") as file:
            file.truncate(60)
    with pytest.raises(DecodeError, match="truncated|corrupt") as caught:
        gathered(reader, [3, 31, 7, 4])
    assert caught.value.row == 31
    good = [row for row in range(60) if row not in (7, 31)]
    assert [number_in(pixels) for pixels in gathered(reader, good)] == good


def test_a_picture_of_more_than_max_pixels_is_an_error_of_its_row(numbered):
    assert "max_pixels=100" in str(failing(numbered, max_pixels=100))


def test_files_are_closed(numbered):
    reader = opened(numbered)
    gathered(reader, np.arange(60))
    reader.will_need(np.arange(60))
    for _ in range(5):
        gathered(reader, np.arange(60))
        reader.will_need(np.arange(60))
        failing(one_file("nowhere.png"))
    files = {os.path.realpath(path) for path in numbered["imgpath"]}
    assert not files & {os.path.realpath(link) for link in Path("/dev/fd").iterdir()}


def test_advice_about_files_that_are_not_there_is_no_error(tmp_path):
    opened(one_file(tmp_path / "missing.png")).will_need(np.array([0, 0]))
    opened(one_file(tmp_path)).will_need(np.array([0]))


def drop_from_memory(path):
    """Let the system forget the file, as far as it does."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def says_what_is_in_memory(path):
    with path.open("rb") as file:
        try:
            return os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except OSError:
            return False


@pytest.mark.parametrize("num_cold", [0, 1, 20])
def test_files_are_told_to_the_disk_unless_the_first_few_are_in_memory(tmp_path, monkeypatch, num_cold):
    paths = [tmp_path / f"{number}.jpg" for number in range(20)]
    for path in paths:
        path.write_bytes(bytes(20_000))
        path.read_bytes()
    if not says_what_is_in_memory(paths[0]):
        pytest.skip("this file system does not say what is in memory")
    for path in paths[:num_cold]:
        drop_from_memory(path)
    told, in_memory = set(), set()
    inodes = [path.stat().st_ino for path in paths]

    def preadv(descriptor, buffers, start, flags):
        # a fast disk brings a cold file while it is asked for: that one is in memory then
        num_bytes = real_preadv(descriptor, buffers, start, flags)
        note(in_memory, descriptor)
        return num_bytes

    def note(where, descriptor):
        where.update({os.fstat(descriptor).st_ino}.intersection(inodes))  # threads of other tests may ask of theirs

    real_preadv = os.preadv
    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", lambda descriptor, *_: note(told, descriptor))
    opened(pd.DataFrame({"imgpath": [str(path) for path in paths]})).will_need(np.arange(20))
    assert in_memory.issubset(inodes[:8])
    assert in_memory.issuperset(inodes[num_cold:8])
    # one cold file among the first few: all but those of the few that are in memory
    assert told == (set() if len(in_memory) == 8 else set(inodes) - in_memory)


# arguments


@pytest.mark.parametrize(
    "size", [150, (150,), (150, 150, 3), (150.0, 150.0), (0, 150), (150, -1), None, "ab", "150x150", ("1", "2")]
)
def test_a_size_that_is_not_two_whole_numbers_is_refused_with_what_to_write(size):
    with pytest.raises(ConfigError, match=r"size must be \(height, width\).*size=\(150, 150\)"):
        Images("imgpath", size=size)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("channels", 4),
        ("channels", True),
        ("dtype", "float64"),
        ("dtype", "no such type"),
        ("resize", "bilinear"),
        ("max_pixels", 0),
        ("max_pixels", 1e6),
        ("scale", float("nan")),
        ("scale", 2.0),
    ],
)
def test_other_wrong_arguments_are_refused(argument, value):
    with pytest.raises(ConfigError, match=argument):
        Images("imgpath", size=(8, 8), **{argument: value})


def test_the_column_is_a_name():
    with pytest.raises(ConfigError, match="name of a column"):
        Images(["imgpath"], size=(8, 8))


def test_size_may_be_numpy_integers_and_the_repr_shows_what_was_given():
    images = Images("p", size=np.array([8, 9]), channels=1, dtype="float32", scale=0.5)
    assert images.size == (8, 9)
    assert repr(images) == "Images('p', size=(8, 9), channels=1, dtype='float32', scale=0.5)"


def test_importing_the_input_loads_no_decoder():
    code = "import sys, rowlock.inputs.images; print([m for m in ('PIL', 'numba', 'pyarrow') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
