"""The parts of training that need no framework: what is predicted, how it is measured, what a run remembers."""

import dataclasses
import itertools
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, RunExistsError
from rowlock.run_state import write_state
from rowlock.training import Config
from rowlock.training.baseline import no_better
from rowlock.training.changes import changes_in_words
from rowlock.training.data import prepare, truth_of
from rowlock.training.fits import require_fit
from rowlock.training.folder import RUN, RunFolder, read_config
from rowlock.training.metrics import MAIN, area_under_curve, measure
from rowlock.training.pictures import lost_pictures
from rowlock.training.spec import Spec
from rowlock.training.tables import check_place, write_table
from rowlock.training.targets import Target, find_target, require_learnable, rows_without_target, target_columns


def table(**columns):
    return pa.table(columns)


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["b", "a", "b"], "classes", ("a", "b")),
        ([True, False, True], "classes", (False, True)),
        ([3, 1, 3], "classes", (1, 3)),
        (pa.array(["x", "y", "x"]).dictionary_encode(), "classes", ("x", "y")),
        (["b", None, "a"], "classes", ("a", "b")),
        ([0.5, 1.5, 0.25], "quantity", ()),
        ([1.0, 0.0, 1.0], "classes", (0, 1)),
        ([1.0, None, 0.0, np.nan], "classes", (0, 1)),
        (pa.array([Decimal(1), Decimal(0), None]), "classes", (0, 1)),
        ([1.0, 0.0, 2.0], "quantity", ()),
        (list(range(101)), "quantity", ()),
        (list(range(100)), "classes", tuple(range(100))),
        ([["sea", "sun"], [], ["sun"]], "labels", ("sea", "sun")),
    ],
)
def test_the_task_follows_from_the_type_of_the_target(values, task, classes):
    found = find_target(table(t=values), ("t",))
    assert (found.task, found.classes) == (task, classes)
    assert found.num_outputs == (len(classes) or 1)


def test_zeros_and_ones_that_an_empty_cell_made_floats_are_classes_as_whole_numbers_are(frame):
    whole = frame.assign(is_dog=np.arange(len(frame)) % 2)
    gap = whole.assign(is_dog=whole["is_dog"].astype(float).where(whole.index != 5))
    found = prepare(Config(columns=["age"], target="is_dog", key="object_id", missing="drop"), gap)
    same = prepare(Config(columns=["age"], target="is_dog", key="object_id"), whole.drop(index=5))
    assert found.target == same.target == Target("classes", ("is_dog",), (0, 1))
    assert all(type(name) is int for name in found.target.classes)
    assert found.train.fingerprints == same.train.fingerprints
    for part, rows in found.parts.items():
        assert np.array_equal(truth_of(rows, found.target), gap.set_index("object_id")["is_dog"][rows.keys])
        assert list(rows.keys) == list(same.parts[part].keys)


def test_several_columns_are_labels_if_they_hold_zero_and_one_and_quantities_if_they_hold_numbers():
    frame = table(a=[0, 1, 1], b=[True, False, True], c=[0.0, 1.0, 0.0], d=[0.5, 2.0, 1.0], e=["x", "y", "x"])
    assert find_target(frame, ("a", "b", "c")) == Target("labels", ("a", "b", "c"), ("a", "b", "c"))
    assert find_target(frame, ("a", "d")) == Target("quantity", ("a", "d"))
    with pytest.raises(ConfigError, match="one kind"):
        find_target(frame, ("a", "e"))


def test_the_task_can_be_said():
    frame = table(a=[0.0, 1.0, 2.0], n=[3, 5, 7], halves=[0.5, 1.0, 1.5])
    assert find_target(frame, ("a",), "classes").classes == (0, 1, 2)
    assert find_target(frame, ("n",), "quantity").task == "quantity"
    assert find_target(table(a=[0.0, 1.0, None]), ("a",), "quantity").task == "quantity"
    with pytest.raises(ConfigError, match="fractions"):
        find_target(frame, ("halves",), "classes")
    with pytest.raises(ConfigError, match="task must be"):
        find_target(frame, ("n",), "guess")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["cat", "cat"], "only 'cat' in all 2 rows"),
        ([1.5, 1.5], "same value in all 2 rows"),
        ([[], []], "empty lists only"),
        (pa.array([None, None], pa.string()), "no value at all"),
        (pa.array([1, 2], pa.timestamp("s")), "cannot be predicted"),
    ],
)
def test_a_target_with_nothing_to_learn_is_refused(values, message):
    frame = table(t=values)
    with pytest.raises(ConfigError, match=message):
        require_learnable(frame, find_target(frame, ("t",)))


