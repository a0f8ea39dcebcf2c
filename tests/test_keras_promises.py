"""Whole rows, once, untouched: what holds for Rowlock on every backend, and fails for what is written by hand."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import rowlock as rl

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is

BACKEND = keras.backend.backend()
pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]


def counting_model(num_rows):
    """A model whose weight of a row is how often it was trained, and with the right target: see `trained`."""
    source = keras.Input((num_rows,), name="own")
    model = keras.Model({"own": source}, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(source))

    class Told(keras.losses.Loss):
        def call(self, y_true, y_pred):
            return -keras.ops.reshape(y_true, (-1,)) * keras.ops.reshape(y_pred, (-1,))

    model.compile(keras.optimizers.SGD(1.0), Told(reduction="sum"))
    return model


def trained(batches, num_rows, **options):
    """Train and return how often each row was trained."""
    model = counting_model(num_rows)
    model.fit(batches, verbose=0, **options)
    return (np.asarray(model.get_weights()[0])[:, 0] / (np.arange(num_rows) + 1)).round(3)


def ours(num_rows):
    frame = pd.DataFrame({"y": np.arange(num_rows) + 1.0})
    return rl.Dataset(frame, {"own": rl.Features(np.eye(num_rows, dtype=np.float32))}, target=rl.Column("y"))


class ByHand(keras.utils.PyDataset):
    """What Keras' manual says to write."""

    def __init__(self, num_rows, batch_size, **options):
        super().__init__(**options)
        self.own, self.size = np.eye(num_rows, dtype=np.float32), batch_size

    def __len__(self):
        return len(self.own) // self.size

    def __getitem__(self, index):
        rows = np.arange(index * self.size, (index + 1) * self.size)
        return {"own": self.own[rows]}, (rows + 1).astype(np.float32)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_plain_fit_trains_on_every_row_once_an_epoch_with_its_own_target(shuffle):
    assert (trained(ours(50).batches(5, seed=1).to_keras(), 50, epochs=3, shuffle=shuffle) == 3).all()


@pytest.mark.skipif(BACKEND != "jax", reason="where the probe before training loses rows")
def test_but_two_workers_of_keras_lose_rows_and_repeat_others(time_limit):
    with time_limit(600):
        counts = trained(ByHand(300, 10, workers=2), 300, epochs=2)
    assert (counts != 2).sum() > 20
    assert (trained(ByHand(300, 10), 300, epochs=2) == 2).all()  # the check itself is right


def deep_model(width=192, depth=10):
    """Slow beside the making of a batch, so that Keras dispatches ahead; its first column is the row's number."""
    number, features = keras.Input((1,), name="number"), keras.Input((width,), name="features")
    deep = features
    for _ in range(depth):
        deep = keras.layers.Dense(width)(deep)
    told = keras.layers.Concatenate()([features[:, :1], number, 0 * deep[:, :1]])
    return keras.Model({"number": number, "features": features}, told)


def features_of(num_rows, width=192):
    return np.repeat(np.arange(num_rows, dtype=np.float32)[:, None], width, axis=1)


class Ring(keras.utils.PyDataset):
    """Writes every batch into the same aligned memory, as a careful user of 2017 did."""

    def __init__(self, num_rows, size):
        super().__init__()
        self.features, self.size = features_of(num_rows), size
        self.out = rl.arrays.empty_aligned((size, self.features.shape[1]), np.dtype(np.float32))
        self.number = rl.arrays.empty_aligned((size, 1), np.dtype(np.float32))

    def __len__(self):
        return len(self.features) // self.size

    def __getitem__(self, index):
        rows = slice(index * self.size, (index + 1) * self.size)
        self.out[:] = self.features[rows]
        self.number[:] = self.features[rows, :1]
        return ({"number": self.number, "features": self.out},)


def num_corrupt(batches, num_rows):
    told = np.asarray(deep_model().predict(batches, verbose=0))
    return int((told[:, :2] != np.arange(num_rows)[:, None]).any(axis=1).sum())


@pytest.mark.parametrize("prefetch", [0, 4])
def test_no_batch_is_overwritten_while_a_deep_model_still_reads_it(prefetch, time_limit):
    num_rows = 30 * 32
    frame = pd.DataFrame({"number": np.arange(num_rows)})
    inputs = {"number": rl.Columns(["number"]), "features": rl.Features(features_of(num_rows))}
    with time_limit(600), rl.Engine(num_threads=2, prefetch=prefetch) as engine:
        loader = rl.Dataset(frame, inputs).batches(32, shuffle=False, engine=engine)
        assert num_corrupt(loader.to_keras(), num_rows) == 0


@pytest.mark.skipif(BACKEND != "jax", reason="where the memory is read after the call")
def test_but_a_ring_of_buffers_is():
    assert num_corrupt(Ring(30 * 32, 32), 30 * 32) > 32


