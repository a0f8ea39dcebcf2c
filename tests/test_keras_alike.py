"""What a model is validated with, and predicts for, means what it is trained on, or is refused before step 1."""

import numpy as np
import pandas as pd
import pytest

import rowlock as rl
import rowlock.inputs
from rowlock.errors import ConfigError

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

FRAME = pd.DataFrame({"y": ["cat", "dog", "fox"] * 4, "age": np.arange(12) * 1.0, "price": np.arange(12) * 10.0})
BOTH = ["age", "price"]
EAGER = keras.backend.backend() == "jax"  # no compilation for a step or two


def data(frame=FRAME, target=None, **inputs):
    named = inputs or {"x": rl.Columns(BOTH)}
    return rl.Dataset(frame, named, target=rl.Labels("y") if target is None else target)


def model_of(width=2, outputs=3, name="x"):
    source = keras.Input((width,), name=name)
    model = keras.Model(source, keras.layers.Dense(outputs, "softmax")(source))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=EAGER)
    return model


def fit(model, train, valid, **options):
    loaders = train.batches(4), valid.batches(4, shuffle=False)
    return rowlock.keras.fit(model, *loaders, epochs=1, verbose=0, **options)


def refused(train, valid, *values, model=None):
    """Neither a step is trained nor a weight changed, and the message has both values."""
    model = model_of() if model is None else model
    before = [weight.copy() for weight in model.get_weights()]
    with pytest.raises(ConfigError, match="do not mean the same") as caught:
        fit(model, train, valid)
    for value in values:
        assert value in str(caught.value)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))
    assert "Nothing was trained" in str(caught.value)
    return str(caught.value)


def test_every_input_says_its_meaning_itself():
    kinds = [getattr(rowlock.inputs, name) for name in rowlock.inputs.__all__]
    inputs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, rl.Input) and kind is not rl.Input]
    assert len(inputs) >= 8
    for kind in inputs:
        assert "meaning" in vars(kind), f"{kind.__name__} does not say what its numbers stand for"


@pytest.mark.parametrize(
    ("valid", "classes"),
    [
        (FRAME[FRAME.y != "cat"], "('dog', 'fox')"),
        (FRAME.replace({"y": {"cat": "emu"}}), "('dog', 'emu', 'fox')"),
        (FRAME[FRAME.y == "dog"], "('dog',)"),
    ],
)
def test_classes_that_another_frame_numbers_otherwise_are_refused(valid, classes):
    refused(data(), data(valid), "('cat', 'dog', 'fox')", classes, "classes of the target")


def test_classes_in_another_order_are_refused_and_the_same_labels_object_is_not():
    orders = [rl.Labels("y", classes=names) for names in (["cat", "dog", "fox"], ["fox", "dog", "cat"])]
    refused(data(target=orders[0]), data(target=orders[1]), "('fox', 'dog', 'cat')")
    labels = rl.Labels("y")
    history = fit(model_of(), data(target=labels), data(FRAME[FRAME.y != "cat"], target=labels))
    assert "val_loss" in history.history


def test_a_class_is_not_a_quantity_and_a_target_is_of_its_column():
    numbered = FRAME.assign(n=[0, 1, 2] * 4, m=[2, 1, 0] * 4)
    train = data(numbered, target=rl.Labels("n"))
    refused(train, data(numbered, target=rl.Column("n", dtype="int32")), "'rl.Labels'", "'rl.Column'")
    refused(train, data(numbered, target=rl.Labels("m")), "'n'", "'m'")


def test_each_part_standardised_by_its_own_rows_is_refused():
    parts = data(x=rl.Columns(BOTH, standardize=True)).split(0.5, 0.5)
    own = [part.fit_statistics()[0] for part in parts]
    refused(*own, "means of input 'x'", str(own[0].statistics["x"].mean[0]), str(own[1].statistics["x"].mean[0]))
    alike = parts[0].fit_statistics(parts[1])
    assert "val_loss" in fit(model_of(), *alike).history
    plain, scaled = data(), alike[1]
    refused(plain, scaled, "standardize of input 'x'", "False", "True")


def test_gaps_that_are_filled_with_other_numbers_are_refused():
    filled = [data(x=rl.Columns(BOTH, fill_missing=number)) for number in (0.0, [0.0, 1.0])]
    refused(*filled, "fill_missing of input 'x'", "(0.0, 0.0)", "(0.0, 1.0)")
    assert "val_loss" in fit(model_of(), filled[0], data(x=rl.Columns(BOTH, fill_missing=0.0))).history


def test_the_same_columns_in_another_order_are_refused_from_the_table_and_from_a_store(tmp_path):
    refused(data(), data(x=rl.Columns(BOTH[::-1])), "('age', 'price')", "('price', 'age')")
    rl.FeatureStore.write(tmp_path / "s", FRAME[BOTH].to_numpy("float32"), columns=BOTH)
    stored = [data(x=rl.Features(tmp_path / "s", columns=names)) for names in (None, BOTH, BOTH[::-1])]
    assert "val_loss" in fit(model_of(), stored[0], stored[1]).history
    refused(stored[0], stored[2], "('age', 'price')", "('price', 'age')")


