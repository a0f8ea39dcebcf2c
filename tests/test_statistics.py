"""Statistics of the columns: those of NumPy, whatever pieces the rows came in, and never those of another commit."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
import threading

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import ConfigError, StoreCorruptError, StoreFormatError
from rowlock.store import ColumnTotals, FeatureStore
from rowlock.store.commit.format import _digest
from rowlock.store.reading import opened

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FACTS = ("mean", "std", "min", "max", "share_of_zeros", "num_missing", "num_infinite")


def numbers(seed, num_rows, num_columns, dtype, share_of_gaps):
    """Columns of different sizes and offsets, with zeros, and gaps where the dtype has them."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        scale = np.array([1.0, 1e-3, 300.0, 0.0, 5.0])[np.arange(num_columns) % 5]
        values = (rng.standard_normal((num_rows, num_columns)) * scale + 3 * scale).astype(dtype)
    else:
        low, high = max(np.iinfo(dtype).min, -(2**40)), min(np.iinfo(dtype).max, 2**40)
        values = rng.integers(low, high, (num_rows, num_columns), dtype=dtype, endpoint=True)
    values[rng.random(values.shape) < 0.2] = 0
    if dtype.kind == "f":
        for gap in (np.nan, np.inf, -np.inf):
            values[rng.random(values.shape) < share_of_gaps] = gap
    return values


def require_facts_of(found, values):
    """Compare with NumPy in float64; counts and limits exactly."""
    exact = values.astype(np.float64)
    finite = np.where(np.isfinite(exact), exact, np.nan)
    assert found.num_rows == len(values)
    assert np.array_equal(found.num_missing, np.isnan(exact).sum(axis=0))
    assert np.array_equal(found.num_infinite, np.isinf(exact).sum(axis=0))
    assert np.array_equal(found.share_of_zeros, (exact == 0).sum(axis=0) / len(values))
    for column in range(values.shape[1]):
        known = finite[~np.isnan(finite[:, column]), column]
        if not len(known):
            assert np.isnan([getattr(found, name)[column] for name in FACTS[:4]]).all()
            continue
        assert (found.min[column], found.max[column]) == (known.min(), known.max())
        largest = np.abs(known - known.mean()).max()
        assert abs(found.mean[column] - known.mean()) <= 1e-13 * (largest + abs(known.mean()))
        assert abs(found.std[column] - known.std()) <= 1e-12 * largest + 1e-15 * abs(known.mean())


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.sampled_from([0, 1, 2, 3, 5, 30, 255, 256, 257, 600]), min_size=1, max_size=5),
    num_columns=st.sampled_from([1, 3, 8, 511, 513]),
    dtype=st.sampled_from(DTYPES),
    share_of_gaps=st.sampled_from([0.0, 0.0, 0.01, 0.9]),
)
def test_sums_of_rows_in_any_pieces_are_numpys(seed, sizes, num_columns, dtype, share_of_gaps):
    values = numbers(seed, sum(sizes), num_columns, dtype, share_of_gaps)
    totals = ColumnTotals(num_columns)
    for start, stop in itertools.pairwise(np.cumsum([0, *sizes]).tolist()):
        totals.add(values[start:stop])
    if len(values):
        require_facts_of(totals.statistics(), values)


