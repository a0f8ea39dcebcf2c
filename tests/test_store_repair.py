"""Repair brings back what was written, and nothing else; replace is a commit, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import random
import shutil
import sys
import threading
import traceback
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import (
    ConfigError,
    KeyTypeError,
    MissingKeysError,
    RepeatedKeysError,
    RowlockError,
    StateError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
)
from rowlock.store import FeatureStore
from rowlock.store.changing import repair

NUM_ROWS, NUM_COLUMNS = 23, 5
ROW_BYTES = 4 * NUM_COLUMNS
KINDS = [None, "int", "text"]
LAYOUTS = ["raw", "csr", "packed"]
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def values(salt=0):
    return np.random.default_rng(salt).standard_normal((NUM_ROWS, NUM_COLUMNS))


def keys_of(kind, rows=range(NUM_ROWS)):
    return {None: None, "int": [100 + row for row in rows], "text": [f"key-{row:03}" for row in rows]}[kind]


def named(kind, rows):
    """Rows as `replace` names them."""
    return list(rows) if kind is None else keys_of(kind, rows)


def make(path, kind, layout="raw"):
    """Three shards or more, two runs of the index."""
    matrix, keys = values(), keys_of(kind)
    store = FeatureStore.write(path, matrix[:17], keys=keys and keys[:17], layout=layout, shard_bytes=ROW_BYTES * 8)
    store.append(matrix[17:], keys and keys[17:])
    return store


def flip(path, bit):
    """Change a bit where it is, as a disk does."""
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def place_of(path, row, byte):
    """In which file a byte of a row (of its cells, of its chunk) is, and where; no value is zero."""
    commit = FeatureStore.open(path)._commit
    if commit.layout == "raw":
        return path / f"matrix/c.{row // 8}.0", row % 8 * ROW_BYTES + byte
    if commit.layout == "csr":
        shard, cell = divmod(row * NUM_COLUMNS + byte // 4, commit.cells_per_shard)
        return path / f"matrix/data/c.{shard}", 4 * cell + byte % 4
    offsets = np.fromfile(path / "row_offsets/c.0", "<i8")
    first = row // commit.rows_per_shard * commit.rows_per_shard
    return path / f"matrix/c.{row // commit.rows_per_shard}.0", int(offsets[row] - offsets[first]) + byte


def damage_row(path, row, byte=7):
    file, place = place_of(path, row, byte)
    flip(file, 8 * place)


def damage_check(path, row):
    flip(path / "row_check/c.0", 8 * 8 * row + 5)


def ranges(found):
    return [(first, stop) for first, stop, _ in found]


def require_as_written(path, kind):
    with FeatureStore.open(path) as store:
        assert store.verify() == []
        assert np.array_equal(store[:], values().astype(np.float32))
        if kind:
            assert store.find(store.keys).tolist() == list(range(NUM_ROWS))


# --- repair -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    layout=st.sampled_from(LAYOUTS),
    kind=st.sampled_from(KINDS),
    rows=st.sets(st.integers(0, NUM_ROWS - 1), max_size=8),
    checks=st.sets(st.integers(0, NUM_ROWS - 1), max_size=3),
    by_key=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_is_damaged_comes_back_as_it_was(tmp_path_factory, layout, kind, rows, checks, by_key, seed):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    make(path, kind, layout)
    reader = FeatureStore.open(path)
    for row in rows:
        damage_row(path, row, byte=(row + seed) % ROW_BYTES)
    for row in checks:
        damage_check(path, row)
    order = np.random.default_rng(seed).permutation(NUM_ROWS) if by_key and kind else np.arange(NUM_ROWS)
    keys = keys_of(kind, order) if by_key and kind else None
    assert FeatureStore.open(path).repair(values()[order], keys) == []
    require_as_written(path, kind)
    assert np.array_equal(reader[:], values().astype(np.float32)), "who had it open finds it whole, too"


FORMS = {
    "memory map": lambda matrix, folder: np.lib.format.open_memmap(folder / "m.npy", "w+", matrix.dtype, matrix.shape),
    "sparse": lambda matrix, folder: scipy.sparse.csr_matrix(matrix),
    "frame": lambda matrix, folder: pd.DataFrame(matrix, columns=[f"c{i}" for i in range(NUM_COLUMNS)]),
    "blocks": lambda matrix, folder: (matrix[start : start + 3] for start in range(0, NUM_ROWS, 3)),
    "blocks with keys": lambda matrix, folder: (
        (keys_of("text", range(start, min(start + 3, NUM_ROWS))), matrix[start : start + 3])
        for start in reversed(range(0, NUM_ROWS, 3))
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_source_repairs(tmp_path, form):
    make(tmp_path / "s.zarr", "text")
    for row in (0, 7, 8, 22):
        damage_row(tmp_path / "s.zarr", row)
    source = FORMS[form](values(), tmp_path)
    if form == "memory map":
        source[:] = values()
    assert FeatureStore.open(tmp_path / "s.zarr").repair(source) == []
    require_as_written(tmp_path / "s.zarr", "text")


def test_repair_takes_little_memory_whatever_is_damaged(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((10_000, 1000)).astype(np.float32)
    store = FeatureStore.write(tmp_path / "s.zarr", matrix[:9000], layout="raw", shard_bytes=1 << 24)
    for shard in (0, 1):
        with (tmp_path / f"s.zarr/matrix/c.{shard}.0").open("r+b") as file:
            file.write(bytes(1 << 23))
    store.repair(matrix[:1])
    tracemalloc.start()
    try:
        assert store.repair(matrix[:9000]) == []
        assert tracemalloc.get_traced_memory()[1] < 24 << 20, "of 34 MiB"
    finally:
        tracemalloc.stop()
    assert np.array_equal(store[4000:4100], matrix[4000:4100])


def test_a_shard_of_zeros_comes_back(tmp_path):
    store = make(tmp_path / "s.zarr", "int")
    with (tmp_path / "s.zarr/matrix/c.1.0").open("r+b") as file:
        file.write(bytes(8 * ROW_BYTES))
    told = []
    assert store.repair(values(), progress=lambda done, of: told.append((done, of))) == []
    assert told[-1] == (NUM_ROWS, NUM_ROWS)
    require_as_written(tmp_path / "s.zarr", "int")


def test_only_what_is_damaged_is_written(tmp_path):
    store = make(tmp_path / "s.zarr", "int")
    damage_row(tmp_path / "s.zarr", 9)
    before = {file: 10**18 for file in tmp_path.rglob("*") if file.is_file()}
    for file, when in before.items():
        os.utime(file, ns=(when, when))  # long ago: two writes within a tick of the clock have one time
    commit = store._commit.number
    assert store.repair(values()) == []
    changed = {str(file.relative_to(tmp_path)) for file, when in before.items() if file.stat().st_mtime_ns != when}
    assert {name for name in changed if not name.endswith("lock")} == {"s.zarr/matrix/c.1.0"}
    assert (store._commit.number, store.statistics.num_rows) == (commit, NUM_ROWS)


@every_layout
def test_a_source_of_some_rows_repairs_those_and_the_rest_is_told(tmp_path, layout):
    store = make(tmp_path / "s.zarr", "text", layout)
    for row in (3, 4, 12, 20):
        damage_row(tmp_path / "s.zarr", row)
    some = [20, 1, 4]
    assert ranges(store.repair(values()[some], [*keys_of("text", some)])) == [(3, 4), (12, 13)]
    assert ranges(store.repair(values()[:4])) == [(12, 13)]
    strangers = np.concatenate([values()[[12]], np.ones((1, NUM_COLUMNS))])
    assert store.repair(strangers, [*keys_of("text", [12]), "nobody"]) == []
    require_as_written(tmp_path / "s.zarr", "text")


@pytest.mark.parametrize("kind", KINDS)
@every_layout
def test_other_values_are_refused_and_what_is_right_is_repaired(tmp_path, kind, layout):
    store = make(tmp_path / "s.zarr", kind, layout)
    for row in (3, 12, 20):
        damage_row(tmp_path / "s.zarr", row)
    source = values()
    source[12, 4] += 0.001
    with pytest.raises(StoreCorruptError, match=r"1 damaged rows .* other values .*first in row 12") as caught:
        store.repair(source)
    assert caught.value.rows == (12,)
    assert ranges(FeatureStore.open(tmp_path / "s.zarr").verify()) == [(12, 13)]
    with pytest.raises(StoreCorruptError):
        store.repair(values()[::-1].copy())
    assert ranges(FeatureStore.open(tmp_path / "s.zarr").verify()) == [(12, 13)]


@every_layout
def test_a_damaged_check_needs_all_that_is_damaged_to_be_proved(tmp_path, layout):
    path = tmp_path / "s.zarr"
    store = make(path, "int", layout)
    damage_check(path, 3)
    damage_row(path, 3)
    damage_check(path, 15)
    source = values()
    source[3, 0] += 1
    for attempt in (source, values()[:10]):
        with pytest.raises(StoreCorruptError, match="cannot be repaired"):
            store.repair(attempt)
        assert ranges(FeatureStore.open(path).verify())[:2] == [(3, 4), (15, 16)]
    assert store.repair(values()) == []
    require_as_written(path, "int")


def test_many_rows_of_other_values_are_not_held_in_memory(tmp_path, monkeypatch):
    store = make(tmp_path / "s.zarr", "int")
    for row in (0, 1, 2, 22):
        damage_row(tmp_path / "s.zarr", row)
    monkeypatch.setattr(repair, "_REFUSED_BYTES", 2 * ROW_BYTES)
    source = values()
    source[:3] += 1
    with pytest.raises(StoreCorruptError, match="3 damaged rows"):
        store.repair(source[start : start + 1] for start in range(NUM_ROWS))
    assert ranges(FeatureStore.open(tmp_path / "s.zarr").verify()) == [(0, 3)]


def test_damaged_keys_must_come_back_first(tmp_path):
    store = make(tmp_path / "s.zarr", "int")
    flip(tmp_path / "s.zarr/keys/c.0", 64 * 5)
    damage_row(tmp_path / "s.zarr", 3)
    with pytest.raises(StoreCorruptError, match="stored keys .* are damaged"):
        store.repair(values())


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("int", (np.ones((NUM_ROWS, 4)),), "the block has 4 columns"),
        ("int", (values(), [1, 2]), "only 2 keys, but more rows"),
        ("int", (values()[:1], [100, 101]), "2 keys for 1 rows"),
        (None, (values(), list(range(NUM_ROWS))), "has no keys: leave keys= out"),
        ("int", (values() * 1e300,), "cannot be stored"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(tmp_path, kind, arguments, message):
    store = make(tmp_path / "s.zarr", kind)
    damage_row(tmp_path / "s.zarr", 0)
    with pytest.raises(ConfigError, match=message):
        store.repair(*arguments)


def test_one_writer_at_a_time_mends(tmp_path):
    store = make(tmp_path / "s.zarr", "int")
    with FeatureStore.open(tmp_path / "s.zarr").writer():
        for mend in (
            lambda: store.repair(values()),
            lambda: store.replace([100], values()[:1]),
            store.update_statistics,
        ):
            with pytest.raises(StoreLockedError):
                mend()


# --- replace ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    kind=st.sampled_from(KINDS),
    steps=st.lists(st.sets(st.integers(0, NUM_ROWS - 1), max_size=6), min_size=1, max_size=3),
    dtype=st.sampled_from(["float32", "float16", "uint8"]),
    shard_bytes=st.sampled_from([1, 80, 1 << 20]),
)
def test_replaced_rows_are_what_was_given_and_all_others_what_they_were(
    tmp_path_factory, kind, steps, dtype, shard_bytes
):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    expected = (np.arange(NUM_ROWS * 3).reshape(NUM_ROWS, 3) % 251).astype(dtype)
    store = FeatureStore.write(path, expected, keys=keys_of(kind), dtype=dtype, layout="raw", shard_bytes=shard_bytes)
    for step, rows in enumerate(steps):
        chosen = list(rows)
        new = np.full((len(chosen), 3), 100 + step) + np.arange(len(chosen))[:, None]
        assert store.replace(named(kind, chosen), new) == len(chosen)
        expected[chosen] = new
        for seen in (store, FeatureStore.open(path)):
            assert np.array_equal(seen[:], expected)
            assert seen.verify() == []
        assert np.array_equal(zarr.open_group(path, mode="r")["matrix"][:], expected)
    store.append(expected[:2], {None: None, "int": [1, 2], "text": ["x", "y"]}[kind])
    assert np.array_equal(FeatureStore.open(path)[:], np.concatenate([expected, expected[:2]]))
    assert FeatureStore.open(path).verify() == []
    assert not list(path.rglob(".*replaced*"))


@pytest.mark.parametrize("kind", KINDS)
@every_layout
def test_who_has_an_earlier_commit_open_keeps_its_values(tmp_path, kind, layout):
    store = make(tmp_path / "s.zarr", kind, layout)
    reader = FeatureStore.open(tmp_path / "s.zarr")
    before = reader.fingerprint
    store.replace(named(kind, [2, 22, 9]), np.zeros((3, NUM_COLUMNS)))
    store.replace(named(kind, [2]), np.ones((1, NUM_COLUMNS)))
    assert np.array_equal(reader[:], values().astype(np.float32))
    assert (reader.verify(), reader.fingerprint, reader.statistics.num_rows) == ([], before, NUM_ROWS)
    assert store[[9, 2, 22]].tolist() == [[0.0] * 5, [1.0] * 5, [0.0] * 5]
    assert not store.extends(before)
    assert store.fingerprint != before


def test_training_does_not_go_on_with_replaced_rows(tmp_path):
    store = make(tmp_path / "s.zarr", "int")
    frame = pd.DataFrame({"id": keys_of("int")})

    def loader():
        return rl.Dataset(frame, {"f": rl.Features(tmp_path / "s.zarr", key="id")}, key="id").batches(4)

    state = loader().state_dict()
    loader().load_state_dict(state)
    store.replace([100], np.zeros((1, NUM_COLUMNS)))
    with pytest.raises(StateError, match="f was"):
        loader().load_state_dict(state)


@every_layout
def test_statistics_are_not_known_after_a_replacement_until_they_are_made(tmp_path, layout):
    store = make(tmp_path / "s.zarr", "int", layout)
    extreme = values().argmax(axis=0)[0]
    store.replace([100 + extreme], np.zeros((1, NUM_COLUMNS)))
    assert store.statistics is None
    store.append(np.full((1, NUM_COLUMNS), 2.0), [1])
    assert store.statistics is None
    expected = values()
    expected[extreme] = 0
    found = store.update_statistics()
    assert found.max[0] == np.float32(max(expected[:, 0].max(), 2.0)) < values().max()
    assert found.num_rows == NUM_ROWS + 1
    assert FeatureStore.open(tmp_path / "s.zarr").statistics.max.tolist() == found.max.tolist()


@every_layout
def test_a_damaged_row_may_get_new_values_and_its_neighbours_damage_stays_seen(tmp_path, layout):
    store = make(tmp_path / "s.zarr", "int", layout)
    damage_row(tmp_path / "s.zarr", 3)
    damage_row(tmp_path / "s.zarr", 5)
    store.replace([103], np.ones((1, NUM_COLUMNS)))
    assert ranges(store.verify()) == [(5, 6)]
    damage_check(tmp_path / "s.zarr", 20)
    with pytest.raises(StoreCorruptError, match="store.repair` first"):
        store.replace([104], np.ones((1, NUM_COLUMNS)))


def test_columns_or_keys_of_another_name_are_refused(tmp_path):
    ids = pd.Series(keys_of("text"), name="object_id")
    frame = pd.DataFrame(values(), columns=list("abcde"))
    store = FeatureStore.write(tmp_path / "s.zarr", frame, keys=ids, layout="raw")
    for mend in (store.repair, lambda rows, keys: store.replace(keys, rows)):
        with pytest.raises(ConfigError, match="column 0 of the block is 'e', but that of .* is 'a'"):
            mend(frame[list("edcba")], ids)
        with pytest.raises(ConfigError, match="are called 'parent_id', but those of .* are 'object_id'"):
            mend(frame, ids.rename("parent_id"))
    assert store.replace(ids, frame) == NUM_ROWS


@pytest.mark.parametrize(
    ("kind", "keys", "rows", "error", "message"),
    [
        ("int", [100, 5], np.ones((2, 5)), MissingKeysError, "1 of 2 keys are not in"),
        ("int", [100, 100], np.ones((2, 5)), RepeatedKeysError, "named twice: 100"),
        ("int", [100, 101], np.ones((1, 5)), ConfigError, "2 keys for 1 rows"),
        ("int", [100], np.ones((1, 4)), ConfigError, "4 columns"),
        ("int", [100], np.full((1, 5), 1e300), ConfigError, "cannot be stored"),
        ("int", ["100"], np.ones((1, 5)), KeyTypeError, "int keys"),
        (None, [-1], np.ones((1, 5)), ConfigError, "must be in 0..22"),
        (None, [0.5], np.ones((1, 5)), ConfigError, "are integers"),
    ],
)
@every_layout
def test_a_replacement_that_does_not_fit_changes_nothing(tmp_path, kind, keys, rows, error, message, layout):
    store = make(tmp_path / "s.zarr", kind, layout)
    before = (store.fingerprint, store._commit.number)
    with pytest.raises(error, match=message):
        store.replace(keys, rows)
    assert (FeatureStore.open(tmp_path / "s.zarr").fingerprint, store._commit.number) == before
    require_as_written(tmp_path / "s.zarr", kind)


@every_layout
def test_who_opens_while_rows_are_replaced_sees_one_commit(tmp_path, layout):
    path = tmp_path / "s.zarr"
    store = FeatureStore.write(path, np.zeros((NUM_ROWS, 2)), layout=layout, shard_bytes=64)
    stop = threading.Event()

    def replace():
        number = 0
        while not stop.is_set() and number < 300:
            number += 1
            store.replace(range(0, NUM_ROWS, 3), np.full((8, 2), number))
            if number % 5 == 0:
                store.append(np.zeros((1, 2)))

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        seen = set()
        while thread.is_alive() and len(seen) < 40:
            with FeatureStore.open(path) as reader:
                found = reader[range(0, NUM_ROWS, 3)]
                seen.add(float(found[0, 0]))
                assert (found == found[0, 0]).all()
    finally:
        stop.set()
        thread.join(60)
    assert len(seen) > 3


def test_a_store_without_rows_has_nothing_to_mend(tmp_path):
    store = FeatureStore.create(tmp_path / "s.zarr", num_columns=2)
    assert store.repair(np.empty((0, 2))) == []
    assert store.replace([], np.empty((0, 2))) == 0
    assert store.update_statistics() is None


# --- writers that die -------------------------------------------------------------------------------------

CALLS = ["open", "pwrite", "fsync", "ftruncate", "copy_file_range", "replace", "mkdir", "unlink", "close"]


@contextlib.contextmanager
def no_collection():
    """What earlier tests left is not closed amid what is looked at: its calls are not those that are refused."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def at_call(monkeypatch, number, act):
    """Do something at the n-th call into the system from here; return the counter."""
    count = [0]

    def wrapped(call):
        def wrapper(*arguments, **named):
            count[0] += 1
            return act(call, *arguments) if count[0] == number else call(*arguments, **named)

        return wrapper

    for name in CALLS:
        monkeypatch.setattr(os, name, wrapped(getattr(os, name)))
    return count


