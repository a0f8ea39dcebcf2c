"""What each layout of a store promises: exact values, none missing, and a choice that is explained."""

from __future__ import annotations

import ctypes
import logging
import re
import shutil
import struct

import numpy as np
import pytest
import zarr

from rowlock.errors import ConfigError, RowlockError, StoreCorruptError, StoreWriteError
from rowlock.keys import Keys
from rowlock.store import FeatureStore
from rowlock.store.layouts import lz4
from rowlock.store.layouts.csr_kernels import gather_cells
from rowlock.store.layouts.lz4 import lz4_decoder

LAYOUTS = ["raw", "csr", "packed"]
FLOATS = {"float16": 0x7E01, "float32": 0x7FC0_0123, "float64": 0x7FF8_0000_0000_0123}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "growth.zarr"


def sparse(num_rows, num_columns, share, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.integers(1, 99, (num_rows, num_columns)) * (rng.random((num_rows, num_columns)) < share)).astype("f4")


def rounded(num_rows, num_columns, seed=0):
    return np.random.default_rng(seed).standard_normal((num_rows, num_columns)).astype("f4").round(1)


def dense(num_rows, num_columns, seed=0):
    return np.random.default_rng(seed).standard_normal((num_rows, num_columns)).astype("f4")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_minus_zero_nan_payloads_infinities_and_denormals_come_back_bit_for_bit(path, layout, dtype):
    matrix = np.zeros((4, 9), dtype)
    payload = np.array([FLOATS[dtype]], f"u{matrix.itemsize}").view(dtype)[0]
    matrix[0, :6] = [
        -0.0,
        np.nan,
        payload,
        np.inf,
        -np.inf,
        np.nextafter(np.dtype(dtype).type(0), np.dtype(dtype).type(1)),
    ]
    matrix[2] = -0.0
    store = FeatureStore.write(path, matrix, dtype=dtype, layout=layout)
    assert store[:].tobytes() == matrix.tobytes()


def test_sparse_stores_hold_what_is_not_zero_and_nothing_else(path):
    matrix = np.array([[0, 1.5, 0], [0, 0, 0], [-0.0, 0, 7]], "f4")
    FeatureStore.write(path, matrix, layout="csr")
    group = zarr.open_group(path, mode="r")["matrix"]
    assert dict(group.attrs) == {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [3, 3]}
    assert group["indptr"][:].tolist() == [0, 1, 1, 3]
    assert group["indices"][:].tolist() == [1, 0, 2]
    assert group["data"][:].tobytes() == np.array([1.5, -0.0, 7], "f4").tobytes()
    assert (group["indptr"].dtype, group["indices"].dtype) == (np.int64, np.int16)


@pytest.mark.parametrize(("num_columns", "width"), [(1 << 15, 2), ((1 << 15) + 1, 4)])
def test_columns_are_as_narrow_as_scipy_allows(path, num_columns, width):
    matrix = np.zeros((3, num_columns), "f4")
    matrix[[0, 2], -1] = 5
    store = FeatureStore.write(path, matrix, layout="csr")
    assert zarr.open_group(path, mode="r")["matrix/indices"].dtype.itemsize == width
    assert np.array_equal(store[:], matrix)


def index_of(path, shard, num_rows):
    data = (path / f"matrix/c.{shard}.0").read_bytes()
    return np.frombuffer(data[-16 * num_rows - 4 : -4], "<u8").reshape(-1, 2)


def test_rows_of_zeros_are_chunks_like_any_other(path):
    FeatureStore.write(path, np.zeros((6, 50), "f4"), layout="packed")
    entries = index_of(path, 0, 6)
    assert (entries[:, 1] > 16).all()
    assert (np.diff(entries[:, 0]) > 0).all()
    assert not zarr.open_group(path, mode="r")["matrix"][:].any()


def test_chunks_that_lz4_cannot_shorten_are_stored_as_they_are(path):
    matrix = np.random.default_rng(0).integers(0, 256, (5, 700)).astype("uint8")
    store = FeatureStore.write(path, matrix, dtype="uint8", layout="packed")
    assert index_of(path, 0, 5)[:, 1].tolist() == [716] * 5
    assert np.array_equal(store[:], matrix)
    assert np.array_equal(zarr.open_group(path, mode="r")["matrix"][:], matrix)


