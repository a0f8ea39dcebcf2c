"""A loader under everything that a user may do to it, in any order; the model is a place in the plan's rows."""

import contextlib
import functools
import json
import os
import signal
import threading
import time
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import ForkedLoaderError, LoaderClosedError, RowError

SEED = 5


class Faulty(rl.Input):
    """Rows that tell their number; some are bad for good, some fail for now."""

    def __init__(self, bad, piece_rows):
        self.bad, self.piece_rows = bad, piece_rows
        self.failing = frozenset()

    def open(self, table, name):
        return FaultyReader(self)


class FaultyReader(rl.Reader):
    spec = ArraySpec((1,), np.dtype("int64"))

    def __init__(self, faults):
        self.faults, self.piece_rows = faults, faults.piece_rows

    def gather(self, rows, out, draw):
        failing = self.faults.failing
        for place, row in enumerate(rows.tolist()):
            if row in failing:
                raise OSError(f"row {row} fails for now")
            if row in self.faults.bad:
                raise RowError("it is broken", row=row)
            out[place] = row + 1


class Place(NamedTuple):
    """Where the model is: the next step, and the next row of the epoch."""

    step: int
    epoch: int
    position: int


@functools.lru_cache(maxsize=100)
def order(num_rows, epoch):
    return rl.Plan(num_rows, num_rows, seed=SEED).rows(epoch).tolist()