def die(call, *arguments):
    if call.__name__ == "pwrite":
        descriptor, data, offset = arguments
        call(descriptor, data[: len(data) // 2], offset)
    os._exit(9)


def refuse(call, *arguments):
    if call.__name__ == "close":
        call(*arguments)
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def in_a_fork(work):
    """Return the exit code of a child that does `work`: 0 done, 9 died on purpose."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not go on as a second pytest
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def copies(tmp_path, step, layout, damaged=()):
    """Yield numbers of calls, and a fresh copy of a store for each."""
    make(tmp_path / "template", "text", layout).repair(values())  # loads and compiles everything here, once
    for row in damaged:
        damage_row(tmp_path / "template", row)
    for number in range(random.randint(1, step), 400, step):
        shutil.copytree(tmp_path / "template", tmp_path / f"{number}.zarr")
        yield number, tmp_path / f"{number}.zarr"
    pytest.fail("it never ends")


CHANGED = [2, 9, 22]


def stride(layout, step):
    """Files that are written anew as a whole take many more calls: each run tries others of them."""
    return step if layout == "raw" else 3 if step == 1 else 12


some_calls_or_all = pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])


def state_of(path):
    """Return whether the rows are replaced; raise if the store is neither the old one nor the new one."""
    with FeatureStore.open(path) as store:
        expected = values().astype(np.float32)
        is_new = not store[CHANGED].any()
        if is_new:
            expected[CHANGED] = 0
        assert np.array_equal(store[:], expected)
        assert store.verify() == []
        assert (store.statistics is None) == is_new
        return is_new


def replace_some(path):
    FeatureStore.open(path).replace(keys_of("text", CHANGED), np.zeros((3, NUM_COLUMNS)))


@some_calls_or_all
@every_layout
def test_a_replacement_that_dies_at_any_call_happened_or_did_not(tmp_path, step, layout):
    seen = set()
    for number, path in copies(tmp_path, stride(layout, step), layout):

        def work(path=path, number=number):
            store = FeatureStore.open(path)
            at_call(pytest.MonkeyPatch(), number, die)
            store.replace(keys_of("text", CHANGED), np.zeros((3, NUM_COLUMNS)))

        code = in_a_fork(work)
        seen.add((state_of(path), bool(list(path.rglob(".*.replaced-*")))))
        before = state_of(path)
        FeatureStore.open(path).append(np.ones((1, NUM_COLUMNS)), ["new"])
        store = FeatureStore.open(path)
        assert store.num_rows == NUM_ROWS + 1
        assert (store.verify(), store[CHANGED].any()) == ([], not before)
        assert not list(path.rglob(".*.replaced-*"))
        if code == 0:
            wanted = {(False, True), (True, True), (True, False)} if stride(layout, step) <= 3 else {(False, True)}
            assert seen >= wanted, "before, between, and after"
            return
        assert code == 9
        shutil.rmtree(path)


@some_calls_or_all
@every_layout
def test_a_disk_that_refuses_any_call_of_a_replacement_leaves_a_whole_store(tmp_path, step, layout):
    for number, path in copies(tmp_path, stride(layout, step), layout):
        with pytest.MonkeyPatch.context() as patch, no_collection():
            count = at_call(patch, number, refuse)
            try:
                replace_some(path)
                refused = False
            except StoreError:
                refused = True
        if count[0] < number:
            assert not refused
            assert number > 25
            return
        state_of(path)
        replace_some(path)
        assert state_of(path)


@some_calls_or_all
@every_layout
def test_a_repair_that_dies_at_any_call_leaves_right_rows_and_damaged_ones_and_no_others(tmp_path, step, layout):
    damaged = [2, 9, 22]
    for number, path in copies(tmp_path, stride(layout, step), layout, damaged):

        def work(path=path, number=number):
            store = FeatureStore.open(path)
            at_call(pytest.MonkeyPatch(), number, die)
            assert store.repair(values()) == []

        code = in_a_fork(work)
        store = FeatureStore.open(path)
        for row in range(NUM_ROWS):
            try:
                assert np.array_equal(store[[row]], values()[[row]].astype(np.float32))
            except RowlockError:
                assert row in damaged
        assert store.repair(values()) == []
        require_as_written(path, "text")
        if code == 0:
            assert number > 8
            return
        assert code == 9
