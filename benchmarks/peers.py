"""Random rows from other systems' files, beside the feature store: the same rows, one thread, warm page cache.

Each system is written and read as its documentation shows, one row a chunk where it has chunks, in the form that was
fastest of those tried for random rows; what is not installed is left out. Every answer is compared with the matrix.
Rates are ratios to ``np.take`` on a memory map of the same matrix, taken within one round.

    pip install pylance vortex-data h5py zarr tensorstore bcolz-zipline
    python benchmarks/peers.py [--columns 1000] [--megabytes 200] [--batches 64 256 1024] [--data dense zeros-95 ...]
                               [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from store import DATA

import rowlock as rl

SECONDS_A_ROUND = 0.25


def np_take(path, matrix):
    np.save(path, matrix)
    mapped = np.load(path, mmap_mode="r")
    return lambda rows, out: np.take(mapped, rows, axis=0, out=out, mode="clip")


def rowlock_auto(path, matrix):
    store = rl.FeatureStore.write(path, matrix, keys=np.arange(len(matrix)))
    print(f"  rowlock chose {store.layout}: {store.layout_reason}")
    return store.gather


def rowlock_raw(path, matrix):
    return rl.FeatureStore.write(path, matrix, keys=np.arange(len(matrix)), layout="raw").gather


def bcolz(path, matrix):
    import bcolz as library

    array = library.carray(matrix, rootdir=str(path), mode="w", chunklen=16)
    return lambda rows, out: np.copyto(out, array[rows.tolist()])


def h5py(path, matrix):
    import h5py as library

    file = library.File(path, "w")
    data = file.create_dataset("x", data=matrix, chunks=(1, matrix.shape[1]), compression="lzf", shuffle=True)

    def gather(rows, out):
        order = np.argsort(rows)
        ordered, places = np.unique(rows[order], return_inverse=True)  # rows must ascend
        out[order] = data[ordered][places]

    return gather


def zarr(path, matrix):
    import zarr as library

    shard = (min(len(matrix), 4096), matrix.shape[1])
    array = library.create_array(str(path), shape=matrix.shape, dtype="f4", chunks=(1, matrix.shape[1]), shards=shard)
    array[:] = matrix
    return lambda rows, out: np.copyto(out, array.oindex[rows])


def tensorstore(path, matrix):
    import tensorstore as library

    zarr(path, matrix)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{path}/"}}
    array = library.open(
        spec, open=True, context=library.Context({"cache_pool": {"total_bytes_limit": 1 << 30}})
    ).result()
    return lambda rows, out: np.copyto(out, array[rows].read().result())


def arrow_table(matrix):
    import pyarrow as pa

    values = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    return pa.table({"x": values})


def arrow_ipc(path, matrix):
    import pyarrow as pa

    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, arrow_table(matrix).schema) as writer:
        writer.write_table(arrow_table(matrix))
    with pa.memory_map(str(path)) as source:
        column = pa.ipc.open_file(source).read_all()["x"].combine_chunks()

    def gather(rows, out):
        np.copyto(out, column.take(pa.array(rows)).flatten().to_numpy().reshape(out.shape))

    return gather


def lance(path, matrix):
    import lance as library

    dataset = library.write_dataset(arrow_table(matrix), str(path))

    def gather(rows, out):
        column = dataset.take(rows.tolist())["x"].combine_chunks()
        np.copyto(out, column.flatten().to_numpy().reshape(out.shape))

    return gather


def vortex(path, matrix):
    import pyarrow as pa
    import vortex as library

    library.io.write(library.array(arrow_table(matrix)), str(path))
    file = library.open(str(path), memory_map=True)

    def gather(rows, out):
        ordered, places = np.unique(rows, return_inverse=True)  # indices must ascend
        found = file.scan(indices=library.array(pa.array(ordered.astype(np.uint64)))).read_all().to_arrow_array()
        found = found.combine_chunks() if hasattr(found, "combine_chunks") else found
        np.take(found.field("x").flatten().to_numpy().reshape(len(ordered), -1), places, axis=0, out=out)

    return gather


SYSTEMS = {
    "np.take": (np_take, "numpy"),
    "rowlock": (rowlock_auto, None),
    "rowlock, raw": (rowlock_raw, None),
    "Arrow IPC, mapped": (arrow_ipc, "pyarrow"),
    "Vortex": (vortex, "vortex-data"),
    "Lance": (lance, "pylance"),
    "tensorstore": (tensorstore, "tensorstore"),
    "zarr-python": (zarr, "zarr"),
    "h5py": (h5py, "h5py"),
    "bcolz": (bcolz, "bcolz-zipline"),
}


def installed(package):
    try:
        return "" if package is None else importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def opened(folder, matrix):
    """Return name -> (gather, bytes on disk) of what is installed, each proved on some rows."""
    rows, found = np.random.default_rng(5).integers(0, len(matrix), 64), {}
    for number, (name, (make, package)) in enumerate(SYSTEMS.items()):
        if installed(package) is None:
            print(f"  {name}: not installed")
            continue
        path = folder / (f"{number}.npy" if name == "np.take" else f"{number}.data")
        gather, out = make(path, matrix), np.empty((len(rows), matrix.shape[1]), np.float32)
        gather(rows, out)
        if not np.array_equal(out, matrix[rows]):
            raise SystemExit(f"{name} gave other rows than were asked for")
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        found[name] = gather, sum(file.stat().st_blocks * 512 for file in files)
    return found


def rate_of(gather, num_rows, batch_size, num_columns, rng):
    """Return rows a second over about a quarter of a second."""
    out, done, started = np.empty((batch_size, num_columns), np.float32), 0, time.perf_counter()
    while True:
        gather(rng.integers(0, num_rows, batch_size), out)
        done += batch_size
        seconds = time.perf_counter() - started
        if seconds > SECONDS_A_ROUND:
            return done / seconds


def compare(kind, num_columns, megabytes, batch_sizes, num_rounds):
    """Return one dict a system and batch size."""
    rng = np.random.default_rng(0)
    matrix = DATA[kind](rng, (megabytes * 1_000_000 // (4 * num_columns), num_columns))
    print(f"\n== {kind}, {len(matrix):,} x {num_columns} float32, {matrix.nbytes / 1e6:,.0f} MB")
    results = []
    with tempfile.TemporaryDirectory(dir=".") as name:
        systems = opened(Path(name), matrix)
        for batch_size in batch_sizes:
            rates = {system: [] for system in systems}
            for _ in range(num_rounds):
                for system, (gather, _) in systems.items():
                    rates[system].append(rate_of(gather, len(matrix), batch_size, num_columns, rng))
            base = np.array(rates["np.take"])
            for system, (_, num_bytes) in systems.items():
                ratio = float(np.median(np.array(rates[system]) / base))
                rate, smaller = float(np.median(rates[system])), matrix.nbytes / num_bytes
                results.append(
                    {
                        "data": kind,
                        "columns": num_columns,
                        "batch": batch_size,
                        "system": system,
                        "version": installed(SYSTEMS[system][1]),
                        "rows_per_second": round(rate),
                        "ratio_to_take": round(ratio, 4),
                        "times_smaller": round(smaller, 2),
                    }
                )
                print(
                    f"  B={batch_size:<5}{system:<18}{rate / 1000:9,.1f} k rows/s {ratio:7.3f}  {smaller:5.1f}x smaller"
                )
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, nargs="+", default=[1000])
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--batches", type=int, nargs="+", default=[256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=["dense", "rounded-1", "zeros-95", "zeros-99"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = []
    for kind in options.data:
        for num_columns in options.columns:
            results += compare(kind, num_columns, options.megabytes, options.batches, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
