"""`tf.data`: a fixed signature, each iteration an epoch."""

import itertools
import threading

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RowError, StateError

tf = pytest.importorskip("tensorflow")

pytestmark = [
    pytest.mark.adapter,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),  # their own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),
]

NUM_ROWS = 21


def make(num_rows=NUM_ROWS, target=True, **more):
    numbers = np.arange(num_rows)
    frame = pd.DataFrame({"n": numbers, "w": numbers + 1.0})
    matrix = (numbers[:, None] + np.array([0, 0.25, 0.5])).astype(np.float32)
    inputs = {"f": rl.Features(matrix), "n": rl.Columns(["n"])}
    return rl.Dataset(frame, inputs, target=rl.Column("n", dtype="int32") if target else None, **more)


def rows_of(element):
    inputs, target, *_ = element
    told = target.numpy()
    assert np.array_equal(inputs["f"].numpy()[:, 0], told)
    assert np.array_equal(inputs["n"].numpy()[:, 0], told)
    return told.tolist()


def test_each_iteration_is_an_epoch_of_the_loader():
    dataset, plain = make().batches(4, seed=3).to_tf_dataset(), make().batches(4, seed=3)
    for _ in range(3):
        assert [rows_of(element) for element in dataset] == [batch.rows.tolist() for batch in plain]
    assert len(dataset) == 6


def test_after_a_break_comes_the_next_epoch():
    dataset, plain = make().batches(4, seed=3).to_tf_dataset(), make().batches(4, seed=3)
    for _ in dataset:
        break
    for _ in plain:
        break
    assert [rows_of(element) for element in dataset] == [batch.rows.tolist() for batch in plain]


def test_the_state_counts_what_was_handed_over():
    loader = make(400).batches(4)
    for number, _ in enumerate(loader.to_tf_dataset(), 1):
        assert loader.state_dict()["rows_delivered"] == 4 * number % 400


@pytest.mark.parametrize(
    ("options", "num_rows"),
    [({}, None), ({"last": "drop"}, 4), ({"last": "pad"}, 4), ({"last": "drop", "on_error": "skip"}, None)],
)
def test_the_signature_is_fixed_and_fixes_the_number_of_rows_where_it_is_the_same_for_all(options, num_rows):
    inputs, target, *weight = make().batches(4, **options).to_tf_dataset().element_spec
    assert inputs == {
        "f": tf.TensorSpec((num_rows, 3), tf.float32),
        "n": tf.TensorSpec((num_rows, 1), tf.float32),
    }
    assert target == tf.TensorSpec((num_rows,), tf.int32)
    assert weight == ([tf.TensorSpec((4,), tf.float32)] if options.get("last") == "pad" else [])


def test_weights_several_targets_no_target_and_tuples():
    numbers = np.arange(8)
    frame = pd.DataFrame({"n": numbers, "w": numbers / 2})
    targets = {"a": rl.Column("n"), "b": rl.Column("n", dtype="uint16")}
    data = rl.Dataset(frame, {"x": rl.Columns(["n"]), "z": rl.Columns(["w"])}, target=targets, sample_weight="w")
    inputs, target, weight = next(iter(data.batches(8, shuffle=False).to_tf_dataset(inputs="tuple")))
    assert isinstance(inputs, tuple)
    assert inputs[1].numpy()[:, 0].tolist() == weight.numpy().tolist() == (numbers / 2).tolist()
    assert target["a"].numpy().tolist() == target["b"].numpy().tolist() == numbers.tolist()
    assert target["b"].dtype == tf.uint16
    (only,) = next(iter(make(target=False).batches(4, shuffle=False, last="pad").to_tf_dataset()))
    assert only["n"].numpy()[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("inputs", ["list", None, 3])
def test_another_structure_is_refused(inputs):
    with pytest.raises(ConfigError, match="inputs must be 'dict' or 'tuple'"):
        make().batches(4).to_tf_dataset(inputs=inputs)


def test_a_type_that_tensorflow_lacks_is_refused_with_what_to_write():
    data = rl.Dataset(pd.DataFrame({"a": [1.0, 2.0]}), {"x": rl.Column("a", dtype="longdouble")})
    with pytest.raises(ConfigError, match="'x' is .*TensorFlow has no type for. Write dtype='float32'"):
        data.batches(2).to_tf_dataset()


def test_skipped_rows_leave_and_the_length_is_not_promised(tmp_path):
    data = pictures(tmp_path, broken={3})
    dataset = data.batches(1, shuffle=False, on_error="skip", max_bad=0.5).to_tf_dataset()
    assert dataset.cardinality() == tf.data.experimental.UNKNOWN_CARDINALITY
    assert [int(element[1][0]) for element in dataset] == [0, 1, 2, 4, 5, 6, 7]


def pictures(folder, broken):
    from PIL import Image

    for row in range(8):
        if row not in broken:
            Image.new("RGB", (4, 4), (row, 0, 0)).save(folder / f"{row}.png")
    frame = pd.DataFrame({"path": [f"{row}.png" for row in range(8)], "id": [f"r{row}" for row in range(8)]})
    frame["n"] = range(8)
    image = {"image": rl.Images("path", size=(4, 4), root=folder)}
    return rl.Dataset(frame, image, target=rl.Column("n"), key="id")


def test_the_original_error_can_be_had_with_key_and_step(tmp_path):
    from rowlock.tensorflow import original_errors

    dataset = pictures(tmp_path, broken={5}).batches(2, shuffle=False).to_tf_dataset()
    with pytest.raises(tf.errors.OpError, match="RowError: cannot read a row.*key 'r5'.*step 2"):
        list(dataset)
    with pytest.raises(RowError) as found, original_errors():
        list(dataset)
    assert (found.value.key, found.value.input, found.value.row) == ("r5", "image", 5)
    assert isinstance(found.value.__cause__, tf.errors.OpError)


def test_the_original_error_can_be_had_whatever_letters_are_in_it(tmp_path):
    from rowlock.tensorflow import original_errors

    frame = pd.DataFrame({"path": ["n\u00f6 '\"\u732b\n.png"], "id": ["\u043a\u043b"]})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(4, 4), root=tmp_path)}, key="id")
    with pytest.raises(RowError) as found, original_errors():
        list(data.batches(1).to_tf_dataset())
    assert found.value.key == "\u043a\u043b"


