"""One iterator for several threads, and what may happen in the midst of a batch: nothing is lost, doubled or stuck."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.arrays import ArraySpec

NUM_ROWS = 97
SOURCE = os.path.dirname(rl.__file__)  # noqa: PTH120 - compared with file names of code, which are text


def dataset(num_rows=NUM_ROWS):
    frame = pd.DataFrame({"n": np.arange(num_rows), "key": np.arange(num_rows) + 1000})
    return rl.Dataset(frame, {"a": rl.Columns(["n"])}, target=rl.Column("n"), key="key")


def in_threads(function, num_threads=4):
    """Run a function in threads, and return what they raised; every one of them must end."""
    raised = []

    def work():
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - all of them are told
            raised.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(num_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def batches_of(loader, form):
    if form == "torch":
        pytest.importorskip("torch")
        return loader.to_torch()
    if form == "jax":
        pytest.importorskip("jax")
        return loader.to_jax()
    return loader


@pytest.mark.parametrize(
    "form", ["bare", *(pytest.param(form, marks=pytest.mark.adapter) for form in ("torch", "jax"))]
)
@pytest.mark.parametrize("prefetch", [0, 3])
def test_threads_that_share_an_iterator_get_each_row_once_and_all_end(form, prefetch):
    num_epochs = 60 if form == "bare" else 10
    with rl.Engine(num_threads=2, prefetch=prefetch) as engine:
        loader = dataset().batches(8, seed=5, engine=engine)
        batches = batches_of(loader, form)
        for epoch in range(num_epochs):
            iterator, found = iter(batches), []

            def consume(iterator=iterator, found=found):
                for batch in iterator:
                    assert batch.rows.tolist() == np.asarray(batch.target).astype(int).tolist()
                    found.append((batch.step, batch.rows.tolist()))

            assert in_threads(consume) == []
            assert sorted(itertools.chain.from_iterable(rows for _, rows in found)) == list(range(NUM_ROWS))
            assert dict(found) == {step: loader.plan.rows(step).tolist() for step in iterator.steps}
            state = loader.state_dict()
            assert (state["epoch"], state["step"], state["rows_delivered"]) == (epoch + 1, iterator.steps.stop, 0)
        assert loader.stats().num_rows == num_epochs * NUM_ROWS


def test_a_state_taken_amid_shared_iterating_goes_on_with_the_rows_that_were_not_delivered():
    loader = dataset().batches(8, seed=5)
    iterator, found = iter(loader), []
    assert in_threads(lambda: found.extend(next(iterator).rows.tolist())) == []
    state = json.loads(json.dumps(loader.state_dict()))
    assert state["rows_delivered"] == len(found) == 32
    again = dataset().batches(8, seed=5)
    again.load_state_dict(state)
    rest = [row for batch in again for row in batch.rows.tolist()]
    assert sorted(found + rest) == list(range(NUM_ROWS))


def test_closing_from_another_thread_ends_all_that_share_an_iterator():
    started, is_stuck = threading.Event(), threading.Event()

    class Stuck(rl.Input):
        def open(self, table, name):
            return StuckReader()

    class StuckReader(rl.Reader):
        spec = ArraySpec((), np.dtype("int64"))

        def gather(self, rows, out, draw):
            started.set()
            is_stuck.wait(20)
            out[:] = rows

    data = rl.Dataset(pd.DataFrame({"n": np.arange(9)}), {"a": Stuck()})
    with rl.Engine(num_threads=1) as engine:
        loader = data.batches(3, engine=engine)
        iterator = iter(loader)
        closer = threading.Thread(target=lambda: (started.wait(20), loader.close()))
        closer.start()
        raised = in_threads(lambda: list(iterator))
        closer.join()
        is_stuck.set()
    assert [type(error) for error in raised] == [rl.errors.LoaderClosedError] * 4


def test_an_error_of_a_row_comes_to_every_thread_and_counts_nothing():
    class Broken(rl.Input):
        def open(self, table, name):
            return BrokenReader()

    class BrokenReader(rl.Reader):
        spec = ArraySpec((), np.dtype("int64"))

        def gather(self, rows, out, draw):
            raise ValueError("not today")

    loader = rl.Dataset(pd.DataFrame({"n": np.arange(9)}), {"a": Broken()}).batches(3)
    iterator = iter(loader)
    raised = in_threads(lambda: list(iterator))
    assert [(type(error), error.step) for error in raised] == [(rl.errors.RowError, 0)] * 4
    assert loader.state_dict()["step"] == 0


def test_an_epoch_that_another_thread_ended_is_over_and_not_an_error():
    loader = dataset().batches(50)
    first = iter(loader)
    assert len(list(first)) == 2
    next(iter(loader))
    assert list(first) == []


def test_an_iteration_that_was_given_up_still_says_so():
    loader = dataset().batches(50)
    first = iter(loader)
    next(first)
    iter(loader)
    with pytest.raises(rl.errors.LoaderClosedError, match="one iteration at a time"):
        next(first)


def test_what_batches_go_through_may_ask_for_the_state_but_for_no_other_batch():
    loader = dataset().batches(10)
    steps, refused = [], []

    def hand_over(batch):
        steps.append(loader.state_dict()["step"])
        for again in (lambda: next(epoch), lambda: iter(loader), lambda: loader.load_state_dict(loader.state_dict())):
            with pytest.raises(rl.errors.LoaderClosedError, match="this very thread"):
                again()
            refused.append(batch.step)
        return batch.rows.tolist()

    epoch = loader.epoch(hand_over)
    assert sorted(itertools.chain.from_iterable(epoch)) == list(range(NUM_ROWS))
    assert steps == list(range(10))
    assert len(refused) == 30


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_was_forked_amid_another_threads_batch_is_told_so_and_does_not_hang():
    code = f"""
