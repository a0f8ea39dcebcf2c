"""`rowlock bench` and `rowlock info`: figures that were measured, facts that are true, documented JSON."""

import importlib.metadata
import json
import os
import platform

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import rowlock as rl
from rowlock.benching import bench, page_cache, reference
from rowlock.benching.run import sweep
from rowlock.cli import app
from rowlock.machine import machine_facts, packages, processor
from rowlock.machine.report import machine_lines

NUM_ROWS = 40


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(NUM_ROWS):
        Image.new("RGB", (40, 30), (number * 5, 20, 30)).save(tmp_path / f"{number}.jpg")
    frame = pd.DataFrame({"id": np.arange(NUM_ROWS), "path": [f"{number}.jpg" for number in range(NUM_ROWS)]})
    frame.to_parquet("t.parquet")
    rl.FeatureStore.write("f.zarr", np.ones((NUM_ROWS, 4), np.float32), keys=frame["id"])
    return tmp_path


def run(*arguments, **env):
    return CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "120", **env})


def test_bench_measures_cold_warm_cached_and_every_number_of_threads(table, time_limit):
    with time_limit(600):
        result = run(
            "bench", "t.parquet", "--image", "path", "--features", "f=f.zarr", "--key", "id", "--size", "16",
            "--seconds", "1", "--no-reference", "--json",
        )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert set(found) == {
        "schema", "num_rows", "batch_size", "runs", "stages", "wait_share", "memory_bytes", "advice", "references",
        "notes",
    }  # fmt: skip
    assert (found["schema"], found["num_rows"], found["references"]) == ("rowlock-bench-1", NUM_ROWS, [])
    kinds = {(run["name"], run["num_threads"]) for run in found["runs"]}
    most = len(os.sched_getaffinity(0))
    assert kinds == {("cold", most), ("cached", most), *(("warm", count) for count in sweep(most))}
    for entry in found["runs"]:
        assert set(entry) == {"name", "num_threads", "num_rows", "seconds", "rows_per_second"}
        assert entry["rows_per_second"] == pytest.approx(entry["num_rows"] / entry["seconds"])
    cold = next(entry for entry in found["runs"] if entry["name"] == "cold")
    assert cold["num_rows"] == NUM_ROWS
    assert set(found["stages"]["image"]) == {"read", "decode", "transform", "gather"}
    assert found["stages"]["image"]["decode"] > 0
    assert 0 <= found["wait_share"] <= 1


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"COLUMNS": "40"}])
def test_bench_prints_bars_that_fit(table, env):
    result = run("bench", "t.parquet", "--columns", "id", "--seconds", "1", "--no-reference", **env)
    assert result.exit_code == 0, result.output
    assert "cached" not in result.output  # there are no pictures
    assert "\x1b" not in result.output
    assert max(map(len, result.output.splitlines())) <= int(env.get("COLUMNS", 120))


def test_bench_asks_the_system_to_forget_the_files_that_it_reads_and_no_others(table, monkeypatch):
    asked = []
    monkeypatch.setattr("rowlock.benching.run.drop", lambda paths: asked.extend(map(os.fsdecode, paths)) or 1)
    (table / "other.jpg").write_bytes(b"x")

    def make(cache):
        inputs = {"image": rl.Images("path", size=(8, 8), cache=cache), "f": rl.Features("f.zarr")}
        return rl.Dataset(pd.read_parquet("t.parquet"), inputs, key="id")

    bench(make, seconds=0.5, with_references=False)
    names = {os.path.relpath(path, table) for path in asked}
    assert {f"{number}.jpg" for number in range(NUM_ROWS)} <= names
    assert "other.jpg" not in names
    assert any(name.startswith("f.zarr/") for name in names)


def test_forgetting_a_file_leaves_its_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 10_000)
    assert page_cache.drop([tmp_path / "a", tmp_path / "nothing"]) in (0, 1)
    assert (tmp_path / "a").read_bytes() == b"abc" * 10_000


