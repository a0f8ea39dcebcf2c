"""On a CUDA device: how long a ResNet-50 waits for its batches, whether copies overlap with computing, and aliasing.

* Stall: time of a training step on the loader's batches beside the same step on one batch that lies on the device
  already; what is left over is what the step waited. Pixels come from memory, so this is the way to the device alone;
  `--pictures` decodes JPEGs, which asks how many processors feed one device.
* Overlap: computing alone, copying alone, and both: what copying adds to a step. Beside it the same with `prefetch=0`,
  and with a plain copy that is waited for.
* Aliasing: every batch of 200 is kept on the device, and read back at the end; its values tell their rows.

    python benchmarks/gpu.py [--device cuda|cpu] [--frameworks torch jax] [--pictures] [--json FILE]

`--device cpu` runs the same code small: whether it works, not how fast.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # two frameworks share the device

import numpy as np
import pandas as pd

import rowlock as rl

STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
"""Blocks, width and stride of ResNet-50."""


class Sizes(NamedTuple):
    batch: int
    side: int
    num_steps: int
    num_turns: int
    num_kept: int
    stages: tuple[tuple[int, int, int], ...]


LARGE = Sizes(64, 224, 40, 5, 200, STAGES)
SMALL = Sizes(4, 32, 3, 2, 30, ((1, 4, 1), (1, 8, 2)))


def loader_of_pixels(sizes, num_steps):
    rng = np.random.default_rng(0)
    num_rows = sizes.batch * num_steps
    pixels = rng.integers(0, 255, (num_rows, sizes.side * sizes.side * 3), np.uint8)
    frame = pd.DataFrame({"label": np.arange(num_rows) % 10})
    image = rl.Features(pixels, shape=(sizes.side, sizes.side, 3), dtype="uint8")
    return rl.Dataset(frame, {"image": image}, target=rl.Column("label", dtype="int32")).batches(sizes.batch)


def loader_of_pictures(sizes, num_steps, folder):
    """JPEGs of twice the side, a few hundred of them, again and again."""
    from PIL import Image

    rng, num_files = np.random.default_rng(0), min(256, sizes.batch * num_steps)
    for number in range(num_files):
        coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8))
        big = coarse.resize((2 * sizes.side, 2 * sizes.side), Image.Resampling.BICUBIC)
        big.save(Path(folder) / f"{number}.jpg", quality=90)
    rows = np.arange(sizes.batch * num_steps)
    frame = pd.DataFrame({"path": [f"{row % num_files}.jpg" for row in rows], "label": rows % 10})
    image = rl.Images("path", size=(sizes.side, sizes.side), root=folder)
    return rl.Dataset(frame, {"image": image}, target=rl.Column("label", dtype="int32")).batches(sizes.batch)


def numbered(num_rows):
    """Rows whose features are their number."""
    numbers = np.arange(num_rows, dtype=np.float32)
    matrix = np.repeat(numbers[:, None], 1000, axis=1)
    return rl.Dataset(pd.DataFrame({"n": numbers}), {"x": rl.Features(matrix)}, target=rl.Column("n"))


class WithTorch:
    """What is measured, in PyTorch."""

    name = "torch"

    def __init__(self, device, sizes):
        import torch

        self.torch, self.device, self.sizes = torch, torch.device(device), sizes
        self.model = self._resnet().to(self.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.loss = torch.nn.CrossEntropyLoss()

    @staticmethod
    def is_there():
        import torch

        return torch.cuda.is_available()

    def _resnet(self):
        torch, nn = self.torch, self.torch.nn

        def conv(before, after, size, stride=1):
            made = nn.Conv2d(before, after, size, stride, size // 2, bias=False)
            return nn.Sequential(made, nn.BatchNorm2d(after))

        class Block(nn.Module):
            def __init__(self, before, width, stride):
                super().__init__()
                narrow, middle = conv(before, width, 1), conv(width, width, 3, stride)
                self.path = nn.Sequential(narrow, nn.ReLU(), middle, nn.ReLU(), conv(width, 4 * width, 1))
                is_same = before == 4 * width and stride == 1
                self.beside = nn.Identity() if is_same else conv(before, 4 * width, 1, stride)

            def forward(self, pixels):
                return torch.relu(self.path(pixels) + self.beside(pixels))

        layers, before = [conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
        for num_blocks, width, stride in self.sizes.stages:
            for number in range(num_blocks):
                layers.append(Block(before, width, stride if number == 0 else 1))
                before = 4 * width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))

    def adapted(self, loader, prefetch=2):
        return loader.to_torch(device=self.device, prefetch=prefetch)

    def plainly_moved(self, loader):
        return (batch.to(self.device) for batch in loader.to_torch())

    def step(self, batch):
        pixels = batch.inputs["image"].permute(0, 3, 1, 2).float() / 255
        with self.torch.autocast(self.device.type, self.torch.bfloat16):
            loss = self.loss(self.model(pixels), batch.target)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def seconds(self, run):
        """Time on the device, by its own events; on a processor by the clock."""
        if self.device.type != "cuda":
            return seconds_by_the_clock(run, lambda: None)
        first, last = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.cuda.synchronize()
        first.record()
        run()
        last.record()
        self.torch.cuda.synchronize()
        return first.elapsed_time(last) / 1e3

    @staticmethod
    def read_back(array):
        return array.cpu().numpy()


class WithJax:
    """What is measured, in JAX."""

    name = "jax"

    def __init__(self, device, sizes):
        import jax

        self.jax, self.sizes = jax, sizes
        self.device = jax.devices("gpu" if device == "cuda" else "cpu")[0]
        self.sharding = jax.sharding.SingleDeviceSharding(self.device)
        self.weights = jax.device_put(self._weights(), self.device)
        self.train = jax.jit(self._train, donate_argnums=0)

    @staticmethod
    def is_there():
        import jax

        return any(device.platform == "gpu" for device in jax.devices())

    def _weights(self):
        rng = np.random.default_rng(0)

        def conv(before, after, size):
            scale = np.sqrt(2 / (size * size * before))
            return rng.normal(0, scale, (size, size, before, after)).astype(np.float32)

        blocks, before = [], 64
        for num_blocks, width, stride in self.sizes.stages:
            for number in range(num_blocks):
                path = [conv(before, width, 1), conv(width, width, 3), conv(width, 4 * width, 1)]
                is_same = before == 4 * width and (stride == 1 or number)
                blocks.append({"path": path, "beside": None if is_same else conv(before, 4 * width, 1)})
                before = 4 * width
        return {"stem": conv(3, 64, 7), "blocks": blocks, "head": conv(before, 10, 1)[0, 0]}

    def _train(self, weights, pixels, target):
        gradient = self.jax.grad(self._loss)(weights, pixels, target)
        return self.jax.tree.map(lambda weight, slope: weight - 1e-3 * slope, weights, gradient)

    def _loss(self, weights, pixels, target):
        jax, jnp = self.jax, self.jax.numpy
        strides = [s if n == 0 else 1 for blocks, _, s in self.sizes.stages for n in range(blocks)]

        def conv(values, kernel, stride=1):
            names = ("NHWC", "HWIO", "NHWC")
            out = jax.lax.conv_general_dilated(
                values, kernel.astype(values.dtype), (stride, stride), "SAME", dimension_numbers=names
            )
            mean, deviation = out.mean((0, 1, 2)), out.std((0, 1, 2))
            return (out - mean) / (deviation + 1e-3)

        values = jax.nn.relu(conv(pixels.astype(jnp.bfloat16) / 255, weights["stem"], 2))
        values = jax.lax.reduce_window(values, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "SAME")
        for block, stride in zip(weights["blocks"], strides, strict=True):
            narrow, middle, wide = block["path"]
            path = conv(jax.nn.relu(conv(jax.nn.relu(conv(values, narrow)), middle, stride)), wide)
            beside = values if block["beside"] is None else conv(values, block["beside"], stride)
            values = jax.nn.relu(path + beside)
        scores = values.mean((1, 2)).astype(jnp.float32) @ weights["head"]
        return -jnp.take_along_axis(jax.nn.log_softmax(scores), target[:, None], 1).mean()

    def adapted(self, loader, prefetch=2):
        return loader.to_jax(sharding=self.sharding, prefetch=prefetch)

    def plainly_moved(self, loader):
        for batch in self.adapted(loader, prefetch=0):
            self.jax.block_until_ready(batch.inputs)
            yield batch

    def step(self, batch):
        self.weights = self.train(self.weights, batch.inputs["image"], batch.target)

    def seconds(self, run):
        return seconds_by_the_clock(run, lambda: self.jax.block_until_ready(self.weights))

    @staticmethod
    def read_back(array):
        return np.asarray(array)


def seconds_by_the_clock(run, wait):
    wait()
    started = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - started


def trained(framework, batches):
    for batch in batches:
        framework.step(batch)


def taken(batches):
    for batch in batches:
        last = batch.inputs["image"]
    np.asarray(last[0, 0, 0, 0].tolist())  # the last copy is done


def stall_share(framework, loader):
    """Return (seconds a step on the loader, on one batch on the device, share of the former that was waiting)."""
    resident = next(iter(framework.adapted(loader)))
    batches = framework.adapted(loader)
    loaded, held = [], []
    for turn in range(framework.sizes.num_turns + 1):
        times = (
            framework.seconds(partial(trained, framework, batches)),
            framework.seconds(partial(trained, framework, itertools.repeat(resident, len(loader)))),
        )
        if turn:  # the first compiles, and chooses algorithms
            loaded.append(times[0] / len(loader))
            held.append(times[1] / len(loader))
    share = statistics.median(1 - alone / together for together, alone in zip(loaded, held, strict=True))
    return statistics.median(loaded), statistics.median(held), share


def overlap(framework, loader):
    """Return for each way the milliseconds a step of computing alone, copying alone, and both."""
    resident = next(iter(framework.adapted(loader)))
    ways = {
        "prefetch=2": framework.adapted(loader),
        "prefetch=0": framework.adapted(loader, prefetch=0),
        "plain": None,
    }
    found = {name: [] for name in ways}
    for turn in range(framework.sizes.num_turns + 1):
        computing = framework.seconds(partial(trained, framework, itertools.repeat(resident, len(loader))))
        for name, batches in ways.items():
            copying = framework.seconds(lambda b=batches: taken(framework.plainly_moved(loader) if b is None else b))
            both = framework.seconds(
                lambda b=batches: trained(framework, framework.plainly_moved(loader) if b is None else b)
            )
            if turn:
                found[name].append((computing, copying, both))
    per_step = 1e3 / len(loader)
    return {
        name: [statistics.median(each) * per_step for each in zip(*times, strict=True)] for name, times in found.items()
    }


def wrong_batches(framework, num_batches, batch_size=64):
    """Return how many batches, kept on the device until the end, do not hold the rows they say they do."""
    kept = []
    batches = framework.adapted(numbered(10 * batch_size).batches(batch_size, seed=1))
    while len(kept) < num_batches:
        kept += [(batch.rows.tolist(), batch.inputs["x"], batch.target) for batch in batches]
    wrong = 0
    for rows, features, target in kept:
        told = framework.read_back(features)
        is_right = (told == np.array(rows)[:, None]).all() and framework.read_back(target).tolist() == rows
        wrong += not is_right
    return wrong, len(kept)


def measure(framework, pictures, folder):
    sizes = framework.sizes
    loader = loader_of_pixels(sizes, sizes.num_steps)
    wrong, kept = wrong_batches(framework, sizes.num_kept)
    print(f"{framework.name} on {framework.device}: {wrong} of {kept} batches wrong that were kept on the device")
    row = {"framework": framework.name, "wrong_batches": wrong, "kept_batches": kept}
    loaders = {"memory": loader}
    if pictures:
        loaders["JPEG"] = loader_of_pictures(sizes, sizes.num_steps, folder)
    for name, each in loaders.items():
        together, alone, share = stall_share(framework, each)
        row[f"stall_{name}"] = {"step_ms": together * 1e3, "resident_ms": alone * 1e3, "share": share}
        rate = sizes.batch / together
        print(
            f"  pixels from {name}: {together * 1e3:.1f} ms a step of {sizes.batch}, {alone * 1e3:.1f} on one batch:"
            f" {share:.1%} waiting; {rate:,.0f} rows/s"
        )
    for way, (computing, copying, both) in overlap(framework, loader).items():
        row[f"overlap_{way}"] = {"computing_ms": computing, "copying_ms": copying, "both_ms": both}
        print(
            f"  {way:<11} computing {computing:.2f} ms a step, copying {copying:.2f}, both {both:.2f}:"
            f" copying adds {both - computing:+.2f} ms"
        )
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--frameworks", nargs="+", choices=["torch", "jax"], default=["torch", "jax"])
    parser.add_argument("--pictures", action="store_true", help="decode JPEGs, too")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for kind in (WithTorch, WithJax):
        if kind.name not in options.frameworks:
            continue
        try:
            is_there = options.device == "cpu" or kind.is_there()
        except ImportError:
            is_there = False
        if not is_there:
            print(f"{kind.name}: no CUDA device here, nothing was measured (--device cpu runs the same code, small)")
            continue
        with tempfile.TemporaryDirectory() as folder:
            sizes = LARGE if options.device == "cuda" else SMALL
            rows.append(measure(kind(options.device, sizes), options.pictures, folder))
    if options.json and rows:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
