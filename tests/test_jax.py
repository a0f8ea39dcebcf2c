"""JAX: one process and two, one device and several."""

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

jax = pytest.importorskip("jax")
P, NamedSharding = jax.sharding.PartitionSpec, jax.sharding.NamedSharding

pytestmark = pytest.mark.adapter

NUM_ROWS = 21


def make(num_rows=NUM_ROWS):
    numbers = np.arange(num_rows, dtype=np.float32)
    frame = pd.DataFrame({"n": numbers, "w": numbers + 1})
    inputs = {"f": rl.Features(numbers[:, None] + np.array([0, 0.25], np.float32)), "n": rl.Columns(["n"])}
    return rl.Dataset(frame, inputs, target=rl.Column("n"), sample_weight="w")


def test_batches_are_sent_ahead_and_those_alone_that_are_made(time_limit):
    loader = make(400).batches(4, shuffle=False, engine=rl.Engine(num_threads=2, prefetch=6))
    batches = loader.to_jax(prefetch=3)
    sent = []
    send = batches._ahead._send

    def noted(batch):
        sent.append(batch.step)
        return send(batch)

    batches._ahead._send = noted
    most = 0
    with time_limit(600):
        for batch in batches:
            while len(loader.ready(batch.step + 1, 6)) < min(6, 99 - batch.step):
                pass
            assert sent[: batch.step + 1] == list(range(batch.step + 1))
            most = max(most, len(sent) - batch.step - 1)
    assert most == 3
    assert sent[:100] == list(range(100))  # and each once, though some may be of the next epoch


def test_what_cannot_be_sent_ahead_raises_in_its_own_turn_and_comes_again():
    loader = make().batches(4, shuffle=False)
    batches = loader.to_jax(prefetch=2)
    send, delivered, errors = batches._ahead._send, [], []

    def failing(batch):
        if batch.step == 3 and not errors:
            raise RuntimeError("RESOURCE_EXHAUSTED")
        return send(batch)

    batches._ahead._send = failing
    epoch = iter(batches)
    while len(delivered) < 6:
        try:
            delivered.append(next(epoch).step)
        except RuntimeError as error:
            errors.append(error)
            assert delivered == [0, 1, 2]
            assert loader.state_dict()["rows_delivered"] == 12
    assert delivered == list(range(6))
    assert len(errors) == 1


@pytest.mark.parametrize("prefetch", [-1, 1.5, None])
def test_prefetch_is_a_whole_number(prefetch):
    with pytest.raises(ConfigError, match="prefetch must be"):
        make().batches(4).to_jax(prefetch=prefetch)


def test_jax_refuses_what_it_would_cut():
    frame = pd.DataFrame({"n": np.array([2**40 + 1, 2**33])})
    data = rl.Dataset(frame, {"n": rl.Column("n", dtype="int64")})
    with pytest.raises(ConfigError, match="'n' is int64, which JAX cuts.*dtype='int32'"):
        data.batches(2).to_jax()
    assert not jax.config.jax_enable_x64


def test_arrays_may_be_sharded():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("rows",))
    sharding = NamedSharding(mesh, P("rows"))
    batch = next(iter(make().batches(4, shuffle=False).to_jax(sharding=sharding)))
    assert batch.inputs["f"].sharding == batch.target.sharding == sharding
    assert np.asarray(batch.inputs["f"])[1].tolist() == [1, 1.25]


def test_a_dict_of_shardings_names_every_array():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("rows",))
    rows, cells = NamedSharding(mesh, P("rows")), NamedSharding(mesh, P("rows", None))
    named = {"f": cells, "n": cells, "target": rows, "sample_weight": rows}
    batch = next(iter(make().batches(4).to_jax(sharding=named)))
    assert (batch.inputs["f"].sharding, batch.sample_weight.sharding) == (cells, rows)
    for name in named:
        short = {other: sharding for other, sharding in named.items() if other != name}
        with pytest.raises(ConfigError, match=f"sharding has none for '{name}'; it names"):
            make().batches(4).to_jax(sharding=short)
    with pytest.raises(ConfigError, match="sharding names 'tagret', and the batches hold .*Did you mean 'target'"):
        make().batches(4).to_jax(sharding={**named, "tagret": rows})


