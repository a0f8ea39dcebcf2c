"""Commands understand a target alike: what trains can be checked, looked at and measured."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from typer.testing import CliRunner

import rowlock as rl
from rowlock.checking import check_datasets
from rowlock.cli import app
from rowlock.cli.choices import Task
from rowlock.cli.data_options import DataOptions
from rowlock.looking.facts import facts_of
from rowlock.training import Config
from rowlock.training.data import prepare

NUM_ROWS = 60
TARGETS = {
    "text": ("kind", "auto", "classes", "cat"),
    "whole": ("stars", "auto", "classes", "0"),
    "floats that are classes": ("grade", "classes", "classes", "0"),
    "lists": ("tags", "auto", "labels", "sea, sun"),
    "numbers in lists": ("codes", "auto", "labels", "3, 5"),
    "flags": ("indoor,night", "auto", "labels", "indoor"),
    "flag as labels": ("indoor", "labels", "labels", "indoor"),
    "quantity": ("price", "auto", "quantity", "100.5"),
    "quantities": ("price,area", "auto", "quantity", "price 100.5, area 0"),
}


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    numbers = np.arange(NUM_ROWS)
    frame = pl.DataFrame(
        {
            "id": numbers,
            "x": numbers * 1.5,
            "kind": ["cat" if number % 2 == 0 else "dog" for number in numbers],
            "stars": numbers % 5,
            "grade": (numbers % 3).astype(float),
            "tags": [["sea", "sun"] if number % 3 == 0 else ["sun"] if number % 3 == 1 else [] for number in numbers],
            "codes": [[3, 5] if number % 2 == 0 else [5] for number in numbers],
            "indoor": numbers % 2 == 0,
            "night": (numbers % 4 == 1).astype(np.int64),
            "price": numbers + 100.5,
            "area": numbers.astype(float),
        }
    )
    frame.write_parquet("t.parquet")
    return frame


def run(command, *arguments):
    return CliRunner().invoke(app, [command, "t.parquet", "--columns", "x", *arguments], env={"COLUMNS": "200"})


@pytest.mark.parametrize("kind", TARGETS)
def test_whatever_trains_can_be_checked_looked_at_and_measured(table, kind):
    target, task, found, shown = TARGETS[kind]
    told = ["--target", target, "--task", task]
    checked = run("check", *told, "--json", "--seconds", "0", "--split", "0.8,0.1,0.1")
    findings = json.loads(checked.stdout)["findings"]
    assert checked.exit_code == 0, checked.output
    assert [finding["message"] for finding in findings if finding["check"] == "label-balance"] or found == "quantity"
    assert run("look", *told, "-n", "3").exit_code == 0
    assert run("bench", *told, "--seconds", "1", "--no-reference").exit_code == 0

    options = DataOptions(Path("t.parquet"), columns="x", target=target, task=Task(task))
    prepared = prepare(Config(columns=["x"], target=target, task=task, batch_size=8), table)
    assert options.told_target == prepared.target
    assert prepared.target.task == found
    dataset = options.dataset()
    assert facts_of(dataset, 0, None).target == shown
    if found != "quantity":
        trained = np.concatenate([part.target_column() for part in prepared.parts.values()])
        assert np.array_equal(np.sort(trained, axis=0), np.sort(dataset.target_column(), axis=0))
    dataset.close()


def test_the_balance_of_labels_counts_the_rows_that_have_each(table):
    findings = json.loads(run("check", "--target", "tags", "--json", "--seconds", "0").stdout)["findings"]
    (balance,) = [finding for finding in findings if finding["check"] == "label-balance"]
    assert balance["message"] == "2 labels: 'sun' has 40 rows, 'sea' 20; 20 rows have no label"
    assert balance["severity"] == "note"


def test_a_label_that_training_rows_lack_is_found_in_another_part(table):
    tags = [["new"] if number == 57 else ["old"] for number in range(NUM_ROWS)]
    rows = pl.DataFrame({"x": np.arange(60.0), "tags": tags}).write_parquet("t.parquet")
    assert rows is None
    dataset = DataOptions(Path("t.parquet"), columns="x", target="tags").dataset()
    report = check_datasets([dataset.select(range(50)), dataset.select(range(50, 60))], speed_seconds=0)
    (unseen,) = [finding for finding in report.findings if finding.check == "unseen-classes"]
    assert (unseen.severity, unseen.message) == ("error", "1 label of valid is not in train")
    assert "'new': 1 rows" in unseen.examples[0].detail


def test_the_same_picture_with_other_labels_is_told_whatever_the_kind_of_target(tmp_path):
    from PIL import Image

    for name in "ab":
        Image.new("RGB", (40, 40), (9, 99, 200)).save(tmp_path / f"{name}.png")
    frame = pd.DataFrame({"path": [str(tmp_path / "a.png"), str(tmp_path / "b.png")], "p": [1, 0], "q": [0, 1]})
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(8, 8))}, rl.Columns(["p", "q"]))
    report = data.check(speed_seconds=0)
    (wrong,) = [finding for finding in report.findings if finding.check == "contradictions"]
    assert "('p',) here, ('q',) in row 1" in wrong.examples[0].detail


def test_rows_without_a_target_are_left_out_and_the_rows_asked_for_stay_those_of_the_table(table):
    kinds = [None if number < 4 else "cat" if number % 2 else "dog" for number in range(NUM_ROWS)]
    table.with_columns(kind=pl.Series(kinds)).write_parquet("t.parquet")
    for command in (("look",), ("bench", "--seconds", "1", "--no-reference")):
        strict = run(*command, "--target", "kind")
        assert (strict.exit_code, "4 of 60 rows have no value in kind" in strict.output) == (2, True)
        assert "--missing drop leaves them out" in strict.output
        lenient = run(
            *command, "--target", "kind", "--missing", "drop", "--overwrite" if "look" in command else "--json"
        )
        assert lenient.exit_code == 0, lenient.output
        assert "4 of 60 rows have no value in kind and are left out" in lenient.output
    drop = ("look", "--target", "kind", "--missing", "drop", "--overwrite")
    assert run(*drop, "--rows", "4,5").exit_code == 0
    refused = run(*drop, "--rows", "2")
    assert (refused.exit_code, "row 2 has no value in kind" in refused.output) == (2, True)
    assert "the table has rows 0 to 59" in run(*drop, "--rows", "60").output
    checked = run("check", "--target", "kind", "--json", "--seconds", "0")
    findings = json.loads(checked.stdout)["findings"]
    assert {"missing-values"} == {finding["check"] for finding in findings if finding["severity"] == "error"}


@pytest.mark.parametrize(("target", "message"), [("kind,x", "labels"), ("no", "no column 'no'")])
def test_a_target_that_cannot_be_hides_no_other_finding_of_a_check(table, target, message):
    table.with_columns(x=pl.Series([np.nan, *range(1, NUM_ROWS)])).write_parquet("t.parquet")
    checked = run("check", "--target", target, "--json", "--seconds", "0")
    findings = json.loads(checked.stdout)["findings"]
    assert checked.exit_code == 1
    assert {finding["check"] for finding in findings} == {"not-opened", "missing-values"}
    assert message in next(finding["message"] for finding in findings if finding["check"] == "not-opened")


def test_rows_whose_key_a_store_lacks_are_refused_or_left_out_in_looking_and_measuring_as_in_training(table):
    keys = [f"k{number}" for number in range(NUM_ROWS)]
    kinds = [None if number < 4 else "cat" if number % 2 else "dog" for number in range(NUM_ROWS)]
    table.with_columns(id=pl.Series(keys), kind=pl.Series(kinds)).write_parquet("t.parquet")
    stored = [key for key in keys if key not in {"k3", "k7"}]
    rl.FeatureStore.write("s.zarr", np.ones((len(stored), 2), np.float32), keys=stored, key_name="id").close()
    words = ("--target", "kind", "--features", "s.zarr", "--key", "id")
    for command in (("look", "-o", "s.png"), ("bench", "--seconds", "1", "--no-reference")):
        strict = run(*command, "--features", "s.zarr", "--key", "id")
        assert (strict.exit_code, "--missing drop" in strict.output) == (2, True), strict.output
        lenient = run(*command, *words, "--missing", "drop")
        assert lenient.exit_code == 0, lenient.output
        assert "features: 1 of 60 rows have a key that the store lacks and are left out" in lenient.output
    drop = ("look", *words, "--missing", "drop", "--overwrite")
    assert "row 7 has a key that a store lacks" in run(*drop, "--rows", "7").output
    assert run(*drop, "--rows", "8", "-o", "s.png").exit_code == 0
    pl.read_parquet("t.parquet").filter(pl.col("kind").is_not_null() & (pl.col("id") != "k7")).write_parquet(
        "t.parquet"
    )
    assert run("look", *words, "--rows", "3", "-o", "same.png").exit_code == 0  # row 8, without the five before it
    assert Path("s.png").read_bytes() == Path("same.png").read_bytes()
