"""Rates of other formats, read as they are, beside a raw store of the same rows in the same process.

Every figure is a share of the raw store's rate within one round, because absolute rates change from minute to minute on
a shared machine; the table shows the median round.

    python benchmarks/sources.py [--rows 20000] [--columns 1000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

import rowlock as rl
from rowlock.inputs.matrices import open_matrix

BATCH_ROWS = 256
GROUP_ROWS = 2000


def save_zarr(path, matrix, chunk_rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.create_array(path, data=matrix, chunks=(chunk_rows, matrix.shape[1]))


def save_hdf5(path, matrix, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=matrix, **options)


def save_tables(folder, matrix):
    table = pa.table(list(matrix.T.copy()), names=[f"c{i}" for i in range(matrix.shape[1])])
    pq.write_table(table, folder / "m.parquet", row_group_size=GROUP_ROWS)
    with pa.ipc.new_file(folder / "m.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=GROUP_ROWS)


def make(folder, matrix):
    """Write the matrix in every format; return what each is called."""
    for layout in ("raw", "packed"):
        rl.pack(matrix, folder / f"{layout}.zarr", layout=layout)
    np.save(folder / "m.npy", matrix)
    save_tables(folder, matrix)
    save_hdf5(folder / "plain.h5", matrix)
    save_hdf5(folder / "chunked.h5", matrix, chunks=(16, matrix.shape[1]), compression="lzf")
    for rows in (1, 16, 256):
        save_zarr(folder / f"zarr{rows}", matrix, rows)
    return {
        "raw store": "raw.zarr", "packed store": "packed.zarr", ".npy, mapped": "m.npy",
        "HDF5, contiguous": "plain.h5", "HDF5, 16 rows a chunk, LZF": "chunked.h5", "Zarr, 1 row a chunk": "zarr1",
        "Zarr, 16 rows a chunk": "zarr16", "Zarr, 256 rows a chunk": "zarr256",
        f"Arrow, {GROUP_ROWS:,} rows a batch": "m.arrow", f"Parquet, {GROUP_ROWS:,} rows a group": "m.parquet",
    }  # fmt: skip


def rate(opened, matrix, seed, seconds=0.5):
    """Return rows a second of random batches, and compare the last with the matrix."""
    rng = np.random.default_rng(seed)
    out = np.empty((BATCH_ROWS, matrix.shape[1]), np.float32)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        rows = rng.integers(0, len(matrix), BATCH_ROWS)
        opened.gather(rows, out, None, None)
        batches += 1
    elapsed = time.perf_counter() - start
    assert np.array_equal(out, matrix[rows])
    return batches * BATCH_ROWS / elapsed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    matrix = np.random.default_rng(0).integers(0, 100, (options.rows, options.columns)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        opened = {what: open_matrix(f"{folder}/{name}", what) for what, name in make(Path(folder), matrix).items()}
        shares = {what: [] for what in opened}
        for seed in range(options.rounds + 1):  # the first fills caches
            reference = rate(opened["raw store"], matrix, seed)
            for what, one in opened.items():
                shares[what].append(rate(one, matrix, seed) / reference)
        print(f"{options.rows:,} x {options.columns:,} float32, {BATCH_ROWS} random rows a batch, one thread\n")
        print(f"{'':30} {'share of raw':>12} {'amplification computed':>24} {'so far':>8}")
        for what, found in shares.items():
            cost = getattr(opened[what], "access_cost", None)
            wanted = getattr(opened[what], "wanted_bytes", 0)
            measured = f"{opened[what].decoded_bytes / wanted:8.1f}" if wanted else f"{'':8}"
            computed = 1.0 if cost is None else cost.amplification
            print(f"{what:30} {np.median(found[1:]):12.4f} {computed:24.1f} {measured}")


if __name__ == "__main__":
    main()
