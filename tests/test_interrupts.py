"""Ctrl-C at any moment of an iteration that goes on afterwards: nothing hangs, and the very next row comes next.

This file is also the program that is interrupted: ``python test_interrupts.py everywhere | storm SECONDS``.
"""

from __future__ import annotations

import faulthandler
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.arrays import ArraySpec

SEED = 3
WAITING = threading.__file__
SOURCE = os.path.dirname(rl.__file__)  # noqa: PTH120 - compared with file names of code, which are text


class Slow(rl.Input):
    """Rows that tell their number, after what `wait` does with it."""

    def __init__(self, wait=None, piece_rows=2):
        self.wait, self.piece_rows = wait, piece_rows

    def open(self, table, name):
        return SlowReader(self)


class SlowReader(rl.Reader):
    spec = ArraySpec((8,), np.dtype("int64"))

    def __init__(self, settings):
        self.settings, self.piece_rows = settings, settings.piece_rows

    def gather(self, rows, out, draw):
        if self.settings.wait is not None:
            self.settings.wait(rows)
        out[:] = rows[:, None]


def dataset(num_rows, wait=None, **more):
    frame = pd.DataFrame({"n": np.arange(num_rows)})
    return rl.Dataset(frame, {"a": Slow(wait), **more}, target=rl.Column("n"))


class InterruptAt:
    """Raises KeyboardInterrupt at the n-th moment, while it is armed, at which Python would run a signal's handler.

    That is where a function of Python's begins and where one of C's has returned, in Rowlock and in `threading`; but
    for `Thread.start`, which waits for the new thread in a way that is not safe itself.
    """

    def __init__(self, number):
        self.left, self.where = number, None

    def __enter__(self):
        sys.setprofile(self._moment)

    def __exit__(self, *_):
        sys.setprofile(None)

    def _moment(self, frame, event, argument):
        file = frame.f_code.co_filename
        if event in ("call", "c_return") and self.where is None and (file.startswith(SOURCE) or file == WAITING):
            self.left -= not starts_a_thread(frame)
            if self.left < 0:
                self.where = f"{Path(file).name}:{frame.f_lineno} ({frame.f_code.co_name}, {event})"
                raise KeyboardInterrupt


def starts_a_thread(frame):
    callers = itertools.takewhile(lambda place: place[0].f_code.co_filename == WAITING, traceback.walk_stack(frame))
    return any(caller.f_code is threading.Thread.start.__code__ for caller, _ in callers)


def go_on_after_an_interrupt(number, prefetch, last):
    """Iterate over two epochs, once interrupted; return where, or None where it ended before."""
    data = dataset(7)
    interrupt = InterruptAt(number)
    with rl.Engine(num_threads=2, prefetch=prefetch) as engine:
        loader = data.batches(3, seed=SEED, last=last, on_error="mask", engine=engine)
        planned = [loader.plan.rows(step).tolist() for step in range(2 * len(loader))]
        step, iterator = 0, None
        while step < len(planned):
            try:
                with interrupt:
                    iterator = iter(loader) if iterator is None else iterator
                    batch = next(iterator, None)
            except KeyboardInterrupt:
                counted = loader.state_dict()["step"]
                require(counted == step, f"{interrupt.where}: step {step}, the state says {counted}")
                continue
            if batch is None:
                iterator = None
                continue
            found = (batch.step, batch.rows.tolist(), batch.inputs["a"][:, 0].tolist())
            require(found == (step, planned[step], planned[step]), f"{interrupt.where}: step {step}, but {found}")
            step += 1
        loader.close()
        deadline = time.monotonic() + 300
        while engine.memory().in_flight_bytes:
            require(time.monotonic() < deadline, f"{interrupt.where}: memory stays in the account")
            time.sleep(0.001)
    return interrupt.where


def interrupt_everywhere():
    """Return how many moments there are, and what went wrong at which."""
    num_moments, wrong = 0, []
    for prefetch, last in ((0, "keep"), (3, "drop")):
        for number in itertools.count():
            try:
                where = go_on_after_an_interrupt(number, prefetch, last)
            except Exception as error:  # noqa: BLE001 - all of them are told together
                where = f"{type(error).__name__}: {error}"
                wrong.append(f"moment {number}, prefetch {prefetch}: {where}")
            if where is None:
                break
            num_moments += 1
    return {"num_moments": num_moments, "wrong": wrong}


def interrupt_in_a_storm(seconds):
    """Interrupt for so long, and often enough, at random moments, often again while one is still on its way."""
    rng = random.Random(1)
    engine = rl.Engine(num_threads=3, prefetch=2)
    loader = dataset(600, lambda rows: time.sleep(0.0003)).batches(6, seed=SEED, on_error="mask", engine=engine)
    warm = dataset(60).batches(6, engine=engine)
    list(warm)  # neither Numba nor `Thread.start` may be interrupted; and threads live as long as this loader
    num_interrupts, iterator, step, is_armed = 0, None, 0, False

    def handler(*_):
        if is_armed:
            signal.setitimer(signal.ITIMER_REAL, rng.choice([0.00002, 0.0002, 0.002]))
            raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, handler)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline or num_interrupts <= 500 or step <= 100:
        batch, is_over = None, False
        try:
            is_armed = True
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.002))
            iterator = iter(loader) if iterator is None else iterator
            batch = next(iterator, None)
            is_armed, is_over = False, batch is None
        except KeyboardInterrupt:
            is_armed = False
            num_interrupts += 1
        counted = loader.state_dict()["step"]
        if batch is not None:
            planned = loader.plan.rows(step).tolist()
            require((batch.step, batch.rows.tolist()) == (step, planned), f"step {step}: {batch} instead of {planned}")
        require(counted in (step, step + 1), f"step {step}, the state says {counted}")
        step = counted
        iterator = None if is_over else iterator
    signal.setitimer(signal.ITIMER_REAL, 0)
    warm.close()
    engine.close()
    return {"num_interrupts": num_interrupts, "num_steps": step}


def require(condition, message):
    if not condition:
        raise RuntimeError(message)


@pytest.mark.slow
def test_ctrl_c_at_any_moment_loses_no_row_and_the_next_one_comes_next():
    found = run("everywhere")
    assert found["wrong"] == []
    assert found["num_moments"] > 500


@pytest.mark.slow
def test_a_storm_of_interrupts_hangs_nothing_and_shifts_nothing():
    found = run("storm", "10")
    assert found["num_interrupts"] > 500
    assert found["num_steps"] > 100


def run(*arguments):
    """Run this file as a program of its own, which ends even where it hangs; return what it found."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False, timeout=600
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
    return json.loads(done.stdout)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(500, exit=True)
    work = {"everywhere": interrupt_everywhere, "storm": lambda seconds: interrupt_in_a_storm(int(seconds))}[
        sys.argv[1]
    ]
    sys.stdout.write(json.dumps(work(*sys.argv[2:])))