def test_errors_that_are_not_ours_pass_through():
    from rowlock.tensorflow import original_errors

    with pytest.raises(tf.errors.InvalidArgumentError), original_errors():
        tf.debugging.assert_equal(1, 2)
    with pytest.raises(ZeroDivisionError), original_errors():
        _ = 1 / 0


def test_an_error_does_not_end_the_epoch(tmp_path):
    broken = pictures(tmp_path, broken={2})
    iterator = iter(broken.batches(2, shuffle=False).to_tf_dataset())
    next(iterator)
    for _ in range(2):
        with pytest.raises(tf.errors.OpError, match="'r2'"):
            next(iterator)


def test_kept_tensors_are_unchanged_after_200_further_batches():
    dataset, plain = make().batches(4, seed=1).to_tf_dataset(), make().batches(4, seed=1)
    kept = list(itertools.chain.from_iterable([*dataset] for _ in range(36)))
    expected = itertools.chain.from_iterable([*plain] for _ in range(36))
    for element, batch in zip(kept, expected, strict=True):
        assert np.array_equal(element[0]["f"].numpy(), batch.inputs["f"])
        assert rows_of(element) == batch.rows.tolist()


def test_a_pass_that_was_given_up_with_its_own_read_ahead_takes_nothing_from_the_next(time_limit):
    dataset = make(400).batches(4, seed=1).to_tf_dataset().prefetch(4)
    with time_limit(100):
        for _ in range(20):
            for _, _element in zip(range(3), dataset, strict=False):
                pass
            assert sorted(row for element in dataset for row in rows_of(element)) == list(range(400))


def test_an_interrupted_epoch_is_refused_and_not_taken_for_a_whole_one():
    from rowlock.tensorflow import original_errors

    loader = make().batches(4, seed=1)
    for _ in loader:
        break
    state = loader.state_dict()
    again = make().batches(4, seed=1)
    again.load_state_dict(state)
    with pytest.raises(StateError, match=r"5 of 6 steps are left"), original_errors():
        list(again.to_tf_dataset())
    assert [batch.step for batch in again] == [1, 2, 3, 4, 5]


def test_no_thread_of_ours_is_left():
    loader = make().batches(4, engine=rl.Engine(num_threads=2))
    list(loader.to_tf_dataset())
    loader._engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "rowlock" and not thread.daemon]


def test_a_loader_of_a_shard_is_not_divided_again():
    policy = tf.data.experimental.AutoShardPolicy
    own = make().batches(4, last="pad", shard=(1, 2)).to_tf_dataset()
    whole = make().batches(4, last="pad").to_tf_dataset()
    assert own.options().experimental_distribute.auto_shard_policy == policy.OFF
    assert whole.options().experimental_distribute.auto_shard_policy != policy.OFF
    strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
    distributed = strategy.experimental_distribute_dataset(make().batches(4, seed=2).to_tf_dataset())
    assert sorted(row for element in distributed for row in rows_of(element)) == list(range(NUM_ROWS))


@pytest.mark.framework  # once on each backend
@pytest.mark.filterwarnings("ignore:`shuffle=True` was passed:UserWarning")  # Keras says so of each tf.data.Dataset
@pytest.mark.parametrize("inputs", ["dict", "tuple"])
def test_fit_evaluate_and_predict_take_it(inputs):
    keras = pytest.importorskip("keras")
    f, n = keras.Input((3,), name="f"), keras.Input((1,), name="n")
    out = keras.layers.Dense(1, kernel_initializer="zeros")(keras.layers.Concatenate()([f, n]))
    model = keras.Model({"f": f, "n": n} if inputs == "dict" else [f, n], out)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    dataset = make().batches(4, seed=1, last="drop").to_tf_dataset(inputs=inputs)
    valid = make().batches(7, shuffle=False).to_tf_dataset(inputs=inputs)
    history = model.fit(dataset, validation_data=valid, epochs=2, verbose=0).history
    squares = float(np.mean(np.arange(21.0) ** 2))
    assert history["val_loss"] == [pytest.approx(squares), pytest.approx(squares)]
    assert model.evaluate(valid, verbose=0) == pytest.approx(squares)
    assert model.predict(valid, verbose=0).shape == (21, 1)
