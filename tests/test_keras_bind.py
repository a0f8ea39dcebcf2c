"""What does not fit is answered before step 1, with what to write instead; what is legal is left in peace."""

import re

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
from rowlock.errors import ConfigError

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

layers = keras.layers
NUM_ROWS = 12
FRAME = pd.DataFrame(
    {
        "n": np.arange(NUM_ROWS),
        "label": ["a", "b", "c"] * 4,
        "two": ["no", "yes"] * 6,
        "price": np.arange(NUM_ROWS) + 0.5,
        "share": np.arange(NUM_ROWS) / NUM_ROWS,
        "number": [0, 1, 2, 7] * 3,
    }
)
LEFT = np.arange(NUM_ROWS * 4, dtype=np.float32).reshape(NUM_ROWS, 4)
INPUTS = {"left": rl.Features(LEFT), "right": rl.Features(-LEFT)}
HOT = np.eye(3, dtype=np.float32)[[0, 1, 2] * 4]


def loader_of(inputs=INPUTS, target="label", **options):
    targets = {
        "label": rl.Labels("label"),
        "two": rl.Labels("two"),
        "price": rl.Column("price"),
        "share": rl.Column("share"),
        None: None,
    }
    inputs = {name: rl.Features(LEFT) if what is None else what for name, what in inputs.items()}
    target = targets.get(target, target) if isinstance(target, (str, type(None))) else target
    data = rl.Dataset(FRAME, inputs, target=target)
    return data.batches(4, **({"shuffle": False} if target is None else {}) | options)


def model_of(outputs=3, activation="softmax", loss="sparse_categorical_crossentropy", names=("left", "right"), **more):
    tensors = [keras.Input((4,), name=name) for name in names]
    kind, compiled = more.pop("kind", dict), more
    joined = layers.Concatenate()(tensors) if len(tensors) > 1 else tensors[0]
    if isinstance(outputs, dict):
        out = {name: layers.Dense(units, activation, name=name)(joined) for name, units in outputs.items()}
    else:
        out = layers.Dense(outputs, activation)(joined)
    model = keras.Model(dict(zip(names, tensors, strict=True)) if kind is dict else kind(tensors), out)
    model.compile("sgd", loss, **compiled)
    return model