def ids(num_alone, num_rows):
    return [f"n{row}" if row < num_alone else "often" for row in range(num_rows)]


@pytest.mark.parametrize("kind", ["text", "dictionary", "whole", "float"])
@pytest.mark.parametrize("task", ["auto", "classes"])
def test_an_id_is_no_target_whatever_the_task_is_said_to_be(kind, task):
    values = pa.array(ids(16, 30))
    if kind in {"whole", "float"}:
        values = pa.array([float(row) if row < 16 else 99.0 for row in range(30)])
        values = values.cast(pa.int64()) if kind == "whole" else values
        task = "classes"
    frame = table(name=values.dictionary_encode() if kind == "dictionary" else values)
    message = "column 'name' cannot be predicted: of 30 rows 16 have a class that no other row has, such as"
    with pytest.raises(ConfigError, match=message) as told:
        require_learnable(frame, find_target(frame, ("name",), task))
    assert ("--task quantity" in str(told.value)) == (kind in {"whole", "float"})


def test_rare_classes_and_a_few_rows_are_no_ids():
    for values in (ids(15, 30), ids(20, 20), [*ids(15, 30), None]):
        frame = table(name=values)
        require_learnable(frame, find_target(frame, ("name",)))


def test_a_target_is_a_column_even_with_a_comma_in_its_name_else_a_list_of_columns():
    frame = table(**{"a,b": [1, 2], "a": [1, 2], "b": [1, 2]})
    assert target_columns(frame, "a,b") == ("a,b",)
    assert target_columns(frame, "a, b") == ("a", "b")
    with pytest.raises(ConfigError, match="Did you mean 'label'"):
        target_columns(table(label=[1]), "labl")
    with pytest.raises(ConfigError, match="--target COL"):
        target_columns(frame, "")


def test_rows_without_a_target_are_found():
    frame = table(a=[1.0, None, np.nan, np.inf, 2.0], b=["x", "x", "x", "x", None])
    assert rows_without_target(frame, ("a",)).tolist() == [False, True, True, True, False]
    assert rows_without_target(frame, ("a", "b")).tolist() == [False, True, True, True, True]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order_ties_counting_half(rng):
    positive, score = rng.random(60) < 0.3, rng.integers(0, 8, 60) / 8
    pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(score[positive], score[~positive])]
    assert area_under_curve(positive, score) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert area_under_curve(np.ones(3, bool), np.arange(3.0)) is None


def test_metrics_of_classes_are_those_counted_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 2])
    answer = np.array([0, 0, 1, 1, 0, 2])
    predicted = np.full((6, 4), 0.1)
    predicted[np.arange(6), answer] = 0.7
    found = measure(Target("classes", ("t",), ("a", "b", "c", "d")), truth, predicted)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    f1 = [2 * 2 / (3 + 3), 2 * 1 / (2 + 2), 1.0]  # class d is neither there nor said
    assert found["f1_macro"] == pytest.approx(np.mean(f1))
    assert found["confusion"] == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert found["log_loss"] == pytest.approx(-(4 * np.log(0.7) + 2 * np.log(0.1)) / 6)
    assert "auc" not in found


