"""`rowlock report`: a page of a really trained run, compared with what the run and its predictions say themselves.

One row of the test part has a wrong label, so which mistake is the worst is known before.
"""

import html.parser
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.errors import ConfigError

pytest.importorskip("keras")
from rowlock.cli import app
from rowlock.cli.train_listener import TerminalListener
from rowlock.reporting import report
from rowlock.training import Config, Run, train

pytestmark = [
    pytest.mark.framework,
    pytest.mark.slow,  # trains; what depends on the backend is tested where it is
    pytest.mark.filterwarnings("ignore::DeprecationWarning:keras"),  # Keras' own, not ours
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow"),
]

NUM_ROWS = 160
HOSTILE = "<script>alert(1)</script>&"
cli = CliRunner()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with ``animals.parquet``, its pictures (red dogs, blue cats) and ``growth.zarr``."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(3)
    is_dog = np.arange(NUM_ROWS) % 2 == 1
    for row in range(NUM_ROWS):
        colour = (200, 30, 30) if is_dog[row] else (30, 30, 200)
        noise = rng.integers(-25, 26, (12, 16, 3))
        Image.fromarray((colour + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{row}.png")
    matrix = rng.normal(size=(NUM_ROWS, 5)).astype(np.float32)
    matrix[:, 3] += np.where(is_dog, 3, -3)
    keys = [f"a{row:04d}" for row in range(NUM_ROWS)]
    rl.FeatureStore.write(folder / "growth.zarr", matrix, keys=pd.Series(keys, name="object_id"))
    frame = pd.DataFrame(
        {
            "object_id": keys,
            "imgpath": [f"{row}.png" for row in range(NUM_ROWS)],
            "label": np.where(is_dog, "dog", HOSTILE),
            "size": rng.normal(0, 1, NUM_ROWS),
            "age": rng.normal(5, 2, NUM_ROWS),
        }
    )
    frame["price"] = 1e6 + 5e4 * frame["size"] + rng.normal(0, 1e3, NUM_ROWS)
    frame["weight"] = 3 * frame["age"] + rng.normal(0, 0.1, NUM_ROWS)
    frame["tags"] = [
        ["dog"] * bool(dog) + ["large"] * (size > 0) for dog, size in zip(is_dog, frame["size"], strict=True)
    ]
    frame.to_parquet(folder / "animals.parquet")
    return folder


@pytest.fixture(scope="module")
def merged(data, tmp_path_factory):
    """A finished run of pictures and features, with the ablation and an unreadable training row; and its table."""
    out = tmp_path_factory.mktemp("runs") / "merged"
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(
        image={"image": "imgpath"}, size=(16, 16), root=str(data), features={"growth": str(data / "growth.zarr")},
        target="label", key="object_id", epochs=4, learning_rate=0.01, patience=0, split=(0.6, 0.15, 0.25), seed=7,
        batch_size=16, ablate=True, on_error="mask", max_bad=0.1,
    )  # fmt: skip
    lost = out.parent / "lost.parquet"
    trained = frame.assign(imgpath=frame["imgpath"].replace("11.png", "lost.png"))
    trained.to_parquet(lost)
    train(trained, config, out, source={"table": str(lost)})
    return out, trained


@pytest.fixture(scope="module")
def one_wrong(merged):
    """The table with one label of the test part turned, its key, and the report about it."""
    out, frame = merged
    split = pq.read_table(out / "split.parquet").to_pandas()
    key = split.loc[split["part"] == "test", "object_id"].iloc[5]
    turned = frame.copy()
    place = turned["object_id"] == key
    turned.loc[place, "label"] = np.where(turned.loc[place, "label"] == "dog", HOSTILE, "dog")
    return turned, key, report(out, turned, explain=True)


def invoke(*arguments, code=0):
    result = cli.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


class Reader(html.parser.HTMLParser):
    """Collects tags, addresses and text, and sees that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [(tag, given[name]) for name in ("src", "href", "srcset", "action") if name in given]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]
        if tag not in {"meta", "img", "polyline", "circle", "path", "rect", "line"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_is_whole_in_itself(one_wrong):
    _, _, found = one_wrong
    page = Reader(found.html)
    assert page.open == []
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.policy.startswith("default-src 'none'")
    assert {address[:16] for tag, address in page.addresses if tag == "img"} == {"data:image/jpeg;"}
    assert all(address.startswith("file:///") for tag, address in page.addresses if tag == "a")
    assert "url(" not in found.html
    assert "@import" not in found.html
    assert HOSTILE not in found.html  # it is a class, and everywhere escaped


def test_what_the_run_kept_is_told_as_it_is(merged):
    out, frame = merged
    metrics = json.loads((out / "metrics.json").read_bytes())
    values = report(out, frame).to_dict()
    assert values["metrics"] == metrics["metrics"]
    assert values["ablation"] == metrics["ablation"]
    assert values["rows"] == {"train": 96, "valid": 24, "test": 40}
    history = pd.read_csv(out / "history.csv")
    assert values["best_epoch"] == history["epoch"][history["val_data_loss"].idxmin()]
    waited = (history["seconds"] * history["wait_share"]).sum()
    assert values["waiting"]["waited_seconds"] == pytest.approx(waited)
    assert [(row["key"], row["part"]) for row in values["bad_rows"]] == [("a0011", "train")]
    assert values["notes"] == []


def test_the_test_rows_are_predicted_again_as_rowlock_predict_does(merged):
    out, frame = merged
    run = Run.open(out)
    part = run.part_of(frame, "test")
    predicted = run.predict(part)
    told = report(out, frame)
    tested = told.findings.tested
    assert tested.keys.tolist() == part["object_id"].tolist()
    assert tested.predicted[:, 1] == pytest.approx(predicted["probability_dog"].to_numpy(), abs=1e-6)
    assert told.to_dict()["measured_again"]["log_loss"] == pytest.approx(run.metrics["metrics"]["log_loss"], rel=1e-3)
    assert "the same numbers" in told.html


def test_a_wrong_label_is_the_worst_mistake_with_key_picture_and_link(one_wrong, data):
    turned, key, found = one_wrong
    worst = found.findings.mistakes[0]
    assert worst.key == key
    row = turned.set_index("object_id").loc[key]
    assert worst.true == row["label"]
    assert worst.predicted != row["label"]
    assert worst.links == ((data / row["imgpath"]).as_uri(),)
    shown = Image.open(io.BytesIO(worst.pictures[0]))
    assert shown.size == (208, 156)  # the whole picture in its own shape, 16 to 12
    red, _, blue = np.asarray(shown).reshape(-1, 3).mean(axis=0)
    assert (red > blue) == (worst.predicted == "dog")
    assert found.to_dict()["mistakes"][0]["key"] == key
    assert key in found.html


def test_data_that_have_changed_are_told_and_the_runs_own_numbers_stay(one_wrong, merged):
    out, _ = merged
    _, _, found = one_wrong
    metrics = json.loads((out / "metrics.json").read_bytes())["metrics"]
    assert any("the numbers are others: accuracy was" in note for note in found.notes)
    assert found.to_dict()["metrics"] == metrics
    assert found.to_dict()["measured_again"]["accuracy"] == pytest.approx(metrics["accuracy"] - 1 / 40)
    assert "the same numbers" not in found.html


def not_as_trained(found):
    return [note for note in found.notes if note.startswith("The data are not those of the training")]


@pytest.mark.parametrize("change", ["nothing", "label", "paths", "order", "store"])
def test_what_changed_outside_the_measured_rows_is_told_by_column_or_store(merged, data, tmp_path, change):
    out, frame = merged
    split = pq.read_table(out / "split.parquet").to_pandas()
    trained = frame["object_id"].isin(split.loc[split["part"] == "train", "object_id"])
    table, features, told = frame.copy(), {}, []
    first = trained.idxmax()
    if change == "label":
        table.loc[first, "label"] = HOSTILE if table.loc[first, "label"] == "dog" else "dog"
        told = ["the values of column 'label', the target, have changed"]
    elif change == "paths":
        table.loc[trained, "imgpath"] = table.loc[trained, "imgpath"].to_numpy()[::-1]
        told = ["the paths in column 'imgpath' (image) have changed"]
    elif change == "order":
        table = frame[::-1].reset_index(drop=True)
        told = ["the rows that are trained on, their keys or their order have changed"]
    elif change == "store":
        features = {"growth": str(tmp_path / "copy.zarr")}
        matrix = rl.FeatureStore.open(data / "growth.zarr").by_key(frame["object_id"]).copy()
        matrix[first] += 1
        rl.FeatureStore.write(features["growth"], matrix, keys=frame["object_id"])
        told = ["(growth) is another, or has changed"]
    found = report(out, table, features=features, worst=0)
    notes = not_as_trained(found)
    assert [words for note in notes for words in told if words in note] == told
    assert len(notes) == len(told) == len(found.notes)
    assert all(note[:40] in found.html for note in notes)
    assert found.to_dict()["notes"] == found.notes


@pytest.mark.parametrize(
    ("target", "more"),
    [
        ("price", {"columns": ["size", "age", "label"]}),
        ("tags", {"columns": ["age"], "rows": 90}),
        ("label", {"columns": ["size"], "group": "weight", "stratify": False}),
    ],
)
def test_a_table_as_it_was_is_never_said_to_have_changed(data, tmp_path, target, more):
    frame = pd.read_parquet(data / "animals.parquet").astype({"tags": object})
    frame.loc[3, ["age", "size"]] = np.nan
    frame.loc[[5, 9], target] = None
    key = None if "rows" in more else "object_id"
    train(frame, Config(target=target, key=key, epochs=1, missing="drop", **more), tmp_path / "run")
    assert report(tmp_path / "run", frame, worst=0).notes == []
    changed = frame.assign(**{more["columns"][0]: frame[more["columns"][0]] * 2})
    (note,) = not_as_trained(report(tmp_path / "run", changed, worst=0))
    assert repr(more["columns"][0]) in note


def test_importance_is_that_of_explain(one_wrong, merged):
    out, _ = merged
    turned, _, found = one_wrong
    run = Run.open(out)
    assert found.findings.explanation == run.explain(run.part_of(turned, "test"))
    assert "What the model looks at" in found.html


def test_rows_that_are_gone_or_cannot_be_read_are_counted_and_listed(merged):
    out, frame = merged
    split = pq.read_table(out / "split.parquet").to_pandas()
    keys = split.loc[split["part"] == "test", "object_id"].tolist()
    fewer = frame[~frame["object_id"].isin(keys[:3])].copy()
    fewer.loc[fewer["object_id"] == keys[4], "imgpath"] = "gone.png"
    found = report(out, fewer)
    assert f"1 of 37 test rows cannot be read, and count nowhere here. The first: key {keys[4]!r}" in found.notes[0]
    assert "had 40 rows, and 37 of them" in found.notes[1]
    (unread,) = found.to_dict()["unreadable"]
    assert unread == {"key": keys[4], "part": "test", "path": "gone.png", "reason": "there is no such file"}
    assert "there is no such file" in found.html
    nothing = report(out, frame.assign(imgpath="gone.png"))
    assert "none of the 40 test rows can be read" in nothing.notes[0]
    assert "What each input adds" in nothing.html


@pytest.mark.parametrize("change", ["table", "column", "store", "model"])
def test_what_has_gone_is_told_and_the_rest_is_reported(merged, tmp_path, change):
    out, frame = merged
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    moved = {}
    if change == "table":
        told = (copy / "run.toml").read_text().replace("lost.parquet", "moved.parquet")
        (copy / "run.toml").write_text(told)
    elif change == "column":
        frame = frame.drop(columns="imgpath")
    elif change == "store":
        moved = {"growth": str(tmp_path / "lost.zarr")}
    else:
        (copy / "model.keras").write_bytes(b"damaged")
    if change == "table":
        printed = invoke("report", copy, "-o", tmp_path / "page.html")
        assert "--table says where it is now" in " ".join(printed.output.split())
        page = (tmp_path / "page.html").read_text()
    else:
        found = report(copy, frame, features=moved)
        assert {"column": "no column 'imgpath'", "store": "lost.zarr", "model": "cannot be loaded"}[
            change
        ] in found.notes[0]
        page = found.html
    assert "Class by class" in page
    assert "What each input adds" in page
    assert "The worst mistakes" not in page


def test_page_and_command_line_say_of_an_ablation_the_same_in_the_same_direction(merged, capsys):
    out, _ = merged
    metrics = json.loads((out / "metrics.json").read_bytes())
    own, models = metrics["metrics"]["accuracy"], metrics["ablation"]["models"]
    TerminalListener().compare(metrics)
    printed = capsys.readouterr().out
    section = report(out).html.partition('id="ablation"')[2].partition("</table>")[0]
    told = [re.sub(r"<[^>]+>", " ", line) for line in section.split("<tr>")]
    for lines in (printed.splitlines(), told):
        assert any("merged is better by" in line for line in lines)
        for title, one in models.items():
            (line,) = (line for line in lines if line.strip().startswith(title))
            assert float(line.split()[-1]) == pytest.approx(own - one["metrics"]["accuracy"], abs=6e-4)


def test_a_report_of_the_folder_alone_needs_no_framework(merged):
    out, _ = merged
    code = (
        "import sys; from rowlock.reporting import report; found = report(sys.argv[1]); found.html; found.to_dict();"
        "print([m for m in ('keras', 'tensorflow', 'jax', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, out], capture_output=True, text=True, check=True, timeout=280)
    assert done.stdout.strip() == "[]"


def test_a_run_that_is_not_finished_has_its_curves(merged, tmp_path):
    out, frame = merged
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    (copy / "metrics.json").unlink()
    (copy / "spec.json").write_text("{")
    found = report(copy, frame)
    assert any("is not finished" in note for note in found.notes)
    assert any("spec.json" in note for note in found.notes)
    assert found.to_dict()["finished"] is False
    assert len(found.to_dict()["history"]) == 4
    assert "Training" in found.html
    assert "Class by class" not in found.html


@pytest.mark.parametrize("target", [["price"], ["price", "weight"]])
def test_quantities_are_reported_in_their_units(data, tmp_path, target):
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(columns=["size", "age"], target=target, key="object_id", epochs=12, learning_rate=0.02)
    run = train(frame, config, tmp_path / "run")
    found = report(tmp_path / "run", frame)
    assert found.notes == []
    told = found.to_dict()
    if target == ["price"]:
        low, high = told["intervals"]["mae"]
        assert low < run.metrics["metrics"]["mae"] < high
    part = run.part_of(frame, "test").set_index("object_id")
    worst = told["mistakes"][0]
    assert f"{part.loc[worst['key'], 'price']:.4g}" in worst["true"]
    assert found.html.count("On the dashed line, a prediction is exactly right.") == len(target)
    assert Reader(found.html).open == []


def test_labels_are_reported_one_by_one(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    config = Config(columns=["size"], features={"growth": str(data / "growth.zarr")}, target="tags", key="object_id",
                    epochs=8, learning_rate=0.02)  # fmt: skip
    run = train(frame, config, tmp_path / "run")
    found = report(tmp_path / "run", frame)
    scores = {one["name"]: one for one in found.to_dict()["by_class"]}
    part = run.part_of(frame, "test")
    predicted = run.predict(part)
    for label in ("dog", "large"):
        true = np.array([label in tags for tags in part["tags"]])
        said = np.array([label in tags for tags in predicted["predicted_tags"]])
        assert scores[label]["rows"] == true.sum()
        assert scores[label]["recall"] == pytest.approx((true & said).sum() / true.sum())
    assert "Label by label" in found.html


def test_a_run_without_keys_and_without_a_test_part_is_reported_too(data, tmp_path):
    frame = pd.read_parquet(data / "animals.parquet")
    run = train(frame, Config(columns=["size"], target="label", epochs=2, split=(0.7, 0.3)), tmp_path / "run")
    found = report(tmp_path / "run", frame)
    assert found.notes == []
    assert found.to_dict()["measured_again"]["log_loss"] == pytest.approx(run.metrics["metrics"]["log_loss"], rel=1e-3)
    assert "there is no test part" in found.html
    assert "not those it had" in report(tmp_path / "run", frame.head(20)).notes[0]


def test_mistakes_are_shown_with_their_categories_and_what_was_missing_or_rare(tmp_path):
    numbers = np.arange(120)
    breeds = np.array(["pug", "collie", "beagle"], object)[numbers % 3]
    frame = pd.DataFrame(
        {"id": numbers, "breed": breeds, "age": numbers % 7.0, "price": (numbers * 7 % 11).astype(float)}
    )
    config = Config(columns=["age", "breed"], target="price", key="id", epochs=1)
    rare, bare = train(frame, config, tmp_path / "before").part_of(frame, "test")["id"].iloc[:2]
    frame.loc[frame["id"] == rare, "breed"] = "lynx"  # no training row is one
    frame.loc[frame["id"] == bare, ["breed", "age"]] = None
    run = train(frame, config, tmp_path / "run")
    found = report(tmp_path / "run", frame, explain=True)
    assert found.notes == []
    shown = {mistake.key: mistake.values for mistake in found.findings.mistakes}
    mean = run.spec.inputs["columns"]["statistics"]["mean"][0]
    assert shown[str(rare)] == (f"age {rare % 7:.4g}", "breed (none)")
    assert shown[str(bare)] == (f"age {mean:.4g}", "breed (none)")
    assert {words[1] for words in shown.values()} == {"breed (none)", *(f"breed {breed}" for breed in set(breeds))}
    assert {one.column for one in found.findings.explanation.columns} == {"age", "breed"}


def test_columns_of_text_are_shown_by_category_and_a_missing_number_as_the_mean_of_training(data, tmp_path):
    """A category that only tested rows have is none of the run's, as it was in training."""
    frame = pd.read_parquet(data / "animals.parquet")
    frame["breed"] = [("pug", "collie", "beagle")[row % 3] for row in range(NUM_ROWS)]
    config = Config(columns=["age", "breed"], target="price", key="object_id", epochs=1, split=(0.6, 0.2, 0.2))
    tested = train(frame, config, tmp_path / "first").part_of(frame, "test")["object_id"].tolist()
    ages, breeds = frame["age"].to_numpy().copy(), frame["breed"].to_numpy().copy()
    places = [frame["object_id"].tolist().index(key) for key in tested[:2]]
    ages[places[0]], breeds[places[1]] = np.nan, "lynx"
    frame = frame.assign(age=ages, breed=breeds)
    run = train(frame, config, tmp_path / "run")
    found = report(tmp_path / "run", frame, worst=100, explain=True)
    assert found.notes == []
    shown = {one["key"] for one in found.to_dict()["mistakes"]}
    assert sorted(shown) == sorted(tested)
    values = {one.key: one.values for one in found.findings.mistakes}
    mean = rl.ColumnStatistics.from_dict(run.spec.inputs["columns"]["statistics"]).mean[0]
    assert values[tested[0]] == (f"age {mean:.4g}", f"breed {breeds[places[0]]}")
    assert values[tested[1]] == (f"age {ages[places[1]]:.4g}", "breed (none)")
    assert re.search(r"columns of the table.*?age, breed.*?>4<", found.html, re.DOTALL)


# the command


def test_the_command_writes_a_page_once(merged, tmp_path):
    out, _ = merged
    page = tmp_path / "page.html"
    assert str(page) in invoke("report", out, "-o", page, "--worst", "2").output.replace("\n", "")
    before = page.read_bytes()
    assert "--overwrite replaces it" in invoke("report", out, "-o", page, code=2).output
    assert page.read_bytes() == before
    invoke("report", out, "-o", page, "--no-predict", "--overwrite")
    assert page.read_bytes() != before
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_what_was_moved_is_found_where_the_options_say(merged, data, tmp_path):
    out, _ = merged
    copy, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(out, copy)
    shutil.copytree(data, moved)
    spec = (copy / "spec.json").read_text().replace(str(data), "/nowhere")
    (copy / "spec.json").write_text(spec)
    command = ["report", copy, "--table", moved / "animals.parquet", "--json"]
    lost = json.loads(invoke(*command).stdout)
    assert "/nowhere/growth.zarr" in lost["notes"][0]
    found = json.loads(invoke(*command, "--root", moved, "--features", f"growth={moved / 'growth.zarr'}").stdout)
    (note,) = found["notes"]  # this table names the picture that training could not read
    assert "the paths in column 'imgpath' (image) have changed" in note
    assert found["measured_again"]["log_loss"] == pytest.approx(found["metrics"]["log_loss"], rel=1e-3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--table", "lost.parquet"], "nothing at lost.parquet"),
        (["--explain", "--no-predict"], "leave --no-predict out"),
        (["-o", "lost/page.html"], "there is no folder"),
        (["--features", "growth"], "NAME=STORE"),
    ],
)
def test_misuse_is_told_before_any_work(merged, tmp_path, monkeypatch, more, message):
    out, _ = merged
    monkeypatch.chdir(tmp_path)
    result = cli.invoke(app, ["report", str(out), *more])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no run"):
        report(tmp_path)
    with pytest.raises(ConfigError, match="500"):
        report(tmp_path, worst=501)


def test_the_missing_run_is_told_before_the_page_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").write_text("mine")
    assert "there is no run in nope" in invoke("report", "nope", code=2).output.replace("\n", " ")
    assert (tmp_path / "report.html").read_text() == "mine"


def test_json_goes_to_a_pipe_and_a_locale_without_unicode_gets_ascii(merged, tmp_path):
    out, _ = merged
    place = tmp_path / "ünïcode"
    shutil.copytree(out, place)
    command = [sys.executable, "-m", "rowlock", "report", str(place), "--no-predict", "--json"]
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "p.html")], capture_output=True, check=True, timeout=280, env=os.environ | plain
    )
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["schema"] == "rowlock-report-1"
    assert "ünïcode" in (tmp_path / "p.html").read_text("utf-8")
    reading, writing = os.pipe()
    os.close(reading)
    closed = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=280, check=False)
    os.close(writing)
    assert closed.returncode == 141
    assert closed.stderr == ""


def test_ctrl_c_leaves_no_page(merged, has_open, tmp_path):
    out, trained = merged
    frame = tmp_path / "t.parquet"
    trained.to_parquet(frame)
    command = ["report", str(out), "--explain", "--table", str(frame), "-o", str(tmp_path / "page.html")]
    running = subprocess.Popen(
        [sys.executable, "-m", "rowlock", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and not has_open(running.pid, ".png"):
            pass
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=90)
    finally:
        running.kill()
    assert running.returncode == 130
    assert "stopped" in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["t.parquet"]
