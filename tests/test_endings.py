"""Endings: closing while readers hang, and programs that are interrupted; always within two seconds.

Seconds are those that an ending waits for threads in vain: how long it takes besides is the machine's affair.

This file is also the program that is interrupted: ``python test_endings.py FOLDER NUM_TIMES SEED``.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import LoaderClosedError


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


@contextlib.contextmanager
def waits_in_vain(note):
    """Call `note` with the seconds that `Thread.join` waited for a thread which did not end."""
    real_join = threading.Thread.join

    def join(self, timeout=None):
        real_join(self, timeout)
        if self.is_alive():
            note(timeout)

    threading.Thread.join = join
    try:
        yield
    finally:
        threading.Thread.join = real_join


# --- closing ----------------------------------------------------------------------------------------------


def hang_in_a_pipe(folder):
    """Return what waits until somebody writes into a named pipe, and who does so."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    hung, release = threading.Event(), threading.Event()

    def wait(rows):
        if 6 in rows:
            hung.set()
            pipe.read_bytes()
            release.set()

    def write():
        pipe.write_bytes(b"x")
        assert release.wait(60)

    return wait, hung, write


def take_from_closed(iterator, seen):
    with pytest.raises(LoaderClosedError):
        next(iterator)
    seen.append("closed")


@pytest.mark.parametrize("num_threads", [1, 3])
@pytest.mark.parametrize("what", ["loader", "engine"])
def test_closing_takes_two_seconds_at_most_while_a_reader_hangs_in_a_pipe(tmp_path, num_threads, what, time_limit):
    wait, hung, write = hang_in_a_pipe(tmp_path)
    engine = rl.Engine(num_threads=num_threads, prefetch=2)
    loader = dataset(20, wait).batches(4, shuffle=False, engine=engine)
    with time_limit(600):
        iterator = iter(loader)
        next(iterator)
        assert hung.wait(100)
        seen = []
        consumer = threading.Thread(target=take_from_closed, args=(iterator, seen))
        consumer.start()
        waits = []
        with waits_in_vain(waits.append):
            {"loader": loader, "engine": engine}[what].close()  # it comes back although the reader hangs
        assert sum(waits) <= 2
        consumer.join(100)
        assert len(seen) == 1
        write()
        engine.close()


# --- real signals -----------------------------------------------------------------------------------------


def train_until_interrupted(data, rng, hangs):
    """The program that is interrupted: the exception is left to Python, as by most users."""
    engine = rl.Engine(num_threads=rng.randint(1, 3), prefetch=rng.choice([0, 2, 8])) if rng.random() < 0.5 else None
    loader = data.batches(8, seed=1, engine=engine)
    while True:
        for batch in loader:
            assert hangs or (batch.target == batch.inputs["a"][:, 0]).all()


def interrupted(data, rng, folder, *, hangs):
    """Fork a program, interrupt it after a while; return how it ended, for how long that waited, and what it said."""
    ready, tell = os.pipe()
    errors, waits = folder / "errors", folder / "waits"
    waits.write_text("")
    child = os.fork()
    if child == 0:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        told = os.open(waits, os.O_WRONLY)
        os.write(tell, b"x")
        waiting = waits_in_vain(lambda seconds: os.write(told, f"{seconds}\n".encode()))
        waiting.__enter__()  # to its very end: threads are waited for when the interpreter ends
        train_until_interrupted(data, rng, hangs)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    time.sleep(rng.uniform(0.02, 0.15) + hangs * 0.1)
    os.kill(child, signal.SIGINT)
    started = time.monotonic()
    while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() - started > 100:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise RuntimeError("the program hung")
        time.sleep(0.002)
    waited = sum(map(float, waits.read_text().split()))
    return os.waitstatus_to_exitcode(found[1]), waited, errors.read_text()


def interrupt_again_and_again(folder, num_times, seed):
    rng = random.Random(seed)
    images = {"i": rl.Images("path", size=(16, 16))}
    from PIL import Image

    Image.new("RGB", (16, 16)).save(folder / "p.jpg")
    frame = pd.DataFrame({"n": np.arange(200), "path": str(folder / "p.jpg")})

    def data(wait):
        return rl.Dataset(frame, {"a": Slow(wait), **images}, target=rl.Column("n"))

    quick, slow = data(None), data(lambda rows: time.sleep(600 if rows[0] % 5 == 0 else 0))
    list(quick.batches(50, engine=rl.Engine(num_threads=1)))
    ends = []
    for number in range(num_times):
        hangs = number % 10 == 9
        end = interrupted(slow if hangs else quick, rng, folder, hangs=hangs)
        if end[0] != -signal.SIGINT or end[2].count("Traceback") != 1 or not end[2].endswith("KeyboardInterrupt\n"):
            raise RuntimeError(f"number {number} ended with {end[0]} and said:\n{end[2]}")
        ends.append(end[1])
    return {"longest_wait_seconds": max(ends), "times": len(ends)}


@pytest.mark.slow
def test_programs_that_are_interrupted_end_within_two_seconds_and_say_only_that(tmp_path):
    seed = random.randrange(10**9)
    done = subprocess.run(
        [sys.executable, __file__, tmp_path, "30", str(seed)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    assert json.loads(done.stdout)["longest_wait_seconds"] <= 2


if __name__ == "__main__":
    sys.stdout.write(json.dumps(interrupt_again_and_again(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
