"""``verify="hash"``: no picture whose bytes changed reaches a batch, not even one that still decodes."""

from __future__ import annotations

import hashlib
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError, RowError
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.table import Table

SIZE = 12, 16


def photo(number, size=(240, 320)):
    """Smooth shapes, as photographs have."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)


@pytest.fixture
def frame(tmp_path):
    paths = [tmp_path / f"{number}.jpg" for number in range(6)]
    for number, path in enumerate(paths):
        photo(number).save(path, quality=90)
    time.sleep(0.15)
    found = pd.DataFrame({"imgpath": list(map(str, paths)), "key": [f"k{number}" for number in range(6)]})
    return found.assign(imgpath_hash=rl.hash_pictures(found["imgpath"]))


def opened(frame, column="imgpath", **settings):
    return Images(column, **{"size": SIZE, "verify": "hash", **settings}).open(Table(frame), "image")


def gathered(reader, rows):
    rows = np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    with Meter() as meter:
        reader.gather(rows, out, None)
    return out, meter


def test_no_flipped_bit_passes_while_most_of_them_decode_silently_without(tmp_path, frame, rng):
    """The honest figure: JPEG has no checksum, so that most flips are just another picture to any decoder."""
    path = tmp_path / "0.jpg"
    original = path.read_bytes()
    verifying, trusting = opened(frame), opened(frame, verify=None)
    expected, _ = gathered(trusting, [0])
    num_silent = 0
    for bit in rng.choice(8 * len(original), 300, replace=False).tolist():
        damaged = bytearray(original)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            out, _ = gathered(trusting, [0])
            num_silent += bool((out != expected).any())
        except RowError:
            pass
        with pytest.raises(RowError, match="not those that were hashed"):
            gathered(verifying, [0])
    assert num_silent > 100
    path.write_bytes(original)
    assert (gathered(verifying, [0])[0] == expected).all()


def test_an_error_names_the_row_the_file_and_both_digests(tmp_path, frame):
    path = tmp_path / "3.jpg"
    old = frame["imgpath_hash"][3]
    photo(77).save(path)
    data = rl.Dataset(frame, {"image": rl.Images("imgpath", size=SIZE, verify="hash")}, key="key")
    loader = data.batches(6, shuffle=False, on_error="mask", max_bad=1.0)
    (batch,) = loader
    assert batch.sample_weight.tolist() == [1, 1, 1, 0, 1, 1]
    (bad,) = loader.bad_rows
    assert (bad.key, bad.path) == ("k3", str(path))
    assert old in bad.reason
    assert f"blake2b-128:{hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()}" in bad.reason


@pytest.mark.parametrize("algorithm", ["blake2b-128", "sha256", "md5"])
def test_digests_are_those_that_other_tools_print(tmp_path, frame, algorithm):
    made = rl.hash_pictures(frame["imgpath"], algorithm=algorithm)
    known = {
        "sha256": hashlib.sha256,
        "md5": hashlib.md5,
        "blake2b-128": lambda data: hashlib.blake2b(data, digest_size=16),
    }
    expected = [
        f"{algorithm}:{known[algorithm]((tmp_path / f'{number}.jpg').read_bytes()).hexdigest()}" for number in range(6)
    ]
    assert made == expected
    shouted = frame.assign(other=[f"{algorithm}:{digest.partition(':')[2].upper()}" for digest in expected])
    assert gathered(opened(shouted, hashes="other"), range(6))[0].any()


def test_columns_of_every_kind_are_hashed(tmp_path, frame):
    paths, expected = frame["imgpath"].tolist(), frame["imgpath_hash"].tolist()
    for column in (paths, tuple(paths), np.array(paths), pl.Series(paths), pa.array(paths), pa.chunked_array([paths])):
        assert rl.hash_pictures(column) == expected
    assert rl.hash_pictures(list(tmp_path.glob("4.jpg"))) == [expected[4]]
    assert rl.hash_pictures(["4.jpg", "0.jpg"], root=tmp_path) == [expected[4], expected[0]]
    assert rl.hash_pictures([]) == []
    assert rl.hash_pictures([paths[:2], [], paths[5:]]) == [expected[:2], [], expected[5:]]
    seen = []
    assert (
        rl.hash_pictures(paths * 100, num_threads=3, progress=lambda done, total: seen.append((done, total)))
        == expected * 100
    )
    assert seen[-1] == (600, 600)


def test_a_file_that_cannot_be_hashed_is_named_or_left_out(tmp_path, frame):
    (tmp_path / "2.jpg").unlink()
    with pytest.raises(RowError, match=r"row 2, path .*2\.jpg.*no such file"):
        rl.hash_pictures(frame["imgpath"])
    digests = rl.hash_pictures(frame["imgpath"], unreadable="none")
    assert [number for number, digest in enumerate(digests) if digest is None] == [2]
    with pytest.raises(ConfigError, match=r"1 row \(2\) of column 'imgpath_hash' have no digest"):
        opened(frame.assign(imgpath_hash=digests))


def test_several_pictures_a_row_have_a_digest_each(tmp_path, frame):
    paths = frame["imgpath"].tolist()
    lists = pd.DataFrame({"photos": [paths[:2], [], paths[3:6]]})
    lists["photos_hash"] = rl.hash_pictures(lists["photos"])
    reader = opened(lists, "photos", num_images=3)
    expected, _ = gathered(opened(lists, "photos", num_images=3, verify=None), range(3))
    assert (gathered(reader, range(3))[0] == expected).all()
    photo(9).save(paths[4])
    with pytest.raises(RowError, match="picture 2 of 3: its bytes are not"):
        gathered(reader, [2])
    cut = opened(lists, "photos", num_images=1, longer="cut")
    assert (gathered(cut, range(3))[0][:, 0] == expected[:, 0]).all()
    swapped = lists.assign(photos_hash=[lists["photos_hash"][0], lists["photos_hash"][2], lists["photos_hash"][1]])
    with pytest.raises(ConfigError, match=r"2 rows \(1, 2\) of column 'photos_hash' have more or fewer digests"):
        opened(swapped, "photos", num_images=3)


def test_cached_pixels_belong_to_the_digest_that_was_asked_for(tmp_path, frame):
    cache = tmp_path / "cache"
    for num_hits in (0, 6):
        _, meter = gathered(opened(frame, cache=cache), range(6))
        assert meter.num_cache_hits == num_hits
    wrong = frame.assign(imgpath_hash=frame["imgpath_hash"].tolist()[::-1])
    with pytest.raises(RowError, match="not those that were hashed"):
        gathered(opened(wrong, cache=cache), [0])
    _, meter = gathered(opened(frame, cache=cache, verify=None), range(6))
    assert meter.num_cache_hits == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"verify": "md5"}, 'verify must be "hash", or None'),
        ({"verify": True}, "not True"),
        ({"verify": None, "hashes": "x"}, 'has no effect without verify="hash"'),
        ({"hashes": 7}, "hashes is the name of a column"),
        ({"hashes": "imgpth_hash"}, "Did you mean 'imgpath_hash'"),
        ({"hashes": "number"}, "column 'number' must hold digests as text"),
        ({"hashes": "key"}, r"6 rows \(0, 1, 2, 3, 4, ...\) of column 'key' hold no digest that is known.*'k0'"),
        ({"hashes": "short"}, "hold no digest that is known"),
        ({"num_images": 2}, "must hold lists of"),
    ],
)
def test_wrong_arguments_and_columns_are_refused(frame, settings, message):
    frame = frame.assign(number=1, short="sha256:" + "0" * 63)
    with pytest.raises(ConfigError, match=message):
        opened(frame, **settings)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("a.jpg",), "write \\['a.jpg'\\]"),
        ((7,), "not int"),
        (([1, 2],), "must hold paths as text"),
        ((["a", ""],), r"1 row \(1\)"),
        ((["https://images.example.org/x.jpg"],), "hold URLs"),
    ],
)
def test_what_cannot_be_hashed_is_refused(args, message):
    with pytest.raises(ConfigError, match=message):
        rl.hash_pictures(*args)
    with pytest.raises(ConfigError, match="algorithm must be one of"):
        rl.hash_pictures([], algorithm="crc32")
    with pytest.raises(ConfigError, match="unreadable must be"):
        rl.hash_pictures([], unreadable="skip")
