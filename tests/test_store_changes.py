"""Rows of different lengths: where they belong is proved, or nothing is written there."""

from __future__ import annotations

import os
import random
import signal
import time
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from rowlock.errors import RowlockError, StoreCorruptError
from rowlock.store import FeatureStore
from rowlock.store.changing.splice import Splice, ends_before
from rowlock.store.layouts import blosc

NUM_ROWS, NUM_COLUMNS = 40, 12
every_layout = pytest.mark.parametrize("layout", ["csr", "packed"])
INDEX = {"csr": "matrix/indptr/c.0", "packed": "row_offsets/c.0"}


def sparse_values(num_rows=NUM_ROWS, seed=0, dtype=np.float32):
    """Rows of very different lengths; every seventh is empty."""
    rng = np.random.default_rng(seed)
    matrix = rng.integers(1, 100, (num_rows, NUM_COLUMNS)) * (rng.random((num_rows, NUM_COLUMNS)) < 0.5)
    matrix[::7] = 0
    return matrix.astype(dtype)


def seen_by_zarr(path, layout):
    group = zarr.open_group(path, mode="r")
    if layout == "csr":
        parts = [group[f"matrix/{name}"][:] for name in ("data", "indices", "indptr")]
        return scipy.sparse.csr_matrix(tuple(parts), shape=group["matrix"].attrs["shape"]).toarray()
    return group["matrix"][:]


def seen_by_tensorstore(path, layout):
    name = "matrix/data" if layout == "csr" else "matrix"
    driver = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}
    return tensorstore.open(driver, open=True).result().read().result()


def overwrite(file, offset, data):
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(data)


def flip(file, offset):
    with file.open("r+b") as opened:
        opened.seek(offset)
        byte = opened.read(1)[0] ^ 1
        opened.seek(offset)
        opened.write(bytes([byte]))


def ranges(found):
    return [(first, stop) for first, stop, _ in found]


def start_of(path, layout, row):
    return int(np.fromfile(path / INDEX[layout], "<i8")[row])


# --- replace ----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=12)
@given(
    layout=st.sampled_from(["csr", "packed"]),
    steps=st.lists(st.sets(st.integers(0, NUM_ROWS - 1), max_size=9), min_size=1, max_size=3),
    fills=st.lists(st.sampled_from(["zero", "dense", "sparse"]), min_size=3, max_size=3),
    dtype=st.sampled_from(["float32", "float64", "uint8"]),
    shard_bytes=st.sampled_from([100, 300, 900, 1 << 20]),
)
def test_replace_is_what_numpy_does(tmp_path_factory, layout, steps, fills, dtype, shard_bytes):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    expected = sparse_values(dtype=dtype)
    FeatureStore.write(path, expected[:30], layout=layout, shard_bytes=shard_bytes)
    store = FeatureStore.open(path)
    store.append(expected[30:])
    pinned, before = [FeatureStore.open(path, io=io) for io in ("mmap", "pread")], expected.copy()
    is_replaced = False
    for rows, fill in zip(steps, fills, strict=False):
        chosen = random.Random(len(rows)).sample(sorted(rows), len(rows))
        new = np.zeros((len(chosen), NUM_COLUMNS), dtype)
        if fill != "zero":
            new = 100 + np.arange(new.size).reshape(new.shape) % 100
            new[:, ::2] *= fill == "dense"
        fingerprint = store.fingerprint
        store.replace(chosen, new)
        changed = not np.array_equal(expected[chosen], new)
        expected[chosen] = new
        for seen in (store, FeatureStore.open(path), FeatureStore.open(path, io="pread")):
            assert np.array_equal(seen[:], expected)
            assert seen.verify() == []
        assert (store.fingerprint != fingerprint) == changed
        is_replaced |= bool(rows)
        assert (store.statistics is None) == is_replaced
        assert np.array_equal(seen_by_zarr(path, layout), expected)
    outer = seen_by_tensorstore(path, layout)
    assert np.array_equal(outer, expected if layout == "packed" else expected[expected != 0])
    assert all(np.array_equal(reader[:], before) for reader in pinned)
    assert [reader.verify() for reader in pinned] == [[], []], "its files have no names any more"
    store.append(expected[:5])
    expected = np.concatenate([expected, expected[:5]])
    assert np.array_equal(FeatureStore.open(path)[:], expected)
    assert np.array_equal(seen_by_zarr(path, layout), expected)
    assert store.update_statistics().max.tolist() == expected.max(axis=0).tolist()
    assert store.verify() == []
    assert not [file for file in path.rglob(".*") if file.is_file() and "lock" not in file.name]


