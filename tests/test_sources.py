"""Data of other formats: what comes out of a source is what another program wrote, or it is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import re
import sys
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import zarr
from hypothesis import given
from hypothesis import strategies as st

from rowlock.errors import ConfigError, KeyTypeError, MissingDependencyError, SourceError, SourceNotFoundError
from rowlock.sources import Pieces, PieceSource, open_source, recognise

NAMES = ("a", "b", "c")


def numbered(num_rows=50, num_columns=3, dtype="float32"):
    """Values that say which row and column they are."""
    return (np.arange(num_rows)[:, None] * 100 + np.arange(num_columns)).astype(dtype)


def sparse_numbered(num_rows=50, num_columns=3):
    matrix = numbered(num_rows, num_columns)
    matrix[(matrix.astype(int) % 7) > 1] = 0
    return matrix


def text_keys(num_rows=50):
    return [f"ü{i:03d}" for i in range(num_rows)]


def table(matrix, keys=None):
    return pa.table({"id": text_keys(len(matrix)) if keys is None else keys} | dict(zip(NAMES, matrix.T, strict=True)))


def everything(source):
    """All keys and all rows of a source."""
    found = list(source.blocks())
    keys = None if found[0][0] is None else [key for part, _ in found for key in part.values().tolist()]
    return keys, np.concatenate([np.asarray(block) for _, block in found])


def save_ipc(path, data, *, batch_rows=16, stream=False, **options):
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), data.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(data, max_chunksize=batch_rows)


def save_h5(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, (values, options) in datasets.items():
            file.create_dataset(name.replace("__", "/"), data=values, **options)


def save_zarr(path, values, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(path, shape=values.shape, dtype=values.dtype, **options)
    array[:] = values
    return path


def save_anndata(path, x, *, zarr_format=None, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import anndata

        names = pd.Index(text_keys(x.shape[0]), dtype=object)
        obs = pd.DataFrame({"number": np.arange(x.shape[0]) * 3}, index=names)
        obs["label"] = pd.Categorical(pd.Index([f"L{i}" for i in range(x.shape[0])], dtype=object))
        data = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(NAMES, dtype=object)), **more)
        if zarr_format is None:
            data.write_h5ad(path)
        else:
            with anndata.settings.override(zarr_write_format=zarr_format):
                data.write_zarr(path)
    return path


@pytest.fixture(scope="module", autouse=True)
def anndata_is_loaded():
    """Import it once, without what it warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import anndata  # noqa: F401


MATRICES = {
    "npy": lambda p, m: np.save(p / "m.npy", m) or p / "m.npy",
    "fortran npy": lambda p, m: np.save(p / "m.npy", np.asfortranarray(m)) or p / "m.npy",
    "npz": lambda p, m: np.savez(p / "m.npz", m) or p / "m.npz",
    "compressed npz": lambda p, m: np.savez_compressed(p / "m.npz", m=m, other=m[0]) or p / "m.npz",
    "fortran npz": lambda p, m: np.savez(p / "m.npz", m=np.asfortranarray(m)) or p / "m.npz",
    "scipy npz": lambda p, m: scipy.sparse.save_npz(p / "m.npz", scipy.sparse.csr_array(m)) or p / "m.npz",
    "hdf5": lambda p, m: save_h5(p / "m.h5", x=(m, {})) or p / "m.h5",
    "chunked hdf5": lambda p, m: save_h5(p / "m.h5", x=(m, {"chunks": (7, 2), "compression": "gzip"})) or p / "m.h5",
    "hdf5 dataset": lambda p, m: save_h5(p / "m.h5", g__x=(m, {}), g__y=(m + 1, {})) or f"{p}/m.h5::g/x",
    "zarr 2": lambda p, m: save_zarr(p / "m", m, chunks=(8, 2), zarr_format=2),
    "zarr 3": lambda p, m: save_zarr(p / "m", m, chunks=(8, 2)),
    "sharded zarr": lambda p, m: save_zarr(p / "m", m, chunks=(4, 3), shards=(16, 3)),
    "zarr in a group": lambda p, m: save_zarr(p / "g" / "deep" / "m", m, chunks=(8, 2)) and grouped(p / "g"),
    "zarr part": lambda p, m: save_zarr(p / "g" / "m", m) and save_zarr(p / "g" / "n", m) and f"{grouped(p / 'g')}::m",
}


def grouped(path):
    zarr.open_group(path, mode="a")
    return path


@pytest.mark.parametrize("form", MATRICES)
def test_a_matrix_comes_out_of_every_format_as_it_went_in(tmp_path, form):
    matrix = sparse_numbered()
    source = open_source(MATRICES[form](tmp_path, matrix))
    assert (source.num_rows, source.num_columns, source.dtype) == (50, 3, np.float32)
    assert source.columns is None
    for _ in range(2):
        keys, rows = everything(source)
        assert keys is None
        assert np.array_equal(rows, matrix)
    source.close()


