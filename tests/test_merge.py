"""Merged models: any Keras model as a branch, joined, saved and loaded; `make test` runs this once for each backend."""

import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

keras = pytest.importorskip("keras")
from keras import layers, ops  # noqa: E402 - only where Keras is

from rowlock.keras import Branch, merge, summary  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS = 16
rng = np.random.default_rng(0)
SERIES = rng.normal(size=(NUM_ROWS, 12)).astype(np.float32)
COUNTS = np.arange(NUM_ROWS) % 4  # items that a row has: 0, 1, 2, 3, 0, ...
ITEMS = rng.normal(size=(NUM_ROWS, 6)).astype(np.float32)  # three items of two numbers a row


def dataset(*names, target=None, **more):
    frame = pd.DataFrame(
        {
            "number": np.arange(NUM_ROWS),
            "words": [[1 + n % 5] * (n % 4) for n in range(NUM_ROWS)],
            "price": np.arange(NUM_ROWS) / 4,
            "label": ["a", "b"] * (NUM_ROWS // 2),
        }
    )
    inputs = {
        "facts": rl.Columns(["number"]),
        "scalar": rl.Column("number"),
        "code": rl.Column("number", dtype="int32"),
        "words": rl.Tokens("words", 5),
        "present": rl.TokensMask("words", 3),
        "series": rl.Features(SERIES, shape=(4, 3)),
        "flat": rl.Features(SERIES),
        "other": rl.Features(SERIES[:, ::-1].copy()),
        "items": rl.Features(ITEMS, shape=(3, 2)),
        **more,
    }
    return rl.Dataset(frame, {name: inputs[name] for name in names}, target)


def told(model, data):
    batch = data.gather(np.arange(len(data)))
    outputs = model({name: ops.convert_to_tensor(array) for name, array in batch.inputs.items()}, training=False)
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def dense(width=12, units=4, **more):
    return keras.Sequential([keras.Input((width,)), layers.Dense(units, activation="relu")], **more)


def columns_of(branches, data, join="concatenate"):
    """What is joined: the head passes it on."""
    return told(merge(branches, layers.Identity(), data=data, join=join), data)


def functional(width=12, units=3):
    source = keras.Input((width,))
    return keras.Model(source, layers.Dense(units)(source))


@pytest.mark.parametrize(
    ("branch", "name", "width"),
    [
        (dense, "flat", 4),
        (functional, "flat", 3),
        (lambda: keras.Sequential([layers.Dense(5)]), "flat", 5),
        (lambda: layers.Dense(6), "flat", 6),
        (lambda: None, "flat", 12),
        (lambda: None, "scalar", 1),
        (lambda: layers.LSTM(3), "series", 3),
        (lambda: keras.Sequential([layers.Bidirectional(layers.GRU(3))]), "series", 6),
        (lambda: keras.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)]), "words", 3),
        (lambda: layers.Embedding(NUM_ROWS, 2), "code", 2),
        (lambda: layers.CategoryEncoding(NUM_ROWS, output_mode="one_hot"), "code", NUM_ROWS),
        (lambda: Branch(normalize="layer"), "flat", 12),
        (lambda: Branch(preprocess=layers.Rescaling(2.0)), "flat", 12),
        (lambda: Branch(layers.Dense(7), per_item="max"), "series", 7),
    ],
)
def test_any_kind_of_model_is_a_branch_and_keeps_its_weights_when_saved(branch, name, width, tmp_path):
    data = dataset("facts", name)
    made = branch()
    model = merge({"facts": None, name: made}, layers.Dense(2), data=data)
    assert model.get_layer("concatenated").output.shape == (None, 1 + width)
    expected = told(model, data)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert np.allclose(told(again, data), expected, atol=1e-6)


def test_what_passes_straight_through_is_what_the_data_give():
    data = dataset("facts", "flat", "scalar")
    joined = columns_of({"scalar": None, "flat": None, "facts": None}, data)
    numbers = np.arange(NUM_ROWS)[:, None]
    assert np.allclose(joined, np.concatenate([numbers, SERIES, numbers], axis=1))