def test_only_the_shards_that_are_touched_are_written(tmp_path):
    for layout in ("packed", "csr"):
        path = tmp_path / f"{layout}.zarr"
        matrix = np.random.default_rng(0).integers(1, 9, (40, 16)).astype(np.uint8)
        store = FeatureStore.write(path, matrix, layout=layout, shard_bytes=8 * 32)
        new = 10 - matrix[[10]]
        before = {file: file.stat().st_ino for file in path.rglob("c.*")}
        store.replace([10], new)
        written = {file for file, inode in before.items() if file.stat().st_ino != inode}
        changed = (
            {f"c.{160 // store._commit.cells_per_shard}"}
            if layout == "csr"
            else {f"c.{10 // store._commit.rows_per_shard}.0", "c.0"}
        )
        assert {file.name for file in written if "row_check" not in str(file)} == changed
        assert len(before) > 6


@every_layout
def test_where_a_row_ends_must_be_certain(tmp_path, layout):
    path = tmp_path / "s.zarr"
    store = FeatureStore.write(path, sparse_values(), layout=layout)
    flip(path / INDEX[layout], 8 * 10)
    before = {file: file.read_bytes() for file in path.rglob("*[!k]") if file.is_file()}  # but the lock
    for row in (9, 10):
        with pytest.raises(StoreCorruptError, match="Nothing was written; `store.repair` first"):
            store.replace([row], np.ones((1, NUM_COLUMNS)))
    assert before == {file: file.read_bytes() for file in path.rglob("*[!k]") if file.is_file()}
    assert store.repair(sparse_values()) == []
    assert store.replace([10], np.ones((1, NUM_COLUMNS))) == 1
    assert store[[9, 10, 11]].tolist() == [*sparse_values()[[9]].tolist(), [1] * 12, *sparse_values()[[11]].tolist()]


@given(st.data())
def test_a_splice_is_what_lists_do(data):
    total = data.draw(st.integers(0, 30))
    edges = sorted(data.draw(st.lists(st.integers(0, total), max_size=8).filter(lambda edges: len(edges) % 2 == 0)))
    starts, stops = np.array(edges[::2], np.int64), np.array(edges[1::2], np.int64)
    sizes = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(starts), max_size=len(starts))), np.int64)
    old, new = list(range(total)), [1000 + i for i in range(int(sizes.sum()))]
    sources = ends_before(sizes)
    expected, done = [], 0
    for start, stop, size, source in zip(starts, stops, sizes, sources, strict=True):
        expected += old[done:start] + new[source : source + size]
        done = stop
    expected += old[done:]
    splice = Splice(starts, stops, sizes, sources, total)
    assert splice.total == len(expected)
    first = data.draw(st.integers(0, splice.total))
    stop = data.draw(st.integers(first, splice.total))
    found = []
    for piece in splice.pieces(first, stop):
        assert piece.position == first + len(found)
        assert piece.num_items > 0
        found += (new if piece.is_new else old)[piece.source : piece.source + piece.num_items]
    assert found == expected[first:stop]
    assert splice.is_unchanged(first, stop) == (found == old[first:stop] and len(found) == stop - first)


