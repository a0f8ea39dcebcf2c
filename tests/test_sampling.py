import hashlib
import itertools
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.errors import ConfigError, StateError
from rowlock.orders import Balanced, FrameOrder, Permutation, Weighted
from rowlock.permutation import permute
from rowlock.plan import Plan

GOLD = 0x9E3779B97F4A7C15
GOLDEN = Path(__file__).parent / "golden"
BALANCED = json.loads((GOLDEN / "balanced-1.json").read_text())
WEIGHTED = json.loads((GOLDEN / "weighted-1.json").read_text())

class_sizes = st.lists(st.integers(1, 90), min_size=1, max_size=7)
some_weights = st.lists(st.integers(0, 20) | st.floats(0, 1e3), min_size=1, max_size=60).filter(any)


def codes_of(sizes, *, seed=0):
    codes = np.repeat(np.arange(len(sizes)), sizes)
    return codes[permute(np.arange(len(codes)), len(codes), seed, 0)]


def epoch(order, seed, number):
    return order.rows(np.arange(order.num_rows), seed, number)


# what the descriptions say, in plain Python


def mix(value):
    value %= 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def words(text, num_words):
    digest = hashlib.shake_256(text.encode()).digest(8 * num_words)
    return [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(num_words)]


def slowly_shuffled(place, size, state):
    if size <= 64:
        return sum(mix(state + GOLD * i) < mix(state + GOLD * place) for i in range(size))
    keys = [mix(state + GOLD * (i + 1)) for i in range(8)]
    bits = max(8, (size - 1).bit_length())
    low_bits = bits // 2
    value = place
    while True:
        low, high = value % 2**low_bits, value >> low_bits
        for i, key in enumerate(keys):
            if i % 2 == 0:
                low ^= mix(high + key) % 2**low_bits
            else:
                high ^= mix(low + key) % 2 ** (bits - low_bits)
        value = (high << low_bits) | low
        if value < size:
            return value


def slowly_balanced(position, codes, seed, number):
    classes = sorted(set(codes))
    num_rows, num_classes = len(codes), len(classes)
    k0, k1, k2 = words(f"rowlock balanced-1 {seed} {num_rows} {num_classes}", 3)
    num_blocks, rest = divmod(num_rows, num_classes)

    def left_over(e):
        return [(e * rest + i) % num_classes for i in range(rest)]

    block, place = divmod(position, num_classes)
    if block < num_blocks:
        chosen = slowly_shuffled(place, num_classes, mix(k0 + GOLD * (number * num_blocks + block)))
    else:
        chosen = left_over(number)[slowly_shuffled(place, rest, mix(k1 + GOLD * number))]
    draw = number * num_blocks + block + sum(chosen in left_over(e) for e in range(number))
    members = [row for row, code in enumerate(codes) if code == classes[chosen]]
    cycle, within = divmod(draw, len(members))
    return members[slowly_shuffled(within, len(members), mix(mix(k2 + GOLD * chosen) + GOLD * cycle))]


def slowly_weighted(position, weights, seed, number):
    num_rows = len(weights)
    k0, k1 = words(f"rowlock weighted-1 {seed} {num_rows}", 2)
    unit = int(permute(np.array([position]), num_rows, seed, number)[0])
    turn = sum(2.0 ** -(i + 1) for i in range(64) if number >> i & 1)
    within = (mix(mix(k0 + GOLD * unit) + k1) >> 11) / 2**53 + turn
    point = unit + (within - 1 if within >= 1 else within)
    sums = list(itertools.accumulate(weight / max(weights) for weight in weights))
    last = max(row for row, weight in enumerate(weights) if weight > 0)
    ends = [num_rows if row >= last else min(num_rows, end * (num_rows / sums[-1])) for row, end in enumerate(sums)]
    return min(last, sum(end <= point for end in ends))


@pytest.mark.parametrize(
    "case", BALANCED, ids=lambda case: f"{len(case['codes'])} rows, {case['seed']}, {case['epoch']}"
)
def test_the_balanced_order_never_changes_under_its_name(case):
    order = Balanced.of(np.array([int(code) for code in case["codes"]]))
    assert order.algorithm == "balanced-1"
    assert order.fingerprint == case["fingerprint"]
    assert order.rows(np.array(case["positions"]), case["seed"], case["epoch"]).tolist() == case["rows"]


