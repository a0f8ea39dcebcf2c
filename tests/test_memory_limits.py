"""A memory budget that is kept with data ten times larger, and systems that have no memory to give: no hang.

This file is also the program that is limited: ``python test_memory_limits.py NAME FOLDER ...``.
"""

from __future__ import annotations

import io
import json
import os
import resource
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
from rowlock.errors import RowlockError

MIB = 1 << 20


class Large(rl.Input):
    """Rows of a mebibyte that tell their number: data larger than memory, without a disk."""

    def open(self, table, name):
        return LargeReader()


class LargeReader(rl.Reader):
    spec = ArraySpec((MIB // 8,), np.dtype("int64"))
    piece_rows = 1

    def gather(self, rows, out, draw):
        out[:] = rows[:, None]


class Small(rl.Input):
    def open(self, table, name):
        return SmallReader()


class SmallReader(rl.Reader):
    spec = ArraySpec((4,), np.dtype("int64"))
    piece_rows = 1

    def gather(self, rows, out, draw):
        out[:] = rows[:, None]


def jpeg(level, side):
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level,) * 3).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def limit(kind, value):
    resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def run(*arguments, prefix=(), timeout=600):
    """Run this file as a program of its own; return what it printed."""
    done = subprocess.run(
        [*prefix, sys.executable, __file__, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout[-500:]} {done.stderr[-3000:]}"
    return json.loads(done.stdout)


def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


class PeakOfMemory:
    """Samples how much memory of its own this process has; pages of mapped files are the system's to take back."""

    def __enter__(self):
        self.peak, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _sample(self):
        while not self._over.wait(0.002):
            self.peak = max(self.peak, status("RssAnon"))


def peak_over(make_data, folder, budget, batch_size):
    """Return bytes that an epoch takes over what there was before, where nothing but the budget holds it back."""
    data = make_data(folder)
    warm = data.select(range(batch_size)).batches(batch_size // 2, engine=rl.Engine(num_threads=4, prefetch=3))
    list(warm)
    warm.close()
    before, rows = status("RssAnon"), []
    with rl.Engine(num_threads=4, prefetch=10_000, memory_budget=budget) as engine, PeakOfMemory() as memory:
        for batch in data.batches(batch_size, seed=1, engine=engine):
            while not rows and is_at_work(engine):  # until the budget is full
                time.sleep(0.01)
            rows += batch.rows.tolist()
            del batch
    if sorted(rows) != list(range(len(data))):
        raise RuntimeError("a row is missing or repeated")
    return memory.peak - before


def is_at_work(engine):
    """Whether threads still make what was begun."""
    with engine._pool._lock:
        return engine._pool._tasks or engine._pool._num_running


def large_rows(folder):
    return rl.Dataset(pd.DataFrame({"n": np.arange(2560)}), {"a": Large()}, target=rl.Column("n"))


def large_pictures(folder):
    (folder / "p.jpg").write_bytes(jpeg(100, 512))
    frame = pd.DataFrame({"path": [str(folder / "p.jpg")] * 900})
    return rl.Dataset(frame, {"i": rl.Images("path", size=(512, 512), dtype="float32")})


def large_store(folder):
    blocks = (
        np.repeat(np.arange(row, row + 40, dtype=np.float32)[:, None], 64 * 1024, 1) for row in range(0, 2560, 40)
    )
    rl.FeatureStore.write(folder / "s.zarr", blocks, keys=np.arange(2560), shard_bytes=64 * MIB, layout="raw")
    return rl.Dataset(pd.DataFrame({"id": np.arange(2560)}), {"f": rl.Features(folder / "s.zarr")}, key="id")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "budget", "batch_size"), [("large_rows", 256, 8), ("large_pictures", 256, 2), ("large_store", 64, 8)]
)
def test_ten_times_the_budget_of_data_take_no_more_memory_than_the_budget_and_a_tenth(
    tmp_path, data, budget, batch_size
):
    peak = run("peak", tmp_path, data, budget, batch_size)
    assert budget / 2 * MIB < peak < 1.1 * budget * MIB


def little_address_space(extra_bytes):
    """Iterate where threads and arrays may not be had; return how it ended."""
    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(12)
    frame = pd.DataFrame({"n": np.arange(150)})
    data = rl.Dataset(frame, {"s": Small(), "a": Large()}, target=rl.Column("n"))
    if extra_bytes is not None:
        limit(resource.RLIMIT_AS, status("VmSize") + extra_bytes)
    try:
        with rl.Engine(num_threads=4, prefetch=3, memory_budget="1GiB") as engine:
            loader = data.batches(30, seed=1, engine=engine)
            for batch in loader:
                if not (batch.inputs["a"] == batch.rows[:, None]).all():
                    return "wrong rows"
            return "whole"
    except (MemoryError, RuntimeError, RowlockError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)


def too_late(_, frame):
    """End what hangs; Python itself may wait for ever for a thread that found no memory (its issue 140746)."""
    names = [(frame.f_code.co_filename, frame.f_code.co_name) for frame, _ in traceback.walk_stack(frame)]
    raise RuntimeError("a thread died while it began" if (threading.__file__, "start") in names else "it hung")


def forked(work, seconds=300):
    """Run a function in a forked child; return what it returned, or 'hung'."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, work().encode()[:1000])
        os._exit(0)
    os.close(write_end)
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hung"
        time.sleep(0.005)
    with os.fdopen(read_end) as pipe:
        return pipe.read() or "died"


def little_address_spaces(folder):
    little_address_space(None)  # loads whatever is needed
    extras = [*range(0, 60, 6), *range(60, 300, 30)]
    return {str(extra): forked(lambda extra=extra: little_address_space(extra * MIB)) for extra in extras}


@pytest.mark.slow
def test_with_little_address_space_an_epoch_is_whole_or_ends_in_an_error_and_never_hangs(tmp_path):
    found = run("little_address_spaces", tmp_path)
    assert not [end for end in found.values() if end in ("hung", "died", "wrong rows", "RuntimeError: it hung")], found
    assert "whole" in found.values()
    assert any("thread" in end or "Memory" in end for end in found.values())


if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    if name == "peak":
        result = peak_over(globals()[sys.argv[3]], folder, int(sys.argv[4]) * MIB, int(sys.argv[5]))
    else:
        result = globals()[name](folder)
    sys.stdout.write(json.dumps(result))
