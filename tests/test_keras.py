"""Keras on the backend that KERAS_BACKEND names; `make test` runs this file once for each."""

import collections
import random
import threading

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

keras = pytest.importorskip("keras")

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS = 21


def make(num_rows=NUM_ROWS, target=True):
    rng = np.random.default_rng(0)
    matrix = np.concatenate([np.arange(num_rows)[:, None], rng.normal(size=(num_rows, 3))], axis=1).astype(np.float32)
    frame = pd.DataFrame({"number": np.arange(num_rows)})
    inputs = {"facts": rl.Columns(["number"]), "features": rl.Features(matrix)}
    return rl.Dataset(frame, inputs, target=rl.Column("number") if target else None)


def recording_model(seen, **compiled):
    """A model whose loss notes (facts, features, target) of every row that is really trained or evaluated on."""
    facts = keras.Input((1,), name="facts")
    features = keras.Input((4,), name="features")
    told = keras.layers.Concatenate()([facts, features])
    zero = keras.layers.Dense(1, kernel_initializer="zeros")(told)
    model = keras.Model({"facts": facts, "features": features}, keras.layers.Concatenate()([told, zero]))

    def loss(target, predicted):
        return keras.ops.mean(keras.ops.square(predicted[:, 5:] - keras.ops.reshape(target, (-1, 1))), axis=-1) * 0.0

    model.compile(optimizer="sgd", loss=loss, run_eagerly=True, **compiled)
    original = model.compute_loss

    def compute_loss(x=None, y=None, y_pred=None, sample_weight=None, **more):
        values = keras.ops.convert_to_numpy(y_pred)
        numbers = keras.ops.convert_to_numpy(y).reshape(-1)
        assert np.array_equal(values[:, 0], numbers)
        assert np.array_equal(values[:, 1], numbers)
        seen.append(numbers.astype(int).tolist())
        return original(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **more)

    model.compute_loss = compute_loss
    return model


def plain_model():
    facts = keras.Input((1,), name="facts")
    features = keras.Input((4,), name="features")
    out = keras.layers.Dense(1)(keras.layers.Concatenate()([facts, features]))
    model = keras.Model({"facts": facts, "features": features}, out)
    model.compile(optimizer="sgd", loss="mse")
    return model


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX calls the loss while tracing, not on values")
@pytest.mark.parametrize("shuffle", [True, False])
def test_fit_trains_on_every_row_once_an_epoch_in_the_order_of_the_plan(shuffle):
    seen = []
    loader = make().batches(4, seed=5)
    recording_model(seen).fit(loader.to_keras(), epochs=3, shuffle=shuffle, verbose=0)
    steps = [batch for batch in seen if len(batch)]
    expected = [loader.batch(step).rows.tolist() for step in range(3 * len(loader))]
    assert steps[-len(expected) :] == expected


def numbers_of(taken):
    inputs, target, *_ = taken
    assert np.array_equal(np.asarray(inputs["facts"])[:, 0], np.asarray(target))
    assert np.array_equal(np.asarray(inputs["features"])[:, 0], np.asarray(target))
    return np.asarray(target).astype(int).tolist()


def spied(batches):
    """Note what each call of Keras gets."""
    taken = []
    original = type(batches).__getitem__

    class Spied(type(batches)):
        def __getitem__(self, index):
            value = original(self, index)
            taken.append(numbers_of(value))
            return value

    batches.__class__ = Spied
    return taken


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", [4, 21, 10, 30])
def test_whatever_fit_does_each_epoch_is_the_plan_s(shuffle, batch_size):
    random.seed(3)  # Keras shuffles with it
    loader = make().batches(batch_size, seed=5)
    batches = loader.to_keras()
    taken = spied(batches)
    model = plain_model()
    model.fit(batches, epochs=3, shuffle=shuffle, verbose=0)
    num_steps = len(loader)
    epochs = [taken[len(taken) - (3 - epoch) * num_steps :][:num_steps] for epoch in range(3)]
    for rows in epochs:
        assert sorted(row for batch in rows for row in batch) == list(range(NUM_ROWS))
    if num_steps > 2:  # a shorter epoch cannot be told from Keras' probe, and is then one of the next epochs'
        assert epochs == [[loader.batch(e * num_steps + s).rows.tolist() for s in range(num_steps)] for e in range(3)]
    model.fit(batches, epochs=2, shuffle=shuffle, verbose=0)
    again = collections.Counter(row for batch in taken[-2 * num_steps :] for row in batch)
    assert set(again.values()) == {2}


