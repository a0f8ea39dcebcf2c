import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import LoaderClosedError, RowError


class Numbered(rl.Input):
    """An input whose rows tell their number and draw, slowly if asked, and fail where asked."""

    def __init__(self, width=4, fail=(), error=None, sleep=0.0, piece_rows=None):
        self.width, self.fail, self.error, self.sleep, self.piece_rows = width, set(fail), error, sleep, piece_rows

    def open(self, table, name):
        return NumberedReader(self)


class NumberedReader(rl.Reader):
    def __init__(self, settings):
        self.settings = settings
        self.spec = ArraySpec((settings.width,), np.dtype("int64"))
        self.piece_rows = settings.piece_rows

    def gather(self, rows, out, draw):
        time.sleep(self.settings.sleep * (int(rows[0]) % 3))
        for place, row in enumerate(rows.tolist()):
            if row in self.settings.fail:
                raise self.settings.error
            out[place] = row * 1000 + (0 if draw is None else draw[1])


def make(num_rows=23, **arguments):
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(num_rows)], "number": np.arange(num_rows)})
    inputs = {"n": Numbered(**arguments), "c": rl.Columns(["number"])}
    return rl.Dataset(frame, inputs, target=rl.Column("number"), key="id")


def same(one, other):
    pairs = [(one.inputs[name], other.inputs[name]) for name in one.inputs]
    pairs += [(one.target, other.target), (one.keys, other.keys), (one.rows, other.rows)]
    pairs += [] if one.sample_weight is None else [(one.sample_weight, other.sample_weight)]
    arrays = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)
    return arrays and (one.step, one.epoch) == (other.step, other.epoch)


