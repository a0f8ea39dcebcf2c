"""The benchmarks of the frameworks work where there is no device, in a small way."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = [pytest.mark.adapter, pytest.mark.slow]


def run(script, *arguments):
    command = [sys.executable, BENCHMARKS / script, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def test_gpu_says_in_one_line_where_there_is_no_cuda_device():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    said = run("gpu.py", "--frameworks", "torch")
    assert said.startswith("torch: no CUDA device here, nothing was measured")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_gpu_runs_the_same_code_on_a_processor_and_finds_no_wrong_batch(name, tmp_path):
    pytest.importorskip(name)
    run("gpu.py", "--device", "cpu", "--frameworks", name, "--pictures", "--json", tmp_path / "out.json")
    (row,) = json.loads((tmp_path / "out.json").read_text())
    assert row["wrong_batches"] == 0
    assert row["kept_batches"] >= 30
    assert row["stall_memory"]["resident_ms"] > 0
    assert row["stall_JPEG"]["step_ms"] > 0
    assert row["overlap_prefetch=2"]["both_ms"] > 0


def test_gpu_would_notice_a_batch_whose_values_are_not_its_rows():
    torch = pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("gpu", BENCHMARKS / "gpu.py")
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    framework = gpu.WithTorch("cpu", gpu.SMALL)
    memory = torch.empty(64, 1000)

    class Recycled:
        """The negative control: each batch is copied into the same memory."""

        def __init__(self, batches):
            self.batches = batches

        def __iter__(self):
            for batch in self.batches:
                memory.copy_(batch.inputs["x"])
                yield batch.mapped(lambda tensor: memory if tensor.dim() == 2 else tensor)

    adapted = framework.adapted
    assert gpu.wrong_batches(framework, 20) == (0, 20)
    framework.adapted = lambda loader: Recycled(adapted(loader))
    wrong, kept = gpu.wrong_batches(framework, 20)
    assert wrong == kept - 1


def test_the_cost_of_a_hand_over_is_measured_and_torch_shares_the_loader_s_memory(tmp_path):
    pytest.importorskip("torch")
    out = tmp_path / "out.json"
    said = run("frameworks.py", "--quick", "--only", "torch", "--json", out)
    assert "shares the loader's memory" in said
    (row,) = json.loads(out.read_text())["routes"]
    assert row["shares_memory"] is True
    assert row["main_thread_ms"] > 0
