"""A long life of short epochs, ended in every way there is: threads, descriptors and memory stay what they were.

This file is also the program that lives it: ``python test_short_epochs.py lives FOLDER NUM_EPOCHS SEED`` and
``python test_short_epochs.py soak NUM_BATCHES``.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import itertools
import json
import random
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
from rowlock.errors import LoaderClosedError, RowError

NUM_ROWS, NUM_COLUMNS, SIDE = 40, 5, 16


class Moody(rl.Input):
    """Rows that tell their number, and fail where asked."""

    def __init__(self):
        self.failing = frozenset()

    def open(self, table, name):
        return MoodyReader(self)


class MoodyReader(rl.Reader):
    spec = ArraySpec((3,), np.dtype("int32"))
    piece_rows = 2

    def __init__(self, settings):
        self.settings = settings

    def gather(self, rows, out, draw):
        for place, row in enumerate(rows.tolist()):
            if row in self.settings.failing:
                raise ValueError(row)
            out[place] = row


class StopOfConsumerError(Exception):
    pass


def make_data(folder):
    from PIL import Image

    for row in range(NUM_ROWS):
        Image.new("L", (SIDE, SIDE), row * 6).save(folder / f"{row}.jpg", quality=95)
    keys = np.arange(NUM_ROWS)[::-1]
    matrix = (keys[:, None] + np.zeros(NUM_COLUMNS)).astype(np.float32)
    rl.FeatureStore.write(folder / "s.zarr", matrix, keys=keys, shard_bytes=20 * 15)
    frame = pd.DataFrame({"id": np.arange(NUM_ROWS), "path": [str(folder / f"{row}.jpg") for row in range(NUM_ROWS)]})
    moody = Moody()
    inputs = {"m": moody, "i": rl.Images("path", size=(SIDE, SIDE)), "f": rl.Features(folder / "s.zarr", key="id")}
    return rl.Dataset(frame, inputs, target=rl.Column("id"), key="id"), moody


def require(condition, message="a row is not its own"):
    if not condition:
        raise RuntimeError(message)


def require_aligned(batch):
    require(np.array_equal(batch.target, batch.keys))
    require((batch.inputs["m"] == batch.keys[:, None]).all())
    require((batch.inputs["f"] == batch.keys[:, None]).all())
    require((np.abs(batch.inputs["i"].mean((1, 2, 3)) - batch.keys * 6) < 4).all())


class Life:
    """One process that trains and trains, with ever new loaders on a few engines."""

    def __init__(self, folder, seed):
        self.rng = random.Random(seed)
        self.data, self.moody = make_data(folder)
        self.engine, self.loader, self.num_batches = None, None, 0
        self.ends = [self.whole, self.stop_early, self.abandon, self.raise_in_the_loop, self.fail_and_go_on]
        self.ends += [self.fail_and_give_up, self.close_in_the_middle, self.interleave, self.resume]

    def epoch(self):
        if self.engine is None or self.engine.is_closed or self.rng.random() < 0.05:
            if self.rng.random() < 0.5 and self.engine is not None:
                self.engine.close()  # otherwise it is only forgotten
            self.engine = rl.Engine(num_threads=self.rng.randint(1, 4), prefetch=self.rng.choice([0, 1, 4, 9]))
            self.loader = None
        if self.loader is None or self.rng.random() < 0.3:
            self.loader = self.new_loader()
        self.rng.choice(self.ends)()
        if self.rng.random() < 0.02:
            gc.collect()

    def new_loader(self):
        return self.data.batches(self.rng.randint(3, 9), seed=self.rng.randint(0, 9), engine=self.engine)

    def take(self, batches, num_batches=None):
        rows = []
        for batch in itertools.islice(batches, num_batches):
            require_aligned(batch)
            rows += batch.rows.tolist()
            self.num_batches += 1
        return rows

    def whole(self):
        require(sorted(self.take(self.loader)) == list(range(NUM_ROWS)), "a row is missing or repeated")

    def stop_early(self):
        for batch in self.loader:
            require_aligned(batch)
            if self.rng.random() < 0.4:
                break

    def abandon(self):
        self.take(iter(self.loader), self.rng.randint(0, 3))
        if self.rng.random() < 0.5:
            self.loader = None
        if self.rng.random() < 0.1:
            self.engine = None

    def raise_in_the_loop(self):
        try:
            for batch in self.loader:
                require_aligned(batch)
                self.perhaps_stop()
        except StopOfConsumerError as error:
            kept = error.__traceback__  # a frame that refers to the loader, in a cycle that only the collector frees
            error.kept = kept

    def perhaps_stop(self):
        if self.rng.random() < 0.4:
            raise StopOfConsumerError

    def fail_and_go_on(self):
        self.moody.failing = frozenset({self.rng.randrange(NUM_ROWS)})
        iterator, rows = iter(self.loader), []
        while True:
            try:
                rows += self.take(iterator)
                break
            except RowError:
                self.moody.failing = frozenset()
        self.moody.failing, self.loader = frozenset(), None  # which may have met the row again, ahead
        require(len(rows) == len(set(rows)), "a row is repeated after an error")

    def fail_and_give_up(self):
        self.moody.failing = frozenset({self.rng.randrange(NUM_ROWS)})
        with contextlib.suppress(RowError):
            self.take(self.loader)
        self.moody.failing, self.loader = frozenset(), None

    def close_in_the_middle(self):
        iterator = iter(self.loader)
        self.take(iterator, 1)
        closed = self.loader if self.rng.random() < 0.7 else self.engine
        closer = threading.Timer(self.rng.random() * 0.002, closed.close)
        closer.start()
        try:
            self.take(itertools.chain(iterator, itertools.chain.from_iterable(self.loader for _ in itertools.count())))
        except LoaderClosedError:
            closer.join()
        self.loader = None

    def interleave(self):
        other = self.new_loader()
        mine, others = iter(self.loader), iter(other)
        for _ in range(self.rng.randint(1, 4)):
            self.take(mine, 1)
            self.take(others, 1)

    def resume(self):
        iterator = iter(self.loader)
        state = self.loader.state_dict()
        lost = self.take(iterator, 2)
        self.loader.load_state_dict(state)
        require(self.take(iter(self.loader), 2) == lost, "the rest is another one after a resume")


def rss_bytes():
    """Memory of this process that is of no file; counted now, unlike what ``status`` says, which may lag behind."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def num_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads_of_rowlock():
    return sum(thread.name == "rowlock" for thread in threading.enumerate())


