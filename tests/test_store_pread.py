"""What ``io="pread"`` promises: the same rows and errors as mapped files, and a process that outlives its files."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import ConfigError, RowError, StoreCorruptError, StoreError, StoreReadError
from rowlock.keys import Keys
from rowlock.meter import Meter
from rowlock.store import FeatureStore
from rowlock.store.disk.system_calls import READERS, address_of
from rowlock.store.layouts import shard_files as module_of_files
from rowlock.store.layouts.shard_files import ShardFiles

LAYOUTS = ["raw", "csr", "packed"]
NUM_ROWS, NUM_COLUMNS = 60, 40
every_layout = pytest.mark.parametrize("layout", LAYOUTS)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")


def values(num_rows=NUM_ROWS, num_columns=NUM_COLUMNS, dtype="float32"):
    """Rows of every density, each of its own numbers."""
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 120, (num_rows, num_columns))
    return (whole * (rng.random(whole.shape) < np.linspace(0, 1.1, num_rows)[:, None])).astype(dtype)


def keys_of(num_rows=NUM_ROWS):
    return [f"key-{i:03}" for i in range(num_rows)]


def make(path, layout, *, shard_bytes=1500, **options):
    """Several shards; rows of a csr store cross their edges."""
    FeatureStore.write(path, values(), keys=keys_of(), layout=layout, shard_bytes=shard_bytes, **options)
    store = FeatureStore.open(path, io="pread")
    assert len(all_files(store)[0]._opened) > 2
    return store


def all_files(store):
    """The open shards of a store."""
    return [files for files in vars(store._opened._matrix).values() if isinstance(files, ShardFiles)]


def files_of_rows(path, layout):
    folder = path / ("matrix/data" if layout == "csr" else "matrix")
    return sorted(folder.glob("c.*"), key=lambda file: int(file.name.split(".")[1]))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "growth.zarr"


# --- the same rows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float16", "float32", "float64", "int64"])
@every_layout
def test_rows_are_the_same_in_any_order_columns_and_dtype(tmp_path_factory, layout, dtype):
    path = tmp_path_factory.mktemp("s") / "s.zarr"
    matrix = values(dtype=dtype)
    FeatureStore.write(path, matrix, dtype=dtype, layout=layout, shard_bytes=700)
    mapped, read = FeatureStore.open(path), FeatureStore.open(path, io="pread")
    wide = "float64" if dtype != "int64" else "int64"

    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(
        rows=st.lists(st.integers(0, NUM_ROWS - 1), max_size=90),
        columns=st.none() | st.lists(st.integers(0, NUM_COLUMNS - 1), min_size=1, max_size=9),
        target=st.sampled_from([dtype, wide]),
    )
    def same(rows, columns, target):
        rows = np.array(rows, np.int64)
        chosen = None if columns is None else np.array(columns)
        width = NUM_COLUMNS if columns is None else len(columns)
        by_map, by_read = (np.full((len(rows), width), 7, target) for _ in range(2))
        read.will_need(rows)
        read.gather(rows, by_read, chosen)
        mapped.gather(rows, by_map, chosen)
        expected = matrix[rows] if columns is None else matrix[rows][:, columns]
        assert by_read.tobytes() == by_map.tobytes() == expected.astype(target).tobytes()

    same()
    assert read[:].tobytes() == matrix.tobytes()
    assert read.verify() == []


@every_layout
def test_keys_statistics_and_fingerprint_are_the_same(path, layout):
    read = make(path, layout)
    mapped = FeatureStore.open(path)
    assert read.io == "pread"
    assert mapped.io == "mmap"
    assert np.array_equal(read.by_key(["key-031", "key-002"]), values()[[31, 2]])
    assert read.keys.values().tolist() == keys_of()
    assert read.fingerprint == mapped.fingerprint
    assert mapped.extends(read.fingerprint)
    assert np.array_equal(read.statistics.mean, mapped.statistics.mean)
    hashes = Keys.of(["key-001", "key-003"], "x").hash()
    with pytest.raises(StoreCorruptError, match="another key's row") as caught:
        read.gather(np.array([1, 2]), np.empty((2, NUM_COLUMNS), "f4"), key_hashes=hashes)
    assert caught.value.rows == (2,)
    with pytest.raises(ConfigError, match=r"not in .*60"):
        read.gather(np.array([60]), np.empty((1, NUM_COLUMNS), "f4"))


@every_layout
def test_rows_longer_than_a_piece_and_batches_of_many_pieces(path, layout):
    matrix = np.tile(values(9, 1000), (1, 90)) * np.arange(1, 10, dtype="f4")[:, None]  # 360 kB a row
    FeatureStore.write(path, matrix, layout=layout, shard_bytes=800_000)
    rows = np.random.default_rng(0).integers(0, 9, 30)
    assert np.array_equal(FeatureStore.open(path, io="pread")[rows], matrix[rows])


@every_layout
def test_without_rows_and_after_appends(path, layout):
    store = FeatureStore.create(path, num_columns=NUM_COLUMNS, layout=layout, keys="text")
    store = FeatureStore.open(path, io="pread")
    assert store[:].shape == (0, NUM_COLUMNS)
    other = FeatureStore.open(path, io="pread")
    store.append(values()[:7], keys_of()[:7])
    assert np.array_equal(store[:], values()[:7])
    store.append(values()[7:], keys_of()[7:])
    assert store.io == "pread"
    assert np.array_equal(store[:], values())
    assert other.num_rows == 0


@pytest.mark.parametrize("way", READERS)
@every_layout
def test_without_the_c_library_rows_and_errors_are_the_same(path, layout, way, monkeypatch):
    if not hasattr(os, way):
        pytest.skip(f"this system has no {way}")
    monkeypatch.setattr(module_of_files, "read_at", READERS[way])
    store = make(path, layout)
    for files in all_files(store):
        files._pread = files._fadvise = 0
    rows = np.random.default_rng(0).integers(0, NUM_ROWS, 200)
    store.will_need(rows)
    assert np.array_equal(store[rows], values()[rows])
    truncate(files_of_rows(path, layout)[-1])
    with pytest.raises(StoreCorruptError, match="was cut off to 0 bytes while it was open"):
        store[:]


def test_without_the_fast_decoder_packed_rows_are_the_same_and_checked_alike(path):
    slow, fast = make(path, "packed"), FeatureStore.open(path, io="pread")
    slow._opened._matrix._decoder = 0
    assert np.array_equal(slow[:], values())
    truncate(files_of_rows(path, "packed")[1], 300)
    refused = []
    for store in (slow, fast):
        with pytest.raises(StoreCorruptError, match="cut off to 300 bytes") as caught:
            store[:]
        refused.append(caught.value.rows)
    assert len(refused[0]) > 1
    assert refused[0] == refused[1]


def test_this_machine_calls_the_c_library():
    assert address_of("pread") > 0
    assert address_of("no_such_function_anywhere") == 0
    if sys.platform == "linux":
        assert address_of("posix_fadvise") > 0


# --- which bytes are read -----------------------------------------------------------------------------------


PREAD = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)
FADVISE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_int)


def pread_through(store, decide):
    """Let the system's pread be asked through `decide`, which returns how many bytes it may read, or -1 to fail."""

    def pread(descriptor, target, num_bytes, offset):
        allowed = decide(descriptor, num_bytes, offset)
        if allowed < 0:
            return -1
        data = os.pread(descriptor, min(num_bytes, allowed), offset)
        ctypes.memmove(target, data, len(data))
        return len(data)

    function = PREAD(pread)
    for files in all_files(store):
        files._pread = ctypes.cast(function, ctypes.c_void_p).value
    store.kept = function


