"""The feature store read and written: what comes out is what went in, in any order, or it is refused."""

from __future__ import annotations

import itertools
import pickle
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import tensorstore
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import (
    ConfigError,
    KeyTypeError,
    MissingKeysError,
    RepeatedKeysError,
    StoreCorruptError,
    StoreError,
    StoreExistsError,
    StoreFormatError,
    StoreNotFoundError,
)
from rowlock.keys import Keys
from rowlock.store import FeatureStore, row_reading

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


LAYOUTS = ["raw", "csr", "packed"]
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def numbered(num_rows, num_columns, dtype="float32"):
    """Values that say which row and column they are."""
    return (np.arange(num_rows)[:, None] * 100 + np.arange(num_columns)).astype(dtype)


def random_bytes(seed, shape, dtype):
    """Every bit pattern, NaN with payloads and denormals included."""
    num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.random.default_rng(seed).bytes(num_bytes), shape, dtype


@pytest.fixture
def path(tmp_path):
    return tmp_path / "growth.zarr"


def test_rows_come_by_number_slice_list_and_mask(path):
    matrix = numbered(20, 7)
    store = FeatureStore.write(path, matrix)
    assert np.array_equal(store[[13, 5, 1, 7]], matrix[[13, 5, 1, 7]])
    assert np.array_equal(store[5], matrix[5])
    assert store[np.int64(5)].shape == (7,)
    assert np.array_equal(store[2:9:3], matrix[2:9:3])
    assert np.array_equal(store[15:99], matrix[15:99])
    assert np.array_equal(store[matrix[:, 0] > 700], matrix[matrix[:, 0] > 700])
    assert store[[]].shape == (0, 7)


@pytest.mark.parametrize(
    "selection",
    [-1, [0, -1], 20, [3, 20], slice(-3, None), slice(None, None, -1), [0.5], (1, 2), [[1]], np.ones(3, bool)],
)
def test_rows_outside_or_counted_from_the_end_are_refused(path, selection):
    store = FeatureStore.write(path, numbered(20, 7))
    with pytest.raises(ConfigError):
        store[selection]


def test_gather_refuses_rows_outside_and_wrong_outputs(path):
    store = FeatureStore.write(path, numbered(20, 7))
    good = np.array([1, 2])
    for rows in ([-1, 0], [0, 20]):
        with pytest.raises(ConfigError, match=r"1 of 2 rows are not in .*rows 0\.\.19"):
            store.gather(np.array(rows), np.empty((2, 7), np.float32))
        with pytest.raises(ConfigError):
            store.will_need(np.array(rows))
    frozen = np.empty((2, 7), np.float32)
    frozen.flags.writeable = False
    for out, columns in [
        (np.empty((2, 6), np.float32), None),
        (np.empty((3, 7), np.float32), None),
        (frozen, None),
        (np.empty((2, 7), np.int32), None),
        (np.empty((2, 1), np.float32), np.array([7])),
        (np.empty((2, 1), np.float32), np.array([-1])),
    ]:
        with pytest.raises(ConfigError):
            store.gather(good, out, columns)


@settings(deadline=None, max_examples=120)
@given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    num_rows=st.integers(1, 40),
    num_columns=st.integers(1, 40),
    kind=st.sampled_from([None, "int", "text"]),
    layout=st.sampled_from([*LAYOUTS, "auto"]),
    zeros=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
)
def test_gather_is_numpy_indexing_for_any_shape_order_columns_and_layout(
    tmp_path_factory, data, dtype, num_rows, num_columns, kind, layout, zeros
):
    raw, shape, _ = random_bytes(num_rows * 41 + num_columns, (num_rows, num_columns), dtype)
    matrix = np.frombuffer(raw, dtype).reshape(shape).copy()
    matrix[np.random.default_rng(num_rows).random(shape) < zeros] = 0
    keys = {None: None, "int": np.arange(num_rows) * 7 - 3, "text": [f"k{i}" for i in range(num_rows)]}[kind]
    path = tmp_path_factory.mktemp("store") / "growth.zarr"
    shard_bytes = data.draw(st.sampled_from([1, 64, 1000, 1 << 20]))
    store = FeatureStore.write(path, matrix, keys=keys, dtype=dtype, layout=layout, shard_bytes=shard_bytes)
    rows = np.array(data.draw(st.lists(st.integers(0, num_rows - 1), max_size=50)), np.int64)
    out = np.empty((len(rows), num_columns), dtype)
    store.will_need(rows)
    store.gather(rows, out)
    assert out.tobytes() == matrix[rows].tobytes()
    columns = np.array(data.draw(st.lists(st.integers(0, num_columns - 1), min_size=1, max_size=9)), np.int64)
    chosen = np.empty((len(rows), len(columns)), dtype)
    store.gather(rows, chosen, columns)
    assert chosen.tobytes() == matrix[rows][:, columns].tobytes()
    with np.errstate(all="ignore"):
        wide = np.empty((len(rows), len(columns)), np.float64)
        store.gather(rows, wide, columns)
        assert np.array_equal(wide, matrix[rows][:, columns].astype(np.float64), equal_nan=True)
    strided = np.empty((len(rows), 2 * num_columns), dtype)[:, ::2]
    store.gather(rows, strided)
    assert strided.tobytes() == matrix[rows].tobytes()
    assert store.verify() == []


