"""What it costs to hand a batch over to a framework, beside a list of ready batches handed over the same way.

Batches of 64 x 150 x 150 x 3 uint8 and 64 x 1000 float32, a model that does next to nothing, one process a framework.
Loader and list run in turns in the same process. "Main thread" is the processor time of the thread that trains;
"process" is that of all threads, the engine's gathering from memory included. The difference of the two lines is what
the hand-over costs.

    python benchmarks/frameworks.py [--quick] [--only keras-jax torch ...] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

import rowlock as rl

BATCH, SHAPE, NUM_COLUMNS = 64, (150, 150, 3), 1000
GOAL_MS = 0.5
RESULTS = Path(__file__).parent / "results" / "frameworks.json"
PACKAGES = ("keras", "jax", "torch", "tensorflow_cpu", "numpy")


def make_loader(num_steps):
    """Pictures and features from memory, so that the engine has as little to do as there is."""
    rng = np.random.default_rng(0)
    num_rows = BATCH * num_steps
    pixels = rng.integers(0, 255, (num_rows, int(np.prod(SHAPE))), np.uint8)
    features = rng.normal(size=(num_rows, NUM_COLUMNS)).astype(np.float32)
    frame = pd.DataFrame({"y": np.arange(num_rows, dtype=np.float32)})
    inputs = {"image": rl.Features(pixels, shape=SHAPE, dtype="uint8"), "features": rl.Features(features)}
    return rl.Dataset(frame, inputs, target=rl.Column("y")).batches(BATCH, seed=0)


def through_keras(loader, ready):
    """Return functions that train on the loader and on the list, and what tells whether memory is shared."""
    import keras

    from rowlock.keras import KerasBatches

    class Ready(keras.utils.PyDataset):
        def __len__(self):
            return len(ready)

        def __getitem__(self, index):
            batch = ready[index]
            return {name: as_is(array) for name, array in batch.inputs.items()}, as_is(batch.target)

    def as_is(array):
        if keras.backend.backend() != "torch":
            return array
        import torch

        return torch.from_numpy(array)

    image = keras.Input(SHAPE, name="image", dtype="uint8")
    features = keras.Input((NUM_COLUMNS,), name="features")
    corner = keras.layers.Lambda(lambda pixels: keras.ops.cast(pixels[:, 0, 0], "float32"), output_shape=(3,))(image)
    out = keras.layers.Dense(1)(keras.layers.Concatenate()([corner, features]))
    model = keras.Model({"image": image, "features": features}, out)
    model.compile(optimizer="sgd", loss="mse")
    batches = KerasBatches(loader)

    def fit(data):
        return lambda num_epochs: model.fit(data, epochs=num_epochs, verbose=0, shuffle=False)

    return fit(batches), fit(Ready()), lambda: batches[0][0]["image"]


def through_torch(loader, ready):
    import torch

    weights = torch.zeros(NUM_COLUMNS)
    batches = loader.to_torch()

    def step(inputs, target):
        return ((inputs["features"] @ weights - target) ** 2).mean() + inputs["image"][0, 0, 0, 0]

    def loaded(num_epochs):
        for _ in range(num_epochs):
            for batch in batches:
                step(batch.inputs, batch.target)

    def listed(num_epochs):
        for batch in itertools.chain.from_iterable(itertools.repeat(ready, num_epochs)):
            step({n: torch.from_numpy(array) for n, array in batch.inputs.items()}, torch.from_numpy(batch.target))

    return loaded, listed, lambda: next(iter(batches)).inputs["image"]


def through_jax(loader, ready):
    import jax

    weights = jax.numpy.zeros(NUM_COLUMNS)
    batches = loader.to_jax()

    @jax.jit
    def step(inputs, target):
        return ((inputs["features"] @ weights - target) ** 2).mean() + inputs["image"][0, 0, 0, 0]

    def loaded(num_epochs):
        for _ in range(num_epochs):
            for batch in batches:
                last = step(batch.inputs, batch.target)
        last.block_until_ready()

    def listed(num_epochs):
        for batch in itertools.chain.from_iterable(itertools.repeat(ready, num_epochs)):
            last = step(*jax.device_put((batch.inputs, batch.target)))
        last.block_until_ready()

    return loaded, listed, None


def through_tensorflow(loader, ready):
    import tensorflow as tf

    weights = tf.zeros(NUM_COLUMNS)
    dataset = loader.to_tf_dataset()
    signature = dataset.element_spec
    plain = tf.data.Dataset.from_generator(lambda: ((b.inputs, b.target) for b in ready), output_signature=signature)
    plain = plain.with_options(dataset.options())

    @tf.function
    def step(inputs, target):
        told = tf.linalg.matvec(inputs["features"], weights) - target
        return tf.reduce_mean(told**2) + tf.cast(inputs["image"][0, 0, 0, 0], tf.float32)

    def over(data):
        def run(num_epochs):
            for _ in range(num_epochs):
                for inputs, target in data:
                    step(inputs, target)

        return run

    return over(dataset), over(plain), None


ROUTES = {
    "keras-jax": through_keras,
    "keras-torch": through_keras,
    "keras-tensorflow": through_keras,
    "torch": through_torch,
    "jax": through_jax,
    "tensorflow": through_tensorflow,
}


def cost_of(run, num_epochs, num_steps):
    """Return processor milliseconds a batch: of the main thread, and of all."""
    own, everything = time.thread_time(), time.process_time()
    run(num_epochs)
    own, everything = time.thread_time() - own, time.process_time() - everything
    return own / num_steps / num_epochs * 1e3, everything / num_steps / num_epochs * 1e3


def shares_memory(name):
    """Whether what is handed over lies where the engine read it to."""
    loader, addresses = make_loader(2), set()
    gathering = loader.dataset.gathering

    def noted(*arguments):
        job = gathering(*arguments)
        make = job.batch

        def batch(*arguments, **options):
            made = make(*arguments, **options)
            addresses.add(made.inputs["image"].ctypes.data)
            return made

        job.batch = batch
        return job

    loader.dataset.gathering = noted
    _, _, take = ROUTES[name](loader, [])
    return take().data_ptr() in addresses


def measure(name, num_steps, num_epochs, num_turns):
    loader = make_loader(num_steps)
    ready = [loader.batch(step) for step in range(num_steps)]
    loaded, listed, _ = ROUTES[name](loader, ready)
    found = {"loader": [], "list": []}
    for turn in range(num_turns + 1):
        for kind, run in (("loader", loaded), ("list", listed)):
            cost = cost_of(run, num_epochs, num_steps)
            if turn:  # the first turn compiles
                found[kind].append(cost)
    median = {kind: [statistics.median(each) for each in zip(*costs, strict=True)] for kind, costs in found.items()}
    own = [first[0] - second[0] for first, second in zip(found["loader"], found["list"], strict=True)]
    return {
        "route": name,
        "main_thread_ms": round(median["loader"][0], 3),
        "main_thread_ms_of_list": round(median["list"][0], 3),
        "hand_over_ms": round(statistics.median(own), 3),
        "hand_over_ms_least_and_most": [round(min(own), 3), round(max(own), 3)],
        "process_ms": round(median["loader"][1], 3),
        "process_ms_of_list": round(median["list"][1], 3),
        "shares_memory": shares_memory(name) if "torch" in name else None,
    }


def in_a_process_of_its_own(name, options):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if name.startswith("keras-"):
        environment["KERAS_BACKEND"] = name.removeprefix("keras-")
    command = [sys.executable, __file__, "--child", name, *(["--quick"] if options.quick else [])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    if done.returncode:
        print(f"{name:<18} not measured: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(row):
    shared = {None: "", True: "  shares the loader's memory", False: "  COPIED"}[row["shares_memory"]]
    print(
        f"{row['route']:<18}{row['main_thread_ms']:10.2f}{row['main_thread_ms_of_list']:10.2f}{row['hand_over_ms']:+11.2f}"
        f"{row['process_ms']:12.2f}{row['process_ms_of_list']:10.2f}{shared}"
    )


def versions():
    for name in PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few steps: whether it works, not what it costs")
    parser.add_argument("--only", nargs="+", choices=list(ROUTES), default=list(ROUTES))
    parser.add_argument(
        "--json", type=Path, help=f"where figures go; by default {RESULTS.name}, and nowhere if --quick"
    )
    parser.add_argument("--child", choices=list(ROUTES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    sizes = (4, 2, 1) if options.quick else (16, 6, 7)
    if options.child:
        print("\n" + json.dumps(measure(options.child, *sizes)))
        return
    print(
        f"processor ms a batch of {BATCH} x {SHAPE} uint8 + {BATCH} x {NUM_COLUMNS} float32, loader beside ready list"
    )
    print(f"{'':<18}{'main':>10}{'list':>10}{'hand-over':>11}{'process':>12}{'list':>10}")
    rows = []
    with ThreadPoolExecutor(2 if options.quick else 1) as threads:
        for row in threads.map(lambda name: in_a_process_of_its_own(name, options), options.only):
            if row is not None:
                show(row)
                rows.append(row)
    for row in rows:
        if row["route"] == "keras-jax":
            verdict = "met" if row["hand_over_ms"] <= GOAL_MS else "not met"
            print(f"goal: at most {GOAL_MS} ms of the main thread on Keras and JAX: {verdict}")
    path = options.json or (None if options.quick else RESULTS)
    if path is not None:
        found = {"processors": os.cpu_count(), "versions": dict(versions()), "routes": rows}
        path.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {path}")


if __name__ == "__main__":
    main()
