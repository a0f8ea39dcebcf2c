"""What becomes of damaged pictures: a table of formats and kinds of damage, all read through `rl.Dataset`.

Each format runs in a process of its own, which a crash may take down and which tells its memory. Of every damaged file
it is said whether it was an error, or was delivered with other pixels than the whole file (nobody noticed), or with the
same. Every error must name the key, the path and the reason.

    python benchmarks/damage.py [--quick] [--no-bombs] [--formats JPEG PNG ...] [--json FILE]

It fails where a cut goes unnoticed, a process crashes, another error than `RowError` comes out, a message says too
little, a bomb takes 50 MiB, or something that is no picture is delivered.
"""

from __future__ import annotations

import argparse
import collections
import functools
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from pathlib import Path

import pandas as pd
from samples.damages import KINDS, not_pictures
from samples.formats import FORMATS, available, bomb, encoded
from samples.photographs import photograph

import rowlock as rl
from rowlock.errors import RowError

HEIGHT, WIDTH, NUM_CASES, NUM_QUICK, MOST_MIB = 240, 320, 150, 40, 50
SMALL = "JPEG, at 1/4"
RESULTS = Path(__file__).with_name("results") / "damage.jsonl"
OUTCOMES = ("error", "changed", "same", "crash", "other error", "poor message")


# one format, in a process of its own


def child(task: str, name: str, folder: str, first: int, number: int) -> None:
    warnings.simplefilter("ignore")  # Pillow remarks on broken TIFF directories
    {"files": damaged_files, "bomb": one_bomb, "others": other_files}[task](name, Path(folder), first, number)


