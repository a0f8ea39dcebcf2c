"""Categories of a table as an input: places that mean the same in every frame, nothing made up, nothing silent."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.checking import check_datasets
from rowlock.cli.data_options import DataOptions
from rowlock.errors import ConfigError, StateError
from rowlock.looking.facts import facts_of
from rowlock.training import Config, Run, train
from rowlock.training.data import arrow_table, prepare
from rowlock.training.fits import require_fit
from rowlock.training.spec import Spec

BREEDS = ["pug", "beagle", "pug", "collie", "beagle", "pug"]


def frame_of(kind, **columns):
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}[kind](columns)


def delivered(frame, what, **options):
    data = rl.Dataset(frame, {"x": what}, **options)
    return data.gather(np.arange(len(data))).inputs["x"]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_a_row_is_zeros_and_a_one_at_its_category_in_frames_of_every_kind(kind):
    what = rl.Categories("breed")
    found = delivered(frame_of(kind, breed=BREEDS), what)
    assert what.categories == ("beagle", "collie", "pug")
    assert (found.dtype, found.shape) == (np.float32, (6, 3))
    assert found.tolist() == [[float(one == name) for one in what.categories] for name in BREEDS]


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
def test_numbers_and_categories_stand_side_by_side_as_written(kind):
    what = rl.Columns(["age", rl.Categories("breed"), "is_old"])
    frame = frame_of(kind, age=[1.5, 2, 3, 4, 5, 6], breed=BREEDS, is_old=[False, True] * 3)
    found = delivered(frame, what)
    assert found[:, 0].tolist() == [1.5, 2, 3, 4, 5, 6]
    assert found[:, 1:4].argmax(axis=1).tolist() == [2, 0, 2, 1, 0, 2]
    assert found[:, 4].tolist() == [0, 1] * 3
    assert repr(what) == "Columns(['age', Categories('breed'), 'is_old'])"


@pytest.mark.parametrize(
    ("series", "categories"),
    [
        (pd.Series(["b", "a", "b"], dtype="category"), ("a", "b")),
        (pd.Series(["b", "a", "b"], dtype=object), ("a", "b")),
        (pd.Series([30, 4, 30]), (4, 30)),
        (pd.Series([True, False, True]), (False, True)),
        (pl.Series(["b", "a", "b"], dtype=pl.Enum(["z", "b", "a"])), ("a", "b")),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ("a", "b")),
    ],
)
def test_categories_may_be_text_categories_integers_and_booleans(series, categories):
    make = (
        pd.DataFrame if isinstance(series, pd.Series) else pl.DataFrame if isinstance(series, pl.Series) else pa.table
    )
    what = rl.Categories("c", one_hot=False)
    assert delivered(make({"c": series}), what).tolist() == [2, 1, 2]
    assert what.categories == categories


def test_a_second_frame_is_read_by_the_categories_of_the_first():
    what = rl.Columns([rl.Categories("breed", unknown="zeros"), "age"])
    first = pd.DataFrame({"breed": BREEDS, "age": 1.0})
    delivered(first, what)
    found = delivered(pd.DataFrame({"breed": ["collie", "lynx"], "age": 1.0}), what)
    assert found.tolist() == [[0, 1, 0, 1], [0, 0, 0, 1]]
    strict = rl.Categories("breed")
    delivered(first, strict)
    with pytest.raises(ConfigError, match=r"holds 'pugg' \(2 row\(s\)\), none of its .* Did you mean 'pug'"):
        delivered(pd.DataFrame({"breed": ["pugg", "pug", "pugg"]}), strict)
    with pytest.raises(ConfigError, match="holds whole numbers, but the categories are such as 'beagle'"):
        delivered(pd.DataFrame({"breed": [1, 2]}), strict)


def test_missing_values_are_refused_or_none_of_the_categories():
    frame = pl.DataFrame({"breed": ["pug", None, "collie"]})
    with pytest.raises(ConfigError, match=r"1 missing value\(s\), the first in row\(s\) 1.*missing='zeros'"):
        delivered(frame, rl.Categories("breed"))
    assert delivered(frame, rl.Categories("breed", missing="zeros")).tolist() == [[0, 1], [0, 0], [1, 0]]
    assert delivered(frame, rl.Categories("breed", missing="zeros", one_hot=False)).tolist() == [2, 0, 1]
    nothing = pl.DataFrame({"breed": pl.Series([None, None], dtype=pl.String)})
    with pytest.raises(ConfigError, match="no value in all 2 rows"):
        delivered(nothing, rl.Categories("breed", missing="zeros"))
    assert not delivered(nothing, rl.Categories("breed", ["a"], missing="zeros")).any()


def test_ids_and_free_text_are_refused_and_many_categories_may_be_asked_for():
    frame = pd.DataFrame({"id": [f"k{number}" for number in range(300)]})
    with pytest.raises(ConfigError, match=r"300 different values in 300 rows \('k0', .*max_categories=256"):
        rl.Dataset(frame, {"x": rl.Categories("id")})
    found = delivered(frame, rl.Categories("id", one_hot=False, max_categories=300))
    assert sorted(found.tolist()) == list(range(1, 301))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rl.Categories(["a"]), "name of one column"),
        (lambda: rl.Categories("a", "cat"), "categories is a list"),
        (lambda: rl.Categories("a", ["x", "x"]), "different values"),
        (lambda: rl.Categories("a", []), "one or more"),
        (lambda: rl.Categories("a", missing="drop"), "missing must be one of 'raise', 'zeros'"),
        (lambda: rl.Categories("a", unknown="own"), "unknown must be one of"),
        (lambda: rl.Categories("a", max_categories=0), "at least 1"),
        (lambda: rl.Columns(["a", rl.Categories("a")]), "different columns"),
        (lambda: rl.Columns([rl.Categories("a", one_hot=False)]), "an input of its own"),
        (lambda: rl.Dataset(pd.DataFrame({"a": [0.5]}), {"x": rl.Categories("a")}), "numbers: rl.Columns"),
        (lambda: rl.Dataset(pd.DataFrame({"a": ["x"]}), {"x": rl.Categories("b")}), "no column 'b'"),
        (lambda: rl.Dataset(pd.DataFrame({"a": ["x"]}), {"x": rl.Columns(["a"])}), r"rl.Categories\('a'\)"),
    ],
)
def test_misuse_is_answered(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_numbers_are_standardised_and_filled_and_categories_are_not():
    frame = pd.DataFrame({"age": [1.0, np.nan, 3.0, 5.0], "breed": ["a", "a", "a", "b"]})
    data = rl.Dataset(frame, {"x": rl.Columns(["age", rl.Categories("breed")], standardize=True, fill_missing="mean")})
    (fitted,) = data.fit_statistics()
    found = fitted.gather(np.arange(4)).inputs["x"]
    assert found[:, 0].tolist() == pytest.approx([-2 / np.sqrt(8 / 3), 0, 0, 2 / np.sqrt(8 / 3)], rel=1e-6)
    assert found[:, 1:].tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]
    again = rl.Columns(["age", rl.Categories("breed")], standardize=fitted.statistics["x"], fill_missing=[7.0])
    assert delivered(frame, again)[1].tolist() == pytest.approx([(7 - 3) / np.sqrt(8 / 3), 1, 0], rel=1e-6)


def test_a_saved_state_is_refused_where_a_place_means_another_category():
    first = pd.DataFrame({"breed": BREEDS})
    loader = rl.Dataset(first, {"x": rl.Categories("breed")}).batches(2)
    next(iter(loader))
    state = loader.state_dict()
    renamed = rl.Dataset(first.replace("pug", "mops"), {"x": rl.Categories("breed")}).batches(2)
    with pytest.raises(StateError, match="input:x"):
        renamed.load_state_dict(state)
    other = rl.Dataset(first, {"x": rl.Categories("breed", ["pug", "collie", "beagle"])}).batches(2)
    with pytest.raises(StateError, match="input:x"):
        other.load_state_dict(state)
    codes = rl.Dataset(first, {"x": rl.Categories("breed", one_hot=False)}).batches(2)
    with pytest.raises(StateError, match="input:x"):
        codes.load_state_dict(state)
    rl.Dataset(first, {"x": rl.Categories("breed")}).batches(2).load_state_dict(state)


def test_a_saved_state_is_refused_where_the_columns_stand_in_another_order():
    frame = pd.DataFrame({"breed": BREEDS, "age": np.arange(6.0)})
    loader = rl.Dataset(frame, {"x": rl.Columns(["age", rl.Categories("breed")])}).batches(2)
    next(iter(loader))
    turned = rl.Dataset(frame, {"x": rl.Columns([rl.Categories("breed"), "age"])}).batches(2)
    with pytest.raises(StateError, match="input:x"):
        turned.load_state_dict(loader.state_dict())


VALUES = st.sampled_from(["a", "b", "", "Ä", "0", "long name"])


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.none() | VALUES, min_size=1, max_size=40),
    known=st.lists(VALUES, min_size=1, unique=True),
    rows=st.lists(st.integers(0, 39), max_size=20),
    dtype=st.sampled_from(["float32", "float64", "int16"]),
)
def test_any_rows_are_what_looking_each_value_up_gives(values, known, rows, dtype):
    rows = np.array([row % len(values) for row in rows], np.int64)
    place = {value: number for number, value in enumerate(known)}
    lenient = {"missing": "zeros", "unknown": "zeros"}
    expected = np.zeros((len(rows), len(known)))
    for number, row in enumerate(rows):
        if values[row] in place:
            expected[number, place[values[row]]] = 1
    frame = pa.table({"c": pa.array(values, pa.string()), "n": np.arange(len(values))})
    inputs = {
        "alone": rl.Categories("c", known, **lenient),
        "beside": rl.Columns(["n", rl.Categories("c", known, **lenient)], dtype=dtype),
        "codes": rl.Categories("c", known, one_hot=False, **lenient),
    }
    found = rl.Dataset(frame, inputs).gather(rows).inputs
    assert np.array_equal(found["alone"], expected)
    assert found["beside"].dtype == dtype
    assert np.array_equal(found["beside"], np.column_stack([rows, expected]))
    assert np.array_equal(found["codes"], np.where(expected.any(1), expected.argmax(1) + 1, 0))


# in training, and in the commands


def animals(num_rows=120):
    numbers = np.arange(num_rows)
    return pl.DataFrame(
        {
            "id": numbers,
            "age": np.where(numbers % 7 == 0, np.nan, numbers % 11),
            "breed": [["pug", "collie", "beagle"][number % 3] if number % 10 else None for number in numbers],
            "is_old": numbers % 2 == 0,
            "label": np.where(numbers % 3 == 0, "yes", "no"),
        }
    )


CONFIG = {"columns": ["age", "breed", "is_old"], "target": "label", "key": "id", "batch_size": 8}


def test_training_takes_text_as_the_categories_of_its_own_rows():
    frame = animals()
    first = prepare(Config(**CONFIG), frame)
    assert first.categories == {"breed": ("beagle", "collie", "pug")}
    assert first.train.input_specs["columns"].shape == (5,)
    row = int(np.flatnonzero(np.isin(np.arange(120), first.parts["test"].keys))[0])
    breeds = frame["breed"].to_list()
    breeds[row] = "lynx"
    again = prepare(Config(**CONFIG), frame.with_columns(breed=pl.Series(breeds)))
    assert again.categories == first.categories
    assert [note for note in again.notes if "lynx" in note] == [
        "'breed': no training row is 'lynx'; 1 row(s) of other parts are, and count as none of its categories"
    ]
    place = int(np.flatnonzero(again.parts["test"].keys == row)[0])
    assert again.parts["test"].gather(np.array([place])).inputs["columns"][0, 1:4].tolist() == [0, 0, 0]
    for one in (first, again):
        one.train.close()


def test_the_spec_reads_another_table_by_the_categories_of_training(tmp_path):
    prepared = prepare(Config(**CONFIG), animals())
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(Spec.of(Config(**CONFIG), prepared).to_dict()))
    spec = Spec.load(path)
    other = pa.table({"id": [1, 2, 3], "age": [1.0, 2, 3], "breed": ["pug", None, "pug"], "is_old": [True] * 3})
    require_fit(spec, other)
    found = rl.Dataset(other, spec.rl_inputs(), key="id").gather(np.arange(3)).inputs["columns"]
    assert found[:, 1:4].tolist() == [[0, 0, 1], [0, 0, 0], [0, 0, 1]]
    lynx = other.set_column(2, "breed", pa.array(["lynx", "pug", "lynx"]))
    with pytest.raises(ConfigError, match="2 row.s. of column 'breed' hold 'lynx', which no training row had"):
        require_fit(spec, lynx)
    lenient = spec.with_places({}, None, "zeros")
    require_fit(lenient, lynx)
    found = rl.Dataset(lynx, lenient.rl_inputs(), key="id").gather(np.arange(3)).inputs["columns"]
    assert found[:, 1:4].tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 0]]
    with pytest.raises(ConfigError, match="column 'breed' held categories, and holds int64"):
        require_fit(spec, other.set_column(2, "breed", pa.array([1, 2, 3])))
    with pytest.raises(ConfigError, match="unknown must be"):
        spec.with_places({}, None, "own")


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_training_takes_categories_as_text_and_categories_that_are_numbers_as_numbers(library):
    plain = animals().with_columns(rooms=pl.col("id") % 3).to_pandas()
    frame = plain.assign(breed=plain["breed"].astype("category"), rooms=plain["rooms"].astype("category"))
    if library == "polars":  # which has no categories that are numbers
        frame = animals().with_columns(pl.col("breed").cast(pl.Categorical), rooms=pl.col("id") % 3)
    elif library == "arrow":
        frame = pa.Table.from_pandas(frame)
    config = Config(**CONFIG | {"columns": ["breed", "rooms"]})
    one, other = prepare(config, frame), prepare(config, plain)
    assert one.categories == other.categories
    assert list(one.categories) == ["breed"]
    rows = np.arange(10)
    found = [prepared.train.gather(rows).inputs["columns"] for prepared in (one, other)]
    assert np.array_equal(*found)
    require_fit(Spec.of(config, one), arrow_table(frame, "id"))


def test_categories_that_nothing_names_are_no_hindrance():
    frame = animals().to_pandas()
    table = arrow_table(frame.assign(range=pd.cut(frame["id"], 3)), "id")
    assert pa.types.is_dictionary(table.schema.field("range").type)
    assert prepare(Config(**CONFIG), table).categories == {"breed": ("beagle", "collie", "pug")}


def test_commands_take_categories_that_are_numbers_as_numbers(tmp_path):
    frame = pd.DataFrame({"rooms": pd.Categorical([1, 2] * 20), "stars": pd.Categorical([5, 3, 4, 4] * 10)})
    frame.to_parquet(tmp_path / "t.parquet")
    data = DataOptions(tmp_path / "t.parquet", columns="rooms", target="stars").dataset()
    assert data.classes == (3, 4, 5)
    assert facts_of(data, 1, None).values == ["rooms 2"]


def test_training_refuses_ids_and_columns_without_a_value():
    frame = animals().with_columns(name=pl.format("n{}", "id"), empty=pl.lit(None, pl.String))
    with pytest.raises(ConfigError, match=r"another value in each of 120 rows, such as 'n0'.*Leave it out"):
        prepare(Config(**CONFIG | {"columns": ["name"]}), frame)
    with pytest.raises(ConfigError, match="'empty' has no value"):
        prepare(Config(**CONFIG | {"columns": ["empty"]}), frame)


def test_checks_name_rare_categories_and_those_that_training_lacks(tmp_path):
    breeds = ["pug", "collie"] * 30
    breeds[58], breeds[3] = "lynx", None
    frame = pd.DataFrame({"breed": breeds, "age": [np.nan, *range(59)]})
    what = rl.Columns(["age", rl.Categories("breed", missing="zeros")], fill_missing=0.0)
    data = rl.Dataset(frame, {"facts": what})
    report = check_datasets([data.select(range(50)), data.select(range(50, 60))], speed_seconds=0)
    told = {finding.check: finding for finding in report.findings}
    assert report.is_right
    assert told["unseen-categories"].message == "1 category of column 'breed' in valid is not in train (1 row)"
    assert "'lynx': 1 rows" in told["unseen-categories"].examples[0].detail
    assert (told["rare-categories"].severity, told["rare-categories"].examples[0].detail) == ("note", "'lynx'")
    filled = [finding.message for finding in report.findings if finding.check == "missing-values"]
    assert filled == [
        "column 'age' has 1 missing value, filled with a number",
        "column 'breed' has 1 missing value, which are none of its categories",
    ]


def test_a_sheet_names_categories(tmp_path, monkeypatch):
    animals().write_parquet(tmp_path / "t.parquet")
    data = DataOptions(tmp_path / "t.parquet", columns="age,breed,is_old", target="label").dataset()
    assert facts_of(data, 1, None).values == ["age 1", "breed collie", "is_old 0"]
    assert facts_of(data, 10, None).values == ["age 10", "breed (none)", "is_old 1"]
    alone = rl.Dataset(animals(), {"b": rl.Categories("breed", missing="zeros", one_hot=False)})
    assert [facts_of(alone, row, None).values for row in (0, 1)] == [["b (none)"], ["b collie"]]


@pytest.mark.framework
@pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")  # Keras' own, not ours
def test_a_model_of_categories_predicts_and_is_explained_by_columns(tmp_path):
    pytest.importorskip("keras")
    frame = animals()
    config = Config(**CONFIG, epochs=20, learning_rate=0.02, patience=0, split=[0.8, 0.2])
    run = train(frame, config, tmp_path / "run")
    assert run.metrics["metrics"]["accuracy"] > 0.8  # the breed says it, but where it is missing
    said = Run.open(tmp_path / "run").predict(frame.with_columns(breed=pl.lit("pug")).drop("label"))
    assert (said["predicted_label"] == "yes").mean() > 0.9
    with pytest.raises(ConfigError, match="'lynx'.*--unknown zeros"):
        run.predict(frame.with_columns(breed=pl.lit("lynx")))
    lost = run.predict(frame.with_columns(breed=pl.lit("lynx")), unknown="zeros")
    gone = run.predict(frame.with_columns(breed=pl.lit(None, pl.String)))
    assert lost.equals(gone)
    found = run.explain(frame)
    assert {one.column for one in found.columns} == {"age", "breed", "is_old"}
    assert found.columns[0].column == "breed"


def test_a_table_in_a_file_is_read_as_its_frame(tmp_path):
    frame = pa.table({"breed": BREEDS, "kind": pa.array(BREEDS).dictionary_encode(), "age": np.arange(6.0)})
    pq.write_table(frame, tmp_path / "t.parquet")
    made = []
    for table in (frame, str(tmp_path / "t.parquet")):
        inputs = {"x": rl.Columns(["age", rl.Categories("breed"), rl.Categories("kind")])}
        made.append(rl.Dataset(table, inputs))
    assert made[0].fingerprints == made[1].fingerprints
    found = [one.gather(np.arange(6)).inputs["x"] for one in made]
    assert np.array_equal(*found)
    assert np.array_equal(found[0][:, 1:4], found[0][:, 4:])