TABLES = {
    "parquet": lambda p, t: pq.write_table(t, p / "t.parquet", row_group_size=16) or p / "t.parquet",
    "parquet without its name": lambda p, t: pq.write_table(t, p / "t") or p / "t",
    "arrow": lambda p, t: save_ipc(p / "t.arrow", t) or p / "t.arrow",
    "compressed arrow": lambda p, t: save_ipc(p / "t.feather", t, compression="zstd") or p / "t.feather",
    "stream": lambda p, t: save_ipc(p / "t.arrows", t, stream=True) or p / "t.arrows",
    "reader": lambda p, t: pa.RecordBatchReader.from_batches(t.schema, t.to_batches(max_chunksize=16)),
    "csv": lambda p, t: pa.csv.write_csv(t, p / "t.csv") or p / "t.csv",
    "csv.gz": lambda p, t: (p / "t.csv.gz").write_bytes(gzip.compress(csv_bytes(t))) and p / "t.csv.gz",
    "table": lambda p, t: t,
    "batch": lambda p, t: t.combine_chunks().to_batches()[0],
    "pandas": lambda p, t: t.to_pandas(),
    "polars": lambda p, t: pl.from_arrow(t),
    "frames": lambda p, t: (t.slice(start, 16).to_pandas() for start in range(0, len(t), 16)),
}


def csv_bytes(data):
    out = io.BytesIO()
    pa.csv.write_csv(data, out)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["text", "int"])
@pytest.mark.parametrize("form", TABLES)
def test_a_table_gives_its_key_and_the_other_columns(tmp_path, form, kind):
    matrix = numbered()
    keys = text_keys() if kind == "text" else [i * 7 - 20 for i in range(50)]
    source = open_source(TABLES[form](tmp_path, table(matrix, keys)), key="id")
    assert (source.columns, source.key_name, source.num_columns) == (NAMES, "id", 3)
    assert source.num_rows in {50, None}
    found, rows = everything(source)
    assert found == keys
    assert np.array_equal(rows, matrix)


@pytest.mark.parametrize("form", TABLES)
def test_columns_are_chosen_in_the_order_asked_for(tmp_path, form):
    source = open_source(TABLES[form](tmp_path, table(numbered())), key="id", columns=["c", "a"])
    _, rows = everything(source)
    assert source.columns == ("c", "a")
    assert np.array_equal(rows, numbered()[:, [2, 0]])


@pytest.mark.parametrize("form", TABLES)
def test_columns_that_are_not_there_or_hold_no_numbers_are_refused(tmp_path, form):
    def opened(**options):
        return open_source(TABLES[form](tmp_path, table(numbered())), **options)

    with pytest.raises(ConfigError, match=r"has no column 'idd' \(key=, --key\)\. Did you mean 'id'"):
        opened(key="idd")
    with pytest.raises(ConfigError, match=r"has no column 'x' \(columns=, --columns\)"):
        opened(key="id", columns=["a", "x"])
    with pytest.raises(ConfigError, match=r"are not: \['id'\].*key="):
        opened(columns=["id", "a"])
    with pytest.raises(ConfigError, match=r"are not: \['id'\]"):
        opened()
    with pytest.raises(ConfigError, match="is the key"):
        opened(key="id", columns=["id"])
    with pytest.raises(ConfigError, match="more than once"):
        opened(key="id", columns=["a", "a"])


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream", "table"])
def test_gaps_become_nan_and_mixed_types_become_the_wider_one(tmp_path, form):
    data = pa.table({"i": [1, None, 3], "f": pa.array([0.5, 1.5, None], "float32"), "b": [True, False, True]})
    source = open_source(TABLES[form](tmp_path, data))
    _, rows = everything(source)
    assert np.array_equal(rows, [[1, 0.5, 1], [np.nan, 1.5, 0], [3, np.nan, 1]], equal_nan=True)
    whole = pa.table({"i": [2**60 + 1, None]})
    source = open_source(TABLES[form](tmp_path, whole))
    assert source.dtype == np.float64 or form in {"stream", "table"}
    _, rows = everything(source)
    assert np.array_equal(rows, [[2.0**60], [np.nan]], equal_nan=True)
    flags = pa.table({"b": [True, None, False]})
    _, rows = everything(open_source(TABLES[form](tmp_path, flags)))
    assert rows.dtype == np.float64
    assert np.array_equal(rows, [[1], [np.nan], [0]], equal_nan=True)
    exact = pa.table({"i": [2**60 + 1, 5]})
    _, rows = everything(open_source(TABLES[form](tmp_path, exact)))
    assert rows.dtype == np.int64
    assert rows.tolist() == [[2**60 + 1], [5]]


@pytest.mark.parametrize("kind", ["Int64", "int64[pyarrow]", "boolean", "Float32"])
def test_gaps_of_pandas_own_types_become_nan(kind):
    frame = pd.DataFrame({"a": pd.array([1, None, 0], dtype=kind), "b": [0.5, 1.5, 2.5]})
    for columns, expected in ((["a"], [[1], [np.nan], [0]]), (["b", "a"], [[0.5, 1], [1.5, np.nan], [2.5, 0]])):
        _, rows = everything(open_source(frame, columns=columns))
        assert rows.dtype.kind == "f"
        assert np.array_equal(rows, expected, equal_nan=True)