@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_bytes_are_transposed_where_that_saves_and_everybody_reads_them(path, dtype):
    matrix = np.cumsum(np.random.default_rng(0).integers(0, 9, (400, 300)), axis=1).astype(dtype)
    store = FeatureStore.write(path, matrix, dtype=dtype)
    assert (store.layout, store._commit.shuffle) == ("packed", True)
    rows = np.random.default_rng(1).integers(0, 400, 999)
    assert np.array_equal(store[rows], matrix[rows])
    assert np.array_equal(zarr.open_group(path, mode="r")["matrix"][:], matrix)
    store._opened._matrix._decoder = 0
    assert np.array_equal(store[rows], matrix[rows])


def test_shards_are_about_as_large_as_was_asked_for(path):
    matrix = rounded(3000, 100)
    for layout, folder in [("raw", "matrix"), ("csr", "matrix/data"), ("packed", "matrix")]:
        FeatureStore.write(path, matrix, layout=layout, shard_bytes=100_000, overwrite=True)
        sizes = sorted(file.stat().st_size for file in (path / folder).glob("c.*"))
        assert len(sizes) > 5
        assert 80_000 < np.median(sizes) < 130_000


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_block_of_many_mebibytes_is_one_append(path, layout):
    store = FeatureStore.create(path, num_columns=2000, layout=layout, shard_bytes=9 << 20)
    block = np.tile(sparse(300, 2000, 0.4), (10, 1)) * np.arange(1, 3001, dtype="f4")[:, None]
    store.append(block)
    rows = np.random.default_rng(0).permutation(3000)
    assert np.array_equal(store[rows], block[rows])


def test_what_the_disk_is_told_about_are_the_bytes_that_will_be_read(path):
    from rowlock.store.layouts.csr_kernels import find_cells

    matrix, rows = sparse(40, 30, 0.4), np.array([7, 0, 39, 7, 21])
    addresses, num_bytes = np.empty(5, np.uint64), np.empty(5, np.int64)
    reader = FeatureStore.write(path, matrix, layout="csr")._opened._matrix
    find_cells(
        rows, reader._indptr, reader._data.bases, 4, reader._cells_per_shard, reader._num_cells, addresses, num_bytes
    )
    for row, address, count in zip(rows, addresses.tolist(), num_bytes.tolist(), strict=True):
        assert ctypes.string_at(address, count) == matrix[row][matrix[row] != 0].tobytes()
    reader = FeatureStore.write(path, matrix, layout="packed", shard_bytes=900, overwrite=True)._opened._matrix
    assert len(reader._maps) > 2
    for address, count in zip(*(values.tolist() for values in reader._find(rows)), strict=True):
        chunk = ctypes.string_at(address, count)
        assert chunk[:8] in reader._starts.tobytes()
        assert int.from_bytes(chunk[12:16], "little") == count


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_store_that_may_only_be_read_is_told_about_without_asking_what_is_in_memory(path, layout):
    matrix = sparse(500, 60, 0.3)
    store = FeatureStore.write(path, matrix, layout=layout, shard_bytes=5000)
    reader = store._opened._matrix
    for shards in [getattr(reader, name) for name in ("_shards", "_data", "_indices") if hasattr(reader, name)]:
        if not callable(shards):
            shards.residency_is_told = False
    reader._residency_is_told = False
    rows = np.random.default_rng(0).integers(0, 500, 900)
    store.will_need(rows)
    assert np.array_equal(store[rows], matrix[rows])


# --- the decoder -------------------------------------------------------------------------------------------