@pytest.mark.parametrize("kept_as", ["batch", "view", "jax"])
def test_a_batch_that_is_kept_never_changes(kept_as):
    batches = ours(30).batches(3, seed=2).to_keras()
    kept = batches[0][0]["own"]
    before = np.asarray(kept).copy()
    if kept_as == "view":
        kept = kept[1:]
        before = before[1:]
    elif kept_as == "jax":
        jax = pytest.importorskip("jax")
        kept = jax.device_put(np.asarray(kept))
    for index in range(1, 201):
        batches[index]
    assert np.array_equal(np.asarray(kept), before)


@pytest.mark.parametrize("prefetch", [1, 4])
def test_no_more_than_prefetch_batches_are_in_hand_and_training_never_hangs(prefetch, time_limit):
    num_rows, size = 40 * 8, 8
    batch_bytes = size * (num_rows + 1) * 4
    with time_limit(600), rl.Engine(num_threads=2, prefetch=prefetch) as engine:
        loader = ours(num_rows).batches(size, engine=engine)
        counting_model(num_rows).fit(loader.to_keras(), epochs=2, verbose=0)
        assert engine.memory().peak_bytes <= (prefetch + 1) * batch_bytes


class Traced(keras.utils.PyDataset):
    """Notes how Keras calls a data set: B and E are the hooks, numbers are batches, T marks another thread."""

    def __init__(self, length, events, name=""):
        super().__init__()
        self.length, self.events, self.name = length, events, name

    def note(self, what):
        main = threading.current_thread() is threading.main_thread()
        self.events[not main].append(f"{self.name}{what}")

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        self.note(index)
        return {"own": np.ones((2, 3), np.float32)}, np.ones(2, np.float32)

    def on_epoch_begin(self):
        self.note("B")

    def on_epoch_end(self):
        self.note("E")


def traced(length=3, valid=0, **options):
    """Return what happened in the main thread, and the batches that another thread took."""
    events = ([], [])
    validation = Traced(valid, events, "v") if valid else None
    counting_model(3).fit(Traced(length, events), validation_data=validation, verbose=0, **options)
    return [" ".join(one) for one in events]


def test_keras_still_calls_a_data_set_as_it_did_when_this_was_written():
    main, other = traced(epochs=2, shuffle=False)
    endless, endless_other = traced(None, epochs=2, steps_per_epoch=2, shuffle=False)
    both, both_other = traced(epochs=2, valid=2, shuffle=False)
    if BACKEND == "tensorflow":
        assert main == "0 1 E B E B E"
        assert other.split()[:6] == ["0", "1", "2"] * 2
        assert endless == "0 1 E B E B E"
        assert endless_other.split()[:4] == ["0", "1", "2", "3"]  # then it reads ahead
        assert both == "0 1 E B E v0 v1 vE vB vE B E vE vB vE"
        assert [one for one in both_other.split() if "v" in one][:4] == ["v0", "v1"] * 2
    else:
        assert main == "B 0 E B 0 1 2 E B 0 1 2 E"
        assert endless == "B 0 E B 0 1 E B 2 3 E"
        assert both == "B 0 E B 0 1 2 E vE vB v0 v1 vE B 0 1 2 E vE vB v0 v1 vE"
        assert other == endless_other == both_other == ""


def test_what_the_model_gets_is_the_loader_s_own_memory_on_torch_and_the_loader_s_array_elsewhere(monkeypatch):
    given, got = {}, []
    loader = ours(20).batches(4, seed=1)
    make = loader._maker.make

    def made(step):
        value = make(step)
        given[step] = value.batch.inputs["own"].ctypes.data
        return value

    loader._maker.make = made
    if BACKEND == "torch":

        class Looking(keras.Model):
            def train_step(self, data):
                got.append(data[0]["own"].data_ptr())
                return super().train_step(data)

        plain = counting_model(20)
        model = Looking({"own": plain.inputs[0]}, plain.outputs[0])
        model.compile("sgd", "mse")
        rowlock.keras.fit(model, loader, epochs=1, verbose=0)
        assert got == [given[step] for step in range(5)]
    else:
        taken = [loader.to_keras()[index] for index in range(2)]
        assert taken[0][0]["own"].ctypes.data in given.values()
    assert all(address % 64 == 0 for address in given.values())


def test_nothing_is_forked(time_limit):
    forks, children = [], set(multiprocessing.active_children())
    os.register_at_fork(before=lambda: forks.append(1))
    with time_limit(600):
        trained(ours(20).batches(4).to_keras(), 20, epochs=2)
        rowlock.keras.fit(counting_model(20), ours(20).batches(4), epochs=2, verbose=0)
    assert forks == []
    assert set(multiprocessing.active_children()) <= children


def test_without_keras_the_message_says_what_to_install():
    code = "import sys; sys.modules['keras'] = None\nimport rowlock\ntry: rowlock.keras"
    code += "\nexcept ImportError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
    assert "pip install 'rowlock[keras]'" in done.stdout
    assert len(done.stdout.splitlines()) == 1
