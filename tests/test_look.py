"""`rowlock look`: a sheet shows what a batch holds, and rows that cannot be read say so."""

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.errors import ConfigError
from rowlock.looking.facts import facts_of, ranges_of
from rowlock.looking.ink import fitted, font, wrapped
from rowlock.looking.sparkline import sparkline

COLOURS = [(250, 10, 10), (10, 250, 10), (10, 10, 250), (250, 250, 10)] * 3


@pytest.fixture
def frame(tmp_path):
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40, 30), colour).save(tmp_path / f"{number}.png")
    return pd.DataFrame(
        {
            "id": [f"k{number}" for number in range(len(COLOURS))],
            "path": [str(tmp_path / f"{number}.png") for number in range(len(COLOURS))],
            "label": ["cat", "dog", "fox"] * 4,
            "age": np.arange(len(COLOURS)) + 0.5,
        }
    )


def dataset(frame, **more):
    inputs = {"image": rl.Images("path", size=(32, 32)), **more}
    return rl.Dataset(frame, inputs, rl.Labels("label"), key="id")


def test_a_row_is_shown_as_the_batch_has_it(frame, rng):
    matrix = rng.normal(size=(len(frame), 9))
    data = dataset(frame, f=rl.Features(matrix), facts=rl.Columns(["age"]))
    facts = facts_of(data, 4, None)
    assert (facts.key, facts.target, facts.values) == ("k4", "dog", ["age 4.5"])
    assert (facts.pictures[0] == COLOURS[4]).all()
    assert np.allclose(facts.series["f"], matrix[4])


def test_float_pictures_and_lists_of_pictures_are_shown_as_they_are(frame):
    frame["photos"] = [[path, path] for path in frame["path"]]
    scaled = rl.Images("photos", size=(8, 8), num_images=3, dtype="float32", scale=1 / 255)
    facts = facts_of(rl.Dataset(frame, {"image": scaled}, key="id"), 1, None)
    assert [int(picture[0, 0, 1]) for picture in facts.pictures] == [250, 250, 0]


def test_the_sheet_has_the_pictures_colours_in_the_order_of_the_rows(frame):
    sheet = dataset(frame).look(rows=[2, 0, 3], columns=3, tile=64)
    assert sheet.rows.tolist() == [2, 0, 3]
    assert sheet.num_unreadable == 0
    found = [_first_place(sheet.image, COLOURS[row])[1] for row in (2, 0, 3)]
    assert found == sorted(found)
    assert Image.open(io.BytesIO(sheet._repr_png_())).size == sheet.image.size
    assert repr(sheet) == f"Sheet(3 rows, {sheet.image.width} x {sheet.image.height} pixels)"


def _first_place(image, colour):
    where = np.argwhere(np.abs(np.asarray(image).astype(int) - colour).sum(axis=2) < 12)
    return where[0]


def test_rows_are_drawn_by_the_seed_without_repeats(frame):
    data = dataset(frame)
    first, again, other = (data.look(5, seed=seed).rows.tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 5
    assert len(data.look(500).rows) == len(frame)


def test_a_row_that_cannot_be_read_has_a_card_that_says_why(frame):
    Path(frame["path"][1]).unlink()
    sheet = dataset(frame).look(rows=[0, 1, 2])
    assert sheet.num_unreadable == 1
    assert facts_of(dataset(frame), 1, None).fault == "there is no such file"
    assert "1 unreadable" in repr(sheet)


def test_augmented_pictures_are_those_of_the_first_epoch(frame):
    gradient = np.arange(32, dtype=np.uint8)[None, :, None].repeat(32, 0).repeat(3, 2) * 8
    Image.fromarray(gradient).save(frame["path"][0])
    augment = rl.Augment(flip=0.5, rotate=30)
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(32, 32), augment=augment)}, key="id")
    shown = facts_of(data, 0, (9, 0)).pictures[0]
    batch = next(batch for batch in data.batches(12, seed=9) if 0 in batch.rows)
    assert np.array_equal(shown, batch.inputs["image"][batch.rows.tolist().index(0)])
    assert data.look(3, augment=True).num_unreadable == 0


