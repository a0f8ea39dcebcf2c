"""Infinite numbers and negative weights are refused where the dataset is made, with the rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError


def frame(**columns):
    return pd.DataFrame({"n": np.arange(4.0), **columns})


@pytest.mark.parametrize("value", [-1.0, np.inf, -np.inf, np.nan])
def test_a_sample_weight_that_is_negative_or_not_finite_is_refused_as_weights_are(value):
    table = frame(w=[1.0, 0.0, value, 2.0])
    with pytest.raises(ConfigError, match=r"column 'w'.*2"):
        rl.Dataset(table, {"n": rl.Columns(["n"])}, sample_weight="w")
    with pytest.raises(ConfigError, match=r"column 'w'.*2"):
        rl.Dataset(table, {"n": rl.Columns(["n"])}).batches(2, weights="w")


def test_weights_of_zero_and_above_come_as_they_are():
    data = rl.Dataset(frame(w=[1.0, 0.0, 0.5, 2.0]), {"n": rl.Columns(["n"])}, sample_weight="w")
    assert data.gather(np.arange(4)).sample_weight.tolist() == [1.0, 0.0, 0.5, 2.0]


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("more", [{}, {"standardize": True}, {"fill_missing": 0.0}])
def test_infinite_numbers_of_columns_are_refused_with_their_rows(value, more):
    with pytest.raises(ConfigError, match=r"'x': column 'v' holds -?inf in row 1, the first of 2 .*rows 1, 3"):
        rl.Dataset(frame(v=[0.0, value, 2.0, value]), {"x": rl.Columns(["n", "v"], **more)})


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_target_is_refused(value):
    with pytest.raises(ConfigError, match="column 'v' holds -?inf in row 3"):
        rl.Dataset(frame(v=[0.0, 1.0, 2.0, value]), {"n": rl.Columns(["n"])}, target=rl.Column("v"))


def test_an_infinite_number_in_a_table_file_is_refused(tmp_path):
    frame(v=[0.0, np.inf, 2.0, 3.0]).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match="column 'v' holds inf in row 1"):
        rl.Dataset(tmp_path / "t.parquet", {"n": rl.Columns(["n"])}, target=rl.Column("v", dtype="float64"))


def test_a_dict_without_targets_is_refused():
    with pytest.raises(ConfigError, match="names no target"):
        rl.Dataset(frame(), {"n": rl.Columns(["n"])}, target={})