@every_layout
def test_many_rows_in_a_cast_come_in_pieces_and_in_order(path, layout):
    matrix = numbered(5000, 64)
    store = FeatureStore.write(path, matrix, layout=layout)
    rows = np.random.default_rng(0).integers(0, 5000, 20_000)
    out = np.empty((20_000, 64), np.float64)
    store.gather(rows, out)
    assert np.array_equal(out, matrix[rows])


def test_rows_come_by_key(path):
    matrix = numbered(6, 3)
    store = FeatureStore.write(path, matrix, keys=pd.Series(list("fbadce"), name="object_id"))
    assert (store.key_kind, store.key_name) == ("text", "object_id")
    assert np.array_equal(store.by_key(["a", "f", "a"]), matrix[[2, 0, 2]])
    assert store.find(Keys.of(["e", "x"], "q")).tolist() == [5, -1]
    with pytest.raises(MissingKeysError, match=r"2 of 3 keys are not in .*: 'x', 'y'"):
        store.by_key(["x", "a", "y"])
    with pytest.raises(KeyTypeError, match="text keys.*int keys"):
        store.by_key([1])
    assert store.keys.values().tolist() == list("fbadce")


def test_a_store_without_keys_says_so(path):
    store = FeatureStore.write(path, numbered(6, 3))
    assert (store.keys, store.key_kind, store.key_name) == (None, None, None)
    with pytest.raises(ConfigError, match="has no keys"):
        store.by_key([1])


def test_rows_can_be_proved_to_be_a_given_keys_rows(path):
    matrix, keys = numbered(6, 3), Keys.of(list("fbadce"), "x")
    store = FeatureStore.write(path, matrix, keys=keys)
    out = np.empty((2, 3), np.float32)
    store.gather(np.array([2, 0]), out, key_hashes=Keys.of(["a", "f"], "x").hash())
    assert np.array_equal(out, matrix[[2, 0]])
    with pytest.raises(StoreError, match="another key's row") as caught:
        store.gather(np.array([2, 0]), out, key_hashes=Keys.of(["a", "b"], "x").hash())
    assert caught.value.rows == (0,)


def test_properties_say_what_the_store_is(path):
    store = FeatureStore.write(
        path, numbered(20, 3), keys=range(20), columns=["a", "b", "c"], dtype="float64", layout="raw"
    )
    assert (store.num_rows, len(store), store.num_columns, store.shape) == (20, 20, 3, (20, 3))
    assert (store.columns, store.dtype, store.layout, store.path) == (["a", "b", "c"], np.dtype("float64"), "raw", path)
    assert "20 rows x 3 columns, float64, int keys, 480 bytes, raw)" in repr(store)
    store.close()
    assert "closed" in repr(store)
    with pytest.raises(StoreError, match="was closed"):
        store[0]


def read_by_others(path):
    """The matrix as zarr-python, as tensorstore and (sparse) as AnnData and SciPy read it."""
    group = zarr.open_group(path, mode="r")

    def by_tensorstore(name):
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/{name}/"}}
        return tensorstore.open(spec).result().read().result()

    if not isinstance(group["matrix"], zarr.Group):
        return [group["matrix"][:], by_tensorstore("matrix")]
    import anndata

    parts = ["data", "indices", "indptr"]
    readers = [lambda part: group["matrix"][part][:], lambda part: by_tensorstore(f"matrix/{part}")]
    shape = tuple(group["matrix"].attrs["shape"])
    sparse = [scipy.sparse.csr_array(tuple(map(read, parts)), shape=shape) for read in readers]
    sparse.append(anndata.io.read_elem(group["matrix"]))
    assert all(matrix.has_canonical_format for matrix in sparse)
    return [matrix.toarray() for matrix in sparse]


