"""Files of other formats that lie about their sizes, point elsewhere, or are damaged in ways their libraries miss."""

from __future__ import annotations

import io
import json
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import zarr

import rowlock as rl
from rowlock.errors import ConfigError, SourceError
from rowlock.sources import open_source


@pytest.mark.parametrize("kind", ["int64", "float64", "uint8"])
@pytest.mark.parametrize("num_rows", [2**40, 2**33])
def test_an_arrow_file_that_claims_more_rows_than_it_has_is_an_error_and_no_crash(tmp_path, kind, num_rows):
    """The program lives on: reading beyond a mapped file would end it, so it is tried in one of its own."""
    count, path = 12_345, tmp_path / "claims.arrow"
    data = pa.table({"a": pa.array([None] + [1] * (count - 1), kind)})
    with pa.ipc.new_file(path, data.schema) as writer:
        writer.write_table(data)
    claimed, node = bytearray(path.read_bytes()), struct.pack("<qq", count, 1)
    assert claimed.count(node) == 1
    place = claimed.find(node)
    claimed[place : place + 16] = struct.pack("<qq", num_rows, -1)  # -1: to be counted
    path.write_bytes(claimed.replace(struct.pack("<q", count), struct.pack("<q", num_rows)))
    program = (
        "import sys, rowlock as rl\n"
        "try:\n"
        "    rl.pack(sys.argv[1], sys.argv[2])\n"
        "except rl.errors.RowlockError as error:\n"
        "    print(type(error).__name__)\n"
    )
    arguments = [sys.executable, "-c", program, str(path), str(tmp_path / "out.zarr")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip() in {"SourceError", "ConfigError"}
    assert not (tmp_path / "out.zarr").exists()


BIG = 2**60 + 1


def big_tables():
    """Tables whose common dtype is float64, which has no 2**60 + 1."""
    for name, other in {"unsigned": pa.array([1, 2], "uint64"), "float": pa.array([1.0, 2.0], "float32")}.items():
        yield name, pa.table({"a": pa.array([BIG, -5], "int64"), "b": other})


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream", "pandas", "polars", "table", "frames"])
@pytest.mark.parametrize(
    ("mixed", "data"), list(big_tables()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_whole_numbers_beside_other_types_are_stored_exactly(tmp_path, form, mixed, data):
    path = tmp_path / f"t.{form}"
    if form == "parquet":
        pq.write_table(data, path)
    elif form in {"arrow", "stream"}:
        with (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(path, data.schema) as writer:
            writer.write_table(data)
    sources = {"pandas": data.to_pandas, "polars": lambda: pl.DataFrame(data), "table": lambda: data}
    source = sources.get(form, lambda: iter([data.to_pandas()]) if form == "frames" else str(path))()
    with rl.pack(source, tmp_path / "out.zarr", dtype="int64") as store:
        assert store[[0, 1]].tolist() == [[BIG, 1], [-5, 2]]
    if mixed == "float" and form == "parquet":  # what is not known to be free of gaps
        pq.write_table(data, path, write_statistics=False)
        with rl.pack(str(path), tmp_path / "other.zarr", dtype="int64") as store:
            assert store[[0, 1]].tolist() == [[BIG, 1], [-5, 2]]


def test_a_frame_of_several_types_is_written_appended_and_replaced_exactly(tmp_path):
    frame = pd.DataFrame({"a": [BIG, -5], "b": [1.0, 2.0]})
    store = rl.FeatureStore.write(tmp_path / "s.zarr", frame, keys=[0, 1], dtype="int64")
    store.append(frame, keys=[2, 3])
    store.replace([1], frame[:1])
    assert store[:].tolist() == [[BIG, 1], [BIG, 1], [BIG, 1], [-5, 2]]


@pytest.mark.parametrize(("value", "dtype"), [(2.0**53, "float64"), (-(2.0**60), "float64"), (2.0**24, "float32")])
def test_floats_that_may_have_been_rounded_are_not_stored_as_whole_numbers(tmp_path, value, dtype):
    with pytest.raises(ConfigError, match=r"row 1, column 0.*rounded already"):
        rl.FeatureStore.write(tmp_path / "s.zarr", np.array([[1], [value]], dtype), dtype="int64")
    largest = 2 ** (np.finfo(dtype).nmant + 1) - 1
    whole = rl.FeatureStore.write(tmp_path / "t.zarr", np.array([[largest], [-largest]], dtype), dtype="int64")
    assert whole[:].tolist() == [[largest], [-largest]]


def test_what_does_not_fit_whole_numbers_beside_other_types_names_its_row(tmp_path):
    """The columns that would fit are not what is told."""
    frame = pd.DataFrame({"a": [BIG, 5, 6], "b": [1.0, 2.0, 2.5]})
    with pytest.raises(ConfigError, match=r"in row \d, column '[ab]', cannot be stored as int64"):
        rl.pack(frame, tmp_path / "o.zarr", dtype="int64")
    assert not (tmp_path / "o.zarr").exists()


def test_hdf5_links_through_other_links_do_not_leave_the_file(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["m"] = np.ones((3, 2))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["out"] = h5py.ExternalLink("secret.h5", "/")
        file["soft"] = h5py.SoftLink("/out/m")
        file["deep/group"] = h5py.SoftLink("/out")
        file["own"] = np.zeros((3, 2))
        file["alias"] = h5py.SoftLink("/own")
    for name in ("soft", "deep/group/m"):
        with pytest.raises(ConfigError, match=r"secret\.h5.*give that file"):
            open_source(f"{tmp_path}/m.h5::{name}")
    assert open_source(f"{tmp_path}/m.h5::alias").read(0, 1).tolist() == [[0, 0]] * 3


def test_zarr_links_do_not_leave_the_folder(tmp_path):
    for name in ("secret", "group"):
        zarr.open_group(tmp_path / name, mode="w").create_array("m", data=np.ones((3, 2)))
    (tmp_path / "group" / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "group" / "alias").symlink_to(tmp_path / "group" / "m")
    with pytest.raises(ConfigError, match="leads out of"):
        open_source(f"{tmp_path}/group::out/m")
    assert open_source(f"{tmp_path}/group::alias").num_rows == 3
    (tmp_path / "entry").symlink_to(tmp_path / "group")  # how the user calls the folder is the user's choice
    assert open_source(f"{tmp_path}/entry::m").num_rows == 3


def test_an_archive_whose_lzma_is_damaged_is_an_error(tmp_path):
    pytest.importorskip("lzma")
    values = io.BytesIO()
    np.save(values, np.arange(60.0).reshape(20, 3))
    with zipfile.ZipFile(tmp_path / "m.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.npy", values.getvalue())
    data = bytearray((tmp_path / "m.npz").read_bytes())
    place = data.find(b"a.npy") + 34
    data[place : place + 10] = b"\xff" * 10
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(SourceError, match=r"m\.npz"):
        rl.pack(tmp_path / "m.npz", tmp_path / "o.zarr")


@pytest.mark.parametrize(
    ("shape", "chunk_rows"), [("[Infinity, 2]", 2), ("[1e20, 2]", 2), ("[5, 2]", 10**20), (f"[{2**62}, 2]", 2)]
)
def test_sizes_of_bcolz_that_are_no_sizes_are_an_error(tmp_path, shape, chunk_rows):
    (tmp_path / "b" / "meta").mkdir(parents=True)
    (tmp_path / "b" / "meta" / "sizes").write_text(f'{{"shape": {shape}}}')
    (tmp_path / "b" / "meta" / "storage").write_text(f'{{"dtype": "float32", "chunklen": {chunk_rows}}}')
    with pytest.raises(SourceError):
        rl.pack(tmp_path / "b", tmp_path / "o.zarr")
    assert not (tmp_path / "o.zarr").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0]}}}, {"codecs": ["vlen"]},
        {"codecs": 3}, {"chunk_grid": None}, {"shape": 4}, {"shape": ["4"]},
    ],
)  # fmt: skip
def test_text_of_zarr_whose_metadata_make_no_sense_is_an_error(tmp_path, change):
    group = zarr.open_group(tmp_path / "z", mode="w", zarr_format=3)
    group.create_array("m", data=np.ones((4, 2)))
    group.create_array("k", data=np.arange(4))
    file = tmp_path / "z" / "k" / "zarr.json"
    metadata = json.loads(file.read_bytes()) | {"data_type": "string", "codecs": [{"name": "vlen-utf8"}]}
    file.write_text(json.dumps(metadata | change))
    with pytest.raises(SourceError, match="z::k"):
        rl.pack(f"{tmp_path}/z::m", tmp_path / "o.zarr", key="k")
    file.write_text(json.dumps(metadata | {"shape": 4, "data_type": "int64"}))
    with pytest.raises(SourceError):  # looking for the only matrix
        rl.pack(f"{tmp_path}/z", tmp_path / "o.zarr")


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint64"])
def test_whole_numbers_stored_twice_in_one_sparse_cell_are_refused(tmp_path, dtype):
    """100 + 100 is no int8."""
    parts = np.array([100, 100, 7], dtype), np.array([0, 0, 1]), np.array([0, 2, 3])
    scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.csr_matrix(parts, shape=(2, 2)))
    with pytest.raises(SourceError, match="stored twice"):
        rl.pack(tmp_path / "m.npz", tmp_path / "o.zarr", dtype=None)
    unsorted = np.array([1, 2, 3], dtype), np.array([1, 0, 1]), np.array([0, 2, 3])
    scipy.sparse.save_npz(tmp_path / "n.npz", scipy.sparse.csr_matrix(unsorted, shape=(2, 2)))
    assert rl.pack(tmp_path / "n.npz", tmp_path / "p.zarr", dtype=None)[:].tolist() == [[2, 1], [0, 3]]


