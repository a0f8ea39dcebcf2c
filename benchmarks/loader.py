"""What the loader costs over a bare loop, and what an epoch's boundary, a first batch and the plan cost.

Each figure stands beside its reference, run in turns in the same process; ratios count, times are this machine's.
"""

from __future__ import annotations

import collections
import functools
import itertools
import mmap
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import rowlock as rl
from rowlock.orders import Balanced, Weighted
from rowlock.permutation import permute

NUM_ROWS, NUM_COLUMNS, BATCH = 100_000, 1000, 256
NUM_TURNS = 7


def seconds(function, *arguments):
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def overhead_of_the_loader():
    """Compare with a bare loop, which reuses one hot megabyte, and with one that keeps six, as prefetching must."""
    matrix = np.random.default_rng(0).normal(size=(NUM_ROWS, NUM_COLUMNS)).astype(np.float32)
    data = rl.Dataset(pd.DataFrame({"y": np.zeros(NUM_ROWS)}), {"f": rl.Features(matrix)}, target=rl.Column("y"))
    loaders = {
        "one thread": data.batches(BATCH, engine=rl.Engine(num_threads=1)),
        "two threads": data.batches(BATCH, engine=rl.Engine(num_threads=2)),
        "no prefetch": data.batches(BATCH, engine=rl.Engine(num_threads=1, prefetch=0)),
    }
    loader = loaders["one thread"]
    rows = [loader.plan.rows(step) for step in range(len(loader))]

    def bare():
        for chosen in rows:
            np.take(matrix, chosen, axis=0)

    def kept():
        held = collections.deque(maxlen=6)
        for chosen in rows:
            held.append(np.take(matrix, chosen, axis=0))

    def oracle():
        for step in range(len(loader)):
            loader.batch(step)

    runs = {"bare": bare, "kept": kept, "oracle": oracle}
    runs |= {name: functools.partial(collections.deque, each, 0) for name, each in loaders.items()}
    times = {name: [] for name in runs}
    for _ in range(NUM_TURNS):
        for name, run in runs.items():
            times[name].append(seconds(run))
    median = {name: statistics.median(found) / len(loader) * 1e6 for name, found in times.items()}
    print(f"features only, B={BATCH}, F={NUM_COLUMNS}; µs a batch, median of {NUM_TURNS}")
    for name, found in median.items():
        print(f"  {name:<12}{found:8.0f}   {found - median['bare']:+7.0f} over the bare gather")


def overhead_with_pictures(num_pictures=512, size=300):
    """Compare with a bare loop that decodes and resizes the same pictures, one thread each.

    "reused" writes every batch into one hot array; "kept" into arrays of their own of which six live at a time, as
    batches do that belong to their consumer. The latter is the reference: writing to other memory is no overhead.
    """
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{number}.jpg" for number in range(num_pictures)]
        for path in paths:
            coarse = Image.fromarray(rng.integers(0, 255, (12, 12, 3), np.uint8))
            coarse.resize((size, size), Image.Resampling.BICUBIC).save(path, quality=90)
        frame = pd.DataFrame({"path": paths, "y": np.zeros(num_pictures)})
        data = rl.Dataset(frame, {"image": rl.Images("path", size=(150, 150))}, target=rl.Column("y"))
        plan = data.batches(64).plan
        reader = data._opened.slots[0].reader  # noqa: SLF001 - the bare loop is what the loader does inside
        out = np.empty((64, 150, 150, 3), np.uint8)

        def reused():
            for step in range(2 * plan.steps_per_epoch):
                reader.gather(plan.rows(step), out, None)

        def kept():
            held = collections.deque(maxlen=6)
            for step in range(2 * plan.steps_per_epoch):
                held.append(reader.spec.empty(64))
                reader.gather(plan.rows(step), held[-1], None)

        def loaded():
            with rl.Engine(num_threads=1) as engine:  # a new one: nothing is prepared while the bare loop runs
                loader = data.batches(64, engine=engine)
                collections.deque(itertools.chain(loader, loader), 0)

        runs = {"reused": reused, "kept": kept, "loader": loaded}
        times = {name: [] for name in runs}
        for _ in range(2 * NUM_TURNS):
            for name, run in runs.items():
                times[name].append(seconds(run))
    print(f"pictures, {size} px to 150 px, one thread; time of the loader over that of a bare loop (middle half)")
    for name in ("kept", "reused"):
        low, middle, high = np.percentile(np.array(times["loader"]) / np.array(times[name]), [25, 50, 75])
        rate = 2 * num_pictures / statistics.median(times[name])
        print(f"  arrays {name:<7}{middle:6.3f} ({low:.3f} to {high:.3f}); the bare loop reads {rate:,.0f} pictures/s")