def test_two_columns_of_one_name_are_refused(tmp_path):
    twice = pa.table([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    for form in ("parquet", "arrow", "stream", "csv"):
        with pytest.raises(ConfigError, match="several columns of one name"):
            open_source(TABLES[form](tmp_path, twice))


def test_a_missing_key_is_refused_wherever_it_is(tmp_path):
    data = table(numbered(), [*text_keys()[:40], None, *text_keys()[41:]])
    for form in ("parquet", "arrow", "stream", "csv"):
        with pytest.raises(KeyTypeError, match="id"):
            everything(open_source(TABLES[form](tmp_path, data), key="id"))


def test_a_large_row_group_is_streamed_in_blocks_of_bounded_size(tmp_path):
    values = np.arange(3_000_000, dtype="float64")
    pq.write_table(pa.table({"a": values, "b": -values}), tmp_path / "t.parquet", row_group_size=len(values))
    source = open_source(tmp_path / "t.parquet")
    sizes, start = [], 0
    for _, block in source.blocks():
        assert np.array_equal(block[:, 0], values[start : start + len(block)])
        assert np.array_equal(block[:, 1], -block[:, 0])
        sizes.append(block.nbytes)
        start += len(block)
    assert start == len(values)
    assert max(sizes) <= 8 << 20


# CSV


def test_csv_keys_stay_what_is_written(tmp_path):
    def keys(text, **options):
        (tmp_path / "t.csv").write_text("id,x\n" + "".join(f"{key},{i}\n" for i, key in enumerate(text)))
        return everything(open_source(tmp_path / "t.csv", key="id", **options))[0]

    assert keys(["7", "-3", "0"]) == [7, -3, 0]
    assert keys(["007", "7"]) == ["007", "7"]
    assert keys(["7", "1.0"]) == ["7", "1.0"]
    assert keys(["7", "+8"]) == ["7", "+8"]
    assert keys([str(2**63 - 1), str(-(2**63))]) == [2**63 - 1, -(2**63)]
    assert keys([str(2**63)]) == [str(2**63)]
    assert keys(["7", "8"], key_type="text") == ["7", "8"]
    assert keys(["NA", "null"]) == ["NA", "null"]
    with pytest.raises(KeyTypeError, match=r"'007' \(row 1\).*--key-type text"):
        keys(["7", "007"], key_type="int")
    with pytest.raises(KeyTypeError, match="empty fields, the first in row 1"):
        keys(["a", ""])


def test_csv_keys_that_change_their_kind_later_are_refused(tmp_path):
    lines = [f"{i},{i}.5\n" for i in range(700_000)]
    (tmp_path / "t.csv").write_text("id,x\n" + "".join(lines) + "A1,1\n")
    with pytest.raises(KeyTypeError, match="'A1' in row 700000"):
        everything(open_source(tmp_path / "t.csv", key="id"))


def test_csv_numbers_may_become_fractions_after_megabytes_of_whole_ones(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "1,2\n" * 1_500_000 + "0.5,\n")
    _, rows = everything(open_source(tmp_path / "t.csv"))
    assert np.array_equal(rows[-2:], [[1, 2], [0.5, np.nan]], equal_nan=True)
    _, rows = everything(open_source(tmp_path / "t.csv", columns=["x"]))
    assert rows.shape == (1_500_001, 1)


@pytest.mark.parametrize(
    "code", ["007", "-007", "00", '"007"', " 007", "007.5", "+5", "1" * 20, str(2**63), "1234567890123456.5"]
)
def test_csv_codes_that_look_like_numbers_are_no_features(tmp_path, code):
    (tmp_path / "t.csv").write_text(f"id,zip,x\na,1,2\nb,{code},3\n")
    shown = re.escape(repr(code.strip('"')))
    for columns in (None, ["zip", "x"]):
        with pytest.raises(ConfigError, match=rf"'zip' has {shown} in row 1 \(near line 3\).*--columns.*--key zip"):
            everything(open_source(tmp_path / "t.csv", key="id", columns=columns))
    assert everything(open_source(tmp_path / "t.csv", key="id", columns=["x"]))[1].tolist() == [[2], [3]]
    keys, rows = everything(open_source(tmp_path / "t.csv", key="zip", columns=["x"]))
    assert (keys, rows.tolist()) == (["1", code.strip('"')], [[2], [3]])


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_csv_codes_are_found_wherever_they_are(tmp_path, suffix, dtype):
    data = ("x,note,y\n" + '1,"0,\t007",2\n' * 1_200_000 + "1,a,008\n").encode()
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(data, 1) if suffix == ".csv.gz" else data)
    with pytest.raises(ConfigError, match=r"column 'y' has '008' in row 1,200,000 \(near line 1,200,002\)"):
        everything(open_source(path, columns=["x", "y"], dtype=dtype))
    assert len(everything(open_source(path, columns=["x"], dtype=dtype))[1]) == 1_200_001


@pytest.mark.parametrize(
    "text", ["0", "-0", "0.5", "-0.5", ".5", "5.", "1e-05", "1e+05", " 2", "0.1234567890123456789", "NA", "", '"3"',
             str(2**63 - 1), str(-(2**63)), "123456789012345.5"]
)  # fmt: skip
def test_csv_numbers_are_features_however_they_are_written(tmp_path, text):
    (tmp_path / "t.csv").write_text(f"00,x\r\n1,2\r\n3,{text}\r\n")
    found = everything(open_source(tmp_path / "t.csv"))[1][1, 1]
    plain = text.strip('"')
    assert found == float(plain) if plain not in ("", "NA") else np.isnan(found)


def test_csv_whole_numbers_are_exact_for_a_store_of_whole_numbers(tmp_path):
    (tmp_path / "t.csv").write_text(f"x\n{2**53 + 1}\n-4\n")
    _, rows = everything(open_source(tmp_path / "t.csv", dtype="int64"))
    assert rows.tolist() == [[2**53 + 1], [-4]]
    (tmp_path / "t.csv").write_text("x\n1.0\n-4\n")
    assert everything(open_source(tmp_path / "t.csv", dtype="int64"))[1].tolist() == [[1], [-4]]
    (tmp_path / "t.csv").write_text(f"x\n{2**53 + 1}\n0.5\n")
    with pytest.raises(ConfigError, match=r"row 0, column 'x', is 2\*\*53 or more"):
        everything(open_source(tmp_path / "t.csv", dtype="int64"))


def test_csv_numbers_that_stop_being_whole_after_megabytes_keep_their_rows(tmp_path):
    numbers = [*range(1_000_000), 0.5, *range(7)]
    (tmp_path / "t.csv").write_text("id,x\n" + "".join(f"k{i},{x}\n" for i, x in enumerate(numbers)))
    keys, rows = everything(open_source(tmp_path / "t.csv", key="id", dtype="int32"))
    assert keys == [f"k{i}" for i in range(len(numbers))]
    assert rows[:, 0].tolist() == numbers


HEADERS = [
    (",a\n0,1\n", r"column 1 has no name \(pandas writes its index so\): choose columns with --columns / columns="),
    ("a,,b\n0,1,2\n", "column 2 has no name: choose"),
    ("0.5,1,-2e3\n1,2,3\n", r"has no header.*0\.5, 1, -2e3.*header=None.*--columns"),
    ("7\n8\n", "has no header"),
    ("0,1\n1,0\n", "has no header"),
    ("\ufeff0,1\n1,0\n", "has no header"),
    ("a;b\n1,5;2,5\n", r"separated by ';'\? Only commas are read here; use pandas.read_csv\(sep=';'\).*rl.pack"),
    ("a\tb\n1\t2\n", r"separated by a tab\?.*sep='\\t'"),
]


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize(("text", "message"), HEADERS)
def test_csv_headers_that_would_be_misread_are_refused_with_what_to_do(tmp_path, text, message, suffix):
    path = tmp_path / f"t{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix == ".csv.gz" else text.encode())
    with pytest.raises(ConfigError, match=message):
        open_source(path)


def test_csv_columns_that_are_named_by_the_user_are_names_whatever_they_look_like(tmp_path):
    (tmp_path / "t.csv").write_text("2020,2021\n1,2\n")
    assert everything(open_source(tmp_path / "t.csv", columns=["2021"]))[1].tolist() == [[2]]
    (tmp_path / "t.csv").write_text(",a,b\n0,1,2\n")
    assert everything(open_source(tmp_path / "t.csv", columns=["b", "a"]))[1].tolist() == [[2, 1]]
    assert everything(open_source(tmp_path / "t.csv", key=""))[0] == [0]
    pd.DataFrame(numbered(5, 6)).to_csv(tmp_path / "t.csv", index=False)
    assert np.array_equal(everything(open_source(tmp_path / "t.csv"))[1], numbered(5, 6))


def test_csv_keys_that_were_to_be_numbers_are_shown(tmp_path):
    (tmp_path / "t.csv").write_text("object_id,x\na00367,1\n")
    with pytest.raises(
        KeyTypeError, match=r"'a00367' \(row 0\) is no whole number, as key_type='int' \(--key-type int\)"
    ):
        everything(open_source(tmp_path / "t.csv", key="object_id", key_type="int"))


@pytest.mark.parametrize("form", ["parquet", "arrow", "stream", "table"])
def test_an_index_without_a_name_is_no_feature_and_one_with_a_name_may_be_the_key(tmp_path, form):
    shuffled = pd.DataFrame(numbered(20), columns=NAMES).sample(frac=1, random_state=0)

    def opened(frame, **options):
        data = pa.Table.from_pandas(frame)
        if form == "parquet":
            frame.to_parquet(tmp_path / "t")
        elif form != "table":
            save_ipc(tmp_path / "t", data, stream=form == "stream")
        return open_source(data if form == "table" else tmp_path / "t", **options)

    source = opened(shuffled)
    assert (source.columns, source.unnamed_index) == (NAMES, ("__index_level_0__",))
    assert np.array_equal(everything(source)[1], shuffled.to_numpy())
    keys, rows = everything(opened(shuffled, key="__index_level_0__"))
    assert keys == shuffled.index.tolist()
    assert rows.shape == (20, 3)
    assert opened(shuffled, columns=["__index_level_0__", "b"]).columns == ("__index_level_0__", "b")
    named = shuffled.rename_axis("number")
    assert opened(named).columns == (*NAMES, "number")
    assert everything(opened(named, key="number"))[0] == shuffled.index.tolist()
    plain = opened(shuffled.reset_index(drop=True))
    assert (plain.columns, plain.unnamed_index) == (NAMES, ())


@pytest.mark.parametrize("said", [b"{", b"[]", b'{"index_columns": 3}', b'{"index_columns": [null, "a"]}'])
def test_metadata_of_pandas_that_make_no_sense_leave_nothing_out(tmp_path, said):
    data = table(numbered()).drop(["id"]).replace_schema_metadata({"pandas": said})
    pq.write_table(data, tmp_path / "t.parquet")
    assert open_source(tmp_path / "t.parquet").columns == NAMES


@pytest.mark.parametrize("text", ["x,y\n1,2\n3\n", "x,y\n1,2\n3,four\n", "x,y\n1,2,3\n"])
def test_csv_lines_that_do_not_fit_are_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises((SourceError, ConfigError)):
        everything(open_source(tmp_path / "t.csv"))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_csv_in_another_encoding_is_not_called_damaged(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    for text, where in (("id,x\na,1\ncaf\xe9,2\n", "line 3, column 'id'"), ("id,gr\xf6\xdfe\na,1\n", "line 1")):
        data = text.encode("latin-1")
        path.write_bytes(gzip.compress(data) if suffix == ".csv.gz" else data)
        with pytest.raises(SourceError, match=rf"not written in UTF-8: {where}.*save it as UTF-8") as caught:
            everything(open_source(path, key="id"))
        assert "is damaged, cut off" not in str(caught.value)


# archives and folders


def test_npz_arrays_and_keys_are_named(tmp_path):
    matrix = sparse_numbered()
    np.savez(tmp_path / "m.npz", x=matrix, y=matrix + 1, ids=np.array(text_keys()), numbers=np.arange(50))
    with pytest.raises(ConfigError, match=r"2 arrays with two axes; name one, as in .*m\.npz::x"):
        open_source(tmp_path / "m.npz")
    with pytest.raises(ConfigError, match="no array 'z'"):
        open_source(f"{tmp_path}/m.npz::z")
    keys, rows = everything(open_source(f"{tmp_path}/m.npz::y", key="ids"))
    assert keys == text_keys()
    assert np.array_equal(rows, matrix + 1)
    assert everything(open_source(tmp_path / "m.npz", dataset="x", key="numbers"))[0] == list(range(50))


def test_only_rows_of_a_sparse_archive_can_be_streamed(tmp_path):
    for kind in ("csc", "coo", "bsr"):
        scipy.sparse.save_npz(tmp_path / "m.npz", scipy.sparse.coo_array(sparse_numbered()).asformat(kind))
        with pytest.raises(ConfigError, match=rf"'{kind}' format.*tocsr"):
            open_source(tmp_path / "m.npz")


def test_sparse_cells_that_are_stored_twice_are_added_up(tmp_path):
    matrix = scipy.sparse.csr_array((np.ones(3, "f4"), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 3))
    scipy.sparse.save_npz(tmp_path / "m.npz", matrix)
    assert np.array_equal(everything(open_source(tmp_path / "m.npz"))[1], matrix.toarray())


@pytest.mark.parametrize(
    "matrix", [sparse_numbered(), scipy.sparse.csr_matrix(sparse_numbered())], ids=["dense", "csr"]
)
@pytest.mark.parametrize("where", ["h5ad", "zarr 2", "zarr 3"])
def test_anndata_has_its_names_as_keys_and_columns(tmp_path, where, matrix):
    path = save_anndata(
        tmp_path / "d", matrix, zarr_format={"zarr 2": 2, "zarr 3": 3}.get(where), layers={"twice": matrix * 2},
        obsm={"X_pca": numbered(50, 2)},
    )  # fmt: skip
    source = open_source(path)
    keys, rows = everything(source)
    assert (keys, source.columns, source.key_name) == (text_keys(), NAMES, None)
    assert np.array_equal(rows, sparse_numbered())
    assert np.array_equal(everything(open_source(path, dataset="layers/twice"))[1], sparse_numbered() * 2)
    pca = open_source(path, dataset="obsm/X_pca", key="number")
    assert (pca.columns, pca.key_name) == (None, "number")
    assert everything(pca)[0] == [i * 3 for i in range(50)]
    assert everything(open_source(path, key="label"))[0] == [f"L{i}" for i in range(50)]
    with pytest.raises(ConfigError, match="no column 'lable' in obs"):
        everything(open_source(path, key="lable"))


def test_anndata_columns_of_a_sparse_matrix_cannot_be_rows(tmp_path):
    save_anndata(tmp_path / "d", scipy.sparse.csc_matrix(sparse_numbered()))
    with pytest.raises(ConfigError, match=r"csc_matrix.*tocsr"):
        open_source(tmp_path / "d")


@pytest.mark.parametrize("compressor", ["blosc", "zstd", "zlib", "gzip", None])
def test_text_of_zarr_2_is_read_whatever_compressed_it(tmp_path, compressor):
    import numcodecs

    from rowlock.sources.zarr_arrays import ZarrTree

    codec = None if compressor is None else numcodecs.get_codec({"id": compressor})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(tmp_path / "g", mode="w", zarr_format=2)
        names = group.create_array("names", shape=(50,), chunks=(16,), dtype=str, compressors=codec)
        names[:] = np.array(text_keys(), dtype=object)
    assert ZarrTree(tmp_path / "g").labels("names") == text_keys()


@pytest.mark.parametrize("encoding", [{"separator": "/"}, {"separator": "."}])
def test_hdf5_and_zarr_groups_give_keys_by_path(tmp_path, encoding):
    from rowlock.sources.zarr_arrays import ZarrTree

    matrix = numbered()
    strings = h5py.string_dtype()
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["x"], file["ids"] = matrix, np.arange(50) * 2
        file.create_dataset("names", data=text_keys(), dtype=strings)
        file["fixed"] = np.array([f"k{i}" for i in range(50)], "S4")
        file["short"] = np.arange(49)
    assert everything(open_source(tmp_path / "m.h5", key="ids"))[0] == [i * 2 for i in range(50)]
    assert everything(open_source(tmp_path / "m.h5", key="names"))[0] == text_keys()
    assert everything(open_source(tmp_path / "m.h5", key="fixed"))[0] == [f"k{i}" for i in range(50)]
    with pytest.raises(ConfigError, match="49 keys for 50 rows"):
        everything(open_source(tmp_path / "m.h5", key="short"))
    with pytest.raises(ConfigError, match="no array 'idz'"):
        everything(open_source(tmp_path / "m.h5", key="idz"))
    group = zarr.open_group(tmp_path / "g", mode="w")
    group.create_array("x", data=matrix)
    chunk_key = {"name": "default", **encoding}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group.create_array("names", shape=(50,), chunks=(7,), dtype=str, chunk_key_encoding=chunk_key)
        group["names"][:] = np.array(text_keys(), dtype=object)
    assert everything(open_source(tmp_path / "g", key="names"))[0] == text_keys()
    with pytest.raises(ConfigError, match="no path inside"):
        ZarrTree(tmp_path / "g").is_array("../g/x")


def test_hdf5_reads_nothing_outside_of_the_file(tmp_path):
    save_h5(tmp_path / "secret.h5", x=(numbered(), {}))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["link"] = h5py.ExternalLink("secret.h5", "x")
        layout = h5py.VirtualLayout((50, 3), "f4")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "x", (50, 3))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("external", (10, 3), "f4", external=[(str(tmp_path / "secret.h5"), 0, 120)])
    for name in ("link", "virtual", "external"):
        with pytest.raises(ConfigError, match="give th"):
            open_source(f"{tmp_path}/m.h5::{name}")


def test_hdf5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    save_h5(tmp_path / "m.h5", x=(numbered(), {}))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'rowlock\[hdf5\]'"):
        open_source(tmp_path / "m.h5")


# bcolz


@pytest.fixture(scope="module")
def bcolz():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("bcolz", reason="bcolz-zipline has no wheel for this Python")


@pytest.mark.parametrize("cname", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
@pytest.mark.parametrize("dtype", ["float32", ">f8", "int16"])
def test_folders_that_bcolz_wrote_are_read(tmp_path, bcolz, cname, dtype):
    matrix = numbered(1000, 7, dtype)
    array = bcolz.carray(matrix, rootdir=str(tmp_path / "c"), chunklen=64, cparams=bcolz.cparams(cname=cname))
    array.flush()
    source = open_source(tmp_path / "c")
    assert (source.num_rows, source.num_columns, source.dtype, len(source.pieces)) == (1000, 7, np.dtype(dtype), 16)
    assert np.array_equal(everything(source)[1], matrix)
    assert np.array_equal(source.read(15, 16, np.array([6, 0])), matrix[960:, [6, 0]])


def test_folders_of_bcolz_may_be_grown_uncompressed_or_constant(tmp_path, bcolz):
    matrix = numbered(1000, 7)
    array = bcolz.carray(matrix[:0], rootdir=str(tmp_path / "grown"))
    for start in range(0, 1000, 10):
        array.append(matrix[start : start + 10])
    array.flush()
    assert np.array_equal(everything(open_source(tmp_path / "grown"))[1], matrix)
    plain = bcolz.carray(
        matrix[:128], rootdir=str(tmp_path / "plain"), chunklen=64, cparams=bcolz.cparams(clevel=0, shuffle=0)
    )
    plain.flush()
    assert np.array_equal(everything(open_source(tmp_path / "plain"))[1], matrix[:128])
    bcolz.zeros((100, 5), dtype="i4", rootdir=str(tmp_path / "zeros"), chunklen=32).flush()
    assert np.array_equal(everything(open_source(tmp_path / "zeros"))[1], np.zeros((100, 5)))
    bcolz.carray(np.arange(9), rootdir=str(tmp_path / "one")).flush()
    with pytest.raises(ConfigError, match="two axes"):
        open_source(tmp_path / "one")


def test_a_damaged_folder_of_bcolz_is_an_error(tmp_path, bcolz):
    bcolz.carray(numbered(100, 7), rootdir=str(tmp_path / "c"), chunklen=64).flush()
    chunk = tmp_path / "c" / "data" / "__1.blp"
    whole = chunk.read_bytes()
    for broken in (b"", whole[:10], whole[:40], whole[:-1], b"xxxx" + whole[4:], whole + b"x"):
        chunk.write_bytes(broken)
        with pytest.raises(SourceError, match=r"__1\.blp"):
            everything(open_source(tmp_path / "c"))
    chunk.write_bytes((tmp_path / "c" / "data" / "__0.blp").read_bytes())
    with pytest.raises(SourceError, match=r"hold 1,792 bytes where 1,008 are due"):
        everything(open_source(tmp_path / "c"))
    (tmp_path / "c" / "data" / "__0.blp").write_bytes(whole)
    with pytest.raises(SourceError, match=r"hold 1,008 bytes where 1,792 are due"):
        everything(open_source(tmp_path / "c"))
    (tmp_path / "c" / "data" / "__0.blp").write_bytes(chunk.read_bytes())
    chunk.unlink()
    with pytest.raises(SourceError, match=r"__1\.blp"):
        everything(open_source(tmp_path / "c"))
    for text in ("", "[]", '{"dtype": "float32"}', '{"dtype": "O", "chunklen": 64}', '{"dtype": "f4", "chunklen": 0}'):
        (tmp_path / "c" / "meta" / "storage").write_text(text)
        with pytest.raises((SourceError, ConfigError)):
            open_source(tmp_path / "c")


# what is refused


def test_what_is_not_there_or_not_known_is_refused(tmp_path):
    with pytest.raises(SourceNotFoundError, match="nothing at"):
        open_source(tmp_path / "x.parquet")
    with pytest.raises(FileNotFoundError):
        open_source(f"{tmp_path}/x.h5::y")
    (tmp_path / "x.parquet").write_bytes(b"hello")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "x.parquet", tmp_path / "folder"):
        assert recognise(path) is None
        with pytest.raises(ConfigError, match=r"in no format that is read here: .*Parquet.*bcolz"):
            open_source(path)
    with pytest.raises(ConfigError, match=r"or read it with pandas and give the frame to rl\.pack$"):
        open_source(tmp_path / "x.parquet")
    np.save(tmp_path / "m.npy", numbered())
    for options in ({"dataset": "x"}, {"key": "id"}, {"key_type": "int"}):
        with pytest.raises(ConfigError):
            open_source(tmp_path / "m.npy", **options)
    with pytest.raises(ConfigError, match="key='id'"):
        open_source(numbered(), key="id")


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.zeros((2, 2, 2)), np.zeros((0, 3)), np.zeros((2, 2), "c8"), np.zeros((2, 2), "U1")]
)
def test_what_is_no_matrix_of_numbers_is_refused(tmp_path, values):
    np.save(tmp_path / "m.npy", values)
    np.savez(tmp_path / "m.npz", m=values)
    for address in (tmp_path / "m.npy", f"{tmp_path}/m.npz::m"):
        with pytest.raises(ConfigError):
            open_source(address)


