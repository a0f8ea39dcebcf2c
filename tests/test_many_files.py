"""Files read together are the files read alone: content, order, and whatever is odd about one."""

from __future__ import annotations

import ctypes
import errno
import itertools
import multiprocessing
import os
import platform
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.errors import ConfigError, DecodeError, RowError
from rowlock.inputs.images import Images
from rowlock.meter import Meter
from rowlock.pictures import many_files, roots
from rowlock.pictures.files import FLAGS, read_file
from rowlock.pictures.jpeg import read_header
from rowlock.pictures.many_files import can_read_many, read_many, stat_many
from rowlock.pictures.roots import Root
from rowlock.table import Table

pytestmark = pytest.mark.skipif(not can_read_many(), reason="this system has no statx: files are read one by one")

MOST = 1 << 30


def save(folder, sizes):
    """Files whose bytes depend on their number."""
    paths = []
    for number, size in enumerate(sizes):
        path = folder / f"ä {number}.bin"
        path.write_bytes(np.random.default_rng(number).bytes(size))
        paths.append(os.fsencode(path))
    return paths


def together(paths, max_bytes=MOST):
    return [None if data is None else bytes(data) for data in read_many(paths, FLAGS, max_bytes)]


def test_every_file_is_whole_and_in_its_place(tmp_path):
    sizes = [0, 1, 5000, 300_000, 300_000, 300_000, 300_000, 1, 1 << 20, 7, (1 << 20) + 1, 12]
    paths = save(tmp_path, sizes)
    order = [*range(len(paths)), 3, 3, 0, 10, 8]
    expected = [read_file(paths[number], MOST) for number in order]
    expected = [data if len(data) <= 1 << 20 else None for data in expected]  # larger than the buffer: read alone
    assert together([paths[number] for number in order]) == expected
    assert together([]) == []


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(1, 300))
def test_a_buffer_of_any_size_gives_the_same_files(tmp_path_factory, sizes, buffer_bytes):
    paths = save(tmp_path_factory.mktemp("files"), sizes)
    many_files._buffers.append(np.empty(buffer_bytes, np.uint8))
    found = together(paths)
    many_files._buffers.clear()
    assert found == [
        read_file(path, MOST) if size <= buffer_bytes else None for path, size in zip(paths, sizes, strict=True)
    ]


def test_what_is_no_file_to_be_read_is_left_to_who_reads_it_alone(tmp_path):
    whole = save(tmp_path, [10, 11])
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(os.fsdecode(whole[0]))
    odd = [tmp_path / "pipe", tmp_path, tmp_path / "missing", "/dev/zero", tmp_path / ("x" * 300)]
    for path in odd:
        first, second, third = together([whole[0], os.fsencode(path), whole[1]])
        assert (len(first), second, len(third)) == (10, None, 11)
    assert together([os.fsencode(tmp_path / "link"), *whole], max_bytes=10)[::2] == [read_file(whole[0], MOST), None]
    no_links = [data is None for data in read_many([os.fsencode(tmp_path / "link")], FLAGS | os.O_NOFOLLOW, MOST)]
    assert no_links == [True]


def test_no_descriptor_stays_open(tmp_path):
    paths = [*save(tmp_path, [10] * 5), os.fsencode(tmp_path)]
    together(paths * 10)
    stat_many(paths)
    opened = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    assert not opened & {os.path.realpath(os.fsdecode(path)) for path in paths}


def test_readers_within_readers_and_threads_do_not_share_memory(tmp_path):
    paths = save(tmp_path, [5000 + number for number in range(40)])
    expected = [read_file(path, MOST) for path in paths]
    for number, outer in enumerate(read_many(paths, FLAGS, MOST)):
        assert together(paths) == expected
        assert outer == expected[number]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: together(paths) == expected, range(60)))


def test_a_reader_that_is_left_early_gives_its_memory_back(tmp_path):
    paths = save(tmp_path, [10, 20])
    many_files._buffers.clear()
    reader = read_many(paths, FLAGS, MOST)
    next(reader)
    assert not many_files._buffers
    reader.close()
    assert len(many_files._buffers) == 1
    assert together(paths) == [read_file(path, MOST) for path in paths]
    assert len(many_files._buffers) == 1


@pytest.mark.parametrize("what", ["corrupt", "missing"])
def test_errors_that_are_kept_keep_no_memory(pictures, tmp_path, what):
    for path in (tmp_path / "in").iterdir():
        path.write_bytes(b"nothing") if what == "corrupt" else path.unlink()
    reader = Images("path", size=(8, 8), root=tmp_path / "in").open(Table(pictures), "image")
    many_files._buffers.clear()
    kept = []
    for row in range(12):
        with pytest.raises(RowError) as caught:
            reader.gather(np.array([row]), reader.spec.empty(1), None)
        kept.append(caught.value)
    assert len(kept) == 12
    assert len(many_files._buffers) == 1


