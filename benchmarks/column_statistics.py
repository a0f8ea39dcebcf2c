"""What the statistics of columns cost: their share of a write, and of a gather that standardises by them.

The share of a write is taken inside of it; gathers with and without standardising alternate in one process.

    python benchmarks/column_statistics.py [--megabytes 100] [--rounds 9]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import rowlock as rl
from rowlock.store.statistics.file import StatisticsWriter

KINDS = [(1000, "float32"), (100, "float32"), (10, "float32"), (1000, "float64"), (1000, "float16"), (1000, "uint8")]


def timed(function, spent):
    """Add the seconds that calls of `function` take to ``spent[0]``."""

    def wrapper(*arguments):
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            spent[0] += time.perf_counter() - start

    return wrapper


def matrix_of(num_columns, dtype, num_bytes):
    num_rows = num_bytes // (num_columns * np.dtype(dtype).itemsize)
    return (np.random.default_rng(0).standard_normal((num_rows, num_columns), np.float32) * 20 + 120).astype(dtype)


def writes(folder, num_bytes, num_rounds):
    spent = [0.0]
    StatisticsWriter.add = timed(StatisticsWriter.add, spent)
    rl.FeatureStore.write(folder / "warm.zarr", np.zeros((3, 3)))
    print("\nwrite, layout raw, int keys: share of the statistics (middle half)\n")
    for num_columns, dtype in KINDS:
        matrix = matrix_of(num_columns, dtype, num_bytes)
        shares, seconds = [], []
        for _ in range(num_rounds):
            spent[0], start = 0.0, time.perf_counter()
            keys = np.arange(len(matrix))
            rl.FeatureStore.write(folder / "s.zarr", matrix, keys=keys, dtype=dtype, layout="raw", overwrite=True)
            shares.append(spent[0] / (time.perf_counter() - start))
            seconds.append(spent[0])
        low, middle, high = np.percentile(shares, [25, 50, 75])
        each = np.median(seconds) / matrix.size * 1e9
        print(f"{num_columns:>6} {dtype:<8} {middle:6.1%} ({low:.1%}-{high:.1%}) {each:8.2f} ns a value")


def gathers(folder, num_bytes, num_rounds):
    print("\ngather, warm, B=256, one thread: time beside the same input without standardize= (middle half)\n")
    for num_columns in (1000, 100):
        path = folder / f"{num_columns}.zarr"
        matrix = matrix_of(num_columns, "float32", num_bytes)
        rl.FeatureStore.write(path, matrix, keys=np.arange(len(matrix)), layout="raw")
        frame = pd.DataFrame({"id": np.arange(len(matrix))})
        for dtype in ("float32", "float64", "float16"):
            print(f"{num_columns:>6} {dtype:<8} {ratio(path, frame, dtype, num_rounds)}")


def ratio(path, frame, dtype, num_rounds):
    data = [
        rl.Dataset(frame, {"f": rl.Features(path, key="id", dtype=dtype, standardize=how)}, key="id")
        for how in (False, "store")
    ]
    rng = np.random.default_rng(1)
    found = []
    for _ in range(num_rounds + 1):
        batches = rng.integers(0, len(frame), (16, 256))
        spent = []
        for each in data:
            start = time.thread_time()
            for rows in batches:
                each.gather(rows)
            spent.append(time.thread_time() - start)
        found.append(spent[1] / spent[0])
    low, middle, high = np.percentile(found[1:], [25, 50, 75])  # the first loads and compiles
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=".") as name:
        gathers(Path(name), options.megabytes * 1_000_000, options.rounds)
        writes(Path(name), options.megabytes * 1_000_000, max(3, options.rounds // 3))


if __name__ == "__main__":
    main()
