"""`rowlock train` and `rowlock predict` on the backend that KERAS_BACKEND names, on data that tell what they are.

A row's class can be read from its picture (red or blue) in half of the rows, and from one column of its features in the
other half: either source alone is right in three quarters of the rows, both together in all.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.errors import ConfigError, RowError, RunExistsError, TrainingError

keras = pytest.importorskip("keras")
from rowlock.cli import app  # noqa: E402 - only where Keras is
from rowlock.cli.roots import ROOT_ENTRY  # noqa: E402 - only where Keras is
from rowlock.training import Config, Run, train  # noqa: E402 - only where Keras is

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

# What is slow runs on one backend: only `rowlock.keras` touches the backend, and its tests run on all three.

NUM_ROWS = 240
INFORMATIVE = "f5"
cli = CliRunner()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with ``animals.parquet``, its pictures and ``growth.zarr``."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(3)
    is_dog = rng.random(NUM_ROWS) < 0.5
    is_shown = rng.random(NUM_ROWS) < 0.5
    colours = np.where(is_shown[:, None], np.where(is_dog[:, None], (200, 30, 30), (30, 30, 200)), (120, 120, 120))
    for row in range(NUM_ROWS):
        noise = rng.integers(-25, 26, (16, 16, 3))
        Image.fromarray((colours[row] + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{row}.png")
    matrix = rng.normal(size=(NUM_ROWS, 8)).astype(np.float32)
    matrix[:, 5] = np.where(is_shown, 0, np.where(is_dog, 2, -2)) + rng.normal(0, 0.2, NUM_ROWS)
    keys = np.array([f"a{row:04d}" for row in range(NUM_ROWS)])
    order = rng.permutation(NUM_ROWS)
    names = [f"f{column}" for column in range(8)]
    store_keys = pd.Series(keys[order], name="object_id")
    rl.FeatureStore.write(folder / "growth.zarr", matrix[order], keys=store_keys, columns=names)
    frame = pd.DataFrame(
        {
            "object_id": keys,
            "imgpath": [f"{row}.png" for row in range(NUM_ROWS)],
            "label": np.where(is_dog, "dog", "cat"),
            "age": rng.normal(5, 2, NUM_ROWS),
            "size": rng.normal(0, 1, NUM_ROWS),
        }
    )
    frame.loc[::20, "age"] = np.nan
    frame["price"] = 1e6 + 5e4 * frame["size"] + rng.normal(0, 1e3, NUM_ROWS)
    frame["is_dog"], frame["is_large"] = is_dog.astype(int), (frame["size"] > 0).astype(int)
    frame["tags"] = [
        ["dog"] * bool(dog) + ["large"] * bool(large) for dog, large in zip(is_dog, frame["is_large"], strict=True)
    ]
    frame.to_parquet(folder / "animals.parquet")
    return folder


def options(data, out, *more, inputs=("image", "growth", "columns"), target="label"):
    given = {
        "image": ["--image", "imgpath", "--root", data],
        "growth": ["--features", f"growth={data / 'growth.zarr'}"],
        "columns": ["--columns", "age,size"],
    }
    chosen = [word for name in inputs for word in given[name]]
    fixed = ["--key", "object_id", "--target", target, "--size", "16", "--batch-size", "16", "--seed", "7"]
    return ["train", *map(str, [data / "animals.parquet", *chosen, *fixed, "--out", out, *more])]


def invoke(*arguments, code=0):
    result = cli.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return " ".join(result.output.split())


def metrics_of(out):
    return json.loads((Path(out) / "metrics.json").read_bytes())


@pytest.fixture(scope="module")
def merged(data, tmp_path_factory):
    """A finished run of all inputs, with the ablation."""
    out = tmp_path_factory.mktemp("runs") / "merged"
    more = ["--epochs", "11", "--learning-rate", "0.01", "--patience", "0", "--split", "0.6,0.2,0.2", "--ablate"]
    printed = invoke(*options(data, out, *more, inputs=("image", "growth")))
    return out, printed


@pytest.mark.slow
def test_the_merged_model_knows_what_no_branch_knows_alone(merged):
    out, printed = merged
    metrics = metrics_of(out)
    told = metrics["ablation"]
    own = metrics["metrics"]["accuracy"]
    alone = {title: one["metrics"]["accuracy"] for title, one in told["models"].items()}
    assert set(alone) == {"image alone", "growth alone"}
    assert own > 0.9
    assert max(alone.values()) < own
    assert told["adds"]["growth"] == pytest.approx(own - alone["image alone"])
    assert "image alone" in printed
    assert "growth adds" in printed


@pytest.mark.slow
def test_a_run_holds_all_that_is_needed_to_use_and_to_repeat_it(merged, data):
    out, printed = merged
    assert {entry.name for entry in out.iterdir()} == {
        ".lock", "ablation", "curves.png", "history.csv", "metrics.json", "model.keras", "run.toml", "spec.json",
        "split.parquet",
    }  # fmt: skip
    split = pq.read_table(out / "split.parquet").to_pandas()
    assert sorted(split["object_id"]) == [f"a{row:04d}" for row in range(NUM_ROWS)]
    assert split["part"].value_counts().to_dict() == {"train": 144, "valid": 48, "test": 48}
    alone = pq.read_table(out / "ablation" / "image-alone" / "split.parquet").to_pandas()
    assert alone.equals(split)
    spec = json.loads((out / "spec.json").read_bytes())
    assert spec["target"]["classes"] == ["cat", "dog"]
    assert spec["inputs"]["growth"]["columns"] == [f"f{column}" for column in range(8)]
    assert spec["inputs"]["image"]["size"] == [16, 16]
    told = tomllib.loads((out / "run.toml").read_text())
    assert told["options"]["seed"] == 7
    assert told["versions"]["keras"] == keras.__version__
    history = pd.read_csv(out / "history.csv")
    assert history["epoch"].tolist() == list(range(1, 12))
    assert {
        "loss",
        "data_loss",
        "accuracy",
        "val_loss",
        "val_data_loss",
        "val_accuracy",
        "learning_rate",
        "seconds",
    } <= set(history)
    assert "144" in printed
    assert metrics_of(out)["measured_on"] == "test"


@pytest.mark.slow
def test_the_weights_kept_are_those_of_the_best_epoch(merged, data):
    out, _ = merged
    run = Run.open(out)
    split = pq.read_table(out / "split.parquet").to_pandas()
    frame = pd.read_parquet(data / "animals.parquet")
    valid = frame[frame["object_id"].isin(split.loc[split["part"] == "valid", "object_id"])]
    predicted = run.predict(valid)
    right = predicted["probability_dog"].where(valid["label"] == "dog", predicted["probability_cat"])
    best = pd.read_csv(out / "history.csv")["val_data_loss"].min()
    assert -np.log(right).mean() == pytest.approx(best, rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_the_same_command_again_shows_what_came_out_and_another_one_is_refused(merged, data):
    out, _ = merged
    before = {entry.name: entry.stat().st_mtime_ns for entry in out.iterdir() if entry.is_file()}
    shown = invoke("train", "--config", out / "run.toml")
    assert "growth adds" in shown
    assert shown.count("To use it") == merged[1].count("To use it") == 1
    refused = invoke("train", "--config", out / "run.toml", "--seed", "8", "--batch-size", "32", code=2)
    assert "seed was 7, is 8" in refused
    assert "batch_size was 16, is 32" in refused
    del before[".lock"]
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before


@pytest.mark.slow
def test_a_finished_run_says_that_nothing_was_trained_and_rows_are_shown_once_for_all_models(data, tmp_path):
    out = tmp_path / "run"
    given = options(data, out, "--epochs", "1", "--rows", "80", inputs=("growth", "columns"))
    first = invoke(*given)
    assert "nothing was trained" not in first
    ablated = invoke(*given, "--ablate")  # the merged model is there, the others are not
    assert "nothing was trained" not in ablated
    assert ablated.count("columns alone (") == ablated.count("growth alone (") == 1
    assert ablated.count("training validation test") == 1
    model = (out / "model.keras").stat().st_mtime_ns
    for more in ([], ["--ablate"]):
        again = invoke(*given, *more)
        assert f"nothing was trained: the run in {out} is finished" in again
        assert "--epochs in a new folder (--out)" in again
        assert "--overwrite" in again
        assert again.index("nothing was trained") < again.index("accuracy") < again.index("growth adds")
        assert again.count("To use it") == 1
    assert (out / "model.keras").stat().st_mtime_ns == model
    assert "nothing was trained" not in invoke(*given, "--overwrite")


@pytest.mark.slow
def test_an_ablation_that_was_interrupted_goes_on_with_the_models_that_lack(merged, tmp_path):
    out, _ = merged
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    shutil.rmtree(copy / "ablation" / "growth-alone")
    whole = metrics_of(copy)
    (copy / "metrics.json").write_text(json.dumps({name: value for name, value in whole.items() if name != "ablation"}))
    done = (copy / "ablation" / "image-alone" / "model.keras").stat().st_mtime_ns
    invoke("train", "--config", copy / "run.toml")
    assert metrics_of(copy) == whole
    assert (copy / "ablation" / "image-alone" / "model.keras").stat().st_mtime_ns == done


@pytest.mark.slow
def test_a_model_that_learnt_nothing_is_named_so_at_the_end_of_the_same_run_and_of_a_finished_one(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    frame["rare"] = np.where(np.arange(NUM_ROWS) % 10 == 0, "yes", "no")
    frame.to_parquet(tmp_path / "rare.parquet")
    command = ["train", tmp_path / "rare.parquet", "--columns", "size", "--key", "object_id", "--target", "rare"]
    for _ in range(2):
        said = invoke(*command, "--epochs", "1", "--learning-rate", "0.02", "--out", tmp_path / "run")
        assert "note: the model is no better than always saying 'no', the commonest class: accuracy 0." in said
        assert "on the 24 test rows" in said
    assert "no better" not in (tmp_path / "run" / "metrics.json").read_text()


@pytest.mark.slow
def test_predictions_are_one_a_row_in_the_order_of_the_table(merged, data, tmp_path):
    out, _ = merged
    frame = pd.read_parquet(data / "animals.parquet")
    mixed = frame.sample(frac=1, random_state=1).drop(columns="label")
    mixed.drop(columns="tags").to_csv(tmp_path / "new.csv", index=False)
    said = invoke("predict", out, tmp_path / "new.csv", tmp_path / "out.csv", "--root", data)
    assert "240 rows predicted" in said
    found = pd.read_csv(tmp_path / "out.csv")
    assert found.columns.tolist() == ["object_id", "predicted_label", "probability_cat", "probability_dog"]
    assert found["object_id"].tolist() == mixed["object_id"].tolist()
    assert found[["probability_cat", "probability_dog"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert (
        found["predicted_label"].to_numpy() == frame.set_index("object_id")["label"].loc[found["object_id"]]
    ).mean() > 0.9
    in_order = Run.open(out).predict(frame).set_index("object_id").loc[found["object_id"]]
    assert found["probability_dog"].to_numpy() == pytest.approx(in_order["probability_dog"].to_numpy(), abs=1e-5)
    refused = invoke("predict", out, tmp_path / "new.csv", tmp_path / "out.csv", code=2)
    assert "--overwrite" in refused


@pytest.mark.slow
def test_unreadable_rows_are_an_error_or_have_empty_predictions(merged, data, tmp_path):
    out, _ = merged
    frame = pd.read_parquet(data / "animals.parquet").head(40)
    frame.loc[[3, 11], "imgpath"] = ["lost.png", "gone.png"]
    frame.to_parquet(tmp_path / "new.parquet")
    failed = invoke("predict", out, tmp_path / "new.parquet", tmp_path / "out.parquet", "--root", data, code=1)
    assert "a0003" in failed
    assert not (tmp_path / "out.parquet").exists()
    said = invoke(
        "predict", out, tmp_path / "new.parquet", tmp_path / "out.parquet", "--root", data, "--on-error", "mask"
    )
    assert "2 of them could not be read" in said
    listed = tmp_path / "out.bad-rows.jsonl"
    assert f"key 'a0003', {data / 'lost.png'}: there is no such file" in said
    assert f"key 'a0011', {data / 'gone.png'}: there is no such file all of them: {listed}" in said
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    assert [(row["key"], row["path"]) for row in rows] == [
        ("a0003", str(data / "lost.png")),
        ("a0011", str(data / "gone.png")),
    ]
    again = ["predict", out, tmp_path / "new.parquet", tmp_path / "out.csv", "--root", data, "--on-error", "mask"]
    before = listed.read_bytes()
    assert "there is something at" in invoke(*again, code=2)
    assert listed.read_bytes() == before
    assert not (tmp_path / "out.csv").exists()
    frame.assign(imgpath="0.png").to_parquet(tmp_path / "new.parquet")
    assert "could not be read" not in invoke(*again, "--overwrite")
    assert not listed.exists()
    found = pq.read_table(tmp_path / "out.parquet")
    assert np.flatnonzero(found["predicted_label"].is_null()).tolist() == [3, 11]
    assert np.flatnonzero(found["probability_cat"].is_null()).tolist() == [3, 11]


def test_a_forgotten_root_is_told_before_a_model_is_built(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [word for word in options(data, tmp_path / "run", inputs=("image",)) if word not in {"--root", str(data)}]
    said = invoke(*command, code=2)
    assert f"Relative paths start from the working directory, {tmp_path}; --root says otherwise" in said
    assert "parameters" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_predictions_look_for_pictures_where_the_table_notes_and_say_so(merged, data, tmp_path):
    out, _ = merged
    shutil.copytree(data, tmp_path / "moved", ignore=shutil.ignore_patterns("*.zarr"))
    table = pq.read_table(data / "animals.parquet")
    noting = (table.schema.metadata or {}) | {ROOT_ENTRY: bytes(tmp_path / "moved")}
    pq.write_table(table.replace_schema_metadata(noting), tmp_path / "t.parquet")
    said = invoke("predict", out, tmp_path / "t.parquet", tmp_path / "noted.parquet")
    assert f"pictures are looked for in {tmp_path / 'moved'}, as the table notes" in said
    (tmp_path / "moved" / "3.png").unlink()
    lost = invoke("predict", out, tmp_path / "t.parquet", tmp_path / "lost.parquet", code=1)
    assert str(tmp_path / "moved" / "3.png") in lost
    (tmp_path / "empty").mkdir()
    nowhere = ["predict", out, tmp_path / "t.parquet", tmp_path / "nowhere.csv", "--root", tmp_path / "empty"]
    told = invoke(*nowhere, code=2)
    assert f"start from {tmp_path / 'empty'}; --root says otherwise: with --root {data} they are there" in told
    assert not (tmp_path / "nowhere.csv").exists()
    assert f"with --root {data} they are there" in invoke(*nowhere, "--on-error", "mask")
    said = invoke("predict", out, tmp_path / "t.parquet", tmp_path / "told.parquet", "--root", data)
    assert "looked for" not in said
    assert pq.read_table(tmp_path / "told.parquet").equals(pq.read_table(tmp_path / "noted.parquet"))


@pytest.mark.slow
def test_data_that_do_not_fit_the_spec_are_refused_and_all_that_differs_is_named(merged, data, tmp_path):
    out, _ = merged
    frame = pd.read_parquet(data / "animals.parquet")
    run = Run.open(out)
    with pytest.raises(ConfigError, match=r"no column 'object_id', the key.*no column 'imgpath', its paths"):
        run.predict(frame.rename(columns={"object_id": "id", "imgpath": "path"}))
    with pytest.raises(ConfigError, match="were text, are int"):
        run.predict(frame.assign(object_id=range(NUM_ROWS)))
    with pytest.raises(ConfigError, match="held paths, and holds double"):
        run.predict(frame.assign(imgpath=0.5))
    keys = frame["object_id"]

    def store(name, width, columns, key_name="object_id"):
        rl.FeatureStore.write(
            tmp_path / name, np.zeros((NUM_ROWS, width), np.float32), keys=keys.rename(key_name), columns=columns
        )
        return {"growth": str(tmp_path / name)}

    names = [f"f{column}" for column in range(8)]
    for moved, message in [
        (store("wide.zarr", 9, None), "9 columns, the model was trained on 8"),
        (store("other.zarr", 8, [*names[:7], "f9"]), "columns 'f7' are gone, 'f9' are new"),
        (store("turned.zarr", 8, names[::-1]), "another order: number 0 was 'f0', is 'f7'"),
        (store("named.zarr", 8, names, "animal"), "'animal'"),
        ({"growth": str(tmp_path / "lost.zarr")}, "lost.zarr"),
        ({"grwth": "x"}, "no store of this run"),
    ]:
        with pytest.raises(ConfigError, match=message):
            run.check(frame, features=moved)
    frame.drop(columns=["imgpath", "label"]).to_parquet(tmp_path / "new.parquet")
    refused = invoke("predict", out, tmp_path / "new.parquet", tmp_path / "out.parquet", "--explain", code=2)
    assert "'imgpath'" in refused
    assert "'label'" in refused
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.slow
def test_explain_finds_the_inputs_and_the_column_that_matter(merged, data, tmp_path):
    out, _ = merged
    frame = pd.read_parquet(data / "animals.parquet")
    said = invoke(
        "predict", out, data / "animals.parquet", tmp_path / "out.parquet", "--explain", "--explain-columns", "3"
    )
    assert INFORMATIVE in said
    found = pd.read_csv(tmp_path / "out.explain.csv", dtype=str)
    assert found[["drop", "spread", "loss_rise"]].map(lambda text: len(text.partition(".")[2]) <= 7).all(axis=None)
    found = pd.read_csv(tmp_path / "out.explain.csv")
    inputs = found[found["column"].isna()].set_index("input")
    assert (inputs["drop"] > 0.1).all()
    columns = found[found["column"].notna()]
    assert len(columns) == 3
    assert columns.iloc[0]["column"] == INFORMATIVE
    assert columns.iloc[0]["drop"] > 0.1
    assert (columns.iloc[1:]["drop"] < 0.05).all()
    run = Run.open(out)
    again = run.explain(frame, columns=3)
    assert again == run.explain(frame, columns=3)
    assert again.num_rows == NUM_ROWS
    assert run.explain(frame, rows=50, columns=0).num_rows == 50
    with pytest.raises(ConfigError, match="'label', the target"):
        run.explain(frame.drop(columns="label"))
    frame.loc[[3, 5], "label"] = "lynx"
    frame.to_parquet(tmp_path / "lynx.parquet")
    command = ["predict", out, tmp_path / "lynx.parquet", tmp_path / "lynx-out.parquet"]
    assert "2 row(s) of the target 'label' hold 'lynx', which is no class" in invoke(*command, "--explain", code=2)
    assert not (tmp_path / "lynx-out.parquet").exists()
    invoke(*command)  # without it the target is no matter


@pytest.mark.slow
def test_the_rows_of_a_part_can_be_asked_for(merged, data, tmp_path):
    out, _ = merged
    invoke("predict", out, data / "animals.parquet", tmp_path / "out.parquet", "--part", "test")
    found = pq.read_table(tmp_path / "out.parquet").to_pandas()
    split = pq.read_table(out / "split.parquet").to_pandas()
    assert set(found["object_id"]) == set(split.loc[split["part"] == "test", "object_id"])
    truth = pd.read_parquet(data / "animals.parquet").set_index("object_id")["label"].loc[found["object_id"]]
    accuracy = (found["predicted_label"].to_numpy() == truth.to_numpy()).mean()
    assert accuracy == pytest.approx(metrics_of(out)["metrics"]["accuracy"])
    run = Run.open(out)
    with pytest.raises(ConfigError, match="no row of the table"):
        run.part_of(pd.DataFrame({"object_id": ["b1"]}), "test")
    with pytest.raises(ConfigError, match="no part 'dev'"):
        run.part_of(pd.DataFrame({"object_id": ["b1"]}), "dev")


@pytest.mark.slow
def test_an_importance_is_what_shuffling_the_table_itself_costs(merged, data):
    out, _ = merged
    run = Run.open(out)
    frame = pd.read_parquet(data / "animals.parquet")
    found = {one.input: one for one in run.explain(frame, repeats=1, columns=0, seed=5).inputs}
    draw = np.random.default_rng([5, 2, 0]).permutation(NUM_ROWS)
    shuffled = frame.assign(imgpath=frame["imgpath"].to_numpy()[draw])
    right = [(run.predict(one)["predicted_label"] == frame["label"]).mean() for one in (frame, shuffled)]
    assert found["image"].drop == pytest.approx(right[0] - right[1], abs=1e-6)


@pytest.mark.slow
def test_loading_a_model_executes_nothing(merged, tmp_path, data):
    out, _ = merged
    run = Run.open(out)
    kinds = {type(layer).__name__ for layer in run.model._flatten_layers()}
    assert "Lambda" not in kinds
    copy = tmp_path / "evil"
    shutil.copytree(out, copy)
    taken = keras.Input((8,))
    evil = keras.Model(taken, keras.layers.Lambda(lambda x: x)(taken))
    evil.save(copy / "model.keras")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        _ = Run.open(copy).model


def test_every_backend_trains_predicts_and_explains(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(
        image={"image": "imgpath"}, size=(16, 16), root=str(data), features={"growth": str(data / "growth.zarr")},
        columns=["age", "size"], target="label", key="object_id", epochs=1, split=(0.8, 0.2),
    )  # fmt: skip
    run = train(frame, config, tmp_path / "run")
    assert (tmp_path / "run" / "curves.png").stat().st_size > 10_000
    predicted = Run.open(tmp_path / "run").predict(frame)
    assert predicted["object_id"].tolist() == frame["object_id"].tolist()
    assert predicted[["probability_cat", "probability_dog"]].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    valid = run.part_of(predicted.assign(label=frame["label"]), "valid")
    accuracy = (valid["predicted_label"] == valid["label"]).mean()
    assert run.metrics["metrics"]["accuracy"] == pytest.approx(accuracy)
    found = run.explain(frame, rows=60, columns=1, repeats=1)
    assert [one.input for one in found.columns].count("growth") == 1


@pytest.mark.slow
def test_a_quantity_comes_back_in_its_units(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(columns=["size", "age"], target="price", key="object_id", epochs=25, learning_rate=0.02, patience=0)
    run = train(frame, config, tmp_path / "run")
    assert run.metrics["task"] == "quantity"
    assert run.metrics["metrics"]["r2"] > 0.8
    predicted = run.predict(frame)
    assert predicted["predicted_price"].mean() == pytest.approx(frame["price"].mean(), abs=2e4)
    assert np.corrcoef(predicted["predicted_price"], frame["price"])[0, 1] > 0.9
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert 1e3 < history["val_mae"].iloc[-1] < 5e4
    keys = pq.read_table(tmp_path / "run" / "split.parquet").to_pandas().query("part == 'test'")["object_id"]
    test = frame.set_index("object_id").loc[keys, "price"]
    wrong = predicted.set_index("object_id").loc[keys, "predicted_price"] - test
    assert run.metrics["metrics"]["mae"] == pytest.approx(wrong.abs().mean(), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["is_dog,is_large", "tags"])
def test_a_row_can_have_several_labels(data, tmp_path, target):
    out = tmp_path / "run"
    more = ["--epochs", "14", "--learning-rate", "0.02", "--patience", "0", "--split", "0.8,0.2"]
    printed = invoke(*options(data, out, *more, inputs=("growth", "columns"), target=target))
    assert "validation rows (there is no test part)" in printed
    assert metrics_of(out)["task"] == "labels"
    frame = pd.read_parquet(data / "animals.parquet")
    predicted = Run.open(out).predict(frame)
    if target == "tags":
        assert {"predicted_tags", "probability_dog", "probability_large"} <= set(predicted)
        found = np.array(["large" in tags for tags in predicted["predicted_tags"]])
    else:
        found = predicted["predicted_is_large"].to_numpy(bool)
    assert (found == frame["is_large"].to_numpy(bool)).mean() > 0.85


@pytest.mark.slow
def test_a_few_classes_with_rare_ones_train_under_weights_or_balanced_sampling(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    frame["label"] = np.where(frame["size"] > 1, "huge", np.where(frame["size"] > -0.5, "middling", "small"))
    frame.loc[0, "label"] = "only one"
    base = {"columns": ["size"], "target": "label", "key": "object_id", "epochs": 2}
    for name, how in {"weights": {"class_weights": "balanced"}, "sampling": {"sampling": "balanced"}}.items():
        run = train(frame, Config(**base, **how), tmp_path / name)
        assert run.spec.target.classes == ("huge", "middling", "only one", "small")
        assert np.array(run.metrics["metrics"]["confusion"]).shape == (4, 4)
        assert run.predict(frame).filter(like="probability_").shape == (NUM_ROWS, 4)


@pytest.mark.slow
def test_pictures_alone_in_16_bits_train_without_validation_and_with_an_unreadable_row(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    frame.loc[17, "imgpath"] = "lost.png"
    base = {"image": {"image": "imgpath"}, "size": (16, 16), "root": str(data), "target": "label", "key": "object_id"}
    with pytest.raises(RowError, match="a0017"):
        train(frame, Config(**base, epochs=1, split=[1.0]), tmp_path / "raises")
    config = Config(**base, epochs=1, split=[1.0], on_error="mask", mixed_precision=True)
    run = train(frame, config, tmp_path / "masked")
    assert run.metrics["measured_on"] == "train"
    assert run.metrics["unreadable_rows"] == 1
    assert run.metrics["metrics"]["rows"] == NUM_ROWS - 1
    assert run.model.output.dtype == "float32"
    assert "lost.png" in (tmp_path / "masked" / "bad-rows.jsonl").read_text()


@pytest.mark.slow
def test_a_loss_that_is_lost_ends_the_run_with_the_reason(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(columns=["size"], target="price", epochs=3, learning_rate=1e30)
    with pytest.raises(TrainingError, match="went astray"):
        train(frame, config, tmp_path / "run")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "labl"], "no column 'labl' to predict. Did you mean 'label'"),
        (["--target", "label,price"], "one kind"),
        (["--split", "0.5,0.2"], "add up to 1"),
        (["--split", "half"], "--split has numbers"),
        (["--stratify", "colour"], "colour"),
        (["--branch", "image=resnet5"], "Did you mean 'resnet50'"),
        (["--branch", "image=mobilenetv2"], "does not take pictures of (16, 16)"),
        (["--branch", "image=mobilenetv2:lost.h5", "--size", "32"], "no weights file"),
        (["--branch", "columns=convnet"], "'dense' or 'none'"),
        (["--branch", "image"], "INPUT=KIND"),
        (["--columns", "imgpath"], "another value in each of 240 rows"),
        (["--columns", "tags"], "must hold numbers"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--task", "quantity"], "no quantity"),
        (["--features", "more=lost.zarr"], "lost.zarr"),
        (["--features", "growth=lost.zarr"], "two have the name 'growth'"),
        (["--config", "lost.toml"], "lost.toml"),
    ],
)
def test_misuse_is_told_before_anything_is_trained(data, tmp_path, more, message):
    result = cli.invoke(app, options(data, tmp_path / "run", *more))
    printed = " ".join(result.output.split())
    assert message in printed, printed
    assert result.exit_code == 2
    assert not (tmp_path / "run" / "model.keras").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target", "labl"], "no column 'labl' to predict"),
        (["--target", ""], "needs the column that is to be predicted"),
        (["--columns", "ages"], "no column 'ages', which --columns names. Did you mean 'age'"),
        (["--group", "patient"], "no column 'patient', which --group names"),
        (["--task", "quantity"], "no quantity"),
    ],
)
def test_wrong_options_are_answered_as_such_where_a_folder_holds_a_run_too(data, tmp_path, more, message):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something.txt").write_text("mine")
    result = cli.invoke(app, options(data, tmp_path / "run", *more, inputs=("columns",)))
    printed = " ".join(result.output.split())
    assert "ConfigError" in printed
    assert message in printed
    assert "RunExistsError" in cli.invoke(app, options(data, tmp_path / "run", inputs=("columns",))).output


def test_a_folder_without_a_finished_run_is_refused(tmp_path, data):
    with pytest.raises(ConfigError, match="there is no run"):
        Run.open(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(RunExistsError, match="and no run"):
        train(pd.read_parquet(data / "animals.parquet"), Config(columns=["age"], target="label"), tmp_path)


@pytest.mark.slow
def test_pixels_are_scaled_as_each_model_of_keras_wants_them():
    from rowlock.training import backbones

    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3)).astype(np.uint8)
    for module, scaling in backbones._SCALING.items():
        wanted = __import__(f"keras.applications.{module}", fromlist=["x"]).preprocess_input(pixels.astype(np.float32))
        taken = keras.Input((5, 4, 3), dtype="uint8")
        model = keras.Model(taken, backbones.scaled_pixels(taken, scaling))
        assert np.asarray(keras.ops.convert_to_numpy(model(pixels))) == pytest.approx(np.asarray(wanted), abs=1e-4), (
            module
        )
    known = {maker.__module__.rpartition(".")[2] for maker in backbones.names().values()}
    assert known == set(backbones._SCALING)


@pytest.mark.slow
def test_a_backbone_takes_weights_from_a_local_file_and_can_be_frozen(data, tmp_path):
    from rowlock.training.data import prepare
    from rowlock.training.models import build

    made = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    made.save_weights(tmp_path / "mobile.weights.h5")
    config = Config(
        image={"image": "imgpath"}, size=(32, 32), root=str(data), columns=["size"], target="label", key="object_id",
        branches={"image": f"mobilenetv2:{tmp_path / 'mobile.weights.h5'}", "columns": "none"}, freeze=["image"],
    )  # fmt: skip
    prepared = prepare(config, pd.read_parquet(data / "animals.parquet"))
    model = build(config, prepared.target, prepared.train)
    given = prepared.train.gather(np.arange(4)).inputs
    said = model.get_layer("image_branch")([given["image"]], training=False)
    wanted = made(given["image"] / np.float32(127.5) - 1, training=False)
    assert keras.ops.convert_to_numpy(said) == pytest.approx(keras.ops.convert_to_numpy(wanted), abs=1e-4)
    assert all("head" in variable.path for variable in model.trainable_variables)
    other = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(other)
    wrong = Config(**config.to_dict() | {"branches": {"image": f"mobilenetv2:{other}"}})
    with pytest.raises(ConfigError, match="does not hold the weights of mobilenetv2"):
        build(wrong, prepared.target, prepared.train)


def command(data, out, *more):
    return [sys.executable, "-m", "rowlock", *options(data, out, *more, inputs=("image", "growth"))]


@pytest.mark.slow
def test_a_run_that_is_stopped_and_killed_ends_as_if_nothing_had_happened(data, tmp_path, time_limit):
    more = ["--epochs", "12", "--patience", "0", "--batch-size", "6"]  # enough to be there when it is killed
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def until(process, out, lines):
        while process.poll() is None:
            history = out / "history.csv"
            if history.exists() and len(history.read_text().splitlines()) > lines:
                return
            time.sleep(0.02)
        raise AssertionError(process.communicate()[0])

    def start(out):
        told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment}
        return subprocess.Popen(command(data, out, *more), **told)

    with time_limit(290):
        out = tmp_path / "killed"
        first = start(out)
        until(first, out, 2)
        first.send_signal(signal.SIGINT)
        printed = " ".join(first.communicate()[0].split())
        assert first.returncode == 130, printed
        assert "the same command goes on" in printed
        assert not (out / "model.keras").exists()
        second = start(out)
        until(second, out, 4)
        second.kill()
        second.communicate()
        third = start(out)
        printed = " ".join(third.communicate()[0].split())
        assert third.returncode == 0, printed
        assert "going on where" in printed
        invoke(*options(data, tmp_path / "whole", *more, inputs=("image", "growth")))
    assert metrics_of(out) == metrics_of(tmp_path / "whole")
    columns = ["epoch", "val_data_loss", "val_accuracy", "learning_rate"]
    histories = [pd.read_csv(one / "history.csv")[columns] for one in (out, tmp_path / "whole")]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    weights = [Run.open(one).model.get_weights() for one in (out, tmp_path / "whole")]
    assert all(np.array_equal(one, other) for one, other in zip(*weights, strict=True))