def test_a_sum_is_the_sum_of_equally_wide_branches():
    data = dataset("flat", "other")
    assert np.allclose(columns_of({"flat": None, "other": None}, data, "sum"), SERIES + SERIES[:, ::-1])
    with pytest.raises(ConfigError, match=r"equally wide, and they are \{'flat': 12, 'other': 4\}"):
        merge({"flat": None, "other": dense()}, layers.Dense(1), data=data, join="sum")
    with pytest.raises(ConfigError, match="join must be one of 'concatenate', 'sum', not 'add'"):
        merge({"flat": dense()}, layers.Dense(1), join="add")


def test_one_branch_is_a_model_to_compare_with():
    data = dataset("flat")
    assert np.allclose(columns_of({"flat": None}, data), SERIES)
    assert np.allclose(columns_of({"flat": None}, data, "sum"), SERIES)


def of_items(how):
    items = ITEMS.reshape(NUM_ROWS, 3, 2)
    expected = []
    for row, count in zip(items, np.minimum(COUNTS, 3), strict=True):
        present = row[:count]
        if how == "concat":
            expected.append(np.concatenate([present, np.zeros((3 - count, 2))]).reshape(-1))
        else:
            expected.append((present.mean(axis=0) if how == "mean" else present.max(axis=0)) if count else np.zeros(2))
    return np.array(expected)


@pytest.mark.parametrize("how", ["mean", "max", "concat"])
def test_items_that_are_not_there_do_not_count(how):
    data = dataset("items", "present")
    branch = Branch(layers.Identity(), per_item=how, mask="present")
    assert np.allclose(columns_of({"items": branch}, data), of_items(how), atol=1e-6)
    every = columns_of({"items": Branch(layers.Identity(), per_item=how)}, dataset("items"))
    items = ITEMS.reshape(NUM_ROWS, 3, 2)
    whole = {"mean": items.mean(axis=1), "max": items.max(axis=1), "concat": ITEMS}[how]
    assert np.allclose(every, whole, atol=1e-6)


def test_items_that_are_not_there_leave_no_trace_of_infinite_numbers():
    bad = np.where(np.arange(6) >= 2 * COUNTS[:, None], np.inf, ITEMS).astype(np.float32)
    data = dataset("items", "present", items=rl.Features(bad, shape=(3, 2)))
    for how in ("mean", "max", "concat"):
        branch = Branch(layers.Identity(), per_item=how, mask="present")
        assert np.allclose(columns_of({"items": branch}, data), of_items(how), atol=1e-6)


def test_a_mask_may_be_a_branch_too():
    data = dataset("items", "present")
    branches = {"items": Branch(layers.Identity(), per_item="mean", mask="present"), "present": None}
    joined = columns_of(branches, data)
    assert np.allclose(joined, np.concatenate([of_items("mean"), np.arange(3) < COUNTS[:, None]], axis=1), atol=1e-6)


def pictures(tmp_path, num_rows=8):
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 256, (num_rows, 32, 32, 3), np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    return pixels, pd.DataFrame({"path": [str(tmp_path / f"{number}.png") for number in range(num_rows)]})


@pytest.mark.parametrize("mode", ["mobilenet", "vgg16", "densenet"])
def test_preprocess_input_is_part_of_the_model_and_takes_pictures_as_they_come(mode, tmp_path):
    pixels, frame = pictures(tmp_path)
    function = getattr(keras.applications, mode).preprocess_input
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(32, 32))})
    branch = Branch(layers.Flatten(), preprocess=function)
    model = merge({"image": branch}, layers.Identity(), data=data)
    assert model.input["image"].dtype == "uint8"
    expected = function(pixels.astype(np.float32)).reshape(len(pixels), -1)
    assert np.allclose(told(model, data), expected, atol=1e-4)
    model.save(tmp_path / "m.keras")
    assert np.allclose(told(keras.saving.load_model(tmp_path / "m.keras"), data), expected, atol=1e-4)