def test_metrics_of_quantities_and_labels_are_those_counted_by_hand():
    truth, predicted = np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [3.0], [2.0]])
    found = measure(Target("quantity", ("t",)), truth, predicted)
    assert found["mae"] == pytest.approx(1.0)
    assert found["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert found["r2"] == pytest.approx(1 - 5 / np.square(truth - truth.mean()).sum())
    assert measure(Target("quantity", ("t",)), truth[:1], predicted[:1])["r2"] is None
    labels = measure(
        Target("labels", ("t",), ("x", "y")),
        np.array([[1, 0], [0, 1], [1, 1]]),
        np.array([[0.9, 0.1], [0.6, 0.8], [0.2, 0.7]]),
    )
    assert labels["exact_match"] == pytest.approx(1 / 3)
    assert labels["f1_macro"] == pytest.approx((2 / 4 + 1) / 2)
    assert set(MAIN.values()) <= {*found, *labels, "accuracy"}


def metrics_of(target, truth, predicted):
    facts = {"task": target.task, "target": list(target.columns), "classes": list(target.classes)}
    return facts | {"measured_on": "test", "metrics": measure(target, np.asarray(truth), np.asarray(predicted, float))}


def test_a_model_that_says_no_more_than_the_commonest_class_is_named_with_both_figures():
    target = Target("classes", ("kind",), ("cat", "dog"))
    cat, dog = (0.9, 0.1), (0.1, 0.9)
    said = no_better(metrics_of(target, [0, 0, 0, 1], [cat] * 4))
    assert "no better than always saying 'cat', the commonest class: accuracy 0.750, and that gives 0.750" in said
    assert "on the 4 test rows" in said
    assert "--class-weights balanced" in said
    assert no_better(metrics_of(target, [0, 0, 0, 1], [cat] * 3 + [dog])) is None
    poor = metrics_of(target, [0, 0, 0, 1], [cat, dog, dog, dog])
    assert "accuracy 0.500, and that gives 0.750" in no_better(poor)
    assert no_better(poor, is_balanced=True) is None
    assert "balanced accuracy 0.500" in no_better(metrics_of(target, [0, 0, 0, 1], [cat] * 4), is_balanced=True)


def test_a_model_that_says_no_more_than_the_mean_is_named_with_both_figures_and_the_column():
    target = Target("quantity", ("price",))
    said = no_better(metrics_of(target, [[1.0], [3.0]], [[2.0], [2.0]]))
    assert "always saying the mean of 'price': RMSE 1, and that gives 1 (on the 2 test rows)" in said
    assert "RMSE 2, and that gives 1" in no_better(metrics_of(target, [[1.0], [3.0]], [[3.0], [1.0]]))
    assert no_better(metrics_of(target, [[1.0], [3.0]], [[1.5], [2.5]])) is None
    assert no_better(metrics_of(target, [[2.0], [2.0]], [[1.5], [2.5]])) is None
    two = Target("quantity", ("price", "age"))
    said = no_better(metrics_of(two, [[1.0, 1.0], [3.0, 3.0]], [[1.0, 3.0], [3.0, 1.0]]))
    assert "'age'" in said
    assert "'price'" not in said


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"batch_size": 1.5}, "batch_size must be an integer"),
        ({"learning_rate": 0}, "learning_rate is a number above 0"),
        ({"split": (0.5, 0.2, 0.2, 0.1)}, "split has the shares"),
        ({"on_error": "skip"}, "on_error must be 'raise' or 'mask'"),
        ({"missing": "keep"}, "missing must be"),
        ({"class_weights": "balanced", "sampling": "balanced"}, "take one of them"),
        ({"branches": {"imag": "convnet"}}, "which is no input"),
        ({"freeze": ["growth"]}, "which is no input"),
        ({"columns": "age"}, r"write \['age'\]"),
        ({"features": {"image": "x.zarr"}}, "two inputs have one name"),
        ({"ablate": True}, "there is only one"),
        ({"image": ["imgpath"]}, "image is a dict"),
        ({"size": 64}, r"size is such as \(150, 150\), not 64"),
        ({"split": 0.8}, "split is such as"),
        ({"learning_rate": "fast"}, "learning_rate is such as 0.001"),
        ({"columns": None}, "columns is such as"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        Config(**({"image": {"image": "path"}, "target": "label"} | changed))


def test_a_configuration_comes_back_from_its_file_as_it_was(tmp_path, frame):
    config = Config(
        image={"image": "path"}, features={"growth": "g.zarr"}, columns=["age"], target=["a", "b"], key="object_id",
        size=(24, 32), split=(0.5, 0.5), stratify=False, branches={"image": "mobilenetv2:w.h5"}, rows=7, ablate=True,
    )  # fmt: skip
    folder = RunFolder(tmp_path / "run")
    data = rl.Dataset(frame, {"facts": rl.Columns(["age"])}, key="object_id")
    folder.begin(config, {"table": "t.parquet"}, data, overwrite=False)
    folder.release()
    found, content = read_config(folder.file(RUN))
    assert found == config
    assert found.differences(config) == []
    assert content["table"] == "t.parquet"
    with pytest.raises(ConfigError, match="has no 'epoch'"):
        Config.from_dict({"epoch": 3})


def test_a_folder_of_another_run_or_of_something_else_is_refused_and_left_as_it_is(tmp_path, frame):
    data = rl.Dataset(frame, {"facts": rl.Columns(["age"])}, key="object_id")
    config = Config(columns=["age"], target="label")
    folder = RunFolder(tmp_path / "run")
    folder.begin(config, {}, data, overwrite=False)
    with pytest.raises(RunExistsError, match="another process trains in"):
        RunFolder(tmp_path / "run").begin(config, {}, data, overwrite=False)
    folder.release()
    other = Config(columns=["age"], target="label", epochs=3, seed=4)
    folder.check(other, overwrite=False)  # nothing was trained: what failed to begin may begin otherwise
    folder.file("history.csv").write_text("epoch")
    before = folder.file(RUN).read_bytes()
    with pytest.raises(RunExistsError, match="seed was 0, is 4; epochs was 20, is 3"):
        folder.check(other, overwrite=False)
    with pytest.raises(RunExistsError, match="data are not those.*there are 2 training rows, and were"):
        folder.begin(config, {}, data.select([0, 1]), overwrite=False)
    folder.release()
    assert folder.file(RUN).read_bytes() == before
    careful = Config(columns=["age"], target="label", cache="elsewhere", on_error="mask")
    folder.begin(careful, {}, data, overwrite=False)
    folder.release()
    assert read_config(folder.file(RUN))[0] == careful
    with pytest.raises(ConfigError, match="cannot be kept in"):
        RunFolder("/proc/run").begin(config, {}, data, overwrite=False)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    for overwrite in (False, True):
        with pytest.raises(RunExistsError, match="'cat.jpg', and no run"):
            RunFolder(tmp_path / "photos").check(config, overwrite=overwrite)
    (folder.path / "my-notes.txt").write_text("keep")
    folder.begin(other, {}, data, overwrite=True)
    folder.release()
    assert read_config(folder.file(RUN))[0] == other
    assert (folder.path / "my-notes.txt").exists()


def test_data_that_changed_since_a_run_are_named_by_their_columns_and_stores_and_not_by_hashes(frame, tmp_path):
    store = tmp_path / "s.zarr"
    frame = frame.assign(path=[f"{row}.png" for row in range(len(frame))])
    config = Config(image={"image": "path"}, columns=["age"], features={"growth": str(store)}, target="label",
                    key="object_id", stratify=False)  # fmt: skip

    def changes(table=frame, other=config, scale=1.0):
        matrix = np.full((len(frame), 3), scale, np.float32)
        rl.FeatureStore.write(store, matrix, keys=frame["object_id"], overwrite=True)
        data = prepare(other, table).train
        return changes_in_words(data, before, config) if before else data.fingerprints

    before = {}
    before = changes()
    turned = frame.assign(label=np.roll(frame["label"], 1))
    (said,) = (one for one in changes(turned) if "growth" not in one)  # the store was written anew
    assert said == "the values of column 'label', the target, have changed"
    assert "the paths in column 'path' (image) have changed" in changes(frame.assign(path=frame["path"][::-1].values))
    assert "the values of column 'age' have changed" in changes(frame.assign(age=frame["age"] + 1))
    assert f"the store {str(store)!r} (growth) is another, or has changed" in changes(scale=2.0)
    bigger = dataclasses.replace(config, size=(8, 8))
    assert "how pictures are made of column 'path' (image) has changed" in changes(other=bigger)
    assert not [one for one in changes(turned) if any(text in one for text in before.values())]


def test_a_run_that_ended_before_anything_was_trained_gives_its_folder_to_the_corrected_one(tmp_path, frame):
    data = rl.Dataset(frame, {"facts": rl.Columns(["age"])}, key="object_id")
    folder = RunFolder(tmp_path / "run")
    assert folder.begin(Config(columns=["age"], target="label"), {}, data, overwrite=False) == ""
    loader = data.batches(2)
    write_state(folder.file("checkpoint.state"), {"loader": loader.state_dict()}, {})
    folder.release()
    same = Config(columns=["age"], target="label")
    corrected = Config(columns=["age"], target="label", root="photos")
    assert folder.begin(same, {}, data, overwrite=False) == ""
    folder.release()
    write_state(folder.file("checkpoint.state"), {"loader": loader.state_dict()}, {})
    said = folder.begin(corrected, {}, data, overwrite=False)
    folder.release()
    assert "ended before anything was trained; this one takes its place (root was not given, is photos)" in said
    assert "\n" not in said
    assert read_config(folder.file(RUN))[0] == corrected
    assert not folder.file("checkpoint.state").exists()
    next(iter(loader))
    write_state(folder.file("checkpoint.state"), {"loader": loader.state_dict()}, {})
    loader.close()
    with pytest.raises(RunExistsError, match="root was photos, is not given"):
        folder.begin(same, {}, data, overwrite=False)
    folder.release()
    folder.file("checkpoint.state").write_bytes(b"damaged")  # nobody knows what it was: it is not removed
    with pytest.raises(RunExistsError, match="root was photos"):
        folder.check(same, overwrite=False)


def rows_of(frame, **more):
    return prepare(Config(columns=["age"], target="label", key="object_id", split=(0.6, 0.2, 0.2), **more), frame)


def test_parts_are_those_of_the_split_and_statistics_those_of_the_training_rows(frame):
    prepared = rows_of(pd.concat([frame] * 1).assign(age=lambda f: f["age"].where(f["age"] != 30.0)))
    assert {part: len(rows) for part, rows in prepared.parts.items()} == {"train": 6, "valid": 2, "test": 2}
    keys = prepared.train.keys.tolist()
    ages = frame.set_index("object_id")["age"].loc[keys]
    ages = ages.where(ages != 30.0)
    assert prepared.train.statistics["columns"].mean[0] == pytest.approx(ages.mean())
    everyone = sorted(itertools.chain.from_iterable(rows.keys.tolist() for rows in prepared.parts.values()))
    assert everyone == frame["object_id"].tolist()


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.Table])
def test_frames_of_every_kind_give_the_same_rows(frame, kind):
    given = {
        pd.DataFrame: frame,
        pl.DataFrame: pl.from_pandas(frame),
        pa.Table: pa.Table.from_pandas(frame, preserve_index=False),
    }[kind]
    assert rows_of(given).train.keys.tolist() == rows_of(frame.set_index("object_id")).train.keys.tolist()