FOUR_DEVICES = """
import jax, numpy as np, pandas as pd, rowlock as rl
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
assert len(jax.devices()) == 4
numbers = np.arange(42, dtype=np.float32)
data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Features(numbers[:, None] * np.ones(6, np.float32))},
                  target=rl.Column("n"))
mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("rows", "columns"))
rows, cells = NamedSharding(mesh, P("rows")), NamedSharding(mesh, P("rows", "columns"))
weighted = {"x": cells, "target": rows, "sample_weight": rows}
told = []
for batch in data.batches(8, seed=1, last="pad").to_jax(sharding=weighted):
    assert [shard.data.shape for shard in batch.inputs["x"].addressable_shards] == [(4, 3)] * 4
    assert np.array_equal(np.asarray(batch.inputs["x"])[:, 5], np.asarray(batch.target))
    assert np.array_equal(np.asarray(batch.target), batch.rows)
    told += np.asarray(batch.target)[np.asarray(batch.sample_weight) > 0].tolist()
assert sorted(told) == numbers.tolist()
wanted = {"x": cells, "target": rows}
data.batches(8).to_jax(sharding=wanted)  # the last batch, of 2 rows, can be divided by 2
refused = data.batches(9, last="drop"), data.batches(9), data.batches(16, on_error="skip")
for loader in (*refused, data.batches(6, last="pad")):
    try:
        loader.to_jax(sharding=wanted | {"sample_weight": rows})
        assert loader.plan.batch_size == 6, loader
    except rl.RowlockError as error:
        assert "cannot be laid out as sharding says" in str(error) and "last='drop'" in str(error), error
        assert loader.plan.batch_size != 6
try:
    data.batches(8, last="drop").to_jax(sharding=cells)
    raise SystemExit("more axes than a target has were not noticed")
except rl.RowlockError as error:
    assert "'target' of shape (8,) has fewer axes than its sharding" in str(error), error
"""


@pytest.mark.slow
def test_rows_and_columns_are_laid_out_over_several_devices_or_refused_before_the_first_batch():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    found = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert found.returncode == 0, found.stderr[-3000:]


TWO_PROCESSES = """
import json, sys
rank, world, port = map(int, sys.argv[1:])
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=world, process_id=rank)
import numpy as np, pandas as pd, rowlock as rl, rowlock.jax
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

assert rowlock.jax.shard() == (rank, world) and len(jax.devices()) == 2 * world
rows = NamedSharding(Mesh(np.array(jax.devices()), ("rows",)), P("rows"))
total = jax.jit(lambda values, weight: (values * weight).sum())
found = {}
for num_rows in (37, 48):
    numbers = np.arange(num_rows, dtype=np.float32)
    data = rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Features(numbers[:, None] + np.float32([0, 0.5]))},
                      target=rl.Column("n"))
    oracle = data.batches(4 * world, seed=5, last="pad")
    batches = data.batches(4, seed=5, last="pad", shard=rowlock.jax.shard()).to_jax(sharding=rows)
    own = []
    for batch, whole in zip(batches, oracle, strict=True):
        assert batch.target.shape == (4 * world,) and batch.inputs["x"].sharding == rows
        assert np.array_equal(process_allgather(batch.target, tiled=True), whole.target)
        assert np.array_equal(process_allgather(batch.inputs["x"], tiled=True), whole.inputs["x"])
        assert np.array_equal(process_allgather(batch.sample_weight, tiled=True), whole.sample_weight)
        assert float(total(batch.target, batch.sample_weight)) == float((whole.target * whole.sample_weight).sum())
        mine = np.concatenate([np.asarray(shard.data) for shard in batch.target.addressable_shards])
        assert np.array_equal(mine, batch.rows)
        weight = np.concatenate([np.asarray(shard.data) for shard in batch.sample_weight.addressable_shards])
        own.append([int(row) for row, one in zip(mine, weight) if one])
    found[str(num_rows)] = own
    try:
        data.batches(4, last="pad", shard=(1 - rank, world)).to_jax(sharding=rows)
        raise SystemExit("rows in another order than the devices were not noticed")
    except rl.RowlockError as error:
        assert f"delivers {4 - 4 * rank} to {7 - 4 * rank}" in str(error), error
    # One loader that reads everything on every process gives the same global arrays.
    everywhere = data.batches(8, seed=5, last="pad")
    for batch in everywhere.to_jax(sharding=rows):
        assert np.array_equal(process_allgather(batch.target, tiled=True), everywhere.batch(batch.step).target)
jax.distributed.shutdown()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_two_processes_make_global_arrays_of_disjoint_and_complete_rows(run_ranks):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    ours, theirs = run_ranks(TWO_PROCESSES, **flags)
    for name, mine in ours.items():
        assert len(mine) == len(theirs[name])
        assert sorted(row for batch in mine + theirs[name] for row in batch) == list(range(int(name)))
