"""Writers that die, at any moment and at every call, and disks that refuse: the last commit is there, whole.

This file is also the program that is killed: ``python test_store_crash.py FOLDER LAYOUT KILLS SEED``.
"""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rowlock.errors import RowlockError, StoreError, StoreWriteError
from rowlock.store import FeatureStore

NUM_COLUMNS = 50
TEN_ROWS = {"raw": 10 * 4 * NUM_COLUMNS, "csr": 10 * 4 * 17, "packed": 1000, "auto": 1000}
"""About as many bytes of a shard; a store without rows has yet to choose its layout."""

every_layout = pytest.mark.parametrize("layout", TEN_ROWS)


def rows_of(start, stop):
    rows, columns = np.arange(start, stop)[:, None], np.arange(NUM_COLUMNS)
    return ((rows * 100 + columns) * ((rows + columns) % 3 == 0)).astype(np.float32)


def keys_of(start, stop):
    return [f"key-{i}" for i in range(start, stop)]


def require_whole(path, num_acknowledged):
    """Every committed row is exact, and nothing that was acknowledged is gone."""
    with FeatureStore.open(path) as store:
        assert store.num_rows >= num_acknowledged, "an acknowledged row is lost"
        assert np.array_equal(store[:], rows_of(0, store.num_rows))
        assert store.keys.values().tolist() == keys_of(0, store.num_rows)
        assert store.find(store.keys).tolist() == list(range(store.num_rows))
        assert store.verify() == []
        if store.num_rows:
            assert store.statistics.num_rows == store.num_rows
            assert store.statistics.max.tolist() == rows_of(0, store.num_rows).max(axis=0).tolist()
        return store.num_rows


# --- real kills -------------------------------------------------------------------------------------------


def append_forever(path, acknowledged):
    """The process that is killed."""
    rng = random.Random(os.getpid())
    store = FeatureStore.open(path)
    while True:
        start, stop = store.num_rows, store.num_rows + rng.randint(1, 40)
        store.append(rows_of(start, stop), keys_of(start, stop))
        os.write(acknowledged, b"%d\n" % stop)


def kill_again_and_again(path, layout, num_kills, seed):
    """Fork a writer, kill it some time after it acknowledged 0 to 3 appends, look, and let the next one go on."""
    rng = random.Random(seed)
    FeatureStore.write(path.with_name("warm"), rows_of(0, 9), keys=keys_of(0, 9), layout=layout)
    require_whole(path.with_name("warm"), 9)  # so that the first child need not load everything
    FeatureStore.create(path, num_columns=NUM_COLUMNS, keys="text", layout=layout, shard_bytes=30 * TEN_ROWS[layout])
    acknowledged = 0
    in_the_middle = 0
    for _ in range(num_kills):
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            append_forever(path, write_end)
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            told = [pipe.readline() for _ in range(rng.randint(0, 3))]  # so that a busy machine comes to writing, too
            time.sleep(rng.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told += pipe.readlines()
        acknowledged = max([acknowledged, *map(int, told)])
        found = require_whole(path, acknowledged)
        in_the_middle += any(path.rglob(".*.partial")) or found > acknowledged
        acknowledged = found
    return {"kills": num_kills, "rows": acknowledged, "in_the_middle": in_the_middle}


def run_kills(path, layout, num_kills):
    seed = random.randrange(10**9)
    done = subprocess.run(
        [sys.executable, __file__, path, layout, str(num_kills), str(seed)],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


@every_layout
def test_killed_writers_lose_no_acknowledged_row_and_the_next_one_goes_on(tmp_path, layout):
    figures = run_kills(tmp_path / "s.zarr", layout, 10)
    assert figures["kills"] == 10
    assert figures["rows"] > 0


@pytest.mark.slow
@every_layout
def test_a_hundred_killed_writers_lose_no_acknowledged_row(tmp_path, layout):
    figures = run_kills(tmp_path / "s.zarr", layout, 100)
    assert figures["in_the_middle"] > 10


# --- every call -------------------------------------------------------------------------------------------

CALLS = [
    "open",
    "pwrite",
    "fsync",
    "ftruncate",
    "copy_file_range",
    "replace",
    "rename",
    "mkdir",
    "unlink",
    "rmdir",
    "close",
]


class _At:
    """Counts the calls into the system, and does something at the n-th."""

    def __init__(self, monkeypatch, number, act, names=CALLS):
        self.count = 0
        for name in names:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), number, act))

    def _wrapped(self, call, number, act):
        def wrapper(*arguments, **named):
            self.count += 1
            if self.count == number:
                return act(call, *arguments, **named)
            return call(*arguments, **named)

        return wrapper


