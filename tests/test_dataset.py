import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import AlignmentError, ConfigError, StoreNotFoundError


def dataset(frame, **arguments):
    return rl.Dataset(frame, {"age": rl.Column("age")}, target=rl.Labels("label"), key="object_id", **arguments)


def ages(data):
    return data.gather(np.arange(len(data))).inputs["age"].tolist()


def test_a_batch_holds_everything_of_its_rows(frame):
    data = rl.Dataset(
        frame,
        {"age": rl.Column("age"), "facts": rl.Columns(["age", "price"])},
        target={"label": rl.Labels("label"), "price": rl.Column("price")},
        key="object_id",
        sample_weight="price",
    )
    batch = data.gather(np.array([7, 2]))
    assert batch.keys.tolist() == ["a07", "a02"]
    assert batch.inputs["age"].tolist() == [70, 20]
    assert batch.inputs["facts"].tolist() == [[70, 7.5], [20, 2.5]]
    assert batch.target["label"].tolist() == [1, 0]
    assert batch.target["price"].tolist() == [7.5, 2.5]
    assert batch.sample_weight.tolist() == [7.5, 2.5]
    assert batch.rows.tolist() == [7, 2]
    assert "2 rows" in repr(batch)
    assert all(array.ctypes.data % 64 == 0 for array in batch.inputs.values())


def test_without_a_key_the_index_identifies_the_rows(frame):
    shuffled = frame.iloc[::-1]
    data = rl.Dataset(shuffled, {"age": rl.Column("age")})
    assert data.keys.tolist() == list(range(10))[::-1]
    named = rl.Dataset(frame.set_index("object_id"), {"age": rl.Column("age")})
    assert named.keys.tolist() == list(range(10))
    assert rl.Dataset(pl.DataFrame({"age": [1, 2]}), {"age": rl.Column("age")}).keys.tolist() == [0, 1]


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas], ids=["pandas", "polars", "arrow"]
)
def test_parts_keep_rows_and_frame_together(frame, make):
    data = dataset(make(frame))
    part = data.where(frame["age"].to_numpy() > 30).select([3, 0, 3])
    assert ages(part) == [70, 40, 70]
    assert part.keys.tolist() == ["a07", "a04", "a07"]
    column = part.frame["object_id"]
    assert (column.to_pylist() if isinstance(part.frame, pa.Table) else list(column)) == ["a07", "a04", "a07"]


@given(st.integers(30, 200), st.integers(0, 9))
def test_a_split_is_disjoint_complete_and_stratified(num_rows, seed):
    frame = pd.DataFrame(
        {
            "object_id": np.arange(num_rows) * 3,
            "age": np.arange(num_rows),
            "label": np.array(["x", "y", "z"])[np.arange(num_rows) % 3],
        }
    )
    parts = dataset(frame).split(0.8, 0.1, 0.1, stratify="label", seed=seed)
    keys = [set(part.keys.tolist()) for part in parts]
    assert sum(map(len, keys)) == num_rows == len(set.union(*keys))
    for part, share in zip(parts, (0.8, 0.1, 0.1), strict=True):
        counts = part.frame["label"].value_counts()
        assert all(abs(count - share * (frame["label"] == label).sum()) < 1 + 1e-6 for label, count in counts.items())


def test_a_split_by_group_keeps_equal_values_together(frame):
    house = np.array(list("aabbccddee"))
    parts = dataset(frame.assign(house=house)).split(0.6, 0.2, 0.2, group="house", seed=3)
    owners = [set(part.frame["house"]) for part in parts]
    assert sum(map(len, owners)) == 5
    assert set.union(*owners) == set("abcde")


def test_a_split_is_the_same_for_every_kind_of_frame(frame):
    splits = [
        [part.keys.tolist() for part in dataset(make(frame)).split(0.5, 0.5, stratify="label", seed=4)]
        for make in (lambda frame: frame, pl.from_pandas, pa.Table.from_pandas)
    ]
    assert splits[0] == splits[1] == splits[2]


