"""A real Ray, on this machine: two workers of Ray Train."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

import rowlock as rl

pytestmark = [
    pytest.mark.adapter,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'rowlock[ray]'"),
]

TWO_WORKERS = """
import json, os, sys, tempfile
import ray, ray.train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

def train_loop():
    import numpy as np, pandas as pd, rowlock as rl, rowlock.ray, rowlock.torch
    numbers = np.arange(41, dtype=np.float32)
    data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Columns(["n"])}, target=rl.Column("n"))
    rank, world = rowlock.ray.shard()
    assert rowlock.torch.shard() == (rank, world)
    for last in ("pad", "drop"):
        with data.batches(4, seed=5, last=last, shard=rowlock.ray.shard()) as loader:
            for epoch in range(2):
                for batch in loader:
                    assert np.array_equal(batch.inputs["x"][:, 0], batch.target)
                    weight = np.ones(len(batch)) if batch.sample_weight is None else batch.sample_weight
                    rows = batch.target[weight > 0].astype(int).tolist()
                    with open(f"{FOLDER}/{rank}-{world}-{last}-{epoch}.txt", "a") as file:
                        file.write(json.dumps(rows) + "\\n")

FOLDER = sys.argv[1]
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", object_store_memory=80_000_000)
scaling = ScalingConfig(num_workers=2, resources_per_worker={"CPU": 1})
TorchTrainer(train_loop, scaling_config=scaling, run_config=RunConfig(storage_path=FOLDER, name="run")).fit()
ray.shutdown()
"""


def test_two_workers_of_ray_train_get_the_shards_of_two_processes(tmp_path):
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", TWO_WORKERS, tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    ) as child:
        try:
            said, _ = child.communicate(timeout=280)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
    assert child.returncode == 0, said[-3000:]
    for last in ("pad", "drop"):
        epochs = []
        for epoch in range(2):
            ranks = [
                [json.loads(line) for line in (tmp_path / f"{rank}-2-{last}-{epoch}.txt").read_text().splitlines()]
                for rank in range(2)
            ]
            assert [len(steps) for steps in ranks] == ([6, 6] if last == "pad" else [5, 5])
            rows = [row for steps in ranks for batch in steps for row in batch]
            assert len(set(rows)) == len(rows) == (41 if last == "pad" else 40)
            epochs.append(ranks)
            assert ranks == planned(last, epoch)
        assert epochs[0] != epochs[1]


def planned(last, epoch):
    """What the plan gives two ranks: the same as two processes of torch.distributed get."""
    found = []
    for rank in range(2):
        plan = rl.Plan(41, 4, seed=5, last=last, rank=rank, world_size=2)
        steps = range(plan.first_step(epoch), plan.first_step(epoch + 1))
        found.append([plan.rows(step)[: 4 - plan.num_padded(step)].tolist() for step in steps])
    return found


def test_outside_a_worker_of_ray_train_a_shard_is_refused_in_one_line():
    code = "import rowlock.ray; rowlock.ray.shard()"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=False)
    assert "ConfigError: rowlock.ray.shard() is for a worker: call it inside the function" in found.stderr
