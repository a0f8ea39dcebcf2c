"""Columns as people have them: path objects, other byte orders, sparse ones, whole numbers as objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

import rowlock as rl
from rowlock.errors import ConfigError


@pytest.fixture
def photos(tmp_path):
    """Three pictures of one colour each: their numbers times ten."""
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (4, 4), (number * 10,) * 3).save(path)
    return paths


def polars_of(name, values):
    return pl.DataFrame({name: pl.Series(name, values, dtype=pl.Object)})


@pytest.mark.parametrize("frame_of", [lambda name, values: pd.DataFrame({name: values}), polars_of])
def test_path_objects_are_read_as_the_same_paths_as_text(photos, frame_of):
    data = rl.Dataset(frame_of("photo", photos), {"image": rl.Images("photo", size=(2, 2))})
    assert data.gather(np.arange(3)).inputs["image"][:, 0, 0, 0].tolist() == [0, 10, 20]
    text = rl.Dataset(
        pd.DataFrame({"photo": [str(path) for path in photos]}), {"image": rl.Images("photo", size=(2, 2))}
    )
    assert text.fingerprints == data.fingerprints


def test_path_objects_may_stand_beside_text_behind_many_rows(photos):
    paths = [str(photos[0])] * 200 + photos
    data = rl.Dataset(pd.DataFrame({"photo": paths}), {"image": rl.Images("photo", size=(2, 2))})
    assert data.gather(np.array([0, 201, 202])).inputs["image"][:, 0, 0, 0].tolist() == [0, 10, 20]


def test_lists_of_path_objects_are_pictures_of_a_row(photos):
    table = pd.DataFrame({"photos": [photos[:2], photos[2:], []]})
    data = rl.Dataset(table, {"image": rl.Images("photos", size=(2, 2), num_images=2)})
    assert data.gather(np.arange(3)).inputs["image"][:, :, 0, 0, 0].tolist() == [[0, 10], [20, 0], [0, 0]]


def test_rows_without_a_path_object_are_listed(photos):
    table = pd.DataFrame({"photo": [photos[0], None, photos[1], float("nan")]})
    with pytest.raises(ConfigError, match=r"2 rows \(1, 3\) of column 'photo' have no path"):
        rl.Dataset(table, {"image": rl.Images("photo", size=(2, 2))})


@pytest.mark.parametrize("values", [[1, 2], [1.5, "a"], [{"a": 1}, {"a": 2}], [object(), object()]])
def test_what_is_no_path_is_still_refused(values):
    with pytest.raises(ConfigError, match="column 'photo' must hold paths as text"):
        rl.Dataset(pd.DataFrame({"photo": pd.Series(values, dtype=object)}), {"image": rl.Images("photo", size=(2, 2))})


@pytest.mark.parametrize("dtype", [">f8", ">f4", ">i4", ">u2", "<f8"])
def test_numbers_of_either_byte_order_are_the_same_numbers(dtype):
    table = pd.DataFrame({"v": np.array([1, 2, 300], dtype), "label": np.array([5, 7, 5], dtype.replace("f", "i"))})
    data = rl.Dataset(table, {"x": rl.Columns(["v"])}, target=rl.Labels("label"))
    batch = data.gather(np.arange(3))
    assert batch.inputs["x"].tolist() == [[1], [2], [300]]
    assert batch.target.tolist() == [0, 1, 0]
    assert data.column("v").dtype == np.dtype(dtype)


@pytest.mark.parametrize("values", [[0.0, 1.5, 0.0], [0, 3, 0], [False, True, False]])
def test_sparse_columns_are_their_numbers(values):
    table = pd.DataFrame({"v": pd.arrays.SparseArray(values)}, index=[7, 8, 9])
    data = rl.Dataset(table, {"x": rl.Columns(["v"])}, target=rl.Column("v"))
    batch = data.gather(np.arange(3))
    assert batch.inputs["x"][:, 0].tolist() == batch.target.tolist() == values
    assert isinstance(data.column("v").dtype, pd.SparseDtype)


@pytest.mark.parametrize(
    "frame_of", [lambda name, values: pd.DataFrame({name: pd.Series(values, dtype=object)}), polars_of]
)
def test_whole_numbers_as_objects_are_labels_and_numbers(frame_of):
    table = frame_of("v", [7, 3, 7, 2**40])
    data = rl.Dataset(table, {"x": rl.Columns(["v"], dtype="int64")}, target=rl.Labels("v"))
    batch = data.gather(np.arange(4))
    assert (data.classes, batch.target.tolist()) == ((3, 7, 2**40), [1, 0, 1, 2])
    assert batch.inputs["x"][:, 0].tolist() == [7, 3, 7, 2**40]


@pytest.mark.parametrize("values", [[1, "a"], [1, True], [1, None], [1, 2**70], [1, 2.5]])
def test_objects_that_are_not_all_whole_numbers_are_no_labels(values):
    with pytest.raises(ConfigError, match="column 'v'"):
        rl.Dataset(pd.DataFrame({"v": pd.Series(values, dtype=object)}), {"x": rl.Labels("v")})