def damaged_files(name: str, folder: Path, first: int, number: int) -> None:
    """Print a line of JSON a damaged file, from the `first` on."""
    made = FORMATS["JPEG" if name == SMALL else name]
    size = (HEIGHT // 4, WIDTH // 4) if name == SMALL else (HEIGHT, WIDTH)
    whole, other = (encoded(photograph(HEIGHT, WIDTH, seed), made) for seed in (1, 2))
    cases = [(kind, data) for kind, damage in KINDS.items() for data in damage(whole, other, number)]
    paths = [folder / f"{place}.{made.extension}" for place in range(len(cases) + 1)]
    for path, data in zip(paths, [whole, *(data for _, data in cases)], strict=True):
        path.write_bytes(data)
    loader = loader_of(paths, size)
    intact = loader.batch(0).inputs["image"]
    before = 0
    for place, (kind, _) in enumerate(cases, 1):
        if place == 1 or kind != cases[place - 2][0]:
            before = reset_peak()
        if place > first:
            result, reason = outcome(loader, place, paths[place], intact)
            print(json.dumps([place, kind, result, reason, (peak() - before) / 1024]), flush=True)


def one_bomb(name: str, folder: Path, *_: int) -> None:
    path = folder / f"bomb.{FORMATS[name].extension}"
    whole = path.with_name(f"whole{path.suffix}")
    whole.write_bytes(encoded(photograph(64, 64), FORMATS[name]))
    path.write_bytes(bomb(photograph(64, 64), name))
    loader = loader_of([whole, path], (150, 150))
    loader.batch(0)  # loads what it needs
    before, started = reset_peak(), time.perf_counter()
    result, reason = outcome(loader, 1, path, None)
    print(json.dumps([1, name, result, reason, (peak() - before) / 1024, time.perf_counter() - started]))


def other_files(_: str, folder: Path, *__: int) -> None:
    paths = not_pictures(folder)
    secret = paths["not to be read by this user"] = folder / "secret.jpg"
    secret.write_bytes(encoded(photograph(64, 64), FORMATS["JPEG"]))
    loader = loader_of(list(paths.values()), (150, 150))
    for place, (name, path) in enumerate(paths.items()):
        is_secret = path == secret
        if is_secret:
            secret.chmod(0)
            folder.chmod(0o755)
        is_root = os.geteuid() == 0
        if is_secret and is_root:
            os.seteuid(65534)  # nobody: no file is forbidden to root
        result, reason = outcome(loader, place, path, None)
        if is_secret and is_root:
            os.seteuid(0)
        print(json.dumps([place, name, result, reason, 0.0]), flush=True)
    wrong_extensions(folder)


def wrong_extensions(folder: Path) -> None:
    """Every format under the extension of another: delivered, the same."""
    made = list(available().items())
    paths = []
    for place, ((name, one), (_, following)) in enumerate(zip(made, [*made[4:], *made[:4]], strict=True)):
        data = encoded(photograph(64, 64), one)
        for extension in (one.extension, following.extension):
            paths.append(folder / f"extension{place} {name}.{extension}")
            paths[-1].write_bytes(data)
    loader = loader_of(paths, (64, 64))
    for place in range(0, len(paths), 2):
        intact = loader.batch(place).inputs["image"]
        result, reason = outcome(loader, place + 1, paths[place + 1], intact)
        print(json.dumps([place, "wrong extension", result, reason, 0.0]), flush=True)


def loader_of(paths: list[Path], size: tuple[int, int]):
    frame = pd.DataFrame({"id": [f"key-{place}" for place in range(len(paths))], "path": list(map(str, paths))})
    data = rl.Dataset(frame, inputs={"image": rl.Images("path", size=size)}, key="id")
    return data.batches(1, shuffle=False)


def outcome(loader, place: int, path: Path, intact) -> tuple[str, str]:
    """Return one of `OUTCOMES`, and the reason in the error's words."""
    try:
        pixels = loader.batch(place).inputs["image"]
    except RowError as error:
        message = str(error)
        says_all = f"key-{place}'" in message and str(path) in message and len(error.reason) > 10
        return ("error" if says_all else "poor message"), error.reason
    except Exception as error:  # noqa: BLE001 - it is counted, and fails the benchmark
        return "other error", repr(error)
    return ("same" if intact is not None and (pixels == intact).all() else "changed"), ""


def status(name: str) -> int:
    """Return a line of /proc/self/status, in KiB; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def reset_peak() -> int:
    """Let the highest memory be that of now, and return it in KiB."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    return peak()


peak = functools.partial(status, "VmHWM")


# all of them


def run_child(task: str, name: str, number: int) -> list[list]:
    """Return the lines of a child; where it crashed, start another behind that case."""
    lines: list[list] = []
    first = 0
    while True:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            command = [sys.executable, __file__, "--child", task, name, folder, str(first), str(number)]
            run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        lines += [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
        if run.returncode == 0:
            return lines
        if run.returncode > 0:
            raise RuntimeError(run.stderr)
        first = (lines[-1][0] if lines else 0) + 1
        kind = lines[-1][1] if lines else "cut"
        lines.append([first, kind, "crash", f"signal {-run.returncode}", 0.0])


def table_of_damage(names: list[str], number: int) -> list[dict]:
    print(f"\nDamaged files of {WIDTH} x {HEIGHT}: errors / delivered with other pixels / delivered unchanged\n")
    print(f"{'':<18}" + "".join(f"{kind:>15}" for kind in KINDS) + "   MiB")
    rows = []
    for name in names:
        lines = run_child("files", name, number)
        counts = {kind: collections.Counter(line[2] for line in lines if line[1] == kind) for kind in KINDS}
        grown = max(line[4] for line in lines)
        cells = [" / ".join(str(counts[kind][result]) for result in OUTCOMES[:3]) for kind in KINDS]
        print(f"{name:<18}" + "".join(f"{cell:>15}" for cell in cells) + f"{grown:>6.0f}")
        rows += [{"format": name, "damage": kind, **counts[kind]} for kind in KINDS]
        rows[-1]["grown_mib"] = round(grown, 1)
        for line in lines:
            if line[2] not in OUTCOMES[:3]:
                print(f"    case {line[0]}, {line[1]}: {line[2]}: {line[3]}")
    return rows


def table_of_bombs(names: list[str]) -> list[dict]:
    print("\nBombs: small files whose headers promise 20,000 x 20,000 pixels\n")
    print(f"{'MiB':>86}{'ms':>8}")
    rows = []
    for name in names:
        ((_, _, result, reason, grown, seconds),) = run_child("bomb", name, 0)
        print(f"{name:<18}{shortened(result, reason, 60):<62}{grown:>6.1f}{seconds * 1000:>8.1f}")
        rows.append({"format": name, "damage": "bomb", result: 1, "grown_mib": round(grown, 1), "reason": reason})
    return rows


def table_of_others() -> list[dict]:
    print("\nOther things under the names of pictures\n")
    lines = run_child("others", "-", 0)
    extensions = [line for line in lines if line[1] == "wrong extension"]
    same = sum(line[2] == "same" for line in extensions)
    for _, name, result, reason, _ in lines:
        if name != "wrong extension":
            print(f"{name:<30}{shortened(result, reason, 68)}")
    print(f"{'wrong extension':<30}delivered as with the right one: {same} of {len(extensions)} formats")
    rows = [{"format": "-", "damage": line[1], line[2]: 1, "reason": line[3]} for line in lines]
    return [row for row in rows if row["damage"] != "wrong extension"] + [
        {"format": "-", "damage": "wrong extension", "same": same, "changed": len(extensions) - same}
    ]


def shortened(result: str, reason: str, width: int) -> str:
    return textwrap.shorten(f"{result}: {reason}", width, placeholder=" ...")


def broken_promises(rows: list[dict]) -> list[str]:
    """Return what must not be: one line each."""
    found = []
    for row in rows:
        where = f"{row['format']}, {row['damage']}"
        found += [f"{where}: {row[bad]} x {bad}" for bad in OUTCOMES[3:] if row.get(bad)]
        if row.get("changed") and row["damage"] not in ("zeros", "noise", "another's", "bit flip"):
            found.append(f"{where}: {row['changed']} delivered, and nobody noticed")
        if row["damage"] == "bomb" and row["grown_mib"] >= MOST_MIB:
            found.append(f"{where}: memory grew by {row['grown_mib']} MiB")
        if row["damage"] == "bomb" and "max_pixels" not in row["reason"]:
            found.append(f"{where}: the reason does not name max_pixels")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What becomes of damaged pictures.")
    parser.add_argument("--quick", action="store_true", help=f"{NUM_QUICK} files a kind of damage")
    parser.add_argument("--no-bombs", action="store_true", help="leave them out; tests/test_pictures.py has them too")
    parser.add_argument("--formats", nargs="*", help="only these")
    parser.add_argument("--json", type=Path, help=f"where counts go; by default {RESULTS.name}, but for --quick")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, name, folder, first, number = arguments.child
        child(task, name, folder, int(first), int(number))
        return
    sys.stdout.reconfigure(line_buffering=True)
    formats = [name for name in available() if not arguments.formats or name in arguments.formats]
    names = [SMALL, *formats] if "JPEG" in formats else formats
    rows = table_of_damage(names, NUM_QUICK if arguments.quick else NUM_CASES)
    rows += [] if arguments.no_bombs else table_of_bombs(formats)
    rows += table_of_others()
    path = arguments.json or (None if arguments.quick or arguments.formats or arguments.no_bombs else RESULTS)
    if path:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for line in (found := broken_promises(rows)):
        print("BROKEN:", line)
    print(f"\n{len(found)} broken promises")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