def test_a_stored_negative_zero_of_a_sparse_matrix_stays_one(tmp_path):
    matrix = scipy.sparse.csr_matrix((np.array([-0.0, 2], "f4"), np.array([0, 1]), np.array([0, 1, 2])), shape=(2, 2))
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    ((_, block),) = open_source(tmp_path / "m.npz").blocks()
    assert np.signbit(block).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("indices", [np.array([[0, 1], [2, 2]]), np.array([0, 1, 2]), np.array(0)])
def test_a_sparse_archive_whose_indices_do_not_match_its_cells_is_an_error(tmp_path, indices):
    parts = {"data": np.ones(2, "f4"), "indices": indices, "indptr": np.array([0, 1, 2]), "shape": np.array([2, 3])}
    np.savez(tmp_path / "m.npz", format=b"csr", **parts)
    with pytest.raises(SourceError, match=r"m\.npz"):
        open_source(tmp_path / "m.npz")


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "pandas", "polars", "frames"])
def test_columns_of_a_table_are_chosen_by_number_without_the_key(tmp_path, form):
    data = pd.DataFrame({"b": [2.0, 3.0], "id": [7, 8], "a": [12.0, 13.0]})
    path = tmp_path / f"t.{form}"
    writers = {"parquet": data.to_parquet, "arrow": data.to_feather, "csv": lambda to: data.to_csv(to, index=False)}
    if form in writers:
        writers[form](path)
    sources = {"pandas": data, "polars": pl.from_pandas(data), "frames": iter([data])}
    with rl.pack(sources.get(form, path), tmp_path / "o.zarr", key="id", columns=[1, 0]) as store:
        assert list(store.columns) == ["a", "b"]
        assert store[:].tolist() == [[12, 2], [13, 3]]
    if form != "frames":
        with rl.pack(sources.get(form, path), tmp_path / "one.zarr", key="id", columns=[1]) as store:
            assert store[:].tolist() == [[12], [13]]
        with pytest.raises(ConfigError, match="no column 2: beside the key, its columns are 0 to 1"):
            rl.pack(sources.get(form, path), tmp_path / "p.zarr", key="id", columns=[0, 2])


