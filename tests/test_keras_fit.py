"""`rowlock.keras.fit`: the true epoch, slices, weights, errors as they are, and a state that counts what was trained.

The weights tell what was trained: each row's own weight grows by (row + 1) for every time that the row was trained with
its own target.
"""

import os
import subprocess
import sys
import threading

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, IncompleteEpochError, RowError, TooManyBadRowsError

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is
from rowlock.keras.steps import StepBatches  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS, STEPS = 21, 6  # batches of 4, the last of 1


class Told(keras.losses.Loss):
    """Its gradient to a row's own weight is its target."""

    def __init__(self, reduction="sum"):
        super().__init__(reduction=reduction)

    def call(self, y_true, y_pred):
        return -keras.ops.reshape(y_true, (-1,)) * keras.ops.reshape(y_pred, (-1,))


def counting_model(num_rows=NUM_ROWS, **compiled):
    source = keras.Input((num_rows,), name="own")
    model = keras.Model({"own": source}, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(source))
    model.compile(keras.optimizers.SGD(1.0), Told(), **compiled)
    return model


def make(num_rows=NUM_ROWS, **options):
    frame = pd.DataFrame({"y": np.arange(num_rows) + 1.0, "weight": [1.0, 2.0, 0.0] * (num_rows // 3)})
    target = options.pop("target", rl.Column("y"))
    return rl.Dataset(frame, {"own": rl.Features(np.eye(num_rows, dtype=np.float32))}, target=target, **options)


def counts(model):
    """How often each row was trained with its own target."""
    return (np.asarray(model.get_weights()[0])[:, 0] / (np.arange(len(model.get_weights()[0])) + 1)).round(4).tolist()


@pytest.fixture
def fetched(monkeypatch):
    """Rows of every batch that Keras got, by the number of steps of the object it asked, in the order of asking."""
    taken, original = {}, StepBatches.__getitem__

    def get(self, index):
        value = original(self, index)
        own = value[0]["own"] if isinstance(value[0], dict) else value[0]
        taken.setdefault(self._loader, []).append((index, np.asarray(own).argmax(axis=1).tolist()))
        return value

    monkeypatch.setattr(StepBatches, "__getitem__", get)
    return taken


def rows_of(loader, steps):
    return [loader.batch(step).rows.tolist() for step in steps]


def in_turn(taken):
    """What was got for indices 0, 1, 2, ... the last time each was asked for."""
    last = dict(taken)
    return [last[index] for index in range(len(last))]


@pytest.mark.parametrize("batch_size", [4, 10, 21, 30])
def test_every_row_is_trained_once_an_epoch_with_its_own_target(batch_size):
    model, loader = counting_model(), make().batches(batch_size, seed=5)
    rowlock.keras.fit(model, loader, epochs=3, verbose=0)
    assert counts(model) == [3.0] * NUM_ROWS
    assert (loader.step, loader.state_dict()["epoch"]) == (3 * len(loader), 3)


def test_initial_epoch_trains_on_the_order_of_that_epoch(fetched):
    loader = make().batches(4, seed=5)
    history = rowlock.keras.fit(counting_model(), loader, epochs=4, initial_epoch=2, verbose=0)
    assert in_turn(fetched[loader])[: 2 * STEPS] == rows_of(loader, range(2 * STEPS, 4 * STEPS))
    assert history.epoch == [2, 3]
    assert loader.state_dict()["epoch"] == 4


def test_slices_go_on_through_the_epochs_of_the_data_and_may_be_longer_than_one(fetched):
    for steps in (1, 4, STEPS, 10):
        model, loader = counting_model(), make().batches(4, seed=5)
        history = rowlock.keras.fit(model, loader, epochs=3, steps_per_epoch=steps, verbose=0)
        assert in_turn(fetched[loader])[: 3 * steps] == rows_of(loader, range(3 * steps))
        assert loader.step == 3 * steps
        assert sum(counts(model)) == sum(len(rows) for rows in rows_of(loader, range(3 * steps)))
        assert len(history.epoch) == 3


def test_the_state_counts_what_was_trained_and_not_what_keras_fetched(fetched):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(loader.step)
            if loader.step == 8:
                self.model.stop_training = True

    model, loader = counting_model(), make().batches(4, seed=5)
    rowlock.keras.fit(model, loader, epochs=3, callbacks=[Look()], verbose=0)
    assert seen == list(range(1, 9))
    state = loader.state_dict()
    assert (state["step"], state["epoch"], state["rows_delivered"]) == (8, 1, 8)
    assert sum(counts(model)) == NUM_ROWS + 8
    if keras.backend.backend() == "tensorflow":
        assert len(in_turn(fetched[loader])) > 8  # it had read ahead


def test_a_loaded_state_is_gone_on_with_and_another_epoch_refused():
    loader = make().batches(4, seed=5)
    batches = iter(loader)
    first = [next(batches).rows.tolist() for _ in range(2)]
    resumed, model = make().batches(4, seed=5), counting_model()
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(ConfigError, match="goes on within epoch 0.*initial_epoch=1.*pass initial_epoch=0"):
        rowlock.keras.fit(model, resumed, epochs=2, initial_epoch=1, verbose=0)
    rowlock.keras.fit(model, resumed, epochs=2, verbose=0)
    expected = np.full(NUM_ROWS, 2.0)
    expected[[row for rows in first for row in rows]] -= 1
    assert counts(model) == expected.tolist()


def test_validation_is_whole_and_alike_in_every_epoch_and_leaves_training_alone(fetched):
    model, train, valid = counting_model(), make().batches(4, seed=5), make().select(range(9)).batches(4, seed=9)
    history = rowlock.keras.fit(model, train, valid, epochs=4, validation_freq=2, verbose=0)
    assert counts(model) == [4.0] * NUM_ROWS
    assert len(history.history["val_loss"]) == 2
    expected = rows_of(valid, range(3))
    for index, rows in fetched[valid]:
        assert rows == expected[index]
    alone, weights = counting_model(), np.asarray(model.get_weights()[0])
    alone.set_weights([weights])
    whole = alone.evaluate(make().select(range(9)).batches(4, seed=9).to_keras(), verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(whole, rel=1e-5)


def test_sample_weight_and_class_weight_multiply():
    classes = pd.Series(["a", "b", "c"] * 7)
    frame = pd.DataFrame({"label": classes, "weight": np.arange(NUM_ROWS) % 4.0})
    inputs = {"own": rl.Features(np.eye(NUM_ROWS, dtype=np.float32))}

    class Classes(Told):
        def call(self, y_true, y_pred):
            return -keras.ops.reshape(y_pred, (-1,)) + 0 * keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "float32")

    def weights(class_weight, weight):
        model = counting_model()
        model.compile(keras.optimizers.SGD(1.0), Classes())
        data = rl.Dataset(frame, inputs, target=rl.Labels("label"), sample_weight=weight)
        rowlock.keras.fit(model, data.batches(4), epochs=1, class_weight=class_weight, verbose=0)
        return np.asarray(model.get_weights()[0])[:, 0].round(4)

    of_class = classes.map({"a": 1.0, "b": 0.5, "c": 3.0}).to_numpy()
    assert np.array_equal(weights({"b": 0.5, "c": 3.0}, None), of_class)
    assert np.array_equal(weights({1: 0.5, 2: 3}, "weight"), of_class * frame["weight"].to_numpy())
    assert np.array_equal(weights("balanced", None), np.ones(NUM_ROWS))
    for wrong, message in (
        ({"d": 1}, r"names 'd', which is none of the classes \['a', 'b', 'c'\]"),
        ({"a": -1}, "negative or not finite"),
        ("some", "'balanced' or a dict"),
    ):
        with pytest.raises(ConfigError, match=message):
            weights(wrong, None)
    with pytest.raises(ConfigError, match="class_weight is for one target of classes"):
        rowlock.keras.fit(counting_model(), make().batches(4), epochs=1, class_weight="balanced", verbose=0)


def test_balanced_class_weights_give_every_class_the_same_sum():
    frame = pd.DataFrame({"label": ["a"] * 15 + ["b"] * 4 + ["c"] * 2})
    data = rl.Dataset(frame, {"own": rl.Features(np.eye(21, dtype=np.float32))}, target=rl.Labels("label"))
    from rowlock.keras.training import _class_weights

    given = _class_weights(data.batches(4), "balanced")
    assert np.allclose(given * [15, 4, 2], 7)


def test_several_targets_and_sample_weights_under_one_fit():
    frame = pd.DataFrame({"y": np.arange(NUM_ROWS) + 1.0, "z": np.arange(NUM_ROWS) + 1.0, "w": [1.0, 2.0, 0.0] * 7})
    data = rl.Dataset(
        frame,
        {"own": rl.Features(np.eye(NUM_ROWS, dtype=np.float32))},
        target={"first": rl.Column("y"), "second": rl.Column("z")},
        sample_weight="w",
    )
    source = keras.Input((NUM_ROWS,), name="own")
    outputs = [
        keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name=name)(source)
        for name in ("second", "first")
    ]
    for shape in (outputs, {"first": outputs[1], "second": outputs[0]}):
        model = keras.Model({"own": source}, shape)
        model.set_weights([np.zeros((NUM_ROWS, 1))] * 2)
        losses = [Told(), Told()] if isinstance(shape, list) else {"first": Told(), "second": Told()}
        model.compile(keras.optimizers.SGD(1.0), losses)
        rowlock.keras.fit(model, data.batches(4), epochs=2, verbose=0)
        for weights in model.get_weights():
            assert np.allclose(weights[:, 0], 2 * frame["w"] * frame["y"])


def pictures(tmp_path, bad=(5,)):
    from PIL import Image

    paths = []
    for row in range(NUM_ROWS):
        paths.append(tmp_path / f"{row}.png")
        Image.new("L", (2, 2), row).save(paths[-1])
        if row in bad:
            paths[-1].write_bytes(b"not a picture")
    frame = pd.DataFrame({"id": [f"k{row}" for row in range(NUM_ROWS)], "path": list(map(str, paths)), "y": 1.0})
    return rl.Dataset(frame, {"image": rl.Images("path", size=(2, 2), channels=1)}, target=rl.Column("y"), key="id")


def picture_model(**compiled):
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile("sgd", **{"loss": "mse"} | compiled)
    return model


def threads():
    return {thread for thread in threading.enumerate() if thread.is_alive()}


def require_no_thread_but(before):
    """No thread that was begun goes on, but for those of TensorFlow; a busy machine may need a while to end them."""
    for thread in threads() - before:
        if "tf_data" not in thread.name:
            thread.join(300)
            assert not thread.is_alive(), thread.name


def test_an_error_is_the_row_s_own_on_every_backend_and_leaves_no_thread(tmp_path, time_limit):
    data = pictures(tmp_path)
    with time_limit(600):
        for train, valid in ((data, None), (data.select([0, 1, 2]), data)):
            before = threads()
            with rl.Engine(num_threads=2) as engine:
                loader = train.batches(2, shuffle=False, engine=engine)
                validating = valid and valid.batches(2, shuffle=False, engine=engine)
                with pytest.raises(RowError, match="k5") as caught:
                    rowlock.keras.fit(picture_model(), loader, validating, epochs=2, verbose=0)
                assert (caught.value.key, caught.value.step) == ("k5", 2)
                if valid is None:
                    assert loader.step == 2  # the steps before were trained, and count
            require_no_thread_but(before)


CALLS = {
    "rowlock.keras.fit": lambda model, loader: rowlock.keras.fit(model, loader, epochs=1, verbose=0),
    "validation": lambda model, loader: rowlock.keras.fit(
        model, loader.dataset.select([0, 3]).batches(2), loader, epochs=1, verbose=0
    ),
    "rowlock.keras.predict": rowlock.keras.predict,
    "fit": lambda model, loader: model.fit(loader.to_keras(), epochs=1, verbose=0),
    "evaluate": lambda model, loader: model.evaluate(loader.to_keras(), verbose=0),
    "predict": lambda model, loader: model.predict(loader.to_keras(), verbose=0),
}


@pytest.mark.parametrize("bad", [1, 5])
@pytest.mark.parametrize("call", CALLS)
def test_an_error_leaves_the_model_its_weights(call, bad, tmp_path):
    """Keras on JAX takes them out of the model while it trains, and does not always put them back."""
    data, model = pictures(tmp_path, bad=(bad,)), picture_model()
    rowlock.keras.fit(model, data.select([0, 2, 3]).batches(3), epochs=1, verbose=0)
    before = model.get_weights()
    with pytest.raises(Exception, match="k[15]"):
        CALLS[call](model, data.batches(2, shuffle=False))
    after = model.get_weights()
    trained = "fit" in call and bad == 5
    if call != "validation":
        assert trained != all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    rowlock.keras.fit(model, data.select([0, 2, 3]).batches(3), epochs=1, verbose=0)
    assert np.isfinite(rowlock.keras.predict(model, data.select([0, 2]))["y"]).all()


def test_ctrl_c_within_the_first_step_leaves_the_model_its_weights():
    interrupted = []

    def loss(y_true, y_pred):
        if interrupted:
            raise KeyboardInterrupt
        return keras.ops.square(keras.ops.reshape(y_true, (-1, 1)) - y_pred)

    data = make()
    model = keras.Sequential([keras.Input((NUM_ROWS,)), keras.layers.Dense(1)])
    model.compile("adam", loss, run_eagerly=True)
    rowlock.keras.fit(model, data.batches(4), epochs=1, verbose=0)
    before = model.get_weights()
    interrupted.append(True)
    with pytest.raises(KeyboardInterrupt):
        rowlock.keras.fit(model, data.batches(4), epochs=1, verbose=0)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))
    interrupted.clear()
    rowlock.keras.fit(model, data.batches(4), epochs=1, verbose=0)