def test_rows_without_a_target_are_named_and_left_out_on_request(frame):
    frame.loc[[2, 5], "price"] = np.nan
    config = {"columns": ["age"], "target": "price", "key": "object_id", "split": (0.5, 0.5)}
    with pytest.raises(ConfigError, match="2 of 10 rows have no target in 'price': keys 'a02', 'a05'"):
        prepare(Config(**config), frame)
    with pytest.raises(ConfigError, match="rows 2, 5"):
        prepare(Config(**config | {"key": None}), frame)
    prepared = prepare(Config(**config, missing="drop"), frame)
    assert sum(map(len, prepared.parts.values())) == 8
    assert "a02" in prepared.notes[0]


def test_quantities_are_scaled_by_the_training_rows_and_come_back_in_their_units_exactly(frame):
    frame["price"] = 1e9 + np.arange(10) * 0.25
    prepared = prepare(Config(columns=["age"], target="price", split=(0.5, 0.5)), frame)
    delivered = prepared.train.gather(np.arange(5)).target
    assert delivered.dtype == np.float32
    assert delivered.mean() == pytest.approx(0, abs=1e-6)
    spec = Spec.of(Config(columns=["age"], target="price"), prepared)
    assert spec.in_units(delivered) == pytest.approx(truth_of(prepared.train, prepared.target), abs=1e-3)
    assert spec.in_units(delivered).dtype == np.float64


