"""CSV tables: streamed once, with types that are what is written, or an error that says where they are not."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.cli import csv_tables
from rowlock.cli import tables as cli_tables
from rowlock.cli.data_options import DataOptions
from rowlock.cli.predict import read_for
from rowlock.errors import ConfigError, KeyTypeError, SourceError
from rowlock.table import Table
from rowlock.tables import csv_table
from rowlock.training.spec import Spec
from rowlock.training.targets import Target

NUM_ROWS = 60_000
"""Several blocks of the size that `small_blocks` sets."""

PROGRAM = """
import resource, sys
from pathlib import Path
from rowlock.table import Table
Table(sys.argv[1] + "/small.csv").column("text")
status = Path("/proc/self/status").read_text()
used = int(status.split("VmData:")[1].split()[0]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + int(sys.argv[2]),) * 2)
column = Table(sys.argv[1] + "/large.csv").column("text")
print(len(column), column[-1])
"""


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(csv_table, "_BLOCK_BYTES", 1 << 16)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.csv"


def write(path, header, lines):
    path.write_text("\n".join([header, *lines]) + "\n")


def read(path, **options):
    return Table(path, **options).take(None)


def values(path, **options):
    table = read(path, **options)
    return {name: table[name].to_pylist() for name in table.column_names}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (["1", "-2", ""], [1, -2, None]),
        (["9223372036854775807", "0"], [2**63 - 1, 0]),
        (["9223372036854775808", "0"], ["9223372036854775808", "0"]),
        (["007", "8"], ["007", "8"]),
        (["+7", "8"], ["+7", "8"]),
        (["-0", "8"], [-0.0, 8.0]),
        (["1.5", "2", "NA"], [1.5, 2.0, None]),
        (["1e3", ".5", "-2."], [1000.0, 0.5, -2.0]),
        (["12345678901234567.5", "1"], ["12345678901234567.5", "1"]),
        (["00.5", "1"], ["00.5", "1"]),
        (["1,5", "2"], ["1,5", "2"]),
        (["true", "False", ""], [True, False, None]),
        (["true", "yes"], ["true", "yes"]),
        (["NA", "b", ""], ["NA", "b", None]),
        (["NA", ""], ["NA", None]),
        ([" 1", "2"], [" 1", "2"]),
        (["2020-01-01", "2021-02-03"], ["2020-01-01", "2021-02-03"]),
        (['a "b", c', "é\nf"], ['a "b", c', "é\nf"]),
        ([".", "1"], [".", "1"]),
    ],
)
def test_a_column_is_exactly_what_is_written(path, written, found):
    quoted = ['"' + text.replace('"', '""') + '"' for text in written]
    write(path, "x,y", [f"{text},0" for text in quoted])
    assert values(path) == {"x": found, "y": [0] * len(found)}


TEXTS = st.text(alphabet=st.sampled_from("0123456789.-+eEnaNA tru,\"é'x"), max_size=6)


@settings(max_examples=60)
@given(st.lists(st.one_of(TEXTS, st.integers(-(2**70), 2**70).map(str), st.floats().map(repr)), min_size=1, max_size=8))
def test_no_value_is_another_than_what_is_written(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w") as file:
        pd.DataFrame({"x": texts, "y": 0}).to_csv(file, index=False, quoting=1)
    for found, text in zip(values(path)["x"], texts, strict=True):
        if isinstance(found, bool):
            assert str(found).lower() == text.lower()
        elif isinstance(found, int):
            assert str(found) == text
        elif isinstance(found, float):
            assert found == float(text)
        else:
            assert found == text or (found is None and text in ("", "NA", "nan"))


def test_types_that_are_named_hold(path):
    write(path, "zip,n,f,b", ["007,1,2,TRUE", "8,+1.5,NA,", ",2,3,false"])
    found = values(path, types={"zip": "int", "n": "text", "f": "float", "b": "text"})
    assert found == {"zip": [7, 8, None], "n": ["1", "+1.5", "2"], "f": [2.0, None, 3.0], "b": ["TRUE", None, "false"]}


@pytest.mark.parametrize(
    ("first", "later", "cure"),
    [
        ("7", "x7", "types={'x': 'text'} or types={'x': 'float'}"),
        ("7", "007", "types={'x': 'text'}"),
        ("7", "7.5", "types={'x': 'float'}"),
        ("7.5", "abc", "types={'x': 'text'}"),
        ("7.5", "12345678901234567890", "types={'x': 'text'}"),
        ("true", "maybe", "types={'x': 'text'}"),
    ],
)
def test_a_type_that_changes_later_is_an_error_that_says_where_and_what_to_do(path, small_blocks, first, later, cure):
    lines = [f"{first},0"] * NUM_ROWS
    lines[NUM_ROWS - 5] = lines[NUM_ROWS - 3] = f"{later},0"  # the first of them is told
    write(path, "x,y", lines)
    with pytest.raises(ConfigError) as caught:
        read(path)
    message = str(caught.value)
    assert f"column 'x' of {path} has {later!r} in row {NUM_ROWS - 5:,} (near line {NUM_ROWS - 3:,})" in message
    assert cure in message
    assert "Parquet" in message
    assert not list(path.with_name("t.csv.rowlock").glob("*.parquet"))
    assert not list(path.with_name("t.csv.rowlock").glob("*.partial"))
    assert values(path, types={"x": "text"})["x"][-5] == later


def test_a_type_that_is_named_and_not_there_is_an_error(path):
    write(path, "x,y", ["1,2", "one,2"])
    with pytest.raises(ConfigError, match=r"has 'one' in row 1 \(near line 3\), but types= says 'int'"):
        read(path, types={"x": "int"})
    with pytest.raises(ConfigError, match="'z', which"):
        read(path, types={"z": "int"})
    with pytest.raises(ConfigError, match="one of text, int, float, bool"):
        read(path, types={"x": "int64"})


def test_types_are_about_csv(tmp_path):
    frame = pd.DataFrame({"x": [1]})
    frame.to_parquet(tmp_path / "t.parquet")
    for table in (frame, tmp_path / "t.parquet"):
        with pytest.raises(ConfigError, match="types= is about CSV files"):
            rl.Dataset(table, {"x": rl.Column("x")}, types={"x": "text"})


def rows_frame():
    rows = np.arange(NUM_ROWS)
    return pd.DataFrame({
        "object_id": [f"{row:07d}" for row in rows], "age": rows % 90, "price": rows / 4,
        "more": rows % 3, "label": np.array(["ant", "bee"])[rows % 2],
        "gap": [None if row % 3 else row for row in rows],
    })  # fmt: skip


def dataset(source, **options):
    inputs = {"facts": rl.Columns(["age", "price"]), "gap": rl.Columns(["gap"], fill_missing=0)}
    return rl.Dataset(source, inputs, target=rl.Labels("label"), key="object_id", **options)


@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_csv_gives_what_its_frame_gives_batch_for_batch(tmp_path, small_blocks, ending):
    frame, path = rows_frame(), tmp_path / f"t{ending}"
    frame.to_csv(path, index=False)
    framed, filed = dataset(frame), dataset(path)
    for one, other in zip(
        framed.split(0.7, 0.3, stratify="label"), filed.split(0.7, 0.3, stratify="label"), strict=True
    ):
        for left, right in zip(one.batches(4096, seed=1), other.batches(4096, seed=1), strict=True):
            assert np.array_equal(left.keys, right.keys)
            assert np.array_equal(left.inputs["facts"], right.inputs["facts"])
            assert np.array_equal(left.inputs["gap"], right.inputs["gap"])
            assert np.array_equal(left.target, right.target)


def test_a_csv_is_read_once_and_again_when_it_is_written_again(path, small_blocks):
    rows_frame().to_csv(path, index=False)
    dataset(path)
    kept = {file: file.stat().st_ino for file in path.with_name("t.csv.rowlock").iterdir()}
    dataset(path)
    assert {file: file.stat().st_ino for file in path.with_name("t.csv.rowlock").iterdir()} == kept
    rows_frame().assign(age=7).to_csv(path, index=False)
    assert dataset(path).gather([3]).inputs["facts"].tolist() == [[7.0, 0.75]]
    assert len(list(path.with_name("t.csv.rowlock").glob("*.parquet"))) == 1
    before = set(path.with_name("t.csv.rowlock").glob("*.arrow"))
    assert dataset(path, types={"age": "float"}).gather([3]).inputs["facts"].tolist() == [[7.0, 0.75]]
    assert not set(path.with_name("t.csv.rowlock").glob("*.arrow")) & before


def test_rows_that_were_kept_and_are_damaged_or_gone_are_read_again(path, caplog):
    rows_frame().to_csv(path, index=False)
    folder = path.with_name("t.csv.rowlock")
    data = dataset(path)
    kept = next(folder.glob("*.parquet"))
    content = bytearray(kept.read_bytes())
    for place in (len(content) // 2, len(content) - 20):
        content[place] ^= 1
    kept.write_bytes(content)
    assert dataset(path).gather([3]).inputs["facts"].tolist() == [[3.0, 0.75]]
    assert "is damaged, and is made again" in caplog.text
    shutil.rmtree(folder)
    assert data.split(0.5, 0.5, stratify="more")[0].gather([0]).inputs["facts"].shape == (1, 2)


def test_a_csv_that_changes_while_it_is_used_is_refused(path):
    rows_frame().to_csv(path, index=False)
    data = dataset(path)
    rows_frame()[::-1].to_csv(path, index=False)
    with pytest.raises(SourceError, match="was written to after the dataset had been made"):
        data.split(0.5, 0.5, stratify="more")


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"", SourceError, "Empty CSV"),
        (b"a,b\n", ConfigError, "has a header line and no rows"),
        (b"a,b\n1,2,3\n", SourceError, "Expected 2 columns, got 3"),
        (b"a,a\n1,2\n", ConfigError, "two columns of one name: 'a'"),
        (b"a;b\n1;2\n", ConfigError, r"is it separated by ';'.*write it with commas.*as Parquet.*sep=';'"),
        (b"1,2\n3,4\n", ConfigError, "has no header"),
        (b"a,\n0,1\n", ConfigError, "column 2 has no name"),
        (b"a,b\n1,\xe9t\xe9\n", SourceError, r"not written in UTF-8: line 2, column 'b' \('été',.*save it as UTF-8"),
        ("größe,b\n1,2\n".encode("latin-1"), SourceError, r"not written in UTF-8: line 1 \('größe',.*save it as UTF-8"),
    ],
)
def test_a_csv_that_would_be_misread_is_refused_with_what_to_do(path, content, kind, message):
    path.write_bytes(content)
    with pytest.raises(kind, match=message):
        read(path)


def test_other_text_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "t.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ConfigError, match="only CSV with commas"):
        read(tmp_path / "t.tsv")


def test_a_parquet_file_is_one_whatever_it_is_called(path):
    pd.DataFrame({"a": [1, 2]}).to_parquet(path)
    assert values(path) == {"a": [1, 2]}


WRITTEN = {
    "id": ["007", "8", "10"], "zip": ["01234", "99999", "00001"], "n": ["1", "2", "-3"], "x": ["0.5", "", "NA"],
    "flag": ["true", "False", "true"], "day": ["2024-01-02", "2024-01-03", "2024-01-04"], "name": ["NA", "", "b"],
    "label": ["0", "1", "0"], "long": ["1", "2", "12345678901234567890"],
}  # fmt: skip
MEANT = {
    "id": ["007", "8", "10"], "zip": ["01234", "99999", "00001"], "n": [1, 2, -3], "x": [0.5, None, None],
    "flag": [True, False, True], "day": ["2024-01-02", "2024-01-03", "2024-01-04"], "name": ["NA", None, "b"],
    "label": [0, 1, 0], "long": ["1", "2", "12345678901234567890"],
}  # fmt: skip


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_a_csv_is_the_same_small_or_large_on_the_command_line_and_in_python(tmp_path, monkeypatch, is_large, ending):
    if is_large:
        monkeypatch.setattr(csv_tables, "memory_limit_bytes", lambda: 8)
    path = tmp_path / f"t{ending}"
    pd.DataFrame(WRITTEN).to_csv(path, index=False)
    told = cli_tables.read_table(path, key="id")
    assert told.to_pydict() == MEANT
    assert path.with_name(f"{path.name}.rowlock").exists() == is_large
    assert read(path).to_pydict() == MEANT
    named = cli_tables.read_table(path, key="id", types={"zip": "int", "n": "text", "lost": "int"})
    assert named["zip"].to_pylist() == [1234, 99999, 1]
    assert named["n"].to_pylist() == ["1", "2", "-3"]


def test_options_say_what_a_column_of_a_csv_is(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame(WRITTEN).to_csv(path, index=False)
    told = DataOptions(path, columns="n,zip", target="label", key="id", types=["n=text", "zip=float"])
    data = told.dataset()
    assert data.gather([0, 1, 2]).inputs["columns"].tolist() == [[0, 1, 0, 1234], [0, 0, 1, 99999], [1, 0, 0, 1]]
    assert told.told_target.classes == (0, 1)
    assert DataOptions(path, target="label", types=["label=text"]).told_target.classes == ("0", "1")
    for said, message in {
        "n=number": "one of text, int, float, bool",
        "n": "COL=TYPE",
        "nn=int": "Did you mean 'n'",
        "id=text": "--key-type says",
        "zip=bool": "has '01234' in row 0",
    }.items():
        with pytest.raises(ConfigError, match=message):
            DataOptions(path, columns="n", key="id", types=[said]).frame  # noqa: B018 - read when it is asked for
    pd.DataFrame(WRITTEN).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ConfigError, match="--type is about CSV files"):
        DataOptions(tmp_path / "t.parquet", columns="n", types=["n=text"]).frame  # noqa: B018 - read when it is asked for


def test_a_csv_to_be_predicted_is_read_as_the_training_says(tmp_path):
    path = tmp_path / "t.csv"
    pd.DataFrame(WRITTEN | {"none": ["", "", ""]}).to_csv(path, index=False)
    inputs = {"columns": {"kind": "columns", "columns": ["zip", "n", "none", "x"], "categories": {"n": ["1"]}}}
    spec = Spec(inputs, Target("classes", ("label",), ("0", "1")), "id", "text")
    frame = read_for(path, spec, None)
    assert frame["zip"].to_pylist() == [1234, 99999, 1]
    assert frame["n"].to_pylist() == ["1", "2", "-3"]
    assert frame["none"].type == pa.float64()
    assert frame["label"].to_pylist() == ["0", "1", "0"]
    assert frame["id"].to_pylist() == ["007", "8", "10"]


class TestCommandLine:
    """A CSV that would take more than an eighth of the memory."""

    @pytest.fixture(autouse=True)
    def little_memory(self, monkeypatch):
        monkeypatch.setattr(csv_tables, "memory_limit_bytes", lambda: 8000)

    def test_it_is_mapped_and_the_same(self, path, small_blocks):
        rows_frame().to_csv(path, index=False)
        table = cli_tables.read_table(path, key="object_id", types={"label": "text"})
        assert list(path.with_name("t.csv.rowlock").glob("*.arrow"))
        assert table["object_id"][-1].as_py() == f"{NUM_ROWS - 1:07d}"
        expected = pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(column_types={"object_id": pa.string()}))
        assert all(table[name].to_pylist() == expected[name].to_pylist() for name in ("age", "price", "gap"))

    def test_a_column_that_it_has_not_is_left_to_whoever_asks_for_it(self, path):
        rows_frame().to_csv(path, index=False)
        table = cli_tables.read_table(path, key="id", key_type="text", types={"imgpth": "text", "label": "text"})
        assert table.column_names == list(rows_frame())

    def test_its_keys_are_what_is_written_or_an_error_says_what_to_do(self, path, small_blocks):
        keys = [str(number) for number in range(NUM_ROWS)]
        write(path, "id,x", [f"{key},1" for key in keys])
        assert cli_tables.read_table(path, key="id")["id"].type == pa.int64()
        assert cli_tables.read_table(path, key="id", key_type="text")["id"].to_pylist() == keys
        write(path, "id,x", [f"{key},1" for key in [*keys, "007"]])
        with pytest.raises(ConfigError, match=r"Say what the column is, --key-type text \(text"):
            cli_tables.read_table(path, key="id")
        assert cli_tables.read_table(path, key="id", key_type="text")["id"].to_pylist() == [*keys, "007"]
        write(path, "id,x", ["007,1"] * 2000)
        with pytest.raises(KeyTypeError, match="and not --key-type int"):
            cli_tables.read_table(path, key="id", key_type="int")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what is not mapped from files on Linux")
def test_memory_is_bounded_with_a_csv_several_times_larger(tmp_path):
    line = "{:09d}," + "x" * 200 + "\n"
    for name, num_rows in (("small", 1000), ("large", 1_500_000)):
        with (tmp_path / f"{name}.csv").open("w") as file:
            file.write("text,more\n")
            file.writelines(line.format(row) for row in range(num_rows))
    assert (tmp_path / "large.csv").stat().st_size > 300e6
    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(160 << 20)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert done.stdout.split() == ["1500000", "001499999"], done.stderr[-2000:]
