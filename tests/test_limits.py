"""Few descriptors, no threads, no shared memory: it works, or says which limit to raise; it never hangs.

This file is also the program that is limited: ``python test_limits.py NAME FOLDER ...``.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import RowlockError

SIDE = 16


class Small(rl.Input):
    def open(self, table, name):
        return SmallReader()


class SmallReader(rl.Reader):
    spec = ArraySpec((4,), np.dtype("int64"))
    piece_rows = 1

    def gather(self, rows, out, draw):
        out[:] = rows[:, None]


def jpeg(level, side=SIDE):
    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level,) * 3).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def pictures_and_store(folder, num_rows):
    """Grey pictures and a store of many shards, both of which tell the row."""
    levels = [jpeg(level) for level in range(0, 256, 8)]
    paths = [folder / f"{row}.jpg" for row in range(num_rows)]
    for row, path in enumerate(paths):
        path.write_bytes(levels[row % 32])
    keys = np.arange(num_rows)
    matrix = np.repeat(keys[:, None], 8, axis=1).astype(np.float32)
    rl.FeatureStore.write(folder / "s.zarr", matrix[::-1], keys=keys[::-1], shard_bytes=32 * (num_rows // 7))
    frame = pd.DataFrame({"id": keys, "path": list(map(str, paths))})
    inputs = {"i": rl.Images("path", size=(SIDE, SIDE)), "f": rl.Features(folder / "s.zarr", key="id")}
    return rl.Dataset(frame, inputs, target=rl.Column("id"), key="id")


def require_all_rows(loader):
    """Go through an epoch; every row once, and its own picture and features."""
    rows = []
    for batch in loader:
        level = batch.inputs["i"].mean((1, 2, 3))
        right = (batch.inputs["f"] == batch.keys[:, None]).all() and (abs(level - batch.keys % 32 * 8) < 3).all()
        if not right:
            raise RuntimeError("a row is not its own")
        rows += batch.rows.tolist()
    if sorted(rows) != list(range(len(loader.dataset))):
        raise RuntimeError("a row is missing or repeated")
    return len(rows)


def limit(kind, value):
    resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def run(*arguments, prefix=(), timeout=600):
    """Run this file as a program of its own; return what it printed."""
    done = subprocess.run(
        [*prefix, sys.executable, __file__, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, f"{arguments}: {done.stdout[-500:]} {done.stderr[-3000:]}"
    return json.loads(done.stdout)


# --- descriptors ------------------------------------------------------------------------------------------


def few_descriptors(folder):
    limit(resource.RLIMIT_NOFILE, 64)
    data = pictures_and_store(folder, 10_000)
    with rl.Engine(num_threads=16, prefetch=32) as engine:
        return require_all_rows(data.batches(64, seed=1, engine=engine))


@pytest.mark.slow
def test_ten_thousand_pictures_and_many_shards_need_no_more_than_64_descriptors(tmp_path):
    assert run("few_descriptors", tmp_path) == 10_000
    assert sum(path.stat().st_size > 40_000 for path in tmp_path.glob("s.zarr/**/*")) >= 7  # shards


def no_descriptors(folder, on_error):
    """Use up all descriptors, as a program with many sockets does, and ask for pictures."""
    data = pictures_and_store(folder, 40)
    with rl.Engine(num_threads=1) as engine:
        list(data.batches(40, engine=engine))
    limit(resource.RLIMIT_NOFILE, 40)
    taken = []
    try:
        while True:
            taken.append(os.open(folder, os.O_RDONLY))
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    with data.batches(8, on_error=on_error, max_bad=1) as loader:
        try:
            list(loader)
            said = None
        except (RowlockError, OSError) as error:
            said = "".join(traceback.format_exception(error))
        for descriptor in taken:
            os.close(descriptor)
        return {"said": said, "num_bad": len(loader.bad_rows), "afterwards": require_all_rows(data.batches(8))}


@pytest.mark.parametrize("on_error", ["raise", "mask", "skip"])
def test_without_a_descriptor_the_limit_is_named_and_no_row_is_called_bad(tmp_path, on_error):
    found = run("no_descriptors", tmp_path, on_error)
    assert found["num_bad"] == 0
    assert "raise the limit (ulimit -n)" in found["said"]
    assert found["afterwards"] == 40


# --- threads ----------------------------------------------------------------------------------------------


def forked(work, seconds=300):
    """Run a function in a forked child; return what it returned, or 'hung'."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, work().encode()[:1000])
        os._exit(0)
    os.close(write_end)
    deadline = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hung"
        time.sleep(0.005)
    with os.fdopen(read_end) as pipe:
        return pipe.read() or "died"


def no_threads(folder):
    """As another user than root, who is above the limit, start no thread."""
    list(rl.Dataset(pd.DataFrame({"n": [1, 2]}), {"s": Small()}).batches(1))

    def work():
        if os.getuid() == 0:
            os.setuid(65534)
        limit(resource.RLIMIT_NPROC, 1)
        data = rl.Dataset(pd.DataFrame({"n": np.arange(9)}), {"s": Small()})
        try:
            list(data.batches(3, engine=rl.Engine(num_threads=2)))
        except (RuntimeError, RowlockError) as error:
            return f"{type(error).__name__}: {error}"
        return "whole"

    return forked(work)


def test_where_no_thread_may_start_an_error_says_so_at_once(tmp_path):
    said = run("no_threads", tmp_path)
    assert "can't start new thread" in said or said == "whole"


# --- shared memory ----------------------------------------------------------------------------------------


def names_in_shared_memory():
    return {path.name for path in Path("/dev/shm").iterdir()}


def shared_memory(folder):
    before = names_in_shared_memory()
    data = pictures_and_store(folder, 200)
    seen = set()
    with rl.Engine(num_threads=4, prefetch=8) as engine, data.batches(8, engine=engine) as loader:
        for _ in loader:
            seen |= names_in_shared_memory()
    return {"rows": require_all_rows(data.batches(9)), "left": sorted((seen | names_in_shared_memory()) - before)}


def test_nothing_is_put_into_shared_memory(tmp_path):
    found = run("shared_memory", tmp_path)
    assert found["rows"] == 200
    assert not [name for name in found["left"] if "rowlock" in name.lower()]


def test_a_container_with_hardly_any_shared_memory_is_enough(tmp_path):
    own = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro,size=4k none /dev/shm && exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount")
    assert run("shared_memory", tmp_path, prefix=own) == {"rows": 200, "left": []}


if __name__ == "__main__":
    name, folder = sys.argv[1], Path(sys.argv[2])
    sys.stdout.write(json.dumps(globals()[name](folder, *sys.argv[3:])))
