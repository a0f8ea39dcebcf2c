"""What ``verify="hash"`` (``rowlock train --verify``) costs the loader: pictures a second with it, and without.

Passes over the same photographs in turns, in one process; the ratio is the median over all pairs of passes, with the
quarters beside it. Processor time stands below, since other programs disturb it less.

    python benchmarks/verify.py [passes]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from samples.photographs import real_photographs, save_photographs

import rowlock as rl
from rowlock.processors import num_processors

PICTURES = 1024


def main(num_passes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = real_photographs(PICTURES) or save_photographs(Path(folder), PICTURES, 375, 400)
        frame = pd.DataFrame({"path": paths, "path_hash": rl.hash_pictures(paths, progress=False)})
        mean = sum(Path(path).stat().st_size for path in paths) / len(paths)
        print(f"{len(paths):,} photographs of {mean / 1000:.1f} kB, batches of 64")
        for size in (150, 224):
            for num_threads in sorted({1, num_processors()}):
                compare(frame, size, num_threads, num_passes)


def compare(frame: pd.DataFrame, size: int, num_threads: int, num_passes: int) -> None:
    loaders = {verify: loader(frame, size, num_threads, verify) for verify in (None, "hash")}
    for one in loaders.values():
        measure(one)  # warm
    pairs = []
    for number in range(num_passes):
        order = sorted(loaders, key=str, reverse=bool(number % 2))
        found = {verify: measure(loaders[verify]) for verify in order}
        pairs.append((found[None], found["hash"]))
    print(f"{size} px, {num_threads} thread{'s' * (num_threads > 1)}")
    for place, what in enumerate(("seconds", "processor")):
        without, verified = ([pair[which][place] / len(frame) for pair in pairs] for which in (0, 1))
        ratios = [one / other for one, other in zip(verified, without, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        rates = " and ".join(f"{1 / statistics.median(times):,.0f}" for times in (without, verified))
        print(f"  {what:9}  {rates} pictures a second; {middle:.3f} of the time ({low:.3f} to {high:.3f})")


def loader(frame: pd.DataFrame, size: int, num_threads: int, verify: str | None) -> Any:
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(size, size), verify=verify)})
    return data.batches(64, engine=rl.Engine(num_threads=num_threads))


def measure(batches: Any) -> tuple[float, float]:
    """Return the time of a pass, and its processor time."""
    started, used = time.perf_counter(), time.process_time()
    for _ in batches:
        pass
    return time.perf_counter() - started, time.process_time() - used


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