def one_input(shape, **options):
    source = keras.Input(shape, **options)
    model = keras.Model(source, layers.Dense(3, "softmax")(layers.Flatten()(source)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("inputs", "names", "message"),
    [
        (
            {"left": None, "rigth": None},
            ("left", "right"),
            r"data give \['left', 'rigth'\], the model takes \['left', 'right'\].*Did you mean 'rigth'",
        ),
        (
            {"left": None, "right": None, "id": None},
            ("left", "right"),
            r"\['left', 'right', 'id'\], the model takes.*Leave \['id'\] out",
        ),
        ({"left": None}, ("left", "right"), r"\['left'\], the model takes \['left', 'right'\].*Add \['right'\]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [dict, list])
def test_extra_missing_and_misspelt_inputs_show_both_lists(inputs, names, message, kind):
    with pytest.raises(ConfigError, match=message):
        loader_of(inputs).to_keras().bind(model_of(names=names, kind=kind))


def test_inputs_of_one_shape_in_another_order_are_put_right_by_name_or_refused():
    swapped = model_of(names=("right", "left"), kind=list)
    batches = loader_of(shuffle=False).to_keras()
    assert batches.bind(swapped) is batches
    first, second = batches[0][0]
    assert np.array_equal(np.asarray(first), -LEFT[:4])
    assert np.array_equal(np.asarray(second), LEFT[:4])
    told = keras.Model(swapped.inputs, swapped.inputs[0])
    predicted = told.predict(loader_of(target=None).to_keras().bind(told), verbose=0)
    assert np.array_equal(np.asarray(predicted), -LEFT)
    with pytest.raises(ConfigError, match=r"takes \['right', 'left'\], but inputs='tuple' gives \['left', 'right'\]"):
        loader_of().to_keras(inputs="tuple").bind(swapped)


@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (lambda: one_input((5,)), {"x": None}, r"'x'.*rows of shape \(4,\), but the model takes \(5,\)"),
        (lambda: one_input((4, 2)), {"x": None}, r"shape \(4,\), but the model takes \(4, 2\)"),
        (lambda: one_input((4,), dtype="int32"), {"x": None}, "float32, but the model takes int32 and would cut"),
        (lambda: one_input((4,), batch_size=5), {"x": None}, r"exactly 5 rows, the loader gives 4: batches\(5, last="),
        (lambda: keras.Sequential([layers.Dense(3)]), INPUTS, r"Sequential model takes one input.*'left', 'right'"),
        (lambda: one_input((4,)), INPUTS, r"data give \['left', 'right'\]"),
        (lambda: "model", INPUTS, "bind takes a keras.Model, not str"),
    ],
)
def test_shapes_dtypes_and_numbers_are_compared(model, inputs, message):
    with pytest.raises(ConfigError, match=message):
        loader_of(inputs).to_keras().bind(model())


YES = {"outputs": 1, "activation": "sigmoid"}
GENERAL = keras.losses.CategoricalGeneralizedCrossEntropy()
LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("target", "model", "message"),
    [
        ("label", {"outputs": 2}, r"3 classes \('a', 'b', 'c'\), but the model has 2 outputs.*Dense\(3\)"),
        ("two", {}, r"2 classes \('no', 'yes'\), but the model has 3 outputs.*Dense\(2\).*classes to come"),
        ("two", {"loss": GENERAL}, r"2 classes \('no', 'yes'\), but the model has 3 outputs"),
        ("two", {"loss": keras.losses.sparse_categorical_crossentropy}, "2 classes .* 3 outputs"),
        ("two", {"loss": "crossentropy"}, "2 classes .* 3 outputs"),
        ("label", {"outputs": 1, "activation": "sigmoid"}, "one output a class, and the model has one in all"),
        ("label", {"outputs": 1, "activation": "sigmoid", "loss": "ce"}, "3 classes.*cannot tell apart"),
        ("label", {"loss": keras.losses.CategoricalFocalCrossentropy()}, "one number a row"),
        ("label", {"loss": "categorical_hinge", "activation": None}, "one number a row"),
        ("label", {"outputs": 1, "loss": "hinge", "activation": "tanh"}, "3 classes.*hinge cannot tell apart"),
        ("label", {"loss": "poisson", "activation": "relu"}, "poisson would compare it with each"),
        ("price", {**YES, "loss": "binary_crossentropy"}, r"1.5 \(11 value.*outside 0 to 1"),
        ("price", {**YES, "loss": "mse"}, "outside 0 to 1.*sigmoid, which stays between"),
        (rl.Features(HOT), {**YES, "loss": "binary_crossentropy"}, r"1 output.*Dense\(3\)"),
        ("label", {"loss": "categorical_crossentropy"}, "one number a row.*loss='sparse_categorical_crossentropy'"),
        ("label", {"loss": "binary_crossentropy", "activation": "sigmoid"}, "3 classes.*cannot tell apart"),
        ("two", {"outputs": 2, "loss": "binary_crossentropy"}, r"the model 2 outputs.*Dense\(1, 'sigmoid'\)"),
        ("label", {"activation": None}, r"='softmax', or.*SparseCategoricalCrossentropy\(from_logits=True\)"),
        ("label", {"loss": LOGITS}, "activation is softmax, and .*from_logits=True.* again"),
        ("two", {"outputs": 1, "loss": "binary_crossentropy"}, "softmax over one output is always 1"),
        ("price", {"loss": "mse", "activation": None}, r"mse would compare it with each: Dense\(1\)"),
        ("price", {"loss": keras.losses.Huber(), "activation": None}, "huber would compare it with each"),
        (rl.Column("number"), {}, r"holds .*7.* \(3 such value\(s\)\), but with 3 outputs the classes are .* 0 to 2"),
        (rl.Features(HOT), {}, "3 numbers a row: loss='categorical_crossentropy', without sparse"),
        (rl.Features(HOT[:, :2]), {"loss": "categorical_crossentropy"}, r"shape \(2,\) a row, but .* wants 3"),
        (rl.Features(HOT[:, :2]), {"loss": "mse", "activation": None}, r"shape \(2,\), .* 3 output.*Dense\(2\)"),
        (
            {"kind": rl.Labels("label")},
            {"outputs": {"sort": 3, "cost": 1}},
            r"\['kind'\], the outputs.*\['cost', 'sort'\].*same names",
        ),
        (
            {"kind": rl.Labels("label"), "price": rl.Column("price")},
            {"outputs": {"kind": 3, "cost": 1}},
            r"\['kind', 'price'\], the outputs.*\['cost', 'kind'\]",
        ),
        ({"label": rl.Labels("label")}, {}, r"a dict of one target, \['label'\].*target=rl\.Labels"),
        ("label", {"outputs": {"kind": 3, "cost": 1}}, r"the model has 2 outputs.*target=\{'cost': .*'kind'"),
    ],
)  # fmt: skip
def test_targets_are_compared_with_outputs_and_losses(target, model, message):
    with pytest.raises(ConfigError, match=message):
        loader_of(target=target).to_keras().bind(model_of(**model))


class OwnLoss(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


def own_loss(y_true, y_pred):
    return keras.losses.sparse_categorical_crossentropy(y_true, y_pred)


EXACT = keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")


def said_by_us(caplog):
    """Return what Rowlock logged: TensorFlow says what it thinks of models that other tests made."""
    return [record for record in caplog.records if record.name.startswith("rowlock")]


@pytest.mark.parametrize("options", [{"on_error": "mask"}, {"last": "pad"}])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({}, r"mean over all rows.*SparseCategoricalCrossentropy\(reduction='mean_with_sample_weight'\)"),
        ({"loss": "crossentropy"}, "mean over all rows"),
        ({"loss": own_loss}, r"mean over all rows.*class MyLoss\(keras.losses.Loss\)"),
        ({"loss": OwnLoss()}, r"mean over all rows.*OwnLoss\(reduction='mean_with_sample_weight'\)"),
        ({"loss": EXACT, "metrics": ["accuracy"]}, r"metrics= counts them.*weighted_metrics=\['accuracy'\]"),
    ],
)
def test_rows_that_weigh_nothing_must_not_be_counted(options, model, message, caplog):
    batches = loader_of(INPUTS, "label", **options)
    if options.get("last"):
        batches = loader_of().dataset.batches(5, **options)
    with pytest.raises(ConfigError, match=message):
        batches.to_keras().bind(model_of(**model))
    wrong = model_of(**model)
    for call in (wrong.fit, wrong.evaluate):
        caplog.clear()
        call(batches.to_keras(), verbose=0)
        (record,) = said_by_us(caplog)
        assert re.search(f"Keras' own {call.__name__}: .*{message}", record.getMessage())
    for exact in (EXACT, OwnLoss(reduction="mean_with_sample_weight")):
        batches.to_keras().bind(model_of(loss=exact, weighted_metrics=["accuracy"]))


