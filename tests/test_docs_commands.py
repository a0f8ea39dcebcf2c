"""Every command and option that the manual names exists, and the commands of the tutorial run as they stand."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

from rowlock.cli import app

ROOT = Path(__file__).parents[1]
PAGES = {path.name: path for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]}
COMMANDS = get_command(app).commands
OTHER_PROGRAMS = {"--full", "--cache"}  # of scripts in benchmarks/


def console_lines(page):
    """Return what is typed in the console blocks of a page: one string a command, lines that go on joined."""
    found = re.findall(r"^```console\n(.*?)^```", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in found for line in re.findall(r"^\$ (.*)$", re.sub(r"\\\n\s*", "", block), re.MULTILINE)]


def inline_lines(page):
    """Return the commands in the running text, in backticks."""
    text = re.sub(r"^```.*?^```", "", PAGES[page].read_text(), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+", " ", span) for span in re.findall(r"`(rowlock [^`]*)`", text)]


def options_of(command):
    """Return the options of a command, with those that say no."""
    return {option for one in command.params for option in [*one.opts, *one.secondary_opts]}


def misnamed(line):
    """Return what in a command does not exist: its own name, or one of its options."""
    words = shlex.split(line.replace("|", " "), comments=True)
    name = next((word for word in words[1:] if not word.startswith("-")), None)
    options = {"--help", "--version", "--install-completion", "--show-completion"}
    if name is not None and name.isupper():
        return []
    if name is not None:
        if name not in COMMANDS:
            return [name]
        options |= options_of(COMMANDS[name])
    return [word for word in words[1:] if word.startswith("-") and word not in options and not re.match(r"-\d", word)]


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_of_a_page_exist(page):
    lines = [line for line in console_lines(page) if line.startswith("rowlock ")] + inline_lines(page)
    assert {line: misnamed(line) for line in lines if misnamed(line)} == {}


def test_an_option_that_is_not_there_is_noticed():
    assert misnamed("rowlock check animals.parquet --colour") == ["--colour"]
    assert misnamed("rowlock chek animals.parquet") == ["chek"]
    assert misnamed("rowlock look animals.parquet -n 48 -o sheet.png") == []


@pytest.mark.parametrize("page", PAGES)
def test_options_named_alone_exist(page):
    options = set().union(*map(options_of, COMMANDS.values()))
    named = set(re.findall(r"`(--[a-z][a-z-]*)[ `=\[|]", PAGES[page].read_text()))
    assert named - options - {"--help", "--install-completion"} - OTHER_PROGRAMS == set()


def test_every_command_is_in_the_manual():
    text = PAGES["command-line.md"].read_text()
    assert [name for name in COMMANDS if f"`rowlock {name}" not in text] == []


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"README.md", "CONTRIBUTING.md"}))
def test_lines_of_code_fit_on_the_page(page):
    blocks = re.findall(r"^```\w*\n(.*?)^```", PAGES[page].read_text(), re.MULTILINE | re.DOTALL)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 112] == []


@pytest.mark.parametrize("page", sorted(set(PAGES) - {"README.md", "CONTRIBUTING.md", "index.md"}))
def test_every_page_is_in_the_index_once(page):
    assert PAGES["index.md"].read_text().split("\n").count(page.removesuffix(".md")) == 1


def photographs(folder):
    """Small pictures whose colour tells the class, under the names that the tutorial has."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(30):
        for label, red in (("cat", 60), ("dog", 180)):
            pixels = rng.integers(0, 60, (40, 48, 3), np.uint8) + np.array([red, 20, 20], np.uint8)
            Image.fromarray(pixels).save(folder / f"{label}.{number}.jpg")


def test_every_page_that_installs_does_so_alike():
    lines = {page: [line for line in console_lines(page) if ".[keras" in line] for page in PAGES}
    assert {page for page, found in lines.items() if found} >= {"README.md", "start.md", "tutorial.md"}
    (line,) = {line for found in lines.values() for line in found}
    assert line == "pip install -c constraints.txt '.[keras,tensorflow,plot]' pandas"


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the frameworks' own
def test_the_tutorial_runs_as_it_stands(tmp_path, monkeypatch, time_limit):
    pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photos")
    script = re.search(r"^```python\n(.*?)^```", PAGES["tutorial.md"].read_text(), re.MULTILINE | re.DOTALL)
    typed = [line for line in console_lines("tutorial.md") if line.startswith(("rowlock ", "python hints.py"))]
    assert [
        name
        for name in ("table", "pack", "check", "look", "bench", "train", "predict", "report")
        if name not in str(typed)
    ] == []
    with time_limit(600):
        for line in typed:
            if line == "python hints.py":
                exec(compile(script[1], "hints.py", "exec"), {})
                continue
            shorter = line.replace("--epochs 24", "--epochs 1").replace("--seconds 15", "--seconds 2 --no-reference")
            done = CliRunner().invoke(app, shlex.split(shorter)[1:])
            assert done.exit_code == 0, f"{line}\n{done.output}"
    assert pq.read_table(tmp_path / "predictions.parquet").num_rows == 60
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    assert (tmp_path / "tested.explain.csv").is_file()