# --- repair -----------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    layout=st.sampled_from(["csr", "packed"]),
    shard_bytes=st.sampled_from([100, 900, 1 << 20]),
    hits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=12),
)
def test_any_damage_of_matrix_and_offsets_comes_back_or_is_told(tmp_path_factory, layout, shard_bytes, hits):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    expected = sparse_values()
    FeatureStore.write(path, expected, layout=layout, shard_bytes=shard_bytes)
    reader = FeatureStore.open(path)
    names = {"csr": ["matrix/data", "matrix/indices", "matrix/indptr"], "packed": ["matrix", "row_offsets"]}[layout]
    files = [file for name in names for file in sorted((path / name).glob("c.*"))]
    pristine = {file: file.read_bytes() for file in files}
    for which, where in hits:
        file = files[which % len(files)]
        flip(file, where % max(1, file.stat().st_size - 1))
    try:
        store = FeatureStore.open(path)
    except RowlockError:
        assert layout == "packed", "where a shard begins is damaged, so that it cannot be mapped"
        return
    if store.repair(expected) == []:
        assert store.verify() == []
        assert np.array_equal(reader[:], expected), "who had it open finds it whole, too"
        assert np.array_equal(seen_by_zarr(path, layout), expected)
        assert (path / INDEX[layout]).read_bytes() == pristine[path / INDEX[layout]]
    else:
        assert layout == "packed"
        found, whole = np.fromfile(path / INDEX[layout], "<i8"), np.frombuffer(pristine[path / INDEX[layout]], "<i8")
        most = store._commit.rows_per_shard
        edges = [*range(0, NUM_ROWS, most), NUM_ROWS]
        assert not np.array_equal(found[edges], whole[edges]), "only where a shard begins is not mended"


def test_a_page_of_offsets_comes_back_from_the_rows(tmp_path):
    for fill in (b"\0", b"\xff", b"\x11"):
        path = tmp_path / f"{fill.hex()}.zarr"
        matrix = sparse_values(2000)
        store = FeatureStore.write(path, matrix, layout="csr", shard_bytes=8000)
        whole = (path / INDEX["csr"]).read_bytes()
        overwrite(path / INDEX["csr"], 4096, 4096 * fill)
        left = store.repair(matrix[:700])
        assert left
        assert all(first >= 500 for first, _, _ in left)
        assert store.repair(matrix) == []
        assert (path / INDEX["csr"]).read_bytes() == whole


def test_equal_rows_do_not_prove_each_others_places(tmp_path):
    """A page of offsets that is another page of offsets: many rows have their check at a place that is not theirs."""
    matrix = np.zeros((4000, NUM_COLUMNS), np.float32)
    matrix[np.arange(4000), np.random.default_rng(0).integers(0, 3, 4000)] = 1  # three kinds of rows
    store = FeatureStore.write(tmp_path / "s.zarr", matrix, layout="csr", shard_bytes=4000)
    files = sorted(tmp_path.rglob("c.*"))
    whole = {file: file.read_bytes() for file in files}
    index = tmp_path / "s.zarr" / INDEX["csr"]
    overwrite(index, 4096, whole[index][4 * 4096 - 8 : 5 * 4096 - 8])
    assert len(FeatureStore.open(tmp_path / "s.zarr").verify()) > 100
    left = store.repair(matrix[:900])
    assert min(ranges(left))[0] >= 900
    assert {file: file.read_bytes() for file in files if file != index} == {
        file: data for file, data in whole.items() if file != index
    }, "no cell is written over another row's"
    assert store.repair(matrix) == []
    assert {file: file.read_bytes() for file in files} == whole


@every_layout
def test_rows_beside_which_all_is_damaged_wait_for_the_whole_source(tmp_path, layout):
    path = tmp_path / "s.zarr"
    store = FeatureStore.write(path, sparse_values(), keys=range(NUM_ROWS), layout=layout)
    flip(path / INDEX[layout], 8 * 10)  # rows 9 and 10
    flip(path / INDEX[layout], 8 * 11)
    left = store.repair(sparse_values()[[10]], [10])
    assert left[0][:2] == (9, 12)
    assert left[-1][:2] == (10, 11)
    assert "where they lie is not known" in left[-1][2]
    other = sparse_values()
    other[9] += 1
    with pytest.raises(StoreCorruptError, match="1 damaged rows .* other values"):
        store.repair(other)
    left = [found for found in FeatureStore.open(path).verify() if "Zarr index" not in found[2]]
    assert all(9 <= first < stop <= 12 for first, stop in ranges(left))
    assert store.repair(sparse_values()) == []
    assert np.array_equal(FeatureStore.open(path)[:], sparse_values())


