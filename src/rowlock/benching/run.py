"""The measurements, each for a share of the time; all read the same rows."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rowlock.benching.page_cache import drop
from rowlock.benching.reference import references
from rowlock.benching.report import Bench, Run
from rowlock.engine import Engine
from rowlock.inputs import Features, Images
from rowlock.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rowlock.arrays import Int64Array
    from rowlock.dataset import Dataset
    from rowlock.stats import LoaderStats

__all__ = ["bench", "sweep"]

_LEAST_ROWS: Final = 256
_MOST_REFERENCE_PICTURES: Final = 20_000


def bench(
    make: Callable[[str | None], Dataset],
    *,
    seconds: float = 20.0,
    batch_size: int = 64,
    seed: int = 0,
    with_references: bool = True,
    say: Callable[[str], object] = lambda _: None,
) -> Bench:
    """Measure how fast batches can be read.

    Parameters
    ----------
    make : callable
        Returns the dataset, with the given folder as cache of decoded pictures, or None for none; is called several
        times, since a mapped file cannot leave the system's memory before it is closed.
    seconds : float
        For all measurements together, but for starting the frameworks of the references.
    say : callable
        Is told what is measured next.
    """
    with closing(make(None)) as data:
        named, most = _definitions(data), num_processors()
        has_pictures = any(isinstance(what, Images) for what in named.values())
        threads = sweep(most)
        share = seconds / (2 + len(threads) - 1 + 2 * has_pictures + 2 * (with_references and has_pictures))
        result = Bench(len(data), batch_size)
        say("how fast it is, roughly")
        rows = _enough(data, batch_size, share, seed)
        files = _files(data, named, rows)
    _cold(make, rows, files, result, say)
    with closing(make(None)) as data:
        chosen = data.select(rows)
        say("warm")
        _note_stages(result, _timed(result, "warm", chosen, most, share, seed))
        for count in threads[:-1]:
            say(f"warm, {count} threads")
            _timed(result, "warm", chosen, count, share, seed)
    if has_pictures:
        _cached(make, rows, share, seed, result, say)
        if with_references:
            say("the plain loops of other libraries")
            pictures = [path for path in files if isinstance(path, bytes)][:_MOST_REFERENCE_PICTURES]
            size = next(what.size for what in named.values() if isinstance(what, Images))
            result.references.extend(references(pictures, size, batch_size, most, share))
    return result


def sweep(most: int) -> list[int]:
    """Return 1, 2, 4, ... and `most`."""
    return sorted({most, *(2**power for power in range(most.bit_length()) if 2**power <= most)})


def _cold(
    make: Callable[[str | None], Dataset],
    rows: Int64Array,
    files: list[Any],
    result: Bench,
    say: Callable[[str], object],
) -> None:
    """Read every row once, after the system was asked to forget the files."""
    say("cold")
    if not files:
        result.notes.append("nothing is read from files, so there is nothing cold")
        return
    if not drop(files):
        result.notes.append("cold was not measured: this system cannot be asked to forget files")
        return
    with closing(make(None)) as data, Engine() as engine:
        loader = data.select(rows).batches(result.batch_size, seed=1, **_LENIENT, engine=engine)
        for _ in loader:
            pass
        stats = loader.stats()
        loader.close()
    result.runs.append(Run("cold", stats.num_threads, stats.num_rows, stats.elapsed_seconds))


def _cached(
    make: Callable[[str | None], Dataset], rows: Int64Array, share: float, seed: int, result: Bench,
    say: Callable[[str], object],
) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="rowlock-bench-") as folder, closing(make(folder)) as data:
        say("filling a cache of decoded pictures")
        chosen = data.select(rows)
        for _ in chosen.batches(result.batch_size, shuffle=False, **_LENIENT):
            pass
        say("cached")
        _timed(result, "cached", chosen, num_processors(), share, seed)


_LENIENT: Final[dict[str, Any]] = {"on_error": "mask", "max_bad": 1.0, "augment": False}


def _timed(result: Bench, name: str, data: Dataset, num_threads: int, seconds: float, seed: int) -> LoaderStats:
    with Engine(num_threads=num_threads) as engine:
        loader = data.batches(min(result.batch_size, len(data)), seed=seed, **_LENIENT, engine=engine)
        batches = _endless(loader)
        next(batches)  # starting is not counted
        before, stop = loader.stats(), time.perf_counter() + seconds
        for _ in batches:
            if time.perf_counter() >= stop:
                break
        stats = loader.stats() - before
        loader.close()
    result.runs.append(Run(name, num_threads, stats.num_rows, stats.elapsed_seconds))
    return stats


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def _note_stages(result: Bench, stats: LoaderStats) -> None:
    result.stages.update({name: cost.stages for name, cost in stats.inputs.items()})
    result.wait_share, result.advice = stats.wait_share, stats.advice
    result.memory_bytes = stats.memory.peak_bytes + stats.memory.scratch_bytes


def _enough(data: Dataset, batch_size: int, seconds: float, seed: int) -> Int64Array:
    """Return as many rows, drawn by chance, as can be read in about that time."""
    trial = Bench(len(data), batch_size)
    _timed(trial, "trial", data, num_processors(), min(1.0, seconds), seed)
    count = max(_LEAST_ROWS, batch_size * 4, int(trial.runs[0].rows_per_second * seconds))
    rng = np.random.default_rng((seed, 0xBE7C4))
    return np.sort(rng.choice(len(data), min(count, len(data)), replace=False))


def _definitions(data: Dataset) -> dict[str, Any]:
    opened = data._opened  # noqa: SLF001 - how it was written down is no business of users
    return {name: what for role, name, what in opened.roles if role == "input"}


def _files(data: Dataset, named: dict[str, Any], rows: Int64Array) -> list[bytes | Path]:
    """Return every file that these rows are read from: bytes for pictures, paths for stores."""
    from rowlock.checking.files import picture_files  # noqa: PLC0415 - pyarrow is loaded where there are pictures
    from rowlock.checking.run import part_of  # noqa: PLC0415 - loads pyarrow
    from rowlock.checking.subject import Subject  # noqa: PLC0415 - loads pyarrow

    found: list[bytes | Path] = list(picture_files(Subject([part_of("data", data.select(rows))])).paths)
    for what in named.values():
        if isinstance(what, Features) and isinstance(what.source, str):
            place = Path(what.source)
            found += [file for file in place.rglob("*") if file.is_file()] if place.is_dir() else [place]
    return found
