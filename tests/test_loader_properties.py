"""Whatever is drawn, the plan is what is delivered: an epoch is a list of rows, and each step takes the next of it."""

import itertools
import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import RowError

SEED = 11


class Told(rl.Input):
    """Rows that tell their number and their epoch, but for those that are broken."""

    def __init__(self, bad=(), piece_rows=None, error=None):
        self.bad, self.piece_rows, self.error = frozenset(bad), piece_rows, error

    def open(self, table, name):
        return ToldReader(self)


class ToldReader(rl.Reader):
    spec = ArraySpec((2,), np.dtype("int64"))

    def __init__(self, settings):
        self.settings, self.piece_rows = settings, settings.piece_rows

    def gather(self, rows, out, draw):
        for place, row in enumerate(rows.tolist()):
            if row in self.settings.bad:
                raise self.settings.error or RowError("it is broken", row=row, path=f"file-{row}", stage="read")
            out[place] = row + 1, draw[1]


def dataset(num_rows, bad=(), also_bad=(), **arguments):
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(num_rows)], "number": np.arange(num_rows) + 1})
    inputs = {"a": Told(bad, **arguments), "b": Told(also_bad, piece_rows=2), "c": rl.Columns(["number"])}
    return rl.Dataset(frame, inputs, target=rl.Column("number"), key="id")


def order(num_rows, epoch, shuffle=True):
    return rl.Plan(num_rows, num_rows, shuffle=shuffle, seed=SEED).rows(epoch).tolist()


def without_end(loader):
    return itertools.chain.from_iterable(iter(loader) for _ in itertools.count())


def require_told(batch, bad):
    """Every part of every row tells that row's number; bad ones are zeros of weight 0, in all parts."""
    masked = np.isin(batch.rows, list(bad))
    numbers = np.where(masked, 0, batch.rows + 1)
    assert batch.keys.tolist() == [f"r{row}" for row in batch.rows]
    for found in (batch.inputs["a"][:, 0], batch.inputs["b"][:, 0], batch.inputs["c"][:, 0], batch.target):
        assert np.array_equal(found, numbers)
    assert set(batch.inputs["a"][~masked, 1].tolist()) <= {batch.epoch}


def require_same(one, other):
    arrays = [(one.inputs[name], other.inputs[name]) for name in one.inputs]
    arrays += [(one.target, other.target), (one.keys, other.keys), (one.rows, other.rows)]
    assert (one.sample_weight is None) == (other.sample_weight is None)
    arrays += [] if one.sample_weight is None else [(one.sample_weight, other.sample_weight)]
    for found, wanted in arrays:
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted)
    assert (one.step, one.epoch) == (other.step, other.epoch)


engines = st.tuples(st.integers(1, 4), st.sampled_from([0, 1, 2, 8]))
bad_sets = st.sets(st.integers(0, 59), max_size=6)


def engine_of(drawn, memory_budget=None):
    return rl.Engine(num_threads=drawn[0], prefetch=drawn[1], memory_budget=memory_budget)