def test_no_limit_on_pixels_is_too_large(pictures, tmp_path):
    reader = Images("path", size=(8, 8), root=tmp_path / "in", max_pixels=10**30).open(Table(pictures), "image")
    reader.gather(np.arange(12), reader.spec.empty(12), None)


def without_statx(error):
    """Make statx fail, as old sandboxes do: a filter of system calls of this process, which stays."""
    library = ctypes.CDLL(None, use_errno=True)
    load, is_equal, give = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 0), (is_equal, 0, 1, 332), (give, 0, 0, 0x50000 | error), (give, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code)))
    return library.prctl(38, 1, 0, 0, 0) == 0 and library.prctl(22, 2, program, 0, 0) == 0


def gather_without_statx(folder, cache, names, error, told):
    try:
        if not without_statx(error):
            told.put("no filter")
            return
        can_read_many.cache_clear()
        reader = Images("path", size=(8, 8), root=folder, cache=cache).open(Table(pd.DataFrame({"path": names})), "i")
        found = []
        for _ in range(2):
            out = reader.spec.empty(len(names))
            with Meter() as meter:
                reader.gather(np.arange(len(names)), out, None)
            found.append((out.tobytes(), meter.num_cache_hits))
        told.put(found)
    except BaseException as what:
        told.put(repr(what))
        raise


@pytest.mark.skipif(platform.machine() != "x86_64", reason="system calls have other numbers")
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_pictures_and_their_cache_do_without_statx_where_it_is_forbidden(pictures, tmp_path, error):
    names, folder = pictures["path"].tolist(), tmp_path / "in"
    reader = Images("path", size=(8, 8), root=folder).open(Table(pictures), "image")
    expected = reader.spec.empty(12)
    reader.gather(np.arange(12), expected, None)
    time.sleep(0.15)  # a file that has just changed is not kept
    spawning = multiprocessing.get_context("spawn")
    told = spawning.SimpleQueue()
    process = spawning.Process(target=gather_without_statx, args=(folder, tmp_path / "c", names, error, told))
    process.start()
    found = told.get()
    process.join()
    if found == "no filter":
        pytest.skip("filters of system calls are not allowed here")
    assert found == [(expected.tobytes(), 0), (expected.tobytes(), 12)]


def test_states_are_those_that_python_tells(tmp_path):
    paths = save(tmp_path, [0, 12, 5000])
    os.utime(paths[1], ns=(1_000_000_001, -5_999_999_999))
    (tmp_path / "link").symlink_to(os.fsdecode(paths[2]))
    os.utime(paths[0], ns=(0, 9_300_000_000 * 10**9))  # more than 63 bits, where the file system keeps it
    asked = [*paths, os.fsencode(tmp_path), os.fsencode(tmp_path / "link"), b"", os.fsencode(tmp_path / "missing")]
    found = stat_many(asked).tolist()
    told = [Path(os.fsdecode(path)).stat() for path in asked[:5]]
    told = [[status.st_size, status.st_mtime_ns, status.st_ctime_ns] for status in told]
    assert (np.array(found[:5]).view(np.uint64).tolist()) == [[word % (1 << 64) for word in words] for words in told]
    assert [size for size, _, _ in found[5:]] == [-1, -1]
    root = Root(None, MOST)
    assert root.versions(asked) == [root.version(path) for path in asked]