@pytest.mark.parametrize("columns", [1, 3, 40, 5000])
def test_a_sparkline_of_any_length_draws_within_its_size(columns):
    values = np.sin(np.arange(columns))
    values[columns // 2] = np.nan
    image = sparkline(values, (-1.0, 1.0), (120, 30), "#0072b2", "#ffffff")
    assert image.size == (120, 30)
    assert len(image.getcolors(100_000)) > 1
    for odd in (np.full(columns, np.nan), np.full(columns, 3.0), np.full(columns, np.inf)):
        assert sparkline(odd, (3.0, 3.0), (120, 30), "#0072b2", "#ffffff").size == (120, 30)


def test_one_far_value_does_not_flatten_all_lines(frame):
    matrix = np.random.default_rng(0).normal(size=(len(frame), 500))
    matrix[3, 7] = 1e9
    data = dataset(frame, f=rl.Features(matrix))
    low, high = ranges_of([facts_of(data, row, None) for row in range(len(frame))])["f"]
    assert -5 < low < high < 5


def test_texts_are_cut_to_their_room_and_have_no_control_characters():
    face = font(12)
    assert face.getlength(fitted("a very long text " * 20, face, 100)) <= 100
    assert "\n" not in fitted("new\nline", face, 500)
    assert len(wrapped("word " * 100, face, 100, 3)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": [99]}, "row 99 does not exist"),
        ({"rows": []}, "1 to 500 rows"),
        ({"n": 0}, "n"),
        ({"columns": 0}, "columns"),
        ({"tile": 3}, "tile"),
    ],
)
def test_misuse_is_refused(frame, options, message):
    with pytest.raises(ConfigError, match=message):
        dataset(frame).look(**options)
    with pytest.raises(ConfigError, match="should end in"):
        dataset(frame).look(1).save("sheet.banana")


# the command


def run(folder, *arguments):
    os.chdir(folder)
    return CliRunner().invoke(app, ["look", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture
def table(tmp_path, frame, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame.to_parquet(tmp_path / "t.parquet")
    rl.FeatureStore.write(tmp_path / "f.zarr", np.ones((len(frame), 4), np.float32), keys=frame["id"])
    return tmp_path


def test_the_command_writes_a_picture(table):
    result = run(
        table, "t.parquet", "--image", "path", "--features", "f=f.zarr", "--columns", "age", "--key", "id",
        "--target", "label", "-n", "5", "--augment", "-o", "sheet.png",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "5 rows" in result.output
    with Image.open(table / "sheet.png") as sheet:
        assert sheet.width > 300


def test_the_command_says_how_many_rows_cannot_be_read(table, frame):
    Path(frame["path"][1]).unlink()
    result = run(table, "t.parquet", "--image", "path", "--rows", "0,1")
    assert result.exit_code == 0
    assert "1 of them cannot be read" in result.output


def test_the_command_overwrites_nothing_unasked(table):
    (table / "sheet.png").write_text("mine")
    result = run(table, "t.parquet", "--image", "path")
    assert (result.exit_code, (table / "sheet.png").read_text()) == (2, "mine")
    assert run(table, "t.parquet", "--image", "path", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rows", "a"], "--rows is numbers"),
        (["--rows", "999"], "row 999 does not exist"),
        (["-o", "x.banana"], "should end in"),
        (["-o", "no/x.png"], "there is no folder"),
        (["--target", "labell"], "Did you mean 'label'"),
        (["--features", "f=f.zarr"], "key"),
    ],
)
def test_misuse_of_the_command_is_explained_and_leaves_nothing(table, arguments, message):
    before = sorted(path.name for path in table.iterdir())
    result = run(table, "t.parquet", "--image", "path", *arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())
    assert sorted(path.name for path in table.iterdir()) == before
