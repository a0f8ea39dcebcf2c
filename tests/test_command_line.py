"""Habits of the command line: help with examples, pipes, locales, signals, completion, data options."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from PIL import Image
from typer.main import get_command
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app
from rowlock.cli.choices import KeyType, Task
from rowlock.cli.data_options import DataOptions
from rowlock.cli.roots import ROOT_ENTRY, root_for
from rowlock.cli.tables import read_table
from rowlock.errors import ConfigError, KeyTypeError, SourceError
from rowlock.training.spec import Spec
from rowlock.training.targets import Target

COMMANDS = sorted(get_command(app).commands)


def process(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "rowlock", *arguments],
        capture_output=True, check=False, timeout=600, env=os.environ | {"COLUMNS": "100"} | env,
    )  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("width", ["40", "100"])
def test_every_command_has_help_with_examples(name, width):
    output = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": width}).output
    assert "Examples:" in output
    assert f"rowlock {name}" in output
    assert "<bool>" not in output


def test_every_option_is_explained():
    for name, command in get_command(app).commands.items():
        for parameter in command.params:
            assert parameter.help, f"{name}: {parameter.name}"


def test_commands_that_take_a_table_share_their_words():
    options = {
        name: {option for parameter in command.params for option in parameter.opts}
        for name, command in get_command(app).commands.items()
    }
    words = {
        "--image",
        "--size",
        "--root",
        "--remote",
        "--verify",
        "--features",
        "--join",
        "--columns",
        "--target",
        "--task",
        "--key",
        "--type",
        "--seed",
    }
    for name in ("check", "look", "bench", "train"):
        assert words <= options[name], name


@pytest.mark.parametrize("arguments", [["info"], ["--help"], ["info", "--json"], ["look", "--help"]])
def test_a_reader_that_goes_away_ends_the_command_quietly(arguments):
    code = f"{sys.executable} -m rowlock {' '.join(arguments)} | head -1"
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


def test_a_closed_pipe_is_no_error_also_for_much_output(tmp_path):
    frame = pd.DataFrame({"path": [f"{'long' * 50}{number}.jpg" for number in range(3000)]})
    frame.to_parquet(tmp_path / "t.parquet")
    command = [sys.executable, "-m", "rowlock", "check", str(tmp_path / "t.parquet"), "--image", "path", "--json"]
    command += ["--seconds", "0"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == ""


def test_a_locale_without_unicode_gets_ascii_and_no_error(tmp_path):
    place = tmp_path / "ünïcode"
    place.mkdir()
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"}
    done = process("table", str(place), str(tmp_path / "t.parquet"), **plain)
    assert done.returncode == 1
    assert b"there is no picture below" in b" ".join(done.stderr.split())
    done = process("check", "--help", **plain)
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_no_colour_is_kept_to():
    done = process("info", NO_COLOR="1", FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[3" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell):
    done = process(_ROWLOCK_COMPLETE=f"source_{shell}")  # named: --show-completion looks for the shell around it
    assert done.returncode == 0
    assert f"_ROWLOCK_COMPLETE=complete_{shell}" in done.stdout.decode()


def test_completion_knows_the_commands():
    done = process(_ROWLOCK_COMPLETE="complete_bash", COMP_WORDS="rowlock ", COMP_CWORD="1")
    assert sorted(done.stdout.decode().split()) == COMMANDS


def test_ctrl_c_ends_with_one_line_and_130(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-m", "rowlock", "selftest", "--rows", "2000000", "--folder", str(tmp_path / "new")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not list((tmp_path).glob("new/*/*")):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=600)
    finally:
        running.kill()
    assert running.returncode == 130
    assert errors.strip() == "stopped"
    assert list((tmp_path / "new").iterdir()) == []


def test_no_command_and_wrong_ones_are_misuse():
    assert process("nonsense").returncode == 2
    assert process().returncode in {0, 2}  # the help
    assert process("--version").stdout.decode() == f"rowlock {rl.__version__}\n"


# tables


def test_tables_of_every_format_are_the_same(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "n": [1, 2], "x": [0.5, 1.5]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.csv.gz", index=False)
    pyarrow.feather.write_feather(frame, str(tmp_path / "t.feather"))
    with pa.OSFile(str(tmp_path / "t.arrows"), "wb") as file:
        table = pa.Table.from_pandas(frame)
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    for name in ("t.parquet", "t.csv", "t.csv.gz", "t.feather", "t.arrows"):
        found = read_table(tmp_path / name, key="id").to_pydict()
        assert found.pop("__index_level_0__", [0, 1]) == [0, 1]  # where pandas stored one
        assert found == frame.to_dict("list"), name


def test_keys_of_a_csv_are_what_is_written(tmp_path):
    def keys(text, key_type=None):
        (tmp_path / "t.csv").write_text("id,x\n" + "".join(f"{key},1\n" for key in text))
        return read_table(tmp_path / "t.csv", key="id", key_type=key_type)["id"].to_pylist()

    assert keys(["1", "22"]) == [1, 22]
    assert keys(["007", "8"]) == ["007", "8"]
    assert keys(["1", "22"], "text") == ["1", "22"]
    assert keys(["1", "9" * 19]) == ["1", "9" * 19]
    assert keys(["NA", "null"]) == ["NA", "null"]
    with pytest.raises(KeyTypeError, match="'007' is no whole number"):
        keys(["1", "007"], "int")
    with pytest.raises(KeyTypeError, match="empty fields, the first in row 1"):
        keys(["1", '""'])


def test_empty_fields_of_a_csv_are_missing_and_na_may_be_a_name(tmp_path):
    (tmp_path / "t.csv").write_text("label,x\nNA,1\n,2\nb,\n")
    table = read_table(tmp_path / "t.csv")
    assert table["label"].to_pylist() == ["NA", None, "b"]
    assert table["x"].to_pylist() == [1, 2, None]


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("a;b\n1;2\n")
    with pytest.raises(ConfigError, match="';'"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(ConfigError, match="holds no .parquet files"):
        read_table(tmp_path)
    (tmp_path / "t.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(SourceError, match="t.parquet"):
        read_table(tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="nothing at"):
        read_table(tmp_path / "nothing.parquet")


# data options


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c"] * 50,
            "movie": [1, 2, 1] * 50,
            "label": ["x", "y", "x"] * 50,
            "price": np.arange(150) + 0.5,
            "count": np.arange(150),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    rl.FeatureStore.write(tmp_path / "m.zarr", np.ones((2, 3)), keys=np.array([1, 2]), key_name="movie_id")
    return tmp_path / "t.parquet"


def test_options_make_the_dataset_that_they_describe(table):
    options = DataOptions(
        table,
        features=[f"m={table.parent / 'm.zarr'}"],
        join=["m=movie"],
        columns="price, count",
        target="label",
        key="id",
    )
    data = options.dataset()
    assert list(data.input_specs) == ["m", "columns"]
    assert data.classes == ("x", "y")
    assert data.gather(np.array([1])).inputs["columns"].tolist() == [[1.5, 1.0]]


@pytest.mark.parametrize(
    ("target", "task", "kind"),
    [
        ("label", Task.auto, "classes"), ("price", Task.auto, "quantity"), ("count", Task.auto, "quantity"),
        ("movie", Task.auto, "classes"), ("movie", Task.quantity, "quantity"), ("count", Task.classes, "classes"),
    ],
)  # fmt: skip
def test_the_task_follows_from_the_column_unless_it_is_said(table, target, task, kind):
    assert DataOptions(table, target=target, task=task).told_target.task == kind


def test_names_of_inputs():
    assert DataOptions("t", image=["path"]).images == {"image": "path"}
    assert DataOptions("t", image=["front", "back"]).images == {"front": "front", "back": "back"}
    assert DataOptions("t", image=["a=front", "back"]).images == {"a": "front", "back": "back"}
    assert DataOptions("t", features=["x.zarr"]).stores == {"features": "x.zarr"}
    assert DataOptions("t", features=["g=a=b.zarr"]).stores == {"g": "a=b.zarr"}
    assert DataOptions("t", size="150").image_size == (150, 150)
    assert DataOptions("t", size="150,200").image_size == (150, 200)
    for wrong in ("0", "1,2,3", "-4", "a", ""):
        with pytest.raises(ConfigError, match="--size"):
            _ = DataOptions("t", size=wrong).image_size
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        _ = DataOptions("t", image=["=path"]).images


def test_a_type_of_keys_that_a_file_has_itself_is_refused(table):
    with pytest.raises(ConfigError, match="--key-type is about CSV"):
        DataOptions(table, columns="price", key="id", key_type=KeyType.int).dataset()


@pytest.fixture
def served(tmp_path):
    """A table of three pictures on a web server of this machine, and the beginning of their URLs."""
    folder = tmp_path / "served"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (20, 20), (80 * number, 10, 10)).save(folder / f"{number}.png")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet(folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        frame = pd.DataFrame({"id": ["a", "b", "c"], "url": [f"{address}{number}.png" for number in range(3)]})
        frame.to_parquet(tmp_path / "t.parquet")
        yield tmp_path / "t.parquet", address
        server.shutdown()


def Quiet(folder):  # noqa: N802 - makes a class
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *_):
            pass

    return Handler


@pytest.mark.parametrize("command", ["check", "look"])
def test_pictures_on_servers_are_read_where_that_is_allowed(served, command, tmp_path):
    table, address = served
    words = [command, str(table), "--image", "url", "--key", "id", "--size", "16"]
    words += ["-o", str(tmp_path / "sheet.png")] if command == "look" else ["--json"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code
    allowed = CliRunner().invoke(app, [*words, "--remote", address])
    assert allowed.exit_code == 0, allowed.output
    if command == "check":
        assert json.loads(allowed.stdout)["pictures"] == {"named": 3, "read": 3}
    by_root = pd.DataFrame({"id": ["a", "b", "c"], "url": ["0.png", "1.png", "2.png"]})
    by_root.to_parquet(table)
    words[-1:] = [str(tmp_path / "again.png")] if command == "look" else words[-1:]
    by_root = CliRunner().invoke(app, [*words, "--root", address])
    assert by_root.exit_code == 0, by_root.output


@pytest.mark.parametrize("many", [False, True])
def test_tables_that_do_not_fit_in_memory_are_mapped(tmp_path, monkeypatch, many):
    frame = pa.table({"id": np.arange(1000), "name": [f"n{number}" for number in range(1000)]})
    frame = frame.replace_schema_metadata({ROOT_ENTRY: b"/pictures"})
    path = tmp_path / "t.parquet"
    if many:
        path.mkdir()
        pyarrow.parquet.write_table(frame.slice(0, 600), path / "0.parquet")
        pyarrow.parquet.write_table(frame.slice(600), path / "1.parquet")
    else:
        pyarrow.parquet.write_table(frame, path)
        assert read_table(path).equals(frame)
        assert not (tmp_path / "t.parquet.rowlock").exists()
        monkeypatch.setattr("rowlock.cli.tables.memory_limit_bytes", lambda: 1000)
    allocated = pa.total_allocated_bytes()
    mapped = read_table(path)
    assert mapped.to_pylist() == frame.to_pylist()
    assert mapped.schema.metadata[ROOT_ENTRY] == b"/pictures"
    assert pa.total_allocated_bytes() - allocated < 8000
    assert (tmp_path / "t.parquet.rowlock").is_dir()


def test_pictures_are_looked_for_where_it_is_said_then_where_the_table_notes_then_as_in_training(tmp_path, monkeypatch):
    noted, trained = tmp_path / "noted", tmp_path / "trained"
    frame = pa.table({"path": ["a.png"]})
    noting = frame.replace_schema_metadata({ROOT_ENTRY: bytes(noted)})
    spec = Spec({"image": {"kind": "images", "root": str(trained)}}, Target("quantity", ("x",)), None, None)
    assert root_for(frame, None, spec) == (None, "")  # None: as in training
    gone = root_for(noting, None, spec)
    assert gone.place is None
    assert f"in {trained}, as in training, because {noted}, which the table notes, is not there" in gone.said
    noted.mkdir()
    found = root_for(noting, None, spec)
    assert found.place == str(noted)
    assert f"in {noted}, as the table notes, and not in {trained}, as in training" in found.said
    alike = Spec({"image": {"kind": "images", "root": str(noted)}}, spec.target, None, None)
    assert root_for(noting, None, alike) == (None, "")
    assert root_for(noting, str(tmp_path), spec) == (str(tmp_path), "")
    assert root_for(noting, "s3://bucket/photos", spec) == ("s3://bucket/photos", "")
    with pytest.raises(ConfigError, match="--root trained: there is no such folder"):
        root_for(noting, "trained", spec)
    assert root_for(noting, None, Spec({}, spec.target, None, None)) == (None, "")


@pytest.mark.parametrize("index", [range(30), range(10, 40), np.random.default_rng(3).permutation(40)[:30]])
@pytest.mark.parametrize("is_mapped", [False, True])
def test_a_store_without_keys_is_joined_by_the_index_that_pandas_stored(tmp_path, monkeypatch, index, is_mapped):
    rl.FeatureStore.write(tmp_path / "s.zarr", np.arange(40.0, dtype=np.float32)[:, None])
    frame = pd.DataFrame({"n": np.asarray(index, float), "label": ["a", "b"] * 15}, index=list(index))
    frame.iloc[::-1].to_parquet(tmp_path / "t.parquet")
    if is_mapped:
        monkeypatch.setattr("rowlock.cli.tables.memory_limit_bytes", lambda: 1000)
    for table in (read_table(tmp_path / "t.parquet"), read_table(tmp_path / "t.parquet").slice(3, 20)):
        inputs = {"s": rl.Features(tmp_path / "s.zarr"), "n": rl.Columns(["n"])}
        batch = rl.Dataset(table, inputs).gather(np.arange(table.num_rows))
        assert (batch.inputs["s"] == batch.inputs["n"]).all()


LEAVING = """
import atexit, sys
from rowlock.cli.entry import start

