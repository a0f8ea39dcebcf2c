"""The cache of decoded pixels: the same batches whatever happens to it, and no decoding where nothing did.

This file is also a program, for tests that need processes: ``python test_cache.py fill|kill|fork PICTURES CACHE``.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.picture_cache.places import NOWHERE, Places
from rowlock.table import Table

SIZE = 12, 16
ROW_BYTES = 12 * 16 * 3
RECORD_BYTES = ROW_BYTES + 8
NUM_PICTURES = 40
SETTLED_SECONDS = 0.15


def write_pictures(folder, num_pictures=NUM_PICTURES, size=(48, 64)):
    """JPEGs of noise, no two alike."""
    folder.mkdir(exist_ok=True)
    for number in range(num_pictures):
        noise = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(noise).resize(size[::-1]).save(folder / f"{number:04d}.jpg", quality=90)
    time.sleep(SETTLED_SECONDS)
    return folder


def frame_of(folder):
    return pd.DataFrame({"path": sorted(map(str, folder.glob("*.jpg")))})


def opened(folder, cache=None, **settings):
    return Images("path", **{"size": SIZE, **settings}, cache=cache).open(Table(frame_of(folder)), "image")


def gathered(reader, rows=None):
    """Return the pixels of rows (all), and what the cache did."""
    rows = np.arange(len(reader._paths)) if rows is None else np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    with Meter() as meter:
        reader.gather(rows, out, None)
    return out, meter


def levels_said(caplog):
    """Return the levels of what the cache logged."""
    return [record.levelno for record in caplog.records if record.name.startswith("rowlock.picture_cache")]


def segment(cache, suffix=".pixels"):
    (path,) = cache.glob(f"*{suffix}")
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def truth(pictures):
    return gathered(opened(pictures))[0]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def filled(pictures, cache, truth):
    """A cache of all pictures."""
    reader = opened(pictures, cache)
    assert (gathered(reader)[0] == truth).all()
    reader.close()
    return cache


@pytest.fixture
def no_decoder(monkeypatch):
    """Whoever decodes a JPEG fails."""

    def decode_jpeg(*_, **__):
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr(simplejpeg, "decode_jpeg", decode_jpeg)


# what it is for


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("settings", [{}, {"channels": 1}, {"dtype": "float32", "scale": 1 / 255}, {"size": (7, 5)}])
def test_later_epochs_are_the_same_bytes_without_decoding(pictures, cache, monkeypatch, rng, resize, settings):
    expected, _ = gathered(opened(pictures, resize=resize, **settings))
    reader = opened(pictures, cache, resize=resize, **settings)
    first, meter = gathered(reader)
    assert first.tobytes() == expected.tobytes()
    assert (meter.num_cache_hits, meter.num_cache_misses) == (0, NUM_PICTURES)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", None)
    for again in (reader, opened(pictures, cache, resize=resize, **settings)):
        rows = rng.integers(0, NUM_PICTURES, 100)
        out, meter = gathered(again, rows)
        assert out.tobytes() == expected[rows].tobytes()
        assert (meter.num_cache_hits, meter.num_cache_misses, meter.num_cache_rejected) == (100, 0, 0)
        assert "decode" not in meter.stages
        row_bytes = out[0].size + 8
        assert meter.read_bytes == 100 * row_bytes


def test_many_threads_fill_and_read_it(pictures, cache, truth, rng):
    reader = opened(pictures, cache)
    orders = [rng.permutation(NUM_PICTURES) for _ in range(32)]
    with ThreadPoolExecutor(8) as pool:
        for rows, (out, _) in zip(orders, pool.map(lambda rows: gathered(reader, rows), orders), strict=True):
            assert (out == truth[rows]).all()
    _, meter = gathered(reader)
    assert (meter.num_cache_hits, meter.num_cache_rejected) == (NUM_PICTURES, 0)


def test_float_and_byte_pictures_share_their_entries(pictures, filled, truth, no_decoder):
    out, _ = gathered(opened(pictures, filled, dtype="float32", scale=0.5))
    assert (out == truth * np.float32(0.5)).all()


@pytest.mark.parametrize(
    "settings", [{"size": (16, 12)}, {"channels": 1}, {"resize": "pad"}, {"max_pixels": 10**6}, {"root": "given"}]
)
def test_other_settings_do_not_find_each_other(pictures, filled, settings):
    if "root" in settings:
        settings = {"root": pictures}
    _, meter = gathered(opened(pictures, filled, **settings))
    assert (meter.num_cache_hits, meter.num_cache_misses) == (0, NUM_PICTURES)
    _, meter = gathered(opened(pictures, filled))
    assert meter.num_cache_hits == NUM_PICTURES


def test_a_loader_delivers_the_same_epochs_and_says_what_came_from_the_cache(pictures, cache, time_limit):
    frame = frame_of(pictures).assign(n=np.arange(NUM_PICTURES))
    loaders = [
        rl.Dataset(frame, {"image": rl.Images("path", size=SIZE, cache=folder)}, target=rl.Column("n")).batches(
            7, seed=3, engine=rl.Engine(num_threads=4, prefetch=3)
        )
        for folder in (None, cache)
    ]
    with time_limit(600):
        for _ in range(3):
            for plain, cached in zip(*loaders, strict=True):
                assert (plain.inputs["image"] == cached.inputs["image"]).all()
                assert (plain.target == cached.target).all()
    costs = loaders[1].stats().inputs["image"]
    assert costs.num_cache_hits + costs.num_cache_misses == 3 * NUM_PICTURES
    # A few pictures of the end of the first epoch come again at once, and are decoded by two threads at a time.
    assert NUM_PICTURES <= costs.num_cache_misses <= NUM_PICTURES + 3 * 7
    assert f"{costs.num_cache_hits} of {3 * NUM_PICTURES} from the cache" in str(loaders[1].stats())
    assert loaders[0].stats().inputs["image"].num_cache_misses == 0


def test_bad_rows_stay_bad(tmp_path, cache):
    folder = write_pictures(tmp_path / "some", 6)
    path = folder / "0002.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    time.sleep(SETTLED_SECONDS)
    data = rl.Dataset(frame_of(folder), {"image": rl.Images("path", size=SIZE, cache=cache)})
    loader = data.batches(6, shuffle=False, on_error="mask", max_bad=1.0)
    for _ in range(2):
        (batch,) = loader
        assert batch.sample_weight.tolist() == [1, 1, 0, 1, 1, 1]
        assert not batch.inputs["image"][2].any()


# when the picture changes


def replace_file(path, other):
    path.write_bytes(other.read_bytes())


def replace_file_and_keep_its_times(path, other):
    """As ``cp -p`` and archives do; padded behind the end of the picture, so that the size stays too."""
    status = path.stat()
    data = other.read_bytes()
    path.write_bytes(data + bytes(status.st_size - len(data)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize("change", [replace_file, replace_file_and_keep_its_times])
def test_a_changed_picture_is_decoded_anew(tmp_path, cache, change):
    folder = write_pictures(tmp_path / "some", 4)
    by_size = sorted(range(4), key=lambda row: -(folder / f"{row:04d}.jpg").stat().st_size)
    changed, other = by_size[0], by_size[-1]
    reader = opened(folder, cache)
    before, _ = gathered(reader)
    change(folder / f"{changed:04d}.jpg", folder / f"{other:04d}.jpg")
    time.sleep(SETTLED_SECONDS)
    for num_misses in (1, 0):
        out, meter = gathered(reader)
        assert (out[changed] == before[other]).all()
        assert (np.delete(out, changed, 0) == np.delete(before, changed, 0)).all()
        assert (meter.num_cache_misses, meter.num_cache_rejected) == (num_misses, 0)


def just_after(path):
    """Return a clock that stands still within the tick in which the file was written, however late this process is."""
    changed_ns = path.stat().st_ctime_ns
    return lambda: changed_ns + 1_000_000


def test_a_picture_that_may_still_change_within_a_tick_is_not_added(tmp_path, cache, monkeypatch):
    folder = write_pictures(tmp_path / "some", 1)
    path = folder / "0000.jpg"
    path.write_bytes(path.read_bytes())
    reader = opened(folder, cache)
    with monkeypatch.context() as patched:
        patched.setattr(time, "time_ns", just_after(path))
        gathered(reader)
    assert not list(cache.glob("*.pixels"))
    time.sleep(SETTLED_SECONDS)
    gathered(reader)
    assert gathered(reader)[1].num_cache_hits == 1


def test_a_picture_that_could_change_within_a_tick_while_it_was_decoded_slowly_is_not_added(
    tmp_path, cache, monkeypatch
):
    folder = write_pictures(tmp_path / "some", 1)
    path, real_decode = folder / "0000.jpg", simplejpeg.decode_jpeg

    real_clock = time.time_ns

    def decode_jpeg(*args, **kwargs):
        monkeypatch.setattr(time, "time_ns", real_clock)
        time.sleep(SETTLED_SECONDS)
        return real_decode(*args, **kwargs)

    reader = opened(folder, cache)
    monkeypatch.setattr(simplejpeg, "decode_jpeg", decode_jpeg)
    path.write_bytes(path.read_bytes())
    monkeypatch.setattr(time, "time_ns", just_after(path))
    gathered(reader)
    assert time.time_ns is real_clock, "it was decoded"
    assert not list(cache.glob("*.pixels"))


def test_a_picture_that_is_replaced_while_it_is_decoded_is_not_added(tmp_path, cache, monkeypatch):
    folder = write_pictures(tmp_path / "some", 2)
    expected, _ = gathered(opened(folder))
    path, real_decode = folder / "0000.jpg", simplejpeg.decode_jpeg

    def decode_jpeg(*args, **kwargs):
        replace_file(path, folder / "0001.jpg")
        return real_decode(*args, **kwargs)

    reader = opened(folder, cache)
    with monkeypatch.context() as patched:
        patched.setattr(simplejpeg, "decode_jpeg", decode_jpeg)
        assert (gathered(reader, [0])[0] == expected[0]).all()
    assert not list(cache.glob("*.pixels"))
    assert (gathered(reader, [0])[0] == expected[1]).all()


def test_a_file_that_is_gone_is_an_error_of_its_row_although_its_pixels_are_there(tmp_path, cache):
    folder = write_pictures(tmp_path / "some", 2)
    reader = opened(folder, cache)
    gathered(reader)
    (folder / "0001.jpg").unlink()
    with pytest.raises(rl.errors.RowError, match="there is no such file"):
        gathered(reader)


# damage


def test_no_flipped_bit_reaches_a_batch(pictures, cache):
    """Every bit of a record, its check and its name, one at a time; the cache is full, so that nothing is mended."""
    settings = {"size": (3, 5), "cache_bytes": 2 * (45 + 8 + 8)}
    expected, _ = gathered(opened(pictures, size=(3, 5)), [5, 6])
    gathered(opened(pictures, cache, **settings), [5, 6])
    for suffix, num_bytes in ((".pixels", 45 + 8), (".places", 8)):
        path = segment(cache, suffix)
        original = path.read_bytes()
        for bit in range(8 * num_bytes):
            damaged = bytearray(original)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            out, meter = gathered(opened(pictures, cache, **settings), [5, 6])
            assert (out == expected).all()
            assert (meter.num_cache_hits, meter.num_cache_misses) == (1, 1)
            assert meter.num_cache_rejected == (suffix == ".pixels")
        path.write_bytes(original)
    assert gathered(opened(pictures, cache, **settings), [5, 6])[1].num_cache_hits == 2


def test_damaged_entries_are_replaced_and_said_once(pictures, filled, truth, caplog):
    path = segment(filled)
    data = bytearray(path.read_bytes())
    for row in (3, 8, 20):
        data[row * RECORD_BYTES + 100] ^= 1
    path.write_bytes(data)
    reader = opened(pictures, filled)
    for num_rejected in (3, 0):
        out, meter = gathered(reader)
        assert (out == truth).all()
        assert (meter.num_cache_rejected, meter.num_cache_misses) == (num_rejected, num_rejected)
    assert levels_said(caplog) == [logging.WARNING]
    assert gathered(opened(pictures, filled))[1].num_cache_hits == NUM_PICTURES, "the newer entry wins"


@pytest.mark.parametrize("suffix", [".pixels", ".places"])
@pytest.mark.parametrize("share", [0, 0.3, 0.77, 0.9999])
def test_a_truncated_file_costs_its_entries_and_no_more(pictures, filled, truth, suffix, share):
    path = segment(filled, suffix)
    os.truncate(path, int(path.stat().st_size * share))
    out, meter = gathered(opened(pictures, filled))
    assert (out == truth).all()
    assert abs(meter.num_cache_hits - NUM_PICTURES * share) <= 1
    assert gathered(opened(pictures, filled))[1].num_cache_hits == NUM_PICTURES


def test_a_file_that_is_truncated_while_it_is_used_kills_nobody(pictures, filled, truth):
    reader = opened(pictures, filled)
    assert gathered(reader)[1].num_cache_hits == NUM_PICTURES
    os.truncate(segment(filled), 0)
    out, meter = gathered(reader)
    assert (out == truth).all()
    assert meter.num_cache_rejected == NUM_PICTURES


def test_records_in_another_order_or_of_another_cache_are_not_believed(pictures, filled, truth, tmp_path):
    other = tmp_path / "other"
    gathered(opened(pictures, other, resize="pad"))
    path = segment(filled)
    records = [path.read_bytes()[at : at + RECORD_BYTES] for at in range(0, NUM_PICTURES * RECORD_BYTES, RECORD_BYTES)]
    for content in (b"".join(records[1:] + records[:1]), segment(other).read_bytes(), bytes(path.stat().st_size)):
        path.write_bytes(content)
        out, meter = gathered(opened(pictures, filled, cache_bytes=1))
        assert (out == truth).all()
        assert meter.num_cache_rejected == NUM_PICTURES


def test_foreign_things_in_the_folder_are_left_alone(pictures, filled, truth, tmp_path, time_limit):
    name, names = segment(filled).name[:-15], segment(filled, ".places").read_bytes()
    (filled / "notes.txt").write_text("mine")
    (filled / f"{name}0000000a.places").mkdir()
    (filled / f"{name}0000000b.pixels").symlink_to(tmp_path)
    (filled / f"{name}0000000b.places").symlink_to("/dev/zero")
    os.mkfifo(filled / f"{name}0000000c.places")
    (filled / f"{name}0000000d.places").write_bytes(os.urandom(801))
    (filled / f"{name}0000000e.places").write_bytes(names)
    with time_limit(600):
        out, meter = gathered(opened(pictures, filled))
    assert (out == truth).all()
    assert meter.num_cache_hits == NUM_PICTURES
    assert (filled / "notes.txt").read_text() == "mine"


# the disk


def test_a_folder_that_is_removed_while_it_is_used(pictures, cache, truth):
    reader = opened(pictures, cache)
    gathered(reader, range(20))
    shutil.rmtree(cache)
    for _ in range(2):
        assert (gathered(reader)[0] == truth).all()
    reader._cache._adder.look()
    assert (gathered(reader)[0] == truth).all()
    cache.write_text("a file in its place")
    reader._cache._adder.look()
    assert (gathered(reader)[0] == truth).all()


def test_a_folder_that_cannot_be_made_is_done_without(pictures, truth, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    reader = opened(pictures, tmp_path / "file" / "cache")
    for _ in range(2):
        out, meter = gathered(reader)
        assert (out == truth).all()
        assert meter.num_cache_misses == NUM_PICTURES
    assert levels_said(caplog) == [logging.WARNING]
    assert "cannot be used" in caplog.text


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EMFILE])
def test_a_folder_that_becomes_read_only_is_read_on(pictures, cache, truth, monkeypatch, caplog, code):
    gathered(opened(pictures, cache), range(10))
    real_open = os.open

    def open_for_reading(path, flags, *args, **kwargs):
        if flags & os.O_CREAT and str(cache) in str(path):
            raise OSError(code, os.strerror(code), str(path))
        return real_open(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", open_for_reading)
    reader = opened(pictures, cache)
    for _ in range(2):
        out, meter = gathered(reader)
        assert (out == truth).all()
        assert meter.num_cache_hits == 10
    assert levels_said(caplog) == [logging.WARNING]
    assert os.strerror(code) in caplog.text


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_to_write_is_read(pictures, filled, truth, no_decoder):
    filled.chmod(0o500)
    assert (gathered(opened(pictures, filled))[0] == truth).all()
    filled.chmod(0o700)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("num_writes", [0, 1, 2, 3, 10])
def test_a_disk_that_refuses_ends_adding_and_nothing_else(
    pictures, cache, truth, monkeypatch, caplog, code, num_writes
):
    real_write, done = os.pwritev, []

    def write(descriptor, parts, offset):
        if len(done) >= num_writes:
            real_write(descriptor, [b"".join(parts)[: sum(map(len, parts)) // 2]], offset)  # what had room
            raise OSError(code, os.strerror(code))
        done.append(offset)
        return real_write(descriptor, parts, offset)

    reader = opened(pictures, cache)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", write)
        for piece in np.split(np.arange(NUM_PICTURES), 10):
            assert (gathered(reader, piece)[0] == truth[piece]).all()
        out, meter = gathered(reader)
        assert (out == truth).all()
    num_whole = num_writes // 2 * 4  # a piece is written in two calls: records, then names
    assert meter.num_cache_hits == num_whole
    assert levels_said(caplog) == [logging.WARNING]
    assert os.strerror(code) in caplog.text
    out, meter = gathered(opened(pictures, cache))
    assert (out == truth).all()
    assert num_whole <= meter.num_cache_hits <= num_whole + 2  # of names that were written by halves, the first


@pytest.mark.parametrize("most", [1, 100, RECORD_BYTES, 3 * RECORD_BYTES + 5])
def test_short_writes_go_on_where_they_stopped(pictures, cache, truth, monkeypatch, most):
    real_write = os.pwritev
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwritev", lambda file, parts, offset: real_write(file, [b"".join(parts)[:most]], offset))
        gathered(opened(pictures, cache))
    out, meter = gathered(opened(pictures, cache))
    assert (out == truth).all()
    assert meter.num_cache_hits == NUM_PICTURES


def test_more_records_than_a_call_takes_are_written(pictures, cache, truth, rng):
    rows = np.concatenate([rng.integers(0, NUM_PICTURES, 1500), np.arange(NUM_PICTURES)])
    assert (gathered(opened(pictures, cache), rows)[0] == truth[rows]).all()
    assert gathered(opened(pictures, cache))[1].num_cache_hits == NUM_PICTURES


# the budget


@pytest.mark.parametrize("num_fitting", [0, 1, 17])
def test_the_budget_is_kept_to_the_byte(pictures, cache, truth, caplog, num_fitting):
    tag = 200
    budget = num_fitting * (RECORD_BYTES + 8) + RECORD_BYTES
    reader = opened(pictures, cache, cache_bytes=budget)
    for _ in range(2):
        out, meter = gathered(reader)
        assert (out == truth).all()
    assert meter.num_cache_hits == num_fitting
    assert sum(path.stat().st_size for path in cache.iterdir()) <= budget + tag
    assert len(levels_said(caplog)) == 1
    assert f"it is full (cache_bytes={budget:,})" in caplog.text
    _, meter = gathered(opened(pictures, cache, cache_bytes=budget + 3 * (RECORD_BYTES + 8)))
    assert meter.num_cache_misses == NUM_PICTURES - num_fitting
    assert gathered(opened(pictures, cache, cache_bytes=1))[1].num_cache_hits == num_fitting + 3


def test_entries_of_other_settings_count_in_the_budget(pictures, filled):
    used = sum(path.stat().st_size for path in filled.glob("*.p*"))
    reader = opened(pictures, filled, resize="pad", cache_bytes=used + 5 * (RECORD_BYTES + 8))
    gathered(reader)
    assert gathered(reader)[1].num_cache_hits == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cache": 3}, "cache is the path of a folder"),
        ({"cache": ""}, "cache is the path of a folder"),
        ({"cache": "x", "cache_bytes": "many"}, "a number of bytes or a text"),
        ({"cache_bytes": "2GiB"}, "needs a folder"),
    ],
)
def test_wrong_arguments_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Images("path", size=SIZE, **settings)


def test_the_input_shows_its_cache():
    images = Images("path", size=SIZE, cache="pixels", cache_bytes="2KiB")
    assert repr(images) == "Images('path', size=(12, 16), cache='pixels', cache_bytes=2048)"


# who may write into it


def test_a_new_folder_is_private(pictures, tmp_path):
    cache = tmp_path / "some" / "where"
    gathered(opened(pictures, cache), [0])
    assert cache.stat().st_mode & 0o777 == 0o700
    assert segment(cache).stat().st_mode & 0o777 == 0o600


def test_a_link_in_its_place_is_refused(pictures, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="is a link; name the folder that it leads to"):
        opened(pictures, tmp_path / "link")


def test_a_file_in_its_place_is_refused(pictures, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is not a folder"):
        opened(pictures, tmp_path / "file")


def test_a_folder_that_everybody_can_write_is_refused(pictures, cache):
    cache.mkdir()
    cache.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by everybody"):
        opened(pictures, cache)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give folders away")
def test_folders_and_files_of_other_users_are_not_used(pictures, filled, truth):
    os.chown(segment(filled, ".places"), 12345, -1)
    out, meter = gathered(opened(pictures, filled, cache_bytes=1))
    assert (out == truth).all()
    assert meter.num_cache_hits == 0
    os.chown(filled, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to user 12345"):
        opened(pictures, filled)


# files and memory


def test_closing_lets_go_of_all_files(pictures, filled, truth):
    def num_open():
        return sum(str(filled) in os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())

    if not Path("/proc/self/fd").exists():
        pytest.skip("the system does not list open files")
    reader = opened(pictures, filled)
    assert num_open() == 1
    reader.close()
    assert num_open() == 0
    assert (gathered(reader)[0] == truth).all()
    assert num_open() == 0


def test_more_segments_than_files_that_may_be_open(tmp_path, cache):
    folder = write_pictures(tmp_path / "many", 140)
    expected, _ = gathered(opened(folder))
    for row in range(140):
        gathered(opened(folder, cache), [row])
    reader = opened(folder, cache)
    assert sum(segment._file is not None for segment in reader._cache._entries._segments) == 128
    out, meter = gathered(reader)
    assert (out == expected).all()
    assert meter.num_cache_hits == 140


def test_what_is_missing_is_read_ahead_from_the_pictures_themselves(pictures, cache):
    reader = opened(pictures, cache)
    gathered(reader, range(30))
    paths = reader._paths.take(np.arange(NUM_PICTURES))
    pictures = [(path, reader._source.version(path)) for path in paths]
    missing = reader._cache.will_need([*pictures[30:], *pictures[:30]])
    assert missing == paths[30:]
    assert reader._cache.will_need(pictures[:30]) == []
    reader.will_need(np.arange(NUM_PICTURES))


_ENTRIES = st.lists(st.tuples(st.integers(1, 2**64 - 1) | st.integers(1, 9), st.integers(-1, 2**50)), max_size=12)


@given(st.lists(st.tuples(st.booleans(), _ENTRIES), max_size=12))
def test_places_are_those_of_a_dict(rounds):
    places, expected = Places(), {}
    for at_once, entries in rounds:
        expected.update(entries)
        if at_once:
            names = np.array([name for name, _ in entries], np.uint64)
            places.put_many(names, np.array([place for _, place in entries], np.int64))
        else:
            for name, place in entries:
                places.put(name, place)
        assert {name: places.find(name) for name in expected} == expected
    for name in range(1, 12):
        assert places.find(name) == expected.get(name, NOWHERE)


def test_places_are_merged_while_they_are_read(rng):
    """More than the small dict holds, by two writers, while readers look for what must be there."""
    names = rng.choice(2**62, 150_000, replace=False) + 1
    places = Places()
    done = [0, 0]

    def write(part):
        for at, name in enumerate(names[part::2].tolist()):
            places.put(name, 2 * at + part)
            done[part] = at + 1

    def read():
        num_wrong = 0
        while min(done) < len(names) // 2:
            for part in (0, 1):
                at = done[part] - 1
                num_wrong += at >= 0 and places.find(int(names[part::2][at])) != 2 * at + part
        return num_wrong

    with ThreadPoolExecutor(3) as pool:
        reading = pool.submit(read)
        list(pool.map(write, (0, 1)))
        assert reading.result() == 0
    assert [places.find(name) for name in names[::97].tolist()] == list(range(len(names)))[::97]
    assert len(places._recent) < 70_000


# processes


def run_program(what, pictures, cache):
    program = [sys.executable, str(Path(__file__)), what, str(pictures), str(cache)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


def digest(pixels):
    return hashlib.sha256(pixels.tobytes()).hexdigest()


@pytest.mark.slow
def test_processes_that_fill_it_at_the_same_time_all_get_the_right_pixels(pictures, cache, truth, no_decoder):
    programs = [run_program("fill", pictures, cache) for _ in range(3)]
    for program in programs:
        output, _ = program.communicate(timeout=600)
        assert program.returncode == 0
        assert set(output.split()) == {digest(truth)}
    assert (gathered(opened(pictures, cache))[0] == truth).all()


def test_a_running_process_finds_what_another_adds(pictures, cache, truth, no_decoder):
    reader = opened(pictures, cache)
    assert run_program("fill", pictures, cache).communicate(timeout=600)[0]
    reader._cache._adder.look()
    assert (gathered(reader)[0] == truth).all()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["kill", "fork"])
def test_killed_and_forked_processes_leave_nothing_that_is_wrong(tmp_path, cache, what):
    folder = write_pictures(tmp_path / "some", 120)
    program = run_program(what, folder, cache)
    output, _ = program.communicate(timeout=600)
    assert program.returncode == 0, output
    expected, _ = gathered(opened(folder))
    out, meter = gathered(opened(folder, cache))
    assert (out == expected).all()
    assert meter.num_cache_rejected == 0
    if what == "kill":
        assert int(output) == 20, "were killed while they filled it"


def fill(folder, cache):
    for _ in range(3):
        sys.stdout.write(digest(gathered(opened(folder, cache))[0]) + "\n")


def kill(folder, cache):
    """Fork processes that fill an empty cache, and kill them while they do; each time check what they left."""
    expected, _ = gathered(opened(folder))
    num_killed = 0
    for number in range(20):
        shutil.rmtree(cache, ignore_errors=True) if number % 4 == 0 else None
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            reader = opened(folder, cache)
            for rows in np.split(np.arange(len(expected)), 20):
                gathered(reader, rows)
                os.write(tell, b"x")
            time.sleep(600)  # until it is killed
        os.close(tell)
        for _ in range(number):
            assert os.read(ready, 1) == b"x"
        time.sleep(0.001 * (number % 5))  # anywhere in what comes next
        os.kill(child, signal.SIGKILL)
        os.close(ready)
        num_killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) < 0
        out, _ = gathered(opened(folder, cache, cache_bytes=1))
        assert (out == expected).all()
    sys.stdout.write(str(num_killed))


def fork(folder, cache):
    """Fork processes from one that is in the middle of filling; all go on."""
    expected, _ = gathered(opened(folder))
    reader = opened(folder, cache)
    gathered(reader, range(40))
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os._exit(int((gathered(reader)[0] != expected).any()))
        children.append(child)
    assert (gathered(reader)[0] == expected).all()
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    assert gathered(reader)[1].num_cache_hits == len(expected)


if __name__ == "__main__":
    {"fill": fill, "kill": kill, "fork": fork}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