@every_layout
@pytest.mark.parametrize("dtype", ["float32", "uint8", "int64"])
@pytest.mark.parametrize(("kind", "shard_bytes"), [("int", 100), ("text", 1 << 20), (None, 100)])
def test_zarr_tensorstore_and_anndata_read_the_same_arrays(path, layout, dtype, kind, shard_bytes):
    matrix = numbered(21, 5, dtype)
    matrix[[3, 4, 20]] = 0
    keys = {"int": np.arange(21) * 3, "text": [f"ü{i}" for i in range(21)], None: None}[kind]
    store = FeatureStore.write(path, matrix, keys=keys, dtype=dtype, layout=layout, shard_bytes=shard_bytes)
    store.append(matrix[:3] + 1, keys={"int": [-1, -2, -3], "text": ["x", "y", "z"], None: None}[kind])
    everything = np.concatenate([matrix, matrix[:3] + 1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        group = zarr.open_group(path, mode="r")
        names = set(group.array_keys())
        assert group["row_check"].shape == (24,)
        for found in read_by_others(path):
            assert np.array_equal(found, everything)
            assert found.dtype == dtype
    assert names >= ({"row_check"} if layout == "csr" else {"matrix", "row_check"})
    if kind == "int":
        assert group["keys"][:].tolist() == [*(i * 3 for i in range(21)), -1, -2, -3]
    if kind == "text":
        offsets, data = group["key_offsets"][:], group["key_bytes"][:].tobytes()
        texts = [data[a:b].decode() for a, b in itertools.pairwise(offsets)]
        assert texts == [*(f"ü{i}" for i in range(21)), "x", "y", "z"]
    for run in group["key_index"].array_values() if kind else []:
        hashes, rows = run[:]
        assert (np.diff(hashes.astype(float)) >= 0).all()
        assert np.array_equal(store.keys.hash()[rows.astype(int)], hashes)


def test_a_tail_shard_uses_no_disk_for_rows_that_are_not_there(path):
    num_columns = 1 << 16  # 256 KiB a row
    FeatureStore.write(path, np.ones((17, num_columns), np.float32), layout="raw", shard_bytes=16 << 18)
    tail = path / "matrix" / "c.1.0"
    assert tail.stat().st_size == 16 << 18
    assert tail.stat().st_blocks * 512 <= 2 << 18


@every_layout
def test_many_threads_gather_at_once(path, layout):
    matrix = numbered(500, 33)
    matrix[::3] = 0
    keys = [f"k{i}" for i in range(500)]
    store = FeatureStore.write(path, matrix, keys=keys, layout=layout, shard_bytes=10_000)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(50):
            rows = rng.integers(0, 500, 64)
            out = np.empty((64, 33), np.float32)
            store.will_need(rows)
            store.gather(rows, out)
            if not np.array_equal(out, matrix[rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@every_layout
def test_hundreds_of_shards_need_no_descriptor_each(path, layout):
    import resource

    FeatureStore.write(path, numbered(400, 2), layout=layout, shard_bytes=8).close()
    assert len(list((path / "matrix").rglob("c.*"))) >= 400
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 20, hard))
    try:
        assert np.array_equal(FeatureStore.open(path)[:], numbered(400, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_opening_nothing_something_else_or_a_later_format_is_refused(path, tmp_path):
    with pytest.raises(StoreNotFoundError, match="there is no store"):
        FeatureStore.open(path)
    (tmp_path / "other").mkdir()
    with pytest.raises(StoreFormatError, match="not a feature store"):
        FeatureStore.open(tmp_path / "other")
    zarr.create_group(tmp_path / "group.zarr")
    with pytest.raises(StoreFormatError, match="not a Rowlock store"):
        FeatureStore.open(tmp_path / "group.zarr")
    FeatureStore.write(path, numbered(3, 2))
    root = path / "zarr.json"
    root.write_text(root.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(StoreFormatError, match="format 2.*Upgrade"):
        FeatureStore.open(path)


def test_an_existing_store_is_replaced_only_when_asked_and_only_when_the_new_one_is_complete(path):
    FeatureStore.write(path, numbered(3, 2))
    with pytest.raises(StoreExistsError, match="overwrite=True"):
        FeatureStore.write(path, numbered(4, 2))
    with pytest.raises(StoreExistsError):
        FeatureStore.create(path, num_columns=3)

    def broken():
        yield numbered(4, 2)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        FeatureStore.write(path, broken(), overwrite=True)
    old = FeatureStore.open(path)
    assert old.shape == (3, 2)
    assert FeatureStore.write(path, numbered(4, 2), overwrite=True).shape == (4, 2)
    assert np.array_equal(old[:], numbered(3, 2)), "what was open stays readable"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_overwrite_replaces_stores_only(path):
    path.mkdir()
    (path / "thesis.txt").write_text("precious")
    with pytest.raises(StoreExistsError, match="not a feature store"):
        FeatureStore.write(path, numbered(4, 2), overwrite=True)
    assert (path / "thesis.txt").read_text() == "precious"


FORMS = {
    "array": lambda m: m,
    "fortran": np.asfortranarray,
    "lists": lambda m: m.tolist(),
    "csr": scipy.sparse.csr_matrix,
    "coo": scipy.sparse.coo_array,
    "pandas": lambda m: pd.DataFrame(m, columns=list("abc")),
    "polars": lambda m: pl.DataFrame(m, schema=list("abc")),
    "arrow": lambda m: pl.DataFrame(m, schema=list("abc")).to_arrow(),
    "blocks": lambda m: (m[i : i + 4] for i in range(0, len(m), 4)),
    "list of blocks": lambda m: [m[:4], m[4:]],
    "frames": lambda m: (pd.DataFrame(m[i : i + 4], columns=list("abc")) for i in range(0, len(m), 4)),
    "sparse blocks": lambda m: (scipy.sparse.csr_array(m[i : i + 4]) for i in range(0, len(m), 4)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_matrix_is_written_alike(path, form):
    matrix = numbered(10, 3, "float64")
    store = FeatureStore.write(path, FORMS[form](matrix), keys=range(10))
    assert store.dtype == np.float32
    assert np.array_equal(store[:], matrix)
    assert store.columns == (list("abc") if form in {"pandas", "polars", "arrow", "frames"} else None)


def test_a_memory_map_is_written(path, tmp_path):
    np.save(tmp_path / "m.npy", numbered(100, 3))
    assert np.array_equal(FeatureStore.write(path, np.load(tmp_path / "m.npy", mmap_mode="r"))[:], numbered(100, 3))


def test_blocks_may_bring_their_keys(path):
    matrix = numbered(10, 3)
    store = FeatureStore.write(path, (([f"k{i}"], matrix[i : i + 1]) for i in range(10)))
    assert np.array_equal(store.by_key(["k7", "k0"]), matrix[[7, 0]])


def test_a_callable_is_told_the_progress(path):
    seen = []
    FeatureStore.write(
        path, (numbered(4, 2) for _ in range(3)), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(4, None), (8, None), (12, None)]


def test_true_shows_a_bar(path, capsys):
    FeatureStore.write(path, numbered(4, 2), progress=True).verify(progress=True)
    assert "growth.zarr" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros(3), "two axes"),
        (np.zeros((3, 2, 2)), r"\(n, T, k\) becomes"),
        (np.zeros((3, 0)), "at least one column"),
        (np.array([["a"]]), "holds numbers"),
        (np.zeros((2, 2), complex), "holds numbers"),
        (np.zeros((2, 2), object), "holds numbers"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), r"\['b'\]"),
        (iter([]), "no blocks"),
        (iter([np.zeros((2, 2)), np.zeros((2, 3))]), "block 1 has 3 columns"),
        (iter([pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})]), "other column names"),
    ],
)
def test_what_is_no_matrix_is_refused_and_leaves_nothing(path, matrix, message):
    with pytest.raises(ConfigError, match=message):
        FeatureStore.write(path, matrix)
    assert list(path.parent.iterdir()) == []


def test_keys_that_do_not_fit_the_rows_are_refused_and_leave_nothing(path):
    matrix = numbered(4, 2)
    for keys, error, message in [
        (["a", "b", "a", "b"], RepeatedKeysError, "2 of 4 keys repeat an earlier one: 'a', 'b'"),
        (["a", "b"], ConfigError, "2 keys for 4 rows"),
        ([1.5, 2, 3, 4], KeyTypeError, "keys"),
    ]:
        with pytest.raises(error, match=message):
            FeatureStore.write(path, matrix, keys=keys)
    for keys in (list("abc"), list("abcde")):
        with pytest.raises(ConfigError, match="keys"):
            FeatureStore.write(path, iter([matrix[:2], matrix[2:]]), keys=keys)
    with pytest.raises(RepeatedKeysError, match="store has already: 'b'"):
        FeatureStore.write(path, iter([(["a", "b"], matrix[:2]), (["c", "b"], matrix[2:])]))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        ([[1.0, 1e300]], "float32", r"1e\+300 in row 0, column 1, cannot be stored as float32"),
        ([[1.0], [70000]], "float16", "row 1, column 0"),
        ([[1, 2**31]], "int32", "2147483648 in row 0"),
        ([[1, -1]], "uint8", "-1 in row 0"),
        ([[1.5]], "int32", "1.5 in row 0"),
        ([[np.nan]], "int16", "nan"),
        ([[np.inf]], "int64", "inf"),
        ([[-np.inf]], "int64", "-inf"),
        ([[2.0**63]], "int64", "9.2"),
        ([[2.0**64]], "uint64", "1.8"),
        ([[-1.0]], "uint64", "-1.0"),
    ],
)
def test_a_value_that_would_become_another_is_refused_with_its_place(path, values, dtype, message):
    with pytest.raises(ConfigError, match=message):
        FeatureStore.write(path, np.array(values), dtype=dtype)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([[0.1, np.nan, np.inf, -np.inf]], "float32"),
        ([[65504.0, -65504.0]], "float16"),
        ([[2**53 + 1]], "float32"),
        ([[-(2**63), 2**63 - 1]], "int64"),
        ([[1.0 - 2.0**53, 2.0**53 - 1.0]], "int64"),
        ([[255.0, 0.0]], "uint8"),
        ([[True, False]], "float32"),
        ([[127, -128]], "int8"),
    ],
)
def test_rounding_is_fine_and_limits_are_exact(path, values, dtype):
    stored = FeatureStore.write(path, np.array(values), dtype=dtype)[:]
    assert np.array_equal(stored, np.array(values).astype(dtype), equal_nan=True)


