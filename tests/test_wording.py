"""What commands advise: their own options, and nothing that only Python has a word for."""

import ast
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.cli.wording import WORDS, as_options
from rowlock.tables import csv_table

SOURCES = Path(rl.__file__).parent


def options_of(name):
    return {option for parameter in get_command(app).commands[name].params for option in parameter.opts}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with tables and stores that do not go together in many ways."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(csv_table, "_BLOCK_BYTES", 1 << 10)
    rows = np.arange(60)
    frame = pd.DataFrame(
        {
            "key": [f"k{row}" for row in rows], "id": rows, "path": [f"{row}.png" for row in rows], "x": rows / 4,
            "label": np.where(rows, "cat", "dog"), "price": rows * 1.5,
        }
    )  # fmt: skip
    frame.to_csv("t.csv", index=False)
    frame.assign(path="https://images.example.org/" + frame["path"]).to_csv("urls.csv", index=False)
    frame.assign(price=[*rows[:59], "dear"]).to_csv("mixed.csv", index=False)
    frame.assign(label=[None, *frame["label"][1:]]).to_csv("gaps.csv", index=False)
    pd.DataFrame({"id": [f"k{row}" for row in range(300)]}).to_csv("many.csv", index=False)
    rl.FeatureStore.write("bare.zarr", np.ones((60, 2), np.float32)).close()
    matrix = np.ones((40, 2), np.float32)
    rl.FeatureStore.write("some.zarr", matrix, keys=frame["key"][:40])
    rl.FeatureStore.write("other.zarr", matrix, keys=frame["key"][:40].rename("object_id"))
    rl.FeatureStore.write("text.zarr", np.ones((60, 2), np.float32), keys=rows.astype(str), key_name="id")
    return tmp_path


CASES = [
    ("check t.csv --features f=some.zarr --key key", "leave these rows out of the table, or say --missing drop"),
    ("look t.csv --features f=some.zarr --key key", "leave these rows out of the table, or say --missing drop"),
    ("check t.csv --features f=some.zarr", "the column that holds them: --key key"),
    ("look t.csv --features f=some.zarr", "the column that holds them: --key key"),
    ("check t.csv --features f=other.zarr --key key", "say so: --join NAME=key"),
    ("check t.csv --features f=text.zarr --key id", "Read a CSV file with --key-type text"),
    ("look urls.csv --image path", "allow their scheme, --remote https, or how they begin: --remote https://"),
    ("check urls.csv --image path --remote s3", "it is a URL that is not allowed by --remote s3"),
    ("check t.csv --image path --size 20000", "--root the folder"),
    ("check t.csv --columns x --target label", "rowlock train --sampling balanced or --class-weights balanced helps"),
    ("check t.csv --columns x --type x=int", "but --type says 'int'"),
    ("pack t.csv some.zarr --key key --columns x", "or replace it with --overwrite"),
    ("pack t.csv o.zarr", "with --key"),
    ("check many.csv --columns id", "more than the 256 that a column may have"),
    ("look many.csv --columns id", "Leave it out of --columns, or join rare values to one in the table"),
    ("check t.csv --features f=bare.zarr --key key --strict", "rowlock pack SOURCE STORE --key key"),
    ("look gaps.csv --columns x --target label", "--missing drop leaves them out"),
    ("info t.csv", "rowlock pack makes one"),
    ("pack t.csv o.zarr --columns x,x", "--columns names"),
    ("train t.csv --columns x --target label --epochs 0", "--epochs must be at least 1"),
    ("train t.csv --columns x --target label --batch-size 0", "--batch-size must be at least 1"),
    ("train t.csv --columns x --target label --class-weights balanced --sampling balanced",
     "--class-weights balanced and --sampling balanced both"),
]  # fmt: skip

PYTHON = re.compile(r"\brl\.[A-Z]|\b[a-z_]+=['\"({]|(?<!--)\b(missing|key|on_error|overwrite|root|group|size|columns)=")


@pytest.mark.parametrize(("line", "said"), CASES)
def test_a_command_advises_its_own_options(place, line, said):
    more = ["--seconds", "0"] if line.startswith("check") else []
    result = CliRunner().invoke(app, [*line.split(), *more], env={"COLUMNS": "2000"})
    printed = " ".join(result.output.split())
    assert result.exit_code or said.startswith("rowlock train"), printed
    assert said in printed, printed
    assert not PYTHON.search(printed), PYTHON.search(printed)


def test_a_large_csv_whose_column_changes_names_the_option_that_says_what_it_is(place, monkeypatch):
    monkeypatch.setattr("rowlock.cli.csv_tables.memory_limit_bytes", lambda: 8)
    for command in ("check", "look", "train"):
        result = CliRunner().invoke(app, [command, "mixed.csv", "--columns", "price", "--key", "key"])
        printed = " ".join(result.output.split())
        assert result.exit_code == 2
        assert "'dear' in row 59" in printed
        assert "Say what the column is, --type price=text or --type price=float" in printed
    result = CliRunner().invoke(app, ["check", "mixed.csv", "--columns", "x", "--key", "price"])
    assert "Say what the column is, --key-type text (" in " ".join(result.output.split())


def test_python_is_left_where_a_command_has_no_such_option():
    message = "either unknown='zeros', or rl.Remote('https', 's3://b/'); max_bad=0.01"
    assert as_options(message, ()) == message
    assert as_options(message, options_of("check")).startswith("either unknown='zeros', or --remote https --remote s3:")
    assert as_options(message, options_of("predict")).startswith("either --unknown zeros, or rl.Remote('https', 's3:")
    assert as_options(message, options_of("train")).endswith("; --max-bad 0.01")
    advice = "keep decoded pictures, Images(cache=...), store them smaller"
    assert as_options(advice, options_of("train")) == "keep decoded pictures with --cache DIR, store them smaller"
    assert "with rowlock train --cache DIR" in as_options(advice, options_of("bench"))


def test_paths_and_values_stay_what_they_are():
    for text in (
        "key 'missing=drop', /data/root=3/a.png, s3://b/label=1/key='x'.png: epochs were 3",
        "column 'root=x' is no number",
        "column 'v' has 'raise max_bad' in row 3",
    ):
        for name in get_command(app).commands:
            assert as_options(text, options_of(name)) == text


def test_a_value_of_any_letters_is_one_word_of_the_shell():
    for folder in ("a b", "it's", 'say "no"', "back\\slash"):
        said = as_options(f"Images(root={folder!r})", options_of("train"))
        assert shlex.split(said.removeprefix("Images(").removesuffix(")")) == ["--root", folder]


def test_every_wording_is_that_of_a_message_and_of_options_that_there_are():
    said = set().union(*map(options_of, get_command(app).commands))
    texts = "\n".join(text for path in SOURCES.rglob("*.py") if "cli" not in path.parts for text in strings_of(path))
    for python, option in WORDS:
        assert python.partition("<")[0] in texts, python
        assert set(re.findall(r"--[a-z-]+", option)) <= said, option


def strings_of(path):
    """Return the texts in a file; what is filled in later is left out."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