def test_without_the_fast_decoder_packed_rows_are_the_same_and_checked_alike(path):
    matrix = np.concatenate([rounded(40, 70), dense(10, 70), np.zeros((3, 70), "f4")])
    keys = [f"k{i}" for i in range(53)]
    FeatureStore.write(path, matrix, keys=keys, layout="packed", shard_bytes=3000)
    store, slow = FeatureStore.open(path), FeatureStore.open(path)
    slow._opened._matrix._decoder = 0
    rows = np.random.default_rng(0).integers(0, 53, 200)
    assert np.array_equal(slow[rows], store[rows])
    assert slow.verify() == []
    out = np.empty((1, 70), "f4")
    with pytest.raises(StoreCorruptError, match="another key's row"):
        slow.gather(np.array([3]), out, key_hashes=Keys.of(["k4"], "x").hash())
    with pytest.raises(ConfigError):
        slow.gather(np.array([53]), out)
    slow.close()
    store.close()
    file = path / "matrix/c.0.0"
    original = file.read_bytes()
    refused = 0
    for byte in range(0, len(original) // 2, 7):
        file.unlink()
        file.write_bytes(original[:byte] + bytes([original[byte] ^ 0x10]) + original[byte + 1 :])
        damaged = FeatureStore.open(path)
        damaged._opened._matrix._decoder = 0
        try:
            assert np.array_equal(damaged[:], matrix), f"silent: byte {byte}"
        except StoreCorruptError:
            refused += 1
    assert refused > 100


def test_this_machine_has_the_fast_decoder():
    assert lz4_decoder() > 0, "on Linux the wheels of blosc2 have it; without it packed rows are ten times slower"


def test_libraries_that_are_none_or_have_no_such_function_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "libblosc2.so").write_text("not a library")
    real = list(lz4._libraries())
    for found, expected in [
        ([], False),
        ([tmp_path / "libblosc2.so", "libc.so.6"], False),
        (["libc.so.6", *real], True),
    ]:
        monkeypatch.setattr(lz4, "_libraries", lambda found=found: found)
        assert (lz4.lz4_decoder.__wrapped__() > 0) is expected


# --- what is read from the disk is not believed ------------------------------------------------------------


def put(file, values, position):
    """Write values over those that are there, into a new file: maps of the old one stay."""
    data = bytearray(file.read_bytes())
    start = position * values.itemsize
    data[start : start + values.nbytes] = values.tobytes()
    file.unlink()
    file.write_bytes(data)


LIES = [
    ("csr", "matrix/indptr/c.0", "i8", [1 << 61, -1, -(1 << 62), 1 << 40, 0, 3]),
    ("csr", "matrix/indices/c.0", "i2", [-1, 12, 32767, -32768, 1]),
    ("packed", "row_offsets/c.0", "i8", [1 << 61, -1, -(1 << 62), 1 << 40, 0, 3]),
    ("packed", "matrix/c.0.0", "u4", [0, 0xFFFFFFFF, 1 << 30, 40]),
]


@pytest.mark.parametrize(("layout", "name", "dtype", "lies"), LIES, ids=[f"{case[0]}-{case[1]}" for case in LIES])
def test_offsets_columns_and_headers_that_lie_lead_nowhere_but_to_an_error(tmp_path, layout, name, dtype, lies):
    matrix = sparse(9, 12, 0.5)
    template = tmp_path / "template"
    FeatureStore.write(template, matrix, layout=layout)
    num_values = (template / name).stat().st_size // np.dtype(dtype).itemsize
    tried = 0
    for position in range(min(num_values, 60)):
        for lie in lies:
            path = tmp_path / "s.zarr"
            shutil.copytree(template, path)
            put(path / name, np.array([lie], dtype), position)
            for io in ("mmap", "pread"):
                try:
                    store = FeatureStore.open(path, io)
                    store.will_need(np.arange(9))
                    found = store[:]
                except RowlockError:
                    tried += 1
                else:
                    assert np.array_equal(found, matrix), f"silent: {lie} at {position}, {io}"
            shutil.rmtree(path)
    assert tried > 2 * len(lies)


def test_cells_out_of_order_or_twice_are_refused(path):
    matrix = np.zeros((2, 5), "f4")
    matrix[0, [1, 3]] = 7
    for columns in ([3, 1], [1, 1]):
        FeatureStore.write(path, matrix, layout="csr", overwrite=True)
        put(path / "matrix/indices/c.0", np.array(columns, "i2"), 0)
        store = FeatureStore.open(path)
        with pytest.raises(StoreCorruptError):
            store[0]
        assert not store[1].any()


def test_the_sum_over_cells_is_the_sum_over_the_dense_row(path):
    """A csr row has the same check as a raw row of the same store would have: files can be converted in place."""
    from rowlock.store.commit.row_kernels import check_block

    for dtype in ("uint8", "int16", "float32", "float64"):
        matrix = (sparse(20, 33, 0.4) + 0).astype(dtype)
        store = FeatureStore.write(path, matrix, layout="csr", dtype=dtype, overwrite=True)
        factors, found = store._opened._proof.factors, np.empty(20, np.uint64)
        hashes = Keys(np.arange(20)).hash()
        check_block(np.uint64(matrix.ctypes.data), 33 * matrix.itemsize, factors.factors, factors.salt, hashes, found)
        assert np.array_equal(found, store._opened._checks)


