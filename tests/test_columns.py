import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

FRAMES = [pd.DataFrame, pl.DataFrame, pa.table]


def values_of(frame, what):
    return rl.Dataset(frame, {"x": what}).gather(np.arange(len(frame))).inputs["x"]


@pytest.mark.parametrize("make", FRAMES, ids=["pandas", "polars", "arrow"])
def test_numbers_and_labels_are_read_alike_from_every_kind_of_frame(make):
    frame = make({"age": [3, 1, 2], "weight": [0.5, 1.5, 2.5], "label": ["b", "a", "b"], "wild": [True, False, True]})
    labels = rl.Labels("label")
    batch = rl.Dataset(
        frame,
        {"facts": rl.Columns(["weight", "age", "wild"])},
        target={"what": labels, "how much": rl.Column("weight")},
    ).gather(np.array([2, 0, 1]))
    assert batch.inputs["facts"].tolist() == [[2.5, 2, 1], [0.5, 3, 1], [1.5, 1, 0]]
    assert batch.inputs["facts"].dtype == np.float32
    assert batch.target["what"].tolist() == [1, 1, 0]
    assert batch.target["what"].dtype == np.int32
    assert batch.target["how much"].tolist() == [2.5, 0.5, 1.5]
    assert labels.classes == ("a", "b")


def test_labels_number_a_second_frame_alike_and_refuse_a_new_class(frame):
    labels = rl.Labels("label")
    rl.Dataset(frame, {"x": rl.Column("age")}, target=labels)
    second = rl.Dataset(frame.iloc[1:2], {"x": rl.Column("age")}, target=labels)
    assert second.gather(np.array([0])).target.tolist() == [1]
    strange = frame.assign(label="dogg")
    with pytest.raises(
        ConfigError, match=r"holds 'dogg' .* not among its classes \['cat', 'dog'\]. Did you mean 'dog'"
    ):
        rl.Dataset(strange, {"x": rl.Column("age")}, target=labels)


def test_classes_may_be_given_in_their_order(frame):
    data = rl.Dataset(frame, {"x": rl.Column("age")}, target=rl.Labels("label", classes=["dog", "cat"]))
    assert data.classes == ("dog", "cat")
    assert data.gather(np.array([0, 1])).target.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("series", "classes"),
    [
        (pd.Series(["x", "y", "x"], dtype="category"), ("x", "y")),
        (pd.Series([7, -1, 7], dtype="Int64"), (-1, 7)),
        (pd.Series([True, False, True]), (False, True)),
        (pd.Series(["x", "y", "x"], dtype=object), ("x", "y")),
    ],
    ids=["categories", "integers", "booleans", "text"],
)
def test_labels_may_be_text_categories_integers_and_booleans(series, classes):
    labels = rl.Labels("label")
    values = values_of(pd.DataFrame({"label": series}), labels)
    assert labels.classes == classes
    assert [classes[number] for number in values] == series.tolist()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (rl.Column("agee"), r"has no column 'agee'. Did you mean 'age'\?"),
        (rl.Column("label"), r"column 'label' must hold numbers.*rl.Categories\('label'\)"),
        (rl.Column("holes"), r"column 'holes' has 2 missing value\(s\), the first in row\(s\) 0, 2"),
        (rl.Labels("gaps"), r"column 'gaps' has 1 missing value\(s\), the first in row\(s\) 1"),
        (rl.Labels("age"), "labels must be text, integers or booleans.*use rl.Column"),
        (rl.Column("huge"), "holds .*1e\\+300.* in row 1, which float32 cannot hold"),
        (rl.Column("age", dtype="int8"), "which int8 cannot hold"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused_with_the_reason_and_the_cure(what, message):
    frame = pd.DataFrame(
        {
            "age": [1.0, 2.5, 300.0],
            "label": ["a", "b", "c"],
            "holes": [np.nan, 1, None],
            "gaps": ["a", None, "b"],
            "huge": [0, 1e300, 2],
        }
    )
    with pytest.raises(ConfigError, match=message):
        rl.Dataset(frame, {"x": what})


@pytest.mark.parametrize("columns", ["age", [], ["age", "age"]])
def test_columns_wants_a_list_of_different_names(columns):
    with pytest.raises(ConfigError):
        rl.Columns(columns)


def test_a_frame_changed_later_changes_nothing(frame):
    data = rl.Dataset(frame, {"x": rl.Column("age")}, target=rl.Labels("label"), key="object_id")
    frame["age"] = -1.0
    frame.loc[:, "label"] = "dog"
    batch = data.gather(np.array([4]))
    assert (batch.inputs["x"][0], batch.target[0], batch.keys[0]) == (40.0, 0, "a04")
    assert data.split(0.5, 0.5, stratify="label")[0].frame["label"].tolist().count("cat") in (2, 3)