def test_a_plain_loop_that_is_not_installed_or_fails_is_a_note(monkeypatch):
    monkeypatch.setattr(reference, "_NAMES", {"no_such_module": "nobody's loop", "json": "a loop that fails"})
    absent, failed = reference.references([b"nothing.jpg"], (8, 8), 4, 1, 0.1)
    assert (absent.rows_per_second, absent.note) == (None, "no_such_module is not installed")
    assert failed.rows_per_second is None
    assert "it failed: KeyError" in failed.note


@pytest.mark.slow
@pytest.mark.framework
def test_plain_loops_of_keras_and_pytorch_are_measured_where_installed(table):
    found = reference.references([f"{number}.jpg".encode() for number in range(NUM_ROWS)], (8, 8), 4, 1, 0.3)
    for one in found:
        assert one.rows_per_second is None or one.rows_per_second > 0
        assert one.rows_per_second is not None or "installed" in one.note, one


def test_threads_are_swept_by_doubling_up_to_all():
    assert [sweep(most) for most in (1, 2, 3, 6, 16)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 6], [1, 2, 4, 8, 16]]


# info


def test_info_tells_the_truth():
    facts = machine_facts("9.9")
    assert facts["rowlock"] == "9.9"
    assert facts["python"] == platform.python_version()
    assert facts["packages"]["numpy"] == importlib.metadata.version("numpy")
    assert facts["processor"]["num_usable"] == len(os.sched_getaffinity(0))
    assert facts["codecs"]["webp"]
    labels = [label for label, _ in machine_lines(facts)]
    assert len(set(labels)) == len(labels)


def test_info_as_json_has_the_documented_fields():
    result = run("info", "--json")
    assert result.exit_code == 0
    facts = json.loads(result.stdout)
    assert set(facts) == {
        "schema", "rowlock", "python", "system", "processor", "packages", "keras_backend", "codecs", "warnings",
    }  # fmt: skip
    assert set(facts["processor"]) == {
        "name", "instructions", "num_processors", "num_usable", "cpu_quota", "memory_limit_bytes", "available_bytes",
        "open_files_limit",
    }  # fmt: skip


def test_info_of_a_store_as_json(table):
    facts = json.loads(run("info", "f.zarr", "--json").stdout)
    assert (facts["rows"], facts["columns"], facts["key_kind"], facts["key_name"]) == (NUM_ROWS, 4, "int", "id")
    assert facts["schema"] == "rowlock-store-info-1"


def test_versions_are_compared_by_their_numbers():
    assert packages.is_older("9.10.1", "9.11")
    assert packages.is_older("9.9", "9.10")
    assert not packages.is_older("13.0.0", "12.3.0")
    assert not packages.is_older("2.13.0+cpu", "2.13")
    assert packages.is_older("2.13rc1", "2.13.1")


def test_versions_known_to_be_bad_are_warned_of_with_a_reason(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda package: "0.1" if package == "pillow" else None)
    (bad, old) = packages.version_warnings()
    assert "pillow 0.1: damaged pictures" in bad
    assert "older than 11.3" in old
    assert not [package for package in packages.KNOWN_BAD if not package.reason]


def test_what_is_installed_here_is_new_enough():
    assert not [warning for warning in packages.version_warnings() if "is older than" in warning]


def test_a_system_that_tells_nothing_is_no_error(monkeypatch, tmp_path):
    for name in ("_CPUINFO", "_CPU_MAX"):
        monkeypatch.setattr(processor, name, tmp_path / "nothing")
    assert processor.instructions() is None
    assert processor.cpu_quota() is None
    assert dict(machine_lines(machine_facts("1")))["instructions"] == "not known"


def test_a_quota_below_the_processors_is_warned_of(monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    monkeypatch.setattr(processor, "_CPU_MAX", tmp_path / "cpu.max")
    assert processor.cpu_quota() == 0.5
    assert any("throttled" in warning for warning in machine_facts("1")["warnings"])
