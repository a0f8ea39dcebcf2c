"""Predictions stand beside the keys of their rows, in the dataset's order, whole."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RowError, TooManyBadRowsError

keras = pytest.importorskip("keras")
import rowlock.keras  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS = 21
KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}


def make(kind="pandas", target=None, key="id", index=None, **columns):
    given = {"id": [f"k{row:02}" for row in range(NUM_ROWS)], "n": np.arange(NUM_ROWS) * 1.0, **columns}
    frame = KINDS[kind](given)
    if index is not None:
        frame.index = index
    return rl.Dataset(frame, {"n": rl.Columns(["n"])}, target=target, key=key)


def echo(factors=(1.0,), activation=None):
    """A model that says its input times each factor."""
    source = keras.Input((1,), name="n")
    model = keras.Model(source, keras.layers.Dense(len(factors), activation, use_bias=False)(source))
    model.set_weights([np.array([factors], np.float32)])
    return model


def values(frame, column):
    return list(np.asarray(frame[column])) if not isinstance(frame, pa.Table) else frame[column].to_pylist()


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_is_of_the_user_s_kind_with_the_key_under_its_name_and_joins_back(kind):
    data = make(kind)
    told = rowlock.keras.predict(echo(), data, batch_size=4)
    assert type(told) is type(data.frame)
    assert list(told.columns if kind != "arrow" else told.column_names) == ["id", "prediction"]
    assert values(told, "id") == values(data.frame, "id")
    assert values(told, "prediction") == list(range(NUM_ROWS))


def test_any_loader_predicts_every_row_once_in_the_dataset_s_order():
    part = make(target=rl.Column("n")).select([7, 3, 20, 3, 11])
    for given in (part, part.batches(2, seed=3), part.batches(2, seed=3).to_keras(), part.batches(3, last="drop")):
        told = rowlock.keras.predict(echo(), given)
        assert values(told, "n") == [7, 3, 20, 3, 11]
        assert values(told, "id") == ["k07", "k03", "k20", "k03", "k11"]
        assert told.index.tolist() == [7, 3, 20, 3, 11]


def test_pandas_index_is_kept_and_stands_for_a_missing_key():
    index = np.arange(NUM_ROWS)[::-1] + 100
    data = make(key=None, index=index, price=np.arange(NUM_ROWS))
    told = rowlock.keras.predict(echo(), data.select([4, 2]))
    assert list(told.columns) == ["prediction"]
    joined = data.frame.join(told)
    assert joined["prediction"].dropna().to_dict() == {116: 4.0, 118: 2.0}
    assert values(rowlock.keras.predict(echo(), make("polars", key=None)), "row") == list(range(NUM_ROWS))


def test_classes_name_the_columns_of_probabilities():
    label, names = ["cat", "dog", "cow"] * 7, ["cat", "cow", "dog"]
    told = rowlock.keras.predict(echo((1, 2, 3)), make(label=label, target=rl.Labels("label", classes=names)))
    assert list(told.columns) == ["id", "label_cat", "label_cow", "label_dog"]
    assert values(told, "label_dog") == [3.0 * row for row in range(NUM_ROWS)]
    told = rowlock.keras.predict(echo((1, 2, 3)), make(), classes=("x", "y", "z"))
    assert list(told.columns) == ["id", "prediction_x", "prediction_y", "prediction_z"]
    two = make(label=["no", "yes", "no"] * 7, target=rl.Labels("label", classes=["no", "yes"]))
    assert list(rowlock.keras.predict(echo((0.5,), "sigmoid"), two).columns) == ["id", "label_yes"]


def test_classes_that_only_this_frame_holds_name_no_output():
    """They may be others than those of the training: nobody knows where the model is from."""
    data = make(label=["dog", "emu", "fox"] * 7, target=rl.Labels("label"))
    model = echo((1, 2, 3))
    assert list(rowlock.keras.predict(model, data).columns) == ["id", "label_0", "label_1", "label_2"]
    told = rowlock.keras.predict(model, data, classes=["cat", "dog", "fox"])
    assert list(told.columns) == ["id", "label_cat", "label_dog", "label_fox"]
    again = make(label=["fox"] * NUM_ROWS, target=rl.Labels("label", classes=data.classes))
    assert list(rowlock.keras.predict(model, again).columns) == ["id", "label_dog", "label_emu", "label_fox"]


def test_labels_of_an_earlier_frame_name_the_columns_of_a_later_one():
    labels = rl.Labels("label")
    make(label=["cat", "dog", "cow"] * 7, target=labels)
    told = rowlock.keras.predict(echo((1, 2, 3)), make(label=["dog"] * NUM_ROWS, target=labels))
    assert list(told.columns) == ["id", "label_cat", "label_cow", "label_dog"]


def test_after_fit_the_classes_of_the_training_name_the_columns_and_others_are_refused():
    model = echo((1, 2, 3), "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    train = make(label=["cat", "dog", "cow"] * 7, target=rl.Labels("label"))
    rowlock.keras.fit(model, train.batches(21), epochs=1, verbose=0)
    assert list(rowlock.keras.predict(model, make()).columns) == ["id", *(f"prediction_{c}" for c in train.classes)]
    other = make(label=["dog", "emu", "fox"] * 7, target=rl.Labels("label"))
    with pytest.raises(ConfigError, match=r"\['cat', 'cow', 'dog'\].*\['dog', 'emu', 'fox'\]"):
        rowlock.keras.predict(model, other)
    told = rowlock.keras.predict(model, other, classes=train.classes)
    assert list(told.columns) == ["id", "label_cat", "label_cow", "label_dog"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a", "a", "b"], "names 'a' twice"),
        ([1, "1", 2], "names '1' twice"),
        (["a", "b"], "2 names.*3 number"),
        (["a", "b", "c", "d"], "4 names.*3 number"),
        ({"lable": ["a", "b", "c"]}, r"names 'lable', and the outputs are \['prediction'\]"),
        (5, "list of names"),
        ("abc", "list of names"),
    ],
)
def test_classes_that_do_not_fit_are_refused_before_a_row_is_predicted(classes, message, monkeypatch):
    model, data = echo((1, 2, 3)), make()
    with monkeypatch.context() as patched:
        patched.setattr(model, "predict", lambda *_, **__: pytest.fail("predicted"))
        with pytest.raises(ConfigError, match=message):
            rowlock.keras.predict(model, data, classes=classes)


def test_classes_of_several_outputs_are_a_dict_also_where_the_model_tells_nothing_before():
    class Two(keras.Model):
        def call(self, inputs):
            rows = inputs["n"] if isinstance(inputs, dict) else inputs
            return {"a": keras.ops.concatenate([rows, rows], 1), "b": rows}

    told = rowlock.keras.predict(Two(), make(), classes={"a": ["x", "y"]})
    assert set(told.columns) == {"id", "a_x", "a_y", "b"}
    with pytest.raises(ConfigError, match="2 outputs: classes= is a dict"):
        rowlock.keras.predict(Two(), make(), classes=["x", "y"])
    with pytest.raises(ConfigError, match="names 'c'"):
        rowlock.keras.predict(Two(), make(), classes={"c": ["x", "y"]})
    with pytest.raises(ConfigError, match="two outputs give a column 'a_0'"):
        rowlock.keras.predict(Clashing(), make())


class Clashing(keras.Model):
    def call(self, inputs):
        rows = inputs["n"] if isinstance(inputs, dict) else inputs
        return {"a_0": rows, "a": keras.ops.concatenate([rows, rows], 1)}


def test_several_outputs_and_numbers_have_columns_of_their_own():
    source = keras.Input((1,), name="n")
    outputs = {"one": keras.layers.Rescaling(2.0, name="a")(source), "many": keras.layers.RepeatVector(2)(source)}
    told = rowlock.keras.predict(keras.Model(source, outputs), make(), batch_size=4)
    assert set(told.columns) == {"id", "one", "many_0_0", "many_1_0"}
    assert values(told, "one") == [2.0 * row for row in range(NUM_ROWS)]
    assert values(told, "many_1_0") == list(range(NUM_ROWS))
    both = [keras.layers.Rescaling(2.0, name="double")(source), keras.layers.Concatenate(name="pair")([source, source])]
    data = make(target={"double": rl.Column("n"), "pair": rl.Column("n")})
    assert list(rowlock.keras.predict(keras.Model(source, both), data).columns) == ["id", "double", "pair_0", "pair_1"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_that_cannot_be_read_has_no_prediction(kind, tmp_path):
    from PIL import Image

    paths = [str(tmp_path / f"{row}.png") for row in range(NUM_ROWS)]
    for row, path in enumerate(paths):
        Image.new("L", (2, 2), row).save(path)
    for bad in (0, 6):
        (tmp_path / f"{bad}.png").write_bytes(b"<html>")
    frame = KINDS[kind]({"id": np.arange(NUM_ROWS) + 50, "path": paths})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(2, 2), channels=1)}, key="id")
    model = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(RowError, match="key 50"):
        rowlock.keras.predict(model, data)
    with pytest.raises(TooManyBadRowsError, match="raise max_bad"):
        rowlock.keras.predict(model, data, on_error="mask")
    told = rowlock.keras.predict(model, data, on_error="mask", max_bad=0.1)
    assert np.flatnonzero(pd.Series(values(told, "prediction"), dtype=float).isna()).tolist() == [0, 6]
    told = rowlock.keras.predict(model, data.batches(4, shuffle=False, on_error="mask", max_bad=1))
    assert values(told, "id") == (np.arange(NUM_ROWS) + 50).tolist()
    found = pd.Series(values(told, "prediction"), dtype=float)
    assert np.flatnonzero(found.isna()).tolist() == [0, 6]
    assert found.dropna().tolist() == [row for row in range(NUM_ROWS) if row not in (0, 6)]
    if kind != "pandas":
        column = told["prediction"]
        assert (column.null_count() if kind == "polars" else column.null_count) == 2


def test_a_partial_last_batch_is_compiled_as_the_others():
    shapes = set()

    class Shapes(keras.layers.Layer):
        def call(self, inputs):
            shapes.add(inputs.shape[0])
            return inputs

    source = keras.Input((1,), name="n")
    told = rowlock.keras.predict(keras.Model(source, Shapes()(source)), make(), batch_size=4)
    assert values(told, "prediction") == list(range(NUM_ROWS))
    assert 1 not in {size for size in shapes if type(size) is int}  # what is left of 21 rows


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
def test_numbers_of_16_bits_that_no_frame_knows_come_as_float32(kind):
    data = rl.Dataset(kind({"id": [7, 3, 5], "n": [0.5, 1.5, 2.5]}), {"n": rl.Columns(["n"])}, key="id")
    source = keras.Input((1,), name="n")
    frame = rowlock.keras.predict(keras.Model({"n": source}, {"told": keras.ops.cast(source, "bfloat16")}), data)
    assert frame["told"].to_numpy().dtype == np.float32
    assert frame["told"].to_list() == [0.5, 1.5, 2.5]


def test_outputs_that_are_not_one_of_a_row_are_named():
    data = rl.Dataset(pd.DataFrame({"n": np.arange(5.0)}), {"n": rl.Columns(["n"])})
    source = keras.Input((1,), name="n")
    with pytest.raises(
        ConfigError, match="output 'prediction' has 1 row.s. for 5 of the data: .* reduces over the batch"
    ):
        rowlock.keras.predict(keras.Model({"n": source}, keras.ops.sum(source, axis=0, keepdims=True)), data)
    with pytest.raises(ConfigError, match="output 'a' is several: .*a flat dict"):
        rowlock.keras.predict(keras.Model({"n": source}, {"a": [source + 1, source + 2]}), data)


def test_misuse_is_answered():
    with pytest.raises(ConfigError, match="predict takes a dataset, or a loader"):
        rowlock.keras.predict(echo(), [1, 2])
    with pytest.raises(ConfigError, match="rank 0 of 2"):
        rowlock.keras.predict(echo(), make().batches(4, shard=(0, 2), last="drop"))
    with pytest.raises(ConfigError, match="'mask' instead of 'skip'"):
        rowlock.keras.predict(echo(), make().batches(4, on_error="skip"))
    with pytest.raises(ConfigError, match="a loader has its own max_bad"):
        rowlock.keras.predict(echo(), make().batches(4), max_bad=0.5)
    with pytest.raises(ConfigError, match="max_bad is a share"):
        rowlock.keras.predict(echo(), make(), max_bad=2)
    other = keras.Input((1,), name="m")
    with pytest.raises(ConfigError, match="data give"):
        rowlock.keras.predict(keras.Model({"m": other}, other), make())
    named = rl.Dataset(
        pd.DataFrame({"prediction": [1, 2], "n": [1.0, 2.0]}), {"n": rl.Columns(["n"])}, key="prediction"
    )
    with pytest.raises(ConfigError, match="name of the key, 'prediction'"):
        rowlock.keras.predict(echo(), named)
