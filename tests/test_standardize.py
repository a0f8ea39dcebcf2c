"""Standardised and filled features: by the numbers of the training rows, the same for all parts, and nothing leaks."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import ConfigError, RowError, StateError

NUM_ROWS, NUM_COLUMNS = 60, 6


def numbers(seed=0, dtype="float64", num_rows=NUM_ROWS):
    """Columns of different offset and spread; the last is the same everywhere."""
    values = np.random.default_rng(seed).standard_normal((num_rows, NUM_COLUMNS))
    values = values * [1, 10, 3, 5, 100, 0] + [0, 100, -30, 7, 5, 9]
    return np.clip(values, 0, 250).astype(dtype) if np.dtype(dtype).kind == "u" else values.astype(dtype)


def frame_of(num_rows=NUM_ROWS):
    rows = np.random.default_rng(1).permutation(num_rows)  # not in the order of the store
    return pd.DataFrame({"id": [f"k{row}" for row in rows], "number": rows})


def keys(num_rows=NUM_ROWS):
    return [f"k{row}" for row in range(num_rows)]


def dataset(source, **arguments):
    frame = frame_of()
    if not isinstance(source, str):
        frame = frame.set_index("number", drop=False)
    inputs = {"f": rl.Features(source, **arguments), "number": rl.Column("number", dtype="int64")}
    return rl.Dataset(frame, inputs, key="id" if isinstance(source, str) else None)


def delivered(data):
    """Return features and row numbers of all rows."""
    batch = data.gather(np.arange(len(data)))
    return batch.inputs["f"], batch.inputs["number"]


def standardized(values, rows, columns=slice(None)):
    """Do what scikit-learn does: numbers of `rows`, applied to all."""
    exact = values[:, columns].astype(np.float64)
    mean, std = exact[rows].mean(axis=0), exact[rows].std(axis=0)
    return (exact - mean) / np.where(std == 0, 1, std) * (std != 0)


@settings(deadline=None, max_examples=40)
@given(
    source=st.sampled_from(["store", "array", "sparse"]),
    stored=st.sampled_from(["float16", "float32", "float64", "uint8", "int32", "int64"]),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    columns=st.sampled_from([None, [5, 0, 3], [2, 2]]),
    seed=st.integers(0, 5),
)
def test_all_parts_are_standardised_by_the_rows_of_the_first(tmp_path_factory, source, stored, dtype, columns, seed):
    values = numbers(seed, stored)
    if source == "sparse" and stored == "float16":
        stored, values = "float32", values.astype("float32")  # SciPy has no such matrices
    made = {"array": lambda: values, "sparse": lambda: scipy.sparse.csr_matrix(values)}.get(source)
    if made is None:
        path = str(tmp_path_factory.mktemp("store") / "s.zarr")
        rl.FeatureStore.write(path, values, keys=keys(), dtype=None, shard_bytes=500)
    if not np.can_cast(stored, dtype, "same_kind"):
        return
    data = dataset(made() if made else path, standardize=True, columns=columns, dtype=dtype)
    parts = data.split(0.6, 0.2, 0.2, seed=seed)
    train_rows = parts[0].frame["number"].to_numpy()
    expected = standardized(values, train_rows, slice(None) if columns is None else columns)
    parts = parts[0].fit_statistics(*parts[1:])
    for part in parts:
        found, rows = delivered(part)
        assert found.dtype == dtype
        tolerance = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-12}[dtype]
        assert np.allclose(found, expected[rows], rtol=tolerance, atol=tolerance)
        assert part.statistics["f"] is parts[0].statistics["f"]
        assert part.statistics["f"].num_rows == len(train_rows)


def test_other_validation_rows_do_not_change_what_training_gets(tmp_path):
    def parts_of(name, values):
        rl.FeatureStore.write(tmp_path / name, values, keys=keys())
        data = dataset(str(tmp_path / name), standardize=True, fill_missing="mean")
        train, valid = data.split(0.7, 0.3, seed=3)
        return train.fit_statistics(valid)

    values = numbers()
    train, valid = parts_of("a.zarr", values)
    changed = values.copy()
    changed[valid.frame["number"]] = 1e6
    changed[valid.frame["number"].to_numpy()[:3], 1] = np.nan
    other_train, other_valid = parts_of("b.zarr", changed)
    assert delivered(train)[0].tobytes() == delivered(other_train)[0].tobytes()
    for batch, other in zip(train.batches(7, seed=1), other_train.batches(7, seed=1), strict=True):
        assert batch.inputs["f"].tobytes() == other.inputs["f"].tobytes()
    assert delivered(other_valid)[0].max() > 100 > delivered(valid)[0].max()


def test_a_large_offset_is_taken_away_before_the_values_are_rounded():
    values = 1e9 + np.random.default_rng(0).standard_normal((NUM_ROWS, NUM_COLUMNS))
    (data,) = dataset(values, standardize=True, dtype="float32").fit_statistics()
    found, rows = delivered(data)
    assert np.allclose(found, standardized(values, rows)[rows], atol=1e-5)


def test_order_does_not_matter_and_repeated_rows_count(tmp_path):
    values = numbers()
    rl.FeatureStore.write(tmp_path / "s.zarr", values, keys=keys(), dtype="float64")
    data = dataset(str(tmp_path / "s.zarr"), standardize=True)
    rows = [3, 50, 7, 7, 7, 20]
    one, other = (data.select(order).fit_statistics()[0] for order in (rows, rows[::-1]))
    assert np.array_equal(one.statistics["f"].mean, other.statistics["f"].mean)
    assert np.array_equal(one.statistics["f"].std, other.statistics["f"].std)
    chosen = values[one.frame["number"]]
    assert np.allclose(one.statistics["f"].mean, chosen.mean(axis=0))
    assert np.allclose(one.statistics["f"].std, chosen.std(axis=0))


def test_the_rows_of_a_recurrent_input_keep_their_shape():
    values = numbers()
    (data,) = dataset(values, standardize=True, shape=(2, 3)).fit_statistics()
    found, rows = delivered(data)
    assert found.shape == (NUM_ROWS, 2, 3)
    assert np.allclose(found.reshape(NUM_ROWS, -1), standardized(values, rows)[rows], atol=1e-5)


def test_threads_deliver_what_the_slow_way_does(tmp_path):
    rl.FeatureStore.write(tmp_path / "s.zarr", numbers(), keys=keys(), dtype="float64")
    (data,) = dataset(str(tmp_path / "s.zarr"), standardize=True).fit_statistics()
    with rl.Engine(num_threads=4) as engine:
        loader = data.batches(7, seed=2, engine=engine)
        for step, batch in enumerate(loader):
            assert batch.inputs["f"].tobytes() == loader.batch(step).inputs["f"].tobytes()


# --- missing values ---------------------------------------------------------------------------------------


def with_gaps():
    values = numbers()
    values[[0, 3, 9], 0] = np.nan
    values[1, 1] = np.inf
    values[:, 2] = np.nan
    values[4, 5] = np.nan
    values[5, 5] = -np.inf
    return values


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gaps_are_filled_before_rows_are_standardised(dtype):
    values = with_gaps()
    (data,) = dataset(values, standardize=True, fill_missing="mean", dtype=dtype).fit_statistics()
    found, rows = delivered(data)
    place = np.argsort(rows)
    found = found[place]
    assert found[[0, 3, 9], 0].tolist() == [0, 0, 0], "the mean is 0 afterwards"
    assert found[1, 1] == np.inf
    assert not found[:, 2].any(), "a column without values is 0"
    assert not found[:, 5].any(), "a column of one value is 0, whatever else comes"
    known = np.isfinite(values[:, 1])
    assert np.allclose(found[known, 1], standardized(values[known], slice(None))[:, 1], atol=2e-3)
    (data,) = dataset(values, standardize=True, fill_missing=7.0, dtype=dtype).fit_statistics()
    found = delivered(data)[0][place]
    mean, std = np.nanmean(values[:, 0]), np.nanstd(values[:, 0])
    assert np.allclose(found[[0, 3, 9], 0], (7 - mean) / std, atol=2e-3)


def test_gaps_stay_where_nothing_fills_them():
    values = with_gaps()
    (data,) = dataset(values, standardize=True).fit_statistics()
    found, rows = delivered(data)
    assert np.array_equal(np.isnan(found[np.argsort(rows)]), np.isnan(values))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_filling_alone_changes_nothing_else(dtype):
    values = with_gaps()[:, [0, 1, 5]].astype("float32")
    place = np.argsort(frame_of()["number"])
    filled = delivered(dataset(values, fill_missing=-1, dtype=dtype))[0][place]
    assert filled.tobytes() == np.where(np.isnan(values), -1, values).astype(dtype).tobytes()
    filled = delivered(dataset(values, fill_missing=[1, 2, 3], dtype=dtype))[0][place]
    assert np.array_equal(filled, np.where(np.isnan(values), [1, 2, 3], values))
    (data,) = dataset(values, fill_missing="mean", dtype=dtype).fit_statistics()
    mean = np.ma.masked_invalid(values.astype(float)).mean(axis=0)
    assert np.allclose(delivered(data)[0][place], np.where(np.isnan(values), mean, values))


def test_a_column_without_values_has_no_mean_to_fill_in():
    with pytest.raises(ConfigError, match=r"column 2 has no value in the 60 rows.*columns="):
        dataset(with_gaps(), fill_missing="mean").fit_statistics()


def test_gaps_of_a_sparse_matrix_are_filled():
    values = np.zeros((NUM_ROWS, 3))
    values[2, 1] = np.nan
    data = dataset(scipy.sparse.csr_matrix(values), fill_missing=5.0)
    found, rows = delivered(data)
    assert found[rows == 2].tolist() == [[0, 5, 0]]
    assert found.sum() == 5


# --- whose numbers ----------------------------------------------------------------------------------------


def test_nothing_is_delivered_before_the_training_rows_are_named():
    data = dataset(numbers(), standardize=True)
    for use in (lambda: data.batches(4), lambda: data.gather(np.arange(3))):
        with pytest.raises(ConfigError, match=r"'f' is to be standardised .* train, valid, test = train.fit_stat"):
            use()
    with pytest.raises(ConfigError, match="fit_statistics"):
        dataset(numbers(), fill_missing="mean").batches(4)


def fitted_parts():
    train, valid = dataset(numbers(), standardize=True).split(0.5, 0.5)
    return train.fit_statistics(valid)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda train, valid: valid.fit_statistics(), "has statistics already"),
        (lambda train, valid: train.fit_statistics(valid), "has statistics already"),
        (lambda train, valid: train.split(0.5, 0.5), "Split first"),
        (lambda train, valid: train.where(np.arange(30) > 3).split(0.5, 0.5), "Split first"),
        (lambda train, valid: dataset(numbers(), standardize=True).fit_statistics(valid), "statistics already"),
        (lambda train, valid: dataset(numbers()).fit_statistics(), "no input asks"),
        (lambda train, valid: dataset(numbers(), standardize="store").fit_statistics(), "no input asks"),
        (lambda train, valid: dataset(numbers(), standardize=True).fit_statistics([valid]), "takes the other parts"),
        (
            lambda train, valid: dataset(numbers(), standardize=True).fit_statistics(dataset(numbers())),
            "'f' would not be standardised",
        ),
        (
            lambda train, valid: dataset(numbers()[:, :3], standardize=True).with_statistics(train.statistics),
            "takes 3 columns, but the statistics are of 6",
        ),
        (lambda train, valid: dataset(numbers(), standardize=True).with_statistics({}), "not among the training"),
    ],
)
def test_statistics_of_the_wrong_rows_are_refused(use, message):
    with pytest.raises(ConfigError, match=message):
        use(*fitted_parts())


def test_parts_of_fitted_parts_keep_the_numbers():
    train, valid = fitted_parts()
    mean = train.statistics["f"].mean.tolist()
    for part in (valid.split(0.5, 0.5)[1], valid.select([1, 2]), train.where(np.arange(30) > 3)):
        assert part.statistics["f"].mean.tolist() == mean
        delivered(part)


def test_folds_have_numbers_of_their_own():
    folds = dataset(numbers(), standardize=True).split(0.5, 0.5)
    (first, second), (second_train, first_valid) = folds[0].fit_statistics(folds[1]), folds[1].fit_statistics(folds[0])
    assert first.statistics["f"].mean.tolist() != second_train.statistics["f"].mean.tolist()
    assert np.allclose(delivered(first)[0].mean(axis=0), 0, atol=1e-5)
    assert np.allclose(delivered(second_train)[0].mean(axis=0), 0, atol=1e-5)
    assert not np.allclose(delivered(second)[0].mean(axis=0), 0, atol=1e-3)
    assert not np.allclose(delivered(first_valid)[0].mean(axis=0), 0, atol=1e-3)


def test_a_store_standardises_by_all_its_rows(tmp_path):
    values = numbers()
    store = rl.FeatureStore.write(tmp_path / "s.zarr", values, keys=keys(), columns=list("abcdef"))
    data = dataset(str(tmp_path / "s.zarr"), standardize="store", columns=["c", "a"])
    found, rows = delivered(data)
    assert np.allclose(found, standardized(values, slice(None), [2, 0])[rows], atol=1e-5)
    assert data.statistics["f"].columns == ("c", "a")
    store.replace(["k3"], np.zeros((1, NUM_COLUMNS)))
    with pytest.raises(ConfigError, match=r"has no statistics.*update_statistics"):
        dataset(str(tmp_path / "s.zarr"), standardize="store")


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_matrix])
def test_an_array_is_measured_when_the_dataset_is_made(make):
    values = numbers()
    found, rows = delivered(dataset(make(values), standardize="store", columns=[4, 1]))
    assert np.allclose(found, standardized(values, slice(None), [4, 1])[rows], atol=1e-5)


def test_predictions_use_the_numbers_of_the_training(tmp_path):
    train, valid = fitted_parts()
    train.statistics["f"].save(tmp_path / "f.json")
    saved = rl.ColumnStatistics.load(tmp_path / "f.json")
    expected, rows = delivered(valid)
    for data in (
        dataset(numbers(), standardize=saved),
        dataset(numbers(), standardize=True).with_statistics({"f": saved}),
    ):
        found, numbers_found = delivered(data)
        order = [numbers_found.tolist().index(row) for row in rows]
        assert found[order].tobytes() == expected.tobytes()
    values = numbers()
    values[3, 1] = np.nan
    filled, numbers_found = delivered(dataset(values, standardize=saved, fill_missing="mean"))
    assert filled[numbers_found == 3][0, 1] == 0


def test_saved_numbers_of_other_columns_are_refused(tmp_path):
    rl.FeatureStore.write(tmp_path / "s.zarr", numbers(), keys=keys(), columns=list("abcdef"))
    (data,) = dataset(str(tmp_path / "s.zarr"), standardize=True, columns=["a", "b"]).fit_statistics()
    with pytest.raises(ConfigError, match="of other columns, or of these in another order"):
        dataset(str(tmp_path / "s.zarr"), standardize=data.statistics["f"], columns=["b", "a"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"standardize": True, "dtype": "int32"}, "which dtype=int32 cannot hold"),
        ({"fill_missing": 0, "dtype": "uint8"}, "which dtype=uint8 cannot hold"),
        ({"standardize": "train"}, "standardize is True"),
        ({"standardize": 1}, "standardize is True"),
        ({"fill_missing": "median"}, "fill_missing is a number"),
        ({"fill_missing": np.nan}, "fill_missing is a number"),
        ({"fill_missing": True}, "fill_missing is a number"),
        ({"fill_missing": [1, 2]}, "fill_missing has 2 values for 6 columns"),
        ({"fill_missing": [[1] * 6]}, "fill_missing is a number"),
    ],
)
def test_misuse_is_refused_with_what_to_do(arguments, message):
    with pytest.raises(ConfigError, match=message):
        dataset(numbers(), **arguments)


def test_a_deviation_beyond_floats_is_refused():
    values = numbers()
    values[:2, 0] = 1e200, -1e200
    with pytest.raises(ConfigError, match="column 0 cannot be standardised: its deviation is inf"):
        dataset(values, standardize=True).fit_statistics()


# --- damage and going on ----------------------------------------------------------------------------------


def test_a_damaged_row_is_not_measured_and_is_named(tmp_path):
    path = tmp_path / "s.zarr"
    rl.FeatureStore.write(path, numbers(), keys=keys())
    with (path / "matrix/c.0.0").open("r+b") as file:
        file.seek(7 * 4 * NUM_COLUMNS + 5)
        file.write(b"\x99")
    data = dataset(str(path), standardize=True)
    with pytest.raises(RowError) as caught:
        data.fit_statistics()
    assert (caught.value.key, caught.value.input) == ("k7", "f")
    whole = data.where(data.frame["number"] != 7)
    train, everything = whole.fit_statistics(data)
    masked = next(iter(everything.batches(NUM_ROWS, shuffle=False, on_error="mask", max_bad=1.0)))
    place = data.frame["number"].to_list().index(7)
    assert masked.sample_weight[place] == 0
    assert not masked.inputs["f"][place].any(), "zeros, as every masked row"
    assert len(train) == NUM_ROWS - 1


def test_a_run_goes_on_only_with_the_same_numbers(tmp_path):
    path = tmp_path / "s.zarr"
    store = rl.FeatureStore.write(path, numbers(), keys=keys())

    def loader(train_rows=40, **arguments):
        data = dataset(str(path), **arguments)
        if arguments["standardize"] is True:
            data = data.select(np.arange(train_rows)).fit_statistics(data)[1]
        return data.batches(8)

    state = loader(standardize=True).state_dict()
    loader(standardize=True).load_state_dict(state)
    for other in ({"train_rows": 41, "standardize": True}, {"standardize": "store"}, {"standardize": False}):
        with pytest.raises(StateError, match="input:f was"):
            loader(**other).load_state_dict(state)
    of_store = loader(standardize="store").state_dict()
    store.append(np.full((1, NUM_COLUMNS), 1e3), ["new"])
    loader(standardize=True).load_state_dict(state)
    with pytest.raises(StateError, match="input:f was"):
        loader(standardize="store").load_state_dict(of_store)


def test_measuring_takes_little_memory(tmp_path):
    num_rows = 10_000
    matrix = np.random.default_rng(0).standard_normal((num_rows, 1000)).astype(np.float32)
    store = rl.FeatureStore.write(tmp_path / "s.zarr", matrix, keys=np.arange(num_rows), layout="raw")
    frame = pd.DataFrame({"id": np.random.default_rng(1).permutation(num_rows)})
    data = rl.Dataset(frame, {"f": rl.Features(store, key="id", standardize=True)}, key="id")
    data.select([1, 2]).fit_statistics()
    tracemalloc.start()
    try:
        (data,) = data.fit_statistics()
        assert tracemalloc.get_traced_memory()[1] < 12 << 20, "of 38 MiB"
    finally:
        tracemalloc.stop()
    assert np.allclose(data.statistics["f"].mean, matrix.mean(axis=0, dtype=float), atol=1e-12)


def test_rows_that_are_dropped_are_not_measured(tmp_path):
    rl.FeatureStore.write(tmp_path / "s.zarr", numbers()[:50], keys=keys()[:50])
    data = dataset(str(tmp_path / "s.zarr"), standardize=True, missing="drop")
    assert (len(data), len(data.dropped["f"])) == (50, 10)
    (data,) = data.fit_statistics()
    assert data.statistics["f"].num_rows == 50


def test_the_progress_is_told(tmp_path):
    told = []
    dataset(numbers(), standardize=True).fit_statistics(progress=lambda done, of: told.append((done, of)))
    assert told == [(NUM_ROWS, NUM_ROWS)]