import os, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_shared_iterators import dataset
import rowlock as rl
loader = dataset().batches(10)
inside, go_on = threading.Event(), threading.Event()
epoch = loader.epoch(lambda batch: (inside.set(), go_on.wait(20)))
thread = threading.Thread(target=next, args=(epoch,))
thread.start()
inside.wait(20)
child = os.fork()
if not child:
    for ask in (lambda: next(epoch), lambda: iter(loader), lambda: loader.load_state_dict(loader.state_dict())):
        try:
            ask()
        except rl.errors.ForkedLoaderError:
            continue
        os._exit(1)
    os._exit(0 if loader.state_dict()["step"] == 0 else 2)
go_on.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False, timeout=250
    )
    assert done.returncode == 0, done.stderr


class CallAt:
    """Calls a function at the n-th moment of Rowlock at which Python would run a signal's handler or a finaliser."""

    def __init__(self, number, function):
        self.left, self.function, self.was_called = number, function, False

    def __enter__(self):
        sys.setprofile(self._moment)

    def __exit__(self, *_):
        sys.setprofile(None)

    def _moment(self, frame, event, argument):
        if event in ("call", "c_return") and frame.f_code.co_filename.startswith(SOURCE) and not self.was_called:
            self.left -= 1
            if self.left < 0:
                self.was_called = True
                self.function()


@pytest.mark.slow
@pytest.mark.parametrize("prefetch", [0, 3])
def test_a_handler_that_takes_a_batch_at_any_moment_gets_one_or_an_error_and_shifts_nothing(prefetch):
    num_taken = num_refused = 0
    data = dataset(7)
    with rl.Engine(num_threads=1, prefetch=prefetch) as engine:
        for number in itertools.count():
            loader = data.batches(3, seed=3, engine=engine)
            planned = [loader.plan.rows(step).tolist() for step in range(len(loader))]
            found, refused = [], []

            iterator = iter(loader)

            def handler(loader=loader, iterator=iterator, found=found, refused=refused):
                assert 0 <= loader.state_dict()["step"] <= 3
                try:
                    found.extend((batch.step, batch.rows.tolist()) for batch in [next(iterator)])
                except rl.errors.LoaderClosedError as error:
                    refused.append(error)

            moment = CallAt(number, handler)
            for _ in range(len(loader)):
                with moment:
                    batch = next(iterator, None)
                if batch is not None:
                    found.append((batch.step, batch.rows.tolist()))
            assert sorted(found) == list(enumerate(planned)), number
            assert loader.state_dict()["step"] == len(planned)
            loader.close()
            num_taken, num_refused = num_taken + (len(refused) == 0), num_refused + len(refused)
            if not moment.was_called:
                break
    assert num_taken > 3
    assert num_refused > 50