@every_layout
def test_what_comes_in_small_parts_is_put_together(path, layout):
    store = make(path, layout)
    pread_through(store, lambda *_: 7)
    assert np.array_equal(store[[5, 59, 5, 0, 30]], values()[[5, 59, 5, 0, 30]])


@every_layout
def test_a_row_takes_one_call_for_each_of_its_pieces_and_rows_in_order_take_one_together(path, layout):
    FeatureStore.write(path, values(), layout=layout)
    store = FeatureStore.open(path, io="pread")
    calls = []
    pread_through(store, lambda *call: calls.append(call) or call[1])
    with Meter() as meter:
        store[[50, 20, 35]]
    each = 2 if layout == "csr" else 1
    assert len(calls) == 3 * each
    assert meter.read_bytes == sum(num_bytes for _, num_bytes, _ in calls)
    assert "read" in meter.stages
    calls.clear()
    store[10:50]
    assert len(calls) == each


@every_layout
def test_a_batch_notes_the_bytes_that_were_really_read(path, layout):
    make(path, layout)
    frame = {"object_id": keys_of()}
    reader = rl.Features(str(path), io="pread").open(table_of(frame), "growth")
    rows = np.arange(NUM_ROWS)
    with Meter() as meter:
        reader.gather(rows, np.empty((NUM_ROWS, NUM_COLUMNS), "f4"), None)
    if layout == "packed":
        assert meter.read_bytes == FeatureStore.open(path)._opened._matrix._sizes.sum()
    else:
        assert meter.read_bytes == {"raw": values().nbytes, "csr": 6 * np.count_nonzero(values())}[layout]


