"""``--verify``: commands that read pictures notice those that were exchanged after `rowlock table --hash`."""

import hashlib
import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.errors import ConfigError, StateError
from rowlock.inputs import Images
from rowlock.table import Table
from rowlock.training import Config
from rowlock.training.changes import changes_in_words
from rowlock.training.spec import Spec
from rowlock.training.targets import Target

NUM_ROWS = 12
WORDS = ["--image", "path", "--key", "key", "--size", "16"]


def paint(number, path):
    """A picture that its number tells, of a format in which all have one size."""
    Image.new("RGB", (40, 48), (20 * number, 255 - 20 * number, 7)).save(path, "BMP")


def exchange(path, number=99):
    """Another picture of the same name, size and time of change."""
    before = path.stat()
    paint(number % 12, path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def digest(path):
    return "blake2b-128:" + hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "2000"})


def check(table, *more):
    done = run("check", table, *WORDS, "--seconds", "0", "--json", *more)
    return done.exit_code, json.loads(done.stdout) if done.stdout else done.output


def findings(report, name="changed"):
    return [one for one in report["findings"] if one["check"] == name]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(NUM_ROWS):
        paint(number, folder / f"{'cat' if number % 2 else 'dog'}.{number}.bmp")
    return folder


@pytest.fixture
def table(tmp_path, photos):
    done = run("table", photos, tmp_path / "t.parquet", "--hash")
    assert done.exit_code == 0, done.output
    assert "--target label --verify" in done.output
    return tmp_path / "t.parquet"


def test_check_counts_exchanged_pictures_as_a_finding_of_their_own(table, photos):
    assert check(table, "--verify")[0] == 0
    path = photos / "dog.4.bmp"
    old = digest(path)
    exchange(path, 5)
    code, report = check(table, "--verify")
    assert code == 1
    (finding,) = findings(report)
    assert (finding["severity"], finding["count"], finding["input"]) == ("error", 1, "image")
    (example,) = finding["examples"]
    assert (example["key"], example["path"]) == ("dog.4", str(path))
    assert example["detail"] == f"its digest should be {old}, and is {digest(path)}"
    assert "rowlock table FOLDER OUT --hash" in finding["advice"]
    assert report["pictures"] == {"named": NUM_ROWS, "read": NUM_ROWS}
    assert findings(report, "duplicates")[0]["count"] == 1  # what it was exchanged for is told as well
    assert not findings(report, "unreadable")
    code, report = check(table)
    assert (code, findings(report)) == (0, [])  # nobody asked


def test_check_finds_exchanged_pictures_whatever_else_is_wrong_and_says_in_which_part(table, photos):
    frame = pd.read_parquet(table)
    exchange(photos / "dog.4.bmp", 5)
    (photos / "dog.6.bmp").write_bytes((photos / "dog.6.bmp").read_bytes()[:-100])
    (photos / "cat.1.bmp").unlink()
    frame.loc[frame["key"] == "cat.3", "path"] = None
    frame["path"] = frame["path"].map(lambda path: str(photos / path), na_action="ignore")
    frame.to_parquet(table)
    code, report = check(table, "--verify", "--target", "label", "--split", "0.5,0.5")
    assert code == 1
    assert {finding["check"] for finding in report["findings"]} >= {"no-path", "missing", "unreadable", "changed"}
    named = {example["key"]: example["part"] for finding in findings(report) for example in finding["examples"]}
    assert set(named) == {"dog.4", "dog.6"}
    assert set(named.values()) <= {"train", "valid"}


def test_rows_that_share_a_picture_are_compared_each_with_its_own_digest(table, photos):
    frame = pd.read_parquet(table)
    frame["path"] = frame["path"].map(lambda path: str(photos / path))
    again = frame.iloc[[3]].assign(key="again", path_hash="sha256:" + "0" * 64)
    right = frame.iloc[[3]].assign(
        key="right", path_hash="md5:" + hashlib.md5(Path(frame["path"][3]).read_bytes()).hexdigest().upper()
    )
    pd.concat([frame, again, right]).to_parquet(table)
    _, report = check(table, "--verify")
    (finding,) = findings(report)
    assert [example["key"] for example in finding["examples"]] == ["again"]


def test_lists_of_pictures_are_compared_one_by_one(photos):
    paths = sorted(map(str, photos.iterdir()))
    frame = pd.DataFrame({"photos": [paths[:3], [], paths[3:5]], "key": [1, 2, 3]})
    frame["photos_hash"] = rl.hash_pictures(frame["photos"])
    images = rl.Images("photos", size=(16, 16), num_images=3, verify="hash")
    with closing(rl.Dataset(frame, {"image": images}, key="key")) as data:
        exchange(Path(paths[4]), 5)
        report = data.check(speed_seconds=0)
    (finding,) = [one for one in report.findings if one.check == "changed"]
    assert [(one.row, one.key, one.path) for one in finding.examples] == [(2, 3, paths[4])]


def test_a_sheet_says_of_an_exchanged_picture_that_it_is_another(table, photos, tmp_path):
    exchange(photos / "dog.4.bmp", 5)
    for more, said in (["--verify"], True), ([], False):
        done = run("look", table, *WORDS, "-o", tmp_path / "sheet.png", "--overwrite", *more)
        assert done.exit_code == 0, done.output
        assert ("1 of them cannot be read" in done.output) is said


