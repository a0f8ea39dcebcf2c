"""`rowlock check`: what is wrong is found, what is right is not, and every finding names its rows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.checking import check_datasets, check_parts
from rowlock.cli import app
from rowlock.training.config import Config
from rowlock.training.data import prepare

NUM_ROWS = 24


def picture(number, path, size=(48, 40)):
    rng = np.random.default_rng(number)
    small = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
    small.resize(size, Image.Resampling.BICUBIC).save(path, "JPEG")


@pytest.fixture
def frame(tmp_path):
    numbers = np.arange(NUM_ROWS)
    for number in numbers:
        picture(number, tmp_path / f"{number:02d}.jpg")
    return pd.DataFrame(
        {
            "id": [f"k{number:02d}" for number in numbers],
            "path": [str(tmp_path / f"{number:02d}.jpg") for number in numbers],
            "label": ["cat", "dog"] * (NUM_ROWS // 2),
            "age": numbers + 0.5,
        }
    )


@pytest.fixture
def store(tmp_path, frame, rng):
    matrix = rng.normal(size=(NUM_ROWS, 5)).astype(np.float32)
    rl.FeatureStore.write(tmp_path / "f.zarr", matrix, keys=frame["id"])
    return tmp_path / "f.zarr"


def dataset(frame, store=None, **options):
    inputs = {"image": rl.Images("path", size=(16, 16)), "facts": rl.Columns(["age"])}
    if store is not None:
        inputs["f"] = rl.Features(str(store))
    return rl.Dataset(frame, inputs, rl.Labels("label"), **{"key": "id", **options})


def checked(data, *others, **options):
    return data.check(*others, **{"speed_seconds": 0, **options})


def found(report, check):
    return [finding for finding in report.findings if finding.check == check]


def one(report, check):
    (finding,) = found(report, check)
    return finding


def test_a_data_set_that_is_right_has_no_error_and_no_warning(frame, store):
    report = checked(dataset(frame, store))
    assert report.counts["error"] == report.counts["warning"] == 0
    assert report.is_right
    assert report.is_complete
    assert (report.num_pictures, report.num_pictures_read) == (NUM_ROWS, NUM_ROWS)
    assert report.parts == {"data": NUM_ROWS}


def test_missing_and_damaged_pictures_name_row_key_path_and_reason(frame):
    Path(frame["path"][3]).unlink()
    os.truncate(frame["path"][5], Path(frame["path"][5]).stat().st_size // 2)
    Path(frame["path"][7]).write_text("<html>gone</html>")
    report = checked(dataset(frame))
    assert not report.is_right
    missing = one(report, "missing")
    assert (missing.count, missing.input, missing.severity) == (1, "image", "error")
    assert (missing.examples[0].row, missing.examples[0].key) == (3, "k03")
    assert missing.examples[0].path == frame["path"][3]
    damaged = one(report, "unreadable")
    assert damaged.count == 2
    assert [example.row for example in damaged.examples] == [5, 7]
    assert "HTML" in damaged.examples[1].detail


def test_copies_are_found_by_their_bytes_and_contradicting_labels_with_them(frame):
    Image.open(frame["path"][0]).save(frame["path"][9], "PNG")  # the same pixels, other bytes: not a copy
    shutil.copyfile(frame["path"][2], frame["path"][4])
    shutil.copyfile(frame["path"][2], frame["path"][11])
    report = checked(dataset(frame))
    copies = one(report, "duplicates")
    assert copies.count == 2
    assert frame["path"][4] in copies.examples[0].detail
    assert one(report, "contradictions").count == 1
    assert "'cat' here, 'dog' in row 11" in one(report, "contradictions").examples[0].detail
    assert one(report, "wrong-names").examples[0].path == frame["path"][9]


def test_a_path_that_several_rows_name_is_a_note(frame):
    frame.loc[6, "path"] = frame["path"][2]
    finding = one(checked(dataset(frame)), "repeated-paths")
    assert (finding.severity, finding.count, finding.examples[0].row) == ("note", 1, 2)


def test_tiny_huge_enlarged_and_blank_pictures_are_told_apart(frame, monkeypatch):
    from rowlock.checking import odd_pictures

    monkeypatch.setattr(odd_pictures, "HUGE_PIXELS", 90 * 90)
    picture(1, frame["path"][1], (10, 40))
    picture(2, frame["path"][2], (100, 100))
    Image.new("RGB", (50, 50), (3, 90, 200)).save(frame["path"][3], "PNG")
    data = rl.Dataset(frame, {"image": rl.Images("path", size=(90, 90))}, key="id")
    report = checked(data)
    assert one(report, "tiny").examples[0].path == frame["path"][1]
    assert one(report, "huge").examples[0].path == frame["path"][2]
    assert one(report, "blank").examples[0].path == frame["path"][3]
    assert one(report, "enlarged").count == NUM_ROWS - 3
    assert "smaller --size" in one(report, "enlarged").advice


def test_few_small_pictures_among_large_ones_ask_for_no_smaller_size(frame):
    report = checked(rl.Dataset(frame.iloc[:12], {"image": rl.Images("path", size=(4, 4))}, key="id"))
    assert not report.of("enlarged")
    picture(1, frame["path"][1], (300, 300))
    for row in range(2, 12):
        picture(row, frame["path"][row], (300, 300))
    report = checked(rl.Dataset(frame.iloc[:12], {"image": rl.Images("path", size=(200, 200))}, key="id"))
    assert one(report, "enlarged").count == 1
    assert "coarser than the others" in one(report, "enlarged").advice


def test_the_same_row_or_picture_on_both_sides_of_a_split_is_an_error(frame):
    data = dataset(frame)
    train, valid = data.select(range(16)), data.select(range(12, 24))
    report = checked(train, valid)
    assert one(report, "shared-rows").count == 4
    assert one(report, "shared-pictures").count == 4
    assert [example.key for example in one(report, "shared-rows").examples][:4] == ["k12", "k13", "k14", "k15"]
    assert report.parts == {"train": 16, "valid": 12}
    train, valid = data.split(0.75, 0.25, stratify="label")
    assert checked(train, valid).is_right


def test_copies_on_both_sides_of_a_split_are_found_though_rows_and_paths_differ(frame):
    shutil.copyfile(frame["path"][2], frame["path"][20])
    data = dataset(frame)
    report = checked(data.select(range(16)), data.select(range(16, 24)))
    assert not found(report, "shared-rows")
    shared = one(report, "shared-pictures")
    assert shared.examples[0].path == frame["path"][2]
    assert frame["path"][20] in shared.examples[0].detail


def test_parts_of_different_frames_are_compared_by_key(frame):
    report = checked(dataset(frame[:16].copy()), dataset(frame[14:].copy()))
    assert one(report, "shared-rows").count == 2
    other = frame[16:].copy()
    assert not found(checked(dataset(frame[:16].copy()), dataset(other)), "shared-rows")
    without_key = [dataset(part.reset_index(drop=True), key=None) for part in (frame[:16], other)]
    assert not found(checked(*without_key), "shared-rows")  # 0, 1, 2, ... is nobody's identity


def test_classes_that_training_never_sees_and_lopsided_ones_are_told(frame):
    frame["label"] = ["cat"] * 20 + ["dog", "dog", "fox", "fox"]
    data = dataset(frame)
    report = checked(data.select(range(21)), data.select(range(21, 24)))
    unseen = one(report, "unseen-classes")
    assert (unseen.severity, unseen.count) == ("error", 1)
    assert "'fox': 2 rows" in unseen.examples[0].detail
    report = checked(data)
    assert one(report, "label-balance").severity == "warning"
    assert "(10.0 to 1)" in one(report, "label-balance").message
    assert one(report, "rare-classes").count == 2


def test_columns_of_one_value_are_told(frame):
    frame["age"] = 3.0
    frame["label"] = "cat"
    report = checked(dataset(frame))
    assert [(finding.input, finding.severity) for finding in found(report, "constant")] == [
        ("target", "error"),
        ("facts", "warning"),
    ]


def test_columns_of_a_store_are_judged_by_its_statistics(tmp_path, frame, rng, caplog):
    matrix = rng.normal(size=(NUM_ROWS, 6)).astype(np.float32)
    matrix[:, 1], matrix[3, 2], matrix[4, 4] = 7, np.nan, np.inf
    rl.FeatureStore.write(tmp_path / "g.zarr", matrix, keys=frame["id"], columns=list("abcdef"))
    report = checked(dataset(frame, tmp_path / "g.zarr"))
    assert [example.column for example in one(report, "missing-values").examples] == ["c"]
    assert [example.column for example in one(report, "infinite").examples] == ["e"]
    assert [example.column for example in one(report, "constant").examples] == ["b"]
    chosen = rl.Features(str(tmp_path / "g.zarr"), columns=["a", "b"])
    report = checked(rl.Dataset(frame, {"g": chosen}, key="id"))
    assert [finding.check for finding in report.findings if finding.severity != "note"] == ["constant"]
    filled = rl.Features(str(tmp_path / "g.zarr"), columns=["c"], fill_missing=0.0)
    assert one(checked(rl.Dataset(frame, {"g": filled}, key="id")), "missing-values").severity == "note"


def test_the_command_fills_gaps_of_a_store_as_training_does(tmp_path, table, frame, rng):
    matrix = rng.normal(size=(NUM_ROWS, 2)).astype(np.float32)
    matrix[3, 1] = np.nan
    for name in ("gap", "empty"):
        rl.FeatureStore.write(tmp_path / f"{name}.zarr", matrix, keys=frame["id"], key_name="id").close()
        matrix[:, 0] = np.nan
    result = run(table, "--features", f"g={tmp_path / 'gap.zarr'}", "--key", "id", "--json")
    (finding,) = [one for one in json.loads(result.stdout)["findings"] if one["check"] == "missing-values"]
    assert (result.exit_code, finding["severity"]) == (0, "note"), result.output
    assert finding["message"].endswith("filled by the mean of the training rows")
    result = run(table, "--features", f"g={tmp_path / 'empty.zarr'}", "--key", "id", "--json")
    told = [(one["severity"], one["examples"][0]["column"]) for one in json.loads(result.stdout)["findings"]
            if one["check"] == "missing-values"]  # fmt: skip
    assert (result.exit_code, told) == (0, [("warning", "0"), ("note", "1")])
    unscaled = rl.Features(str(tmp_path / "empty.zarr"), fill_missing="mean")
    report = checked(rl.Dataset(frame, {"g": unscaled}, key="id"))
    assert [finding.severity for finding in found(report, "missing-values")] == ["error", "note"]


def test_rows_left_out_and_rows_of_a_store_that_nobody_uses_are_told(frame, store):
    frame.loc[1, "id"] = "unknown"
    report = checked(dataset(frame, store, missing="drop"))
    assert one(report, "left-out").examples[0].key == "unknown"
    assert "1 of 24 rows of the store" in one(report, "unused-rows").message


def test_rows_that_lack_only_their_target_count_as_rows_of_the_store_that_the_table_has(table, store, frame):
    frame.loc[[2, 9], "label"] = None
    frame.loc[5, "id"] = "unknown"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    result = run(table, "--features", f"f={store}", "--key", "id", "--target", "label", "--missing", "drop", "--json")
    told = [one["message"] for one in json.loads(result.stdout)["findings"] if one["check"] == "unused-rows"]
    assert told == ["1 of 24 rows of the store are not in the table"], result.output
    half = checked(dataset(frame.assign(label="cat"), store, missing="drop").select(range(9)))
    assert one(half, "unused-rows").count == 1


def test_a_store_without_keys_beside_a_key_is_a_warning(tmp_path, frame, table, store, rng):
    bare = tmp_path / "bare.zarr"
    rl.FeatureStore.write(bare, rng.normal(size=(NUM_ROWS, 2)).astype(np.float32)).close()
    words = ("--features", str(bare), "--key", "id", "--seconds", "0")
    result = run(table, *words, "--json")
    (finding,) = [one for one in json.loads(result.stdout)["findings"] if one["check"] == "joined-by-position"]
    assert (result.exit_code, finding["severity"], finding["count"]) == (0, "warning", NUM_ROWS), result.output
    assert "another row's features" in finding["message"]
    assert "--key id" in finding["advice"]
    (line,) = result.stderr.splitlines()
    assert line.startswith("warning: 'features': ")
    assert "another row's features" in line
    assert run(table, *words, "--strict").exit_code == 1
    assert "joined-by-position" not in run(table, "--features", str(store), "--key", "id", "--json").stdout
    assert not found(checked(dataset(frame, bare, key=None)), "joined-by-position")


def test_repeated_keys_are_a_note_that_says_how_to_split(frame):
    frame.loc[5, "id"] = "k04"
    finding = one(checked(dataset(frame)), "repeated-keys")
    assert (finding.severity, finding.count) == ("note", 1)
    assert "group='id'" in finding.advice


def test_a_damaged_row_of_a_store_is_found_where_all_is_verified(frame, tmp_path, rng):
    matrix = rng.normal(size=(NUM_ROWS, 64)).astype(np.float32)
    rl.FeatureStore.write(tmp_path / "g.zarr", matrix, keys=frame["id"], layout="raw")
    shard = max((tmp_path / "g.zarr" / "matrix").rglob("*"), key=lambda file: file.is_file() and file.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[300] ^= 1
    shard.write_bytes(data)
    assert not found(checked(dataset(frame, tmp_path / "g.zarr")), "store")
    finding = one(checked(dataset(frame, tmp_path / "g.zarr"), full=True), "store")
    assert (finding.severity, finding.count) == ("error", 1)


def test_dear_sources_say_what_packing_saves(frame, tmp_path, rng):
    columns = {f"c{i}": rng.normal(size=NUM_ROWS).astype(np.float32) for i in range(3)}
    pq.write_table(pa.table({"id": frame["id"].tolist(), **columns}), tmp_path / "f.parquet")
    data = rl.Dataset(frame, {"f": rl.Features(str(tmp_path / "f.parquet"))}, key="id")
    assert "f.parquet" in one(checked(data), "source").message


def test_lists_of_pictures_are_read_one_by_one(frame):
    paths = frame["path"].tolist()
    frame["photos"] = [paths[i : i + 1 + i % 3] for i in range(NUM_ROWS)]
    Path(paths[4]).unlink()
    images = rl.Images("photos", size=(8, 8), num_images=3)
    report = checked(rl.Dataset(frame, {"image": images}, key="id"))
    assert one(report, "missing").count == sum(paths[4] in row for row in frame["photos"])


def test_a_sample_reads_so_many_and_says_so(frame):
    report = checked(dataset(frame), sample=10)
    assert (report.num_pictures, report.num_pictures_read) == (10, 10)
    assert "10 of 10 pictures read" in report.summary


def test_the_rate_and_the_memory_are_measured(frame, store):
    report = checked(dataset(frame, store), speed_seconds=0.2)
    found = report.estimate
    assert found.rows_per_second > 0
    assert found.epoch_seconds == pytest.approx(NUM_ROWS / found.rows_per_second)
    assert found.memory_bytes >= NUM_ROWS * 16 * 16 * 3
    assert found.advice


def test_a_report_is_text_html_and_a_dict_with_everything_escaped(frame):
    frame["path"] = [str(path).replace("03.jpg", "<b>[red]3.jpg") for path in frame["path"]]
    report = checked(dataset(frame))
    assert "<b>[red]3.jpg" in repr(report)
    assert "&lt;b&gt;" in report._repr_html_()
    assert "<b>[red]" not in report._repr_html_()
    content = json.loads(json.dumps(report.to_dict()))
    assert content["schema"] == "rowlock-check-1"


def test_odd_bytes_in_a_file_name_can_be_printed_everywhere(frame, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    paths = pa.array([os.fsencode(odd), b"lost\xe9.jpg"], pa.binary())
    picture(0, odd)
    odd.write_bytes(odd.read_bytes()[:-200])
    report = checked(rl.Dataset(pa.table({"path": paths}), {"image": rl.Images("path", size=(8, 8))}))
    for text in (repr(report), report._repr_html_(), json.dumps(report.to_dict(), ensure_ascii=False)):
        assert text.encode("utf-8")
    assert "caf\\xe9.jpg" in repr(report)
    assert "lost\\xe9.jpg" in repr(report)


def test_no_rate_is_told_where_most_rows_cannot_be_read(frame):
    for path in frame["path"][:12]:
        Path(path).unlink()
    assert checked(dataset(frame), speed_seconds=0.1).estimate is None


def test_pictures_that_cannot_be_read_are_not_counted_as_read(frame):
    for number, path in enumerate(frame["path"]):
        Path(path).write_bytes(b"no picture") if number % 2 else Path(path).unlink()
    report = checked(dataset(frame))
    assert (report.num_pictures, report.num_pictures_read) == (NUM_ROWS, 0)
    assert f"0 of {NUM_ROWS} pictures read" in report.summary


def test_other_parts_must_be_datasets(frame):
    with pytest.raises(rl.errors.ConfigError, match="train.check"):
        dataset(frame).check(frame)
    assert check_datasets([dataset(frame)], names=["mine"], speed_seconds=0).parts == {"mine": NUM_ROWS}


# the command


@pytest.fixture
def table(tmp_path, frame):
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def run(*arguments, env=None):
    return CliRunner().invoke(
        app, ["check", "--seconds", "0", "--size", "16", *map(str, arguments)], env={"COLUMNS": "160", **(env or {})}
    )


KEYS = {
    "schema", "right", "complete", "seconds", "parts", "pictures", "checks", "counts", "findings", "estimate",
}  # fmt: skip


def test_the_command_ends_with_zero_where_all_is_right(table, store):
    result = run(table, "--image", "path", "--features", f"f={store}", "--key", "id", "--target", "label")
    assert result.exit_code == 0, result.output
    assert "24 of 24 pictures read" in result.output


def test_json_has_the_documented_fields(table, frame):
    Path(frame["path"][3]).unlink()
    result = run(table, "--image", "path", "--key", "id", "--target", "label", "--json")
    assert result.exit_code == 1
    content = json.loads(result.stdout)
    assert set(content) == KEYS
    assert (content["schema"], content["right"], content["complete"]) == ("rowlock-check-1", False, True)
    assert content["counts"]["error"] == 1
    assert content["pictures"] == {"named": NUM_ROWS, "read": NUM_ROWS - 1}
    finding = content["findings"][0]
    assert set(finding) == {"check", "severity", "message", "count", "input", "advice", "examples"}
    assert set(finding["examples"][0]) == {"part", "row", "key", "path", "column", "detail"}
    assert (finding["check"], finding["examples"][0]["row"]) == ("missing", 3)


def test_what_keeps_a_dataset_from_being_made_is_a_finding_and_hides_no_other(table, store, frame, tmp_path):
    frame.loc[2, "age"] = np.nan
    frame.loc[4, "id"] = "unknown"
    frame.loc[6, "path"] = None
    Path(frame["path"][3]).unlink()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    options = ["--image", "path", "--features", f"f={store}", "--columns", "age", "--key", "id", "--json"]
    result = run(table, *options)
    assert result.exit_code == 1, result.output
    checks = {finding["check"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert checks["missing-values"]["examples"][0]["row"] == 2
    assert "MissingKeysError" in checks["not-opened"]["message"]
    assert checks["no-path"]["examples"][0]["row"] == 6
    assert checks["missing"]["examples"][0]["row"] == 3


def test_text_keys_against_numbers_are_found(table, tmp_path, rng):
    rl.FeatureStore.write(tmp_path / "n.zarr", rng.normal(size=(NUM_ROWS, 2)), keys=np.arange(NUM_ROWS), key_name="id")
    result = run(table, "--features", f"f={tmp_path / 'n.zarr'}", "--key", "id")
    assert result.exit_code == 1
    assert "KeyTypeError" in result.output


def test_strict_lets_warnings_count(table, frame):
    shutil.copyfile(frame["path"][2], frame["path"][4])
    assert run(table, "--image", "path").exit_code == 0
    assert run(table, "--image", "path", "--strict").exit_code == 1


def test_a_split_is_checked(table, frame):
    frame["patient"] = np.arange(NUM_ROWS) // 8
    shutil.copyfile(frame["path"][2], frame["path"][4])
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    grouped = run(table, "--image", "path", "--split", "0.4,0.3,0.3", "--group", "patient", "--json")
    assert grouped.exit_code == 0, grouped.output
    assert json.loads(grouped.stdout)["parts"] == {"train": 8, "valid": 8, "test": 8}
    leaks = [run(table, "--image", "path", "--split", "0.5,0.5", "--seed", seed).exit_code for seed in range(6)]
    assert set(leaks) == {0, 1}


def rows_of_parts(table, monkeypatch, *options):
    """Return the keys of each part that the command checks."""
    asked = []
    monkeypatch.setattr("rowlock.checking.check_parts", lambda subject: asked.append(subject) or check_parts(subject))
    result = run(table, "--image", "path", "--key", "id", "--target", "label", "--json", *options)
    assert "findings" in json.loads(result.stdout), result.output
    return [part.table.column("id").to_numpy()[part.rows].tolist() for part in asked[0].parts]


@pytest.mark.parametrize("gaps", [0, 2])
@pytest.mark.parametrize("options", [[], ["--no-stratify"], ["--group", "age"], ["--stratify", "age"]])
@pytest.mark.parametrize("missing", ["raise", "drop"])
def test_the_split_is_the_one_that_training_makes(table, store, frame, monkeypatch, options, gaps, missing):
    frame["age"] = np.arange(NUM_ROWS) // 4
    frame["label"] = [None if i < gaps else "cat" if i % 3 else "dog" for i in range(NUM_ROWS)]
    is_dropped = missing == "drop"
    if is_dropped:
        frame.loc[[9, 14], "id"] = ["lost", "gone"]
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    said = dict(zip(options[::2], options[1::2], strict=False))
    config = Config(
        image={"image": "path"}, size=(8, 8), key="id", target="label", missing="drop", split=[0.5, 0.25, 0.25],
        features={"f": str(store)} if is_dropped else {},
        group=said.get("--group"), stratify=said.get("--stratify", "--no-stratify" not in options), seed=3,
    )  # fmt: skip
    trained = [part.keys.tolist() for part in prepare(config, frame).parts.values()]
    more = ["--features", f"f={store}", "--missing", "drop"] if is_dropped else []
    asked = rows_of_parts(table, monkeypatch, "--split", "0.5,0.25,0.25", "--seed", "3", *options, *more)
    assert asked == [([] if is_dropped else frame["id"].tolist()[:gaps]) + trained[0], *trained[1:]]


def test_rows_that_training_leaves_out_are_errors_and_on_request_left_out_and_told(table, store, frame):
    frame.loc[[9, 14], "id"] = ["lost", "gone"]
    frame.loc[[2, 9], "label"] = None
    Path(frame["path"][2]).unlink()
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    given = [table, "--image", "path", "--features", f"f={store}", "--key", "id", "--target", "label", "--json"]
    strict, lenient = run(*given), run(*given, "--missing", "drop")
    assert (strict.exit_code, lenient.exit_code) == (1, 0), lenient.output
    found = json.loads(strict.stdout)["findings"]
    assert {"missing", "missing-values", "not-opened"} <= {one["check"] for one in found if one["severity"] == "error"}
    report = json.loads(lenient.stdout)
    assert report["parts"] == {"data": NUM_ROWS - 3}
    told = {one["input"]: one for one in report["findings"] if one["check"] == "left-out"}
    assert {name: one["count"] for name, one in told.items()} == {"target": 2, "f": 2}
    assert [example["key"] for example in told["target"]["examples"]] == ["k02", "lost"]
    assert [example["row"] for example in told["f"]["examples"]] == [9, 14]
    assert run(*given, "--missing", "drop", "--strict").exit_code == 1
    frame["id"] = [f"other{number}" for number in range(NUM_ROWS)]
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), table)
    nothing = run(*given, "--missing", "drop")
    assert nothing.exit_code == 2
    assert "leaves no row" in nothing.output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.parquet", "--image", "path"], 2, "there is nothing at no.parquet"),
        (["t.parquet"], 2, "nothing of t.parquet is named"),
        (["t.parquet", "--image", "path", "--key", "idd"], 2, "Did you mean 'id'"),
        (["t.parquet", "--image", "path", "--size", "big"], 2, "--size is one number"),
        (["t.parquet", "--image", "path", "--stratify", "label"], 2, "--split"),
        (["t.parquet", "--image", "path", "--no-stratify"], 2, "--split"),
        (["t.parquet", "--image", "path", "--split", "a,b"], 2, "shares that add up to 1"),
        (["t.parquet", "--image", "path", "--split", "0.5,0.9"], 2, "add up"),
        (["t.parquet", "--image", "path", "--image", "path"], 2, "two have the name"),
        (["t.parquet", "--image", "a=path", "--join", "b=id"], 2, "--join says"),
        (["t.parquet", "--image", "path", "--key-type", "int"], 2, "--key-type is about CSV"),
        (["t.parquet", "--image", "path", "--sample", "0"], 2, "sample"),
        (["a.txt", "--image", "path"], 2, "is no table"),
    ],
)
def test_misuse_is_explained(table, tmp_path, monkeypatch, arguments, code, message):
    (tmp_path / "a.txt").write_text("hello")
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert message in " ".join(result.output.split())


def test_a_wrong_column_of_pictures_is_found(table):
    result = run(table, "--image", "pathh")
    assert result.exit_code == 1
    assert "Did you mean 'path'" in " ".join(result.output.split())


@pytest.mark.parametrize("width", ["40", "60", "200"])
def test_a_terminal_of_any_width_is_kept_to(table, frame, width):
    Path(frame["path"][3]).unlink()
    output = run(table, "--image", "path", "--key", "id", "--target", "label", env={"COLUMNS": width}).output
    assert max(map(len, output.splitlines())) <= int(width)
    assert "there is no such file" in " ".join(output.split())


def test_ctrl_c_prints_what_was_found_until_then(has_open, tmp_path):
    picture(0, tmp_path / "a.jpg", (3000, 2000))
    for number in range(4000):
        os.link(tmp_path / "a.jpg", tmp_path / f"{number}.jpg")
    frame = pd.DataFrame({"path": [f"{number}.jpg" for number in range(4000)], "label": ["only"] * 4000})
    frame.to_parquet(tmp_path / "t.parquet")
    process = subprocess.Popen(
        [sys.executable, "-m", "rowlock", "check", "t.parquet", "--image", "path", "--target", "label", "--size", "9"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "160"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not has_open(process.pid, ".jpg"):
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "has one value in all rows: 'only'" in output
    assert "stopped before the end" in output
    assert "Traceback" not in errors
