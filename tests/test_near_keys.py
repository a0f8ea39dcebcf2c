"""A key that is missed by what nobody sees: the message says so, and keys are matched exactly all the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import MissingKeysError

PAIRS = [
    ("a1", "a1 ", "spaces at its ends"),
    (" a1", "a1", "spaces at its ends"),
    ("a1\n", "a1", "spaces at its ends"),
    ("cat_7", "CAT_7", "case"),
    ("CAT.0", "cat.0", "case"),
    ("Cat_7 ", "cat_7", "case and spaces at its ends"),
    ("caf\u00e9", "cafe\u0301", "Unicode's normal form (it is NFD)"),
    ("cafe\u0301", "caf\u00e9", "Unicode's normal form (it is NFC)"),
]


@pytest.mark.parametrize(("wanted", "stored", "how"), PAIRS)
@pytest.mark.parametrize("kind", ["store", "parquet"])
def test_a_missing_key_names_the_one_that_looks_like_it(tmp_path, wanted, stored, how, kind):
    keys, rows = ["other", stored], np.eye(2, dtype=np.float32)
    if kind == "store":
        rl.FeatureStore.write(tmp_path / "f.zarr", rows, keys=keys, key_name="key").close()
        source = tmp_path / "f.zarr"
    else:
        source = tmp_path / "f.parquet"
        pd.DataFrame({"key": keys, "a": rows[:, 0], "b": rows[:, 1]}).to_parquet(source)
    table = pd.DataFrame({"key": ["other", wanted]})
    with pytest.raises(MissingKeysError) as caught:
        rl.Dataset(table, {"f": rl.Features(str(source))}, key="key")
    assert f"Did you mean {stored!a} for {wanted!a}? It differs in {how}, and" in str(caught.value)
    data = rl.Dataset(table, {"f": rl.Features(str(source), missing="drop")}, key="key")
    assert data.keys.tolist() == ["other"]


def test_keys_that_are_like_no_other_get_no_hint(tmp_path):
    store = rl.FeatureStore.write(tmp_path / "f.zarr", np.eye(2, dtype=np.float32), keys=["a", "b"])
    for missing in (["x"], ["", "y"], ["\u00df"]):
        with pytest.raises(MissingKeysError) as caught:
            store.by_key(missing)
        assert "Did you mean" not in str(caught.value)


def test_whole_numbers_get_no_hint(tmp_path):
    store = rl.FeatureStore.write(tmp_path / "f.zarr", np.eye(2, dtype=np.float32), keys=[1, 2])
    with pytest.raises(MissingKeysError, match="1 of 1 keys are not in"):
        store.by_key([3])


def test_keys_that_differ_in_the_same_get_one_hint(tmp_path):
    keys = [f"k{number}" for number in range(1000)]
    store = rl.FeatureStore.write(tmp_path / "f.zarr", np.zeros((1000, 1), np.float32), keys=keys)
    with pytest.raises(MissingKeysError) as caught:
        store.by_key([key.upper() for key in keys])
    assert str(caught.value).count("Did you mean") == 1
    assert "Did you mean 'k0' for 'K0'? It differs in case, and" in str(caught.value)


def test_keys_that_differ_in_different_ways_get_a_hint_each(tmp_path):
    store = rl.FeatureStore.write(tmp_path / "f.zarr", np.zeros((3, 1), np.float32), keys=["a", "b", "c"])
    with pytest.raises(MissingKeysError) as caught:
        store.by_key(["A", "b ", "C"])
    text = str(caught.value)
    assert text.count("Did you mean") == 2
    assert text.index("'a' for 'A'") < text.index("'b' for 'b '")
