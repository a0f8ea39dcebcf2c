"""Files of other formats as features: the same rows as NumPy indexing, each needed piece read once."""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.errors import (
    AlignmentError,
    ConfigError,
    KeyTypeError,
    MissingKeysError,
    RepeatedKeysError,
    RowError,
    StoreNotFoundError,
)
from rowlock.inputs import foreign
from rowlock.inputs.access import cost_of_pages, cost_of_pieces
from rowlock.inputs.key_join import KeyJoin
from rowlock.inputs.matrices import open_matrix
from rowlock.inputs.piece_cache import PieceCache
from rowlock.keys import Keys
from rowlock.meter import Meter
from rowlock.sources import Pieces
from rowlock.table import Table


def numbered(num_rows=60, num_columns=5, dtype="float32"):
    """Values that say which row and column they are."""
    return (np.arange(num_rows)[:, None] * 100 + np.arange(num_columns)).astype(dtype)


def names_of(num_columns):
    return [f"c{i}" for i in range(num_columns)]


def save_table(path, matrix, piece_rows, keys=None, **more):
    columns = dict(zip(names_of(matrix.shape[1]), matrix.T.copy(), strict=True)) | more
    data = pa.table(columns if keys is None else {"object_id": keys} | columns)
    if path.suffix == ".parquet":
        pq.write_table(data, path, row_group_size=piece_rows)
    else:
        compression = None if path.suffix == ".arrow" else "lz4"
        with pa.ipc.new_file(str(path), data.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_table(data, max_chunksize=piece_rows)
    return path


def save_zarr(path, matrix, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(path, shape=matrix.shape, dtype=matrix.dtype, **options)
    array[:] = matrix
    return path


def save_hdf5(path, matrix, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=matrix, **options)
    return path


def save_npy(path, matrix):
    np.save(path, matrix)
    return path


def save_bcolz(path, matrix, piece_rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bcolz = pytest.importorskip("bcolz", reason="bcolz-zipline has no wheel for this Python")
    bcolz.carray(matrix, rootdir=str(path), chunklen=piece_rows).flush()
    return path


def clipped(rows, columns, matrix):
    return min(rows, matrix.shape[0]), min(columns, matrix.shape[1])


FORMATS = {
    "npy": lambda p, m, n: save_npy(p / "m.npy", m),
    "fortran npy": lambda p, m, n: save_npy(p / "m.npy", np.asfortranarray(m)),
    "big-endian npy": lambda p, m, n: save_npy(p / "m.npy", m.astype(m.dtype.newbyteorder(">"))),
    "parquet": lambda p, m, n: save_table(p / "m.parquet", m, n),
    "arrow": lambda p, m, n: save_table(p / "m.arrow", m, n),
    "feather": lambda p, m, n: save_table(p / "m.feather", m, n),
    "zarr 2": lambda p, m, n: save_zarr(p / "m", m, chunks=clipped(n, 2, m), zarr_format=2),
    "zarr 3": lambda p, m, n: save_zarr(p / "m", m, chunks=clipped(n, 3, m)),
    "sharded zarr": lambda p, m, n: save_zarr(p / "m", m, chunks=(n, m.shape[1]), shards=(n * 4, m.shape[1])),
    "hdf5": lambda p, m, n: save_hdf5(p / "m.h5", m),
    "chunked hdf5": lambda p, m, n: save_hdf5(p / "m.h5", m, chunks=clipped(n, 2, m), compression="gzip"),
    "bcolz": lambda p, m, n: save_bcolz(p / "m", m, n),
}


@pytest.mark.parametrize("form", FORMATS)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_gather_is_numpy_indexing_for_any_rows_columns_and_pieces(tmp_path_factory, form, data):
    num_rows, num_columns = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 6))
    dtype = data.draw(st.sampled_from(["float32", "float64", "int16", "uint8"]))
    with np.errstate(over="ignore"):
        matrix = numbered(num_rows, num_columns, dtype)
    path = FORMATS[form](tmp_path_factory.mktemp("m"), matrix, data.draw(st.integers(1, 20)))
    opened = open_matrix(str(path), "x")
    assert (opened.num_rows, opened.num_columns, opened.dtype) == (num_rows, num_columns, dtype)
    rows = np.array(data.draw(st.lists(st.integers(0, num_rows - 1), max_size=50)), np.int64)
    columns = np.array(data.draw(st.lists(st.integers(0, num_columns - 1), min_size=1, max_size=8)), np.int64)
    for wide in (dtype, "float64"):
        out = np.full((len(rows), num_columns), 77, wide)
        opened.will_need(rows)
        opened.gather(rows, out, None)
        assert np.array_equal(out, matrix[rows])
        chosen = np.full((len(rows), len(columns)), 77, wide)
        opened.gather(rows, chosen, columns)
        assert np.array_equal(chosen, matrix[rows][:, columns])
    opened.close()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("wish", "shape"),
    [
        ({}, (4,)),
        ({"columns": [2, 0]}, (2,)),
        ({"shape": (2, 2)}, (2, 2)),
        ({"dtype": "float64"}, (4,)),
        ({"standardize": "store"}, (4,)),
    ],
    ids=str,
)
def test_no_rows_of_a_file_are_an_empty_batch(tmp_path, form, wish, shape):
    path = FORMATS[form](tmp_path, numbered(20, 4), 8)
    data = rl.Dataset(pd.DataFrame({"y": np.arange(20.0)}), {"x": rl.Features(path, **wish)}, target=rl.Column("y"))
    batch = data.gather([])
    assert (batch.inputs["x"].shape, batch.target.shape) == ((0, *shape), (0,))
    assert batch.inputs["x"].dtype == data.gather([3]).inputs["x"].dtype


