"""The same batches as PyTorch tensors and JAX arrays."""

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RowError

pytestmark = pytest.mark.framework

NUM_ROWS = 21


def make(tmp_path=None):
    matrix = np.arange(NUM_ROWS * 3, dtype=np.float32).reshape(NUM_ROWS, 3)
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(NUM_ROWS)], "label": ["a", "b", "c"] * 7})
    frame["path"] = "none.jpg"
    inputs = {"f": rl.Features(matrix)}
    if tmp_path is not None:
        from PIL import Image

        for row in range(NUM_ROWS):
            if row != 9:
                Image.new("RGB", (4, 4), (row, 0, 0)).save(tmp_path / f"{row}.png")
        frame["path"] = [f"{row}.png" for row in range(NUM_ROWS)]
        inputs["image"] = rl.Images("path", size=(4, 4), root=tmp_path)
    return rl.Dataset(frame, inputs, target=rl.Labels("label"), key="id")


def adapted(loader, name):
    pytest.importorskip(name)
    return loader.to_torch() if name == "torch" else loader.to_jax()


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_every_epoch_is_the_loader_s(name):
    loader, plain = make().batches(4, seed=3, last="pad"), make().batches(4, seed=3, last="pad")
    batches = adapted(loader, name)
    assert len(batches) == 6
    for _ in range(2):
        for got, expected in zip(batches, plain, strict=True):
            assert np.array_equal(np.asarray(got.inputs["f"]), expected.inputs["f"])
            assert np.array_equal(np.asarray(got.target), expected.target)
            assert np.array_equal(np.asarray(got.sample_weight), expected.sample_weight)
            assert got.keys.tolist() == expected.keys.tolist()
            assert (got.step, got.epoch) == (expected.step, expected.epoch)


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_the_state_counts_what_was_handed_over(name):
    loader = make().batches(4, seed=3)
    batches = iter(adapted(loader, name))
    next(batches)
    assert loader.state_dict()["rows_delivered"] == 4


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_an_error_arrives_at_its_own_step_and_does_not_end_the_epoch(name, tmp_path):
    loader = make(tmp_path).batches(4, shuffle=False)
    batches = iter(adapted(loader, name))
    assert [next(batches).step, next(batches).step] == [0, 1]
    for _ in range(2):
        with pytest.raises(RowError, match="'r9'"):
            next(batches)


def test_tensors_share_memory_and_kept_ones_stay(tmp_path):
    torch = pytest.importorskip("torch")
    loader, plain = make().batches(4, seed=1), make().batches(4, seed=1)
    kept = [batch for _ in range(10) for batch in loader.to_torch()]
    for batch, expected in zip(kept, (batch for _ in range(10) for batch in plain), strict=True):
        assert batch.inputs["f"].data_ptr() % 64 == 0
        assert np.array_equal(batch.inputs["f"].numpy(), expected.inputs["f"])
        assert batch.target.dtype == torch.int64
    torch.nn.functional.cross_entropy(torch.zeros(4, 3), kept[0].target)


def test_a_torch_data_loader_takes_them_as_they_are_but_no_workers():
    torch = pytest.importorskip("torch")
    batches = make().batches(4, seed=1).to_torch()
    through = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=0, collate_fn=lambda batch: batch)
    rows = [row for batch in through for row in batch.rows.tolist()]
    assert sorted(rows) == list(range(NUM_ROWS))


def test_jax_refuses_what_it_would_cut():
    jax = pytest.importorskip("jax")
    frame = pd.DataFrame({"n": np.array([2**40 + 1, 2**33])})
    data = rl.Dataset(frame, {"n": rl.Column("n", dtype="int64")})
    with pytest.raises(ConfigError, match="'n' is int64, which JAX cuts.*dtype='int32'"):
        data.batches(2).to_jax()
    assert not jax.config.jax_enable_x64


def test_jax_arrays_may_be_sharded():
    jax = pytest.importorskip("jax")
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    batch = next(iter(make().batches(4, shuffle=False).to_jax(sharding=sharding)))
    assert batch.inputs["f"].sharding == sharding
    assert np.asarray(batch.inputs["f"])[1].tolist() == [3, 4, 5]
