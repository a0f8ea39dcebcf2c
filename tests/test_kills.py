"""Training that is killed, a hundred times, and started again: every planned row in its turn, once, and the same end.

This file is also the program that is killed: ``python test_kills.py FOLDER NUM_KILLS SEED``. It forks a trainer, which
makes its dataset, its loader and its threads anew as a new process would; kills it a moment after a random number of
steps, or while it begins; and forks the next one, until all epochs are there.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rowlock as rl

NUM_ROWS, NUM_EPOCHS, BATCH_SIZE, SEED, NUM_COLUMNS = 300, 3, 12, 4, 6
STEPS_A_SAVE = 3
BAD = (17, 203, 204)
SIDE = 16


def write_data(folder):
    """Pictures whose grey level tells the row (some cut off), and a store in another order."""
    import io

    from PIL import Image

    paths = []
    for row in range(NUM_ROWS):
        stream = io.BytesIO()
        Image.new("RGB", (SIDE, SIDE), (row % 256,) * 3).save(stream, "JPEG", quality=95)
        data = stream.getvalue()
        paths.append(folder / f"{row}.jpg")
        paths[-1].write_bytes(data[: len(data) // 2] if row in BAD else data)
    order = np.random.default_rng(1).permutation(NUM_ROWS)
    matrix = np.arange(NUM_ROWS)[:, None] * 10 + np.arange(NUM_COLUMNS)
    keys = np.array([f"k{row}" for row in range(NUM_ROWS)])
    rl.FeatureStore.write(folder / "f.zarr", matrix[order].astype(np.float32), keys=keys[order], shard_bytes=2400)
    pd.DataFrame({"id": keys, "path": list(map(str, paths)), "n": np.arange(NUM_ROWS)}).to_parquet(folder / "t.parquet")


def loader_of(folder, run, engine):
    inputs = {"image": rl.Images("path", size=(SIDE, SIDE)), "f": rl.Features(folder / "f.zarr", key="id")}
    data = rl.Dataset(pd.read_parquet(folder / "t.parquet"), inputs, target=rl.Column("n"), key="id")
    return data.batches(
        BATCH_SIZE, seed=SEED, on_error="mask", max_bad=1, bad_rows_file=run / "bad.jsonl", engine=engine
    )


def learnt(model, batch):
    """Return what a model that saw this batch becomes: it depends on every byte and on the order."""
    digest = hashlib.blake2b(bytes.fromhex(model), digest_size=16)
    weight = np.ones(len(batch), np.float32) if batch.sample_weight is None else batch.sample_weight
    for array in (batch.inputs["image"], batch.inputs["f"], batch.target, weight, batch.rows):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def replace(file, text):
    beside = file.with_name(file.name + ".new")
    beside.write_text(text)
    beside.replace(file)


def train(folder, run, tell=None):
    """The program of a careful user: goes on from the last checkpoint, and saves one every few steps."""
    saved = run / "checkpoint.json"
    checkpoint = json.loads(saved.read_text()) if saved.exists() else {"model": "00" * 16, "loader": None}
    rng = random.Random(os.getpid())
    engine = rl.Engine(num_threads=rng.randint(1, 3), prefetch=rng.choice([0, 1, 4, 30]))
    loader = loader_of(folder, run, engine)
    if checkpoint["loader"] is not None:
        loader.load_state_dict(checkpoint["loader"])
    journal = os.open(run / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    model, num_steps = checkpoint["model"], 0
    while loader.state_dict()["epoch"] < NUM_EPOCHS:
        for batch in loader:
            model = learnt(model, batch)
            row_text = " ".join(map(str, batch.rows.tolist()))
            os.write(journal, f"step {batch.step} {batch.epoch} {row_text}\n".encode())
            num_steps += 1
            if tell is not None:
                os.write(tell, b"x")
                time.sleep(0.002)
            if num_steps % STEPS_A_SAVE == 0 or loader.state_dict()["epoch"] == NUM_EPOCHS:
                replace(saved, json.dumps({"model": model, "loader": loader.state_dict()}))
                os.write(journal, f"save {loader.state_dict()['step']}\n".encode())
    engine.close()


def fork(work):
    """Run a function in a forked child; return its number, and the end of a pipe that it tells its steps into."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work(tell)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    os.close(tell)
    return child, ready


def killed_after(child, ready, num_steps, seconds):
    """Kill the child so long after so many steps, unless it ended before; return whether it was still at work."""
    is_over = any(os.read(ready, 1) == b"" for _ in range(num_steps))
    if not is_over:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    ended_with = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(ready)
    if ended_with not in (0, -signal.SIGKILL):
        raise RuntimeError("a trainer failed by itself")
    return ended_with != 0


def kill_again_and_again(folder, num_kills, seed):
    rng = random.Random(seed)
    write_data(folder)
    whole = folder / "whole"
    whole.mkdir()
    train(folder, whole)  # the run that nothing interrupts; it also loads whatever the children need
    planned = planned_rows()
    require_planned(whole, planned)
    kills, runs, resumed = 0, 0, 0
    while kills < num_kills:
        run = folder / f"run{runs}"
        run.mkdir()
        while True:
            child, ready = fork(lambda tell, run=run: train(folder, run, tell))
            if not killed_after(child, ready, max(0, rng.randint(-5, 25)), rng.uniform(0.0, 0.02)):
                break
            kills += 1
        resumed += require_planned(run, planned)
        for file in ("checkpoint.json", "bad.jsonl"):
            if (run / file).read_bytes() != (whole / file).read_bytes():
                raise RuntimeError(f"{file} of {run} is not that of the run that was never interrupted")
        runs += 1
    return {"kills": kills, "runs": runs, "resumed": resumed}


def planned_rows():
    plan = rl.Plan(NUM_ROWS, BATCH_SIZE, seed=SEED)
    return [(plan.place(step).epoch, plan.rows(step).tolist()) for step in range(NUM_EPOCHS * plan.steps_per_epoch)]


def require_planned(run, planned):
    """What was delivered up to each saved state is the plan, row by row; return how many lives went on."""
    saved, step, num_lives, num_lost = 0, 0, 0, 0
    for line in (run / "journal").read_text().splitlines():
        what, number, *rest = line.split()
        if what == "save":
            if int(number) != step:
                raise RuntimeError(f"{run}: saved at step {number}, but step {step - 1} was delivered last")
            saved = step
            continue
        if int(number) != step:  # a new life
            num_lives += step > 0
            num_lost += step - saved
            # the save that the journal does not tell of: killed between the two writes
            if int(number) not in (saved, min(saved + STEPS_A_SAVE, len(planned))) or int(number) > step:
                raise RuntimeError(f"{run}: went on with step {number}; saved {saved}, delivered up to {step - 1}")
            saved = step = int(number)
        epoch, *rows = map(int, rest)
        if (epoch, rows) != planned[step]:
            raise RuntimeError(f"{run}: step {step} was {epoch} {rows}, planned {planned[step]}")
        step += 1
    if step != len(planned):
        raise RuntimeError(f"{run}: ended before step {step} of {len(planned)}")
    return num_lives


@pytest.mark.slow
def test_a_hundred_kills_lose_no_row_repeat_none_and_end_in_the_same_model(tmp_path):
    seed = random.randrange(10**9)
    done = subprocess.run(
        [sys.executable, __file__, tmp_path, "100", str(seed)], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-3000:]}"
    figures = json.loads(done.stdout)
    assert figures["kills"] >= 100
    assert figures["resumed"] > 30


if __name__ == "__main__":
    sys.stdout.write(json.dumps(kill_again_and_again(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