def test_no_rows_of_a_table_with_keys_are_an_empty_batch(tmp_path):
    names = [f"k{i}" for i in range(20)]
    path = save_table(tmp_path / "k.parquet", numbered(20, 4), 8, keys=names)
    data = rl.Dataset(pd.DataFrame({"object_id": names}), {"x": rl.Features(path)}, key="object_id")
    assert data.gather([]).inputs["x"].shape == (0, 4)


@pytest.mark.parametrize("form", FORMATS)
def test_a_dataset_joins_a_file_without_keys_by_the_frames_index(tmp_path, form):
    matrix = numbered()
    path = FORMATS[form](tmp_path, matrix, 8)
    frame = pd.DataFrame({"y": np.arange(60.0)}).sample(frac=1, random_state=1)
    data = rl.Dataset(frame, inputs={"f": rl.Features(path, columns=[4, 0])}, target=rl.Column("y"))
    loader = data.batches(7, seed=3)
    for step, batch in enumerate(loader):
        assert np.array_equal(batch.inputs["f"], matrix[:, [4, 0]][np.ravel(batch.target).astype(int)])
        assert np.array_equal(batch.inputs["f"], loader.batch(step).inputs["f"])
    with pytest.raises(AlignmentError, match="not row numbers"):
        rl.Dataset(frame.set_index(frame.index + 1), inputs={"f": rl.Features(path)}, target=rl.Column("y"))
    with pytest.raises(ConfigError, match="no column"):
        rl.Dataset(frame, inputs={"f": rl.Features(path, columns=[5])}, target=rl.Column("y"))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize("kind", ["int", "text"])
def test_a_table_with_the_key_column_is_joined_by_key(tmp_path, suffix, kind):
    matrix = numbered()
    keys = [f"k{i:02d}" for i in range(60)] if kind == "text" else [i * 3 - 5 for i in range(60)]
    path = save_table(tmp_path / f"m{suffix}", matrix, 8, keys, note=["x"] * 60)
    frame = pd.DataFrame({"object_id": keys, "y": np.arange(60.0)}).sample(frac=2, replace=True, random_state=1)
    features = rl.Features(path, columns=["c3", "c1", "c3"])
    data = rl.Dataset(frame, inputs={"f": features}, target=rl.Column("y"), key="object_id")
    for batch in data.batches(16, seed=0):
        assert np.array_equal(batch.inputs["f"], matrix[:, [3, 1, 3]][np.ravel(batch.target).astype(int)])
    with pytest.raises(ConfigError, match=r"not: \['note'\]"):
        rl.Dataset(frame, inputs={"f": rl.Features(path)}, key="object_id")