def table_of(frame):
    import pandas as pd

    from rowlock.table import Table

    return Table(pd.DataFrame(frame), key="object_id")


@on_linux
@every_layout
def test_the_disk_is_told_about_the_bytes_that_will_be_read_unless_they_are_in_memory(path, layout):
    store = make(path, layout)
    rows, told, read = np.array([7, 50, 20, 21]), [], []
    advise = FADVISE(lambda *call: told.append(call) or 0)
    for files in all_files(store):
        files._fadvise = ctypes.cast(advise, ctypes.c_void_p).value
    store[:]
    store.will_need(rows)
    assert not told, "everything was read just now"
    for files in all_files(store):
        files._seem_cached = lambda *_: False
    store.will_need(rows)
    pread_through(store, lambda *call: read.append(call) or call[1])
    store.gather(rows, np.empty((4, NUM_COLUMNS), "f4"))
    assert {advice for *_, advice in told} == {os.POSIX_FADV_WILLNEED}
    assert [(descriptor, count, offset) for descriptor, offset, count, _ in told] == read


@on_linux
@every_layout
def test_what_left_the_page_cache_is_asked_for_again(path, layout):
    matrix = np.tile(values(), (50, 4))
    FeatureStore.write(path, matrix, layout=layout)
    store, told = FeatureStore.open(path, io="pread"), []
    advise = FADVISE(lambda *call: told.append(call) or 0)
    answers = []
    for files in all_files(store):
        files._fadvise = ctypes.cast(advise, ctypes.c_void_p).value
        files._seem_cached = recorded(files._seem_cached, answers)
        for descriptor in files._opened:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    rows = np.arange(40, 3000, 300)
    store.will_need(rows)
    # asking lets the system read: of a fast disk everything may be there by then
    assert len(told) == len(rows) * answers.count(False)
    assert len(answers) == len(all_files(store))
    if all(answers):
        pytest.skip("this file system keeps everything in memory, or its disk is as fast")
    assert np.array_equal(store[rows], matrix[rows])
    told.clear()
    store.will_need(rows)
    assert not told


def recorded(function, answers):
    def call(*arguments):
        answers.append(function(*arguments))
        return answers[-1]

    return call


@on_linux
def test_nothing_is_mapped_and_only_shards_stay_open(path):
    for layout in LAYOUTS:
        FeatureStore.write(path, values(), keys=keys_of(), layout=layout, shard_bytes=1500, overwrite=True)
        mapped = FeatureStore.open(path)
        assert str(path) in Path("/proc/self/maps").read_text()
        del mapped
        store = FeatureStore.open(path, io="pread")
        store.by_key(keys_of())
        store.verify()
        assert store.statistics is not None
        assert str(path) not in Path("/proc/self/maps").read_text()
        assert len(open_files(path)) == len(list((path / "matrix").rglob("c.*"))) - (layout == "csr")
        store.close()
        assert open_files(path) == []


def open_files(path):
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:  # that of the listing
            continue
    return [name for name in found if name.startswith(str(path))]


# --- files that are cut off, replaced, unreadable -----------------------------------------------------------


def truncate(file, size=0):
    os.truncate(file, size)


IN_A_CHILD = """
import sys, os, numpy as np
from rowlock.errors import StoreCorruptError
from rowlock.store import FeatureStore
path, io, *names = sys.argv[1:]
store = FeatureStore.open(path, io)
store[[0, 30, 59]]
for name in names:
    os.truncate(os.path.join(path, name), 0)
try:
    store[:]
except StoreCorruptError as error:
    print(error)
    print(error.rows)
"""