def test_dtype_none_keeps_the_inputs_and_booleans_need_a_number_type(path):
    assert FeatureStore.write(path, numbered(3, 2, "int16"), dtype=None).dtype == np.int16
    for dtype in ("bool", "complex64", "U3", "nonsense"):
        with pytest.raises(ConfigError):
            FeatureStore.create(path.parent / "x", num_columns=1, dtype=dtype)
    with pytest.raises(ConfigError, match='dtype="uint8"'):
        FeatureStore.write(path.parent / "x", np.ones((2, 2), bool), dtype=None)


def test_column_names_must_fit(path):
    for columns in (["a"], ["a", "a"]):
        with pytest.raises(ConfigError, match="column names"):
            FeatureStore.write(path, numbered(3, 2), columns=columns)
    with pytest.raises(ConfigError, match="num_columns"):
        FeatureStore.create(path)


def test_another_process_opens_the_store_anew(path):
    store = FeatureStore.write(path, numbered(3, 2))
    assert np.array_equal(pickle.loads(pickle.dumps(store))[:], numbered(3, 2))


@every_layout
@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("keys", [None, [f"key{i}" for i in range(97)]], ids=["no keys", "text"])
def test_a_store_is_a_sequence_of_its_rows_and_an_array_of_all(path, layout, io, keys):
    matrix = numbered(97, 6) * (np.arange(6) % 3 > 0)
    FeatureStore.write(path, matrix, keys=keys, layout=layout)
    store = FeatureStore.open(path, io)
    assert np.array_equal(np.stack(list(store)), matrix)
    assert sum(row.shape == (6,) for row in store) == len(store)
    assert np.array_equal(np.asarray(store), matrix)
    assert np.asarray(store).dtype == np.float32
    assert np.asarray(store, "float64").dtype == np.float64
    assert np.array_equal(np.concatenate([store, matrix]), np.concatenate([matrix, matrix]))
    assert pd.DataFrame(np.asarray(store)).shape == (97, 6)
    with pytest.raises(ValueError, match="always a copy"):
        np.asarray(store, copy=False)