def test_of_many_columns_the_first_that_differs_is_named():
    names = [f"c{number:02}" for number in range(30)]
    frame = pd.DataFrame(np.ones((12, 30)), columns=names).assign(y=FRAME.y)
    swapped = [*names[:20], names[21], names[20], *names[22:]]
    told = refused(*(data(frame, x=rl.Columns(which)) for which in (names, swapped)), model=model_of(30))
    assert "'c20', 'c21'" in told
    assert "'c21', 'c20'" in told
    assert "from number 20 on" in told
    assert "'c05'" not in told


@pytest.mark.parametrize(
    ("one", "other", "word"),
    [
        ({"dtype": "float32", "scale": 1 / 255}, {"dtype": "float32"}, "scale"),
        ({}, {"resize": "crop"}, "resize"),
        ({"dtype": "float32"}, {}, "dtype"),
        ({}, {"size": (4, 4)}, "size"),
        ({}, {"channels": 1}, "channels"),
    ],
)
def test_pictures_of_another_scale_size_or_fit_are_refused_and_of_another_folder_are_not(tmp_path, one, other, word):
    from PIL import Image

    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / folder / "p.png")
    frame = FRAME.assign(path="p.png")

    def pictures(folder, **options):
        options = {"size": (8, 8), "root": tmp_path / folder, **options}
        return data(frame, x=rl.Images("path", **options))

    source = keras.Input((None, None, None), name="x")  # takes any picture
    pooled = keras.ops.mean(source, axis=(1, 2, 3), keepdims=True)
    model = keras.Model(source, keras.layers.Dense(3, "softmax")(keras.layers.Reshape((1,))(pooled)))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=EAGER)
    refused(pictures("a", **one), pictures("a", **other), f"{word} of input 'x'", model=model)
    train = pictures("a", augment=rl.Augment(flip=0.5), cache=tmp_path / "cache", **one)
    assert "val_loss" in fit(model, train, pictures("b", max_pixels=100, **one)).history


def test_tokens_that_are_filled_up_with_another_number_are_refused():
    frame = FRAME.assign(words=[[1, 2]] * 12)
    source = keras.Input((3,), dtype="int32", name="x")
    model = keras.Model(source, keras.layers.Dense(3, "softmax")(keras.ops.cast(source, "float32")))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=EAGER)
    refused(*(data(frame, x=rl.Tokens("words", 3, pad=pad)) for pad in (0, 7)), "pad of input 'x': 0", "7", model=model)


def test_weights_keys_rows_and_engines_may_differ():
    train = rl.Dataset(FRAME.assign(w=1.0), {"x": rl.Columns(BOTH)}, target=rl.Labels("y"), sample_weight="w")
    keyed = FRAME.assign(id=np.arange(12))
    valid = rl.Dataset(keyed, {"x": rl.Columns(BOTH)}, target=rl.Labels("y"), key="id")
    with rl.Engine(num_threads=1) as engine:
        loaders = train.batches(4), valid.batches(5, shuffle=False, engine=engine)
        history = rowlock.keras.fit(model_of(), *loaders, epochs=1, verbose=0, class_weight="balanced")
    assert "val_loss" in history.history


def test_inputs_by_place_are_in_one_order():
    one, two = (
        rl.Dataset(FRAME, {name: rl.Columns([column]) for name, column in pairs}, target=rl.Labels("y"))
        for pairs in ([("a", "age"), ("b", "price")], [("b", "price"), ("a", "age")])
    )
    sources = [keras.Input((1,)), keras.Input((1,))]
    model = keras.Model(sources, keras.layers.Dense(3, "softmax")(keras.layers.Concatenate()(sources)))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=EAGER)
    refused(one, two, "['a', 'b']", "['b', 'a']", model=model)


def test_after_fit_the_model_takes_no_rows_of_another_meaning_until_it_is_fitted_anew():
    model, train = model_of(), data()
    fit(model, train, train.select([0, 1, 2]))
    other = data(x=rl.Columns(BOTH[::-1]))
    with pytest.raises(ConfigError, match="not mean what the model was trained on.*'price', 'age'"):
        rowlock.keras.predict(model, other)
    with pytest.raises(ConfigError, match="not mean what the model was trained on"):
        other.batches(4, shuffle=False).to_keras().bind(model)
    with pytest.raises(ConfigError, match="classes of the target"):
        data(FRAME[FRAME.y != "fox"]).batches(4, shuffle=False).to_keras().bind(model)
    fit(model, other, other.select([3]))
    assert len(rowlock.keras.predict(model, other)) == 12
