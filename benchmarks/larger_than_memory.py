"""A whole epoch in random order from a store that is much larger than the memory of the process that reads it.

The reading process is held to a memory limit by a control group, page cache included, where one can be made (Linux,
as root); elsewhere its resident memory is watched and the page cache is dropped before. Every value of every row is
checked against what it must be by the row's number alone.

    python benchmarks/larger_than_memory.py [--gib 8] [--limit 1GiB] [--columns 1000] [--folder DIR] [--keep]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import rowlock as rl
from rowlock.memory import parse_bytes

BATCH = 256
BLOCK_ROWS = 4096
CGROUPS = Path("/sys/fs/cgroup")


def offsets_of(num_columns):
    return np.random.default_rng(1).standard_normal(num_columns, dtype=np.float32)


def values_of(rows, offsets):
    """Return the rows as they must be: a function of their numbers alone, which no codec gains much on."""
    own = (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.float32) / 2.0**24
    return own[:, None] + offsets


def blocks(num_rows, offsets):
    for first in range(0, num_rows, BLOCK_ROWS):
        yield values_of(np.arange(first, min(first + BLOCK_ROWS, num_rows)), offsets)


def drop_from_cache(folder):
    os.sync()
    for file in folder.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


@contextlib.contextmanager
def control_group(limit_bytes):
    """Yield a group that holds its processes to a limit, page cache included; None where none can be made."""
    version_2 = (CGROUPS / "cgroup.controllers").exists()
    group = (CGROUPS if version_2 else CGROUPS / "memory") / f"rowlock-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.max" if version_2 else "memory.limit_in_bytes")).write_text(str(limit_bytes))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield None
        return
    try:
        yield group
    finally:
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def read_epoch(path, limit_bytes):
    """Run in the limited process: one epoch, everything checked; print what was found as JSON."""
    store = rl.FeatureStore.open(path)
    num_rows, offsets = len(store), offsets_of(store.num_columns)
    data = rl.Dataset(pd.DataFrame(index=np.arange(num_rows)), {"features": rl.Features(store)})
    loader = data.batches(BATCH, seed=3, engine=rl.Engine(memory_budget=limit_bytes // 8))
    seen, started = np.zeros(num_rows, bool), time.perf_counter()
    for batch in loader:
        if not np.array_equal(batch.inputs["features"], values_of(batch.rows, offsets)):
            sys.exit(f"wrong values in step {batch.step}")
        seen[batch.rows] = True
    seconds = time.perf_counter() - started
    found = {"seconds": seconds, "num_rows": int(seen.sum()), "expected": num_rows}
    found["read_bytes"] = int(Path("/proc/self/io").read_text().split("read_bytes: ")[1].split()[0])
    found["peak_resident_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    status = Path("/proc/self/status").read_text()
    found["anonymous_bytes"] = int(status.split("RssAnon:")[1].split()[0]) * 1024
    found["stats"] = str(loader.stats())
    print(json.dumps(found))


def run_limited(arguments, group):
    def enter():
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    return subprocess.run(
        [sys.executable, __file__, *arguments], preexec_fn=enter, capture_output=True, text=True, check=False
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=8)
    parser.add_argument("--limit", type=parse_bytes, default="1GiB")
    parser.add_argument("--columns", type=int, default=1000)
    parser.add_argument("--layout", default="raw")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_epoch(options.read, options.limit)
        return
    num_rows = int(options.gib * 2**30) // (4 * options.columns)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, started = Path(folder) / "large.zarr", time.perf_counter()
        offsets = offsets_of(options.columns)
        rl.FeatureStore.write(path, blocks(num_rows, offsets), layout=options.layout, progress=sys.stderr.isatty())
        rate = num_rows * 4 * options.columns / (time.perf_counter() - started)
        print(f"wrote {num_rows:,} rows, {options.gib:g} GiB, layout {options.layout}, at {rate / 2**20:.0f} MiB/s")
        drop_from_cache(path)
        with control_group(options.limit) as group:
            ran = run_limited(["--read", str(path), "--limit", str(options.limit)], group)
            if ran.returncode:
                sys.exit(ran.stdout + ran.stderr)
            found = json.loads(ran.stdout)
        report(found, options, group)


def report(found, options, group):
    held = "a control group, page cache included" if group else "nothing (watched)"
    per_row = found["read_bytes"] / found["num_rows"]
    pages = -(-4 * options.columns // mmap.PAGESIZE) * mmap.PAGESIZE
    print(f"read {found['num_rows']:,} of {found['expected']:,} rows in random order, every value right,")
    print(f"  held to {options.limit / 2**20:,.0f} MiB by {held}")
    print(f"  {found['num_rows'] / found['seconds']:,.0f} rows/s, {found['seconds']:.0f} s the epoch")
    print(f"  {per_row:,.0f} bytes from disk a row of {4 * options.columns:,} (whole pages: {pages:,})")
    print(f"  memory: {found['anonymous_bytes'] / 2**20:.0f} MiB of its own at the end,")
    print(f"  {found['peak_resident_bytes'] / 2**20:.0f} MiB resident at the peak, pages of the mapped store included")
    print(f"  {found['stats']}")


if __name__ == "__main__":
    main()
