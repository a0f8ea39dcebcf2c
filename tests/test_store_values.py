"""Values on their way out of a store: never wrapped, never infinite by accident; rows far beyond 32 bits."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RowError, StoreCorruptError, StoreFormatError
from rowlock.keys import Keys
from rowlock.store.changing.replace import checks_of
from rowlock.store.commit.format import MOST_COLUMNS, ROOT, array_metadata, group_metadata, read_commit
from rowlock.store.disk.files import write_json
from rowlock.store.layouts.registry import layout_of

NUM_ROWS, ROW = 2**33 + 8, 2**33 + 3


@pytest.mark.parametrize(
    ("stored", "value", "wanted"),
    [
        ("int64", 2**40 + 3, "int32"),
        ("uint64", 2**63 + 3, "int64"),
        ("float64", 1e300, "float32"),
        ("int16", 200, "int8"),
        ("float32", 1e5, "float16"),
    ],
)
@pytest.mark.parametrize("columns", [None, [1, 0]])
@pytest.mark.parametrize("layout", ["raw", "packed"])
def test_a_value_that_does_not_fit_the_batch_is_an_error_of_its_row(tmp_path, stored, value, wanted, columns, layout):
    matrix = np.zeros((40, 2), stored)
    matrix[17, 1] = value
    store = rl.FeatureStore.write(tmp_path / "x.zarr", matrix, keys=np.arange(40) * 3, dtype=stored, layout=layout)
    if not np.can_cast(stored, wanted, "same_kind"):
        with pytest.raises(ConfigError, match="would cut"):
            rl.Dataset(pd.DataFrame({"id": [51]}), {"x": rl.Features(store, dtype=wanted)}, key="id")
        return
    features = rl.Features(store, dtype=wanted, columns=columns)
    data = rl.Dataset(pd.DataFrame({"id": np.arange(40) * 3}), {"x": features}, key="id")
    with pytest.raises(RowError, match=f"does not fit {wanted}") as caught:
        list(data.batches(8))
    assert (caught.value.key, caught.value.input) == (51, "x")
    good = data.select([row for row in range(40) if row != 17])
    assert sum(batch.inputs["x"].sum() for batch in good.batches(8)) == 0


@pytest.mark.filterwarnings("ignore:overflow")
def test_infinities_that_are_in_the_store_stay(tmp_path):
    store = rl.FeatureStore.write(tmp_path / "x.zarr", np.array([[np.inf, np.nan, 1.0]]), dtype="float64")
    out = np.empty((1, 3), np.float32)
    store.gather(np.array([0]), out)
    assert np.array_equal(out, np.array([[np.inf, np.nan, 1.0]], np.float32), equal_nan=True)


def pretend_rows(path, layout):
    """Make a store of two rows one of 2**33 + 8, in sparse files, with one real row near the end."""
    rl.FeatureStore.write(path, np.ones((2, 4), np.uint8), layout=layout, dtype="uint8")
    sizes = {"rows_per_shard": NUM_ROWS} if layout == "raw" else {"num_cells": 5, "cells_per_shard": 5}
    commit = replace(read_commit(path), num_rows=NUM_ROWS, statistics=None, **sizes)
    for name, metadata in layout_of(layout).nodes(commit).items():
        write_json(path / name / ROOT, metadata)
    for name, (shape, chunks, dtype) in commit.arrays.items():
        write_json(path / name / ROOT, array_metadata(shape, chunks, dtype))
    write_json(path / ROOT, group_metadata(commit))
    row = np.array([[9, 0, 7, 3]], np.uint8)
    put(path / "row_check" / "c.0", 8 * ROW, checks_of(commit, row, Keys(np.array([ROW])).hash()), 8 * NUM_ROWS)
    if layout == "raw":
        put(path / "matrix" / "c.0.0", 4 * ROW, row, 4 * NUM_ROWS)
    else:
        put(path / "matrix" / "indptr" / "c.0", 8 * ROW, np.array([1, 4], "<i8"), 8 * (NUM_ROWS + 1))
        put(path / "matrix" / "data" / "c.0", 1, np.array([9, 7, 3], np.uint8), 5)
        put(path / "matrix" / "indices" / "c.0", 2, np.array([0, 2, 3], "<i2"), 10)


def put(file, offset, values, size):
    with file.open("r+b") as stream:
        stream.truncate(size)
        stream.seek(offset)
        stream.write(values.tobytes())


@pytest.mark.parametrize("layout", ["raw", "csr"])
def test_a_row_beyond_2_to_the_33_is_itself_and_its_neighbour_is_not(tmp_path, layout):
    pretend_rows(tmp_path / "x.zarr", layout)
    with rl.FeatureStore.open(tmp_path / "x.zarr") as store:
        assert store[[ROW]].tolist() == [[9, 0, 7, 3]]
        with pytest.raises(StoreCorruptError):
            store[[ROW - 1]]
        with pytest.raises(StoreCorruptError):
            store[[ROW % 2**32]]


def test_a_commit_that_promises_absurd_rows_allocates_nothing(tmp_path):
    path = tmp_path / "x.zarr"
    rl.FeatureStore.create(path, num_columns=4)
    write_json(path / ROOT, group_metadata(replace(read_commit(path), num_columns=2**36)))
    with pytest.raises(StoreFormatError, match="length of a row"):
        rl.FeatureStore.open(path)
    with pytest.raises(ConfigError, match="columns"):
        rl.FeatureStore.create(tmp_path / "y.zarr", num_columns=MOST_COLUMNS + 1)


@pytest.mark.parametrize(
    ("layout", "kernel"), [("csr", "csr_kernels.gather_cells"), ("packed", "packed_kernels.gather_chunks")]
)
def test_kernels_are_compiled_when_a_dataset_is_made_and_not_within_an_epoch(tmp_path, layout, kernel):
    rl.FeatureStore.write(tmp_path / "x.zarr", np.eye(40, 24), keys=np.arange(40), layout=layout)
    code = f"""
import numpy as np, pandas as pd, rowlock as rl
data = rl.Dataset(pd.DataFrame({{"id": np.arange(40)}}), {{"x": rl.Features({str(tmp_path / "x.zarr")!r})}}, key="id")
from rowlock.store.layouts import csr_kernels, packed_kernels
made = len({kernel}.signatures)
with rl.Engine(num_threads=1, prefetch=3) as engine:
    for batch in data.batches(8, engine=engine):
        assert batch.inputs["x"].shape == (8, 24)
print(made, len({kernel}.signatures))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=280)
    made, after = map(int, done.stdout.split())
    assert made == after > 0