@on_linux
@pytest.mark.parametrize("everything", [False, True])
@every_layout
def test_a_file_that_is_cut_off_while_it_is_open_is_an_error_and_the_process_lives(path, layout, everything):
    make(path, layout)
    mapped = FeatureStore.open(path)  # before it is cut
    last = files_of_rows(path, layout)[-1]
    names = [str(last.relative_to(path))]
    if everything:
        names = [str(file.relative_to(path)) for file in path.rglob("c.*")]
    del mapped
    run = subprocess.run(
        [sys.executable, "-c", IN_A_CHILD, path, "pread", *names],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    message, rows = run.stdout.splitlines()
    for part in ("row ", "(key 'key-0", str(path), "was cut off to 0 bytes while it was open", "restore"):
        assert part in message
    damaged = [int(row) for row in rows.strip("()").split(",") if row]
    assert damaged[-1] == NUM_ROWS - 1
    if everything:
        cells = np.count_nonzero(values(), axis=1)
        assert damaged == [row for row in range(NUM_ROWS) if layout != "csr" or cells[row]]


@on_linux
def test_mapped_files_that_are_cut_off_end_the_process_as_the_documentation_says(path):
    matrix = np.ones((60, 4000), "f4")
    FeatureStore.write(path, matrix, layout="raw")
    run = subprocess.run([sys.executable, "-c", IN_A_CHILD, path, "mmap", "matrix/c.0.0"], timeout=280, check=False)
    assert run.returncode == -signal.SIGBUS


@every_layout
def test_rows_before_the_cut_stay_readable_and_verify_lists_the_others(path, layout):
    store = make(path, layout)
    last = files_of_rows(path, layout)[-1]
    truncate(last)
    with pytest.raises(StoreCorruptError) as caught:
        store[:]
    bad = np.array(caught.value.rows)
    assert 0 < len(bad) < NUM_ROWS
    good = np.setdiff1d(np.arange(NUM_ROWS), bad)
    assert np.array_equal(store[good], values()[good])
    listed = [row for first, stop, reason in store.verify() if "the row" in reason for row in range(first, stop)]
    assert listed == bad.tolist()


@every_layout
def test_a_store_that_is_removed_or_written_over_is_read_on_as_it_was(path, layout):
    store = make(path, layout)
    FeatureStore.write(path, values() + 1, keys=keys_of(), layout=layout, shard_bytes=1500, overwrite=True)
    assert np.array_equal(store[:], values())
    assert np.array_equal(FeatureStore.open(path, io="pread")[:], values() + 1)
    shutil.rmtree(path)
    assert np.array_equal(store[:], values())


@every_layout
def test_bytes_that_are_overwritten_in_place_are_an_error(path, layout):
    store = make(path, layout)
    file = files_of_rows(path, layout)[1]
    with file.open("r+b") as opened:
        opened.write(b"\x55" * 40)
    with pytest.raises(StoreCorruptError):
        store[:]


def test_replaced_rows_are_seen_by_who_opens_afterwards_only(path):
    store = make(path, "raw")
    FeatureStore.open(path).replace(["key-059"], np.full((1, NUM_COLUMNS), 9, "f4"))
    assert np.array_equal(store[:], values())
    assert (FeatureStore.open(path, io="pread")[59] == 9).all()


def spoil(store, *, number=-1):
    """Put a file that answers every reading with EIO in the place of a shard; return what undoes it."""
    broken = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at its beginning
    spoiled = []
    for files in all_files(store):
        descriptor = files._opened[number]
        spoiled.append((os.dup(descriptor), descriptor))
        os.dup2(broken, descriptor)
    os.close(broken)

    def undo():
        for whole, descriptor in spoiled:
            os.dup2(whole, descriptor)
            os.close(whole)

    return undo


@on_linux
@every_layout
def test_a_descriptor_that_went_stale_is_opened_again_and_counted_as_a_retry(path, layout):
    store = make(path, layout)
    spoil(store)
    with Meter() as meter:
        assert np.array_equal(store[:], values())
    assert meter.num_retries == len(all_files(store))
    with Meter() as meter:
        assert np.array_equal(store[:], values())
    assert meter.num_retries == 0, "the descriptor is whole again"


@on_linux
def test_an_error_that_passes_is_waited_for(path, monkeypatch):
    store = make(path, "raw")
    undo, waited = spoil(store), []
    shutil.rmtree(path / "matrix")  # so that it cannot be opened again

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 2:  # meanwhile it passes
            undo()

    monkeypatch.setattr("rowlock.retries.time", SimpleNamespace(sleep=sleep))
    with Meter() as meter:
        assert np.array_equal(store[:], values())
    assert waited == [0.05, 0.5]
    assert meter.num_retries == 3  # by the loop, at once, after 0.05 s; the next one, after 0.5 s, could be read


def test_one_refused_call_among_many_changes_nothing(path):
    for layout in LAYOUTS:
        FeatureStore.write(path, values(), keys=keys_of(), layout=layout, shard_bytes=1500, overwrite=True)
        for refused in range(12):
            store = FeatureStore.open(path, io="pread")
            count = iter(range(1000))
            pread_through(store, lambda _, n, __, count=count, refused=refused: -1 if next(count) == refused else n)
            with Meter() as meter:
                assert np.array_equal(
                    store[[*range(30, 60), *range(20), 5, 7]], values()[[*range(30, 60), *range(20), 5, 7]]
                )
            assert meter.num_retries == (next(count) > refused)


@on_linux
@every_layout
def test_an_error_that_stays_says_row_key_file_byte_and_what_to_do(path, layout, monkeypatch):
    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.01, 0.01, 0.01))
    store = make(path, layout)
    spoil(store)
    moved = path.with_name("gone")
    path.rename(moved)
    with Meter() as meter, pytest.raises(StoreReadError) as caught:
        store[:]
    path.mkdir()
    error = caught.value
    assert meter.num_retries == 4
    assert error.errno == errno.EIO
    assert isinstance(error, OSError)
    (row,) = error.rows
    place = {"raw": "at byte ", "csr": "cells ", "packed": "at byte "}[layout]
    for part in (f"row {row} (key 'key-{row:03}') of {path}", "Input/output error", "c.", place, "network mount"):
        assert part in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows, again.errno, again.row) == (str(error), error.rows, errno.EIO, None)
    good = np.arange(row)
    assert np.array_equal(store[good], values()[good])