def test_a_file_that_is_cut_meanwhile_never_comes_with_bytes_of_another(tmp_path):
    """Each file repeats one byte; a length that shrinks and grows while it is read must not show the buffer.

    Zeros are the system's: what it cuts off, it clears first, and a reader may come between.
    """
    paths = [tmp_path / f"{number}" for number in range(1, 9)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(bytes([number]) * 200_000)
    has_ended = threading.Event()

    def change():
        while not has_ended.is_set():
            for number, path in enumerate(paths, 1):
                os.truncate(path, 10_000)
                with path.open("r+b") as file:
                    file.write(bytes([number]) * 200_000)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(200):
            for number, data in enumerate(together([os.fsencode(path) for path in paths]), 1):
                assert data is None or set(data) <= {number, 0}
    finally:
        has_ended.set()
        changing.join()


@pytest.fixture
def pictures(tmp_path):
    from PIL import Image

    (tmp_path / "in").mkdir()
    paths = []
    for number, kind in zip(range(12), itertools.cycle(["jpg", "png", "webp"])):
        path = tmp_path / "in" / f"{number}.{kind}"
        Image.fromarray(np.full((40 + number, 50, 3), 20 * number, np.uint8)).save(path)
        paths.append(path.name)
    return pd.DataFrame({"path": paths})


@pytest.mark.parametrize("is_fenced", [False, True])
def test_pictures_are_the_same_where_files_cannot_be_read_together(pictures, tmp_path, monkeypatch, is_fenced):
    if not is_fenced:
        pictures["path"] = [str(tmp_path / "in" / name) for name in pictures["path"]]
    found = []
    for can in (True, False):
        monkeypatch.setattr(roots, "can_read_many", lambda can=can: can)  # as on another system
        reader = Images("path", size=(8, 8), root=tmp_path / "in" if is_fenced else None).open(Table(pictures), "image")
        out = reader.spec.empty(12)
        with Meter() as meter:
            reader.gather(np.arange(12)[::-1].copy(), out, None)
        found.append((out.tobytes(), meter.read_bytes, reader.fingerprint))
    assert found[0] == found[1]
    assert found[0][1] == sum(path.stat().st_size for path in (tmp_path / "in").iterdir())


def test_a_fence_holds_for_links_among_files_that_are_read_together(pictures, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes((tmp_path / "in" / "0.jpg").read_bytes())
    (tmp_path / "in" / "3.jpg").unlink()
    (tmp_path / "in" / "3.jpg").symlink_to(secret)
    reader = Images("path", size=(8, 8), root=tmp_path / "in").open(Table(pictures), "image")
    with pytest.raises(RowError, match="a link leads out of root") as caught:
        reader.gather(np.arange(12), reader.spec.empty(12), None)
    assert caught.value.row == 3
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "4.png").write_bytes((tmp_path / "in" / "4.png").read_bytes())
    pictures.loc[3, "path"] = "folder/4.png"
    reader = Images("path", size=(8, 8), root=tmp_path / "in").open(Table(pictures), "image")
    with pytest.raises(RowError, match="a link leads out of root") as caught:
        reader.gather(np.arange(12), reader.spec.empty(12), None)
    assert caught.value.row == 3
    pictures.loc[3, "path"] = "../secret.jpg"
    with pytest.raises(ConfigError, match="leave root"):
        Images("path", size=(8, 8), root=tmp_path / "in").open(Table(pictures), "image")


def test_the_first_bad_one_of_many_is_named_whatever_follows(pictures, tmp_path):
    (tmp_path / "in" / "5.webp").unlink()
    (tmp_path / "in" / "7.png").write_bytes(b"nothing")
    reader = Images("path", size=(8, 8), root=tmp_path / "in").open(Table(pictures), "image")
    with pytest.raises(RowError, match="no such file") as caught:
        reader.gather(np.arange(12), reader.spec.empty(12), None)
    assert (caught.value.row, caught.value.stage) == (5, "read")
    assert caught.value.path == str(tmp_path / "in" / "5.webp")


def segments(data):
    """Read a JPEG's header as the standard says, in plain Python: size, frame and EXIF block, or where it ends."""
    at, frame, exif = 2, None, b""
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return "marker"
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker in {0xDA, 0xD9}:
            break
        else:
            length = int.from_bytes(data[at + 2 : at + 4])
            if marker in set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} and at + 9 <= len(data):
                frame = marker, int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
                exif = data[at + 4 : at + 2 + length]
            at += 2 + max(2, length)
    return "end" if frame is None or at + 4 > len(data) else (*frame, exif)


MARKERS = [0xC0, 0xC2, 0xC4, 0xCC, 0xD8, 0xDB, 0xE0, 0xE1, 0x01, 0xD3, 0xFF, 0xDA, 0xD9, 0x42]
BODY = st.one_of(st.binary(max_size=12), st.builds(lambda tail: b"Exif\0\0" + tail, st.binary(max_size=30)))
SEGMENT = st.tuples(st.sampled_from(MARKERS), BODY, st.integers(-3, 3))


@given(st.lists(SEGMENT, max_size=8), st.binary(max_size=8))
def test_headers_are_walked_as_the_standard_says(parts, tail):
    made = [bytes([0xFF, marker]) + max(0, len(body) + 2 + error).to_bytes(2) + body for marker, body, error in parts]
    data = b"\xff\xd8" + b"".join(made) + tail
    expected = segments(data)
    if isinstance(expected, str):
        with pytest.raises(DecodeError, match=expected):
            read_header(data)
        return
    header = read_header(memoryview(data))
    assert (header.height, header.width) == expected[1:3]
    assert header.progressive == (expected[0] in {0xC2, 0xC6, 0xCA, 0xCE})