def test_validation_is_whole_and_alike_in_every_epoch_and_leaves_training_alone():
    train, valid = make().batches(4, seed=5), make(10).batches(4, shuffle=False)
    train_batches, valid_batches = train.to_keras(), valid.to_keras()
    train_taken, valid_taken = spied(train_batches), spied(valid_batches)
    history = plain_model().fit(train_batches, validation_data=valid_batches, epochs=3, verbose=0)
    assert len(history.history["val_loss"]) == 3
    assert valid_taken[-9:] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 3
    assert train_taken[-18:] == [train.batch(step).rows.tolist() for step in range(18)]


def test_steps_per_epoch_goes_on_where_the_last_slice_ended():
    loader = make().batches(4, seed=5)
    batches = loader.to_keras()
    taken = spied(batches)
    plain_model().fit(batches, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    expected = [loader.batch(step).rows.tolist() for step in range(6)]
    assert [rows for rows in taken if rows in expected][-6:] == expected


def test_predict_gives_one_row_a_row_in_order_partial_batch_included():
    data = make(target=False)
    facts = keras.Input((1,), name="facts")
    features = keras.Input((4,), name="features")
    model = keras.Model({"facts": facts, "features": features}, keras.layers.Concatenate()([facts, features]))
    for _ in range(2):
        told = np.asarray(model.predict(data.batches(4, shuffle=False).to_keras(), verbose=0))
        assert told[:, 0].tolist() == told[:, 1].tolist() == list(range(NUM_ROWS))


def test_evaluate_is_exact():
    data = make()
    facts = keras.Input((1,), name="facts")
    features = keras.Input((4,), name="features")
    zero = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Model({"facts": facts, "features": features}, zero(keras.layers.Concatenate()([facts, features])))
    model.compile(loss="mse", metrics=["mae"])
    batches = data.batches(4, shuffle=False).to_keras()
    for _ in range(2):
        loss, mean = model.evaluate(batches, verbose=0)
        assert mean == pytest.approx(np.mean(np.arange(NUM_ROWS)))
        assert loss == pytest.approx(np.mean(np.arange(NUM_ROWS) ** 2.0))


def test_padding_leaves_weighted_loss_and_metrics_exact():
    facts = keras.Input((1,), name="facts")
    features = keras.Input((4,), name="features")
    zero = keras.layers.Dense(1, kernel_initializer="zeros")
    model = keras.Model({"facts": facts, "features": features}, zero(keras.layers.Concatenate()([facts, features])))
    mean = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
    model.compile(loss=mean, weighted_metrics=["mae"])
    padded = model.evaluate(make().batches(4, shuffle=False, last="pad").to_keras(), verbose=0)
    assert padded[1] == pytest.approx(np.mean(np.arange(NUM_ROWS)))


def test_training_stopped_in_the_middle_goes_on_with_the_next_epoch():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 3:
                self.model.stop_training = True
                raise KeyboardInterrupt

    loader = make().batches(4, seed=5)
    batches = loader.to_keras()
    taken = spied(batches)
    model = plain_model()
    with pytest.raises(KeyboardInterrupt):
        model.fit(batches, epochs=3, verbose=0, callbacks=[Stop()])
    taken.clear()
    model.fit(batches, epochs=1, verbose=0)
    assert sorted(row for rows in taken[-len(loader) :] for row in rows) == list(range(NUM_ROWS))


def test_inputs_may_be_a_list_in_the_order_of_the_dataset():
    first, second = keras.Input((1,)), keras.Input((4,))
    model = keras.Model([first, second], keras.layers.Dense(1)(keras.layers.Concatenate()([first, second])))
    model.compile(loss="mse")
    model.fit(make().batches(4).to_keras(inputs="tuple"), epochs=1, verbose=0)
    told = keras.Model([first, second], second).predict(
        make(target=False).batches(4, shuffle=False).to_keras(inputs="tuple"), verbose=0
    )
    assert np.asarray(told)[:, 0].tolist() == list(range(NUM_ROWS))
    with pytest.raises(ConfigError, match="inputs must be 'auto', 'dict'"):
        make().batches(4).to_keras(inputs="set")


def test_the_torch_backend_gets_tensors_that_share_the_batch_s_memory():
    inputs, target = make().batches(4).to_keras()[0]
    expected = "Tensor" if keras.backend.backend() == "torch" else "ndarray"
    assert {type(value).__name__ for value in (*inputs.values(), target)} == {expected}


def test_an_unreadable_row_ends_fit_with_its_key(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "path": [str(tmp_path / "none.jpg")] * 2, "y": [0, 1]})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(4, 4))}, target=rl.Column("y"), key="id")
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    model.compile(loss="mse")
    batches = data.batches(2, shuffle=False).to_keras()
    with pytest.raises(Exception, match="none.jpg"):
        model.fit(batches, verbose=0)
    assert isinstance(batches.last_error, rl.errors.RowError)
    assert batches.last_error.key == "a"


