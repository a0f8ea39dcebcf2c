"""`rowlock train --verify`: no weight and no prediction comes from a picture that is not the one that was hashed."""

import json
import os
import signal
import sys
import tomllib

import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

pytest.importorskip("keras")
from rowlock.cli import app
from rowlock.training import Config, Run, train
from rowlock.training.listener import Listener

pytestmark = [
    pytest.mark.framework,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS = 20


def paint(number, path):
    Image.new("RGB", (20, 20), (12 * number, 255 - 12 * number, 7)).save(path, "BMP")


def exchange(path):
    """Another picture of the same name, size and time of change; return what was there."""
    before, old = path.stat(), path.read_bytes()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(path, "BMP")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    return old


def run(*arguments, code=0):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "2000"})
    assert done.exit_code == code, done.output + repr(done.exception)
    return " ".join(done.output.split())


@pytest.fixture
def table(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(NUM_ROWS):
        paint(number, folder / f"{'cat' if number % 2 else 'dog'}.{number}.bmp")
    run("table", folder, tmp_path / "t.parquet", "--hash")
    return tmp_path / "t.parquet"


def words(table, out, *more):
    given = ["--image", "path", "--key", "key", "--target", "label", "--size", "16", "--batch-size", "4"]
    return ["train", table, *given, "--epochs", "2", "--verify", "--out", out, *more]


class CtrlC(Listener):
    """Interrupts at the end of the first epoch."""

    def step(self, epoch, epochs, step, steps):
        if (epoch, step) == (1, steps):
            signal.raise_signal(signal.SIGINT)


def test_a_picture_that_was_exchanged_before_training_is_an_error_of_its_row_or_masked_and_listed(table, tmp_path):
    path, out = tmp_path / "photos" / "dog.4.bmp", tmp_path / "run"
    exchange(path)
    said = run(*words(table, out, "--split", "1"), code=1)
    assert "key 'dog.4'" in said
    assert str(path) in said
    assert said.count("blake2b-128:") == 2
    assert "rowlock table FOLDER OUT --hash" in said
    run(*words(table, out, "--split", "1", "--on-error", "mask", "--max-bad", "0.1"))
    bad = [json.loads(line) for line in (out / "bad-rows.jsonl").read_text().splitlines()]
    assert {(one["key"], one["path"]) for one in bad} == {("dog.4", str(path))}


def test_a_run_that_goes_on_refuses_a_picture_that_was_exchanged_meanwhile_and_names_it(table, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "photos"
    config = Config(
        image={"image": "path"}, root=str(folder), key="key", target="label", size=(16, 16), batch_size=4, epochs=2,
        verify=True,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(pq.read_table(table), config, out, listener=CtrlC(), source={"table": str(table)})
    split = pd.read_parquet(out / "split.parquet")
    key = split[split["part"] == "train"]["key"].iloc[3]
    old = exchange(folder / f"{key}.bmp")
    again = ["train", "--config", out / "run.toml"]  # which nobody told to verify but run.toml
    said = run(*again, code=1)
    assert f"key '{key}'" in said
    assert "not those that were hashed" in said
    refused = run(*[word for word in words(table, out) if word != "--verify"], code=2)
    assert "verify was True, is False" in refused
    run("table", folder, tmp_path / "anew.parquet", "--hash")
    refused = run("train", tmp_path / "anew.parquet", *again[1:], code=2)
    assert "the digests of the pictures in column 'path' (image) have changed" in refused
    (folder / f"{key}.bmp").write_bytes(old)
    run(*again)
    assert Run.open(out).metrics["unreadable_rows"] == 0


def test_predictions_verify_as_the_training_did_without_being_told(table, tmp_path):
    out, path = tmp_path / "run", tmp_path / "photos" / "cat.5.bmp"
    run(*words(table, out))
    assert tomllib.loads((out / "run.toml").read_text())["options"]["verify"] is True
    assert json.loads((out / "spec.json").read_text())["inputs"]["image"]["hashes"] == "path_hash"
    predict = ["predict", out, table, tmp_path / "p.parquet", "--overwrite"]
    run(*predict)
    exchange(path)
    said = run(*predict, code=1)
    assert "key 'cat.5'" in said
    assert said.count("blake2b-128:") == 2
    said = run(*predict, "--on-error", "mask")
    assert "key 'cat.5'" in said
    assert "rowlock table FOLDER OUT --hash" in said
    predicted = pd.read_parquet(tmp_path / "p.parquet").set_index("key")
    assert predicted.index[predicted["predicted_label"].isna()].tolist() == ["cat.5"]
    run(*predict, "--no-verify")
    assert pd.read_parquet(tmp_path / "p.parquet")["predicted_label"].notna().all()
    frame = pd.read_parquet(table).drop(columns="path_hash")
    frame.to_csv(tmp_path / "bare.csv", index=False)
    bare = ["predict", out, tmp_path / "bare.csv", tmp_path / "p.csv", "--root", tmp_path / "photos"]
    said = run(*bare, code=2)
    assert "no column 'path_hash'" in said
    assert "rowlock table FOLDER OUT --hash" in said
    assert "--no-verify goes without" in said
    run(*bare, "--no-verify")
    again = run("train", "--config", out / "run.toml", "--out", tmp_path / "again", code=1)
    assert "key 'cat.5'" in again


def keys_of(split, part):
    return split[split["part"] == part]["key"].tolist()


def test_masked_rows_of_every_part_are_listed_once_and_told_and_reported(table, tmp_path):
    out, photos = tmp_path / "run", tmp_path / "photos"
    more = ["--split", "0.6,0.2,0.2", "--on-error", "mask", "--max-bad", "0.5"]
    run(*words(table, tmp_path / "before", *more))
    split = pd.read_parquet(tmp_path / "before" / "split.parquet")
    lost = {part: keys_of(split, part)[0] for part in ("train", "valid", "test")}
    for key in lost.values():
        exchange(photos / f"{key}.bmp")
    frame = pd.read_parquet(table)
    frame.assign(number=range(NUM_ROWS)).to_parquet(tmp_path / "t2.parquet")
    said = run(*words(tmp_path / "t2.parquet", out, *more, "--root", photos, "--columns", "number", "--ablate"))
    bad = [json.loads(line) for line in (out / "bad-rows.jsonl").read_text().splitlines()]
    assert sorted(one["key"] for one in bad) == sorted(lost.values())
    assert {one["key"]: one["row"] for one in bad} == {key: frame["key"].tolist().index(key) for key in lost.values()}
    assert not list(out.glob(".bad-rows*"))
    assert "3 of all rows could not be read, and do not count" in said
    assert all(f"key '{key}'" in said for key in lost.values())
    assert "1 row could not be read and so not measured" in said
    assert "columns alone: measured on rows that merged could not read" in said
    assert "3 of all rows could not be read" in run("train", "--config", out / "run.toml")

    told = run("report", out, "-o", tmp_path / "r.html")
    assert "1 of 4 test rows cannot be read, and count nowhere here. The first: key " + repr(lost["test"]) in told
    page = (tmp_path / "r.html").read_text()
    listed = page[page.index('id="bad-rows"') :]
    assert all(listed.count(f">{key}<") == 1 for key in lost.values())
    assert all(part in listed for part in ("training, epoch 1", "validation", "test"))
    told = run("report", out, "--json")
    found = json.loads(told[told.index("{") : told.rindex("}") + 1])
    assert {row["part"]: row["key"] for row in found["bad_rows"]} == lost
    told = run("report", tmp_path / "before", "-o", tmp_path / "r2.html", "--no-verify")
    assert "cannot be read" not in told


@pytest.mark.parametrize("split", ["0.5,0.25,0.25", "0.8,0.2", "1"])
def test_a_run_that_ends_while_it_is_measured_goes_on_and_lists_each_masked_row_once(
    table, tmp_path, monkeypatch, split
):
    lost = ["cat.5", "cat.7", "dog.12", "dog.4"]
    for key in lost:
        exchange(tmp_path / "photos" / f"{key}.bmp")
    out = tmp_path / "run"
    given = words(table, out, "--split", split, "--on-error", "mask", "--max-bad", "0.5")
    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["rowlock.training.train"], "measure", lambda *_: signal.raise_signal(signal.SIGINT))
        run(*given, code=130)
    assert not (out / "metrics.json").exists()
    run(*given)
    bad = [json.loads(line)["key"] for line in (out / "bad-rows.jsonl").read_text().splitlines()]
    assert sorted(bad) == lost