class LoaderMachine(RuleBasedStateMachine):
    @initialize(
        num_rows=st.integers(5, 40),
        last=st.sampled_from(["keep", "drop", "pad"]),
        bad=st.none() | st.sets(st.integers(0, 39), max_size=4),
        piece_rows=st.sampled_from([None, 2]),
        batch_size=st.integers(1, 5),
        threads=st.integers(1, 3),
        prefetch=st.sampled_from([0, 1, 5]),
    )
    def begin(self, num_rows, last, bad, piece_rows, batch_size, threads, prefetch):
        self.threads_before = set(threading.enumerate())
        self.num_rows, self.last, self.bad = num_rows, last, bad
        self.faults = Faulty(bad or (), piece_rows)
        self.failure = RowError if bad is None else OSError  # a failing disk is never a bad row
        frame = pd.DataFrame({"id": [f"r{row}" for row in range(num_rows)], "n": np.arange(num_rows) + 1})
        self.data = rl.Dataset(frame, {"a": self.faults, "c": rl.Columns(["n"])}, key="id")
        self.engines = contextlib.ExitStack()
        self.place = Place(0, 0, 0)
        self.listed = []
        self.other_iterators = []
        self.iterator = None
        self.num_forks = 0
        self.new_loader(batch_size, (threads, prefetch))
        self.save()

    def normal(self, place):
        """Return the place, or the beginning of the next epoch where nothing is left of this one."""
        least = self.batch_size if self.last == "drop" else 1
        if self.num_rows - place.position < least:
            return Place(place.step, place.epoch + 1, 0)
        return place

    def next_epoch(self, place):
        while self.normal(place).epoch == place.epoch:
            place = Place(place.step + 1, place.epoch, place.position + self.batch_size)
        return self.normal(place)

    def rows(self, place):
        return order(self.num_rows, place.epoch)[place.position : place.position + self.batch_size]

    def require_batch(self, batch, place):
        rows = self.rows(place)
        masked = np.isin(batch.rows, list(self.bad or ()))
        assert (batch.step, batch.epoch) == place[:2]
        assert batch.rows[: len(rows)].tolist() == rows
        assert len(batch) == (self.batch_size if self.last == "pad" else len(rows))
        assert batch.keys.tolist() == [f"r{row}" for row in batch.rows]
        for values in batch.inputs.values():
            assert values[:, 0].tolist() == np.where(masked, 0, batch.rows + 1).tolist()
        if batch.sample_weight is not None:
            assert batch.sample_weight.tolist() == ((np.arange(len(batch)) < len(rows)) & ~masked).tolist()

    def new_loader(self, batch_size, settings):
        self.batch_size = batch_size
        self.engine = self.engines.enter_context(rl.Engine(num_threads=settings[0], prefetch=settings[1]))
        policy = "raise" if self.bad is None else "mask"
        self.loader = self.data.batches(
            batch_size, seed=SEED, last=self.last, on_error=policy, max_bad=1, engine=self.engine
        )
        self.iterator = None
        self.begins_anew()
        self.other_iterators.clear()  # of another loader, which may still be used

    def begins_anew(self):
        if self.iterator is not None:
            self.other_iterators.append(self.iterator)
        self.iterator, self.is_over, self.has_delivered = None, False, False
        self.have_failed = set()

    @rule(batch_size=st.integers(1, 5), engine=st.tuples(st.integers(1, 3), st.sampled_from([0, 1, 5])))
    def load_into_a_fresh_loader(self, batch_size, engine):
        self.new_loader(batch_size, engine)
        self.loader.load_state_dict(self.saved[0])
        self.place, self.listed = self.normal(self.saved[1]), []

    @rule()
    def load_into_this_loader(self):
        self.loader.load_state_dict(self.saved[0])
        self.begins_anew()
        self.place, self.listed = self.normal(self.saved[1]), []

    @rule(what=st.sampled_from(["loader", "engine"]))
    def close_and_go_on_with_another(self, what):
        if self.iterator is None or self.is_over:
            self.iterate()
        getattr(self, what).close()
        for _ in range(2):
            with pytest.raises(LoaderClosedError):
                next(self.iterator)
        state = self.loader.state_dict()
        self.new_loader(self.batch_size, (2, 2))
        self.loader.load_state_dict(state)
        self.listed = []

    # --- iterating ---------------------------------------------------------------------------------------

    @rule()
    def iterate(self):
        iterator = iter(self.loader)
        if self.iterator is not None:
            self.other_iterators.append(self.iterator)
        if self.has_delivered:
            self.place = self.next_epoch(self.place)
        self.iterator, self.is_over, self.has_delivered = iterator, False, False

    @rule()
    def stop_iterating(self):
        self.iterator = None

    @rule(num_batches=st.integers(1, 6))
    def take(self, num_batches):
        if self.iterator is None:
            self.iterate()
        for _ in range(num_batches):
            self.take_one()

    @rule(num_batches=st.integers(1, 3))
    def break_after(self, num_batches):
        for number in (num_batches, 1):
            self.iterate()
            self.take(number)

    def take_one(self):
        if self.is_over:
            assert next(self.iterator, None) is None
            return
        rows = set(self.rows(self.place)) | set(order(self.num_rows, self.place.epoch)[: self.batch_size])
        try:
            batch = next(self.iterator)
        except self.failure:
            assert rows & (self.faults.failing | self.have_failed), "a failure of no row of this batch"
            self.have_failed = set()  # whatever was made ahead while rows failed is gone
            return
        self.require_batch(batch, self.place)
        met = [row for row in batch.rows.tolist() if row in (self.bad or ())]
        self.listed += [row for row in dict.fromkeys(met) if row not in self.listed]
        after = self.normal(Place(self.place.step + 1, self.place.epoch, self.place.position + self.batch_size))
        self.is_over = after.epoch > self.place.epoch
        self.has_delivered = not self.is_over
        self.place = after

    @precondition(lambda self: self.other_iterators)
    @rule()
    def ask_an_iterator_of_before(self):
        with contextlib.suppress(LoaderClosedError):
            assert next(self.other_iterators.pop(), None) is None

    @rule(ahead=st.integers(0, 7))
    def ask_the_oracle(self, ahead):
        if not self.faults.failing:
            place = self.place
            for _ in range(ahead):
                place = self.normal(Place(place.step + 1, place.epoch, place.position + self.batch_size))
            self.require_batch(self.loader.batch(place.step), place)

    @rule()
    def iterate_over_something_else_with_the_same_engine(self):
        if not self.faults.failing:
            other = self.data.batches(7, shuffle=False, on_error="mask", max_bad=1, engine=self.engine)
            assert [row for batch in other for row in batch.rows.tolist()] == list(range(self.num_rows))

    # --- saving, failing, forking ------------------------------------------------------------------------

    @rule()
    def save(self):
        self.saved = json.loads(json.dumps(self.loader.state_dict())), self.place

    @rule(row=st.integers(0, 39))
    def fail(self, row):
        self.have_failed |= {row}
        self.faults.failing |= {row}

    @rule()
    def mend(self):
        self.have_failed |= self.faults.failing  # in what is made ahead
        self.faults.failing = frozenset()

    @precondition(lambda self: self.num_forks < 1)
    @rule(really=st.integers(0, 3))
    def fork(self, really):
        if really:
            return
        self.num_forks += 1
        if self.iterator is None or self.is_over:
            self.iterate()
        child = os.fork()
        if child == 0:
            try:
                next(self.iterator)
            except ForkedLoaderError:
                self.loader.close()
                os._exit(0)
            finally:
                os._exit(1)
        deadline = time.monotonic() + 300
        while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                pytest.fail("the child hung")
            time.sleep(0.001)
        assert os.waitstatus_to_exitcode(found[1]) == 0

    @invariant()
    def the_state_counts_what_was_delivered(self):
        state = self.loader.state_dict()
        place = self.normal(self.place)
        assert (state["step"], state["epoch"], state["rows_delivered"]) == place
        assert [entry.row for entry in self.loader.bad_rows] == self.listed

    def teardown(self):
        if hasattr(self, "engines"):
            self.engines.close()
            for thread in set(threading.enumerate()) - self.threads_before:
                thread.join(300)  # closing waits a little; a busy machine may need longer
                assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_whatever_is_done_to_a_loader_in_any_order_it_delivers_the_plan(time_limit):
    with time_limit(600):
        run_state_machine_as_test(
            LoaderMachine,
            settings=settings(
                max_examples=4 * settings.default.max_examples,
                stateful_step_count=30,
                suppress_health_check=list(HealthCheck),
            ),
        )