@pytest.mark.parametrize(
    "case", WEIGHTED, ids=lambda case: f"{len(case['weights'])} rows, {case['seed']}, {case['epoch']}"
)
def test_the_weighted_order_never_changes_under_its_name(case):
    order = Weighted.of(np.array(case["weights"], float))
    assert order.algorithm == "weighted-1"
    assert order.fingerprint == case["fingerprint"]
    assert order.rows(np.array(case["positions"]), case["seed"], case["epoch"]).tolist() == case["rows"]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=300), st.integers(-5, 5), st.integers(0, 9), st.data())
def test_the_balanced_kernel_does_what_the_description_says(codes, seed, number, data):
    positions = data.draw(st.lists(st.integers(0, len(codes) - 1), min_size=1, max_size=5))
    rows = Balanced.of(np.array(codes)).rows(np.array(positions), seed, number)
    assert rows.tolist() == [slowly_balanced(position, codes, seed, number) for position in positions]


@given(some_weights, st.integers(-5, 5), st.integers(0, 2**40), st.data())
def test_the_weighted_kernel_does_what_the_description_says(weights, seed, number, data):
    positions = data.draw(st.lists(st.integers(0, len(weights) - 1), min_size=1, max_size=5))
    rows = Weighted.of(np.array(weights, float)).rows(np.array(positions), seed, number)
    assert rows.tolist() == [slowly_weighted(position, weights, seed, number) for position in positions]


# balanced


@given(class_sizes, st.integers(0, 9), st.integers(1, 12))
def test_classes_come_equally_often_within_one_in_any_number_of_epochs(sizes, seed, num_epochs):
    codes = codes_of(sizes)
    order = Balanced.of(codes)
    for first in (0, 5):
        rows = np.concatenate([epoch(order, seed, first + number) for number in range(num_epochs)])
        counts = np.bincount(codes[rows], minlength=len(sizes))
        assert counts.sum() == len(codes) * num_epochs
        assert counts.max() - counts.min() <= 1


@given(class_sizes, st.integers(0, 9))
def test_every_row_of_a_class_comes_before_any_comes_again_whatever_the_epoch(sizes, seed):
    codes = codes_of(sizes)
    order = Balanced.of(codes)
    num_epochs = 3 + 2 * max(sizes) * len(sizes) // len(codes)
    drawn = np.concatenate([epoch(order, seed, number) for number in range(num_epochs)])
    for code, size in enumerate(sizes):
        of_class = drawn[codes[drawn] == code]
        assert len(of_class) >= 2 * size
        for first in range(0, len(of_class) - size + 1, size):
            assert len(set(of_class[first : first + size].tolist())) == size


@given(
    class_sizes,
    st.integers(1, 40),
    st.sampled_from([(1, "keep"), (1, "drop"), (2, "drop"), (3, "pad"), (1, "pad")]),
    st.integers(0, 4),
)
def test_classes_differ_by_two_at_most_in_the_batch_of_any_rank(sizes, batch_size, geometry, number):
    world_size, last = geometry
    codes = codes_of(sizes)
    if last == "drop" and batch_size * world_size > len(codes):
        return
    for rank in range(world_size):
        plan = Plan(
            len(codes), batch_size, seed=3, last=last, rank=rank, world_size=world_size, sampling=Balanced.of(codes)
        )
        for step in range(plan.first_step(number), plan.first_step(number + 1)):
            rows = plan.rows(step)
            real = rows[: len(rows) - plan.num_padded(step)]
            counts = np.bincount(codes[real], minlength=len(sizes))
            assert counts.max() - counts.min() <= 2


def test_two_hundred_thousand_rows_of_one_class_in_a_thousand_are_balanced_exactly():
    num_rows = 200_000
    codes = (np.arange(num_rows) % 1000 == 17).astype(int)
    order = Balanced.of(codes)
    first, second = epoch(order, 1, 0), epoch(order, 1, 1)
    rare = np.bincount(first[codes[first] == 1], minlength=num_rows)[codes == 1]
    assert rare.tolist() == [500] * 200
    common = np.concatenate([first[codes[first] == 0], second[codes[second] == 0]])
    assert np.bincount(common[: num_rows - 200], minlength=num_rows)[codes == 0].tolist() == [1] * (num_rows - 200)