def test_bench_measures_with_the_comparison(table):
    done = run("bench", table, *WORDS, "--verify", "--seconds", "1", "--no-reference", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["num_rows"] == NUM_ROWS


@pytest.mark.parametrize("command", ["check", "look", "bench", "train"])
def test_a_table_without_digests_is_refused_at_once_with_how_they_are_made(tmp_path, photos, command):
    run("table", photos, tmp_path / "t.parquet")
    more = ["--target", "label", "--out", tmp_path / "run"] if command == "train" else []
    done = run(command, tmp_path / "t.parquet", *WORDS, "--verify", *more)
    assert done.exit_code == 2
    assert "no column 'path_hash'" in done.output
    assert "rowlock table FOLDER OUT --hash" in done.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["check", "look", "bench", "train"])
def test_every_column_of_pictures_needs_its_digests_and_without_pictures_there_is_nothing_to_verify(table, command):
    frame = pd.read_parquet(table)
    frame.assign(back=frame["path"], side=frame["path"], side_hash=frame["path_hash"], n=1.5).to_parquet(table)
    words = ["--key", "key", "--verify", *(["--target", "label"] if command == "train" else [])]
    images = ["--image", "path", "--image", "back", "--image", "side"]
    done = run(command, table, *images, *words)
    assert done.exit_code == 2
    assert "no column 'back_hash', the digests that --verify compares pictures of 'back' with" in done.output
    done = run(command, table, "--columns", "n", *words)
    assert done.exit_code == 2
    assert "no pictures are named: say --image COL" in done.output


def test_a_column_that_holds_something_else_is_told(table, photos):
    rows = pq.read_table(table)
    pq.write_table(rows.set_column(rows.column_names.index("path_hash"), "path_hash", rows["key"]), table)
    exchange(photos / "dog.4.bmp")
    (photos / "dog.2.bmp").unlink()
    code, report = check(table, "--verify")
    assert code == 1
    (finding,) = findings(report, "no-digest")
    assert (finding["count"], finding["examples"][0]["key"]) == (NUM_ROWS, "cat.1")
    assert "as rowlock table FOLDER OUT --hash writes them" in finding["advice"]
    assert findings(report, "missing")
    done = run("look", table, *WORDS, "--verify", "-o", table.parent / "s.png")
    assert done.exit_code == 2
    assert "hold no digest that is known: the first is 'cat.1'" in done.output
    assert "rowlock table FOLDER OUT --hash makes such a column" in done.output


# what is told of it from one command to the next


def opened(frame, **settings):
    return Images("path", **{"size": (16, 16), "verify": "hash", **settings}).open(Table(frame), "image")


def test_other_digests_are_other_data_and_to_begin_or_end_comparing_is_not(table, photos):
    frame = pd.read_parquet(table)
    frame["path"] = frame["path"].map(lambda path: str(photos / path))
    other = frame.assign(path_hash=frame["path_hash"].tolist()[::-1])
    reader, trusting, exchanged = opened(frame), opened(frame, verify=None), opened(other)
    assert reader.extends(trusting.fingerprint)
    assert trusting.extends(reader.fingerprint)
    assert not exchanged.extends(reader.fingerprint)
    assert not opened(frame, size=(16, 17)).extends(trusting.fingerprint)
    inputs = {"image": rl.Images("path", size=(16, 16), verify="hash")}
    made = [rl.Dataset(one, inputs, key="key") for one in (frame, other)]
    with closing(made[0]) as before, closing(made[1]) as now:
        (told,) = changes_in_words(now, before.fingerprints, Config(image={"image": "path"}))
        state = before.batches(4).state_dict()
        with pytest.raises(StateError, match="image"):
            now.batches(4).load_state_dict(state)
    assert told == "the digests of the pictures in column 'path' (image) have changed, so the files may be others"


def test_a_model_without_the_pictures_of_a_run_has_nothing_to_verify():
    config = Config(image={"image": "path"}, columns=["n"], target="label", verify=True)
    assert config.only(["image"]).verify
    assert not config.only(["columns"]).verify
    assert config.differences(Config(**config.to_dict() | {"verify": False})) == ["verify was False, is True"]
    with pytest.raises(ConfigError, match="verify"):
        Config(verify="hash")


def test_a_spec_takes_the_training_s_word_unless_another_is_given():
    told = {"kind": "images", "column": "photo", "size": [4, 4], "resize": "stretch", "channels": 3, "dtype": "uint8"}
    told |= {"root": None, "remote": [], "hashes": None}
    spec = Spec({"image": told}, Target("quantity", ("x",)), None, None)
    for verify, hashes in ((None, None), (True, "photo_hash"), (False, None)):
        assert spec.with_places({}, None, verify=verify).rl_inputs()["image"].hashes == hashes
    verified = spec.with_places({}, None, verify=True)
    assert verified.with_places({}, None).rl_inputs()["image"].verify == "hash"
    assert verified.with_places({}, None, verify=False).rl_inputs()["image"].verify is None
    assert np.all([spec.inputs["image"]["hashes"] is None])