@pytest.mark.parametrize("num_threads", [1, 2, 4])
@pytest.mark.parametrize("prefetch", [0, 2, 8])
@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 17),
    shuffle=st.booleans(),
    seed=st.integers(0, 99),
    last=st.sampled_from(["keep", "drop", "pad"]),
    piece_rows=st.sampled_from([None, 1, 5]),
)
def test_iterating_equals_the_oracle(num_threads, prefetch, num_rows, batch_size, shuffle, seed, last, piece_rows):
    if last == "drop" and batch_size > num_rows:
        return
    data = make(num_rows, piece_rows=piece_rows)
    with rl.Engine(num_threads=num_threads, prefetch=prefetch) as engine:
        loader = data.batches(batch_size, shuffle=shuffle, seed=seed, last=last, engine=engine)
        steps = itertools.count()
        for _epoch in range(2):
            batches = list(loader)
            assert len(batches) == len(loader)
            assert all(same(batch, loader.batch(next(steps))) for batch in batches)
            assert all((batch.target == batch.inputs["n"][:, 0] // 1000).all() for batch in batches)
            if last == "keep":
                assert sorted(np.concatenate([batch.rows for batch in batches])) == list(range(num_rows))


def test_slow_threads_change_nothing():
    data = make(40, sleep=0.003, piece_rows=3)
    with rl.Engine(num_threads=4, prefetch=3) as engine:
        loader = data.batches(7, seed=2, engine=engine)
        assert all(same(batch, loader.batch(step)) for step, batch in enumerate(loader))


class _Stuck(rl.Reader):
    """Row 25 is only there when it is let go, as a file on a mount that hangs."""

    spec = ArraySpec((), np.dtype("int64"))
    piece_rows = 2

    def __init__(self):
        self.let_go = threading.Event()
        self.done = set()

    def gather(self, rows, out, draw):
        if 25 in rows:
            self.let_go.wait()
        out[...] = rows
        self.done.update(rows.tolist())


class Stuck(rl.Input):
    def __init__(self):
        self.reader = _Stuck()

    def open(self, table, name):
        return self.reader


def test_a_slow_file_holds_up_nobody_beyond_its_batch(time_limit):
    reader = (stuck := Stuck()).reader
    data = rl.Dataset(pd.DataFrame({"number": np.arange(60)}), {"n": stuck}, target=rl.Column("number"))
    with time_limit(600), rl.Engine(num_threads=2, prefetch=4) as engine:
        batches = iter(data.batches(10, shuffle=False, engine=engine))
        assert [next(batches).target[0] for _ in range(2)] == [0, 10]  # those before it come at once
        while reader.done < set(range(60)) - {24, 25}:  # all others are made meanwhile, rows of its batch too
            time.sleep(0.01)
        reader.let_go.set()
        assert [next(batches).inputs["n"].tolist() for _ in range(4)] == [
            list(range(first, first + 10)) for first in (20, 30, 40, 50)
        ]


def test_ranks_deliver_disjoint_rows_in_equal_steps():
    data = make(23)
    for last in ("drop", "pad"):
        loaders = [data.batches(3, seed=1, last=last, shard=(rank, 3)) for rank in range(3)]
        epochs = [list(loader) for loader in loaders]
        assert len({len(epoch) for epoch in epochs}) == 1
        real = [
            row
            for epoch in epochs
            for batch in epoch
            for row, weight in zip(
                batch.rows.tolist(), np.ones(3) if batch.sample_weight is None else batch.sample_weight, strict=True
            )
            if weight
        ]
        assert len(real) == len(set(real)) == (18 if last == "drop" else 23)


def test_each_iteration_is_the_next_epoch_also_after_a_break():
    loader = make(20).batches(6, seed=3)
    for epoch in range(4):
        seen = []
        for batch in loader:
            assert batch.epoch == epoch
            seen.append(batch)
            if epoch == 1:
                break
        assert same(seen[0], loader.batch(epoch * 4))


def test_an_iterator_that_delivered_nothing_takes_no_epoch():
    loader = make(20).batches(6, seed=3)
    iter(loader)
    assert next(iter(loader)).epoch == 0


def test_orders_of_epochs_differ_when_shuffled_and_not_otherwise():
    data = make(50)
    shuffled = data.batches(50, seed=1)
    assert next(iter(shuffled)).rows.tolist() != next(iter(shuffled)).rows.tolist()
    ordered = data.batches(50, shuffle=False)
    assert [batch.rows.tolist() for _ in range(2) for batch in ordered] == [list(range(50))] * 2


def test_augmentation_draws_by_default_only_where_shuffled():
    data = make(5)
    assert next(itertools.islice(data.batches(5, seed=9), 1)).inputs["n"][0, 0] % 1000 == 0  # epoch 0
    epochs = [batch.inputs["n"][0, 0] % 1000 for loader in [data.batches(5)] for _ in range(3) for batch in loader]
    assert epochs == [0, 1, 2]
    still = data.batches(5, augment=False)
    assert [batch.inputs["n"][0, 0] % 1000 for _ in range(3) for batch in still] == [0, 0, 0]


def test_a_batch_that_is_kept_is_never_written_again():
    loader = make(64).batches(4, seed=1, engine=rl.Engine(num_threads=2, prefetch=2))
    kept = [batch for _ in range(15) for batch in loader]
    for batch in kept:
        assert same(batch, loader.batch(batch.step))
    starts = {batch.inputs["n"].ctypes.data for batch in kept}
    assert len(starts) == len(kept)
    assert all(start % 64 == 0 for start in starts)


@pytest.mark.parametrize(
    "error", [ValueError("bad"), StopIteration(), KeyError("k"), KeyboardInterrupt(), SystemExit(3)]
)
@pytest.mark.parametrize(("num_threads", "prefetch"), [(1, 0), (2, 1), (4, 8)])
def test_an_exception_arrives_at_its_own_step_with_the_key(error, num_threads, prefetch):
    data = make(20, fail={11}, error=error, piece_rows=2)
    with rl.Engine(num_threads=num_threads, prefetch=prefetch) as engine:
        loader = data.batches(4, shuffle=False, engine=engine)
        batches = iter(loader)
        assert [next(batches).rows.tolist() for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
        for _ in range(2):  # asked again it says so again: nothing ends the epoch, and no row is passed over
            with pytest.raises(RowError, match="'r11'") as raised:
                next(batches)
        assert (raised.value.key, raised.value.row, raised.value.input, raised.value.step) == ("r11", 11, "n", 2)
        assert raised.value.__cause__ is error
        with pytest.raises(RowError if isinstance(error, Exception) else type(error)):  # Ctrl-C is the user's own
            loader.batch(2)


def test_the_first_bad_row_is_named_whichever_thread_was_first():
    data = make(40, fail={5, 17, 33}, error=ValueError("bad"), piece_rows=1, sleep=0.002)
    for _ in range(5):
        with rl.Engine(num_threads=4) as engine, pytest.raises(RowError, match="'r5'"):
            list(data.batches(40, shuffle=False, engine=engine))


def test_one_iteration_at_a_time():
    loader = make(20).batches(4)
    first = iter(loader)
    next(first)
    second = iter(loader)
    assert next(second).epoch == 1
    with pytest.raises(LoaderClosedError, match="one iteration at a time"):
        next(first)


def test_a_closed_loader_says_so_and_closes_twice():
    loader = make(20).batches(4)
    batches = iter(loader)
    next(batches)
    loader.close()
    loader.close()
    with pytest.raises(LoaderClosedError, match="was closed"):
        next(batches)
    with pytest.raises(LoaderClosedError, match="was closed"):
        iter(loader)


def test_a_loader_that_is_forgotten_is_gone_without_the_garbage_collector():
    gc.disable()
    try:
        others = set(threading.enumerate())
        engine = rl.Engine(num_threads=2)
        loader = make(200, sleep=0.001).batches(4, engine=engine)
        batches = iter(loader)
        next(batches)
        gone = weakref.ref(loader)
        del loader, batches
        assert gone() is None
        deadline = time.monotonic() + 300
        while set(threading.enumerate()) - others and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not set(threading.enumerate()) - others
    finally:
        gc.enable()


def test_the_next_epoch_is_begun_while_this_one_ends():
    started = []

    class Recording(Numbered):
        def open(self, table, name):
            reader = super().open(table, name)
            gather = reader.gather
            reader.gather = lambda rows, out, draw: started.append(draw[1]) or gather(rows, out, draw)
            return reader

    frame = pd.DataFrame({"a": range(12)})
    loader = rl.Dataset(frame, {"n": Recording()}).batches(4, engine=rl.Engine(num_threads=1, prefetch=3))
    epoch = iter(loader)
    for _ in range(3):
        next(epoch)
    deadline = time.monotonic() + 300
    while 1 not in started:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_stats_count_what_was_delivered_and_where_the_time_went():
    list(make(4).batches(4))  # what is loaded once is there
    loader = make(20, sleep=0.2).batches(4)  # far longer than a busy machine holds a thread up
    list(loader)
    stats = loader.stats()
    assert (stats.num_batches, stats.num_rows) == (5, 20)
    assert 0 < stats.wait_seconds <= stats.elapsed_seconds
    assert stats.inputs["n"].seconds > stats.inputs["c"].seconds > 0
    assert 0 < stats.wait_share <= 1
    assert "20 rows in" in str(stats)


def test_a_failure_between_two_batches_shifts_nothing(tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    bad = RowError("broken", row=np.int64(5), path=tmp_path / "x.jpg")
    loader = make(20, fail={5}, error=bad).batches(
        4, shuffle=False, on_error="mask", max_bad=1, bad_rows_file=folder / "bad.jsonl"
    )
    batches = iter(loader)
    assert next(batches).rows.tolist() == [0, 1, 2, 3]
    folder.rmdir()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            next(batches)
    folder.mkdir()
    assert [batch.rows.tolist() for batch in batches] == [list(range(first, first + 4)) for first in (4, 8, 12, 16)]
    assert loader.bad_rows[0].path == str(tmp_path / "x.jpg")


def test_an_iterator_that_is_over_stays_over():
    loader = make(8).batches(4)
    first = iter(loader)
    list(first)
    next(iter(loader))
    assert list(first) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"shard": 2},
        {"shard": (0,)},
        {"engine": "fast"},
        {"engine": 4},
        {"bad_rows_file": 5},
        {"bad_rows_file": "/no/such/folder/bad.jsonl"},
        {"shuffle": "no"},
        {"batch_size": True},
        {"seed": 1.0},
        {"max_bad": "few"},
    ],
)
def test_a_wrong_argument_is_refused_where_it_is_given(arguments):
    with pytest.raises(rl.errors.ConfigError):
        make(8).batches(**{"batch_size": 4, **arguments})


def test_numpy_s_numbers_are_as_good_as_python_s():
    import json

    loader = make(300).batches(
        np.uint8(200), seed=np.int64(3), shuffle=np.True_, engine=rl.Engine(num_threads=np.int64(1))
    )
    assert [len(batch) for batch in loader] == [200, 100]
    json.dumps(loader.state_dict())


def test_a_plan_of_another_length_is_refused():
    with pytest.raises(rl.errors.ConfigError, match="the plan is for 5 rows, the dataset has 12"):
        rl.Loader(make(12), rl.Plan(num_rows=5, batch_size=2))