def test_full_batches_need_no_padding_and_plain_metrics_are_fine():
    loader_of(last="pad").to_keras().bind(model_of(metrics=["accuracy"]))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, "softmax")

    def call(self, inputs):
        inputs = inputs["left"] - inputs["right"] if isinstance(inputs, dict) else inputs
        return self.dense(inputs)


def built(model, loss="sparse_categorical_crossentropy", **more):
    model.compile("sgd", loss, **more)
    return model


def unnamed(kind=list):
    tensors = [keras.Input((4,)), keras.Input((4,))]
    return built(keras.Model(kind(tensors), layers.Dense(3, "softmax")(layers.Concatenate()(tensors))))


def sequential(*parts):
    return built(keras.Sequential([*parts, layers.Dense(3, "softmax")]))


def nested():
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(3), layers.Activation("softmax")])
    tensors = {name: keras.Input((4,), name=name) for name in INPUTS}
    return built(keras.Model(tensors, inner(layers.Concatenate()(list(tensors.values())))))


LEGAL = {
    "dict": (INPUTS, "label", model_of),
    "list by name": (INPUTS, "label", lambda: model_of(kind=list)),
    "list by place": (INPUTS, "label", unnamed),
    "tuple": (INPUTS, "label", lambda: unnamed(tuple)),
    "subclass of several": (INPUTS, "label", lambda: built(Subclassed())),
    "sequential, unbuilt": ({"left": None}, "label", sequential),
    "sequential, built": ({"left": None}, "label", lambda: sequential(keras.Input((4,)))),
    "one tensor": ({"left": None}, "label", lambda: one_input((4,))),
    "one in a list": ({"left": None}, "label", lambda: model_of(names=("left",), kind=list)),
    "one in a dict": ({"left": None}, "label", lambda: model_of(names=("left",))),
    "any length": ({"left": None}, "label", lambda: sequential(keras.Input((None,)), layers.Reshape((4,)))),
    "a last axis of one": ({"left": rl.Column("n")}, "label", lambda: one_input((1,))),
    "fixed batches": ({"left": None}, "label", lambda: one_input((4,), batch_size=4)),
    "classes to come": (INPUTS, rl.Labels("two", classes=["no", "yes", "perhaps"]), model_of),
    "logits": (INPUTS, "label", lambda: model_of(activation=None, loss=LOGITS)),
    "activation in a nested model": (INPUTS, "label", nested),
    "one probability": (INPUTS, "two", lambda: model_of(1, "sigmoid", "binary_crossentropy")),
    "cross-entropy by guess": (INPUTS, "label", lambda: model_of(loss="crossentropy")),
    "embeddings": (INPUTS, "label", lambda: model_of(16, None, keras.losses.Circle())),
    "a probability of two to come": (INPUTS, "share", lambda: model_of(1, "sigmoid", "binary_crossentropy")),
    "yes or no by hinge": (INPUTS, "two", lambda: model_of(1, "tanh", "hinge")),
    "counts": (INPUTS, rl.Column("number"), lambda: model_of(1, "softplus", "poisson")),
    "hot classes": (INPUTS, rl.Features(HOT), lambda: model_of(loss="categorical_crossentropy")),
    "several labels": (INPUTS, rl.Features(HOT), lambda: model_of(3, "sigmoid", "binary_crossentropy")),
    "price": (INPUTS, "price", lambda: model_of(1, None, "mse", metrics=["mae"])),
    "vector": (INPUTS, rl.Features(LEFT), lambda: model_of(4, None, "mse")),
    "loss of one's own": (INPUTS, "price", lambda: model_of(3, None, lambda y, p: keras.ops.mean(p, axis=-1) + 0 * y)),
    "a loss for some outputs": (
        INPUTS,
        {"kind": rl.Labels("label")},
        lambda: model_of({"kind": 3, "cost": 1}, None, {"kind": LOGITS}),
    ),
    "losses in a list for a dict": (
        INPUTS,
        {"kind": rl.Labels("label"), "cost": rl.Column("price")},
        lambda: model_of({"kind": 3, "cost": 1}, None, ["mse", LOGITS]),
    ),
    "several targets": (
        INPUTS,
        {"kind": rl.Labels("label"), "cost": rl.Column("price")},
        lambda: model_of({"kind": 3, "cost": 1}, None, {"kind": LOGITS, "cost": "mse"}, metrics={"cost": ["mae"]}),
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Gradients do not exist")  # for the output that has no loss
@pytest.mark.parametrize("name", LEGAL)
def test_legal_models_are_left_in_peace_and_train(name):
    inputs, target, make = LEGAL[name]
    model = make()
    model.run_eagerly = keras.backend.backend() == "jax"  # no compilation for a step or two
    loader = loader_of(inputs, target)
    history = model.fit(loader.to_keras().bind(model), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert loader_of(inputs, target).to_keras().bind(model).structure in ("auto", "dict", "tuple", "single")


def test_outputs_in_a_list_get_their_targets_by_name():
    tensors = {name: keras.Input((4,), name=name) for name in INPUTS}
    joined = layers.Concatenate()(list(tensors.values()))
    outputs = [layers.Dense(1, name="cost")(joined), layers.Dense(3, "softmax", name="kind")(joined)]
    model = built(keras.Model(tensors, outputs), ["mse", "sparse_categorical_crossentropy"])
    targets = {"kind": rl.Labels("label"), "cost": rl.Column("price")}
    model.fit(loader_of(target=targets).to_keras().bind(model), epochs=1, verbose=0)
    loss, cost, kind = model.evaluate(loader_of(target=targets, shuffle=False).to_keras().bind(model), verbose=0)
    assert loss == pytest.approx(cost + kind, rel=1e-4)
    predicted = np.asarray(model.predict({name: s * LEFT for name, s in (("left", 1), ("right", -1))}, verbose=0)[0])
    assert cost == pytest.approx(np.mean((predicted[:, 0] - FRAME["price"].to_numpy()) ** 2), rel=1e-4)


def test_single_is_for_one_input_and_other_structures_have_names():
    with pytest.raises(ConfigError, match=r"inputs='single' is for one input, but the data have 2"):
        loader_of().to_keras(inputs="single")
    with pytest.raises(ConfigError, match="inputs must be 'auto', 'dict', 'tuple' or 'single', not 'set'"):
        loader_of().to_keras(inputs="set")
    with pytest.raises(ConfigError, match="takes a dict of inputs"):
        loader_of().to_keras(inputs="tuple").bind(model_of())
    inputs, _ = loader_of({"left": None}, shuffle=False).to_keras(inputs="single")[0]
    assert np.array_equal(np.asarray(inputs), LEFT[:4])


@pytest.mark.parametrize(
    "name", ["sequential, built", "sequential, unbuilt", "one tensor", "one in a list", "one in a dict"]
)
def test_the_only_input_is_given_as_a_model_takes_it_that_nobody_bound(name):
    inputs, target, make = LEGAL[name]
    model = make()
    model.run_eagerly = keras.backend.backend() == "jax"
    batches = [loader_of(inputs, target, shuffle=False).to_keras() for _ in range(2)]
    history = model.fit(batches[0], validation_data=batches[1], epochs=1, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all()
    assert np.isfinite(model.evaluate(batches[1], verbose=0)).all()
    assert model.predict(batches[1], verbose=0).shape == (len(LEFT), 3)


def test_names_that_nobody_shares_are_a_guess_where_shapes_do_not_tell():
    swapped = model_of(names=("sunday", "monday"), kind=list)
    for call in (lambda: loader_of().to_keras().bind(swapped), lambda: rowlock.keras.predict(swapped, loader_of())):
        with pytest.raises(
            ConfigError, match=r"takes \['sunday', 'monday'\], the data give \['left', 'right'\].*'tuple'"
        ):
            call()
    assert loader_of().to_keras(inputs="tuple").bind(swapped).order == ("left", "right")
    by_shape = [keras.Input((4,), name="one"), keras.Input((1,), name="other")]
    told = keras.Model(by_shape, by_shape[1])
    predicted = rowlock.keras.predict(told, loader_of({"left": None, "n": rl.Columns(["n"])}, target=None))
    assert predicted.iloc[:, -1].tolist() == list(range(NUM_ROWS))


def test_keras_own_predict_says_once_that_rows_are_not_in_their_order(caplog):
    model = model_of()
    for options, how in (({}, "shuffle=True"), ({"shuffle": False, "last": "pad"}, "last='pad'")):
        caplog.clear()
        batches = loader_of(**options).to_keras()
        for _ in range(2):
            assert len(model.predict(batches, verbose=0)) >= NUM_ROWS
        (record,) = said_by_us(caplog)
        assert f"Keras' own predict: under {how} the predictions are not those of the rows" in record.getMessage()
    caplog.clear()
    model.evaluate(loader_of().to_keras(), verbose=0)
    model.predict(loader_of(shuffle=False).to_keras(), verbose=0)
    assert not said_by_us(caplog)


def test_a_missing_target_is_named_by_keras_own_fit_too():
    model, batches = model_of(), loader_of(target=None).to_keras()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ConfigError, match=f"{call.__name__} compares with a target, and these data have none"):
            call(batches, verbose=0)
    model.predict(batches, verbose=0)


def test_one_object_for_training_and_validation_is_refused():
    inputs, target, make = LEGAL["one tensor"]
    batches, model = loader_of(inputs, target).to_keras(), make()
    with pytest.raises(ConfigError, match="x and validation_data are the same object.*give validation its own"):
        model.fit(batches, validation_data=batches, epochs=2, verbose=0)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="only JAX cuts 64 bits")
def test_64_bits_are_refused_under_jax():
    data = rl.Dataset(FRAME, {"left": rl.Features(LEFT.astype(np.float64), dtype="float64")}, target=rl.Labels("label"))
    with pytest.raises(ConfigError, match="float64, which JAX cuts to 32 bits"):
        data.batches(4).to_keras()
