"""Second epoch: pictures from the cache of decoded pixels, beside decoding them again and a bare copy in memory."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from rowlock.inputs.images import Images
from rowlock.table import Table

BATCH_ROWS = 64
NAMES = ("decode", "cached, warm", "cached, cold", "floor: preadv alone", "floor: a copy in memory")
"""The floors prove nothing, and look nothing up: the pixels from a file of their own in the system's memory, one call
a picture; and from an array."""


def measure_cache(paths: list[str], size: int, num_threads: int, num_rounds: int) -> tuple[dict[str, list[float]], int]:
    """Return seconds a picture of each of `NAMES`, one value a batch, and bytes a picture in the cache."""
    table = Table(pa.table({"path": paths}))
    batch_rows = min(BATCH_ROWS, len(paths))
    rows = np.random.default_rng(0).permutation(len(paths) // batch_rows * batch_rows)
    batches = np.split(rows, len(rows) // batch_rows)
    decoding = Images("path", size=(size, size)).open(table, "image")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "pixels"
        run = runner(decoding.spec, num_threads, stack.enter_context(ThreadPoolExecutor(num_threads)))
        cached = Images("path", size=(size, size), cache=folder).open(table, "image")
        in_memory = np.empty((len(paths), size, size, 3), np.uint8)
        for batch in batches:  # fills it, and warms up
            in_memory[batch] = run(cached, cached.gather, batch)
        file = stack.enter_context(tempfile.TemporaryFile())
        candidates = {
            "decode": (decoding, decoding.gather),
            "cached, warm": (cached, cached.gather),
        } | floors(in_memory, file, cached)
        seconds = measure(candidates, run, batches, in_memory, num_rounds)
        for _ in range(num_rounds):
            num_bytes = drop_from_memory(folder)
            seconds["cached, cold"].append(cold_seconds(cached, run, batches))
        cached.close()
    return seconds, round(num_bytes / len(rows))


def runner(spec, num_threads: int, pool):
    """Return what fills a batch in fresh memory, in pieces of the size that a reader asks for, by all threads."""

    def run(reader, gather, rows):
        out, piece_rows = spec.empty(len(rows)), reader.piece_rows
        if num_threads == 1:
            gather(rows, out, None)
            return out
        pieces = range(0, len(rows), piece_rows)
        list(pool.map(lambda at: gather(rows[at : at + piece_rows], out[at : at + piece_rows], None), pieces))
        return out

    return run


def floors(in_memory, file, cached) -> dict:
    """Return what proves nothing and looks nothing up."""
    in_memory.tofile(file)
    file.flush()
    row_bytes = in_memory[0].nbytes

    def read(rows, out, _) -> None:
        for row, pixels in zip(rows.tolist(), out, strict=True):
            os.preadv(file.fileno(), [pixels.data], row * row_bytes)

    def copy(rows, out, _) -> None:
        np.take(in_memory, rows, axis=0, out=out, mode="clip")

    return {"floor: preadv alone": (cached, read), "floor: a copy in memory": (cached, copy)}


def measure(candidates: dict, run, batches, in_memory, num_rounds: int) -> dict[str, list[float]]:
    """Return seconds a picture of each, one value a batch; they take turns, batch by batch.

    What they deliver is compared in a pass of its own: comparing would decide what memory the next one gets.
    """
    for batch in batches:
        for reader, gather in candidates.values():
            assert (run(reader, gather, batch) == in_memory[batch]).all()
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for _ in range(num_rounds):
        for batch, following in zip(batches, [*batches[1:], batches[0]], strict=True):
            for name, (reader, gather) in candidates.items():
                started = time.perf_counter()
                if not name.startswith("floor"):
                    reader.will_need(following)
                run(reader, gather, batch)
                seconds[name].append((time.perf_counter() - started) / len(batch))
    return seconds


def cold_seconds(cached, run, batches) -> float:
    """Return the time of a picture, on average: the disk decides, and batches wait for those before."""
    started = time.perf_counter()
    cached.will_need(batches[0])
    for batch, following in zip(batches, [*batches[1:], batches[0]], strict=True):
        cached.will_need(following)
        run(cached, cached.gather, batch)
    return (time.perf_counter() - started) / sum(map(len, batches))


def drop_from_memory(folder: Path) -> int:
    """Write files out, let the system forget them, and return their size."""
    num_bytes = 0
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        num_bytes += path.stat().st_size
    return num_bytes


def cache_rows(paths: list[str], size: int, num_threads: int, num_rounds: int) -> list[dict]:
    """Return a row a name, and print it."""
    seconds, num_bytes = measure_cache(paths, size, num_threads, num_rounds)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    in_file = round(statistics.mean(Path(path).stat().st_size for path in paths))
    print(f"\n{size} x {size}, {num_threads} thread(s){'pictures/s':>20}{'rate / decode':>18}")
    for name in NAMES:
        print(f"  {name:<28}{1 / middle[name]:>12,.0f}{middle['decode'] / middle[name]:>18.1f}")
    print(f"  {num_bytes:,} bytes a picture in the cache, {in_file:,} in its file")
    return [
        {
            "candidate": name,
            "size": size,
            "threads": num_threads,
            "pictures_per_second": round(1 / middle[name], 1),
            "rate_over_decode": round(middle["decode"] / middle[name], 3),
            "bytes_in_cache": num_bytes,
            "bytes_in_file": in_file,
        }
        for name in NAMES
    ]