def test_a_missing_inner_chunk_is_an_error_and_not_zeros(path):
    FeatureStore.write(path, np.zeros((6, 50), "f4"), layout="packed")
    file = path / "matrix/c.0.0"
    data = bytearray(file.read_bytes())
    chunk = int(index_of(path, 0, 6)[2, 0])
    data[-16 * 6 - 4 + 32 : -16 * 6 - 4 + 48] = struct.pack("<QQ", 2**64 - 1, 2**64 - 1)
    file.write_bytes(data)
    assert not FeatureStore.open(path)[:].any(), "the chunk itself is still there"
    assert [reason for _, _, reason in FeatureStore.open(path).verify()] == [f"the Zarr index of {file}"]
    data[chunk : chunk + 20] = bytes(20)
    file.write_bytes(data)
    with pytest.raises(StoreCorruptError) as caught:
        FeatureStore.open(path)[:]
    assert caught.value.rows == (2,)


def test_a_damaged_or_shortened_index_is_reported_although_rows_are_whole(path):
    matrix = rounded(30, 40)
    FeatureStore.write(path, matrix, layout="packed", shard_bytes=1000)
    last = max((path / "matrix").glob("c.*"), key=lambda file: int(file.name.split(".")[1]))
    for file in (path / "matrix/c.0.0", last):
        original = file.read_bytes()
        shorter = [original[:-1]] if file == last else []
        for damaged in [original[:-9] + bytes([original[-9] ^ 4]) + original[-8:], *shorter]:
            file.unlink()
            file.write_bytes(damaged)
            store = FeatureStore.open(path)
            assert np.array_equal(store[:], matrix)
            assert [reason for *_, reason in store.verify()] == [f"the Zarr index of {file}"]
        file.write_bytes(original)
    assert FeatureStore.open(path).verify() == []


def test_damaged_offsets_are_not_appended_to(path):
    store = FeatureStore.write(path, rounded(9, 20), layout="packed")
    put(path / "row_offsets/c.0", np.array([7], "i8"), 9)
    with pytest.raises(StoreWriteError, match="row_offsets.*damaged"):
        store.append(rounded(1, 20))


def test_kernels_refuse_rows_outside_of_the_store():
    nothing, words = np.empty(0, np.int64), np.empty(0, np.uint64)
    rows, out = np.array([0]), np.empty((1, 2), np.uint32)
    facts = (nothing, words, words, np.empty(0, np.int16), 1, 0, np.empty(0, np.uint32), np.uint64(0))
    assert gather_cells(rows, rows, out, *facts, words, nothing, words, True, np.empty(1, np.uint64)) == -1


# --- layout="auto" -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "layout", "reason"),
    [
        (sparse(500, 200, 0.03), "csr", "97.* zeros"),
        (sparse(500, 200, 0.3), "packed", "times smaller"),
        (rounded(500, 200), "packed", "times smaller"),
        (dense(500, 200), "raw", r"^LZ4 (saves nothing|would save \d+ %); 500 rows sampled$"),
        (np.zeros((500, 200), "f4"), "csr", "100.0% zeros"),
        (np.zeros((500, 1), "uint8"), "raw", "^LZ4 saves nothing; "),
    ],
    ids=["sparse", "half-empty", "rounded", "dense", "zeros", "narrow"],
)
def test_the_data_decides_and_the_store_says_why(path, matrix, layout, reason):
    store = FeatureStore.write(path, matrix, dtype=None)
    assert store.layout == layout
    assert np.array_equal(store[:], matrix)
    assert store.layout_reason in repr(store)
    assert "500 rows sampled" in store.layout_reason
    assert re.search(reason, FeatureStore.open(path).layout_reason)
    named = FeatureStore.write(path, matrix, layout="raw", overwrite=True)
    assert (named.layout, named.layout_reason) == ("raw", "")


def test_float16_is_never_made_sparse_by_itself_because_scipy_has_none(path):
    assert FeatureStore.write(path, sparse(300, 100, 0.01), dtype="float16").layout == "packed"


def test_a_store_without_rows_chooses_with_its_first_rows(path):
    store = FeatureStore.create(path, num_columns=100)
    assert (store.layout, store.shape, store[:].shape) == ("auto", (0, 100), (0, 100))
    with store.writer() as writer:
        for start in range(0, 300, 10):
            writer.append(sparse(10, 100, 0.02, seed=start))
    assert (store.layout, store.num_rows) == ("csr", 300)
    assert np.array_equal(store[250:260], sparse(10, 100, 0.02, seed=250))
    store.append(dense(5, 100))
    assert store.layout == "csr"
    assert np.array_equal(store[300:], dense(5, 100))


