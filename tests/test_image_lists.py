"""Several pictures a row: each in its place, the rest zeros, and a mask that says which is which."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError, DecodeError, RowError
from rowlock.table import Table

SIZE = (12, 16)


def shade(number):
    """A picture of one colour, which tells its number, even after JPEG."""
    return Image.new("RGB", (40, 30), (number * 4, 255 - number * 4, 128))


@pytest.fixture
def photos(tmp_path):
    """Lists of 3, 0, 1, 4 and 2 photographs, numbered through from 0 to 9."""
    paths = []
    for number in range(10):
        paths.append(str(tmp_path / f"{number}.png"))
        shade(number).save(paths[-1])
    return [paths[:3], [], paths[3:4], paths[4:8], paths[8:]]


def opened(frame, num_images=4, **settings):
    return rl.Images("photos", size=SIZE, num_images=num_images, **settings).open(Table(frame), "image")


def gathered(reader, rows, draw=None):
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    reader.gather(np.asarray(rows, np.int64), out, draw)
    return out


def numbers_in(row):
    """What each place shows; None where it is all zeros."""
    return [None if not picture.any() else round(float(picture[..., 0].mean()) / 4) for picture in row]


EXPECTED = [[0, 1, 2, None], [None] * 4, [3, None, None, None], [4, 5, 6, 7], [8, 9, None, None]]


def frames(photos):
    return [
        pd.DataFrame({"photos": photos}),
        pd.DataFrame({"photos": [tuple(photos[0]), np.array(photos[1], object), *map(np.array, photos[2:])]}),
        pd.DataFrame({"photos": pd.Series(photos, dtype=pd.ArrowDtype(pa.list_(pa.string())))}),
        pl.DataFrame({"photos": photos}),
        pl.DataFrame({"photos": pl.Series(photos, dtype=pl.List(pl.Categorical))}),
        pa.table({"photos": photos}),
        pa.table({"photos": pa.array(photos, pa.large_list(pa.large_string()))}),
        pa.table({"photos": pa.chunked_array([photos[:2], photos[2:]])}),
        pa.table({"photos": [["x"], *photos, ["y"]]}).slice(1, 5),
        pa.table({"photos": pa.array(photos, pa.list_(pa.binary()))}),
    ]


@pytest.mark.parametrize("kind", range(10))
def test_each_picture_is_in_its_place_and_short_lists_end_in_zeros(photos, kind):
    reader = opened(frames(photos)[kind])
    assert reader.spec.shape == (4, 12, 16, 3)
    out = gathered(reader, [3, 1, 0, 4, 2, 0])
    assert [numbers_in(row) for row in out] == [EXPECTED[row] for row in (3, 1, 0, 4, 2, 0)]


def test_lists_of_a_fixed_length_are_lists(photos):
    pairs = [photos[0][:2], photos[4]]
    for frame in (
        pl.DataFrame({"photos": pl.Series(pairs, dtype=pl.Array(pl.String, 2))}),
        pa.table({"photos": pa.array([["x", "y"], *pairs], pa.list_(pa.string(), 2))}).slice(1),
    ):
        assert [numbers_in(row) for row in gathered(opened(frame, 3), [0, 1])] == [[0, 1, None], [8, 9, None]]


def test_float_pictures_and_grey_ones_are_padded_too(photos):
    reader = opened(frames(photos)[0], dtype="float32", scale=0.5, channels=1)
    out = gathered(reader, [0, 1])
    plain = gathered(opened(frames(photos)[0], channels=1), [0, 1])
    assert out.dtype == np.float32
    assert (out == plain * np.float32(0.5)).all()
    assert not out[0, 3].any()
    assert not out[1].any()


def test_a_row_of_lists_has_the_bytes_of_single_pictures(photos):
    single = pd.DataFrame({"photos": photos[3]})
    expected = gathered(rl.Images("photos", size=SIZE).open(Table(single), "image"), [0, 1, 2, 3])
    assert (gathered(opened(frames(photos)[0]), [3])[0] == expected).all()


def test_the_mask_is_one_where_there_is_a_picture(photos):
    for frame in frames(photos):
        reader = rl.ImagesMask("photos", num_images=4).open(Table(frame), "mask")
        out = gathered(reader, [3, 1, 0, 4, 2])
        assert out.dtype == np.float32
        assert out.tolist() == [[float(n is not None) for n in EXPECTED[row]] for row in (3, 1, 0, 4, 2)]
    as_bool = rl.ImagesMask("photos", num_images=2, dtype="bool").open(Table(frame), "mask")
    assert gathered(as_bool, [3, 2]).tolist() == [[True, True], [True, False]]
    assert as_bool.fingerprint != reader.fingerprint


def test_lists_that_are_too_long_are_refused_or_cut_as_asked(photos):
    frame = frames(photos)[0]
    with pytest.raises(ConfigError, match=r"2 rows \(0, 3\) of column 'photos' have more than num_images=2 .* up to 4"):
        opened(frame, 2)
    reader = opened(frame, 2, longer="cut")
    assert [numbers_in(row) for row in gathered(reader, [0, 3, 2])] == [[0, 1], [4, 5], [3, None]]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_rows_without_a_list_and_entries_without_a_path_are_refused_and_listed(make):
    with pytest.raises(ConfigError, match=r"2 rows \(1, 3\) of column 'photos' have no list of paths \(an empty list"):
        opened(make({"photos": [["a"], None, [], None]}))
    with pytest.raises(ConfigError, match=r"2 rows \(1, 4\) of column 'photos' have an entry without a path"):
        opened(make({"photos": [["a"], ["b", None], [], ["c"], ["", "d", ""]]}))
    with pytest.raises(ConfigError, match=r"1 row \(1\) of column 'photos' have no list"):
        opened(pd.DataFrame({"photos": [["a"], float("nan")]}))
    with pytest.raises(ConfigError, match=r"1 row \(2\) of column 'photos' have a NUL"):
        opened(make({"photos": [["a"], [], ["b", "c\0"], ["d"]]}))


def test_only_empty_lists_are_rows_of_zeros():
    for frame in (pd.DataFrame({"photos": [[], []]}), pl.DataFrame({"photos": [[], []]})):
        assert not gathered(opened(frame), [0, 1]).any()


def test_lists_and_single_paths_are_not_taken_for_each_other(photos):
    with pytest.raises(ConfigError, match="must hold lists of paths.*leave num_images out"):
        opened(pd.DataFrame({"photos": ["a.png", "b.png"]}))
    with pytest.raises(ConfigError, match=r"must hold lists of paths.*it is list_view"):
        opened(pa.table({"photos": pa.array([["a"], ["b"]], pa.list_view(pa.string()))}))
    with pytest.raises(ConfigError, match="must hold paths as text.*give num_images="):
        rl.Images("photos", size=SIZE).open(Table(frames(photos)[0]), "image")
    with pytest.raises(ConfigError, match="must hold lists of paths"):
        rl.ImagesMask("photos", num_images=2).open(Table(pd.DataFrame({"photos": ["a"]})), "mask")
    with pytest.raises(ConfigError, match="must hold paths as text"):
        opened(pd.DataFrame({"photos": [[1, 2]]}))


def test_paths_that_leave_root_are_refused_with_their_row(tmp_path):
    frame = pd.DataFrame({"photos": [["a.png"], [], ["b.png", "../c.png"], ["/etc/passwd", "../d.png"]]})
    with pytest.raises(ConfigError, match=r"2 rows \(2, 3\) of column 'photos' leave root=.*first is '\.\./c\.png'"):
        opened(frame, root=tmp_path)


def test_file_names_that_are_not_utf8_work(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    try:
        shade(7).save(tmp_path / name, "PNG")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    reader = opened(pd.DataFrame({"photos": [[], ["gone.png"], [name, name]]}), root=tmp_path)
    assert numbers_in(gathered(reader, [2])[0]) == [7, 7, None, None]


def test_a_bad_picture_is_an_error_of_its_row_that_names_its_place(photos):
    Path(photos[3][2]).write_bytes(b"<html>")
    os.unlink(photos[4][1])  # noqa: PTH108 - the paths are text
    reader = opened(frames(photos)[0])
    with pytest.raises(DecodeError, match="picture 3 of 4: .*HTML") as caught:
        gathered(reader, [0, 3])
    assert (caught.value.row, caught.value.path) == (3, photos[3][2])
    with pytest.raises(RowError, match="picture 2 of 2: there is no such file") as caught:
        gathered(reader, [4])
    assert (caught.value.row, caught.value.path) == (4, photos[4][1])
    assert [numbers_in(row) for row in gathered(reader, [0, 1, 2])] == EXPECTED[:3]


def test_one_bad_picture_masks_or_skips_the_whole_row(photos):
    Path(photos[3][2]).write_bytes(b"<html>")
    frame = pd.DataFrame({"photos": photos, "name": list("abcde"), "y": np.arange(5.0)})
    inputs = {"image": rl.Images("photos", size=SIZE, num_images=4), "mask": rl.ImagesMask("photos", num_images=4)}
    data = rl.Dataset(frame, inputs, rl.Column("y"), key="name")
    with data.batches(5, shuffle=False, on_error="mask", max_bad=1.0) as loader:
        (batch,) = loader
        (bad,) = loader.bad_rows
    assert [numbers_in(row) for row in batch.inputs["image"]] == [*EXPECTED[:3], [None] * 4, EXPECTED[4]]
    assert batch.sample_weight.tolist() == [1, 1, 1, 0, 1]
    assert batch.inputs["mask"].sum(axis=1).tolist() == [3, 0, 1, 0, 2]
    assert (bad.key, bad.path) == ("d", photos[3][2])
    assert "picture 3 of 4" in bad.reason
    with data.batches(5, shuffle=False, on_error="skip", max_bad=1.0) as loader:
        (batch,) = loader
    assert [numbers_in(row) for row in batch.inputs["image"]] == [*EXPECTED[:3], EXPECTED[4]]


def test_the_fingerprint_knows_paths_lists_and_number(photos):
    paths = [path for row in photos for path in row]
    listings = [photos, [paths[:2], paths[2:4], [], paths[4:8], paths[8:]], [*photos[:4], photos[4][::-1]]]
    readers = [opened(pd.DataFrame({"photos": lists})) for lists in listings]
    readers.append(opened(frames(photos)[0], 5))
    assert len({reader.fingerprint for reader in readers}) == 4
    assert readers[0].fingerprint == opened(frames(photos)[3]).fingerprint == opened(frames(photos)[8]).fingerprint


def test_all_files_of_the_rows_are_announced(photos, monkeypatch):
    opened_paths = []
    real = os.open

    def noted(path, *args, **kwargs):
        opened_paths.append(os.fsdecode(path))
        return real(path, *args, **kwargs)

    reader = opened(frames(photos)[0], 3, longer="cut")
    monkeypatch.setattr(os, "open", noted)
    reader.will_need(np.array([3, 0, 1]))
    ours = {path for row in photos for path in row}  # threads of other tests may open theirs
    assert [path for path in opened_paths if path in ours] == photos[3][:3] + photos[0]


@pytest.mark.parametrize("value", [0, -1, True, 2.5, "3"])
def test_num_images_is_a_whole_number(value):
    for make in (lambda: rl.Images("p", size=SIZE, num_images=value), lambda: rl.ImagesMask("p", num_images=value)):
        with pytest.raises(ConfigError, match="num_images must be a whole number"):
            make()


def test_longer_is_checked_and_needs_num_images():
    with pytest.raises(ConfigError, match="longer must be one of 'raise', 'cut'"):
        rl.Images("p", size=SIZE, num_images=2, longer="drop")
    with pytest.raises(ConfigError, match="needs num_images="):
        rl.Images("p", size=SIZE, longer="cut")
    images = rl.Images("p", size=SIZE, num_images=2, longer="cut")
    assert repr(images) == "Images('p', size=(12, 16), num_images=2, longer='cut')"