@on_linux
@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_a_disk_that_refuses_ends_an_epoch_and_is_no_bad_row(path, on_error, monkeypatch):
    import pandas as pd

    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.01, 0.01, 0.01))
    store = make(path, "raw")
    frame = pd.DataFrame({"object_id": keys_of()[::-1], "y": np.arange(NUM_ROWS)})
    data = rl.Dataset(frame, key="object_id", inputs={"growth": rl.Features(store)}, target=rl.Column("y"))
    spoil(store)
    path.rename(path.with_name("gone"))
    kind = RowError if on_error == "raise" else StoreReadError
    loader = data.batches(NUM_ROWS, shuffle=False, on_error=on_error)
    with loader, pytest.raises(kind) as caught:
        next(iter(loader))
    assert not loader.bad_rows
    cause = caught.value.__cause__ if on_error == "raise" else caught.value
    (row,) = cause.rows
    assert f"row {row} (key 'key-{row:03}')" in str(cause)
    assert cause.row == NUM_ROWS - 1 - row
    if on_error == "raise":
        error = caught.value
        assert (error.input, error.key, error.row, error.stage) == ("growth", f"key-{row:03}", cause.row, "read")


def test_a_file_that_is_cut_off_under_a_loader_masks_its_rows(path):
    import pandas as pd

    make(path, "raw")
    frame = pd.DataFrame({"object_id": keys_of(), "y": np.arange(NUM_ROWS)})
    data = rl.Dataset(
        frame, key="object_id", inputs={"growth": rl.Features(str(path), io="pread")}, target=rl.Column("y")
    )
    with data.batches(batch_size=10, shuffle=False, on_error="mask", max_bad=1.0) as loader:
        truncate(files_of_rows(path, "raw")[-1])
        batches = list(loader)
        bad = [entry.key for entry in loader.bad_rows]
    weights = np.concatenate([batch.sample_weight for batch in batches])
    delivered = np.concatenate([batch.inputs["growth"] for batch in batches])
    assert bad == [keys_of()[row] for row in np.flatnonzero(weights == 0)]
    assert bad[-1] == "key-059"
    assert np.array_equal(delivered[weights > 0], values()[weights > 0])