def backbone(**more):
    return keras.applications.MobileNet(
        include_top=False, pooling="avg", input_shape=(32, 32, 3), alpha=0.25, **{"weights": None, **more}
    )


LOADED = """
import sys, keras, numpy as np
model = keras.saving.load_model(sys.argv[1])
given = dict(np.load(sys.argv[2]))
np.save(sys.argv[3], model.predict(given, verbose=0))
print(len(model.trainable_weights))
"""


def test_a_backbone_with_weights_of_a_local_file_loads_in_another_process(tmp_path):
    pixels, frame = pictures(tmp_path)
    first = backbone()
    first.save_weights(tmp_path / "b.weights.h5")
    net = backbone(weights=str(tmp_path / "b.weights.h5"))
    inputs = {"image": rl.Images("path", size=(32, 32)), "age": rl.Columns(["age"])}
    data = rl.Dataset(frame.assign(age=np.arange(8)), inputs)
    image = Branch(net, preprocess=keras.applications.mobilenet.preprocess_input, frozen=True, normalize="batch")
    model = merge({"image": image, "age": None}, layers.Dense(1), data=data)
    expected = model.predict(data.batches(8, shuffle=False).to_keras(), verbose=0)
    assert len(model.trainable_weights) == 2 + 2  # the normalisation behind it, and the head
    model.save(tmp_path / "m.keras")
    np.savez(tmp_path / "given.npz", image=pixels, age=np.arange(8.0, dtype=np.float32)[:, None])
    command = [sys.executable, "-c", LOADED, tmp_path / "m.keras", tmp_path / "given.npz", tmp_path / "told.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True, env=os.environ)
    assert done.stdout.split()[-1] == "4"
    assert np.allclose(np.load(tmp_path / "told.npy"), expected, rtol=1e-4, atol=1e-4)


def test_training_leaves_a_frozen_branch_as_it_is():
    data = dataset("flat", "facts", target=rl.Column("price"))
    net = keras.Sequential([keras.Input((12,)), layers.Dense(4), layers.BatchNormalization()])
    before = [ops.convert_to_numpy(weight) for weight in net.weights]
    model = merge({"flat": Branch(net, frozen=True), "facts": None}, layers.Dense(1), data=data)
    head = ops.convert_to_numpy(model.trainable_weights[0])
    model.compile("sgd", "mse")
    model.fit(data.batches(4).to_keras(), epochs=1, verbose=0)
    assert all(np.array_equal(a, ops.convert_to_numpy(b)) for a, b in zip(before, net.weights, strict=True))
    assert not np.allclose(head, ops.convert_to_numpy(model.trainable_weights[0]))


def test_batch_normalisation_of_a_frozen_branch_works_as_for_predictions_also_in_training():
    net = keras.Sequential([keras.Input((12,)), layers.BatchNormalization()])
    model = merge({"flat": Branch(net, frozen=True)}, layers.Identity())
    moved = ops.convert_to_tensor(SERIES + 5)
    quiet, training = (ops.convert_to_numpy(model({"flat": moved}, training=t)) for t in (False, True))
    assert np.array_equal(quiet, training)
    assert not model.trainable_weights
    net.trainable = True
    assert not np.allclose(quiet, ops.convert_to_numpy(model({"flat": moved}, training=True)))


def test_one_model_under_two_names_has_the_same_weights_for_both_also_when_loaded(tmp_path):
    data = dataset("flat", "other")
    net = dense()
    model = merge({"flat": net, "other": net}, layers.Dense(1), data=data)
    assert len(model.weights) == 2 + 2
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert len(again.weights) == 4
    assert np.allclose(told(again, data), told(model, data))
    joined = columns_of({"flat": net, "other": net}, data)
    alone = ops.convert_to_numpy(net(ops.convert_to_tensor(SERIES[:, ::-1].copy())))
    assert np.allclose(joined[:, 4:], alone, atol=1e-6)


def test_two_models_of_one_name_are_two_branches(tmp_path):
    data = dataset("flat", "other")
    head = keras.Sequential([layers.Dense(1, name="dense")], name="same")
    model = merge({"flat": dense(name="same"), "other": dense(name="same")}, head, data=data)
    assert len(model.weights) == 6
    model.save(tmp_path / "m.keras")
    assert np.allclose(told(keras.saving.load_model(tmp_path / "m.keras"), data), told(model, data))


def two_inputs(as_dict):
    words, mask = keras.Input((5,), dtype="int32", name="words"), keras.Input((3,), name="present")
    out = layers.Concatenate()([layers.Flatten()(layers.Embedding(9, 2)(words)), mask])
    return keras.Model({"words": words, "present": mask} if as_dict else [words, mask], out)


@pytest.mark.parametrize("as_dict", [False, True])
def test_a_branch_of_several_inputs_stands_under_their_names(as_dict):
    data = dataset("words", "present", "facts")
    order = ("present", "words") if as_dict else ("words", "present")  # by name, or in the model's order
    joined = columns_of({order: two_inputs(as_dict), "facts": None}, data)
    assert joined.shape == (NUM_ROWS, 14)
    assert np.array_equal(joined[:, 10:13], np.arange(3) < COUNTS[:, None])


def test_several_heads_are_several_targets():
    target = {"price": rl.Column("price"), "label": rl.Labels("label")}
    data = dataset("facts", "flat", target=target)
    heads = {"label": layers.Dense(2, activation="softmax"), "price": dense(width=5, units=1)}
    model = merge({"facts": None, "flat": dense()}, heads, data=data)
    model.compile("adam", {"label": "sparse_categorical_crossentropy", "price": "mse"}, metrics={"label": ["accuracy"]})
    history = model.fit(data.batches(4).to_keras(), epochs=2, verbose=0).history
    assert {"label_loss", "price_loss", "label_accuracy"} <= set(history)
    predicted = model.predict(data.batches(4, shuffle=False).to_keras(), verbose=0)
    assert {name: value.shape for name, value in predicted.items()} == {"label": (NUM_ROWS, 2), "price": (NUM_ROWS, 1)}


def test_tokens_behind_a_list_have_no_effect_on_a_masked_recurrent_branch():
    branch = keras.Sequential(
        [keras.Input((None,), dtype="int32"), layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)]
    )
    data = dataset("words")
    short = rl.Dataset(data.frame, {"words": rl.Tokens("words", 3)})
    model = merge({"words": branch}, layers.Identity(), data=data)
    other = merge({"words": branch}, layers.Identity(), data=short)
    some = COUNTS > 0
    assert np.allclose(told(model, data)[some], told(other, short)[some], atol=1e-6)


