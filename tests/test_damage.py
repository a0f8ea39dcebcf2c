"""The damage scorecard, on fewer files; `benchmarks/damage.py` says what it counts. Bombs are in test_pictures."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import features

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "damage.py"
FORMATS = ["JPEG", "JPEG, progressive", "JPEG, CMYK", "PNG", "WebP", "GIF", "TIFF, LZW"]
FORMATS += ["AVIF"] if features.check("avif") else []
FORMATS += ["HEIC"] if importlib.util.find_spec("pillow_heif") else []

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not here"),
    pytest.mark.skipif(sys.platform != "linux", reason="the scorecard reads /proc"),
]


@pytest.fixture(scope="module")
def scorecard(tmp_path_factory):
    """Counts of each format and damage, from processes of their own."""
    path = tmp_path_factory.mktemp("scorecard") / "counts.json"
    command = [sys.executable, SCRIPT, "--quick", "--no-bombs", "--json", path, "--formats", *FORMATS]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=dict(os.environ))
    assert path.exists(), run.stdout + run.stderr
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return run, {(row["format"], row["damage"]): row for row in rows}


def test_every_format_is_there_and_the_scorecard_itself_is_content(scorecard):
    run, rows = scorecard
    assert {name for name, _ in rows} == {"-", "JPEG, at 1/4", *FORMATS}
    assert "0 broken promises" in run.stdout, run.stdout
    assert run.returncode == 0


def test_no_cut_is_silent_and_most_are_errors(scorecard):
    for name in FORMATS:
        row = scorecard[1][name, "cut"]
        assert row.get("changed", 0) == 0
        assert row["error"] >= 40
        assert row["error"] + row.get("same", 0) == sum(row.get(result, 0) for result in ("error", "same", "changed"))


def test_no_damage_ends_the_process_or_raises_another_error_or_hides_key_path_or_reason(scorecard):
    for row in scorecard[1].values():
        assert not {"crash", "other error", "poor message"} & row.keys(), row


def test_all_damage_of_a_png_is_an_error(scorecard):
    for damage in ("cut", "zeros", "noise", "another's", "bit flip"):
        row = scorecard[1]["PNG", damage]
        assert row["error"] >= 40
        assert row.get("changed", 0) == row.get("same", 0) == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("HTML saved as .jpg", "HTML page"),
        ("zero bytes long", "empty"),
        ("all bytes zero", "4096 zero bytes"),
        ("a folder", "a directory"),
        ("a named pipe", "a named pipe"),
        ("no such file", "no such file"),
        ("a link to itself", "symbolic links"),
        ("not to be read by this user", "may not read"),
    ],
)
def test_what_is_no_picture_is_named(scorecard, damage, words):
    row = scorecard[1]["-", damage]
    assert row["error"] == 1
    assert words in row["reason"]


def test_a_wrong_extension_changes_nothing(scorecard):
    row = scorecard[1]["-", "wrong extension"]
    assert row["changed"] == 0
    assert row["same"] >= 13