# --- descriptors, threads, arguments ------------------------------------------------------------------------


WITH_FEW_DESCRIPTORS = """
import sys, os, resource, numpy as np
from rowlock.errors import StoreError
from rowlock.store import FeatureStore
path, io, spare = sys.argv[1:]
whole = FeatureStore.open(path, io)
expected = whole[:]
del whole
used = len(os.listdir("/proc/self/fd")) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used + int(spare), used + int(spare)))
try:
    store = FeatureStore.open(path, io)
except StoreError as error:
    print(error)
else:
    print(np.array_equal(store[:], expected))
print(len(os.listdir("/proc/self/fd")) - 1 - used)
"""


@on_linux
def test_a_store_of_more_shards_than_descriptors_says_so_and_leaves_none_open(path):
    make(path, "raw")
    num_shards = len(files_of_rows(path, "raw"))

    def told(io, spare):
        run = subprocess.run(
            [sys.executable, "-c", WITH_FEW_DESCRIPTORS, path, io, str(spare)],
            capture_output=True, text=True, timeout=280, check=True,
        )  # fmt: skip
        return run.stdout.splitlines()

    assert told("pread", num_shards + 2) == ["True", str(num_shards)]
    message, left = told("pread", num_shards - 1)
    for part in (f"keeps {num_shards} files of matrix open", "ulimit -n", 'io="mmap"', "shard_bytes"):
        assert part in message
    assert left == "0"
    assert told("mmap", 3) == ["True", "0"]


@every_layout
def test_many_threads_read_while_another_one_appends(path, layout):
    store = make(path, layout)
    wrong, stop = [], threading.Event()

    def read(seed):
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            rows = rng.integers(0, NUM_ROWS, 50)
            if not np.array_equal(store[rows], values()[rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(6)]
    for thread in threads:
        thread.start()
    writer = FeatureStore.open(path)
    for number in range(15):
        writer.append(values()[:5], [f"new-{number}-{i}" for i in range(5)])
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert not any(thread.is_alive() for thread in threads)
    assert np.array_equal(FeatureStore.open(path, io="pread")[60:65], values()[:5])


def test_stale_descriptors_are_mended_while_other_threads_read(path):
    if sys.platform != "linux":
        pytest.skip("needs /proc/self/mem")
    store = make(path, "raw")
    wrong, stop = [], threading.Event()

    def read(seed):
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            rows = rng.integers(0, NUM_ROWS, 50)
            try:
                if not np.array_equal(store[rows], values()[rows]):
                    wrong.append(seed)
            except StoreError as error:
                wrong.append(error)

    threads = [threading.Thread(target=read, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    broken = os.open("/proc/self/mem", os.O_RDONLY)
    (files,) = all_files(store)
    for descriptor in np.random.default_rng(0).choice(files._opened, 40).tolist():
        os.dup2(broken, descriptor)
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(60)
    os.close(broken)
    assert not wrong


def test_other_processes_get_a_store_that_reads_in_the_same_way(path):
    store = pickle.loads(pickle.dumps(make(path, "csr")))
    assert store.io == "pread"
    assert np.array_equal(store[:], values())


def test_arguments_that_make_no_sense_are_refused(path, tmp_path):
    store = make(path, "raw")
    for io in ("read", "MMAP", None, 1):
        with pytest.raises(ConfigError, match=r'io="mmap".*io="pread"'):
            FeatureStore.open(path, io)
    with pytest.raises(ConfigError, match="io='fast'"):
        rl.Features(str(path), io="fast")
    for source in (store, values()):
        with pytest.raises(ConfigError, match="address of a store"):
            rl.Features(source, io="pread")
    np.save(tmp_path / "m.npy", values())
    frame = {"object_id": keys_of()}
    with pytest.raises(ConfigError, match=r"'growth'.*io='pread'.*m\.npy"):
        rl.Features(tmp_path / "m.npy", io="pread").open(table_of(frame), "growth")
    assert rl.Features(path, io="pread").open(table_of(frame), "growth")._matrix.store.io == "pread"