def test_a_recurrent_branch_learns_from_features_with_a_shape():
    series = np.random.default_rng(2).normal(size=(256, 12)).astype(np.float32)
    frame = pd.DataFrame({"y": series.reshape(256, 4, 3)[:, -1].sum(axis=1)})
    inputs = {"series": rl.Features(series, shape=(4, 3), standardize=True), "flat": rl.Features(series)}
    (data,) = rl.Dataset(frame, inputs, rl.Column("y")).fit_statistics()
    keras.utils.set_random_seed(0)
    model = merge({"series": layers.LSTM(16), "flat": layers.Dense(4)}, layers.Dense(1), data=data)
    model.compile(keras.optimizers.Adam(0.02), "mse")
    losses = model.fit(data.batches(32).to_keras(), epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parametrize(
    ("branches", "more", "message"),
    [
        (dict, {}, "branches is a dict"),
        (lambda: [dense()], {}, "branches is a dict"),
        (lambda: {3: dense()}, {}, "under the name of its input"),
        (lambda: {"a/b": dense()}, {}, "Keras takes no '/' in a name"),
        (lambda: {"flat": "dense"}, {}, "branch 'flat': a branch is a Keras model or layer, or None"),
        (lambda: {"flat": keras.Sequential}, {}, "branch 'flat': a branch is a Keras model or layer"),
        (lambda: {"head": dense()}, {}, "cannot be called 'head'"),
        (lambda: {"a": dense(), "a_branch": dense()}, {}, "cannot be called 'a_branch'"),
        (lambda: {"a": two_inputs(False)}, {}, "branch 'a' has 2 inputs: name those"),
        (lambda: {("a", "b"): dense()}, {}, "other inputs .* than it is given"),
        (lambda: {("a", "b"): two_inputs(True)}, {}, "other inputs"),
        (lambda: {("a", "b"): layers.Dense(2)}, {}, "several inputs is a functional model"),
        (lambda: {("a", "b"): None}, {}, "several inputs is one model"),
        (lambda: {"a": None, ("a", "b"): two_inputs(False)}, {}, "input 'a' goes into two branches"),
        (lambda: {"a": layers.Dense(2)}, {}, r"does not begin with keras.Input.*data=dataset"),
        (lambda: {"a": Branch(dense(2), per_item="mean")}, {}, "how many a row has is not known.*data=dataset"),
        (lambda: {"a": dense()}, {"head": None}, "the head is a Keras model or layer, not None"),
        (lambda: {"a": dense()}, {"head": {}}, "heads are a dict"),
        (lambda: {"a": dense()}, {"head": {"x": 3}}, "head 'x' is a Keras model or layer, not 3"),
        (
            lambda: {"a": dense(), "b": dense()},
            {"head": dense(9)},
            r"takes \(9,\), but 8 columns are joined \(a 4, b 4\)",
        ),
        (lambda: {"a": Branch(dense(), preprocess=lambda x: 3)}, {}, "must work on Keras' tensors"),
        (lambda: {"a": Branch(dense(), preprocess=layers.Dense(7))}, {}, "branch 'a' cannot take"),
    ],
)
def test_wrong_branches_and_heads_are_refused(branches, more, message):
    with pytest.raises(ConfigError, match=message):
        merge(branches(), **{"head": layers.Dense(1), **more})


def test_a_backbone_without_pooling_and_a_recurrent_layer_with_sequences_say_what_to_end_with():
    net = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(2, 3)])
    with pytest.raises(ConfigError, match=r"ends with shape \(None, 30, 30, 2\).*pooling='avg'"):
        merge({"a": net}, layers.Dense(1))
    with pytest.raises(ConfigError, match=r"ends with shape \(None, 4, 2\).*without return_sequences"):
        merge({"series": layers.LSTM(2, return_sequences=True)}, layers.Dense(1), data=dataset("series"))
    source = keras.Input((12,))
    with pytest.raises(ConfigError, match="'a' has several outputs"):
        merge({"a": keras.Model(source, [source, source])}, layers.Dense(1))


