"""The same batches as PyTorch tensors and JAX arrays: what holds for both, and for frameworks that are not there."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import LoaderClosedError, RowError

pytestmark = pytest.mark.adapter

NUM_ROWS = 21
BOTH = pytest.mark.parametrize("name", ["torch", "jax"])


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


def adapted(loader, name, **options):
    pytest.importorskip(name)
    return loader.to_torch(**options) if name == "torch" else loader.to_jax(**options)


@BOTH
@pytest.mark.parametrize("prefetch", [0, 2, 50])
@pytest.mark.parametrize("engine_prefetch", [0, 1, 4])
def test_every_epoch_is_the_loader_s(name, prefetch, engine_prefetch):
    with rl.Engine(num_threads=2, prefetch=engine_prefetch) as engine:
        loader = make().batches(4, seed=3, last="pad", engine=engine)
        plain = make().batches(4, seed=3, last="pad")
        batches = adapted(loader, name, prefetch=prefetch)
        assert len(batches) == 6
        for _ in range(3):
            for got, expected in zip(batches, plain, strict=True):
                assert np.array_equal(np.asarray(got.inputs["f"]), expected.inputs["f"])
                assert np.array_equal(np.asarray(got.target), expected.target)
                assert np.array_equal(np.asarray(got.sample_weight), expected.sample_weight)
                assert got.keys.tolist() == expected.keys.tolist()
                assert (got.step, got.epoch) == (expected.step, expected.epoch)


@BOTH
def test_after_a_break_comes_the_next_epoch(name):
    batches, plain = adapted(make().batches(4, seed=3), name), make().batches(4, seed=3)
    for stop_after in (1, 3, 6):
        got = [batch.rows.tolist() for batch, _ in zip(batches, range(stop_after), strict=False)]
        assert got == [batch.rows.tolist() for batch in plain][:stop_after]


@BOTH
def test_the_state_counts_what_was_handed_over_and_resumes_there(name):
    batches = adapted(make().batches(4, seed=3), name)
    rows = []
    for batch in batches:
        rows.append(batch.rows.tolist())
        if len(rows) == 3:
            break
    state = batches.state_dict()
    assert state == batches.loader.state_dict()
    assert state["rows_delivered"] == 12
    again = adapted(make().batches(4, seed=3), name)
    again.load_state_dict(state)
    rows += [batch.rows.tolist() for batch in again]
    assert rows == [batch.rows.tolist() for batch in make().batches(4, seed=3)]


@BOTH
def test_an_error_arrives_at_its_own_step_and_does_not_end_the_epoch(name, tmp_path):
    loader = make(tmp_path).batches(4, shuffle=False)
    batches = iter(adapted(loader, name))
    assert [next(batches).step, next(batches).step] == [0, 1]
    for _ in range(2):
        with pytest.raises(RowError, match=r"'r9'.*step 2"):
            next(batches)
    assert loader.state_dict()["rows_delivered"] == 8


@BOTH
@pytest.mark.parametrize("on_error", ["mask", "skip"])
def test_bad_rows_are_left_out_and_listed_as_without_an_adapter(name, on_error, tmp_path):
    data = make(tmp_path)
    loader, plain = (data.batches(1, seed=2, on_error=on_error, max_bad=0.5) for _ in range(2))
    for _ in range(2):
        for got, expected in zip(adapted(loader, name), plain, strict=True):
            assert got.rows.tolist() == expected.rows.tolist()
            assert np.array_equal(np.asarray(got.inputs["image"]), expected.inputs["image"])
            if on_error == "mask":
                assert np.asarray(got.sample_weight).tolist() == expected.sample_weight.tolist()
    assert loader.bad_rows == plain.bad_rows
    assert [bad.key for bad in loader.bad_rows] == ["r9"]


@BOTH
def test_closing_ends_it_and_another_iteration_ends_the_first(name):
    loader = make().batches(4)
    batches = adapted(loader, name)
    first = iter(batches)
    next(first)
    second = iter(batches)
    next(second)
    with pytest.raises(LoaderClosedError, match="one iteration at a time"):
        next(first)
    loader.close()
    with pytest.raises(LoaderClosedError, match="closed"):
        next(second)


def test_a_kept_numpy_batch_is_unchanged_after_200_further_batches():
    check_kept(make().batches(4, seed=1), lambda batch: batch.inputs["f"])


def test_a_kept_tensor_and_a_view_of_one_are_unchanged_after_200_further_batches():
    pytest.importorskip("torch")
    check_kept(make().batches(4, seed=1).to_torch(), lambda batch: batch.inputs["f"])
    check_kept(make().batches(4, seed=1).to_torch(), lambda batch: batch.inputs["f"][1:, :], lambda array: array[1:])


def test_a_kept_jax_array_that_shares_memory_is_unchanged_after_200_further_batches():
    jax = pytest.importorskip("jax")
    batches = make().batches(4, seed=1).to_jax()
    sources, send = [], batches._ahead._send

    def noted(batch):
        sources.append(batch)
        return send(batch)

    batches._ahead._send = noted
    first = next(iter(batches))
    if jax.devices()[0].platform == "cpu":  # or else nothing is proved
        assert first.inputs["f"].unsafe_buffer_pointer() == sources[0].inputs["f"].ctypes.data
    check_kept(make().batches(4, seed=1).to_jax(), lambda batch: batch.inputs["f"])


def check_kept(batches, part, of_expected=lambda array: array):
    kept = []
    while len(kept) < 220:
        kept += [part(batch) for batch in batches]
    plain = make().batches(4, seed=1)
    expected = []
    while len(expected) < 220:
        expected += [of_expected(batch.inputs["f"]) for batch in plain]
    for got, wanted in zip(kept, expected, strict=True):
        assert np.array_equal(np.asarray(got), wanted)


# Frameworks that are not there.

BLOCKED = """
import importlib.abc, sys
import pandas as pd, rowlock as rl

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())
loader = rl.Dataset(pd.DataFrame({{"x": [1.0, 2.0]}}), {{"x": rl.Columns(["x"])}}, target=rl.Column("x")).batches(1)
assert len(list(loader)) == 2
try:
    {call}
except rl.RowlockError as error:
    assert isinstance(error, ImportError)
    print(error)
"""


@pytest.mark.parametrize(
    ("call", "blocked", "says"),
    [
        ("loader.to_torch()", ("torch",), "PyTorch is not installed: pip install 'rowlock[torch]'"),
        ("loader.to_jax()", ("jax", "jaxlib"), "JAX is not installed: pip install 'rowlock[jax]'"),
        ("loader.to_jax()", ("jaxlib",), "JAX is not installed: pip install 'rowlock[jax]'"),
        ("loader.to_tf_dataset()", ("tensorflow",), "TensorFlow is not installed: pip install 'rowlock[tensorflow]'"),
        ("import rowlock.ray", ("ray",), "Ray is not installed: pip install 'rowlock[ray]'"),
        ("loader.to_keras()", ("keras",), "'keras' is not installed, which Keras needs: pip install 'rowlock[keras]'"),
        ("loader.progress()", ("tqdm",), "a progress bar needs tqdm: pip install 'rowlock[progress]'"),
    ],
)
def test_a_framework_that_is_not_there_is_one_line_that_says_what_to_install(call, blocked, says):
    code = BLOCKED.format(blocked=blocked, call=call)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith(says)
    assert found.stdout.count("\n") == 1