def test_keras_own_workers_are_refused():
    batches = make().batches(4).to_keras()
    with pytest.raises(ConfigError, match="lose rows"):
        batches.workers = 2
    with pytest.raises(ConfigError, match="lose rows"):
        batches.use_multiprocessing = True
    assert len(batches) == batches.num_batches == 6


def test_no_thread_is_left_when_loaders_are_closed():
    before = set(threading.enumerate())
    with rl.Engine(num_threads=2) as engine, make().batches(4, engine=engine) as loader:
        plain_model().fit(loader.to_keras(), epochs=1, verbose=0)
    for thread in set(threading.enumerate()) - before:
        if thread.name == "rowlock":
            thread.join(300)  # closing waits a little; a busy machine may need longer
            assert not thread.is_alive()


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_slices_of_separate_fits_go_on_to_rows_that_were_not_seen(steps):
    batches = make().batches(4, seed=5).to_keras()
    taken = spied(batches)
    model = plain_model()
    trained = []
    for _ in range(8):
        model.fit(batches, epochs=1, steps_per_epoch=steps, verbose=0)
        trained.append(tuple(map(tuple, taken[-steps:])))
    assert len(set(trained)) == 8


@pytest.mark.parametrize("arguments", [{}, {"shuffle": False, "last": "pad"}])
def test_predictions_that_would_not_be_the_rows_are_refused(arguments):
    with pytest.raises(ConfigError, match="without a target it can only predict.*batches"):
        make(target=False).batches(4, **arguments).to_keras()


def test_a_loader_that_goes_on_within_an_epoch_says_so():
    loader = make().batches(4, seed=1)
    next(iter(loader))
    resumed = make().batches(4, seed=1)
    resumed.load_state_dict(loader.state_dict())
    with pytest.raises(Exception, match=r"5 of 6 steps are left.*rowlock.keras.fit\(model, loader, initial_epoch=0"):
        plain_model().fit(resumed.to_keras(), verbose=0)


def test_stats_add_rate_and_waiting_to_the_history_of_every_epoch():
    batches = make().batches(16).to_keras()
    stats = rl.keras.Stats(batches)
    history = plain_model().fit(batches, epochs=3, verbose=0, callbacks=[stats]).history
    assert len(history["rows_per_second"]) == len(history["wait_share"]) == 3
    assert all(rate > 0 for rate in history["rows_per_second"])
    assert all(0 <= share <= 1 for share in history["wait_share"])
    assert stats.advice
    with pytest.raises(ConfigError, match="what fit gets"):
        rl.keras.Stats([1, 2])