def time_to_the_first_batch():
    """In a process of its own, since kernels are loaded once; beside it what importing and a first gather take."""
    code = """
import time; start = time.perf_counter()
import numpy as np, pandas as pd; libraries = time.perf_counter()
import rowlock as rl; imported = time.perf_counter()
frame = pd.DataFrame({"y": np.zeros(100_000)}); matrix = np.zeros((100_000, 100), np.float32)
loader = rl.Dataset(frame, {"f": rl.Features(matrix)}, target=rl.Column("y")).batches(256)
made = time.perf_counter(); next(iter(loader)); first = time.perf_counter()
next(iter(loader)); end = time.perf_counter()
print(libraries - start, imported - libraries, made - imported, first - made, end - first)
"""
    found = np.median(
        [
            [float(value) for value in subprocess.check_output([sys.executable, "-c", code], text=True).split()]
            for _ in range(NUM_TURNS)
        ],
        axis=0,
    )
    names = (
        "NumPy and pandas",
        "rowlock",
        "dataset and loader",
        "first batch (kernels are loaded)",
        "next epoch's first",
    )
    print(f"from nothing to the first batch, ms, median of {NUM_TURNS}")
    for name, value in zip(names, found, strict=True):
        print(f"  {name:<34}{value * 1e3:8.1f}")


def soak(num_batches=100_000):
    """Many small batches: memory, threads and open files must not grow."""
    frame = pd.DataFrame({"y": np.zeros(64 * 500)})
    data = rl.Dataset(frame, {"f": rl.Features(np.zeros((len(frame), 16), np.float32))}, target=rl.Column("y"))
    engine = rl.Engine(num_threads=2)
    loader = data.batches(64, engine=engine)
    resident, started = np.zeros(num_batches // 100), time.perf_counter()
    counts = set()
    for number, _batch in enumerate(
        itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), num_batches)
    ):
        if number % 100 == 0:
            resident[number // 100] = int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE / 1024
            counts.add((threading.active_count(), sum(1 for _ in Path("/proc/self/fd").iterdir())))
    half = resident[len(resident) // 2 :]
    slope = np.polyfit(np.arange(len(half)) * 100, half, 1)[0] * 1000
    threads, files = zip(*sorted(counts), strict=True)
    print(
        f"{num_batches:,} batches in {time.perf_counter() - started:.0f} s: resident {half[0] / 1024:.0f} MiB at half,"
        f" {half[-1] / 1024:.0f} MiB at the end, {slope:+.2f} KiB per 1,000 batches;"
        f" threads {min(threads)}..{max(threads)}, open files {min(files)}..{max(files)}"
    )
    print(f"  {loader.stats()}")
    print(f"  {engine.memory()}")


def gap_between_epochs():
    frame = pd.DataFrame({"y": np.zeros(20_000)})
    matrix = np.zeros((20_000, NUM_COLUMNS), np.float32)
    loader = rl.Dataset(frame, {"f": rl.Features(matrix)}, target=rl.Column("y")).batches(BATCH)
    within, between = [], []
    last = None
    for _ in range(20):
        for index, _batch in enumerate(loader):
            now = time.perf_counter()
            if last is not None:
                (between if index == 0 else within).append(now - last)
            last = time.perf_counter()
    print(
        f"gap between epochs: {statistics.median(between) * 1e6:.0f} µs,"
        f" within: {statistics.median(within) * 1e6:.0f} µs"
        f" ({statistics.median(between) / statistics.median(within):.2f} median batch times)"
    )


def plan_of_a_thousand_million_rows():
    permute(np.arange(4), 4, 0, 0)
    tracemalloc.start()
    first = seconds(rl.Plan(10**9, BATCH, seed=1).rows, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    positions = np.arange(1 << 20)
    for num_rows in (10**9, 2**30 + 1):
        each = statistics.median(seconds(permute, positions, num_rows, 1, 2) for _ in range(NUM_TURNS)) / len(positions)
        print(f"plan of {num_rows:,} rows: {each * 1e9:.0f} ns a row")
    print(f"  first batch after {first * 1e6:.0f} µs, {peak / 1024:.0f} KiB")


def sampled_orders():
    num_rows, draws = 1_000_000, np.random.default_rng(1).integers(0, 1_000_000, 1 << 17)
    rng = np.random.default_rng(2)
    kinds = {
        "balanced, 1 row in 100 of the rare class": (Balanced, rng.random(num_rows) < 0.01),
        "balanced, 64 classes": (Balanced, rng.integers(0, 64, num_rows)),
        "balanced, 70 classes": (Balanced, rng.integers(0, 70, num_rows)),
        "balanced, 100,000 classes": (Balanced, rng.integers(0, 100_000, num_rows)),
        "weighted": (Weighted, rng.gamma(1.0, size=num_rows)),
    }
    print(f"sampled orders of {num_rows:,} rows, ns a row, beside the permutation")
    for name, (kind, values) in kinds.items():
        built, order = time.perf_counter(), kind.of(values)
        built = time.perf_counter() - built
        order.rows(draws[:4], 0, 0)
        plain, drawn = [], []
        for turn in range(NUM_TURNS):
            plain.append(seconds(permute, draws, num_rows, 1, turn) / len(draws) * 1e9)
            drawn.append(seconds(order.rows, draws, 1, turn) / len(draws) * 1e9)
        figures = f"{statistics.median(drawn):4.0f} beside {statistics.median(plain):3.0f}"
        print(f"  {name:<42}{figures}, made at {built / num_rows * 1e9:.0f}")


if __name__ == "__main__":
    overhead_of_the_loader()
    overhead_with_pictures()
    time_to_the_first_batch()
    gap_between_epochs()
    plan_of_a_thousand_million_rows()
    sampled_orders()
    soak()
