"""Pictures per second, beside a C program and other loaders: from paths to uint8 batches of one size.

What can be called as a function does the same few files in turns, in one process, so that a noisy machine is as
noisy for all; the ratio is the median over all turns of "time of this / time of C". Loaders with threads or
processes of their own are measured over whole passes, in turns as well. Above 1 is slower than C. Beside each
stands how near its pictures are to Pillow's after a full decode and an antialiased resize: PSNR in dB, median and
5th percentile.

    python benchmarks/pictures.py [--quick] [--cache] [--folder JPEGS] [--json FILE]

The C program (`reference/decode.c`) is built where a compiler and turbojpeg.h are present (Debian:
libturbojpeg0-dev); elsewhere, the time of simplejpeg's decode without a resize stands in. Photographs are those of
../shared/data/cats-dogs, where they are there, and generated ones. ``--cache``: the second epoch, from the cache of
decoded pixels, warm and cold.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from candidates.cached import cache_rows
from candidates.loaders import LOADER, loaders
from candidates.turns import FLOORS, in_turns, quality
from PIL import Image
from reference.build import Reference
from samples.photographs import real_photographs, save_photographs

from rowlock.processors import num_processors

RESULTS = Path(__file__).with_name("results") / "pictures.json"
SIZES = (150, 224)
PACKAGES = ("numpy", "numba", "pillow", "simplejpeg", "keras", "tensorflow_cpu", "torch")


class Effort(NamedTuple):
    """How many pictures, and seconds for each table's functions and loaders."""

    scale: int
    seconds_in_turns: float
    num_passes: int
    sizes: tuple[int, ...]


FULL, QUICK = Effort(1, 3.0, 3, SIZES), Effort(8, 0.3, 1, (150,))


class PictureSet(NamedTuple):
    """Files that are measured together."""

    name: str
    paths: list[str]
    turn_rows: int
    pass_rows: int
    """A pass of a loader; the files are repeated where they are fewer."""


