"""Rates of the feature store beside ``np.take`` on a memory map of the same rows, in the same process.

Every figure is a ratio taken within one round, because absolute rates change from minute to minute on a shared
machine; the table shows the median round and the middle half of all rounds.

    python benchmarks/store.py [--columns 1000] [--megabytes 800] [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import rowlock.store

ROWS_A_ROUND = 16_384


def make(folder, num_rows, num_columns):
    """Write the same dense rows as a store and as a .npy file."""
    rng = np.random.default_rng(0)
    step = max(1, (16 << 20) // (4 * num_columns))
    matrix = np.lib.format.open_memmap(folder / "matrix.npy", "w+", np.float32, (num_rows, num_columns))
    for start in range(0, num_rows, step):
        matrix[start : start + step] = rng.standard_normal((min(step, num_rows - start), num_columns), np.float32)
    matrix.flush()
    rowlock.store.FeatureStore.write(folder / "matrix.zarr", matrix, keys=np.arange(num_rows) * 7)


def ways(folder):
    """Return the competitors: name -> function of (rows, out)."""
    store = rowlock.store.FeatureStore.open(folder / "matrix.zarr")
    matrix = np.load(folder / "matrix.npy", mmap_mode="r")
    opened = store._opened  # noqa: SLF001 - the check cannot be turned off from outside
    return {
        "np.take": lambda rows, out: np.take(matrix, rows, axis=0, out=out, mode="clip"),
        "store": store.gather,
        "store, no check": lambda rows, out: opened.gather(rows, out, None, None, verify=False),
    }


def seconds(way, batches, num_threads, num_columns):
    """Return how long the batches take, shared by threads; one thread in its own processor time."""
    if num_threads == 1:
        out = np.empty((batches.shape[1], num_columns), np.float32)
        start = time.thread_time()
        for rows in batches:
            way(rows, out)
        return time.thread_time() - start
    outs = [np.empty((batches.shape[1], num_columns), np.float32) for _ in range(num_threads)]

    def work(number):
        for rows in batches[number::num_threads]:
            way(rows, outs[number])

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(work, range(num_threads)))  # starts the threads and warms them
        start = time.perf_counter()
        list(pool.map(work, range(num_threads)))
        return time.perf_counter() - start


def warm(folder, num_rows, num_columns, num_rounds):
    """Print rates with everything in the page cache."""
    competitors = ways(folder)
    rng = np.random.default_rng(1)
    whole = rng.permutation(num_rows)[: num_rows // 64 * 64].reshape(-1, 64)
    for way in competitors.values():
        seconds(way, whole, 1, num_columns)
    count = max(1024, ROWS_A_ROUND * 1000 // num_columns // 1024 * 1024)
    print(f"\nwarm, {num_columns} float32 columns: thousand rows/s, and the ratio to np.take (middle half)\n")
    print(f"{'B':>5} {'threads':>7}  " + "".join(f"{name:>28}" for name in competitors))
    for batch_size in (64, 256, 1024):
        for num_threads in (1, 2):
            spent = {name: [] for name in competitors}
            for _ in range(num_rounds):
                batches = rng.integers(0, num_rows, count).reshape(-1, batch_size)
                for name, way in competitors.items():
                    spent[name].append(seconds(way, batches, num_threads, num_columns))
            print(f"{batch_size:>5} {num_threads:>7}  " + "".join(cells(spent, name, count) for name in competitors))


def cells(spent, name, count):
    ratios = np.array(spent["np.take"]) / np.array(spent[name])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    rate = count / np.median(spent[name]) / 1000
    return f"{rate:>10,.0f} {middle:.2f} ({low:.2f}-{high:.2f})".rjust(28)


def forget(folder):
    """Drop the files from the page cache; nothing may have them mapped."""
    for file in [*folder.rglob("c.*"), *folder.glob("*.npy")]:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def cold(folder, num_rows, num_columns, num_rounds):
    """Print rates with nothing in the page cache: a fresh map for every round."""
    rng = np.random.default_rng(2)
    out = np.empty((256, num_columns), np.float32)
    spent = {"np.take": [], "store": [], "store, told ahead": []}
    for _ in range(num_rounds):
        batches = rng.integers(0, num_rows, 2048).reshape(-1, 256)
        for name, times in spent.items():
            forget(folder)
            way = ways(folder)["np.take" if name == "np.take" else "store"]
            tell = rowlock.store.FeatureStore.open(folder / "matrix.zarr").will_need
            start = time.perf_counter()
            for number, rows in enumerate(batches):
                if name == "store, told ahead":
                    for later in batches[number + 1 : number + 2] if number else batches[:2]:
                        tell(later)
                way(rows, out)
            times.append(time.perf_counter() - start)
            del way, tell
    print("\ncold, B=256: thousand rows/s, and the ratio to np.take (middle half)\n")
    print("".join(f"{name:>28}" for name in spent))
    print("".join(cells(spent, name, 2048) for name in spent))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    num_rows = options.megabytes * 1_000_000 // (4 * options.columns)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        make(folder, num_rows, options.columns)
        if hasattr(os, "posix_fadvise"):
            cold(folder, num_rows, options.columns, max(3, options.rounds // 3))
        warm(folder, num_rows, options.columns, options.rounds)


if __name__ == "__main__":
    main()
