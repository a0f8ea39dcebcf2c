"""Numbers that nothing can hold are refused where they are given, and with a word on what would do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

TABLE = pd.DataFrame({"n": np.arange(100.0), "path": ["a.png"] * 100})


@pytest.mark.parametrize("number", [1025, 10**6, 2**64])
def test_more_threads_than_any_machine_has_are_refused(number):
    with pytest.raises(ConfigError, match="num_threads must be at most 1,024"):
        rl.Engine(num_threads=number)
    rl.Engine(num_threads=1024).close()


@pytest.mark.parametrize("arguments", [(2**63, 64), (64, 2**63), (2**70, 1)])
def test_a_plan_of_more_rows_than_64_bits_count_is_refused(arguments):
    with pytest.raises(ConfigError, match="must be at most 4,611,686,018,427,387,904"):
        rl.Plan(*arguments)
    with pytest.raises(ConfigError, match=r"batch_size \* world_size must be at most"):
        rl.Plan(10, 2**61, world_size=4, last="pad")


def test_the_largest_plan_has_its_rows():
    plan = rl.Plan(2**62, 64)
    assert len(set(plan.rows(5).tolist())) == 64
    assert len(plan.rows(plan.steps_per_epoch - 1)) == 64


@pytest.mark.parametrize(
    ("value", "dtype"), [(2**63, "int64"), (2**64, "int64"), (2**64, "uint64"), (-(2**70), "int64")]
)
def test_tokens_beyond_64_bits_are_refused(value, dtype):
    with pytest.raises(ConfigError, match="column 't'"):
        rl.Dataset(pd.DataFrame({"t": [[1, value], [3]]}), {"t": rl.Tokens("t", 3, dtype=dtype)})


def test_tokens_of_64_bits_without_sign_are_what_they_were():
    data = rl.Dataset(pd.DataFrame({"t": [[1, 2**63], [3]]}), {"t": rl.Tokens("t", 3, dtype="uint64")})
    assert data.gather(np.arange(2)).inputs["t"].tolist() == [[1, 2**63, 0], [3, 0, 0]]


def test_pictures_that_no_memory_holds_are_refused_when_the_dataset_is_made():
    with pytest.raises(ConfigError, match="one row of 'image' takes 3,000,000,000,000 bytes"):
        rl.Dataset(TABLE, {"image": rl.Images("path", size=(10**6, 10**6))})


def test_batches_that_the_memory_budget_does_not_hold_are_refused_when_they_are_asked_for():
    data = rl.Dataset(TABLE, {"image": rl.Images("path", size=(10, 10))})
    with rl.Engine(memory_budget=4 * 300) as engine:
        with pytest.raises(ConfigError, match="one batch takes 1,500 bytes, more than the memory budget of 1,200"):
            data.batches(5, engine=engine)
        assert len(data.batches(4, engine=engine)) == 25
        with pytest.raises(ConfigError, match="one batch takes 30,000 bytes"):
            data.batches(1000, engine=engine)
        few = data.select(np.arange(4))
        assert len(few.batches(1000, engine=engine)) == 1
        with pytest.raises(ConfigError, match="one batch takes"):
            few.batches(1000, engine=engine, last="pad")


@pytest.mark.adapter
@pytest.mark.parametrize("sharding", [3, "data", {"n": None}, [1, 2]])
def test_what_is_no_sharding_of_jax_is_refused(sharding):
    pytest.importorskip("jax")
    loader = rl.Dataset(TABLE, {"n": rl.Columns(["n"])}).batches(10)
    with pytest.raises(ConfigError, match="sharding is a jax.sharding.Sharding"):
        loader.to_jax(sharding=sharding)
