"""What 10,000 to 100,000,000 rows cost: a table that stays in files, joined to a store by key, split, delivered.

For each size it writes a Parquet table (a key, a path, a label, a number) and a feature store of as many keys in
another order, both in a stream, and measures in processes of their own: opening and a stratified split with nothing
kept beside the table (cold), both again (warm), the first batch, the state of a run, rows a second. Pictures are
virtual: a reader takes the path of each row and writes the key that it names into the pixels. Every batch is checked by
value: pixels, features, label, number and key must be of one row. Beside it, as a reference, the same from a pandas
frame.

Memory is that of the process, peak over its life: anonymous (its own) apart from mapped (which the system may take
back).

    python benchmarks/scale.py [--full] [--sizes 1e4,1e5] [--keys text] [--folder DIR] [--no-frame]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.permutation import permute
from rowlock.pictures.paths import PathColumn

SIZES = [10**4, 10**5, 10**6, 10**7]
LARGEST = 10**8
LARGEST_FRAME = 10**7
BLOCK_ROWS = 1 << 20
BATCH = 256
MEASURED_SECONDS = 5.0
RESULTS = Path(__file__).parent / "results"
CHECKED = "every value of every batch was that of its key"


def keys_of(first, stop, num_rows, order):
    """Return the keys of some rows of an order of all: the table has one, the store another."""
    return permute(np.arange(first, stop), num_rows, order, 0) * 7 + 3


def blocks(num_rows, order):
    for first in range(0, num_rows, BLOCK_ROWS):
        yield keys_of(first, min(first + BLOCK_ROWS, num_rows), num_rows, order)


def as_keys(numbers, kind):
    if kind == "int":
        return pa.array(numbers)
    return pc.binary_join_element_wise("a", pc.utf8_lpad(pa.array(numbers).cast("string"), 10, "0"), "")


def numbers_of(keys):
    """Return the numbers in keys as they are delivered."""
    return keys if keys.dtype == np.int64 else np.array([key[1:] for key in keys], np.int64)


def features_of(numbers):
    return np.stack([numbers % 251, numbers // 251 % 241], axis=1).astype(np.uint8)


def write_table(path, num_rows, kind, stop=None):
    schema = pa.schema(
        {"object_id": pa.int64() if kind == "int" else pa.string(), "path": pa.string(), "label": pa.string(),
         "number": pa.float32()}
    )  # fmt: skip
    with pq.ParquetWriter(path, schema) as writer:
        for block in blocks(num_rows, 1):
            numbers = block[:stop]
            folder = pa.array(numbers % 1000).cast("string")
            paths = pc.binary_join_element_wise("photos", folder, pc.binary_join_element_wise(
                pa.array(numbers).cast("string"), ".jpg", ""), "/")  # fmt: skip
            labels = pa.array(np.array(["bird", "cat", "dog"])[numbers % 3])
            columns = [as_keys(numbers, kind), paths, labels, pa.array((numbers % 1000).astype(np.float32))]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            if stop is not None:
                break


def write_store(path, num_rows, kind):
    keyed = ((as_keys(numbers, kind), features_of(numbers)) for numbers in blocks(num_rows, 2))
    rl.FeatureStore.write(path, keyed, key_name="object_id", layout="raw", dtype="uint8")


class VirtualPictures(rl.Input):
    """Pictures that need no disk: what is drawn is the number in the file's name."""

    def open(self, table, name):  # noqa: ARG002 - the rows' numbers are all there is
        return VirtualReader(PathColumn(table.column("path"), "path"))


class VirtualReader(rl.Reader):
    """Takes the path of each row, as pictures do, and draws the number in it."""

    spec = ArraySpec((8, 8, 3), np.dtype("uint8"))

    def __init__(self, paths):
        self.paths = paths

    def gather(self, rows, out, draw):  # noqa: ARG002 - nothing is drawn
        numbers = [int(path[path.rindex(b"/") + 1 : -4]) for path in self.paths.take(rows)]
        flat = out.reshape(len(rows), -1)
        flat[:, :8] = np.array(numbers, np.int64).view(np.uint8).reshape(-1, 8)
        flat[:, 8:] = flat[:, :1]

    @property
    def fingerprint(self):
        return self.paths.digest()


def dataset(table, store):
    return rl.Dataset(
        table,
        {"image": VirtualPictures(), "features": rl.Features(store, dtype="uint8"), "number": rl.Column("number")},
        target=rl.Labels("label"),
        key="object_id",
    )


def check(batch):
    numbers = numbers_of(batch.keys)
    pixels = batch.inputs["image"].reshape(len(numbers), -1)
    if not (
        np.array_equal(np.ascontiguousarray(pixels[:, :8]).view(np.int64)[:, 0], numbers)
        and np.array_equal(batch.inputs["features"], features_of(numbers))
        and np.array_equal(batch.inputs["number"], numbers % 1000)
        and np.array_equal(batch.target, numbers % 3)
    ):
        sys.exit(f"rows of different keys in step {batch.step}")


