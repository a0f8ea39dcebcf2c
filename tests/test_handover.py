"""What all adapters rest on: batches count when they are handed over, and may be sent ahead. No framework is needed."""

import contextlib
import random

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import LoaderClosedError, StateError
from rowlock.handover import SentAhead

NUM_ROWS = 45


def make(engine=None, **options):
    matrix = np.arange(NUM_ROWS * 3, dtype=np.float32).reshape(NUM_ROWS, 3)
    data = rl.Dataset(pd.DataFrame({"n": np.arange(NUM_ROWS)}), {"f": rl.Features(matrix)}, target=rl.Column("n"))
    return data.batches(4, seed=3, engine=engine, **options)


def same(got, expected):
    assert (got.step, got.epoch, got.rows.tolist()) == (expected.step, expected.epoch, expected.rows.tolist())
    assert np.array_equal(got.inputs["f"], expected.inputs["f"])
    assert np.array_equal(got.inputs["f"][:, 0], 3 * got.rows)
    return True


def test_a_batch_counts_when_it_was_handed_over_and_comes_again_where_that_failed():
    loader, failures = make(), [2, 2, 11]

    def hand_over(batch):
        if batch.step in failures:
            failures.remove(batch.step)
            raise MemoryError(batch.step)
        return batch.step

    epoch, taken = loader.epoch(hand_over), []
    while True:
        before = loader.state_dict()
        try:
            taken.append(next(epoch))
        except MemoryError:
            assert loader.state_dict() == before
        except StopIteration:
            break
    assert taken == list(range(12))
    assert failures == []
    assert next(loader.epoch(hand_over)) == 12


def test_an_interrupt_during_the_hand_over_counts_no_row():
    loader = make()

    def interrupted(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        next(loader.epoch(interrupted))
    assert loader.state_dict()["rows_delivered"] == 0
    assert next(iter(loader)).step == 0


def test_ready_shows_the_very_batches_that_come_next_and_takes_none(time_limit):
    loader = make(rl.Engine(num_threads=2, prefetch=4))
    assert loader.ready(0, 3) == []
    epoch = iter(loader)
    next(epoch)
    with time_limit(600):
        while len(shown := loader.ready(1, 3)) < 3:
            pass
    assert loader.state_dict()["rows_delivered"] == 4
    assert [next(epoch) for _ in range(3)] == shown
    assert loader.ready(40, 3) == []


def next_in_the_end(epoch):
    """The next batch, however often it fails on its way; None at the end."""
    while True:
        with contextlib.suppress(MemoryError):
            return next(epoch, None)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_what_was_sent_ahead_is_what_the_plain_loader_delivers(seed):
    chance = random.Random(seed)
    engine = rl.Engine(num_threads=2, prefetch=chance.choice([0, 1, 4]))
    loader, plain, failing = make(engine, last="pad"), make(last="pad"), chance.choice([0, 0.2])

    def send(batch):
        if chance.random() < failing:
            raise MemoryError
        return "sent", batch

    ahead = SentAhead(loader, send, chance.choice([0, 1, 3, 9]))
    pair, delivered = (loader.epoch(ahead), iter(plain)), 0
    for _ in range(300):
        choice = chance.random()
        if choice < 0.06:
            pair = loader.epoch(ahead), iter(plain)
        elif choice < 0.09:
            epoch = chance.randrange(5)
            for each in (loader, plain):
                with contextlib.suppress(StateError):  # a state was just loaded, of another epoch
                    each.set_epoch(epoch)
            pair = loader.epoch(ahead), iter(plain)
        elif choice < 0.12:
            state = loader.state_dict()
            assert state == plain.state_dict()
            loader.load_state_dict(state), plain.load_state_dict(state)
            pair = loader.epoch(ahead), iter(plain)
        else:
            expected, got = next(pair[1], None), next_in_the_end(pair[0])
            assert (got is None) == (expected is None)
            if got is None:
                pair = loader.epoch(ahead), iter(plain)
            else:
                assert got[0] == "sent"
                delivered += same(got[1], expected)
    assert delivered > 150


def test_set_epoch_after_a_state_must_be_the_state_s_until_a_batch_was_delivered():
    first = make()
    for batch in first:
        if batch.step == 5:
            break
    again = make()
    again.load_state_dict(first.state_dict())
    with pytest.raises(StateError, match=r"goes on in epoch 0, so set_epoch\(3\)"):
        again.set_epoch(3)
    again.set_epoch(0)
    assert [batch.step for batch in again] == list(range(6, 12))
    again.set_epoch(3)
    assert next(iter(again)).epoch == 3


def test_a_state_goes_on_in_another_geometry_and_earlier_epochs_are_refused():
    first = make()
    for _ in range(2):
        list(first)
    state = first.state_dict()
    data = first.dataset
    again = data.batches(5, seed=3)
    again.load_state_dict(state)
    again.set_epoch(2)
    assert sorted(row for batch in again for row in batch.rows) == list(range(NUM_ROWS))
    with pytest.raises(rl.RowlockError, match="epoch must be at least 2"):
        again.set_epoch(1)


def test_a_closed_loader_takes_no_epoch():
    loader = make()
    loader.close()
    with pytest.raises(LoaderClosedError):
        loader.set_epoch(1)