@given(
    num_rows=st.integers(1, 60),
    batch_size=st.integers(1, 17),
    shuffle=st.booleans(),
    last=st.sampled_from(["keep", "drop", "pad"]),
    shard=st.sampled_from([(0, 1), (0, 1), (0, 2), (1, 2), (2, 3)]),
    policy=st.sampled_from(["raise", "mask", "skip"]),
    bad=bad_sets,
    also_bad=bad_sets,
    piece_rows=st.sampled_from([None, 1, 4]),
    engine=st.tuples(engines, st.sampled_from([None, 1, 3])),
)
def test_what_iterating_delivers_is_the_oracle_s_and_the_plan_s(  # noqa: PLR0917 - as many independent facts
    num_rows, batch_size, shuffle, last, shard, policy, bad, also_bad, piece_rows, engine
):
    if (last == "keep" or policy == "skip") and shard[1] > 1:
        return
    if last == "drop" and batch_size * shard[1] > num_rows:
        return
    data = dataset(num_rows, bad, also_bad, piece_rows=piece_rows)
    settings, num_batches = engine
    budget = None if num_batches is None else num_batches * batch_size * 48
    arguments = {"shuffle": shuffle, "augment": True, "seed": SEED, "last": last, "shard": shard}
    with engine_of(settings, budget) as threads:
        loader = data.batches(batch_size, on_error=policy, max_bad=1, engine=threads, **arguments)
        wrong = (bad | also_bad) & set(range(num_rows))
        for epoch in range(2):
            steps = range(epoch * len(loader), (epoch + 1) * len(loader))
            planned = [loader.plan.rows(step).tolist() for step in steps]
            if policy == "raise" and any(wrong & set(rows) for rows in planned):
                require_raised_in_its_turn(loader, planned, wrong)
                return
            batches = list(loader)
            for batch in batches:
                require_told(batch, wrong)
                require_same(batch, loader.batch(batch.step))
            kept = [[row for row in rows if policy != "skip" or row not in wrong] for rows in planned]
            assert [batch.rows.tolist() for batch in batches] == [rows for rows in kept if rows or policy != "skip"]


def require_raised_in_its_turn(loader, planned, wrong):
    batches = iter(loader)
    for rows in itertools.takewhile(lambda rows: not wrong & set(rows), planned):
        assert next(batches).rows.tolist() == rows
    failing = next(wrong & set(rows) for rows in planned if wrong & set(rows))
    for _ in range(2):
        with pytest.raises(RowError) as raised:
            next(batches)
        assert raised.value.row in failing
        assert raised.value.key == f"r{raised.value.row}"


class Segment(NamedTuple):
    """A part of a run, up to an interruption."""

    batch_size: int
    world_size: int
    last: str
    engine: tuple
    num_steps: int


segments = st.builds(
    Segment,
    batch_size=st.integers(1, 7),
    world_size=st.integers(1, 3),
    last=st.sampled_from(["keep", "drop", "pad"]),
    engine=engines,
    num_steps=st.integers(0, 12),
)


def planned_steps(segment, num_rows, epoch, position):
    """Return the rows of the segment's global steps, and where it ends."""
    size, steps = segment.batch_size * segment.world_size, []
    for _ in range(segment.num_steps):
        if num_rows - position < (size if segment.last == "drop" else 1):
            epoch, position = epoch + 1, 0
        steps.append(order(num_rows, epoch)[position : position + size])
        position = position + size
    if num_rows - position < (size if segment.last == "drop" else 1):
        epoch, position = epoch + 1, 0
    return steps, epoch, position


@given(num_rows=st.integers(6, 60), bad=bad_sets, parts=st.lists(segments, min_size=2, max_size=5))
def test_a_run_goes_on_over_any_interruptions_in_any_geometry_with_the_very_next_row(num_rows, bad, parts):
    parts = [part._replace(world_size=1) if part.last == "keep" else part for part in parts]
    parts = [part for part in parts if part.last != "drop" or part.batch_size * part.world_size <= num_rows]
    data = dataset(num_rows, bad, piece_rows=3)
    state, epoch, position = None, 0, 0
    for part in parts:
        steps, epoch, position = planned_steps(part, num_rows, epoch, position)
        found, states = deliver(data, part, state)
        for rows, batches in zip(steps, zip(*found, strict=True), strict=True):
            for batch in batches:
                require_told(batch, bad)
            weights = np.concatenate([batch.sample_weight for batch in batches])
            delivered = np.concatenate([batch.rows for batch in batches])
            assert delivered[: len(rows)].tolist() == rows
            assert weights.tolist() == [float(row not in bad) for row in rows] + [0.0] * (len(delivered) - len(rows))
        assert all(other == states[0] for other in states)
        state = json.loads(json.dumps(states[0]))
        assert (state["epoch"], state["rows_delivered"]) == (epoch, position)