class Kept:
    def __del__(self):
        print("taken apart")

kept, kept.me = Kept(), None
atexit.register(print, "at the end")
sys.argv = ["rowlock", *sys.argv[1:]]
start()
"""


@pytest.mark.parametrize(("arguments", "code"), [(["--version"], 0), (["info", "nowhere.zarr"], 2), (["train"], 2)])
def test_a_command_ends_at_once_with_its_code_its_output_and_what_waits_for_the_end(tmp_path, arguments, code):
    done = subprocess.run(
        [sys.executable, "-c", LEAVING, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "at the end" in done.stdout
    assert "taken apart" not in done.stdout
    assert done.stdout.startswith("rowlock ") or done.stderr


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to stand in, with a table, a picture that is none, a store and a damaged one, and an empty folder."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"key": ["a", "b"], "path": ["a.png", "b.png"], "label": ["u", "v"], "x": [1, 2]}).to_csv(
        "t.csv", index=False
    )
    Image.new("RGB", (16, 16)).save("a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    for name in ("s.zarr", "damaged.zarr"):
        rl.FeatureStore.write(name, np.arange(8.0).reshape(2, 4), keys=["a", "b"], key_name="key", layout="raw")
    shard = tmp_path / "damaged.zarr" / "matrix" / "c.0.0"
    content = bytearray(shard.read_bytes())
    content[3] ^= 64
    shard.write_bytes(content)
    (tmp_path / "empty").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.toml").write_text("[options]\n")
    return tmp_path


NOT_BEGUN = [
    "table nowhere o.parquet",
    "table t.csv o.parquet",
    "table empty o.parquet --csv nowhere.csv",
    "table empty nowhere/o.parquet",
    "pack nowhere.csv o.zarr",
    "pack t.csv o.zarr --key nowhere",
    "pack t.csv o.zarr --key key --columns nowhere",
    "pack t.csv s.zarr --key key --columns x",
    "check nowhere.csv --image path",
    "check t.csv --image path --key nowhere",
    "check t.csv --image path --split 0.5,0.5 --group nowhere",
    "look nowhere.csv --image path",
    "look t.csv --image nowhere",
    "look t.csv --image path --key nowhere",
    "look t.csv --image path --target nowhere",
    "look t.csv --features f=nowhere.zarr --key key",
    "look t.csv --image path -o nowhere/sheet.png",
    "look t.csv --image path -o t.csv",
    "look t.csv --image path --root nowhere",
    "check t.csv --image path --root nowhere",
    "bench t.csv --image path --root nowhere",
    "train t.csv --image path --root nowhere --target label",
    "bench nowhere.csv --image path",
    "bench t.csv --image nowhere",
    "bench t.csv --features f=nowhere.zarr --key key",
    "train nowhere.csv --image path --target label",
    "train t.csv --image nowhere --target label",
    "train t.csv --columns x --target nowhere",
    "train t.csv --columns x --target label --key nowhere",
    "train t.csv --columns x --target label --out empty/../t.csv",
    "train --config nowhere.toml",
    "predict nowhere t.csv o.csv",
    "predict run t.csv o.csv",
    "predict run t.csv nowhere/o.csv",
    "predict run t.csv t.csv",
    "report nowhere",
    "report run -o t.csv",
    "info nowhere.zarr",
    "verify nowhere.zarr",
    "selftest --folder t.csv",
    "selftest --folder t.csv/inside",
    "nowhere",
]

NOT_BEGUN_WITH_KERAS = [
    "demo --folder t.csv",
    "train t.csv --features f=nowhere.zarr --key key --target label",
]

FOUND = [
    "table empty o.parquet",
    "check t.csv --image path --seconds 0",
    "check t.csv --image nowhere --seconds 0",
    "check t.csv --columns nowhere --seconds 0",
    "check t.csv --image path --target nowhere --seconds 0",
    "check t.csv --features f=nowhere.zarr --key key --seconds 0",
    "check t.csv --features f=damaged.zarr --key key --seconds 0 --full",
    "info t.csv",
    "verify t.csv",
    "verify empty",
    "verify damaged.zarr",
]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        *((line, 2) for line in NOT_BEGUN),
        *(pytest.param(line, 2, marks=pytest.mark.framework) for line in NOT_BEGUN_WITH_KERAS),
        *((line, 1) for line in FOUND),
        ("verify s.zarr", 0),
        ("info s.zarr", 0),
    ],
)
def test_every_command_ends_with_2_where_it_cannot_begin_and_1_where_it_found_a_problem(place, line, code):
    before = sorted(place.rglob("*"))
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == code, result.output + repr(result.exception)
    assert "Traceback" not in result.output
    assert sorted(path for path in place.rglob("*") if path.name != ".lock") == before


def test_the_rule_of_exit_codes_is_tested_of_every_command():
    assert {line.split()[0] for line in NOT_BEGUN + NOT_BEGUN_WITH_KERAS} - {"nowhere"} == set(COMMANDS)
