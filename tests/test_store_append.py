"""Appending: each append is a commit, readers stay where they are, and nothing that does not fit gets in."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowlock.errors import (
    ConfigError,
    KeyTypeError,
    RepeatedKeysError,
    StoreFormatError,
    StoreLockedError,
    StoreWriteError,
)
from rowlock.keys import Keys
from rowlock.store import FeatureStore


def numbered(start, stop, num_columns=3, dtype="float32"):
    return (np.arange(start, stop)[:, None] * 100 + np.arange(num_columns)).astype(dtype)


def keys_of(kind, start, stop):
    return {None: None, "int": list(range(start, stop)), "text": [f"k{i}" for i in range(start, stop)]}[kind]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "growth.zarr"


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 30), max_size=8),
    kind=st.sampled_from([None, "int", "text"]),
    shard_bytes=st.sampled_from([1, 12 * 7, 12 * 16, 1 << 20]),
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
    layout=st.sampled_from(["raw", "csr", "packed"]),
)
def test_appends_in_any_pieces_equal_one_write(tmp_path_factory, sizes, kind, shard_bytes, dtype, layout):
    folder = tmp_path_factory.mktemp("store")
    edges = np.cumsum([0, *sizes]).tolist()
    how = {"dtype": dtype, "layout": layout, "shard_bytes": shard_bytes}
    grown = FeatureStore.create(folder / "grown.zarr", num_columns=3, keys=kind, **how)
    matrix = numbered(0, edges[-1]) % 50
    for start, stop in itertools.pairwise(edges):
        assert grown.append(matrix[start:stop], keys_of(kind, start, stop)) == stop
        assert grown.num_rows == stop
    whole = FeatureStore.write(folder / "whole.zarr", matrix, keys=keys_of(kind, 0, edges[-1]), **how)
    for store in (grown, FeatureStore.open(folder / "grown.zarr")):
        assert np.array_equal(store[:], whole[:])
        assert store.verify() == []
        if kind:
            assert store.keys.values().tolist() == keys_of(kind, 0, edges[-1])
            assert store.find(store.keys).tolist() == list(range(edges[-1]))
    same = [entry.relative_to(folder / "whole.zarr") for entry in (folder / "whole.zarr/matrix").rglob("*")]
    for name in [*(name for name in same if (folder / "whole.zarr" / name).is_file()), "row_check/zarr.json"]:
        assert (folder / "grown.zarr" / name).read_bytes() == (folder / "whole.zarr" / name).read_bytes()


def test_a_reader_stays_at_the_commit_that_it_opened(path):
    FeatureStore.write(path, numbered(0, 10), keys=keys_of("text", 0, 10))
    reader, writer = FeatureStore.open(path), FeatureStore.open(path)
    writer.append(numbered(10, 25), keys_of("text", 10, 25))
    assert (reader.num_rows, writer.num_rows, FeatureStore.open(path).num_rows) == (10, 25, 25)
    assert np.array_equal(reader[:], numbered(0, 10))
    assert reader.find(Keys.of(["k3", "k12"], "q")).tolist() == [3, -1]
    with pytest.raises(ConfigError):
        reader[10]


@pytest.mark.parametrize("layout", ["raw", "csr", "packed"])
def test_readers_are_right_while_a_writer_appends(path, layout):
    store = FeatureStore.create(path, num_columns=3, keys="text", layout=layout, shard_bytes=12 * 40)
    store.append(numbered(0, 5), keys_of("text", 0, 5))
    stop, faults, opened = threading.Event(), [], []
    all_read = threading.Barrier(4)

    def read(seed):
        rng = np.random.default_rng(seed)
        all_read.wait(60)
        while not stop.is_set():
            reader = FeatureStore.open(path)
            opened.append(reader.num_rows)
            rows = rng.integers(0, reader.num_rows, 50)
            if not np.array_equal(reader[rows], numbered(0, reader.num_rows)[rows]):
                faults.append("rows")
            if reader.find(Keys.of([f"k{r}" for r in rows], "q")).tolist() != rows.tolist():
                faults.append("keys")

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    all_read.wait(60)
    for start in range(5, 120, 5):
        store.append(numbered(start, start + 5), keys_of("text", start, start + 5))
    while not opened and any(thread.is_alive() for thread in threads):
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults
    assert opened


def test_a_writer_commits_at_the_end_and_drops_everything_on_an_error(path):
    store = FeatureStore.create(path, num_columns=3, keys="int")
    with store.writer() as writer:
        assert writer.append(numbered(0, 4), range(4)) == 4
        assert FeatureStore.open(path).num_rows == 0
        assert writer.commit() == 4
        assert FeatureStore.open(path).num_rows == 4
        assert writer.append(numbered(4, 9), range(4, 9)) == 9
    assert store.num_rows == 9
    with pytest.raises(RuntimeError), store.writer() as writer:  # noqa: PT012 - what happens inside is the test
        writer.append(numbered(9, 12), range(9, 12))
        raise RuntimeError
    assert FeatureStore.open(path).num_rows == store.num_rows == 9
    assert store.append(numbered(9, 12), range(9, 12)) == 12
    assert np.array_equal(store[:], numbered(0, 12))
    assert store.verify() == []


def test_a_writer_commits_whenever_a_shard_is_full(path):
    store = FeatureStore.create(path, num_columns=3, layout="raw", shard_bytes=12 * 10)
    with store.writer() as writer:
        writer.append(numbered(0, 25))
        assert FeatureStore.open(path).num_rows == 25
        writer.append(numbered(25, 26))
        assert FeatureStore.open(path).num_rows == 25
    assert FeatureStore.open(path).num_rows == 26


def append_once(store, block, keys, *, inside):
    if inside:
        with store.writer() as writer:
            writer.append(block, keys)
    else:
        store.append(block, keys)


@pytest.mark.parametrize("inside", [False, True])
def test_what_does_not_fit_is_refused_before_a_byte_is_written(path, inside):
    FeatureStore.write(path, numbered(0, 4), keys=pd.Series(list("abcd"), name="id"), columns=["x", "y", "z"])
    before = {entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file() and "lock" not in entry.name}
    store = FeatureStore.open(path)
    for block, keys, error, message in [
        (numbered(0, 1, 4), ["e"], ConfigError, "4 columns"),
        (numbered(0, 2), ["e"], ConfigError, "1 keys for 2 rows"),
        (numbered(0, 1), None, ConfigError, "has text keys: give keys="),
        (numbered(0, 1), [7], KeyTypeError, "text keys"),
        (numbered(0, 2), ["e", "e"], RepeatedKeysError, "occur twice in one block: 'e'"),
        (numbered(0, 2), ["e", "c"], RepeatedKeysError, "the store has already: 'c'"),
        (np.array([[1.0, 2.0, 1e300]]), ["e"], ConfigError, r"row 4, column 'z'"),
        (np.array([["a", "b", "c"]]), ["e"], ConfigError, "numbers"),
        (pd.DataFrame({"x": [1], "z": [2], "y": [3]}), ["e"], ConfigError, "column 1 of the block is 'z'"),
        (numbered(0, 1), pd.Series(["e"], name="other"), ConfigError, "'other'.*'id'"),
    ]:
        with pytest.raises(error, match=message):
            append_once(store, block, keys, inside=inside)
    assert {
        entry: entry.read_bytes() for entry in path.rglob("*") if entry.is_file() and "lock" not in entry.name
    } == before


def test_a_refused_block_does_not_end_the_session(path):
    store = FeatureStore.create(path, num_columns=3, keys="int")
    with store.writer() as writer:
        writer.append(numbered(0, 4), range(4))
        with pytest.raises(RepeatedKeysError):
            writer.append(numbered(4, 6), [9, 3])
        writer.append(numbered(4, 6), [4, 5])
    assert np.array_equal(store[:], numbered(0, 6))


def test_an_append_never_rereads_all_keys(path):
    store = FeatureStore.create(path, num_columns=1, keys="int")
    written = []
    for start in range(0, 3200, 50):
        store.append(np.zeros((50, 1)), range(start, start + 50))
        runs = store._commit.key_index
        written.append(runs[-1].num_keys)
        assert all(a.num_keys > 2 * b.num_keys for a, b in itertools.pairwise(runs))
        folders = {entry.name for entry in (path / "key_index").glob("run-*")}
        assert folders == {run.name for run in runs}
    # Every key is merged about log2(3200 / 50) times, where rewriting all of them would be 32 times.
    assert sum(written) < 3200 * 8


def test_two_writers_are_refused_with_the_first_ones_name(path):
    store = FeatureStore.create(path, num_columns=3)
    with store.writer() as writer:
        writer.append(numbered(0, 2))
        with pytest.raises(StoreLockedError, match=f"process {os.getpid()} on"):
            FeatureStore.open(path).append(numbered(0, 2))
        with pytest.raises(StoreLockedError):
            FeatureStore.write(path, numbered(0, 2), overwrite=True)
    assert store.num_rows == 2
    store.append(numbered(2, 3))


def test_writers_in_many_processes_lose_and_mix_nothing(path):
    FeatureStore.create(path, num_columns=3, keys="int")
    code = (
        "import sys, time, numpy as np\n"
        "from rowlock.store import FeatureStore\n"
        "from rowlock.errors import StoreLockedError\n"
        "store = FeatureStore.open(sys.argv[1])\n"
        "for i in range(8):\n"
        "    rows = int(sys.argv[2]) * 1000 + np.arange(i * 3, i * 3 + 3)\n"
        "    while True:\n"
        "        try:\n"
        "            store.append(rows[:, None] * 100. + np.arange(3), rows)\n"
        "            break\n"
        "        except StoreLockedError:\n"
        "            time.sleep(0.001)\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), str(number)]) for number in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    store = FeatureStore.open(path)
    keys = store.keys.values()
    assert sorted(keys.tolist()) == sorted(number * 1000 + i for number in range(3) for i in range(24))
    assert np.array_equal(store[:], keys[:, None] * 100 + np.arange(3))


def test_a_writer_whose_lock_did_not_hold_loses_its_own_rows_and_says_so(path):
    store = FeatureStore.create(path, num_columns=3)
    with pytest.raises(StoreWriteError, match="another writer meanwhile"), store.writer() as writer:  # noqa: PT012 - the commit at the end raises
        writer.append(numbered(50, 52))
        (path / "row_check" / ".rowlock.lock").unlink()  # as on a file system whose locks do nothing
        FeatureStore.open(path).append(numbered(0, 3))
    assert np.array_equal(FeatureStore.open(path)[:], numbered(0, 3))


def test_the_fingerprint_tells_appended_from_changed(path):
    store = FeatureStore.write(path, numbered(0, 5), keys=range(5))
    first = store.fingerprint
    assert store.extends(first)
    store.append(numbered(5, 9), range(5, 9))
    assert store.fingerprint != first
    assert store.extends(first)
    assert store.extends(store.fingerprint)
    assert not FeatureStore.open(path).extends(first.replace(":5:", ":6:"))
    again = FeatureStore.write(path, numbered(0, 5), keys=range(5), overwrite=True)
    assert not again.extends(first), "written anew is another store"
    assert not again.extends("nonsense")


def test_a_committed_file_that_was_cut_off_is_not_appended_to(path):
    store = FeatureStore.write(path, numbered(0, 5), keys=range(5))
    os.truncate(path / "keys" / "c.0", 8)
    with pytest.raises(StoreFormatError, match=r"keys.*has 8 bytes.*40"):
        store.append(numbered(5, 6), [5])


def test_a_damaged_key_index_is_not_merged_into_a_new_one(path):
    store = FeatureStore.write(path, numbered(0, 5), keys=range(5))
    file = path / "key_index" / store._commit.key_index[0].name / "c.0.0"
    data = bytearray(file.read_bytes())
    data[3] ^= 1
    file.write_bytes(data)
    with pytest.raises(StoreWriteError, match="damaged"):
        store.append(numbered(5, 9), range(5, 9))


def test_a_finished_writer_says_so(path):
    store = FeatureStore.create(path, num_columns=3)
    with store.writer() as writer:
        pass
    with pytest.raises(StoreWriteError, match="finished"):
        writer.append(numbered(0, 2))
