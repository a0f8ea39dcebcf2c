"""The key rules: which feature row belongs to which table row, and what is refused."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import AlignmentError, ConfigError, KeyTypeError, MissingKeysError, RepeatedKeysError

NUM_STORED = 30


def features_of(numbers):
    """Feature rows that tell which number they belong to."""
    return np.asarray(numbers, np.float32)[:, None] * [1, 10, 100] + [0.25, 0.5, 0.75]


@pytest.fixture(scope="module")
def text_store(tmp_path_factory):
    numbers = np.random.default_rng(3).permutation(NUM_STORED)
    path = tmp_path_factory.mktemp("stores") / "text.zarr"
    keys = pd.Series([f"k{number:02d}" for number in numbers], name="object_id")
    rl.FeatureStore.write(path, features_of(numbers), keys=keys)
    return str(path)


@pytest.fixture(scope="module")
def int_store(tmp_path_factory):
    numbers = np.random.default_rng(4).permutation(NUM_STORED)
    path = tmp_path_factory.mktemp("stores") / "int.zarr"
    rl.FeatureStore.write(path, features_of(numbers), keys=pd.Series(numbers * 7 - 50, name="object_id"))
    return str(path)


def table_of(numbers, *, text=True):
    numbers = np.asarray(numbers)
    keys = [f"k{number:02d}" for number in numbers] if text else (numbers * 7 - 50)
    return pd.DataFrame({"object_id": keys, "number": numbers})


def gathered(data):
    return data.gather(np.arange(len(data))).inputs["f"]


operations = st.sampled_from(["filter", "shuffle", "reset", "concat", "repeat", "reverse", "reindex", "sort"])


def changed(frame, operation, rng):
    match operation:
        case "filter":
            return frame[rng.random(len(frame)) < 0.7] if len(frame) > 3 else frame
        case "shuffle":
            return frame.iloc[rng.permutation(len(frame))]
        case "reset":
            return frame.reset_index(drop=True)
        case "concat":
            return pd.concat([frame, frame.iloc[: len(frame) // 2]])
        case "repeat":
            return frame.iloc[rng.integers(0, len(frame), len(frame) + 2)]
        case "reverse":
            return frame.iloc[::-1]
        case "reindex":
            return frame.set_axis(rng.permutation(len(frame)) + 100, axis=0)
        case "sort":
            return frame.sort_values("object_id", ascending=bool(rng.integers(2)))
    raise AssertionError(operation)


@settings(max_examples=150)
@given(chain=st.lists(operations, max_size=7), seed=st.integers(0, 2**32), text=st.booleans(), kind=st.integers(0, 2))
def test_by_key_no_chain_of_frame_operations_can_misalign(chain, seed, text, kind, text_store, int_store):
    rng = np.random.default_rng(seed)
    frame = table_of(rng.permutation(NUM_STORED), text=text)
    for operation in chain:
        frame = changed(frame, operation, rng)
    if len(frame) == 0:
        return
    known = dict(zip(table_of(range(NUM_STORED), text=text)["object_id"], features_of(range(NUM_STORED)), strict=True))
    expected = np.array([known[key] for key in frame["object_id"]])
    columns = {name: frame[name].to_numpy() for name in frame}
    given_frame = [frame, pl.DataFrame(columns), pa.table(columns)][kind]
    store = text_store if text else int_store
    data = rl.Dataset(given_frame, {"f": rl.Features(store), "n": rl.Column("number")}, key="object_id")
    batch = data.gather(np.arange(len(frame)))
    assert np.array_equal(batch.inputs["f"], expected.astype(np.float32))
    assert np.array_equal(batch.inputs["f"], features_of(batch.inputs["n"]).astype(np.float32))
    assert batch.keys.tolist() == frame["object_id"].tolist()


@settings(max_examples=60)
@given(
    chain=st.lists(operations.filter(lambda name: name not in ("reset", "reindex")), max_size=6),
    seed=st.integers(0, 2**32),
)
def test_without_keys_the_index_is_the_row_number(chain, seed):
    rng = np.random.default_rng(seed)
    matrix = features_of(range(NUM_STORED))
    frame = table_of(range(NUM_STORED))
    for operation in chain:
        frame = changed(frame, operation, rng)
    if len(frame) == 0:
        return
    for source in (matrix, scipy.sparse.csr_matrix(matrix)):
        found = gathered(rl.Dataset(frame, {"f": rl.Features(source)}))
        assert np.array_equal(found, matrix[frame.index].astype(np.float32))


def test_many_rows_may_share_one_row_of_another_store(text_store, int_store):
    frame = pd.DataFrame(
        {"rating": [1.0, 2.0, 3.0, 4.0], "movie": ["k03", "k07", "k03", "k29"], "user": [-50, 6, 6, -43]}
    )
    inputs = {"movie": rl.Features(text_store, key="movie"), "user": rl.Features(int_store, key="user")}
    batch = rl.Dataset(frame, inputs, target=rl.Column("rating")).gather(np.arange(4))
    assert np.array_equal(batch.inputs["movie"], features_of([3, 7, 3, 29]).astype(np.float32))
    assert np.array_equal(batch.inputs["user"], features_of([0, 8, 8, 1]).astype(np.float32))


def test_an_integer_index_over_the_end_of_an_array_is_refused():
    frame = table_of(range(10))
    with pytest.raises(AlignmentError, match=r"2 of the frame's 10 index values .* has 8 rows and no keys: 8 in row 8"):
        rl.Dataset(frame, {"f": rl.Features(features_of(range(8)))})


def test_an_index_that_is_not_of_integers_is_refused():
    frame = table_of(range(10)).set_index("object_id", drop=False)
    with pytest.raises(AlignmentError, match="index is not of integers"):
        rl.Dataset(frame, {"f": rl.Features(features_of(range(10)))})


def test_a_frame_without_an_index_must_be_as_long_as_an_array():
    frame = pl.DataFrame({"a": range(10)})
    assert len(gathered(rl.Dataset(frame, {"f": rl.Features(features_of(range(10)))}))) == 10
    with pytest.raises(AlignmentError, match="10 rows and no index.*12 rows and no keys"):
        rl.Dataset(frame, {"f": rl.Features(features_of(range(12)))})


def test_a_store_with_keys_is_never_joined_by_row_number(text_store):
    with pytest.raises(AlignmentError, match=r"never joined by row number.*key='object_id'"):
        rl.Dataset(table_of(range(NUM_STORED)), {"f": rl.Features(text_store)})


def test_keys_of_another_name_need_an_explicit_choice(text_store):
    frame = table_of(range(10)).rename(columns={"object_id": "id"})
    with pytest.raises(
        AlignmentError, match=r"called 'object_id', the dataset's key is 'id'.*rl.Features\(.*key='id'\)"
    ):
        rl.Dataset(frame, {"f": rl.Features(text_store)}, key="id")
    assert len(gathered(rl.Dataset(frame, {"f": rl.Features(text_store, key="id")}, key="id"))) == 10


def test_a_key_for_a_source_without_keys_is_refused():
    with pytest.raises(AlignmentError, match="has no keys, so key='object_id' cannot be looked up"):
        rl.Dataset(table_of(range(5)), {"f": rl.Features(features_of(range(5)), key="object_id")})


def test_missing_keys_are_counted_and_named(text_store):
    frame = table_of([1, 2, 31, 3, 44, 31])
    with pytest.raises(
        MissingKeysError, match=r"3 of 6 rows .*'k31', 'k44', 'k31'.*Nothing was loaded.*missing='drop'"
    ):
        rl.Dataset(frame, {"f": rl.Features(text_store)}, key="object_id")


@pytest.mark.parametrize("where", ["dataset", "features"])
def test_missing_keys_are_dropped_on_request_and_listed(text_store, where):
    frame = table_of([1, 31, 2, 44, 3])
    on_features = {"missing": "drop"} if where == "features" else {}
    on_dataset = {"missing": "drop"} if where == "dataset" else {}
    data = rl.Dataset(frame, {"f": rl.Features(text_store, **on_features)}, key="object_id", **on_dataset)
    assert data.keys.tolist() == ["k01", "k02", "k03"]
    assert {name: keys.tolist() for name, keys in data.dropped.items()} == {"f": ["k31", "k44"]}
    assert np.array_equal(gathered(data), features_of([1, 2, 3]).astype(np.float32))


def test_dropping_every_row_is_refused(text_store):
    with pytest.raises(AlignmentError, match="no row is left"):
        rl.Dataset(table_of([40, 41]), {"f": rl.Features(text_store)}, key="object_id", missing="drop")


def test_text_and_numbers_never_match(text_store, int_store):
    with pytest.raises(KeyTypeError, match="text keys"):
        rl.Dataset(table_of(range(5), text=False), {"f": rl.Features(text_store)}, key="object_id")
    frame = pd.DataFrame({"object_id": ["007", "008"]})
    with pytest.raises(KeyTypeError, match="'007'"):
        rl.Dataset(frame, {"f": rl.Features(int_store)}, key="object_id")


@pytest.mark.parametrize("keys", [[1.0, 2.0], [True, False], [1, None], ["a", None], [b"a", b"b"], [1, "a"]])
def test_what_cannot_be_a_key_is_refused(keys):
    frame = pd.DataFrame({"object_id": pd.Series(keys, dtype=object if len({type(k) for k in keys}) > 1 else None)})
    with pytest.raises(KeyTypeError, match="object_id"):
        rl.Dataset(frame.assign(x=1.0), {"x": rl.Column("x")}, key="object_id")


def test_repeated_keys_are_refused_when_a_store_is_written(tmp_path):
    with pytest.raises(RepeatedKeysError, match="'b'"):
        rl.FeatureStore.write(tmp_path / "s.zarr", features_of(range(3)), keys=["a", "b", "b"])
    assert list(tmp_path.iterdir()) == []


def test_columns_are_chosen_by_name_or_number_and_shaped(tmp_path):
    path = tmp_path / "s.zarr"
    rl.FeatureStore.write(path, features_of(range(4)), keys=["a", "b", "c", "d"], columns=["x", "y", "z"])
    frame = pd.DataFrame({"id": ["d", "a"]})

    def rows(**arguments):
        return gathered(rl.Dataset(frame, {"f": rl.Features(path, key="id", **arguments)})).tolist()

    assert rows(columns=["z", "x"]) == [[300.75, 3.25], [0.75, 0.25]]
    assert rows(columns=[1]) == [[30.5], [0.5]]
    assert rows(shape=(3, 1)) == [[[3.25], [30.5], [300.75]], [[0.25], [0.5], [0.75]]]
    with pytest.raises(ConfigError, match="has no column 'w'"):
        rows(columns=["w"])
    with pytest.raises(ConfigError, match="has no column 3"):
        rows(columns=[3])
    with pytest.raises(ConfigError, match=r"shape=\(2, 2\) does not hold the 3 columns"):
        rows(shape=(2, 2))


@pytest.mark.parametrize("source", [5, np.zeros(3), np.zeros((2, 0)), np.array([["a"]]), None])
def test_what_is_not_a_matrix_is_refused(source):
    with pytest.raises(ConfigError):
        rl.Dataset(table_of(range(3)), {"f": rl.Features(source)})


def test_values_that_do_not_fit_name_the_row():
    frame = table_of(range(3))
    data = rl.Dataset(frame, {"f": rl.Features(np.array([[1.0], [1e300], [2.0]]))}, key="object_id")
    with pytest.raises(rl.errors.RowError, match="input 'f', key 'k01'.*does not fit float32") as raised:
        data.gather(np.array([2, 1, 0]))
    assert (raised.value.key, raised.value.row, raised.value.input) == ("k01", 1, "f")