FOUR_DEVICES = """
import keras, numpy as np, pandas as pd, rowlock as rl, rowlock.keras
keras.distribution.set_distribution(keras.distribution.DataParallel())
data = rl.Dataset(pd.DataFrame({"y": np.arange(37.0)}), {"x": rl.Columns(["y"])}, target=rl.Column("y"))
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
mean = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
model.compile("sgd", mean)
for loader, message in (
    (data.batches(8), "4 devices, which do not divide the last batch of 5 rows: batches(8, last='drop' or 'pad')"),
    (data.batches(6, last="drop"), "do not divide batches of 6 rows: batches(4, "),
):
    try:
        rowlock.keras.fit(model, loader, epochs=1, verbose=0)
        raise SystemExit("nothing was refused")
    except rl.RowlockError as error:
        assert message in str(error), error
assert np.array_equal(rowlock.keras.predict(model, data)["y"], np.arange(37.0))
assert np.array_equal(rowlock.keras.predict(model, data.batches(7))["y"], np.arange(37.0))
assert np.array_equal(rowlock.keras.predict(model, data.select([5, 4]))["y"], [5.0, 4.0])
model.compile(keras.optimizers.SGD(0.0), mean)
valid = data.batches(12, shuffle=False, last="pad")
history = rowlock.keras.fit(model, data.batches(8, last="pad"), valid, epochs=2, verbose=0)
assert history.history["loss"] == [0.0, 0.0] == history.history["val_loss"]
"""


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="keras.distribution is JAX's")
def test_batches_that_devices_cannot_divide_are_refused_and_predictions_come_all_the_same():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    found = subprocess.run(
        [sys.executable, "-c", FOUR_DEVICES], capture_output=True, text=True, timeout=600, check=False, env=environment
    )
    assert found.returncode == 0, found.stderr[-3000:]