class InterruptAt(CallAt):
    """Raises KeyboardInterrupt at the n-th moment, in whatever file, at which a signal's handler could."""

    def __init__(self, number):
        super().__init__(number, self._interrupt)

    def __enter__(self):
        gc.disable()  # finalisers of other tests' objects are not what is interrupted
        super().__enter__()

    def __exit__(self, *details):
        super().__exit__(*details)
        gc.enable()

    def _moment(self, frame, event, argument):
        if event in ("call", "c_return") and frame.f_code.co_filename != __file__ and not self.was_called:
            self.left -= 1
            if self.left < 0:
                self.was_called = True
                self.function()

    @staticmethod
    def _interrupt():
        sys.setprofile(None)
        raise KeyboardInterrupt


ACTIONS = {
    "iter": lambda loader, state: iter(loader),
    "go_to": lambda loader, state: loader.go_to(3),
    "set_epoch": lambda loader, state: loader.set_epoch(2),
    "load_state_dict": lambda loader, state: loader.load_state_dict(state),
    "made": lambda loader, state: loader.made(0),
}


@pytest.mark.slow
@pytest.mark.parametrize("action", ACTIONS)
def test_an_interrupt_at_any_moment_of_what_moves_a_loader_leaves_it_whole_and_to_other_threads(action):
    data, kept = dataset(24), []
    other = data.batches(4, seed=9)
    next(iter(other))
    state = other.state_dict()  # its steps are others than those of a loader of batches of 3
    for make in ACTIONS.values():  # what is loaded or made once is there
        make(data.batches(3, seed=9), state)
    with rl.Engine(num_threads=1) as engine:
        for number in itertools.count():
            loader = data.batches(3, seed=9, engine=engine)
            next(iter(loader))
            moment = InterruptAt(number)
            try:
                with moment:
                    ACTIONS[action](loader, state)
            except KeyboardInterrupt as error:
                kept.append(error)  # with its traceback, as a notebook does
            delivered = {}

            def deliver(loader=loader, delivered=delivered):
                epoch = iter(loader)
                delivered["planned"] = {step: loader.plan.rows(step).tolist() for step in epoch.steps}
                delivered["found"] = {batch.step: batch.rows.tolist() for batch in epoch}

            thread = threading.Thread(target=deliver, daemon=True)
            thread.start()
            thread.join(20)
            assert not thread.is_alive(), number
            assert delivered["found"] == delivered["planned"], number
            loader.close()
            if not moment.was_called:
                break
    assert len(kept) > 5


def test_signals_amid_the_batches_of_several_threads_lose_no_row():
    loader = dataset().batches(1, seed=5)
    loader.state_dict()  # the first one takes a while, and handlers would come within it
    iterator, found, num_interrupts = iter(loader), [], 0
    main = threading.main_thread()

    def consume():
        for batch in iterator:
            found.extend(batch.rows.tolist())
            time.sleep(0.0005)

    def interrupt():
        while not is_over.wait(0.003):
            if was_handled.is_set():  # on a slow machine nothing else would be done
                was_handled.clear()
                signal.pthread_kill(main.ident, signal.SIGUSR1)

    def handler(*_):
        nonlocal num_interrupts
        num_interrupts += 1
        loader.state_dict()
        was_handled.set()

    is_over, was_handled = threading.Event(), threading.Event()
    was_handled.set()
    before = signal.signal(signal.SIGUSR1, handler)
    interrupter = threading.Thread(target=interrupt)
    others = [threading.Thread(target=consume) for _ in range(2)]
    try:
        for thread in (interrupter, *others):
            thread.start()
        consume()
        for thread in others:
            thread.join(30)
    finally:
        is_over.set()
        interrupter.join()
        signal.signal(signal.SIGUSR1, before)
    assert Counter(found) == Counter(range(NUM_ROWS))
    assert loader.state_dict()["rows_delivered"] == 0
    gc.collect()
