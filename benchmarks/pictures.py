"""Pictures per second: `rowlock.Images` beside the decoder alone, Pillow, and what Keras does.

Every candidate does the same files in turns of a few milliseconds, in one process, so that a noisy machine is as
noisy for all of them. The ratio is the median over all turns of "time of this / time of rowlock": above 1 is
slower than Rowlock. Run it as ``python benchmarks/pictures.py [--cache] [folder of JPEGs]``; without photographs it
makes pictures of its own, which compress differently.

With ``--cache``: pictures per second from the cache of decoded pixels, beside the decode rate. Warm: in the system's
memory. Cold: dropped from it before each round, one batch read ahead.
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import simplejpeg
from PIL import Image

from rowlock.inputs.images import Images
from rowlock.pictures.jpeg import read_header, scale_for
from rowlock.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import AnyArray, Int64Array

PHOTOGRAPHS = Path(__file__).parents[1] / ".." / "shared" / "data" / "cats-dogs"
NUM_PICTURES, TURN_ROWS, PIECE_ROWS, NUM_ROUNDS = 256, 32, 8, 4
NUM_CACHED, BATCH_ROWS = 1024, 64


def make_pictures(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    for number in range(NUM_PICTURES):
        coarse = Image.fromarray(rng.integers(0, 256, (25, 33, 3), np.uint8))
        fine = rng.normal(0, 6, (374, 500, 3))
        pixels = np.asarray(coarse.resize((500, 374), Image.Resampling.BICUBIC)) + fine
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=87)
    return [str(folder / f"{number}.jpg") for number in range(NUM_PICTURES)]


def by_rowlock(paths: list[str], size: int) -> Callable[[Int64Array, AnyArray], None]:
    reader = Images("path", size=(size, size)).open(Table(pa.table({"path": paths})), "image")
    return lambda rows, out: reader.gather(rows, out, None)


def by_decoder_alone(paths: list[str], size: int) -> Callable[[Int64Array, AnyArray], None]:
    """Decode bytes that are in memory, at the same scale as Rowlock, and throw the pixels away: the floor."""
    files = [Path(path).read_bytes() for path in paths]
    sizes = [read_header(data)[:2] for data in files]

    def run(rows: Int64Array, out: AnyArray) -> None:  # noqa: ARG001 - nothing is kept
        for row in rows:
            (height, width), factor = sizes[row], scale_for(*sizes[row], size, size)
            simplejpeg.decode_jpeg(
                files[row],
                "RGB",
                fastdct=True,
                fastupsample=True,
                min_factor=factor,
                min_height=-(-height // factor),
                min_width=-(-width // factor),
            )

    return run


def by_pillow(paths: list[str], size: int) -> Callable[[Int64Array, AnyArray], None]:
    """Pillow at its best: a DCT scale for JPEGs, then its antialiased bilinear resize."""

    def run(rows: Int64Array, out: AnyArray) -> None:
        for place, row in enumerate(rows):
            with Image.open(paths[row]) as image:
                image.draft("RGB", (size, size))
                out[place] = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)

    return run


def as_keras(paths: list[str], size: int) -> Callable[[Int64Array, AnyArray], None]:
    """As keras.utils.load_img does by default: a full decode, then the nearest pixel (not antialiased)."""

    def run(rows: Int64Array, out: AnyArray) -> None:
        for place, row in enumerate(rows):
            with Image.open(io.BytesIO(Path(paths[row]).read_bytes())) as image:
                out[place] = image.convert("RGB").resize((size, size), Image.Resampling.NEAREST)

    return run


CANDIDATES = {
    "rowlock.Images": by_rowlock,
    "decoder alone (floor)": by_decoder_alone,
    "Pillow, antialiased": by_pillow,
    "Keras' way, not antialiased": as_keras,
}


def measure(paths: list[str], size: int, num_threads: int) -> None:
    runs = {name: make(paths, size) for name, make in CANDIDATES.items()}
    out = np.empty((TURN_ROWS, size, size, 3), np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    turns = [np.arange(first, first + TURN_ROWS) for first in range(0, len(paths) - TURN_ROWS + 1, TURN_ROWS)]
    with ThreadPoolExecutor(num_threads) as pool:
        for round_number in range(NUM_ROUNDS + 1):
            for rows in turns:
                for name, run in runs.items():
                    started = time.perf_counter()
                    pieces = range(0, TURN_ROWS, PIECE_ROWS)
                    list(pool.map(lambda at: run(rows[at : at + PIECE_ROWS], out[at : at + PIECE_ROWS]), pieces))  # noqa: B023 - done within the turn
                    if round_number:  # the first warms up
                        seconds[name].append(time.perf_counter() - started)
    ours = seconds["rowlock.Images"]
    print(f"\n{size} x {size}, {num_threads} thread(s)            pictures/s   time / rowlock's")
    for name, times in seconds.items():
        ratio = statistics.median(t / o for t, o in zip(times, ours, strict=True))
        print(f"  {name:<32} {TURN_ROWS / statistics.median(times):>9.0f} {ratio:>12.2f}")


def measure_cache(paths: list[str], size: int, num_threads: int) -> None:
    table = Table(pa.table({"path": paths}))
    rows = np.random.default_rng(0).permutation(len(paths) // BATCH_ROWS * BATCH_ROWS)
    batches = np.split(rows, len(rows) // BATCH_ROWS)
    decoding = Images("path", size=(size, size)).open(table, "image")
    seconds: dict[str, list[float]] = {
        "decode": [],
        "cached, warm": [],
        "floor: copies in memory": [],
        "cached, cold": [],
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(num_threads) as pool:
        cached = Images("path", size=(size, size), cache=Path(folder) / "pixels").open(table, "image")
        in_memory = np.empty((len(rows), size, size, 3), np.uint8)

        def copy(rows: Int64Array, out: AnyArray, _: None) -> None:
            np.take(in_memory, rows, axis=0, out=out, mode="clip")

        def run(gather, rows: Int64Array) -> AnyArray:
            out = decoding.spec.empty(len(rows))  # as for a batch, which owns its memory
            if num_threads == 1:
                gather(rows, out, None)
                return out
            pieces = range(0, len(rows), PIECE_ROWS)
            list(pool.map(lambda at: gather(rows[at : at + PIECE_ROWS], out[at : at + PIECE_ROWS], None), pieces))
            return out

        for batch in batches:  # fills it, and warms up
            in_memory[batch] = run(cached.gather, batch)
        for _ in range(NUM_ROUNDS):
            for batch, following in zip(batches, [*batches[1:], batches[0]], strict=True):
                for name, reader, gather in (
                    ("decode", decoding, decoding.gather),
                    ("cached, warm", cached, cached.gather),
                    ("floor: copies in memory", None, copy),
                ):
                    started = time.perf_counter()
                    if reader:
                        reader.will_need(following)
                    pixels = run(gather, batch)
                    seconds[name].append(time.perf_counter() - started)
                    assert (pixels == in_memory[batch]).all()
            num_bytes = drop_from_memory(Path(folder) / "pixels")
            seconds["cached, cold"] += cold_seconds(cached, run, batches)
    reference = statistics.median(seconds["decode"])
    print(f"\n{size} x {size}, {num_threads} thread(s)            pictures/s   rate / decode")
    for name, middle in ((name, statistics.median(times)) for name, times in seconds.items()):
        print(f"  {name:<32} {BATCH_ROWS / middle:>9.0f} {reference / middle:>12.1f}")
    print(f"  {num_bytes / len(paths):,.0f} bytes a picture in the cache, {_mean_bytes(paths):,.0f} in its file")


def cold_seconds(cached, run, batches: list[Int64Array]) -> list[float]:
    """Return the time of a batch, on average: the disk decides, and batches wait for those before."""
    started = time.perf_counter()
    cached.will_need(batches[0])
    for batch, following in zip(batches, [*batches[1:], batches[0]], strict=True):
        cached.will_need(following)
        run(cached.gather, batch)
    return [(time.perf_counter() - started) / len(batches)]


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


def _mean_bytes(paths: list[str]) -> float:
    return statistics.mean(Path(path).stat().st_size for path in paths)


def main() -> None:
    arguments = [argument for argument in sys.argv[1:] if argument != "--cache"]
    is_cached = "--cache" in sys.argv
    folder = Path(arguments[0]) if arguments else PHOTOGRAPHS
    with tempfile.TemporaryDirectory() as temporary:
        most = NUM_CACHED if is_cached else NUM_PICTURES
        paths = sorted(map(str, folder.glob("*.jpg")))[:most] if folder.is_dir() else []
        source = f"photographs of {folder.name}" if paths else "generated pictures"
        paths = paths or make_pictures(Path(temporary))
        megapixels = [header.height * header.width / 1e6 for header in map(_header, paths)]
        print(f"{len(paths)} {source}, {statistics.mean(megapixels):.2f} megapixels on average")
        for size in (150, 224):
            for num_threads in (1, 2):
                (measure_cache if is_cached else measure)(paths, size, num_threads)


def _header(path: str):
    return read_header(Path(path).read_bytes())


if __name__ == "__main__":
    main()
