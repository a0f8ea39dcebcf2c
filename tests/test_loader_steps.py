"""Consumers that fetch further than they come: batches by number, and a state of what was used."""

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

NUM_ROWS, STEPS = 21, 6


def make(**options):
    frame = pd.DataFrame({"n": np.arange(NUM_ROWS)})
    return rl.Dataset(frame, {"n": rl.Columns(["n"])}, target=rl.Column("n")).batches(4, seed=3, **options)


def test_the_state_counts_what_was_used_and_not_what_was_fetched():
    loader = make()
    fetched = [loader.made(step) for step in range(9)]
    assert loader.step == loader.state_dict()["step"] == 0
    for made in fetched[:8]:
        loader.count(made)
        assert made.batch.rows.tolist() == loader.batch(made.batch.step).rows.tolist()
    assert (loader.step, loader.state_dict()["epoch"], loader.state_dict()["rows_delivered"]) == (8, 1, 8)
    assert next(iter(loader)).epoch == 2  # the epoch under way is given up, as after a break


def test_any_step_may_be_gone_to_and_iterating_goes_on_there():
    loader = make()
    loader.go_to(STEPS + 2)
    assert loader.goes_on
    assert [batch.step for batch in loader] == list(range(STEPS + 2, 2 * STEPS))
    loader.go_to(STEPS)
    assert not loader.goes_on
    with pytest.raises(ConfigError, match="step must be at least 0"):
        loader.go_to(-1)


def test_in_order_gives_every_row_once_in_the_dataset_s_order_and_fills_up():
    batches = list(make(last="drop").in_order(8))
    rows = np.concatenate([batch.rows for batch in batches])
    weights = np.concatenate([batch.sample_weight for batch in batches])
    assert rows[:NUM_ROWS].tolist() == list(range(NUM_ROWS))
    assert weights.tolist() == [1] * NUM_ROWS + [0] * 3


def test_values_stand_beside_their_keys_in_a_frame_of_the_same_kind():
    import polars as pl
    import pyarrow as pa

    for kind in (pd.DataFrame, pl.DataFrame, pa.table):
        frame = kind({"id": ["a", "b", "c"], "n": [1, 2, 3]})
        data = rl.Dataset(frame, {"n": rl.Columns(["n"])}, key="id").select([2, 0])
        told = data.frame_of({"p": np.array([0.5, 0.25])}, np.array([False, True]))
        assert isinstance(told, type(frame))
        values = told.to_pydict() if kind is pa.table else ({name: list(told[name]) for name in ("id", "p")})
        assert list(values["id"]) == ["c", "a"]
        assert values["p"][0] == 0.5
        assert pd.isna(values["p"][1])