@settings(deadline=None, max_examples=15)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
    kind=st.sampled_from([None, "int", "text"]),
    shard_bytes=st.sampled_from([1, 200, 1 << 20]),
    dtype=st.sampled_from(DTYPES),
    layout=st.sampled_from(["auto", "raw", "csr", "packed"]),
)
def test_appends_in_any_pieces_give_the_statistics_of_all_rows(
    tmp_path_factory, sizes, kind, shard_bytes, dtype, layout
):
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    layout = "raw" if layout == "csr" and dtype == "float16" else layout
    values = numbers(sum(sizes), sum(sizes), 4, dtype, 0.05)
    keys = {None: None, "int": list(range(len(values))), "text": [f"k{i}" for i in range(len(values))]}[kind]
    store = FeatureStore.create(path, num_columns=4, keys=kind, dtype=dtype, layout=layout, shard_bytes=shard_bytes)
    assert store.statistics is None
    for start, stop in itertools.pairwise(np.cumsum([0, *sizes]).tolist()):
        store.append(values[start:stop], keys and keys[start:stop])
        if stop:
            require_facts_of(store.statistics, values[:stop])
    require_facts_of(FeatureStore.open(path).statistics, values)
    assert store.verify() == []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_offset_does_not_drown_the_deviations(dtype, rng):
    offset = {"float32": 1e5, "float64": 1e9}[dtype]
    values = (offset + rng.standard_normal((20_000, 3))).astype(dtype)
    totals = ColumnTotals(3)
    totals.add(values)
    assert np.allclose(totals.statistics().std, values.std(axis=0, dtype=np.longdouble).astype(float), rtol=1e-9)
    naive = np.sqrt(np.maximum((values.astype(float) ** 2).mean(axis=0) - values.mean(axis=0, dtype=float) ** 2, 0))
    if dtype == "float64":
        assert not np.allclose(naive, 1, rtol=0.1), "the sum of squares would drown"


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32), st.lists(st.integers(1, 300), min_size=1, max_size=4)
)
def test_a_column_of_one_value_has_a_deviation_of_exactly_nothing(value, sizes):
    totals = ColumnTotals(2)
    for size in sizes:
        totals.add(np.full((size, 2), value, np.float32))
    found = totals.statistics()
    assert found.std.tolist() == [0, 0]
    assert found.mean.tolist() == [np.float32(value)] * 2


def test_values_whose_squares_overflow_are_not_taken_for_missing():
    totals = ColumnTotals(2)
    totals.add(np.array([[1e300, 1.0], [-1e300, 2.0]]))
    found = totals.statistics()
    assert found.num_missing.tolist() == found.num_infinite.tolist() == [0, 0]
    assert (found.min[0], found.max[0]) == (-1e300, 1e300)
    assert found.std.tolist() == [np.inf, 0.5]


def test_every_half_precision_number_is_summed_as_itself():
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(1, -1)
    totals = ColumnTotals(1 << 16)
    totals.add(halves)
    found, exact = totals.statistics(), halves[0].astype(np.float64)
    assert np.array_equal(found.mean, np.where(np.isfinite(exact), exact, np.nan), equal_nan=True)
    assert (found.num_missing.sum(), found.num_infinite.sum()) == (2 * 1023, 2)


def test_the_arrays_cannot_be_changed(tmp_path):
    found = FeatureStore.write(tmp_path / "s.zarr", np.eye(3), columns=["a", "b", "c"]).statistics
    assert found.columns == ("a", "b", "c")
    for name in FACTS:
        assert getattr(found, name).dtype == np.float64
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, name)[0] = 1


# --- in step with the commits -----------------------------------------------------------------------------


def test_any_zarr_reader_finds_them(tmp_path):
    store = FeatureStore.write(tmp_path / "s.zarr", np.arange(12.0).reshape(4, 3))
    array = zarr.open_group(tmp_path / "s.zarr", mode="r")["statistics/columns"]
    rows = array.attrs["rows"]
    found = array[store._commit.number % 2]
    assert found[rows.index("mean")].tolist() == [4.5, 5.5, 6.5]
    assert found[rows.index("num_zeros")].tolist() == [1, 0, 0]


def test_a_reader_keeps_those_of_its_commit(tmp_path):
    writer = FeatureStore.write(tmp_path / "s.zarr", np.ones((4, 2)))
    reader = FeatureStore.open(tmp_path / "s.zarr")
    for _ in range(3):
        writer.append(np.zeros((4, 2)))
    assert reader.statistics.mean.tolist() == [1, 1]
    assert writer.statistics.mean.tolist() == [0.25, 0.25]


