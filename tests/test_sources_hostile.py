"""Files of other formats that lie about their sizes, point elsewhere, or are damaged in ways their libraries miss."""

from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rowlock as rl
from rowlock.errors import ConfigError


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
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
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