def test_classes_that_training_lacks_are_named_and_one_class_alone_is_refused(frame):
    frame["label"] = ["cat"] * 9 + ["dog"]
    prepared = rows_of(frame, seed=1)
    lacks = "dog" not in prepared.train.frame["label"].to_pylist()
    assert lacks == any("no training row is of class 'dog'" in note for note in prepared.notes)
    frame["label"] = ["cat"] * 10
    with pytest.raises(ConfigError, match="with one class there is nothing to learn"):
        rows_of(frame)


def test_a_table_too_small_for_its_split_is_refused(frame):
    with pytest.raises(ConfigError, match="would be empty"):
        prepare(Config(columns=["age"], target="label", split=(0.98, 0.01, 0.01)), frame.head(4))
    with pytest.raises(ConfigError, match="no rows"):
        prepare(Config(columns=["age"], target="label"), frame.head(0))
    with pytest.raises(ConfigError, match="needs an input"):
        prepare(Config(target="label"), frame)


def test_some_rows_for_a_first_try_are_the_same_for_the_same_seed(frame):
    few = rows_of(frame, rows=8, seed=3)
    assert sum(map(len, few.parts.values())) == 8
    assert few.train.keys.tolist() == rows_of(frame, rows=8, seed=3).train.keys.tolist()