class _Mark:
    """Its pickle makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_no_pickle_is_ever_run(tmp_path):
    proof = str(tmp_path / "executed")
    evil = np.empty((2, 2), object)
    evil[:] = _Mark(proof)
    np.save(tmp_path / "m.npy", evil, allow_pickle=True)
    np.savez(tmp_path / "m.npz", m=evil, x=numbered(2), ids=evil[0])
    matrix = scipy.sparse.csr_array(numbered(2))
    np.savez(
        tmp_path / "s.npz", data=matrix.data, indices=matrix.indices, indptr=matrix.indptr, shape=(2, 3), format=evil[0]
    )
    for address, options in [
        ("m.npy", {}), ("m.npz::m", {}), ("m.npz::x", {"key": "ids"}), ("s.npz", {}),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match="objects"):
            everything(open_source(f"{tmp_path}/{address}", **options))
    for suffix in (".npy", ".npz", ".parquet", ".h5", ".csv"):
        (tmp_path / f"p{suffix}").write_bytes(pickle.dumps(_Mark(proof)))
        with pytest.raises((ConfigError, SourceError)):
            everything(open_source(tmp_path / f"p{suffix}"))
    assert not Path(proof).exists()
    with pytest.raises(FileExistsError):  # the bait is real
        [np.load(tmp_path / "m.npy", allow_pickle=True) for _ in range(2)]


DAMAGED = {form: MATRICES[form] for form in ("npy", "compressed npz", "scipy npz", "chunked hdf5")} | {
    form: (lambda p, m, form=form: TABLES[form](p, table(m)))
    for form in ("parquet", "arrow", "compressed arrow", "stream")
}


@pytest.mark.parametrize("form", DAMAGED)
def test_a_file_that_was_cut_off_is_an_error_wherever_it_was_cut(tmp_path, form):
    matrix = sparse_numbered(400)
    path = DAMAGED[form](tmp_path, matrix)
    whole = path.read_bytes()
    key = "id" if "npy" not in form and "npz" not in form and "hdf5" not in form else None
    refused = 0
    for size in sorted({0, 4, 8, 100, len(whole) // 3, len(whole) // 2, len(whole) - 100, len(whole) - 1}):
        path.write_bytes(whole[:size])
        try:
            keys, rows = everything(open_source(path, key=key))
        except (SourceError, ConfigError):
            refused += 1
        else:  # an IPC stream without its end mark, or the padding of a file
            assert np.array_equal(rows, matrix)
            assert key is None or keys == text_keys(400)
    assert refused >= 6


@pytest.mark.parametrize("form", DAMAGED)
def test_flipped_bytes_are_an_error_or_other_numbers_but_never_a_crash(tmp_path, form):
    path = DAMAGED[form](tmp_path, sparse_numbered(400))
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 100_000), 3):
            broken[place] ^= 1 << rng.integers(8)
        path.write_bytes(broken)
        try:
            source = open_source(path, key="id" if path.name.startswith("t") else None)
            assert everything(source)[1].shape[1] == source.num_columns
        except (SourceError, ConfigError):
            pass


def test_sizes_that_a_header_claims_are_checked_before_anything_is_allocated(tmp_path):
    huge = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 1 << 10)}
    with (tmp_path / "m.npy").open("wb") as file:
        np.lib.format.write_array_header_2_0(file, huge)
        file.write(b"\0" * 100)
    with pytest.raises(SourceError, match="cut off or damaged"):
        open_source(tmp_path / "m.npy")
    whole = (tmp_path / "m.npy").read_bytes()
    for old, new in ((b"}", b" "), (b"{", b"("), (b"'<f4'", b"__a()"), (b"(1", b"\x00\x00"), (b"False", b"0x0x0")):
        (tmp_path / "m.npy").write_bytes(whole.replace(old, new, 1))
        with pytest.raises(SourceError, match=r"m\.npy"):
            open_source(tmp_path / "m.npy")
    negative = io.BytesIO()
    np.lib.format.write_array_header_2_0(negative, huge | {"shape": (-2, -3)})
    (tmp_path / "m.npy").write_bytes(negative.getvalue() + b"\0" * 24)
    with pytest.raises(SourceError, match=r"\(-2, -3\)"):
        open_source(tmp_path / "m.npy")
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.write(tmp_path / "m.npy", "m.npy")
    with pytest.raises(SourceError, match=r"\(-2, -3\)"):
        open_source(f"{tmp_path}/m.npz::m")
    cells = {"data": np.ones(2, "f4"), "indices": np.array([0, 1]), "indptr": np.array([0, 1, 2]), "format": b"csr"}
    np.savez(tmp_path / "s.npz", shape=np.array([2, 1 << 50]), **cells)
    with pytest.raises(ConfigError, match="does not fit into this machine's memory"):
        open_source(tmp_path / "s.npz")
    folder = save_zarr(tmp_path / "z", numbered(), chunks=(8, 3))
    metadata = json.loads((folder / "zarr.json").read_text())
    metadata["shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"] = [1 << 40, 3], [1 << 38, 3]
    (folder / "zarr.json").write_text(json.dumps(metadata))
    with pytest.raises(ConfigError, match="a quarter of this machine's memory"):
        everything(open_source(folder))


@pytest.mark.parametrize(
    "change",
    [
        {"indptr": np.array([0, 1])}, {"indptr": np.array([0, 2, 1, 3])}, {"indptr": np.array([1, 1, 2, 3])},
        {"indptr": np.array([0, 1, 2, 4])}, {"indices": np.array([0, -1, 1])}, {"indices": np.array([0, 1, 3])},
        {"indices": np.array([0, 1])}, {"indices": np.array([0.0, 1.0, 2.0])}, {"shape": np.array([2, 3])},
    ],
)  # fmt: skip
def test_sparse_rows_that_make_no_sense_are_an_error(tmp_path, change):
    parts = {"data": np.ones(3, "f4"), "indices": np.array([0, 1, 2]), "indptr": np.array([0, 1, 2, 3])}
    np.savez(tmp_path / "m.npz", **(parts | {"shape": np.array([3, 3]), "format": b"csr"} | change))
    with pytest.raises(SourceError, match=r"m\.npz"):
        everything(open_source(tmp_path / "m.npz"))


def test_zarr_chunks_that_are_damaged_are_an_error(tmp_path):
    folder = save_zarr(tmp_path / "z", numbered(), chunks=(8, 3))
    chunk = folder / "c" / "2" / "0"
    whole = chunk.read_bytes()
    for broken in (b"", whole[:5], whole[:-1], b"\0" * len(whole)):
        chunk.write_bytes(broken)
        with pytest.raises(SourceError, match="z"):
            everything(open_source(folder))
    for text in ("", "{", "[]", "{}", '{"zarr_format": 3, "node_type": "array"}', "[" * 100_000):
        (folder / "zarr.json").write_text(text)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - one of ours, checked below
            everything(open_source(folder))
        assert type(caught.value).__module__ == "rowlock.errors"


# pieces


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=20), most=st.integers(1, 30))
def test_runs_of_pieces_cover_every_row_once_within_the_bound(lengths, most):
    pieces = Pieces.of_lengths(lengths)
    runs = list(pieces.runs(most))
    assert [first for first, _ in runs] == [0, *(last for _, last in runs[:-1])]
    assert runs[-1][1] == len(pieces) == len(lengths)
    for first, last in runs:
        assert pieces.start(last) - pieces.start(first) <= most or last == first + 1
    rows = np.arange(sum(lengths))
    expected = np.repeat(np.arange(len(lengths)), lengths)
    assert np.array_equal(pieces.of_rows(rows), expected)


@given(num_rows=st.integers(1, 60), piece_rows=st.integers(1, 20), most=st.integers(1, 30))
def test_regular_pieces_are_the_same_as_listed_ones(num_rows, piece_rows, most):
    regular = Pieces(num_rows, piece_rows=piece_rows)
    listed = Pieces.of_lengths([min(piece_rows, num_rows - start) for start in range(0, num_rows, piece_rows)])
    assert len(regular) == len(listed)
    assert regular.most_rows == listed.most_rows
    rows = np.arange(num_rows)
    assert np.array_equal(regular.of_rows(rows), listed.of_rows(rows))
    assert sorted(map(tuple, regular.lengths().tolist())) == sorted(map(tuple, listed.lengths().tolist()))
    assert [regular.start(i) for i in range(len(regular) + 1)] == [listed.start(i) for i in range(len(listed) + 1)]
    assert list(regular.runs(most))[-1][1] == len(regular)


def test_every_source_that_is_read_by_piece_gives_the_rows_of_its_pieces(tmp_path):
    matrix = sparse_numbered()
    for number, form in enumerate(MATRICES):
        folder = tmp_path / str(number)
        folder.mkdir()
        source = open_source(MATRICES[form](folder, matrix))
        if isinstance(source, PieceSource):
            for piece in range(len(source.pieces)):
                part = matrix[source.pieces.start(piece) : source.pieces.start(piece + 1)]
                assert np.array_equal(source.read(piece, piece + 1), part)
                assert np.array_equal(source.read(piece, piece + 1, np.array([2, 0, 2])), part[:, [2, 0, 2]])