def test_a_model_may_be_shared_wholly_or_not_at_all():
    net, layer = dense(), layers.Dense(4)
    with pytest.raises(ConfigError, match="'flat' and 'other' are one model, but used in two ways"):
        merge({"flat": net, "other": Branch(net, normalize="layer")}, layers.Dense(1))
    parts = [keras.Sequential([keras.Input((12,)), layer]) for _ in range(2)]
    with pytest.raises(ConfigError, match="is part of branch 'flat' and of branch 'other', which Keras could not load"):
        merge({"flat": parts[0], "other": parts[1]}, layers.Dense(1))
    with pytest.raises(ConfigError, match="is part of branch 'flat' and of the head"):
        merge({"flat": keras.Sequential([keras.Input((4,)), layer2 := layers.Dense(4)])}, layer2)
    unbuilt = layers.Dense(2)
    with pytest.raises(ConfigError, match=r"are one model, but the data give rows of shape \[\(12,\)\] and \[\(1,\)\]"):
        merge({"flat": unbuilt, "facts": unbuilt}, layers.Dense(1), data=dataset("flat", "facts"))


def test_branches_masks_and_heads_are_compared_with_the_data():
    data = dataset("items", "present", target=rl.Column("price"))
    mean = Branch(layers.Dense(2), per_item="mean", mask="present")
    with pytest.raises(ConfigError, match=r"branches are \['items'\], but the inputs of the data are \['items', 'pre"):
        merge({"items": Branch(layers.Dense(2), per_item="mean")}, layers.Dense(1), data=data)
    with pytest.raises(ConfigError, match=r"heads are \['price'\], but the data's target has no name"):
        merge({"items": mean}, {"price": layers.Dense(1)}, data=data)
    several = dataset("flat", target={"price": rl.Column("price"), "label": rl.Labels("label")})
    with pytest.raises(
        ConfigError, match=r"heads are \['age', 'price'\], but the data's targets are \['label', 'price"
    ):
        merge({"flat": None}, {"age": layers.Dense(1), "price": layers.Dense(1)}, data=several)
    with pytest.raises(ConfigError, match=r"one head for the 2 targets \['label', 'price'\]"):
        merge({"flat": None}, layers.Dense(1), data=several)
    with pytest.raises(ConfigError, match=r"has 3 items a row, but its mask 'words' has rows of shape \(5,\)"):
        merge(
            {"items": Branch(layers.Dense(2), per_item="mean", mask="words")},
            layers.Dense(1),
            data=dataset("items", "words"),
        )
    with pytest.raises(ConfigError, match=r"takes rows of shape \(2,\), the data give \(3, 2\).*per_item"):
        merge({"items": dense(2)}, layers.Dense(1), data=dataset("items"))
    with pytest.raises(ConfigError, match=r"takes items of shape \(9,\), the data give \(3, 2\)"):
        merge({"items": Branch(dense(9), per_item="max")}, layers.Dense(1), data=dataset("items"))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (lambda: layers.Dense(2), r"the head has 2 output.*3 class.*\('a', 'b', 'c'\).*Dense\(3, 'softmax'\)"),
        (lambda: layers.Dense(5, "softmax"), r"has 5 output.* 3 class.*classes to come.*rl.Labels"),
        (lambda: keras.Sequential([layers.Dense(9), layers.Dense(4), layers.Softmax()]), "has 4 output"),
        (lambda: layers.Dense(1, "sigmoid"), r"has 1 output.* 3 class"),
        (lambda: layers.Dense(1, "softmax"), "softmax over one output, which is always 1"),
        (lambda: keras.Sequential([layers.Reshape((2, 6)), layers.Dense(3)]), r"shape \(2, 3\) a row.*one class a row"),
    ],
)
def test_a_head_has_an_output_for_every_class_of_the_data_and_no_more(head, message):
    three = rl.Labels("label", classes=["a", "b", "c"])
    with pytest.raises(ConfigError, match=message):
        merge({"flat": None}, head(), data=dataset("flat", target=three))
    several = dataset("flat", target={"price": rl.Column("price"), "label": three})
    with pytest.raises(ConfigError, match="head 'label' "):
        merge({"flat": None}, {"price": layers.Dense(1), "label": head()}, data=several)
    merge({"flat": None}, {"price": layers.Dense(2), "label": layers.Dense(3)}, data=several)