def chi_square_is_plausible(count, freedom):
    expected = count.sum() / count.size
    return abs(((count - expected) ** 2 / expected).sum() - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("num_classes", [5, 70])
def test_every_class_is_equally_likely_at_every_place_of_a_block(num_classes):
    codes = np.arange(num_classes).repeat(40)
    count = np.zeros((num_classes, num_classes))
    for number in range(50):
        drawn = codes[epoch(Balanced.of(codes), 4, number)].reshape(-1, num_classes)
        np.add.at(count, (np.arange(num_classes), drawn), 1)
    assert chi_square_is_plausible(count, (num_classes - 1) ** 2)


@pytest.mark.parametrize("size", [5, 64, 65, 100])
def test_every_row_is_equally_likely_at_every_place_of_a_cycle(size):
    order = Balanced.of(np.zeros(size))  # one class: an epoch is a cycle
    count = np.zeros((size, size))
    for number in range(2000):
        count[np.arange(size), epoch(order, 4, number)] += 1
    assert chi_square_is_plausible(count, (size - 1) ** 2)


def test_every_order_of_three_rows_is_equally_likely_in_a_cycle():
    count = dict.fromkeys(itertools.permutations(range(3)), 0)
    for number in range(12_000):
        count[tuple(epoch(Balanced.of(np.zeros(3)), 4, number).tolist())] += 1
    assert chi_square_is_plausible(np.array(list(count.values())), 5)


# weighted


@given(some_weights, st.integers(0, 9), st.integers(0, 20))
def test_no_count_is_two_or_more_away_from_its_share_of_an_epoch(weights, seed, number):
    weights = np.array(weights, float)
    share = weights / weights.sum() * len(weights)
    count = np.bincount(epoch(Weighted.of(weights), seed, number), minlength=len(weights))
    assert count.sum() == len(weights)
    assert np.abs(count - share).max() < 2 + 1e-9
    assert not count[weights == 0].any()


@settings(max_examples=20)
@given(some_weights, st.integers(0, 5), st.integers(0, 4))
def test_nor_from_its_share_of_a_power_of_two_epochs(weights, power, block):
    weights = np.array(weights, float)
    order, num_epochs = Weighted.of(weights), 2**power
    rows = [epoch(order, 1, number) for number in range(block * num_epochs, (block + 1) * num_epochs)]
    count = np.bincount(np.concatenate(rows), minlength=len(weights))
    assert np.abs(count - weights / weights.sum() * len(weights) * num_epochs).max() < 2 + 1e-6


@pytest.mark.parametrize("weight", [1, 0.1, 1e-320, 1e308])
def test_equal_weights_give_every_row_once_an_epoch(weight):
    order = Weighted.of(np.full(1000, weight))
    assert np.array_equal(np.sort(epoch(order, 2, 7)), np.arange(1000))
    assert not np.array_equal(epoch(order, 2, 7), np.arange(1000))


def test_rows_are_drawn_in_proportion_over_seeds():
    weights = np.array([0.0, 1, 2, 3, 10, 0.25, 0, 0.5, 40, 0.125] * 3)
    share = weights / weights.sum() * len(weights)
    num_seeds = 20_000
    count = np.zeros(len(weights))
    for seed in range(num_seeds):
        count += np.bincount(epoch(Weighted.of(weights), seed, 3), minlength=len(weights))
    # chance moves at most two units a row, each by a coin: a variance of 1/2 at most an epoch
    assert np.abs(count - num_seeds * share).max() < 5 * math.sqrt(num_seeds / 2)
    drawn = share > 0
    chi_square = ((count - num_seeds * share)[drawn] ** 2 / (num_seeds * share[drawn])).sum()
    assert chi_square < drawn.sum() + 5 * math.sqrt(2 * drawn.sum())
    assert not count[~drawn].any()


def test_a_pattern_in_the_frame_is_no_pattern_in_an_epoch():
    counts = [np.bincount(epoch(Weighted.of(np.tile([3.0, 1.0], 5000)), 6, e), minlength=10_000) for e in range(4)]
    halves = [count[0::2].sum() for count in counts]
    assert all(abs(half - 7500) < 5 * math.sqrt(10_000) / 2 for half in halves)
    assert np.array_equal(sum(counts), np.tile([6, 2], 5000))


def test_one_row_of_all_the_weight_is_every_draw_and_a_crowd_of_light_rows_is_searched():
    weights = np.full(100_000, 1e-9)
    weights[77_777] = 1e9
    order = Weighted.of(weights)
    assert set(epoch(order, 1, 0).tolist()) == {77_777}
    weights[77_777] = 1e-4  # as much as all others together
    rows = epoch(Weighted.of(weights), 1, 0)
    assert abs((rows == 77_777).sum() - 50_000) < 2
    assert len(set(rows.tolist())) > 25_000


def test_a_point_that_rounding_lifts_to_the_end_of_the_line_draws_no_row_of_weight_zero():
    from rowlock.orders import kernels

    order = Weighted.of(np.array([1.0, 2.0, 0.0, 0.0]))
    keys, rows = np.array([5, 9], np.uint64), np.empty(1, np.int64)
    start = (mix(mix(5 + GOLD * 3) + 9) >> 11) / 2**53
    assert 3 + (1 - 2.0**-53) == 4.0
    kernels.weighted(np.array([3]), (1 - 2.0**-53) - start, order._ends, order._hints, keys, rows)
    assert rows.tolist() == [1]


# quality of both


def orders():
    rng = np.random.default_rng(8)
    return [Balanced.of(codes_of([30, 70, 400])), Weighted.of(rng.gamma(1.0, size=500))]


@pytest.mark.parametrize("order", orders(), ids=lambda order: order.algorithm)
def test_no_two_of_ten_thousand_seeds_and_epochs_give_the_same_sampled_order(order):
    assert len({epoch(order, s, e).tobytes() for s in range(100) for e in range(100)}) == 10_000


@pytest.mark.parametrize("order", orders(), ids=lambda order: order.algorithm)
@pytest.mark.parametrize(("seeds", "epochs"), [(0, 1), (1, 0)], ids=["epochs", "seeds"])
def test_neighbouring_sampled_orders_are_not_correlated(order, seeds, epochs):
    found = [
        np.corrcoef(epoch(order, 2 + k * seeds, k * epochs), epoch(order, 2 + (k + 1) * seeds, (k + 1) * epochs))[0, 1]
        for k in range(400)
    ]
    assert abs(np.mean(found)) < 5 / math.sqrt(500 * 400)
    assert np.std(found) < 1.2 / math.sqrt(500)


@pytest.mark.parametrize("order", [*orders(), Permutation(500), FrameOrder(500)], ids=lambda order: order.algorithm)
def test_an_order_is_a_small_plain_value_that_needs_no_history(order):
    again = pickle.loads(pickle.dumps(order))
    assert again == order
    assert hash(again) == hash(order)
    assert len(repr(order)) < 120
    whole = epoch(order, 5, 3)
    for position in (499, 0, 250, 250):
        assert again.rows(np.array([position]), 5, 3).tolist() == [whole[position]]


def test_orders_are_equal_where_they_give_the_same_rows():
    assert Balanced.of(np.array([0, 1, 1])) == Balanced.of(np.array([3, 7, 7]))
    assert Balanced.of(np.array([0, 1, 1])) != Balanced.of(np.array([1, 0, 1]))
    assert Weighted.of(np.array([1.0, 2, 4])) == Weighted.of(np.array([2.0, 4, 8]))
    assert Weighted.of(np.array([1.0, 2, 4])) != Weighted.of(np.array([1.0, 2, 5]))
    one, other = (Plan(3, 2, sampling=Weighted.of(np.array([1.0, 2, weight]))) for weight in (4, 5))
    assert one == pickle.loads(pickle.dumps(one))
    assert one != other
    assert len({one, other}) == 2


# through the dataset


def make(num_rows=60, **changes):
    numbers = np.arange(num_rows)
    columns = {
        "id": [f"a{number}" for number in numbers],
        "number": numbers,
        "label": np.where(numbers % 10 == 3, "rare", "common"),
        "weight": numbers % 4 * 0.5,
        **changes,
    }
    return rl.Dataset(pd.DataFrame(columns), {"n": rl.Columns(["number"])}, target=rl.Labels("label"), key="id")


SAMPLINGS = [{"sampling": "balanced"}, {"weights": "weight"}]
sampled = pytest.mark.parametrize("how", SAMPLINGS, ids="-".join)


@sampled
@pytest.mark.parametrize("last", ["keep", "drop", "pad"])
def test_what_a_loader_delivers_is_what_it_says_of_every_step(how, last):
    data = make()
    with rl.Engine(num_threads=2, prefetch=3) as engine:
        loader = data.batches(7, seed=5, last=last, engine=engine, **how)
        delivered = [batch for _ in range(3) for batch in loader]
    assert len(delivered) == 3 * len(loader) == 3 * {"keep": 9, "drop": 8, "pad": 9}[last]
    for step, batch in enumerate(delivered):
        slow = loader.batch(step)
        assert batch.rows.tolist() == slow.rows.tolist() == batch.inputs["n"][:, 0].tolist()
        assert batch.target.tolist() == (batch.rows % 10 == 3).tolist()
        assert batch.keys.tolist() == [f"a{row}" for row in batch.rows]


def test_balanced_batches_have_both_classes_alike_and_weighted_ones_no_row_of_weight_zero():
    data = make()
    for batch in data.batches(12, seed=5, sampling="balanced"):
        assert batch.target.sum() == 6
    rows = np.concatenate([batch.rows for batch in data.batches(12, seed=5, weights="weight")])
    counts = np.bincount(rows % 4)
    assert counts[0] == 0
    assert np.abs(counts - [0, 10, 20, 30]).max() < 3


@sampled
@settings(max_examples=20)
@given(
    first=st.tuples(st.integers(1, 9), st.integers(1, 3)),
    second=st.tuples(st.integers(1, 9), st.integers(1, 3)),
    data=st.data(),
)
def test_a_run_goes_on_with_the_same_remaining_rows_in_another_geometry(how, first, second, data):
    dataset = make()

    def loaders(geometry):
        size, world_size = geometry
        return [dataset.batches(size, seed=3, last="pad", shard=(r, world_size), **how) for r in range(world_size)]

    def real_rows(group, steps):
        rows = []
        for step in steps:
            for loader in group:
                batch = loader.batch(step)
                rows += batch.rows[: len(batch) - loader.plan.num_padded(step)].tolist()
        return rows

    before, after = loaders(first), loaders(second)
    steps = range(len(before[0]))
    done = data.draw(st.integers(0, len(steps) - 1))
    for loader in before:
        for _ in itertools.islice(loader, done):
            pass
    state = json.loads(json.dumps(before[0].state_dict()))
    for loader in after:
        loader.load_state_dict(state)
    plan = after[0].plan
    assert real_rows(after, range(done, plan.first_step(1))) == real_rows(before, steps[done:])
    assert real_rows(after, range(plan.first_step(1), plan.first_step(2))) == real_rows(
        before, range(len(steps), 2 * len(steps))
    )


@pytest.mark.parametrize(
    ("how", "other", "message"),
    [
        ({"weights": "weight"}, {"weights": "number"}, r"sampled_by was 'weights:\w+', is 'weights:\w+'"),
        ({"weights": "weight"}, {}, r"algorithm was 'weighted-1', is 'feistel-1'; sampled_by was 'weights:\w+', is ''"),
        ({}, {"sampling": "balanced"}, r"algorithm was 'feistel-1', is 'balanced-1'"),
        ({"sampling": "balanced"}, {"weights": "weight"}, r"sampled_by was '2 classes:\w+', is 'weights:\w+'"),
    ],
)
def test_a_state_of_another_sampling_is_refused_with_both_values(how, other, message):
    state = make().batches(4, seed=1, **how).state_dict()
    loader = make().batches(4, seed=1, **other)
    before = loader.state_dict()
    with pytest.raises(StateError, match=message):
        loader.load_state_dict(state)
    assert loader.state_dict() == before


def test_changed_weights_are_refused_and_the_same_in_another_proportion_are_not():
    state = make().batches(4, weights="weight").state_dict()
    assert len(json.dumps(state)) < 1024
    make(weight=np.arange(60) % 4 * 7).batches(4, weights="weight").load_state_dict(state)
    with pytest.raises(StateError, match="sampled_by was"):
        make(weight=np.arange(60) % 4 + 1).batches(4, weights="weight").load_state_dict(state)


def test_a_part_is_sampled_by_its_own_rows():
    data = make(weight=[-1.0] * 30 + [1.0, 0.0] * 15)
    part = data.select(np.arange(30, 60))
    assert (
        np.sort(part.batches(30, weights="weight").batch(0).rows).tolist() == np.repeat(np.arange(0, 30, 2), 2).tolist()
    )
    commons = data.where(data.frame["label"] == "common")
    assert sorted(commons.batches(54, sampling="balanced").batch(0).keys) == sorted(commons.keys)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([True, False] * 30),
        pd.Series([3, 0] * 30, dtype="Int8"),
        pd.Series([0.5, 0.0] * 30, dtype="float32[pyarrow]"),
    ],
    ids=str,
)
def test_weights_may_be_any_numbers(column):
    rows = make(weight=column).batches(60, weights="weight").batch(0).rows
    assert set(rows.tolist()) <= set(range(0, 60, 2))
    polars = rl.Dataset(pl.DataFrame({"w": column.to_list()}), {"w": rl.Columns(["w"])})
    assert set(polars.batches(60, weights="w").batch(0).rows.tolist()) <= set(range(0, 60, 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0] * 7 + [-2.0] * 53, r"column 'weight' holds -2.0 in row 7 \(key 'a7'\), the first of 53 row"),
        ([1.0, math.nan] * 30, r"holds nan in row 1 \(key 'a1'\), the first of 30"),
        ([1.0, math.inf] * 30, r"holds inf in row 1 \(key 'a1'\), the first of 30"),
        (pd.Series([1, None] * 30, dtype="Int64"), r"holds nan in row 1 \(key 'a1'\), the first of 30"),
        ([0] * 60, r"column 'weight' is 0 in all 60 rows"),
        (["1"] * 60, r"column 'weight' must hold numbers, not String \(first value '1'\)"),
    ],
)
def test_weights_that_are_none_are_refused_by_row_and_key(values, message):
    with pytest.raises(ConfigError, match=message):
        make(weight=values).batches(4, weights="weight")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"sampling": "even"}, "sampling must be 'balanced' or None, not 'even'"),
        ({"weights": "wieght"}, "no column 'wieght'. Did you mean 'weight'"),
        ({"weights": np.ones(60)}, "weights names one column of the frame by text, not by ndarray"),
        ({"sampling": "balanced", "weights": "weight"}, "two answers to how often a row is drawn"),
        ({"sampling": "balanced", "shuffle": False}, "balanced-1 is an order of chance"),
        ({"weights": "weight", "shuffle": False}, "weighted-1 is an order of chance"),
    ],
)
def test_misuse_is_refused_with_what_to_do(how, message):
    with pytest.raises(ConfigError, match=message):
        make().batches(4, **how)