def test_packing_a_store_closes_what_it_opened_and_nothing_else(tmp_path):
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    with rl.FeatureStore.write(tmp_path / "a.zarr", np.arange(20.0).reshape(10, 2)) as mine:
        rl.pack(mine, tmp_path / "b.zarr").close()
        assert mine[[3]].tolist() == [[6, 7]]
    source = open_source(tmp_path / "a.zarr")
    assert sum(len(block) for _, block in source.blocks()) == 10
    path = str(tmp_path / "a.zarr")
    assert path in Path("/proc/self/maps").read_text()
    source.close()
    assert path not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("overwrite", [False, True])
def test_ctrl_c_says_what_is_known_about_the_rows_that_are_there(tmp_path, overwrite):
    """At the last block of an iterator nobody knows that it was the last; behind it, everything is there."""

    def blocks(*, behind):
        yield np.arange(4.0).reshape(2, 2)
        if not behind:
            signal.raise_signal(signal.SIGINT)
        yield np.arange(4.0, 8.0).reshape(2, 2)
        if behind:
            signal.raise_signal(signal.SIGINT)

    if overwrite:
        rl.FeatureStore.write(tmp_path / "s.zarr", np.zeros((1, 2)))
        with pytest.raises(KeyboardInterrupt, match="is as it was"):
            rl.pack(blocks(behind=False), tmp_path / "s.zarr", overwrite=True)
    else:
        with pytest.raises(KeyboardInterrupt, match=r"first 4 rows \(the source may have had no more\)"):
            rl.pack(blocks(behind=False), tmp_path / "t.zarr")
    where = " in place of the old one" if overwrite else ""
    with pytest.raises(KeyboardInterrupt, match=f"all 4 rows{',' * overwrite}{where}$"):
        rl.pack(blocks(behind=True), tmp_path / "s.zarr", overwrite=overwrite)
    assert rl.FeatureStore.open(tmp_path / "s.zarr")[:].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]


