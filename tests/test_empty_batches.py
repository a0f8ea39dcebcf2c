"""A batch of no rows: every input gives an empty array of its shape and type, whatever it reads from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from PIL import Image

import rowlock as rl

NAMES = [f"k{i}" for i in range(20)]
WISHES = [
    ({}, (4,)),
    ({"columns": [2, 0]}, (2,)),
    ({"shape": (2, 2)}, (2, 2)),
    ({"dtype": "float64"}, (4,)),
    ({"standardize": "store"}, (4,)),
    ({"fill_missing": 0.0}, (4,)),
]


def numbered(num_rows, num_columns):
    return (np.arange(num_rows)[:, None] * 100 + np.arange(num_columns)).astype(np.float32)


@pytest.fixture
def frame():
    return pd.DataFrame({"id": NAMES, "age": np.arange(20.0), "words": [list(range(i % 4)) for i in range(20)]})


def require_empty(inputs, shapes, frame, key=None):
    """Gather nothing in every way that no rows can be written, and compare with a batch of rows."""
    data = rl.Dataset(frame, inputs, target=rl.Column("age"), sample_weight="age", key=key)
    some = data.gather([3, 1])
    for rows in ([], np.empty(0, np.int64), ()):
        batch = data.gather(rows)
        for name, shape in shapes.items():
            assert batch.inputs[name].shape == (0, *shape)
            assert batch.inputs[name].dtype == some.inputs[name].dtype
            assert some.inputs[name].shape == (2, *shape)
        assert (batch.target.shape, batch.sample_weight.shape, len(batch.keys), len(batch.rows)) == ((0,), (0,), 0, 0)


@pytest.mark.parametrize("layout", ["raw", "csr", "packed"])
@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("keys", [None, NAMES, list(range(20))], ids=["no keys", "text", "int"])
def test_no_rows_of_a_store_are_an_empty_batch(tmp_path, frame, layout, io, keys):
    path = tmp_path / "s.zarr"
    rl.FeatureStore.write(path, numbered(20, 4), keys=keys, layout=layout)
    frame["number"] = range(20)
    inputs = {str(i): rl.Features(path, io=io, **wish) for i, (wish, _) in enumerate(WISHES)}
    shapes = {str(i): shape for i, (_, shape) in enumerate(WISHES)}
    require_empty(inputs, shapes, frame, None if keys is None else "id" if keys is NAMES else "number")


@pytest.mark.parametrize(
    "make",
    [np.asarray, np.asfortranarray, scipy.sparse.csr_matrix, scipy.sparse.csc_array, lambda m: m.astype("int32")],
)
def test_no_rows_of_an_array_are_an_empty_batch(frame, make):
    inputs = {str(i): rl.Features(make(numbered(20, 4)), **wish) for i, (wish, _) in enumerate(WISHES)}
    require_empty(inputs, {str(i): shape for i, (_, shape) in enumerate(WISHES)}, frame)


def test_no_rows_of_pictures_tokens_and_columns_are_an_empty_batch(tmp_path, frame):
    for i in range(20):
        Image.fromarray(np.full((9, 9, 3), i, np.uint8)).save(tmp_path / f"{i}.png")
    paths = [str(tmp_path / f"{i}.png") for i in range(20)]
    frame["path"], frame["paths"] = paths, [paths[: i % 4] for i in range(20)]
    inputs = {
        "one": rl.Images("path", size=(5, 6)),
        "cached": rl.Images("path", size=(5, 6), cache=tmp_path / "cache"),
        "float": rl.Images("path", size=(5, 6), dtype="float32"),
        "changed": rl.Images("path", size=(5, 6), augment=rl.Augment(flip=0.5, crop=(0.5, 1.0))),
        "several": rl.Images("paths", size=(5, 6), num_images=3),
        "which": rl.ImagesMask("paths", num_images=3),
        "words": rl.Tokens("words", 4),
        "filled": rl.TokensMask("words", 4),
        "facts": rl.Columns(["age"], standardize=False),
    }
    picture = (5, 6, 3)
    shapes = dict.fromkeys(["one", "cached", "float", "changed"], picture)
    shapes |= {"several": (3, *picture), "which": (3,), "words": (4,), "filled": (4,), "facts": (1,)}
    require_empty(inputs, shapes, frame)
    data = rl.Dataset(frame, {"i": inputs["changed"], "f": rl.Features(numbered(20, 4))}, target=rl.Labels("id"))
    batch = data.gather([], draw=(0, 3))
    assert (batch.inputs["i"].shape, batch.target.shape, batch.epoch) == ((0, *picture), (0,), 3)


def test_no_rows_of_standardized_inputs_are_an_empty_batch(frame):
    inputs = {
        "f": rl.Features(numbered(20, 4), standardize=True, fill_missing="mean"),
        "c": rl.Columns(["age"], standardize=True),
    }
    train, valid = rl.Dataset(frame, inputs).split(0.8, 0.2, seed=0)
    train, valid = train.fit_statistics(valid)
    for part in (train, valid):
        assert {name: array.shape for name, array in part.gather([]).inputs.items()} == {"f": (0, 4), "c": (0, 1)}