def test_iteration_takes_some_rows_at_a_time_and_stays_in_its_commit(path, monkeypatch):
    monkeypatch.setattr(row_reading, "_ITERATED_BYTES", 5 * 28)
    matrix = numbered(20, 7)
    store = FeatureStore.write(path, matrix[:12])
    rows = iter(store)
    first = next(rows)
    store.append(matrix[12:])
    assert np.array_equal([first, *rows], matrix[:12])
    assert np.array_equal(list(store), matrix)


def test_an_iteration_ends_at_damage_and_never_with_it(path, monkeypatch):
    monkeypatch.setattr(row_reading, "_ITERATED_BYTES", 5 * 28)
    FeatureStore.write(path, numbered(20, 7), layout="raw")
    file = path / "matrix" / "c.0.0"
    data = bytearray(file.read_bytes())
    data[11 * 28] ^= 1
    file.write_bytes(data)
    got = []
    with pytest.raises(StoreCorruptError, match="row 11"):
        got.extend(FeatureStore.open(path))
    assert np.array_equal(got, numbered(10, 7))


def test_a_store_larger_than_memory_is_no_array(path, monkeypatch):
    store = FeatureStore.write(path, numbered(20, 7))
    monkeypatch.setattr(row_reading, "memory_limit_bytes", lambda: 559)
    with pytest.raises(ConfigError, match=r"20 rows of 7 columns, 560 bytes as one array.*store\[start:stop\]"):
        np.asarray(store)
    assert np.asarray(store[:10]).shape == (10, 7)


