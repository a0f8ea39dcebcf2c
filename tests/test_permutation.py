import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.permutation import ALGORITHM, permute

GOLDEN = json.loads((Path(__file__).parent / "golden" / "feistel-1.json").read_text())


def order(num_rows, seed, epoch):
    return permute(np.arange(num_rows), num_rows, seed, epoch)


def mix(value):
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def slowly_permuted(position, num_rows, seed, epoch):
    """The algorithm as its description says it, in plain Python."""
    import hashlib

    bits = max(8, (num_rows - 1).bit_length())
    low_bits = bits // 2
    digest = hashlib.shake_256(f"rowlock {ALGORITHM} {seed} {epoch} {num_rows}".encode()).digest(64)
    keys = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(8)]
    value = position
    while True:
        low, high = value % 2**low_bits, value >> low_bits
        for i, key in enumerate(keys):
            if i % 2 == 0:
                low ^= mix((high + key) % 2**64) % 2**low_bits
            else:
                high ^= mix((low + key) % 2**64) % 2 ** (bits - low_bits)
        value = (high << low_bits) | low
        if value < num_rows:
            return value


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['num_rows']} rows, {case['seed']}, {case['epoch']}")
def test_the_order_never_changes_under_its_name(case):
    rows = permute(np.array(case["positions"]), case["num_rows"], case["seed"], case["epoch"])
    assert rows.tolist() == case["rows"]


@given(st.integers(1, 5000), st.integers(-(2**70), 2**70), st.integers(0, 2**40))
def test_every_epoch_is_a_permutation(num_rows, seed, epoch):
    assert np.array_equal(np.sort(order(num_rows, seed, epoch)), np.arange(num_rows))


@given(st.integers(1, 2**61), st.data())
def test_the_kernel_does_what_the_description_says(num_rows, data):
    positions = data.draw(st.lists(st.integers(0, num_rows - 1), min_size=1, max_size=5))
    rows = permute(np.array(positions), num_rows, 3, 4)
    assert rows.tolist() == [slowly_permuted(position, num_rows, 3, 4) for position in positions]


def test_no_two_of_ten_thousand_seeds_and_epochs_give_the_same_order():
    orders = {order(40, seed, epoch).tobytes() for seed in range(100) for epoch in range(100)}
    assert len(orders) == 10_000


def test_seed_one_epoch_zero_is_not_seed_zero_epoch_one():
    assert not np.array_equal(order(1000, 1, 0), order(1000, 0, 1))


@pytest.mark.parametrize("num_rows", [3, 4])
def test_every_order_of_a_few_rows_is_equally_likely(num_rows):
    num_orders, num_draws = math.factorial(num_rows), 12_000
    count = dict.fromkeys(itertools.permutations(range(num_rows)), 0)
    for seed in range(num_draws):
        count[tuple(order(num_rows, seed, 9).tolist())] += 1
    expected = num_draws / num_orders
    chi_square = sum((found - expected) ** 2 / expected for found in count.values())
    assert chi_square < num_orders - 1 + 5 * math.sqrt(2 * (num_orders - 1))


@pytest.mark.parametrize("num_rows", [16, 200, 257])
def test_every_row_is_equally_likely_at_every_position(num_rows):
    num_draws = 2000
    count = np.zeros((num_rows, num_rows))
    for epoch in range(num_draws):
        count[np.arange(num_rows), order(num_rows, 11, epoch)] += 1
    expected, freedom = num_draws / num_rows, (num_rows - 1) ** 2
    chi_square = ((count - expected) ** 2 / expected).sum()
    assert abs(chi_square - freedom) < 5 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("num_rows", [40, 500])
@pytest.mark.parametrize("neighbour", [(0, 1), (1, 0), (1, -1)], ids=["epochs", "seeds", "both"])
def test_neighbouring_epochs_and_seeds_are_not_correlated(num_rows, neighbour):
    num_pairs = 400
    pairs = [((seed, 500 - seed), (seed + neighbour[0], 500 - seed + neighbour[1])) for seed in range(num_pairs)]
    found = [np.corrcoef(order(num_rows, *one), order(num_rows, *other))[0, 1] for one, other in pairs]
    assert abs(np.mean(found)) < 5 / math.sqrt(num_rows * num_pairs)
    assert 0.8 / math.sqrt(num_rows) < np.std(found) < 1.2 / math.sqrt(num_rows)


@pytest.mark.parametrize("num_rows", [200, 300])
def test_rows_that_stand_side_by_side_in_the_frame_are_anywhere_in_an_epoch(num_rows):
    num_draws = 2000
    distance = np.zeros(num_rows)
    for epoch in range(num_draws):
        place = np.argsort(order(num_rows, 5, epoch))
        distance += np.bincount(np.abs(np.diff(place)), minlength=num_rows)
    # of n(n-1)/2 pairs of places, n-d are d apart
    expected = distance.sum() * (num_rows - np.arange(1, num_rows)) / (num_rows * (num_rows - 1) / 2)
    chi_square = ((distance[1:] - expected) ** 2 / expected).sum()
    assert distance[0] == 0
    assert abs(chi_square - (num_rows - 2)) < 6 * math.sqrt(2 * num_rows)


def test_rows_beyond_two_to_the_33_are_exact():
    num_rows = 2**33 + 12345
    positions = np.array([0, 2**31, 2**32, 2**33, num_rows - 1])
    rows = permute(positions, num_rows, 1, 1)
    assert rows.tolist() == [slowly_permuted(position, num_rows, 1, 1) for position in positions.tolist()]