def picture_sets(folder: Path, given: Path | None, effort: Effort) -> list[PictureSet]:
    def generated(name: str, number: int, *shape: int, progressive: bool = False) -> list[str]:
        return save_photographs(folder / name, number // effort.scale, *shape, progressive=progressive)

    if given:
        paths = [path for path in sorted(map(str, given.glob("*.jp*g"))) if _is_rgb(path)][: 256 // effort.scale]
        if not paths:
            raise SystemExit(f"there are no RGB JPEGs in {given}")
        return [PictureSet(f"photographs of {given.name}", paths, 16, max(len(paths), 128 // effort.scale))]
    real = real_photographs(256 // effort.scale)
    small = PictureSet("photographs of cats and dogs", real, 32, len(real))
    if not real:
        small = PictureSet("generated", generated("small", 256, 374, 500), 32, 256 // effort.scale)
    if effort is QUICK:
        return [small]
    middle = PictureSet("generated", generated("middle", 64, 600, 800), 8, 128)
    progressive = generated("progressive", 64, 600, 800, progressive=True)
    large = PictureSet("generated", generated("large", 32, 1200, 1600), 8, 64)
    return [small, middle, PictureSet("generated, progressive", progressive, 8, 128), large]


# measuring


def time_turns(runs: dict, num_rows: int, turn_rows: int, size: int, seconds: float) -> dict[str, list[float]]:
    """Return seconds a picture of each, one value a turn; all take part in each turn."""
    out = np.empty((turn_rows, size, size, 3), np.uint8)
    times: dict[str, list[float]] = {name: [] for name in runs}
    starts = range(0, num_rows - turn_rows + 1, turn_rows)
    for run in runs.values():
        run(np.arange(turn_rows), out)  # warms up
    ends = time.perf_counter() + seconds
    turn = 0
    while turn < 5 or time.perf_counter() < ends:
        rows = np.arange(turn_rows) + starts[turn % len(starts)]
        for name, run in runs.items():
            started = time.perf_counter()
            run(rows, out)
            times[name].append((time.perf_counter() - started) / turn_rows)
        turn += 1
    return times


def time_passes(passes: dict, reference, num_rows: int, num_passes: int) -> dict[str, list[tuple[float, float]]]:
    """Return (seconds a picture, seconds a picture of the reference right before) of each pass."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in passes}
    for _ in range(num_passes):
        for name, one_pass in passes.items():
            beside = reference()
            started = time.perf_counter()
            found = sum(len(batch) for batch in one_pass())
            times[name].append(((time.perf_counter() - started) / num_rows, beside))
            assert found == num_rows
    return times


def measure(pictures: PictureSet, size: int, num_threads: int, reference: Reference | None, effort: Effort):
    """Return ``{candidate: (pictures a second, time / C's, pixels or None)}``."""
    paths, num_rows = pictures.paths, len(pictures.paths)
    floor = "C" if reference else FLOORS[1]
    whole = np.empty((num_rows, size, size, 3), np.uint8)
    found = {}
    with ThreadPoolExecutor(num_threads) as pool, ExitStack() as stack:
        runs = in_turns(paths, size, num_threads, pool, reference, bool(importlib.util.find_spec("keras")))
        times = time_turns(runs, num_rows, min(pictures.turn_rows, num_rows), size, effort.seconds_in_turns)
        for name, values in times.items():
            ratio = statistics.median(mine / its for mine, its in zip(values, times[floor], strict=True))
            pixels = None
            if num_threads == 1 and name not in FLOORS:
                runs[name](np.arange(num_rows), whole)
                pixels = whole.copy()
            found[name] = (1 / statistics.median(values), ratio, pixels)

        def floor_pass() -> float:
            started = time.perf_counter()
            runs[floor](np.arange(num_rows), whole)
            return (time.perf_counter() - started) / num_rows

        repeated = (paths * -(-pictures.pass_rows // num_rows))[: pictures.pass_rows]
        passes = loaders(repeated, size, num_threads, stack)
        pixels = {name: np.concatenate(list(one_pass())) for name, one_pass in passes.items()}  # warms up
        for name, values in time_passes(passes, floor_pass, len(repeated), effort.num_passes).items():
            ratio = statistics.median(mine / its for mine, its in values)
            found[name] = (1 / statistics.median(mine for mine, _ in values), ratio, pixels[name][:num_rows])
    return found


def table(pictures: PictureSet, size: int, reference: Reference | None, effort: Effort) -> list[dict]:
    """Measure on one thread and on all cores, print a table, and return its rows."""
    threads = (1, max(2, num_processors()))
    found = {number: measure(pictures, size, number, reference, effort) for number in threads}
    expected = found[1]["Pillow, antialiased"][2].astype(np.float32)
    megapixels, num_bytes = _shape_of(pictures.paths)
    print(
        f"\n{len(pictures.paths)} {pictures.name}, {megapixels:.2f} megapixels, {num_bytes / 1000:,.0f} kB,"
        f" to {size} x {size}\n"
    )
    against = "time / C" if reference else "/ floor"
    heads = "".join(f"{f'{number} thread' + 's' * (number > 1):>12}{against:>10}" for number in threads)
    print(f"{'pictures a second':<32}{heads}{'PSNR (5 %), dB':>20}")
    rows = []
    for name in found[1]:
        pixels = found[1][name][2]
        middle, low = quality(pixels, expected) if pixels is not None else (None, None)
        told = "" if middle is None else "the same" if low > 99 else f"{middle:.1f} ({low:.1f})"
        if name == LOADER:
            print("  loaders, over whole passes:")
        cells = "".join(f"{found[number][name][0]:>12,.0f}{found[number][name][1]:>10.2f}" for number in threads)
        print(f"{name:<32}{cells}{told:>20}")
        rows += [
            {
                "pictures": pictures.name,
                "megapixels": round(megapixels, 3),
                "bytes": num_bytes,
                "size": size,
                "threads": number,
                "candidate": name,
                "pictures_per_second": round(found[number][name][0], 1),
                "time_over_c": round(found[number][name][1], 3) if reference else None,
                "time_over_decode": None if reference else round(found[number][name][1], 3),
                "psnr_median": None if middle is None else round(middle, 2),
                "psnr_5_percent": None if low is None else round(low, 2),
            }
            for number in threads
        ]
    return rows


# about the run


def _is_rgb(path: str) -> bool:
    """Return whether the C program can read it too: TurboJPEG makes no RGB of CMYK."""
    with Image.open(path) as image:
        return image.mode == "RGB"


def _shape_of(paths: list[str]) -> tuple[float, int]:
    sizes = []
    for path in paths:
        with Image.open(path) as image:
            sizes.append(image.width * image.height / 1e6)
    return statistics.mean(sizes), round(statistics.mean(Path(path).stat().st_size for path in paths))


def machine(reference: Reference | None) -> dict:
    """Return what the figures depend on."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    found = {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "c": reference.version if reference else None,
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Pictures per second, beside a C program and other loaders.")
    parser.add_argument("--quick", action="store_true", help="a few pictures, about 20 seconds; writes no results")
    parser.add_argument("--cache", action="store_true", help="the second epoch, from the cache")
    parser.add_argument("--folder", type=Path, help="JPEGs instead of the usual sets")
    parser.add_argument("--json", type=Path, help=f"where results go; by default {RESULTS.name}, but for --quick")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    sys.stdout.reconfigure(line_buffering=True)  # tables of a long run appear as they are made
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # nothing here uses it, and it announces itself
    with tempfile.TemporaryDirectory() as temporary:
        reference = built(Path(temporary))
        about = machine(reference)
        print(textwrap.fill(", ".join(f"{name} {value}" for name, value in about.items() if value), 100))
        sets = picture_sets(Path(temporary), arguments.folder, effort)
        if arguments.cache:
            paths = (real_photographs(1024) if not arguments.folder else sets[0].paths) or sets[0].paths
            rows = []
            for size in effort.sizes:
                for num_threads in (1, max(2, num_processors())):
                    rows += cache_rows(paths, size, num_threads, 4 if effort is FULL else 1)
        else:
            rows = [row for one in sets for size in effort.sizes for row in table(one, size, reference, effort)]
    path = arguments.json or (None if arguments.quick else RESULTS)
    if path:
        write_results(path, "cache" if arguments.cache else "decode", about, rows)


def built(folder: Path) -> Reference | None:
    try:
        return Reference(folder)
    except RuntimeError as error:
        print(f"No C program to compare with ({error}): simplejpeg's decode without a resize stands in for it.")
        return None


def write_results(path: Path, part: str, about: dict, rows: list[dict]) -> None:
    """Replace one part of the results, and leave the other."""
    found = json.loads(path.read_text()) if path.exists() else {}
    found[part] = {"machine": about, "rows": rows}
    lines = [
        f'"{name}": {{\n"machine": {json.dumps(one["machine"])},\n"rows": [\n'
        + ",\n".join(json.dumps(row) for row in one["rows"])
        + "\n]}"
        for name, one in sorted(found.items())
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    sys.exit(main())