def test_a_store_is_not_written_from_a_store_without_its_keys(path, tmp_path):
    store = FeatureStore.write(path, numbered(20, 7), keys=range(20))
    with pytest.raises(ConfigError, match=r"rl\.pack\(store, .*with its keys"):
        FeatureStore.write(tmp_path / "copy.zarr", store)


@pytest.mark.parametrize("columns", [[5, 0], (5, 0), np.array([5, 0], np.uint8)], ids=["list", "tuple", "array"])
def test_columns_are_chosen_by_any_sequence(path, columns):
    store = FeatureStore.write(path, numbered(20, 7))
    out = np.empty((2, 2), np.float32)
    store.gather([13, 4], out, columns=columns)
    assert out.tolist() == [[1305, 1300], [405, 400]]
    store.gather([13, 4], out, columns=range(1, 3))
    assert out.tolist() == [[1301, 1302], [401, 402]]
    store.gather([13, 4], np.empty((2, 0), np.float32), columns=[])


@pytest.mark.parametrize("columns", [["a", "b"], [0.0, 1.0], [0, 7], [-1, 0], 5, [[0, 1]], [True, False]], ids=str)
def test_columns_that_are_none_of_the_stores_are_refused(path, columns):
    store = FeatureStore.write(path, numbered(20, 7))
    with pytest.raises(ConfigError, match="columns"):
        store.gather([1, 2], np.empty((2, 2), np.float32), columns=columns)


@pytest.mark.parametrize("address", [b"growth.zarr", None, 3])
def test_an_address_that_is_no_path_is_refused(address):
    for use in (
        lambda: FeatureStore.write(address, numbered(20, 7)),
        lambda: FeatureStore.open(address),
        lambda: FeatureStore.create(address, num_columns=3),
        lambda: rl.pack(numbered(20, 7), address),
    ):
        with pytest.raises(ConfigError, match="the address of a store is a str or a path, not"):
            use()


def masked():
    return np.ma.masked_array(numbered(20, 7), numbered(20, 7) == 303)


@pytest.mark.parametrize(
    "form",
    [masked, lambda: masked().astype(int), lambda: iter([numbered(20, 7), masked()]), lambda: [([1] * 20, masked())]],
)
def test_a_masked_value_is_never_stored_as_what_stands_behind_the_mask(path, form):
    for use in (lambda: FeatureStore.write(path, form()), lambda: rl.pack(form(), path)):
        with pytest.raises(ConfigError, match=r"masks 1 of its 140 values, first at \[3, 3\].*filled\(np.nan\)"):
            use()
        assert not path.exists()


def test_a_masked_block_is_refused_and_an_unmasked_or_filled_one_is_as_any_other(path):
    store = FeatureStore.write(path, np.ma.masked_array(numbered(20, 7)))
    for use in (lambda: store.append(masked()), lambda: store.repair(masked())):
        with pytest.raises(ConfigError, match="the matrix masks 1 of"):
            use()
    with store.writer() as writer, pytest.raises(ConfigError, match="block 1 masks 1 of"):
        writer.append(iter([numbered(20, 7), masked()]))
    assert store.num_rows == 40, "an iterator keeps the blocks before the one that is refused"
    store.append(masked().filled(np.nan))
    assert np.isnan(store[43][3])
    assert np.array_equal(store[:40], np.concatenate([numbered(20, 7)] * 2))