class Memory:
    """The most anonymous memory that this process had, looked at a hundred times a second."""

    def __init__(self):
        self.peak = 0
        threading.Thread(target=self._watch, daemon=True).start()

    @staticmethod
    def now(field="RssAnon"):
        """Return a figure of the process in bytes."""
        return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) * 1024

    def _watch(self):
        while True:
            self.peak = max(self.peak, self.now())
            time.sleep(0.01)

    def since(self):
        """Return the peak since the last call."""
        peak, self.peak = max(self.peak, self.now()), 0
        return peak


def measure(kind, table, store):
    """Run in a process of its own: open, split, deliver; print what was found as JSON."""
    import pandas as pd

    warm_up(table.parent, store)
    memory, found = Memory(), {}
    found["before_bytes"] = memory.since()

    def timed(name, function):
        started = time.perf_counter()
        result = function()
        found[f"{name}_seconds"] = time.perf_counter() - started
        found[f"{name}_bytes"] = memory.since() - found["before_bytes"]
        found[f"after_{name}_bytes"] = memory.now() - found["before_bytes"]
        return result

    data = timed("open", lambda: dataset(pd.read_parquet(table) if kind == "frame" else str(table), store))
    train = timed("split", lambda: data.split(0.8, 0.1, 0.1, stratify="label", seed=0))[0]
    if kind != "cold":
        loader = train.batches(BATCH, seed=7)
        epoch = iter(loader)
        check(timed("first", lambda: next(epoch)))
        timed("state", loader.state_dict)
        num_rows, started = 0, time.perf_counter()
        for batch in epoch:
            check(batch)
            num_rows += len(batch)
            if time.perf_counter() - started > MEASURED_SECONDS:
                break
        found["rows_per_second"] = num_rows / (time.perf_counter() - started)
        found["num_checked"] = num_rows
        found["run_bytes"] = memory.since() - found["before_bytes"]
    found["resident_bytes"] = Memory.now("VmHWM")
    print(json.dumps(found))


def warm_up(folder, store):
    """Load and compile what is loaded and compiled once a process, on a few rows."""
    data = dataset(str(folder / "warm-up.parquet"), store)
    next(iter(data.split(0.5, 0.5, stratify="label")[0].batches(8, seed=1)))