def test_the_spec_comes_back_from_its_file_as_it_was(frame, tmp_path):
    config = Config(columns=["age", "price"], target="label", key="object_id", split=(0.5, 0.5))
    spec = Spec.of(config, prepare(config, frame))
    (tmp_path / "spec.json").write_text(json.dumps(spec.to_dict()))
    again = Spec.load(tmp_path / "spec.json")
    assert again.to_dict() == spec.to_dict()
    assert again.target == Target("classes", ("label",), ("cat", "dog"))
    assert (again.key, again.key_type) == ("object_id", "text")
    (tmp_path / "spec.json").write_text("{}")
    with pytest.raises(ConfigError, match="not a data spec"):
        Spec.load(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("target", "values", "message"),
    [
        (Target("classes", ("t",), ("cat", "dog")), ["cat", "lynx", "lynx"], "2 .* 't' hold 'lynx', which is no class"),
        (Target("classes", ("t",), ("cat", "dog")), ["cat", None, "dog"], "1 row.s. have no target in 't'"),
        (Target("classes", ("t",), ("cat", "dog")), [["cat"], [], []], "held classes, and holds list"),
        (Target("classes", ("t",), ("1", "2")), [1, 2, 1], "3 .* hold 1, 2, which is no class of the run .'1', '2'."),
        (Target("classes", ("t",), (1, 2)), [1.0, 2.5, 2.0], "1 .* hold 2.5, which"),
        (Target("labels", ("t",), ("a", "b")), [["a"], ["c", "b"], []], "hold 'c', which is no label"),
        (Target("labels", ("t",), ("a", "b")), ["a", "b", "a"], "held lists of labels, and holds string"),
        (Target("labels", ("t", "u"), ("t", "u")), [0, 3, 1], "'t' hold 3, which is no yes or no"),
        (Target("quantity", ("t",)), ["low", "high", "low"], "held numbers, and holds string"),
    ],
)
def test_a_target_that_is_not_the_models_is_told_before_predicting(target, values, message):
    frame = table(t=values, u=[0, 1, 0])
    spec = Spec({}, target, None, None)
    require_fit(spec, frame)
    with pytest.raises(ConfigError, match=message):
        require_fit(spec, frame, with_target=True)


def test_a_target_with_the_models_classes_fits_however_it_is_stored():
    flags = Target("labels", ("t", "u"), ("t", "u"))
    for target, values in (
        (Target("classes", ("t",), ("cat", "dog")), pa.array(["dog", "dog"]).dictionary_encode()),
        (Target("classes", ("t",), (1, 2)), [1.0, 2.0]),
        (Target("classes", ("t",), (False, True)), [True, True]),
        (Target("labels", ("t",), ("a", "b")), [["a"], []]),
        (flags, [0.0, 1.0]),
        (flags, [True, False]),
        (Target("quantity", ("t",)), [3, 4]),
    ):
        require_fit(Spec({}, target, None, None), table(t=values, u=[0, 1]), with_target=True)