@pytest.mark.parametrize(
    "head",
    [
        lambda: layers.Dense(1),  # a grade, or a logit
        lambda: layers.Dense(3),
        lambda: layers.Dense(3, "softmax"),
        lambda: keras.Sequential([layers.Dense(16), layers.UnitNormalization()]),  # an embedding
    ],
)
def test_heads_that_fit_three_classes_are_left_in_peace(head):
    merge({"flat": None}, head(), data=dataset("flat", target=rl.Labels("label", classes=["a", "b", "c"])))


def test_two_classes_may_be_one_probability_and_a_named_target_wants_a_named_head():
    two = rl.Labels("label")
    for head in (layers.Dense(1, "sigmoid"), layers.Dense(1), layers.Dense(2, "softmax")):
        merge({"flat": None}, head, data=dataset("flat", target=two))
    with pytest.raises(ConfigError, match=r"Dense\(2, 'softmax'\), or with Dense\(1, 'sigmoid'\)"):
        merge({"flat": None}, layers.Dense(3), data=dataset("flat", target=two))
    with pytest.raises(ConfigError, match="one head for target 'sort', which has a name: give a dict"):
        merge({"flat": None}, layers.Dense(2), data=dataset("flat", target={"sort": two}))


CITY = rl.Categories("label", one_hot=False)