def test_keys_of_a_table_are_as_strict_as_those_of_a_store(tmp_path):
    path = save_table(tmp_path / "m.parquet", numbered(3), 8, ["a", "b", "c"])

    def joined(keys, **options):
        frame = pd.DataFrame({"object_id": keys, "other": keys})
        rl.Dataset(frame, inputs={"f": rl.Features(path, **options)}, key="object_id")

    joined(["c", "a", "c"])
    with pytest.raises(MissingKeysError, match="1 of 2 rows.*'z'"):
        joined(["a", "z"])
    with pytest.raises(KeyTypeError, match=r"int keys \(1, 2\) are never equal to the text keys"):
        joined([1, 2])
    with pytest.raises(ConfigError, match=r"no column 'other' to be joined by.*--key"):
        joined(["a"], key="other")
    repeated = save_table(tmp_path / "twice.parquet", numbered(3), 8, ["a", "b", "a"])
    with pytest.raises(RepeatedKeysError, match="'a'"):
        rl.Dataset(pd.DataFrame({"object_id": ["a"]}), inputs={"f": rl.Features(repeated)}, key="object_id")


def test_anndata_is_joined_by_its_names_of_rows(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import anndata

        names = pd.Index([f"k{i}" for i in range(60)], dtype=object)
        matrix = numbered() * (numbered() % 3 == 0)
        variables = pd.DataFrame(index=pd.Index(names_of(5), dtype=object))
        data = anndata.AnnData(scipy.sparse.csr_matrix(matrix), obs=pd.DataFrame(index=names), var=variables)
        data.write_h5ad(tmp_path / "m.h5ad")
        data.write_zarr(tmp_path / "m.zarr")
    frame = pd.DataFrame({"cell": names, "y": np.arange(60.0)}).sample(frac=1, random_state=0)
    for path in (tmp_path / "m.h5ad", tmp_path / "m.zarr"):
        inputs = {"f": rl.Features(path, columns=["c4", "c0"])}
        for batch in rl.Dataset(frame, inputs=inputs, target=rl.Column("y"), key="cell").batches(7):
            assert np.array_equal(batch.inputs["f"], matrix[:, [4, 0]][np.ravel(batch.target).astype(int)])
        with pytest.raises(AlignmentError, match="never joined by row number"):
            rl.Dataset(frame, inputs=inputs)


@given(
    stored=st.lists(st.integers(-50, 50), unique=True, min_size=1),
    wanted=st.lists(st.integers(-60, 60)),
    as_text=st.booleans(),
)
def test_a_join_finds_each_key_and_nothing_else(stored, wanted, as_text):
    def keys(values):
        return Keys.of([str(v) for v in values] if as_text else np.array(values, np.int64), "x")

    expected = [stored.index(value) if value in stored else -1 for value in wanted]
    if wanted:
        assert KeyJoin(keys(stored), "x").find(keys(wanted), "y").tolist() == expected


def test_a_join_compares_keys_that_share_a_hash(monkeypatch):
    monkeypatch.setattr(Keys, "hash", lambda keys: np.array([len(v) for v in keys.values()], np.uint64))
    monkeypatch.setattr(Keys, "repeated", lambda keys: np.empty(0, np.int64))
    join = KeyJoin(Keys.of(["aa", "b", "cc", "dd", "e"], "x"), "x")
    assert join.find(Keys.of(["dd", "aa", "zz", "e", "cc", "fff"], "x"), "y").tolist() == [3, 0, -1, 4, 2, -1]


# what a gather costs


def test_each_piece_that_is_needed_is_read_once_in_order_and_then_kept(tmp_path, monkeypatch):
    matrix = numbered(100)
    opened = open_matrix(str(save_table(tmp_path / "m.parquet", matrix, 10)), "x")
    read, original = [], opened._source.read
    monkeypatch.setattr(opened._source, "read", lambda a, b, c=None: read.append(a) or original(a, b, c))
    rows = np.array([95, 3, 41, 42, 3, 99, 0])
    out = np.empty((7, 5), np.float32)
    opened.gather(rows, out, None)
    assert read == [0, 4, 9]
    opened.gather(np.array([44, 5, 55]), out[:3], None)
    assert read == [0, 4, 9, 5]
    assert (opened.decoded_bytes, opened.wanted_bytes) == (4 * 10 * 20, 10 * 20)


def test_what_is_kept_stays_within_its_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "CACHE_BYTES", 3 * 10 * 20)
    matrix = numbered(100)
    opened = open_matrix(str(save_table(tmp_path / "m.parquet", matrix, 10)), "x")
    out = np.empty((20, 5), np.float32)
    for seed in range(20):
        rows = np.random.default_rng(seed).integers(0, 100, 20)
        opened.gather(rows, out, None)
        assert np.array_equal(out, matrix[rows])
        assert sum(piece.nbytes for piece in opened._cache._kept.values()) == opened._cache.num_bytes <= 3 * 10 * 20
        assert len(opened._cache._newest) <= 1
    assert opened.decoded_bytes > opened.wanted_bytes