def exit_at_once(*_, **__):
    os._exit(9)


def half_write_then_exit(call, *arguments, **named):
    if call.__name__ == "pwrite":
        descriptor, data, offset = arguments
        call(descriptor, data[: len(data) // 2], offset)
    os._exit(9)


def fail_with(number):
    def act(*_, **__):
        raise OSError(number, os.strerror(number))

    return act


def write_half(call, *arguments, **named):
    if call.__name__ == "pwrite":
        descriptor, data, offset = arguments
        return call(descriptor, data[: max(1, len(data) // 2)], offset)
    return call(*arguments, **named)


def in_a_fork(work):
    """Run `work` in a child process and return its exit code: 0 done, 9 crashed, else a traceback was shown."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def two_appends(store):
    """Fills a shard, starts another, merges runs, rewrites the tail."""
    start = store.num_rows
    store.append(rows_of(start, 12), keys_of(start, 12))
    store.append(rows_of(12, 15), keys_of(12, 15))


def fresh(folder, number, layout):
    """Return a copy of a store of seven rows, or of none where the layout has yet to be chosen."""
    template, path = folder / "template", folder / f"{number}.zarr"
    if not template.exists():
        how = {"layout": layout, "shard_bytes": TEN_ROWS[layout]}
        store = FeatureStore.create(template, num_columns=NUM_COLUMNS, keys="text", **how)
        if layout != "auto":
            store.append(rows_of(0, 7), keys_of(0, 7))
    shutil.copytree(template, path)
    return path


def go_on(path, num_rows):
    """The next writer finds `num_rows` or more, and appends."""
    found = require_whole(path, num_rows)
    assert found in {num_rows, 12, 15}
    FeatureStore.open(path).append(rows_of(found, 20), keys_of(found, 20))
    require_whole(path, 20)
    assert not list(path.rglob(".*.partial"))
    shutil.rmtree(path)


some_calls = pytest.mark.parametrize("step", [9], ids=["some"])
# Where to start is drawn anew in each run, so that every call has its turn.
some_calls_or_half = pytest.mark.parametrize("step", [9, pytest.param(2, marks=pytest.mark.slow)], ids=["some", "half"])


def die_at_calls(folder, layout, act, step):
    first_rows = 0 if layout == "auto" else 7
    warm = fresh(folder, 0, layout)
    two_appends(FeatureStore.open(warm))  # so that no child need load kernels
    require_whole(warm, 15)
    for number in range(random.randint(1, step), 1000, step):
        path = fresh(folder, number, layout)

        def work(path=path, number=number):
            store = FeatureStore.open(path)
            _At(pytest.MonkeyPatch(), number, act)
            two_appends(store)

        code = in_a_fork(work)
        go_on(path, first_rows)
        if code == 0:
            assert number > 50, "the calls were counted"
            return
        assert code == 9
    pytest.fail("the writer never ends")


@every_layout
@some_calls
def test_a_writer_that_dies_before_any_call_leaves_a_whole_store(tmp_path, layout, step):
    die_at_calls(tmp_path, layout, exit_at_once, step)


@every_layout
@some_calls_or_half
def test_a_writer_that_dies_at_any_call_or_in_the_middle_of_a_write_leaves_a_whole_store(tmp_path, layout, step):
    die_at_calls(tmp_path, layout, half_write_then_exit, step)


@every_layout
@some_calls_or_half
def test_a_disk_that_refuses_any_call_leaves_a_whole_store_and_is_named(tmp_path, layout, step):
    refused = 0
    names = [name for name in CALLS if name not in {"close", "unlink", "rmdir"}]
    first_rows = 0 if layout == "auto" else 7
    for number in range(random.randint(1, step), 1000, step):
        path = fresh(tmp_path, number, layout)
        opened = FeatureStore.open(path)
        full_or_broken = errno.ENOSPC if random.random() < 0.5 else errno.EIO
        with pytest.MonkeyPatch.context() as patch:
            calls = _At(patch, number, fail_with(full_or_broken), names)
            try:
                two_appends(opened)
            except StoreWriteError as error:
                refused += 1
                assert "last commit is safe" in str(error)  # noqa: PT017 - most calls do not raise
            except StoreError:
                refused += 1
            if calls.count < number:
                assert refused > 50 // step
                return
        go_on(path, first_rows)
    pytest.fail("the writer never ends")


@every_layout
def test_short_writes_go_on_where_they_stopped(tmp_path, layout):
    path = fresh(tmp_path, 0, layout)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("pwrite",):
            call = getattr(os, name)
            patch.setattr(os, name, lambda *arguments, call=call: write_half(call, *arguments))
        two_appends(FeatureStore.open(path))
    require_whole(path, 15)


@pytest.mark.parametrize("layout", ["raw", "csr", "packed"])
def test_a_disk_that_is_really_full_leaves_the_last_commit(tmp_path, layout):
    path = fresh(tmp_path, 0, layout)

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
        try:
            FeatureStore.open(path).append(rows_of(7, 5007), keys_of(7, 5007))
        except StoreWriteError as error:
            os._exit(9 if "rows 0..6 are" in str(error) else 8)

    assert in_a_fork(work) == 9
    assert require_whole(path, 7) == 7


# --- writing a whole store --------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
@some_calls_or_half
def test_a_write_that_dies_at_any_call_leaves_the_old_store_or_the_new(tmp_path, overwrite, step):
    for number in range(random.randint(1, step), 1000, step):
        path = tmp_path / f"{number}.zarr"
        if overwrite:
            FeatureStore.write(path, np.zeros((3, 2)))

        def work(path=path, number=number):
            _At(pytest.MonkeyPatch(), number, exit_at_once)
            FeatureStore.write(path, np.ones((4, 2)), overwrite=overwrite)

        code = in_a_fork(work)
        try:
            store = FeatureStore.open(path)
            assert np.array_equal(store[:], np.ones((4, 2))) or (
                overwrite and np.array_equal(store[:], np.zeros((3, 2)))
            )
            assert store.verify() == []
        except RowlockError:
            assert not overwrite
            assert not path.exists()
        for leftover in tmp_path.glob(f".{path.name}.*"):
            os.utime(leftover, (0, 0))  # one that has not even a lock yet is left alone for a minute
        FeatureStore.write(path, np.ones((5, 2)), overwrite=True)
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
        shutil.rmtree(path)
        if code == 0:
            return
    pytest.fail("the writer never ends")


def test_a_build_that_is_alive_is_not_taken_for_a_leftover(tmp_path):
    path = tmp_path / "s.zarr"

    def blocks():
        yield np.zeros((2, 2))
        FeatureStore.write(path, np.ones((3, 2)))
        yield np.zeros((2, 2))

    with pytest.raises(StoreError, match="made by somebody else meanwhile"):
        FeatureStore.write(path, blocks())
    assert np.array_equal(FeatureStore.open(path)[:], np.ones((3, 2)))
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.zarr"]


# --- memory -----------------------------------------------------------------------------------------------

STREAM = """
import sys
import numpy as np
from rowlock.store import FeatureStore
def peak():  # KiB; not ru_maxrss, which a child inherits from the process that starts it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
num_bytes = int(sys.argv[2])
block = np.random.default_rng(0).standard_normal((4096, 1000)).astype(np.float32)
count = num_bytes // block.nbytes
FeatureStore.write(sys.argv[1] + ".warm", block[:3], layout=sys.argv[3])
before = peak()
blocks = (block + i for i in range(count))
store = FeatureStore.write(sys.argv[1], blocks, keys=np.arange(count * 4096), layout=sys.argv[3])
after = peak()
assert np.array_equal(store[4096 * (count - 1) + 5], block[5] + (count - 1))
print(after // 1024, (after - before) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("layout", "size"), [("auto", 1 << 30), ("csr", 1 << 29), ("packed", 1 << 29)])
def test_a_gibibyte_streams_through_little_memory(tmp_path, layout, size):
    done = subprocess.run(
        [sys.executable, "-c", STREAM, tmp_path / "s.zarr", str(size), layout],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, added = map(int, done.stdout.split())
    assert peak < 500
    assert added < 100


MAPPED = """
import sys
import numpy as np
from rowlock.store import FeatureStore
def peak():  # KiB; not ru_maxrss, which a child inherits from the process that starts it
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
matrix = np.lib.format.open_memmap(sys.argv[1] + ".npy", "w+", np.float32, (60_000, 1000))
del matrix
FeatureStore.write(sys.argv[1] + ".warm", np.zeros((3, 1000)))
before = peak()
FeatureStore.write(sys.argv[1], np.load(sys.argv[1] + ".npy", mmap_mode="r"))
print((peak() - before) // 1024)
"""


def test_a_mapped_matrix_is_written_without_keeping_its_pages(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, str(tmp_path / "s.zarr")], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 160, "of 229 MiB"


if __name__ == "__main__":
    figures = kill_again_and_again(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    print(json.dumps(figures))  # noqa: T201 - read by the test