@pytest.mark.parametrize(
    ("what", "branch", "message"),
    [
        (CITY, lambda: None, r"'x' \(rl.Categories\) is numbers of things.*passes them on.*Embedding\(3, 2\); or make"),
        (CITY, lambda: Branch(normalize="batch"), "passes them on as quantities"),
        (CITY, layers.Identity, "passes them on as quantities"),
        (CITY, lambda: keras.Sequential([keras.Input(()), layers.Rescaling(2.0)]), "begins with Rescaling"),
        (CITY, lambda: layers.Embedding(2, 4), r"up to 2, but .*Embedding\(2, ...\), .*keras.layers.Embedding\(3"),
        (rl.Labels("number"), lambda: None, r"\(rl.Labels\).*Embedding\(16, 9\); or .*Categories\('number'\)"),
        (rl.Tokens("words", 5), lambda: None, r"'x' \(rl.Tokens\).*mask_zero=True"),
        (rl.Tokens("words", 5), lambda: layers.Dense(3), "begins with Dense"),
        (rl.Tokens("words", 5), lambda: keras.Sequential([layers.Embedding(5, 2), layers.Flatten()]), "up to 5, but"),
    ],
)  # fmt: skip
def test_numbers_of_categories_classes_and_tokens_are_no_quantities(what, branch, message):
    data = dataset("facts", "x", x=what)
    with pytest.raises(ConfigError, match=message):
        merge({"facts": None, "x": branch()}, layers.Dense(1), data=data)


@pytest.mark.parametrize(
    ("what", "branch", "width"),
    [
        (CITY, lambda: layers.Embedding(3, 4), 4),
        (CITY, lambda: Branch(layers.Dense(5), preprocess=layers.Embedding(9, 4)), 5),
        (CITY, lambda: layers.CategoryEncoding(3, output_mode="one_hot"), 3),
        (rl.Categories("label"), lambda: None, 2),
        (CITY, lambda: keras.Sequential([keras.Input((1,)), layers.Embedding(3, 4), layers.Flatten()]), 4),
        (rl.Tokens("words", 5), lambda: keras.Sequential([layers.Embedding(6, 2), layers.Flatten()]), 10),
        (rl.Column("number"), lambda: layers.Dense(3), 3),
        (rl.Column("number"), lambda: keras.Sequential([keras.Input((1,)), layers.Dense(3)]), 3),
        (rl.Labels("label"), lambda: None, 1),  # 0 and 1
        (rl.Columns(["number", rl.Categories("label")]), lambda: None, 3),
    ],
)
def test_numbers_of_things_go_through_an_embedding_and_zeros_and_ones_straight_on(what, branch, width):
    data = dataset("facts", "x", x=what)
    model = merge({"facts": None, "x": branch()}, layers.Dense(1), data=data)
    assert model.get_layer("concatenated").output.shape == (None, 1 + width)
    assert np.isfinite(told(model, data)).all()
    assert np.isfinite(model.predict(data.batches(4, shuffle=False).to_keras().bind(model), verbose=0)).all()