def test_a_loader_that_a_callback_iterates_is_told_from_another_keras():
    class Reads(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            list(loader)

    loader = make().batches(4)
    with pytest.raises(IncompleteEpochError, match="iterated elsewhere meanwhile.*a loader of its own"):
        rowlock.keras.fit(counting_model(), loader, epochs=3, callbacks=Reads(), verbose=0)


@pytest.mark.parametrize("stop", ["interrupt", "stop_training"])
def test_ctrl_c_and_stop_training_leave_no_thread_and_a_true_state(stop, time_limit):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                if stop == "interrupt":
                    raise KeyboardInterrupt
                self.model.stop_training = True

    before = threads()
    with time_limit(600), rl.Engine(num_threads=2) as engine:
        model, loader = counting_model(), make().batches(4, seed=5, engine=engine)
        if stop == "interrupt":
            with pytest.raises(KeyboardInterrupt):
                rowlock.keras.fit(model, loader, epochs=3, callbacks=Stop(), verbose=0)
        else:
            rowlock.keras.fit(model, loader, epochs=3, callbacks=Stop(), verbose=0)
        assert loader.step == 4
        assert sum(counts(model)) == 16
        rowlock.keras.fit(model, loader, epochs=1, verbose=0)  # and it can be used again
        assert sum(counts(model)) == 16 + NUM_ROWS
    require_no_thread_but(before)


def test_masked_rows_weigh_nothing_and_are_listed_as_they_are_trained(tmp_path):
    exact = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    data = pictures(tmp_path, bad=(5, 9))
    loader = data.batches(4, seed=1, on_error="mask", max_bad=0.2)
    model = picture_model(loss=exact, weighted_metrics=["mae"])
    rowlock.keras.fit(model, loader, epochs=2, verbose=0)
    assert sorted(entry.key for entry in loader.bad_rows) == ["k5", "k9"]
    strict = data.batches(4, seed=1, on_error="mask", max_bad=0.01)
    with pytest.raises(TooManyBadRowsError, match="max_bad"):
        rowlock.keras.fit(picture_model(loss=exact), strict, epochs=2, verbose=0)


def test_padding_compiles_one_shape_and_changes_nothing():
    exact = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    shapes, trained = set(), {}
    for last in ("pad", "keep"):

        class Shapes(keras.layers.Layer):
            def call(self, inputs, last=last):
                shapes.add((last, inputs.shape[0]))
                return inputs

        source = keras.Input((NUM_ROWS,), name="own")
        out = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(Shapes()(source))
        model = keras.Model({"own": source}, out)
        model.compile(keras.optimizers.SGD(0.1), exact, weighted_metrics=["mae"])
        loader = make().batches(4, seed=5, last=last)
        history = rowlock.keras.fit(model, loader, epochs=2, verbose=0).history
        trained[last] = (np.asarray(model.get_weights()[0]), history["mae"])
    assert np.allclose(trained["pad"][0], trained["keep"][0], atol=1e-6)
    assert np.allclose(trained["pad"][1], trained["keep"][1], atol=1e-5)
    if keras.backend.backend() == "jax":
        assert {size for last, size in shapes if last == "pad" and type(size) is int} == {4}
        assert {size for last, size in shapes if last == "keep" and type(size) is int} == {4, 1}


def test_callbacks_see_one_run_and_its_progress_is_shown(capsys):
    loader = make().batches(4, seed=5)
    rowlock.keras.fit(counting_model(), loader, epochs=2, verbose=2)
    told = capsys.readouterr().out
    assert "Epoch 2/2" in told
    assert "6/6" in told


def test_several_steps_an_execution_count_and_must_divide_the_epoch():
    if keras.backend.backend() == "torch":
        pytest.skip("Keras' torch backend refuses steps_per_execution")
    model, loader = counting_model(steps_per_execution=3), make().batches(4, seed=5)
    rowlock.keras.fit(model, loader, epochs=2, verbose=0)
    assert counts(model) == [2.0] * NUM_ROWS
    assert loader.step == 2 * STEPS
    with pytest.raises(ConfigError, match="steps_per_execution=4 does not divide the 6 steps.*steps_per_epoch=4"):
        rowlock.keras.fit(counting_model(steps_per_execution=4), loader, epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 2, "initial_epoch": 2}, "initial_epoch=2 leaves nothing to train.*Pass epochs=4 for 2 more"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": 1.5}, "epochs must be an integer"),
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1"),
        ({"train": [1, 2]}, "train must be a loader"),
        ({"valid": "all"}, "valid must be a loader"),
        ({"train": "no target"}, "train has no target to train for: .*rl.Labels"),
        ({"valid": "train"}, "train and valid are the same loader"),
        ({"compiled": False}, "the model is not compiled"),
        ({"callbacks": "backup"}, "BackupAndRestore begins an interrupted epoch anew.*resume="),
        ({"on_error": "skip"}, "on_error='mask' instead of 'skip'"),
        ({"callbacks": 3}, "callbacks is a list of objects such as .*EarlyStopping.*holds 3"),
        ({"callbacks": [keras.callbacks.EarlyStopping]}, "callbacks is a list of objects.*holds <class"),
        ({"validation_freq": 0}, "validation_freq must be at least 1"),
        ({"validation_freq": [1, 2]}, "validation_freq must be an integer"),
    ],
)
def test_misuse_is_answered_with_what_to_write(arguments, message, tmp_path):
    loader = make().batches(4, on_error=arguments.pop("on_error", "raise"))
    model = counting_model()
    if not arguments.pop("compiled", True):
        model = keras.Model(model.input, model.output)
    train = arguments.pop("train", loader)
    train = make(target=None).batches(4, shuffle=False) if train == "no target" else train
    valid = arguments.pop("valid", None)
    valid = loader if valid == "train" else valid
    if arguments.get("callbacks") == "backup":
        arguments["callbacks"] = [keras.callbacks.BackupAndRestore(tmp_path / "backup")]
    with pytest.raises(ConfigError, match=message):
        rowlock.keras.fit(model, train, valid, **{"epochs": 1, "verbose": 0} | arguments)
