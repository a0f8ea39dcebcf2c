"""Rates of the feature store beside ``np.take`` on a memory map of the same rows, in the same process.

Every figure is a ratio taken within one round, because absolute rates change from minute to minute on a shared
machine; the table shows the median round and the middle half of all rounds.

    python benchmarks/store.py [--columns 1000] [--megabytes 400] [--rounds 9] [--batch 256] [--data dense ...]
                               [--io mmap pread] [--layouts raw csr]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import rowlock.store

ROWS_A_ROUND = 16_384
LAYOUTS = ("raw", "csr", "packed")
LEAST_ZEROS = 0.8  # less sparse data is not stored as csr


def dense(rng, shape):
    return rng.standard_normal(shape, np.float32)


def rounded(digits):
    return lambda rng, shape: rng.standard_normal(shape, np.float32).round(digits)


def counts(zeros):
    return lambda rng, shape: rng.integers(1, 20, shape).astype(np.float32) * (rng.random(shape, np.float32) >= zeros)


DATA = {
    "dense": dense,
    "rounded-3": rounded(3),
    "rounded-1": rounded(1),
    "zeros-80": counts(0.80),
    "zeros-90": counts(0.90),
    "zeros-95": counts(0.95),
    "zeros-99": counts(0.99),
}


def make(folder, kind, num_rows, num_columns, wanted):
    """Write the same rows as a .npy file and as a store of each layout; print sizes and what auto chose."""
    rng = np.random.default_rng(0)
    step = max(1, (16 << 20) // (4 * num_columns))
    matrix = np.lib.format.open_memmap(folder / "matrix.npy", "w+", np.float32, (num_rows, num_columns))
    for start in range(0, num_rows, step):
        matrix[start : start + step] = DATA[kind](rng, (min(step, num_rows - start), num_columns))
    matrix.flush()
    print(f"\n== {kind}: {num_rows:,} rows of {num_columns:,} float32, {matrix.nbytes / 1e6:,.0f} MB\n")
    write = rowlock.store.FeatureStore.write
    chosen = write(folder / "auto.zarr", matrix[: max(1, num_rows // 4)], keys=np.arange(max(1, num_rows // 4)))
    print(f"auto: {chosen.layout} ({chosen.layout_reason})")
    shutil.rmtree(folder / "auto.zarr")
    zeros = 1 - np.count_nonzero(matrix[:1000]) / matrix[:1000].size
    layouts = [layout for layout in wanted if layout != "csr" or zeros > LEAST_ZEROS - 0.05]
    for layout in layouts:
        start = time.perf_counter()
        write(folder / f"{layout}.zarr", matrix, keys=np.arange(num_rows) * 7, layout=layout)
        speed = matrix.nbytes / (time.perf_counter() - start) / 1e6
        whole, rows = (used_bytes(folder / f"{layout}.zarr", name) for name in ("*", "matrix"))
        print(
            f"{layout:>7}: {whole / 1e6:7,.0f} MB on disk, {matrix.nbytes / whole:5.2f} times smaller"
            f" (rows alone {matrix.nbytes / rows:5.2f}), written {speed:5,.0f} MB/s"
        )
    return layouts


def used_bytes(store, name):
    """Return what files use on disk; the last shard of a raw store is longer than that."""
    return sum(file.stat().st_blocks * 512 for part in store.glob(name) for file in part.rglob("c.*"))


def ways(folder, stores):
    """Return the competitors: name -> function of (rows, out). `stores` are pairs of layout and way to read."""
    matrix = np.load(folder / "matrix.npy", mmap_mode="r")
    found = {"np.take": lambda rows, out: np.take(matrix, rows, axis=0, out=out, mode="clip")}
    for layout, io in stores:
        store = rowlock.store.FeatureStore.open(folder / f"{layout}.zarr", io)
        opened = store._opened  # noqa: SLF001 - the check cannot be turned off from outside
        found[f"{layout} {io}"] = store.gather
        found[f"{layout} {io}, no check"] = lambda rows, out, opened=opened: opened.gather(
            rows, out, None, None, verify=False
        )
    return found


def seconds(way, batches, num_columns):
    """Return the processor time of one thread for the batches."""
    out = np.empty((batches.shape[1], num_columns), np.float32)
    start = time.thread_time()
    for rows in batches:
        way(rows, out)
    return time.thread_time() - start


def warm(folder, stores, num_rows, num_columns, num_rounds, batch_size):
    """Print rates with everything in the page cache."""
    competitors = ways(folder, stores)
    rng = np.random.default_rng(1)
    whole = rng.permutation(num_rows)[: num_rows // 64 * 64].reshape(-1, 64)
    for way in competitors.values():
        seconds(way, whole, num_columns)
    count = max(batch_size, ROWS_A_ROUND * 1000 // num_columns // batch_size * batch_size)
    spent = {name: [] for name in competitors}
    for _ in range(num_rounds):
        batches = rng.integers(0, num_rows, count).reshape(-1, batch_size)
        for name, times in spent.items():
            times.append(seconds(competitors[name], batches, num_columns))
    print(f"\nwarm, B={batch_size}: thousand rows/s, the ratio to np.take (middle half), and what two threads gain\n")
    for name, way in competitors.items():
        gain = gain_of_two_threads(way, rng, num_rows, num_columns, num_rounds, batch_size)
        print(f"{name:>24} {cells(spent, name, count)}   two threads {gain:.2f}x one")


def gain_of_two_threads(way, rng, num_rows, num_columns, num_rounds, batch_size):
    """Return the ratio of the best of many short runs: on a busy machine only a few have two cores to themselves."""
    best = {1: 0.0, 2: 0.0}
    for _ in range(10 * num_rounds):
        for num_threads in (1, 2):
            batches = rng.integers(0, num_rows, (num_threads, 24, batch_size))
            best[num_threads] = max(best[num_threads], rate_of_threads(way, batches, num_columns))
    return best[2] / best[1]


def rate_of_threads(way, batches, num_columns):
    """Return rows a second of threads that start together; `batches` has one axis more: the thread."""
    outs = [np.empty((batches.shape[2], num_columns), np.float32) for _ in batches]
    together = threading.Barrier(len(batches) + 1)
    ends = []

    def work(own, out):
        together.wait()
        for rows in own:
            way(rows, out)
        ends.append(time.perf_counter())

    threads = [threading.Thread(target=work, args=pair) for pair in zip(batches, outs, strict=True)]
    for thread in threads:
        thread.start()
    together.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    return batches.size / (max(ends) - start)


def cells(spent, name, count):
    ratios = np.array(spent["np.take"]) / np.array(spent[name])
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    rate = count / np.median(spent[name]) / 1000
    return f"{rate:>8,.0f} {middle:.2f} ({low:.2f}-{high:.2f})".rjust(26)


def forget(folder):
    """Drop the files from the page cache; nothing may have them mapped."""
    for file in [*folder.rglob("c.*"), *folder.glob("*.npy")]:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def cold(folder, stores, num_rows, num_columns, num_rounds):
    """Print rates with nothing in the page cache: opened anew for every round."""
    rng = np.random.default_rng(2)
    out = np.empty((256, num_columns), np.float32)
    competitors = {"np.take": (stores[:1], False)}
    for layout, io in stores:
        for check in ("", ", no check"):
            for told in ("", ", told ahead"):
                competitors[f"{layout} {io}{check}{told}"] = [(layout, io)], bool(told)
    spent = {name: [] for name in competitors}
    for _ in range(num_rounds):
        batches = rng.integers(0, num_rows, 2048).reshape(-1, 256)
        for name, times in spent.items():
            forget(folder)
            own, is_told = competitors[name]
            way = ways(folder, own)[name.removesuffix(", told ahead")]
            tell = rowlock.store.FeatureStore.open(folder / f"{own[0][0]}.zarr", own[0][1]).will_need
            start = time.perf_counter()
            for number, rows in enumerate(batches):
                if is_told:
                    for later in batches[number + 1 : number + 2] if number else batches[:2]:
                        tell(later)
                way(rows, out)
            times.append(time.perf_counter() - start)
            del way, tell
    print("\ncold, B=256: thousand rows/s, and the ratio to np.take (middle half)\n")
    for name in spent:
        print(f"{name:>36} {cells(spent, name, 2048)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=["dense", "rounded-1", "zeros-95", "zeros-99"])
    parser.add_argument("--io", nargs="+", choices=["mmap", "pread"], default=["mmap", "pread"])
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=LAYOUTS)
    options = parser.parse_args()
    num_rows = options.megabytes * 1_000_000 // (4 * options.columns)
    for kind in options.data:
        with tempfile.TemporaryDirectory(dir=".") as name:
            folder = Path(name)
            layouts = make(folder, kind, num_rows, options.columns, options.layouts)
            stores = [(layout, io) for layout in layouts for io in options.io]
            if hasattr(os, "posix_fadvise"):
                cold(folder, stores, num_rows, options.columns, max(3, options.rounds // 3))
            warm(folder, stores, num_rows, options.columns, options.rounds, options.batch)


if __name__ == "__main__":
    main()