def test_the_index_of_other_readers_comes_back_without_rows(tmp_path):
    path = tmp_path / "s.zarr"
    store = FeatureStore.write(path, sparse_values(), layout="packed", shard_bytes=600)
    shard = path / "matrix/c.1.0"
    whole = shard.read_bytes()
    for damaged in (whole[:-3] + b"abc", whole + b"more", whole[:-30] + b"\0" * 30):
        shard.write_bytes(damaged)
        store = FeatureStore.open(path)
        assert ranges(store.verify())
        with pytest.raises(StoreCorruptError, match="Zarr index"):
            store.replace([0], np.ones((1, NUM_COLUMNS)))
        assert store.repair(np.empty((0, NUM_COLUMNS))) == []
        assert shard.read_bytes() == whole


def only_literals(row, asbytes):
    """What another version of LZ4 may write: valid, and of another length."""
    row = bytes(row)
    more = len(row) - 15
    return bytes([0xF0, more]) + row if 0 <= more < 255 else bytes([len(row) << 4]) + row


def test_rows_that_another_lz4_compressed_come_back_in_shards_of_their_own(tmp_path, monkeypatch):
    path = tmp_path / "s.zarr"
    matrix = np.repeat(sparse_values(), 4, axis=1)
    with monkeypatch.context() as patch:
        patch.setattr(blosc, "_lz4", lambda: SimpleNamespace(compress=only_shorter))
        store = FeatureStore.write(path, matrix, layout="packed", shard_bytes=1500, dtype="float32")
    store.append(matrix[:3])
    matrix = np.concatenate([matrix, matrix[:3]])
    pinned = FeatureStore.open(path)
    before = (store.fingerprint, store.statistics.mean.tolist(), store._commit.number)
    offsets = np.fromfile(path / INDEX["packed"], "<i8")
    most = store._commit.rows_per_shard
    for row in (1, 2, most, NUM_ROWS - 2):
        flip(path / f"matrix/c.{row // most}.0", int(offsets[row] - offsets[row // most * most]) + 30)
    assert store.repair(matrix) == []
    assert (store.fingerprint, store.statistics.mean.tolist(), store._commit.number) == (*before[:2], before[2] + 1)
    assert np.array_equal(FeatureStore.open(path)[:], matrix)
    assert np.array_equal(seen_by_zarr(path, "packed"), matrix)
    still = {row for first, stop in ranges(pinned.verify()) for row in range(first, stop)}
    assert still, "what was written anew is not seen by those who have the earlier commit open"
    assert still <= {1, 2, most, NUM_ROWS - 2}
    store.append(matrix[:3])
    assert store.verify() == []


def only_shorter(row, asbytes):
    """Literals only where that saves the header; else nothing is compressed at all."""
    import pyarrow as pa

    exact = pa.Codec("lz4_raw").compress(row, asbytes=asbytes)
    return exact if len(exact) % 2 else only_literals(row, asbytes)


# --- kills ------------------------------------------------------------------------------------------------


@every_layout
def test_killed_corrections_happened_or_did_not(tmp_path, layout):
    path = tmp_path / "s.zarr"
    matrix = sparse_values(400)
    store = FeatureStore.write(path, matrix, layout=layout, shard_bytes=1500)
    rows = np.arange(0, 400, 3)
    store.replace(rows, np.full((len(rows), NUM_COLUMNS), 1))
    for kill in range(6):
        child = os.fork()
        if child == 0:
            try:
                mine = FeatureStore.open(path)
                for number in range(2, 10_000):
                    new = np.full((len(rows), NUM_COLUMNS), number)
                    new[:, number % NUM_COLUMNS :] = 0
                    mine.replace(rows, new)
            finally:
                os._exit(1)
        time.sleep(random.uniform(0.02, 0.3))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        with FeatureStore.open(path) as found:
            assert (found[rows] == found[[0]]).all(), f"kill {kill}: rows of two commits"
            others = np.setdiff1d(np.arange(400), rows)
            assert np.array_equal(found[others], matrix[others])
            assert found.verify() == []
    FeatureStore.open(path).append(matrix[:1])
    assert FeatureStore.open(path).verify() == []
    assert not list(path.rglob(".*.replaced-*"))