def test_a_mask_from_another_frame_is_refused(frame):
    data = dataset(frame)
    assert ages(data.where(frame["age"] >= 80)) == [80, 90]
    assert ages(data.where(frame["age"] >= 80).where(np.array([False, True]))) == [90]
    with pytest.raises(AlignmentError, match="another frame, or in another order"):
        data.where(frame.sort_values("age", ascending=False)["age"] >= 80)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda data: data.where([True, False]), "a mask is 10 booleans"),
        (lambda data: data.where(np.arange(10)), "a mask is 10 booleans"),
        (lambda data: data.where(np.zeros(10, bool)), "leaves none of the 10 rows"),
        (lambda data: data.select([10]), "row 10 does not exist: rows count from 0 to 9"),
        (lambda data: data.select([-1]), "row -1 does not exist"),
        (lambda data: data.select([]), "no row is selected"),
        (lambda data: data.select([True] * 10), "are integers, one after the other, not bool"),
        (lambda data: data.gather(np.array([-1])), "row -1 does not exist"),
        (lambda data: data.split(0.5, 0.4), "add up to 1"),
        (lambda data: data.split(0.5, 0.5, stratify="labell"), "no column 'labell'. Did you mean 'label'"),
        (lambda data: data.batches(0), "batch_size must be at least 1"),
        (lambda data: data.batches(64, last="drop"), "larger than the data"),
        (lambda data: data.batches(4, on_error="ignore"), "on_error must be"),
        (lambda data: data.batches(4, shard=(0, 2)), "several|ranks"),
    ],
)
def test_misuse_is_refused_with_what_to_do(frame, use, message):
    with pytest.raises(ConfigError, match=message):
        use(dataset(frame))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": {}}, "inputs is a dict"),
        ({"inputs": rl.Column("age")}, "inputs is a dict"),
        ({"inputs": {"age": "age"}}, r"input 'age' must say how it is read, not be 'age': write rl.Images"),
        ({"inputs": {3: rl.Column("age")}}, "an input is named by text, not by 3"),
        ({"target": "label"}, r"the target must say how it is read, not be 'label': write rl.Labels\('label'\)"),
        ({"key": "object"}, "no column 'object'. Did you mean 'object_id'"),
        ({"missing": "skip"}, "missing must be 'raise' or 'drop'"),
        ({"sample_weight": "weight"}, "no column 'weight'"),
        ({"inputs": {"i": rl.Images("imgpath", size=(8, 8))}}, "no column 'imgpath'"),
    ],
)
def test_a_dataset_that_cannot_be_is_refused_before_anything_is_read(frame, arguments, message):
    with pytest.raises(ConfigError, match=message):
        rl.Dataset(frame, **{"inputs": {"age": rl.Column("age")}, **arguments})


@pytest.mark.parametrize("frame", [[1, 2], {"a": [1]}, None, np.zeros((2, 2))])
def test_what_is_not_a_frame_is_refused(frame):
    with pytest.raises(ConfigError, match="must be a pandas, polars or Arrow frame"):
        rl.Dataset(frame, {"x": rl.Column("a")})


def test_later_changes_to_the_frame_have_no_effect(frame):
    data, before = dataset(frame), frame.copy()
    expected = [part.keys.tolist() for part in dataset(before).split(0.5, 0.5, stratify="label", seed=1)]
    frame.loc[:, "age"] = -1.0
    frame.iloc[3, frame.columns.get_loc("label")] = "cow"
    frame["price"] *= 0
    del frame["object_id"]
    assert ages(data) == before["age"].tolist()
    assert [part.keys.tolist() for part in data.split(0.5, 0.5, stratify="label", seed=1)] == expected
    assert data.frame.equals(before)
    assert (
        data.batches(2, weights="price").plan.sampled_by == dataset(before).batches(2, weights="price").plan.sampled_by
    )


@pytest.mark.parametrize("empty", [pd.DataFrame({"age": []}), pl.DataFrame({"age": []}), pa.table({"age": []})])
def test_an_empty_frame_is_refused(empty):
    with pytest.raises(ConfigError, match=r"the table has no rows \(columns: 'age'\)"):
        rl.Dataset(empty, {"age": rl.Column("age")})


def test_two_columns_of_one_name_are_refused(frame):
    with pytest.raises(ConfigError, match="two columns of one name"):
        rl.Dataset(pd.concat([frame, frame], axis=1), {"age": rl.Column("age")})


def test_a_frame_of_one_row_trains_but_cannot_be_split(frame):
    data = dataset(frame.iloc[:1])
    assert [batch.keys.tolist() for batch in data.batches(64)] == [["a00"]]
    with pytest.raises(ConfigError, match="would be empty"):
        data.split(0.8, 0.1, 0.1)


def test_a_missing_store_is_said_with_its_address(frame, tmp_path):
    with pytest.raises(StoreNotFoundError, match=r"nothing.zarr"):
        rl.Dataset(frame, {"f": rl.Features(tmp_path / "nothing.zarr")}, key="object_id")