@pytest.mark.parametrize("cache_bytes", [0, 3 * 10 * 20, 10**6])
def test_rows_in_order_decode_each_piece_once(tmp_path, monkeypatch, cache_bytes):
    monkeypatch.setattr(foreign, "CACHE_BYTES", cache_bytes)
    opened = open_matrix(str(save_table(tmp_path / "m.parquet", numbered(100), 10)), "x")
    out = np.empty((4, 5), np.float32)
    for start in range(0, 100, 4):
        opened.gather(np.arange(start, start + 4), out, None)
        assert np.array_equal(out, numbered(100)[start : start + 4])
    assert opened.decoded_bytes == 100 * 20


def test_threads_that_need_one_piece_decode_it_once():
    cache, began, calls = PieceCache(1000), threading.Barrier(8), []

    def load():
        calls.append(1)
        threading.Event().wait(0.05)
        return np.arange(5)

    def work():
        began.wait()
        assert np.array_equal(cache.get("a", load), np.arange(5))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert calls == [1]
    assert cache.num_bytes == 40


def test_a_piece_that_fails_fails_for_everybody_and_may_succeed_later():
    cache, fail, wrong = PieceCache(1000), [True], []

    def load():
        threading.Event().wait(0.02)
        if fail[0]:
            raise OSError("gone")
        return np.arange(5)

    def work():
        try:
            cache.get("a", load)
        except OSError as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(wrong) == 4
    fail[0] = False
    assert np.array_equal(cache.get("a", load), np.arange(5))
    assert cache._loading == {}