def run(kind, table, store):
    command = [sys.executable, __file__, "--measure", kind, str(table), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    if done.returncode:
        sys.exit(f"{kind}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def used_bytes(path):
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files)


def of_size(num_rows, options, folder):
    table, store = folder / "table.parquet", folder / "store.zarr"
    started = time.perf_counter()
    write_table(table, num_rows, options.keys)
    written = time.perf_counter()
    write_table(folder / "warm-up.parquet", num_rows, options.keys, stop=1000)
    write_store(store, num_rows, options.keys)
    found = {"num_rows": num_rows, "keys": options.keys, "write_table_seconds": written - started}
    found["write_store_seconds"] = time.perf_counter() - written
    found["table_bytes"], found["store_bytes"] = used_bytes(table), used_bytes(store)
    cache = folder / "table.parquet.rowlock"
    found["cold"] = run("cold", table, store)
    found["cache_bytes"] = used_bytes(cache)
    found["warm"] = run("warm", table, store)
    if num_rows <= LARGEST_FRAME and not options.no_frame:
        found["frame"] = run("frame", table, store)
    for path in (cache, store):
        shutil.rmtree(path)
    table.unlink()
    (folder / "warm-up.parquet").unlink()
    shutil.rmtree(folder / "warm-up.parquet.rowlock")
    return found


HEAD = (
    "       rows | open cold   warm  frame | split cold   warm | first batch  state | rows/s   frame"
    " | own bytes a row: cold   open    run  frame | resident"
)


def line(found):
    warm, frame, rows = found["warm"], found.get("frame"), found["num_rows"]
    cold = found["cold"]
    per_row = [peak(cold) / rows, warm["open_bytes"] / rows, warm["run_bytes"] / rows]
    none = float("nan")
    framed = (frame["open_seconds"], frame["rows_per_second"], frame["run_bytes"] / rows) if frame else (none,) * 3
    return (
        f"{rows:>11,} | {cold['open_seconds']:7.2f} s {warm['open_seconds']:6.2f} {framed[0]:6.2f}"
        f" | {cold['split_seconds']:8.2f} s {warm['split_seconds']:6.3f}"
        f" | {warm['first_seconds']:11.3f} {warm['state_seconds']:6.2f}"
        f" | {warm['rows_per_second']:6,.0f} {framed[1]:7,.0f}"
        f" | {per_row[0]:21.1f} {per_row[1]:6.1f} {per_row[2]:6.1f} {framed[2]:6.1f}"
        f" | {warm['resident_bytes'] / 1e6:5,.0f} MB"
    )


def report(found):
    print(HEAD)
    for one in found:
        print(line(one))
    one = found[-1]
    rate = one["cache_bytes"] / one["cold"]["open_seconds"]
    print(f"\nfirst opening: {rate / 1e6:,.0f} MB/s of what is kept afterwards; {CHECKED}.")
    print(
        f"{one['num_rows']:,} rows: table {one['table_bytes'] / 1e9:.2f} GB, kept {one['cache_bytes'] / 1e9:.2f} GB,"
        f" store {one['store_bytes'] / 1e9:.2f} GB. Own memory is counted beyond the"
        f" {one['warm']['before_bytes'] / 1e6:,.0f} MB that the process had before it opened anything."
    )


SECONDS = (
    ("open, first time", "cold", "open_seconds", "#d1660f"),
    ("split, first time", "cold", "split_seconds", "#2b8a3e"),
    ("open again", "warm", "open_seconds", "#1f5fa8"),
    ("split again", "warm", "split_seconds", "#8a6d1f"),
    ("first batch", "warm", "first_seconds", "#7b4fa3"),
)
PARTS = ("open_bytes", "split_bytes", "run_bytes")


def peak(measured):
    """Return the most memory that a process had of its own."""
    return max(measured.get(part, 0) for part in PARTS)


def draw(found, path):
    """Draw time and memory over rows; each curve has its name at its end."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.5, 4.8), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    rows = [one["num_rows"] for one in found]
    framed = [one for one in found if "frame" in one]
    times = [(label, [one[kind][name] for one in found], color) for label, kind, name, color in SECONDS]
    memory = [
        ("files, mapped", [(one["cache_bytes"] + one["store_bytes"]) / 1e6 for one in found], "#2b8a3e"),
        ("its own, first time", [peak(one["cold"]) / 1e6 for one in found], "#d1660f"),
        ("its own, again", [peak(one["warm"]) / 1e6 for one in found], "#1f5fa8"),
    ]
    pandas = (
        [one["frame"]["open_seconds"] for one in framed],
        [peak(one["frame"]) / 1e6 for one in framed],
    )
    sides = ((left, times, pandas[0], "seconds"), (right, memory, pandas[1], "megabytes"))
    for axes, curves, reference, unit in sides:
        for _, values, color in curves:
            axes.plot(rows, values, color=color, marker="o", markersize=4, linewidth=1.8)
        if framed:
            over = [one["num_rows"] for one in framed]
            axes.plot(over, reference, "--", color="#777777", marker="o", markersize=3, linewidth=1.4)
            axes.annotate(
                "pandas, all in memory", (over[-1], reference[-1]), (-6, 8),
                textcoords="offset points", color="#777777", fontsize=9, ha="right",
            )  # fmt: skip
        set_axes(axes, rows, unit)
        name_curves(axes, rows[-1], curves)
    figure.suptitle("From a Parquet file to the first batch, each row joined to a store by key", x=0.01, ha="left")
    figure.savefig(path)


def set_axes(axes, rows, unit):
    axes.set(xscale="log", yscale="log", xlabel="rows of the table", xlim=(rows[0] / 1.5, rows[-1] * 20))
    axes.set_title(unit, loc="left", fontsize=11)
    axes.set_xticks(rows, [_short(num_rows) for num_rows in rows], fontsize=9)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.12g}")
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def _short(num_rows):
    """Write 100,000,000 as 100 M."""
    for unit, letter in ((10**6, " M"), (10**3, " k")):
        if num_rows >= unit:
            return f"{num_rows / unit:g}{letter}"
    return str(num_rows)


def _figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def name_curves(axes, last, curves):
    """Write the names beside the ends, so far apart that none covers another."""
    low, high = np.log10(axes.get_ylim())
    place = -np.inf
    for label, values, color in sorted(curves, key=lambda curve: curve[1][-1]):
        place = max(np.log10(max(values[-1], 1e-9)), place + 0.055 * (high - low))
        axes.annotate(
            f"{label}: {_figure(values[-1])}", (last, 10**place), (8, 0), textcoords="offset points", color=color,
            fontsize=9, va="center",
        )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"up to {LARGEST:,} rows, which take about 13 GB of disk")
    parser.add_argument("--sizes", type=lambda text: [int(float(size)) for size in text.split(",")], default=SIZES)
    parser.add_argument("--keys", choices=["int", "text"], default="int")
    parser.add_argument("--no-frame", action="store_true", help="leave the pandas frame out")
    parser.add_argument("--folder", type=Path, help="where there is room")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for scale.json and scale.png")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, table, store = options.measure
        measure(kind, Path(table), Path(store))
        return
    sizes = [*options.sizes, LARGEST] if options.full else options.sizes
    found = []
    for num_rows in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found.append(of_size(num_rows, options, Path(folder)))
            print(f"{num_rows:,} rows done", file=sys.stderr)
    report(found)
    options.results.mkdir(parents=True, exist_ok=True)
    facts = {"python": platform.python_version(), "processors": os.cpu_count(), "sizes": found}
    (options.results / "scale.json").write_text(json.dumps(facts, indent=1) + "\n")
    draw(found, options.results / "scale.png")
    print(f"wrote {options.results / 'scale.json'} and scale.png")


if __name__ == "__main__":
    main()