def test_the_data_are_a_dataset():
    data = dataset("flat")
    for given, message in ((data.batches(4), "loader.dataset, not Loader"), ("flat", "rl.Dataset, not str")):
        with pytest.raises(ConfigError, match=message):
            merge({"flat": None}, layers.Dense(1), data=given)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalize": "l2"}, "normalize must be one of 'batch', 'layer' or None, not 'l2'"),
        ({"per_item": "sum"}, "per_item must be one of"),
        ({"mask": "present"}, "goes with per_item=.*branch of two inputs"),
        ({"frozen": "yes"}, "frozen must be True or False"),
        ({"preprocess": 255}, "preprocess is a Keras layer or a function"),
        ({"model": None, "frozen": True}, "this branch has none"),
        ({"model": 3}, "a branch is a Keras model or layer, or None"),
    ],
)
def test_a_branch_checks_its_arguments(settings, message):
    with pytest.raises(ConfigError, match=message):
        Branch(**{"model": layers.Dense(2), **settings})


@pytest.fixture(scope="module")
def large_model(tmp_path_factory):
    """A loaded model, so that all that is told is read from its layers."""
    tmp_path = tmp_path_factory.mktemp("large")
    _, frame = pictures(tmp_path)
    frame = frame.assign(age=np.arange(8), words=[[1, 2]] * 8)
    inputs = {"image": rl.Images("path", size=(32, 32)), "age": rl.Columns(["age"]), "words": rl.Tokens("words", 2)}
    image = Branch(backbone(), preprocess=keras.applications.mobilenet.preprocess_input, frozen=True)
    words = keras.Sequential([layers.Embedding(9, 4), layers.LSTM(3)])
    heads = {"price": layers.Dense(1), "label": keras.Sequential([layers.Dense(8, "relu"), layers.Dense(2, "softmax")])}
    model = merge({"image": image, "words": words, "age": None}, heads, data=rl.Dataset(frame, inputs), name="three")
    model.save(tmp_path / "m.keras")
    return keras.saving.load_model(tmp_path / "m.keras")


def test_the_summary_tells_inputs_layers_columns_and_parameters(large_model, capsys):
    model = large_model
    texts = []
    summary(model, print_fn=texts.append)
    lines = [re.sub(r"\s+", " ", line).strip() for line in texts[0].splitlines()]
    for line in (
        "image 32 x 32 x 3 uint8 256 98% 218,544 0",
        "preprocess, mobilenet_0.25_32 (86 layers, frozen)",
        "words 2 int32 3 1% 132 132",
        "Embedding 4, LSTM 3",
        "age 1 float32 1 0% 0 0",
        "straight through",
        "concatenated 260",
        "price head Dense 1 1 261 261",
        "label head Dense 8 relu, Dense 2 softmax 2 2,106 2,106",
        f"three: {model.count_params():,} parameters, 2,499 trained, 218,544 not",
    ):
        assert line in lines
    summary(model)
    assert "mobilenet_0" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="models made by rowlock.keras.merge"):
        summary(dense())


def test_the_picture_shows_each_branch_and_head(large_model, tmp_path):
    mpl = pytest.importorskip("matplotlib")
    from PIL import Image

    model = large_model
    with mpl.rc_context({"svg.fonttype": "none"}):
        svg = rl.keras.draw(model, tmp_path / "m.svg").read_text()
    texts = re.findall(r"<text [^>]*>([^<]*)</text>", svg)
    for text in (
        "three",
        "image",
        "32 x 32 x 3 uint8",
        "mobilenet_0.25_32",
        "256 columns",
        "words",
        "straight through",
    ):
        assert text in texts
    assert "256 · 86 layers · 218,544 parameters · frozen" in texts
    assert {"price", "label", "Dense 2 softmax", "1 column", "260 columns, side by side"} <= set(texts)
    net = dense()
    shared = merge({"flat": net, "other": net}, layers.Dense(1), join="sum")
    with Image.open(rl.keras.draw(shared, str(tmp_path / "m.png"), dpi=50)) as picture:
        assert picture.size[0] > 250
    with pytest.raises(ConfigError, match=r"'m\.doc' has no format"):
        rl.keras.draw(shared, tmp_path / "m.doc")