@pytest.mark.parametrize("form", ["parquet", "feather", "zarr 3", "chunked hdf5", "npy", "bcolz"])
def test_many_threads_gather_from_one_file(tmp_path, monkeypatch, form):
    monkeypatch.setattr(foreign, "CACHE_BYTES", 2000)
    matrix = numbered(300)
    opened = open_matrix(str(FORMATS[form](tmp_path, matrix, 16)), "x")
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(15):
            rows = rng.integers(0, 300, 40)
            out = np.empty((40, 5), np.float32)
            opened.gather(rows, out, None)
            if not np.array_equal(out, matrix[rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert not wrong


@given(num_pieces=st.integers(1, 40), piece_rows=st.integers(1, 300))
def test_the_cost_is_what_random_batches_decode(num_pieces, piece_rows):
    num_rows = num_pieces * piece_rows
    cost = cost_of_pieces("x", Pieces(num_rows, piece_rows=piece_rows), 20, 20, 0)
    rng = np.random.default_rng(0)
    touched = [len(np.unique(rng.integers(0, num_rows, 256) // piece_rows)) for _ in range(60)]
    assert cost.amplification == pytest.approx(max(1.0, np.mean(touched) * piece_rows / 256), rel=0.1)


def test_costs_of_known_cases():
    regular = Pieces(1_000_000, piece_rows=1000)
    assert cost_of_pieces("x", regular, 40, 40, 0).amplification == pytest.approx(883, rel=0.01)
    assert cost_of_pieces("x", regular, 40, 40, 40_000_000).amplification == 1
    assert cost_of_pieces("x", regular, 40, 40, 20_000_000).amplification == pytest.approx(442, rel=0.01)
    assert cost_of_pieces("x", Pieces(10**6, piece_rows=1), 4000, 4000, 0).amplification == pytest.approx(1, rel=0.01)
    assert not cost_of_pages("x", 10**9, 4000, 4000, 0).is_large
    assert cost_of_pages("x", 10**9, 4000, 4, 0).amplification == pytest.approx(1024, rel=0.01)


def test_a_file_that_costs_much_is_told_once_with_what_to_do(tmp_path, monkeypatch, caplog):
    path = save_table(tmp_path / "m.parquet", numbered(5000), 5000)
    frame = pd.DataFrame({"y": np.arange(5000)})
    with caplog.at_level(logging.WARNING, "rowlock"):
        rl.Dataset(frame, inputs={"f": rl.Features(path)})
        assert caplog.messages == []
        monkeypatch.setattr(foreign, "CACHE_BYTES", 0)
        data = rl.Dataset(frame, inputs={"f": rl.Features(path)})
        list(data.batches(512))
    assert len(caplog.messages) == 1
    assert f"rowlock pack {path}" in caplog.text
    assert "20 bytes" in caplog.text
    assert rl.Features(path).open(Table(frame), "f").access_cost.amplification == pytest.approx(5000 / 256)
    store = rl.pack(path, tmp_path / "m.zarr")
    assert rl.Features(store).open(Table(frame), "f").access_cost is None


def test_the_index_that_pandas_stored_without_a_name_is_no_feature(tmp_path, caplog):
    frame = pd.DataFrame(numbered(60, 3), columns=list("abc")).sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "m.parquet")
    with caplog.at_level(logging.INFO, "rowlock"):
        data = rl.Dataset(frame.reset_index(drop=True), inputs={"f": rl.Features(tmp_path / "m.parquet")})
    assert np.array_equal(data.batches(60, shuffle=False).batch(0).inputs["f"], frame.to_numpy())
    assert ["__index_level_0__" in message for message in caplog.messages] == [True]


# what is refused, and damage


def test_addresses_that_cannot_be_read_by_row_say_to_pack(tmp_path):
    frame = pd.DataFrame({"y": [1.0, 2.0]})
    (tmp_path / "m.csv").write_text("a\n1\n2\n")
    np.savez(tmp_path / "m.npz", numbered(2))
    for name in ("m.csv", "m.npz"):
        with pytest.raises(ConfigError, match=rf"rowlock pack .*{name}"):
            rl.Dataset(frame, inputs={"f": rl.Features(tmp_path / name)})
    with pytest.raises(StoreNotFoundError):
        rl.Dataset(frame, inputs={"f": rl.Features(tmp_path / "nothing.zarr")})
    np.save(tmp_path / "o.npy", np.array([[{}], [{}]]), allow_pickle=True)
    with pytest.raises(ConfigError, match="never read"):
        rl.Dataset(frame, inputs={"f": rl.Features(tmp_path / "o.npy")})


@pytest.mark.parametrize("key", ["key", "the id"])
def test_the_command_that_packs_a_csv_names_its_key(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({key: ["a", "b"], "x": [1.0, 2.0]}).to_csv("f.csv", index=False)
    frame = pd.DataFrame({key: ["b", "a"], "other": ["a", "b"]})
    with pytest.raises(ConfigError) as caught:
        rl.Dataset(frame, {"f": rl.Features("f.csv")}, key=key)
    command = shlex.split(str(caught.value).split("Pack it once: ")[1])
    assert command == ["rowlock", "pack", "f.csv", "features.zarr", "--key", key]
    assert CliRunner().invoke(app, command[1:]).exit_code == 0
    data = rl.Dataset(frame, {"f": rl.Features("features.zarr")}, key=key)
    assert data.gather([0, 1]).inputs["f"].tolist() == [[2.0], [1.0]]
    with pytest.raises(ConfigError, match=r"features\.zarr$"):
        rl.Dataset(frame, {"f": rl.Features("f.csv")}, key="other")


def test_values_that_do_not_fit_the_batch_are_an_error(tmp_path):
    matrix = numbered(20, 2, "float64")
    matrix[13, 1] = 1e300
    frame = pd.DataFrame({"y": np.arange(20)})
    for form in ("npy", "parquet", "zarr 3"):
        folder = tmp_path / form
        folder.mkdir()
        data = rl.Dataset(frame, inputs={"f": rl.Features(FORMATS[form](folder, matrix, 8))})
        with pytest.raises(RowError, match="does not fit float32"):
            list(data.batches(5))
        with pytest.raises(ConfigError, match="would cut"):
            rl.Dataset(frame, inputs={"f": rl.Features(FORMATS["npy"](folder, matrix, 8), dtype="int32")})
        (folder / "whole").mkdir()
        path = FORMATS[form](folder / "whole", numbered(20, 2, "int64"), 8)
        whole = rl.Dataset(frame, inputs={"f": rl.Features(path, dtype="int8")})
        with pytest.raises(RowError, match="does not fit int8"):
            list(whole.batches(5))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_gaps_of_a_table_are_nan_or_filled_and_refused_in_whole_batches(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    data = pa.table({"a": [1, None, 3, 5]})
    if suffix == ".parquet":
        pq.write_table(data, path)
    else:
        with pa.ipc.new_file(str(path), data.schema) as writer:
            writer.write_table(data)
    frame = pd.DataFrame({"y": [0, 1, 2, 3]})

    def values(**options):
        return (
            rl.Dataset(frame, inputs={"f": rl.Features(path, **options)}).batches(4, shuffle=False).batch(0).inputs["f"]
        )

    assert np.array_equal(values(), [[1], [np.nan], [3], [5]], equal_nan=True)
    assert np.array_equal(values(fill_missing=7.0), [[1], [7], [3], [5]])
    assert np.array_equal(values(fill_missing="mean", standardize="store")[1], [0])
    with pytest.raises(ConfigError, match="would cut"):
        values(dtype="int64")


def test_the_cost_is_known_of_scaled_features_too(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "CACHE_BYTES", 0)
    path = save_table(tmp_path / "m.parquet", numbered(5000), 5000)
    reader = rl.Features(path, standardize="store").open(Table(pd.DataFrame({"y": np.arange(5000)})), "f")
    assert reader.access_cost.is_large


@pytest.mark.parametrize("form", ["parquet", "zarr 3", "bcolz"])
def test_damage_names_a_row_of_the_damaged_piece_and_spares_the_others(tmp_path, form):
    matrix = numbered(60)
    path = FORMATS[form](tmp_path, matrix, 20)
    frame = pd.DataFrame({"y": np.arange(60)})
    data = rl.Dataset(frame, inputs={"f": rl.Features(path)})
    if form == "parquet":
        piece = pq.ParquetFile(path).metadata.row_group(1).column(2)
        place = piece.dictionary_page_offset or piece.data_page_offset
        with path.open("r+b") as file:
            file.seek(place)
            file.write(bytes([255]) * 40)
    else:
        chunk = path / ("c/1/0" if form == "zarr 3" else "data/__1.blp")
        chunk.write_bytes(chunk.read_bytes()[:-3])
    loader = data.batches(20, shuffle=False)
    assert np.array_equal(loader.batch(0).inputs["f"], matrix[:20])
    assert np.array_equal(loader.batch(2).inputs["f"], matrix[40:])
    with pytest.raises(RowError, match=r"row 20\b"):
        loader.batch(1)


def test_a_disk_that_fails_for_a_moment_is_asked_again(tmp_path, monkeypatch):
    import errno

    from rowlock import retries

    monkeypatch.setattr(retries, "_WAITS_SECONDS", (0, 0, 0))
    path = save_table(tmp_path / "m.parquet", numbered(60), 20)
    matrix = open_matrix(str(path), "x")
    fails, original = [2], matrix._source._file

    def shaky():
        if fails[0]:
            fails[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original()

    monkeypatch.setattr(matrix._source, "_file", shaky)
    out = np.empty((3, 5), np.float32)
    retries.retried(matrix.gather, np.array([5, 50, 25]), out, None)
    assert np.array_equal(out, numbered()[[5, 50, 25]])
    assert fails == [0]


def test_the_fingerprint_tells_other_data(tmp_path):
    for form in ("npy", "parquet", "zarr 3", "hdf5"):
        found = set()
        for number, matrix in enumerate([numbered(), numbered(), numbered() + 1, numbered(59), numbered(60, 4)]):
            folder = tmp_path / f"{form}{number}"
            folder.mkdir()
            opened = open_matrix(str(FORMATS[form](folder, matrix, 7)), "x")
            assert opened.extends(opened.fingerprint)
            found.add(opened.fingerprint)
        assert len(found) == 4


def test_a_table_whose_key_has_another_name_is_not_joined_by_row_number(tmp_path):
    path = tmp_path / "o.parquet"
    pd.DataFrame({"object_id": [10, 20, 30], "f": [1.0, 2.0, 3.0]}).to_parquet(path, index=False)
    frame = pd.DataFrame({"oid": [30, 10, 20]})
    with pytest.raises(AlignmentError, match="'object_id' looks like the key"):
        rl.Dataset(frame, {"x": rl.Features(path)}, key="oid")


def test_a_file_without_keys_under_a_key_is_joined_by_the_index_and_says_so(tmp_path, caplog):
    path = tmp_path / "o.parquet"
    pd.DataFrame({"count": [7, 7, 8], "f": [1.0, 2.0, 3.0]}).to_parquet(path, index=False)
    data = rl.Dataset(pd.DataFrame({"oid": [30, 10, 20]}), {"x": rl.Features(path)}, key="oid")
    assert data.gather(np.arange(3)).inputs["x"].tolist() == [[7, 1], [7, 2], [8, 3]]
    assert "joined by the frame's index as row number, not by 'oid'" in caplog.text
    rl.Dataset(pa.table({"oid": [30, 10, 20]}), {"x": rl.Features(path)}, key="oid")
    assert "joined in their order, as the table has no index, not by 'oid'" in caplog.text


@pytest.mark.parametrize("wish", [{}, {"standardize": True}, {"fill_missing": 0.0}])
def test_a_batch_of_scaled_numbers_decodes_each_piece_once(tmp_path, monkeypatch, wish):
    monkeypatch.setattr(foreign, "CACHE_BYTES", 1)  # so that nothing but the newest piece is kept
    num_rows, num_columns = 3000, 100
    values = np.arange(num_rows * num_columns, dtype="f8").reshape(num_rows, num_columns)
    pq.write_table(pa.table(values.T.tolist(), names_of(num_columns)), tmp_path / "m.parquet", row_group_size=500)
    frame = pd.DataFrame({"y": np.zeros(num_rows)})
    features = rl.Features(str(tmp_path / "m.parquet"), **wish)
    data = rl.Dataset(frame, inputs={"x": features}, target=rl.Column("y"))
    data = data.fit_statistics()[0] if "standardize" in wish else data
    reads = []
    real = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(
        pq.ParquetFile,
        "read_row_groups",
        lambda self, groups, **more: (reads.extend(groups), real(self, groups, **more))[1],
    )
    rows = np.random.default_rng(0).permutation(num_rows)[:2000]
    x = data.gather(rows).inputs["x"]
    assert sorted(reads) == list(range(6))
    if "standardize" not in wish:
        assert np.array_equal(x, values[rows].astype("f4"))
    else:
        assert np.allclose(x, (values[rows] - values.mean(0)) / values.std(0), atol=1e-5)


def test_one_thread_at_a_time_decodes_large_pieces_of_all_files(tmp_path, monkeypatch):
    """Four threads, two files: what is decoded beside the batches stays one piece."""
    monkeypatch.setattr(foreign, "CACHE_BYTES", 1)
    monkeypatch.setattr(foreign, "LARGE_PIECE_BYTES", 50 * 8 * 4 - 1)
    values = numbered(400, 8)
    for name in "ab":
        save_table(tmp_path / f"{name}.parquet", values, 50)
    matrices = [open_matrix(str(tmp_path / f"{name}.parquet"), name) for name in "ab"]
    at_once, most, lock = [], [], threading.Lock()
    real = pq.ParquetFile.read_row_groups

    def watched(file, groups, **more):
        with lock:
            at_once.append(1)
            most.append(len(at_once))
        time.sleep(0.01)  # long enough that another thread would come in between
        try:
            return real(file, groups, **more)
        finally:
            with lock:
                at_once.pop()

    def gather(number):
        rows = np.random.default_rng(number).permutation(400)[:100]
        out = np.empty((100, 8), "f4")
        with Meter() as meter:
            matrices[number % 2].gather(rows, out, None)
        assert meter.scratch_bytes >= 2 * 50 * 8 * 4, "what the library decoded counts too"
        assert np.array_equal(out, values[rows])

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", watched)
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(gather, number) for number in range(8)]:
            done.result(timeout=600)
    assert len(most) >= 16, "no piece was decoded"
    assert max(most) == 1


def test_the_advice_tells_what_decoded_pieces_take_beside_the_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(foreign, "CACHE_BYTES", 2 << 20)
    save_table(tmp_path / "a.parquet", numbered(40_000, 40), 20_000)
    assert "up to 2 MiB of decoded pieces" in str(open_matrix(str(tmp_path / "a.parquet"), "a").access_cost)