def test_pictures_that_are_nowhere_are_told_with_the_folder_and_where_they_are(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for row in range(20):
        (tmp_path / "photos" / f"{row}.png").write_bytes(b"")
    plain = table(path=[f"{row}.png" for row in range(20)])
    doubled = table(path=[f"photos/{row}.png" for row in range(20)])
    monkeypatch.chdir(tmp_path)
    columns, photos = {"image": "path"}, str(tmp_path / "photos")
    said = lost_pictures(plain, columns, None)
    assert f"'{tmp_path}/0.png'" in said
    assert f"start from the working directory, {tmp_path}; --root says otherwise" in said
    assert f"--root says otherwise: with --root {photos} they are there" in lost_pictures(
        plain, columns, None, [photos]
    )
    said = lost_pictures(doubled, columns, photos)
    assert f"start from {photos}; --root says otherwise: with --root {tmp_path} they are there" in said
    assert lost_pictures(plain, columns, "photos") is None
    assert lost_pictures(doubled, columns, None) is None
    (tmp_path / "photos" / "0.png").unlink()
    assert lost_pictures(plain, columns, photos) is None  # one that is lost is that row's fault
    assert "of 8 that were looked for" in lost_pictures(table(path=["/lost.png"] * 20), columns, photos)
    assert lost_pictures(table(path=["https://example.org/1.png"]), columns, None) is None
    assert lost_pictures(plain, columns, "https://example.org") is None
    assert lost_pictures(table(path=[None, None]), columns, None) is None
    assert lost_pictures(table(path=[1.5]), columns, None) is None


def test_labels_in_lists_are_delivered_as_zeros_and_ones(frame):
    frame["tags"] = [["sea"], ["sun", "sea"], [], ["sun"], ["sea"]] * 2
    prepared = prepare(Config(columns=["age"], target="tags", key="object_id", split=(1.0,)), frame)
    assert prepared.target.classes == ("sea", "sun")
    assert prepared.train.gather(np.arange(5)).target.tolist() == [[1, 0], [1, 1], [0, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("end", ["parquet", "csv", "arrow"])
def test_a_table_is_written_whole_and_never_over_another(tmp_path, end):
    path = tmp_path / f"out.{end}"
    write_table(table(key=["a", "b"], said=[["x", "y"], None]), path)
    with pytest.raises(ConfigError, match="already"):
        write_table(table(key=["c"]), path)
    write_table(table(key=["c"]), path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_place_that_cannot_be_written_is_refused_before_work(tmp_path):
    for name, message in {"out.xlsx": "none of .parquet", "no/out.csv": "there is no folder"}.items():
        with pytest.raises(ConfigError, match=message):
            check_place(tmp_path / name, overwrite=False)


def test_a_target_that_the_model_is_given_is_refused_and_one_in_a_store_is_told(frame, tmp_path):
    with pytest.raises(ConfigError, match="'age' is what is predicted and an input as well"):
        prepare(Config(columns=["price", "age"], target="age"), frame)
    rl.FeatureStore.write(
        tmp_path / "g.zarr", np.arange(20.0).reshape(10, 2), keys=frame["object_id"], columns=["price", "x"]
    )
    config = Config(features={"growth": str(tmp_path / "g.zarr")}, target="price", key="object_id", split=(0.5, 0.5))
    assert any("is the answer among the features?" in note for note in prepare(config, frame).notes)


def test_a_dataset_keeps_some_of_its_inputs(frame):
    data = rl.Dataset(frame, {"a": rl.Columns(["age"]), "p": rl.Columns(["price"])}, rl.Labels("label"))
    alone = data.select([3, 1]).only("p")
    batch = alone.gather(np.arange(2))
    assert list(batch.inputs) == ["p"]
    assert batch.inputs["p"][:, 0].tolist() == [3.5, 1.5]
    with pytest.raises(ConfigError, match="'q' is none of them"):
        data.only("q")


def test_columns_are_standardised_and_filled_by_the_training_rows(frame):
    frame["age"] = frame["age"].astype("Int64").mask(frame.index == 4)
    inputs = {"facts": rl.Columns(["age", "price"], standardize=True, fill_missing="mean")}
    data = rl.Dataset(frame, inputs)
    with pytest.raises(ConfigError, match="nobody said"):
        data.batches(2)
    train, valid = data.select([0, 2, 4]).fit_statistics(data.select([1, 9]))
    mean, std = np.array([10.0, 2.5]), np.array([10.0, np.std([0, 2, 4])])
    assert valid.gather([0, 1]).inputs["facts"] == pytest.approx((np.array([[10, 1.5], [90, 9.5]]) - mean) / std)
    assert train.gather([2]).inputs["facts"][0, 0] == 0
    saved = rl.ColumnStatistics.from_dict(json.loads(json.dumps(train.statistics["facts"].to_dict())))
    again = rl.Dataset(frame, {"facts": rl.Columns(["age", "price"], standardize=saved, fill_missing="mean")})
    assert again.gather([1, 9]).inputs["facts"] == pytest.approx(valid.gather([0, 1]).inputs["facts"])
    with pytest.raises(ConfigError, match="missing value"):
        rl.Dataset(frame, {"facts": rl.Columns(["age"], standardize=True)})
    with pytest.raises(ConfigError, match="columns have no store"):
        rl.Columns(["age"], standardize="store")