def live(folder, num_epochs, seed):
    life = Life(folder, seed)
    for _ in range(num_epochs // 5):
        life.epoch()
    gc.collect()
    before, descriptors = rss_bytes(), num_descriptors()
    most_threads = 0
    for _ in range(num_epochs - num_epochs // 5):
        life.epoch()
        most_threads = max(most_threads, threads_of_rowlock())
    num_batches, life = life.num_batches, None
    gc.collect()
    deadline = time.monotonic() + 10
    while threads_of_rowlock() and time.monotonic() < deadline:
        time.sleep(0.01)
    return {
        "num_batches": num_batches,
        "most_threads": most_threads,
        "threads": threads_of_rowlock(),
        "descriptors": num_descriptors() - descriptors,
        "grown_bytes": rss_bytes() - before,
    }


def soak(num_batches):
    """Deliver many small batches; return how memory grew over the second half."""
    matrix = np.arange(4000, dtype=np.float32).reshape(-1, 8)
    data = rl.Dataset(pd.DataFrame({"n": np.arange(500)}), {"f": rl.Features(matrix)}, target=rl.Column("n"))
    sizes, threads, descriptors = [], set(), set()
    with rl.Engine(num_threads=2, prefetch=4) as engine, data.batches(5, seed=1, engine=engine) as loader:
        epochs = itertools.chain.from_iterable(loader for _ in itertools.count())
        for number, batch in enumerate(itertools.islice(epochs, num_batches)):
            require((batch.inputs["f"][:, 0] == batch.target * 8).all())
            if number % 100 == 99:
                sizes.append(rss_bytes())
                threads.add(threads_of_rowlock())
                descriptors.add(num_descriptors())
    half = sizes[len(sizes) // 2 :]
    slope = np.polyfit(np.arange(len(half)) * 100, half, 1)[0] * 1000
    return {
        "bytes_per_1000_batches": slope,
        "grown_bytes": half[-1] - half[0],
        "threads": sorted(threads),
        "descriptors": len(descriptors),
    }


def run(*arguments):
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False, timeout=285
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_thousand_short_epochs_leave_no_thread_no_descriptor_and_no_memory_behind(tmp_path):
    found = run("lives", tmp_path, "1000", "1")
    assert found["num_batches"] > 2000
    assert found["threads"] == 0
    assert found["descriptors"] <= 0  # fewer, where a picture was being read when the first count was taken
    assert found["grown_bytes"] < 8 << 20


def test_memory_threads_and_descriptors_are_constant_over_ten_thousand_batches():
    found = run("soak", "10000")
    assert found["grown_bytes"] < 256 << 10
    assert found["descriptors"] == 1
    assert max(found["threads"]) <= 2


if __name__ == "__main__":
    faulthandler.dump_traceback_later(270, exit=True)
    if sys.argv[1] == "lives":
        result = live(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        result = soak(int(sys.argv[2]))
    sys.stdout.write(json.dumps(result))
