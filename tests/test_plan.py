import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.errors import ConfigError
from rowlock.orders import FrameOrder, Permutation
from rowlock.plan import Place, Plan

sizes = st.integers(1, 120)
batches = st.integers(1, 17)
ranks = st.integers(1, 4)


def epoch_rows(plan, epoch):
    first, stop = plan.first_step(epoch), plan.first_step(epoch + 1)
    return [plan.rows(step) for step in range(first, stop)]


@given(sizes, batches, st.booleans(), st.integers(), st.integers(0, 5))
def test_an_epoch_has_every_row_once(num_rows, batch_size, shuffle, seed, epoch):
    plan = Plan(num_rows, batch_size, shuffle=shuffle, seed=seed)
    rows = epoch_rows(plan, epoch)
    assert sorted(np.concatenate(rows).tolist()) == list(range(num_rows))
    assert len(rows) == plan.steps_per_epoch
    assert {len(batch) for batch in rows[:-1]} <= {batch_size}


@given(sizes, batches, st.integers(0, 50))
def test_rows_need_no_history(num_rows, batch_size, step):
    plan = Plan(num_rows, batch_size, seed=3)
    first = plan.rows(step)
    for other in (0, step + 7, step):
        plan.rows(other)
    assert np.array_equal(first, plan.rows(step))
    assert np.array_equal(first, pickle.loads(pickle.dumps(plan)).rows(step))


@given(sizes, batches, ranks, st.sampled_from(["drop", "pad"]), st.integers(0, 3))
def test_ranks_share_an_epoch_in_equal_steps_of_equal_shape(num_rows, batch_size, world_size, last, epoch):
    if last == "drop" and num_rows < batch_size * world_size:
        return
    plans = [Plan(num_rows, batch_size, seed=1, last=last, rank=r, world_size=world_size) for r in range(world_size)]
    steps = [epoch_rows(plan, epoch) for plan in plans]
    assert {len(rows) for rows in steps} == {plans[0].steps_per_epoch}
    assert {len(batch) for rows in steps for batch in rows} <= {batch_size}
    real = [
        row
        for plan, rows in zip(plans, steps, strict=True)
        for step, batch in enumerate(rows, plan.first_step(epoch))
        for row in batch[: len(batch) - plan.num_padded(step)].tolist()
    ]
    assert len(real) == len(set(real))
    left_out = num_rows % (batch_size * world_size) if last == "drop" else 0
    assert len(real) == num_rows - left_out
    ends = plans[0].first_step(epoch), plans[0].first_step(epoch + 1)
    assert all(plan.num_rows_between(*ends) == sum(map(len, rows)) for plan, rows in zip(plans, steps, strict=True))


@given(sizes, st.integers(0, 5), st.sampled_from([(12, 1), (6, 2), (4, 3), (3, 4)]))
def test_a_global_batch_does_not_depend_on_how_many_ranks_share_it(num_rows, step, geometry):
    batch_size, world_size = geometry
    whole = Plan(num_rows, 12, seed=4, last="pad").rows(step)
    parts = [Plan(num_rows, batch_size, seed=4, last="pad", rank=r, world_size=world_size) for r in range(world_size)]
    assert np.array_equal(whole, np.concatenate([plan.rows(step) for plan in parts]))


@given(sizes, batches, st.integers(0, 60))
def test_place_and_first_step_agree(num_rows, batch_size, step):
    plan = Plan(num_rows, batch_size)
    epoch, position = plan.place(step)
    assert plan.first_step(epoch) <= step < plan.first_step(epoch + 1)
    assert position == (step - plan.first_step(epoch)) * batch_size


@given(sizes, batches, batches, st.data())
def test_a_run_goes_on_with_the_same_remaining_rows_in_another_geometry(num_rows, batch_size, other_size, data):
    plan = Plan(num_rows, batch_size, seed=9)
    done = data.draw(st.integers(0, plan.steps_per_epoch - 1))
    left = np.concatenate(epoch_rows(plan, 0)[done:])
    other = Plan(num_rows, other_size, seed=9, start=Place(0, done * batch_size))
    assert np.array_equal(np.concatenate(epoch_rows(other, 0)), left)
    assert np.array_equal(np.concatenate(epoch_rows(other, 1)), np.concatenate(epoch_rows(plan, 1)))


def test_without_shuffling_every_epoch_is_the_order_of_the_frame():
    plan = Plan(10, 4, shuffle=False)
    assert [rows.tolist() for rows in epoch_rows(plan, 0)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [rows.tolist() for rows in epoch_rows(plan, 5)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


MEMORY_OF_A_BATCH = """
import tracemalloc
from rowlock.plan import Plan
plan = Plan(10**9, 64, seed=1)
plan.rows(0)
tracemalloc.start()
rows = plan.rows(10**6)
print(tracemalloc.get_traced_memory()[1], len(set(rows.tolist())))
"""


def test_the_first_batch_of_a_thousand_million_rows_takes_no_memory():
    """In a process of its own: what is counted is what all threads take."""
    command = [sys.executable, "-c", MEMORY_OF_A_BATCH]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    peak_bytes, num_rows = map(int, told.split())
    assert peak_bytes < 100_000
    assert num_rows == 64


def test_an_ordinary_plan_is_a_permutation_or_the_order_of_the_frame():
    assert (Plan(10, 4).order, Plan(10, 4).algorithm, Plan(10, 4).sampled_by) == (Permutation(10), "feistel-1", "")
    assert (Plan(10, 4, shuffle=False).order, Plan(10, 4, shuffle=False).algorithm) == (FrameOrder(10), "frame")


def test_draws_name_seed_and_epoch_only_where_augmentation_is_on():
    assert Plan(10, 4, seed=3, augment=True).draw(4) == (3, 1)
    assert Plan(10, 4, seed=3).draw(4) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"batch_size": 2.5}, "batch_size must be an integer, not 2.5"),
        ({"seed": None}, "seed must be an integer"),
        ({"last": "none"}, "last must be 'keep', 'drop' or 'pad', not 'none'"),
        ({"rank": 2, "world_size": 2, "last": "drop"}, "rank 2 is not one of 2 ranks"),
        ({"world_size": 2}, "last='keep' would give the 2 ranks different numbers of steps"),
        ({"batch_size": 64, "last": "drop"}, r"larger than the data \(10 rows\)"),
    ],
)
def test_wrong_numbers_are_refused_with_what_to_do(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**{"num_rows": 10, "batch_size": 4, **arguments})
