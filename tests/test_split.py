import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.errors import ConfigError
from rowlock.split import split_rows

SHARES = [(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,), (0.25, 0.25, 0.25, 0.25), (0.7, 0.2, 0.1)]


@given(st.integers(40, 400), st.sampled_from(SHARES), st.integers(0, 2**40))
def test_parts_are_disjoint_complete_and_of_their_size(num_rows, shares, seed):
    parts = split_rows(num_rows, shares, seed=seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(num_rows))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - share * num_rows) < 1
        assert np.all(np.diff(part) > 0)


@given(st.lists(st.integers(0, 6), min_size=60, max_size=300), st.sampled_from(SHARES), st.integers(0, 9))
def test_every_class_has_its_share_within_one_row(classes, shares, seed):
    strata = np.array(classes)
    parts = split_rows(len(strata), shares, seed=seed, strata=strata)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(strata)))
    for part, share in zip(parts, shares, strict=True):
        for label in np.unique(strata):
            assert abs((strata[part] == label).sum() - share * (strata == label).sum()) < 1 + 1e-6
        assert abs(len(part) - share * len(strata)) <= len(shares)


@given(st.lists(st.integers(0, 40), min_size=100, max_size=300), st.booleans(), st.integers(0, 9))
def test_groups_are_never_cut(members, stratified, seed):
    _, groups = np.unique(members, return_inverse=True)
    if groups.max() < 10:
        return
    strata = np.arange(len(groups)) % 2 if stratified else None
    parts = split_rows(len(groups), (0.6, 0.2, 0.2), seed=seed, strata=strata, groups=groups)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(groups)))
    owners = [set(groups[part].tolist()) for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    first, again, other = (split_rows(100, (0.5, 0.5), seed=seed)[0].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_split_is_not_the_order_of_an_epoch():
    from rowlock.plan import Plan

    assert sorted(Plan(100, 50, seed=1).rows(0).tolist()) != split_rows(100, (0.5, 0.5), seed=1)[0].tolist()


@pytest.mark.parametrize(
    ("num_rows", "shares", "message"),
    [
        (10, (0.8, 0.1), "add up to 1, not 0.8, 0.1"),
        (10, (1.2, -0.2), "must be positive"),
        (10, (), "add up to 1, not nothing"),
        (1, (0.8, 0.1, 0.1), r"part 2 of the split \(0.1 of 1 row\(s\)\) would be empty"),
    ],
)
def test_shares_that_make_no_parts_are_refused(num_rows, shares, message):
    with pytest.raises(ConfigError, match=message):
        split_rows(num_rows, shares, seed=0)