def save_chunks(folder, form, values):
    if form == "hdf5":
        with h5py.File(folder / "m", "w") as file:
            dataset = file.create_dataset("x", values.shape, "f4", chunks=(4, 2), fillvalue=7)
            dataset[:8] = values[:8]  # two rows of chunks, of five
        return f"{folder}/m::x", "6 of 10"
    version, encoding = form.split()
    more = {"shards": (8, 2)} if encoding == "shards" else {}
    if encoding in {".", "/"}:
        name = "default" if version == "3" else "v2"
        more = {"chunk_key_encoding": {"name": name, "separator": encoding}}
    array = zarr.create_array(
        folder / "m", shape=values.shape, chunks=(4, 2), dtype="f4", zarr_format=int(version), fill_value=7, **more
    )
    array[:] = values
    return str(folder / "m"), "2 of 6" if more.get("shards") else "2 of 10"


@pytest.mark.parametrize("form", ["2 .", "2 /", "3 .", "3 /", "3 shards", "hdf5"])
def test_missing_chunks_are_told_with_what_is_read_in_their_place(tmp_path, form, caplog):
    values = np.arange(1, 81, dtype="f4").reshape(20, 4)
    address, missing = save_chunks(tmp_path, form, values)
    if form != "hdf5":
        rl.pack(address, tmp_path / "whole.zarr")
        assert "missing" not in caplog.text
        names = ("1", "0"), ("2", "1")
        for place in names:
            found = [tmp_path / "m" / start / s.join(place) for start in ("", "c") for s in "./"]
            found += [tmp_path / "m" / f"c.{'.'.join(place)}"]
            next(path for path in found if path.is_file()).unlink()
    rl.pack(address, tmp_path / "packed.zarr")
    assert caplog.text.count(f"{missing} chunks are missing and read as 7") == 1
    caplog.clear()
    frame = pd.DataFrame({"y": np.zeros(20)})
    data = rl.Dataset(frame, inputs={"x": rl.Features(address)}, target=rl.Column("y"))
    assert f"{missing} chunks are missing and read as 7" in caplog.text
    x = data.gather(np.arange(20)).inputs["x"]
    assert np.all((x == values) | (x == 7))
    assert (x == 7).sum() > 1


def test_arrays_of_very_many_chunks_are_not_counted(tmp_path, caplog):
    zarr.create_array(tmp_path / "m", shape=(10**8, 2), chunks=(100, 2), dtype="f4", fill_value=0)
    assert open_source(tmp_path / "m").num_rows == 10**8
    assert "missing" not in caplog.text