@pytest.mark.parametrize(
    ("target", "has"),
    [
        (None, "no target"),
        (rl.Column("number"), r"target float32\[\]"),
        ({"a": rl.Labels("label"), "b": rl.Column("number")}, r"a int32\[\], b float32\[\]"),
    ],
)
def test_only_one_target_of_classes_can_be_balanced(target, has):
    frame = pd.DataFrame({"number": range(6), "label": list("aabaab")})
    data = rl.Dataset(frame, {"n": rl.Columns(["number"])}, target=target)
    with pytest.raises(ConfigError, match=f"must be one target, .* this dataset has {has}. For anything"):
        data.batches(2, sampling="balanced")


def test_a_named_target_of_classes_can_be_balanced_and_classes_without_rows_are_none():
    frame = pd.DataFrame({"label": list("aabaab")})
    data = rl.Dataset(
        frame,
        {"n": rl.Labels("label")},
        target={"kind": rl.Labels("label", classes=["z", "a", "b"])},
    )
    assert sorted(data.batches(6, sampling="balanced").batch(0).target["kind"].tolist()) == [1, 1, 1, 2, 2, 2]


def test_a_sampling_for_other_rows_is_refused_by_the_plan():
    with pytest.raises(ConfigError, match="the sampling is for 3 rows, the plan for 4"):
        Plan(4, 2, sampling=Balanced.of(np.zeros(3)))