def append_and_break(store, rows):
    writer = store.writer()
    writer.append(rows)
    writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_what_was_not_committed_does_not_count(tmp_path):
    store = FeatureStore.write(tmp_path / "s.zarr", np.ones((4, 2)))
    append_and_break(store, np.full((4, 2), 9.0))
    store.append(np.full((4, 2), 3.0))
    assert store.statistics.mean.tolist() == [2, 2]
    assert store.statistics.max.tolist() == [3, 3]


def test_readers_who_open_while_others_append_never_mix_two_commits(tmp_path):
    path = tmp_path / "s.zarr"
    store = FeatureStore.write(path, np.zeros((1, 2)))
    stop = threading.Event()

    def append():
        while not stop.is_set() and store.num_rows < 400:
            store.append(np.full((1, 2), store.num_rows))

    thread = threading.Thread(target=append)
    thread.start()
    try:
        seen = set()
        while thread.is_alive() and len(seen) < 60:
            with FeatureStore.open(path) as reader:
                seen.add(reader.num_rows)
                assert reader.statistics.max.tolist() == [reader.num_rows - 1] * 2
    finally:
        stop.set()
        thread.join(60)
    assert len(seen) > 3


@pytest.mark.parametrize("num_commits", [1, 2, 3])
def test_commits_at_the_worst_moment_of_opening_start_it_over(tmp_path, monkeypatch, num_commits):
    path = tmp_path / "s.zarr"
    writer = FeatureStore.write(path, np.zeros((1, 2)))
    real, left = opened.map_statistics, [num_commits]

    def late(*arguments):
        count, left[0] = left[0], 0
        for _ in range(count):  # the root was read already
            writer.append(np.full((1, 2), writer.num_rows))
        return real(*arguments)

    monkeypatch.setattr(opened, "map_statistics", late)
    reader = FeatureStore.open(path)
    assert reader.num_rows == 1 + num_commits
    assert reader.statistics.max.tolist() == [num_commits] * 2


def without_statistics(path):
    """Make a store what an earlier version would have written."""
    shutil.rmtree(path / "statistics")
    root = json.loads((path / "zarr.json").read_text())
    content = root["attributes"]["rowlock"]
    for name in ("digest", "statistics", "replaced", "num_replaces"):
        content.pop(name)
    root["attributes"]["rowlock"] = content | {"digest": _digest(content)}
    (path / "zarr.json").write_text(json.dumps(root))


def test_a_store_of_an_earlier_version_has_none_until_they_are_made(tmp_path, rng):
    path, values = tmp_path / "s.zarr", rng.standard_normal((70, 3))
    FeatureStore.write(path, values[:50])
    without_statistics(path)
    store = FeatureStore.open(path)
    assert store.statistics is None
    store.append(values[50:])
    assert store.statistics is None, "half of the rows are not known"
    assert store.verify() == []
    require_facts_of(store.update_statistics(), values.astype(np.float32))
    require_facts_of(FeatureStore.open(path).statistics, values.astype(np.float32))
    store.append(values[:20])
    require_facts_of(store.statistics, np.concatenate([values, values[:20]]).astype(np.float32))


def test_damaged_statistics_are_an_error_and_the_rows_are_not_affected(tmp_path, caplog):
    path = tmp_path / "s.zarr"
    values = np.arange(12.0).reshape(4, 3)
    FeatureStore.write(path, values)
    file = next((path / "statistics/columns").glob("c.*"))
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    store = FeatureStore.open(path)
    assert np.array_equal(store[:], values)
    with pytest.raises(StoreCorruptError, match=r"statistics.*rows are not affected.*update_statistics"):
        _ = store.statistics
    assert [reason for _, _, reason in store.verify()] == ["the statistics (the rows are not affected)"]
    store.append(values)
    assert store.statistics is None, "damage is not carried on"
    assert "are damaged and left out" in caplog.text
    assert store.update_statistics().max.tolist() == [9, 10, 11]
    assert store.verify() == []