def deliver(data, part, state):
    """Go on from a state on all ranks; return their batches and their states."""
    found, states = [], []
    for rank in range(part.world_size):
        with engine_of(part.engine) as engine:
            loader = data.batches(
                part.batch_size, seed=SEED, last=part.last, shard=(rank, part.world_size), on_error="mask", max_bad=1,
                engine=engine,
            )  # fmt: skip
            if state is not None:
                loader.load_state_dict(state)
            found.append(list(itertools.islice(without_end(loader), part.num_steps)))
            states.append(loader.state_dict())
    return found, states


@given(
    num_rows=st.integers(5, 40),
    batch_size=st.integers(1, 9),
    policy=st.sampled_from(["mask", "skip"]),
    bad=bad_sets,
    also_bad=bad_sets,
    lives=st.lists(st.tuples(engines, st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_the_list_of_bad_rows_and_its_file_are_those_of_the_run_that_was_never_interrupted(
    num_rows, batch_size, policy, bad, also_bad, lives
):
    if set(range(num_rows)) <= bad | also_bad:
        return
    data = dataset(num_rows, bad, also_bad, piece_rows=3)
    with tempfile.TemporaryDirectory() as folder:

        def loader(file, engine=None):
            arguments = {"seed": SEED, "on_error": policy, "max_bad": 1, "engine": engine}
            return data.batches(batch_size, bad_rows_file=Path(folder, file), **arguments)

        whole = loader("whole")
        state, rows = whole.state_dict(), []
        for engine, num_saved, num_lost in lives:
            with engine_of(engine) as threads:
                part = loader("parts", threads)
                part.load_state_dict(state)
                batches = without_end(part)
                rows += [batch.rows.tolist() for batch in itertools.islice(batches, num_saved)]
                state = json.loads(json.dumps(part.state_dict()))
                list(itertools.islice(batches, num_lost))  # delivered, but the process dies before it saves again
        end = loader("parts")
        end.load_state_dict(state)
        assert rows == [batch.rows.tolist() for batch in itertools.islice(without_end(whole), len(rows))]
        assert end.state_dict() == whole.state_dict()
        assert end.bad_rows == whole.bad_rows
        assert text_of(Path(folder, "parts")) == text_of(Path(folder, "whole"))


def test_without_a_file_too_a_bad_row_is_counted_once_over_an_interruption():
    def loader():
        return dataset(20, {3, 7}).batches(4, seed=SEED, on_error="mask", max_bad=1)

    first, second = loader(), loader()
    list(itertools.islice(without_end(first), 7))
    second.load_state_dict(first.state_dict())
    list(itertools.islice(without_end(second), 8))
    assert second.state_dict()["num_bad"] == len(second.bad_rows) == 2


def text_of(file):
    return file.read_text() if file.exists() else ""


class UnprintableError(Exception):
    def __str__(self):
        raise KeyError("no words")


class PickyError(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


class FrozenError(Exception):
    def __setattr__(self, name, value):
        raise AttributeError(name)

    def __reduce__(self):
        raise TypeError("not to be copied")


@pytest.mark.parametrize(
    "error", [UnprintableError(), PickyError(1, 2), FrozenError("f"), IndexError(3), EOFError(), BaseException()]
)
@pytest.mark.parametrize("engine", [(1, 0), (3, 2)])
def test_an_exception_of_the_strangest_class_is_a_row_error_with_the_key_and_ends_nothing(error, engine):
    data = dataset(20, {11}, piece_rows=2, error=error)
    with engine_of(engine) as threads:
        batches = iter(data.batches(4, shuffle=False, augment=True, engine=threads))
        assert [next(batches).rows.tolist() for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
        for _ in range(2):
            with pytest.raises(RowError, match="'r11'") as raised:
                next(batches)
            assert raised.value.__cause__ is error
            assert type(error).__name__ in str(raised.value)