def test_a_block_that_is_used_again_by_its_owner_is_held_as_it_was(path):
    def blocks():
        block = np.empty((10, 50), "f4")
        for number in range(7):
            block[:] = rounded(10, 50, seed=number)
            yield block

    store = FeatureStore.write(path, blocks())
    assert np.array_equal(store[:], np.concatenate([rounded(10, 50, seed=number) for number in range(7)]))


def test_a_writer_that_died_before_its_first_commit_leaves_no_other_layout_behind(path):
    store = FeatureStore.create(path, num_columns=100)
    writer = store.writer()
    writer.append(sparse(300, 100, 0.02))
    writer._matrix.sync()  # and then it dies
    writer.close()
    assert (path / "matrix/data").exists()
    store = FeatureStore.open(path)
    assert store.num_rows == 0
    store.append(dense(300, 100))
    assert store.layout == "raw"
    assert np.array_equal(store[:], dense(300, 100))
    assert sorted(entry.name for entry in (path / "matrix").iterdir()) == ["c.0.0", "zarr.json"]


@pytest.mark.parametrize(
    ("first", "later", "better"),
    [
        (sparse(300, 300, 0.01), rounded(20_000, 300), "packed"),
        (dense(300, 300), sparse(20_000, 300, 0.01), "csr"),
        (rounded(300, 300), dense(20_000, 300), "raw"),
    ],
    ids=["sparse-first", "dense-first", "rounded-first"],
)
def test_a_choice_that_turns_out_clearly_wrong_is_said_once(path, caplog, first, later, better):
    store = FeatureStore.write(path, first)
    with caplog.at_level(logging.WARNING, "rowlock"), store.writer() as writer:
        for start in range(0, len(later), 1000):
            writer.append(later[start : start + 1000])
    assert len(caplog.records) == 1
    assert f"layout='{better}'" in caplog.text
    assert str(path) in caplog.text
    assert np.array_equal(store[len(first) :], later)


def test_one_ordinary_append_of_other_rows_is_enough_to_be_said(path, caplog):
    store = FeatureStore.create(path, num_columns=100)
    store.append(np.zeros((100, 100)))
    assert (store.layout, store.layout_reason) == ("csr", "100.0% zeros; 100 rows sampled")
    with caplog.at_level(logging.WARNING, "rowlock"):
        store.append(dense(10_000, 100))
    assert len(caplog.records) == 1
    assert "layout='raw'" in caplog.text


def test_rows_that_change_within_one_write_are_said_once_with_the_address_of_the_store(path, caplog):
    matrix = np.concatenate([sparse(20_000, 100, 0.01), dense(40_000, 100)])
    with caplog.at_level(logging.WARNING, "rowlock"):
        store = FeatureStore.write(path, matrix)
    assert store.layout == "csr"
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith(f"{path} has the layout csr")


def test_what_a_writer_saw_counts_over_its_commits(path, caplog):
    store = FeatureStore.write(path, sparse(300, 100, 0.01))
    later = dense(2_000, 100)
    with caplog.at_level(logging.WARNING, "rowlock"), store.writer() as writer:
        for start in range(0, 2_000, 10):
            writer.append(later[start : start + 10])
            writer.commit()
    assert len(caplog.records) == 1


def test_one_row_is_one_row(path):
    assert FeatureStore.write(path, np.ones((1, 3))).layout_reason == "LZ4 saves nothing; 1 row sampled"


@pytest.mark.parametrize("make", [rounded, dense, lambda n, k: sparse(n, k, 0.01)], ids=["rounded", "dense", "sparse"])
def test_a_choice_that_stays_right_is_not_talked_about(path, caplog, make):
    with caplog.at_level(logging.WARNING, "rowlock"):
        store = FeatureStore.write(path, (make(1000, 300) for _ in range(20)))
        store.append(make(3000, 300))
    assert not caplog.records


def test_unknown_layouts_are_refused(path):
    with pytest.raises(ConfigError, match="'auto', 'raw', 'csr', 'packed'"):
        FeatureStore.write(path, dense(3, 3), layout="bcolz")