def test_damaged_rows_get_no_statistics(tmp_path):
    store = FeatureStore.write(tmp_path / "s.zarr", np.ones((4, 2)))
    (tmp_path / "s.zarr/matrix/c.0.0").write_bytes(bytes(32))
    with pytest.raises(StoreCorruptError):
        FeatureStore.open(tmp_path / "s.zarr").update_statistics()
    assert FeatureStore.open(tmp_path / "s.zarr").statistics.mean.tolist() == [1, 1]
    store.close()


def test_metadata_of_another_width_are_refused(tmp_path):
    FeatureStore.write(tmp_path / "a", np.ones((4, 2)))
    FeatureStore.write(tmp_path / "b", np.ones((4, 3)))
    shutil.copy(tmp_path / "b/statistics/columns/zarr.json", tmp_path / "a/statistics/columns/zarr.json")
    with pytest.raises(StoreFormatError, match="does not belong"):
        FeatureStore.open(tmp_path / "a")


# --- gaps are told ----------------------------------------------------------------------------------------


def test_values_that_are_not_finite_are_told_in_one_line(tmp_path, caplog):
    values = np.ones((700, 4), np.float32)
    values[300, 2] = values[301:311, 1] = np.nan
    values[5, 3] = 0
    values[650, 2] = -np.inf
    store = FeatureStore.write(tmp_path / "s.zarr", values, columns=["a", "b", "c", "d"], shard_bytes=16 * 64)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    message = caplog.records[0].getMessage()
    assert message.startswith("s.zarr: 11 missing values (NaN) and 1 infinite ones in 2 of 4 columns")
    assert "'b' (10), 'c' (2); the first in row 300." in message
    caplog.clear()
    store.append(np.zeros((9, 4)))
    assert not caplog.records
    store.append(np.array([[0, np.nan, 0, 0]]))
    assert "s.zarr: 1 missing values" in caplog.text
    assert "the first in row 709." in caplog.text


def test_what_was_dropped_is_not_told(tmp_path, caplog):
    store = FeatureStore.write(tmp_path / "s.zarr", np.ones((4, 2)))
    append_and_break(store, np.full((4, 2), np.nan))
    assert not caplog.records


# --- on paper ---------------------------------------------------------------------------------------------


def test_saved_statistics_are_the_same_numbers(tmp_path, rng):
    values = rng.standard_normal((50, 4)) * [1, 1e-30, 1, 1e300]
    values[:, 2] = np.nan
    found = FeatureStore.write(tmp_path / "s", values, columns=["ä", "b", "c", "d"], dtype="float64").statistics
    found.save(tmp_path / "growth.json")
    again = rl.ColumnStatistics.load(tmp_path / "growth.json")
    assert (again.columns, again.num_rows, again.num_columns) == (("ä", "b", "c", "d"), 50, 4)
    for name in FACTS:
        assert np.array_equal(getattr(again, name), getattr(found, name), equal_nan=True), name
    assert repr(again) == "ColumnStatistics(4 columns over 50 rows)"
    assert again.std[3] == np.inf


@pytest.mark.parametrize(
    "change",
    [
        lambda content: [],
        lambda content: content | {"format": "other"},
        lambda content: {name: value for name, value in content.items() if name != "std"},
        lambda content: content | {"surprise": [1]},
        lambda content: content | {"std": [1.0]},
        lambda content: content | {"std": [1.0, -1.0]},
        lambda content: content | {"mean": ["x", "y"]},
        lambda content: content | {"columns": ["only"]},
        lambda content: content | {"num_rows": -3},
    ],
)
def test_a_file_that_does_not_hold_statistics_is_refused(tmp_path, change):
    FeatureStore.write(tmp_path / "s", np.ones((4, 2))).statistics.save(tmp_path / "s.json")
    content = json.loads((tmp_path / "s.json").read_text())
    (tmp_path / "s.json").write_text(json.dumps(change(content)))
    with pytest.raises(ConfigError, match="s.json"):
        rl.ColumnStatistics.load(tmp_path / "s.json")
