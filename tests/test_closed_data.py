"""What was closed is an error of whoever closed it, and never a bad row; what cannot be sent elsewhere says so."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, LoaderClosedError, StoreClosedError, StoreError

NUM_ROWS = 97
FEATURES = np.arange(NUM_ROWS * 3, dtype=np.float32).reshape(NUM_ROWS, 3) + 1


def stored(tmp_path):
    rl.FeatureStore.write(tmp_path / "f.zarr", FEATURES).close()
    return tmp_path / "f.zarr"


def dataset(source):
    frame = pd.DataFrame({"n": np.arange(NUM_ROWS)})
    return rl.Dataset(frame, {"f": rl.Features(source)}, target=rl.Column("n"))


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_a_closed_dataset_is_an_error_and_has_no_bad_rows(tmp_path, on_error):
    data = dataset(stored(tmp_path))
    loader = data.batches(16, on_error=on_error, max_bad=1.0)
    data.close()
    with pytest.raises(LoaderClosedError, match="the dataset was closed"):
        list(loader)
    assert loader.bad_rows == []
    assert loader.step == 0
    with pytest.raises(LoaderClosedError, match="the dataset was closed"):
        loader.batch(0)


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_closing_a_part_of_a_dataset_amid_an_epoch_masks_no_row_of_the_others(tmp_path, on_error):
    data = dataset(stored(tmp_path))
    train, valid = data.split(0.8, 0.2)
    with rl.Engine(num_threads=1, prefetch=0) as engine:
        loader = train.batches(16, on_error=on_error, max_bad=1.0, engine=engine)
        iterator = iter(loader)
        batch = next(iterator)
        assert np.array_equal(batch.inputs["f"], FEATURES[batch.target.astype(int)])
        valid.close()
        with pytest.raises(LoaderClosedError, match="the dataset was closed"):
            next(iterator)
    assert loader.bad_rows == []


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_a_store_that_its_owner_closed_is_an_error_and_has_no_bad_rows(tmp_path, on_error):
    store = rl.FeatureStore.open(stored(tmp_path))
    loader = dataset(store).batches(16, on_error=on_error, max_bad=1.0)
    store.close()
    with pytest.raises(StoreClosedError, match="was closed; open it again"):
        list(loader)
    assert loader.bad_rows == []
    assert issubclass(StoreClosedError, StoreError)


def test_what_lies_in_memory_can_still_be_read_when_a_dataset_is_closed():
    frame = pd.DataFrame({"n": np.arange(NUM_ROWS)})
    data = rl.Dataset(frame, {"n": rl.Columns(["n"])})
    data.close()
    assert data.gather(np.arange(3)).inputs["n"].tolist() == [[0], [1], [2]]


@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_dataset_or_loader_that_is_pickled_says_what_to_do_instead(tmp_path, send):
    data = dataset(stored(tmp_path))
    with pytest.raises(ConfigError, match="a dataset cannot be pickled.*make the dataset there"):
        send(data)
    with pytest.raises(ConfigError, match="a loader cannot be pickled.*in the other process"):
        send(data.batches(16))
