"""Notes about pictures save a look-up, and never make a batch another: whatever stands in them, and in the files."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rowlock.hashing import hash_pictures
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.picture_cache import recall
from rowlock.pictures.many_files import can_read_many
from rowlock.table import Table

pytestmark = pytest.mark.skipif(not can_read_many(), reason="this system has no statx: nothing is noted")

NUM_PICTURES = 24


def save(path, number):
    """A picture of one colour, which survives every size."""
    Image.fromarray(np.full((20, 30, 3), 10 * number, np.uint8)).save(path, quality=95)


def settle():
    time.sleep(0.15)  # a file that has just changed is not kept


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(NUM_PICTURES):
        save(folder / f"{number}.jpg", number)
    settle()
    return folder


def opened(folder, cache, names=None, **settings):
    names = [f"{number}.jpg" for number in range(NUM_PICTURES)] if names is None else names
    frame = pa.table({"path": names})
    return Images("path", **{"size": (4, 4), "root": folder, "cache": cache} | settings).open(Table(frame), "image")


def numbers(reader, rows=None):
    """Which pictures came, and how many of them were read from the cache without being looked up."""
    rows = np.arange(len(reader._paths)) if rows is None else np.asarray(rows, np.int64)
    out = reader.spec.empty(len(rows))
    out[...] = 0xA5
    looked_up, find = [], reader._cache._find
    reader._cache._find = lambda asked: looked_up.extend(asked) or find(asked)
    with Meter() as meter:
        reader.gather(rows, out, None)
    reader._cache._find = find
    assert meter.num_cache_hits + meter.num_cache_misses == out.reshape(-1, 48).shape[0]
    found = np.rint(out.reshape(-1, 48).mean(axis=1) / 10).astype(int).tolist()
    return found, out.reshape(-1, 48).shape[0] - len(looked_up)


def test_whatever_was_read_or_added_is_not_looked_up_again(pictures, tmp_path, rng):
    first, second = opened(pictures, tmp_path / "c"), None
    assert numbers(first) == (list(range(NUM_PICTURES)), 0)
    rows = rng.integers(0, NUM_PICTURES, 50).tolist()
    assert numbers(first, rows) == (rows, 50)  # noted when they were added
    second = opened(pictures, tmp_path / "c")
    assert numbers(second, [3, 4]) == ([3, 4], 0)
    assert numbers(second, [4, 3, 5, 4]) == ([4, 3, 5, 4], 3)
    first.close()
    assert numbers(first, [1, 2]) == ([1, 2], 0)  # decoded


def test_a_file_that_changed_is_never_recalled(pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "in")
    settle()
    reader = opened(folder, tmp_path / "c")
    numbers(reader)
    save(folder / "3.jpg", 20)
    (folder / "4.jpg").unlink()
    (folder / "4.jpg").symlink_to(folder / "9.jpg")
    os.utime(folder / "5.jpg", ns=(0, 0))
    status = (folder / "6.jpg").stat()
    shutil.copy(folder / "7.jpg", folder / "new")
    os.utime(folder / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (folder / "new").replace(folder / "6.jpg")  # of equal age, and perhaps size
    expected = list(range(NUM_PICTURES))
    expected[3], expected[4], expected[6] = 20, 9, 7
    assert numbers(reader) == (expected, NUM_PICTURES - 4)
    settle()
    assert numbers(reader)[0] == expected
    assert numbers(reader) == (expected, NUM_PICTURES)


@pytest.mark.parametrize("most", [1, 2, 5, 23])
def test_few_notes_serve_many_pictures(pictures, tmp_path, monkeypatch, rng, most):
    monkeypatch.setattr(recall, "_MOST_NOTES", most)
    reader = opened(pictures, tmp_path / "c")
    for _ in range(4):
        rows = rng.permutation(NUM_PICTURES).tolist()
        found, num_recalled = numbers(reader, rows)
        assert found == rows
        assert num_recalled <= most
    assert numbers(reader, rows[-1:]) == (rows[-1:], 1)


@pytest.fixture(scope="module")
def filled(pictures, tmp_path_factory):
    reader = opened(pictures, tmp_path_factory.mktemp("cache") / "c")
    numbers(reader)
    return reader


@given(data=st.data())
def test_no_mixture_of_notes_makes_a_picture_another(filled, data):
    """As if threads had written parts of notes of each other, or the memory were damaged."""
    notes = filled._cache._recall._notes
    before = notes.copy()
    swaps = st.tuples(*[st.integers(0, NUM_PICTURES - 1)] * 2, st.integers(0, 6), st.integers(1, 7))
    for first, second, start, length in data.draw(st.lists(swaps, max_size=30)):
        notes[first, start : start + length] = before[second, start : start + length]
    for at, column, word in data.draw(st.lists(st.tuples(st.integers(0, 23), st.integers(0, 6), st.integers(-9, 9)))):
        notes[at, column] = word << 40
    assert numbers(filled)[0] == list(range(NUM_PICTURES))
    assert numbers(filled) == (list(range(NUM_PICTURES)), NUM_PICTURES)


def files_in_the_same_state(folder):
    """Two pictures of equal size, written within one tick of the clock; None: the clock here is too fine."""
    folder.mkdir()
    for number in range(2):
        Image.fromarray(np.full((8, 8, 3), 10 * number, np.uint8)).save(folder / f"{number}", "BMP")
    data = [(folder / f"{number}").read_bytes() for number in range(2)]
    for attempt in range(2000):
        names = [f"{attempt}-{number}" for number in range(2)]
        for name, content in zip(names, data, strict=True):
            file = os.open(folder / name, os.O_CREAT | os.O_WRONLY)  # nobody asks for its times before it is written
            os.write(file, content)
            os.close(file)
        states = [(folder / name).stat() for name in names]
        if len({(state.st_size, state.st_mtime_ns, state.st_ctime_ns) for state in states}) == 1:
            return names
    return None


@pytest.mark.parametrize("are_alike", [False, True])
def test_notes_that_two_threads_write_are_never_mixed_up(pictures, tmp_path, monkeypatch, are_alike):
    monkeypatch.setattr(recall, "_MOST_NOTES", 1)
    names = None
    if are_alike:  # the state of the file tells nothing
        pictures = tmp_path / "alike"
        names = files_in_the_same_state(pictures) or pytest.skip("times of files are too fine here")
        settle()
    reader = opened(pictures, tmp_path / "c", names)
    numbers(reader)
    has_ended = threading.Event()

    def read(number):
        rows, out = np.full(4, number), reader.spec.empty(4)
        while not has_ended.is_set():
            reader.gather(rows, out, None)
            assert np.rint(out.mean(axis=(1, 2, 3)) / 10).tolist() == [number] * 4
        return True

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(read, number) for number in range(2 if are_alike else 4)]
        time.sleep(1.5)
        has_ended.set()
        assert all(one.result(30) for one in waiting)


def test_a_damaged_record_is_decoded_again_and_counted(pictures, tmp_path):
    reader = opened(pictures, tmp_path / "c")
    numbers(reader)
    (pixels,) = (tmp_path / "c").glob("*.pixels")
    with pixels.open("r+b") as file:
        file.seek(5 * 56 + 7)
        file.write(b"\x55")
    out = reader.spec.empty(NUM_PICTURES)
    with Meter() as meter:
        reader.gather(np.arange(NUM_PICTURES), out, None)
    assert (meter.num_cache_hits, meter.num_cache_misses, meter.num_cache_rejected) == (NUM_PICTURES - 1, 1, 1)
    assert numbers(reader) == (list(range(NUM_PICTURES)), NUM_PICTURES)  # of its new record


def test_paths_of_every_kind_are_recalled(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(pictures)
    deep = tmp_path
    while len(str(deep)) < 3000:
        deep /= "d" * 200
        deep.mkdir()
    shutil.copy(pictures / "8.jpg", deep / "8.jpg")
    (tmp_path / "ä ö\n.jpg").symlink_to(pictures / "9.jpg")
    (tmp_path / os.fsdecode(b"\xff.jpg")).symlink_to(pictures / "10.jpg")
    settle()
    names = ["7.jpg", str(pictures / "1.jpg"), str(deep / "8.jpg"), str(tmp_path / "ä ö\n.jpg")]
    names += ["./7.jpg", str(tmp_path / os.fsdecode(b"\xff.jpg"))]
    reader = opened(None, tmp_path / "c", list(map(os.fsencode, names)))
    monkeypatch.chdir("/")
    expected = [7, 1, 8, 9, 7, 10]
    assert numbers(reader) == (expected, 0)
    assert numbers(reader) == (expected, 6)


def test_rows_may_be_a_part_of_another_array_or_none(pictures, tmp_path):
    reader = opened(pictures, tmp_path / "c")
    for rows in (np.arange(NUM_PICTURES)[::-1], np.arange(0, NUM_PICTURES, 3), np.arange(NUM_PICTURES)[1::2]):
        assert numbers(reader, rows)[0] == numbers(reader, rows)[0] == rows.tolist()
    assert numbers(reader, []) == ([], 0)


def test_lists_of_pictures_are_recalled_one_by_one(pictures, tmp_path):
    lists = [["0.jpg", "1.jpg"], [], ["2.jpg"], ["1.jpg", "3.jpg", "4.jpg"]]
    reader = opened(pictures, tmp_path / "c", lists, num_images=3)
    rows = np.array([3, 0, 1, 2, 3])
    for num_misses in (9, 0):
        out = reader.spec.empty(5)
        out[...] = 0xA5
        with Meter() as meter:
            reader.gather(rows, out, None)
        assert meter.num_cache_misses == num_misses
        found = np.rint(out.mean(axis=(2, 3, 4)) / 10).tolist()
        assert found == [[1, 3, 4], [0, 1, 0], [0, 0, 0], [2, 0, 0], [1, 3, 4]]


def test_pictures_that_are_proved_by_a_digest_are_recalled(pictures, tmp_path):
    names = [str(pictures / f"{number}.jpg") for number in range(6)]
    frame = pd.DataFrame({"path": names, "digest": hash_pictures(names)})
    reader = Images("path", size=(4, 4), cache=tmp_path / "c", verify="hash", hashes="digest").open(Table(frame), "i")
    assert numbers(reader) == (list(range(6)), 0)
    assert numbers(reader) == (list(range(6)), 6)
