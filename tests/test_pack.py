"""Packing: what was in a file, a frame or a stream is in the store, or nothing is; Ctrl-C keeps what was done."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
from typer.testing import CliRunner

import rowlock as rl
from rowlock.cli import app, main
from rowlock.cli.choices import Layout
from rowlock.errors import (
    ConfigError,
    KeyTypeError,
    RepeatedKeysError,
    SourceError,
    SourceNotFoundError,
    StoreExistsError,
)
from rowlock.store.commit.format import LAYOUTS

NAMES = ["a", "b", "c"]


def numbered(num_rows=50, num_columns=3, dtype="float32"):
    """Values that say which row and column they are."""
    return (np.arange(num_rows)[:, None] * 100 + np.arange(num_columns)).astype(dtype)


def keys_of(num_rows=50):
    return [f"k{i:03d}" for i in range(num_rows)]


def frame(num_rows=50, dtype="float64"):
    data = pd.DataFrame(numbered(num_rows, dtype=dtype), columns=NAMES)
    data.insert(1, "object_id", keys_of(num_rows))
    return data


@pytest.fixture
def parquet(tmp_path):
    frame().to_parquet(tmp_path / "f.parquet")
    return tmp_path / "f.parquet"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "growth.zarr"


# the function


def test_a_table_becomes_a_store_with_its_names_and_keys(parquet, store):
    packed = rl.pack(parquet, store, key="object_id")
    assert (packed.columns, packed.key_kind, packed.key_name, packed.dtype) == (NAMES, "text", "object_id", np.float32)
    assert np.array_equal(packed.by_key(keys_of()[::-1]), numbered()[::-1])
    chosen = rl.pack(parquet, store.with_name("b"), key="object_id", columns=["c", "a"], dtype=None)
    assert (chosen.columns, chosen.dtype) == (["c", "a"], np.float64)
    assert np.array_equal(chosen[:], numbered()[:, [2, 0]])
    assert packed.verify() == chosen.verify() == []


SOURCES = {
    "array": numbered,
    "list": lambda: numbered().tolist(),
    "sparse": lambda: scipy.sparse.csr_array(numbered()),
    "blocks": lambda: (numbered()[i : i + 7] for i in range(0, 50, 7)),
    "list of blocks": lambda: [numbered()[:9], numbered()[9:]],
}


@pytest.mark.parametrize("form", SOURCES)
@pytest.mark.parametrize("keyed", [False, True])
def test_matrices_in_memory_are_packed_with_keys_of_their_own(store, form, keyed):
    keys = pd.Series(keys_of(), name="object_id") if keyed else None
    packed = rl.pack(SOURCES[form](), store, keys=keys, columns=[2, 0])
    assert np.array_equal(packed[:], numbered()[:, [2, 0]])
    assert (packed.key_name, packed.columns) == ("object_id" if keyed else None, None)
    if keyed:
        assert packed.keys.values().tolist() == keys_of()


def test_pairs_of_keys_and_blocks_keep_their_keys(store):
    blocks = ((keys_of()[i : i + 7], numbered()[i : i + 7]) for i in range(0, 50, 7))
    packed = rl.pack(blocks, store)
    assert packed.keys.values().tolist() == keys_of()
    assert np.array_equal(packed[:], numbered())


def test_a_store_is_packed_again_with_other_columns(parquet, store):
    first = rl.pack(parquet, store, key="object_id")
    for source in (first, store):
        again = rl.pack(source, store.with_name("again"), columns=["b"], dtype="float64", overwrite=True)
        assert (again.columns, again.key_name, again.dtype) == (["b"], "object_id", np.float64)
        assert np.array_equal(again.by_key(["k007"]), numbered()[[7], 1:2])
    with pytest.raises(ConfigError, match="its own keys"):
        rl.pack(first, store.with_name("x"), key="object_id")
    with pytest.raises(ConfigError, match="keys of its own"):
        rl.pack(first, store.with_name("x"), keys=range(50))
    rl.pack(store, store, dtype="float64", overwrite=True)
    assert np.array_equal(rl.FeatureStore.open(store).by_key(keys_of()), numbered())
    assert np.array_equal(first[:], numbered()), "what was open stays readable"


def test_columns_may_have_numbers_as_names(tmp_path, store):
    table = pa.table({"2021": [1.0, 2.0], "2020": [3.0, 4.0], "0": [5.0, 6.0]})
    pq.write_table(table, tmp_path / "f.parquet")
    assert cli.invoke(app, ["pack", str(tmp_path / "f.parquet"), str(store), "--columns", "2020,0"]).exit_code == 0
    assert rl.FeatureStore.open(store)[:].tolist() == [[3, 5], [4, 6]]
    assert rl.pack(tmp_path / "f.parquet", store, columns=[0], overwrite=True)[:].tolist() == [[1], [2]]
    with pytest.raises(ConfigError, match="no column 3"):
        rl.pack(tmp_path / "f.parquet", store, columns=[3], overwrite=True)


def test_packed_rows_train_aligned(parquet, store):
    rl.pack(parquet, store, key="object_id")
    shuffled = frame().sample(frac=1, random_state=0).reset_index(drop=True)
    data = rl.Dataset(shuffled, inputs={"f": rl.Features(store)}, target=rl.Column("a"), key="object_id")
    for batch in data.batches(8, seed=0):
        assert np.array_equal(batch.inputs["f"][:, 0], np.ravel(batch.target))


def test_an_index_without_a_name_is_left_out_and_said(tmp_path, store, caplog):
    frame().sample(frac=1, random_state=0).to_parquet(tmp_path / "f.parquet")
    with caplog.at_level("INFO", "rowlock"):
        packed = rl.pack(tmp_path / "f.parquet", store, key="object_id")
    assert packed.columns == NAMES
    assert np.array_equal(packed.by_key(keys_of()), numbered())
    assert ["__index_level_0__" in message for message in caplog.messages] == [True]


def test_the_index_of_a_frame_may_be_the_key(store):
    indexed = frame().set_index("object_id")
    packed = rl.pack(indexed, store, key="object_id")
    assert (packed.columns, packed.key_name, packed.keys.values().tolist()) == (NAMES, "object_id", keys_of())
    several = frame().assign(part=1).set_index(["object_id", "part"])
    blocks = rl.pack(iter([several[:30], several[30:]]), store, key="object_id", overwrite=True)
    assert np.array_equal(blocks.by_key(keys_of()[::-1]), numbered()[::-1])
    data = rl.Dataset(indexed[::-1], inputs={"f": rl.Features(packed)}, target=rl.Column("a"), key="object_id")
    for batch in data.batches(8, seed=0):
        assert np.array_equal(batch.inputs["f"][:, 0], np.ravel(batch.target))
    with pytest.raises(ConfigError, match=r"'object_id' is the frame's index.*reset_index"):
        rl.Dataset(indexed, inputs={"f": rl.Features(packed)}, target=rl.Column("object_id"), key="object_id")


@pytest.mark.parametrize("kind", [bool, "boolean"])
@pytest.mark.parametrize(
    "write", [rl.pack, lambda data, path: rl.FeatureStore.write(path, data)], ids=["pack", "write"]
)
def test_booleans_beside_numbers_are_0_and_1(store, kind, write):
    data = pd.DataFrame({"a": [1.5, 2.5, 3.5], "b": pd.Series([True, False, True], dtype=kind)})
    assert write(data, store)[:].tolist() == [[1.5, 1], [2.5, 0], [3.5, 1]]
    gaps = pd.DataFrame({"a": [1, 2], "b": pd.Series([True, None], dtype="boolean")})
    assert np.array_equal(write(gaps, store.with_name("gaps"))[:], [[1, 1], [2, np.nan]], equal_nan=True)
    with pytest.raises(ConfigError, match=r"\['b'\]"):
        write(data.astype({"b": object}), store.with_name("objects"))


def test_fractions_in_csv_are_refused_as_those_of_frames_are(tmp_path, store):
    data = pd.DataFrame({"f0": [1.0, 2.769384], "f1": [3.0, 4.0]})
    data.to_csv(tmp_path / "f.csv", index=False)
    for source in (tmp_path / "f.csv", data):
        with pytest.raises(ConfigError, match=r"^2\.769384 in row 1, column 'f0', cannot be stored as int8"):
            rl.pack(source, store, dtype="int8")
    data.head(1).to_csv(tmp_path / "f.csv", index=False)
    assert rl.pack(tmp_path / "f.csv", store, dtype="int8")[:].tolist() == [[1, 3]]


def test_an_id_with_leading_zeros_is_no_feature_and_leaves_no_store(tmp_path, store):
    (tmp_path / "f.csv").write_text("id,f0\n085,1.5\n212,2.5\n")
    with pytest.raises(ConfigError, match=r"column 'id' has '085' in row 0.*key='id'"):
        rl.pack(tmp_path / "f.csv", store)
    assert not store.exists()
    assert rl.pack(tmp_path / "f.csv", store, key="id").by_key(["212", "085"]).tolist() == [[2.5], [1.5]]


def test_errors_name_the_store_and_not_where_it_is_built(store):
    blocks = [(["a", "b"], numbered(2)), (["c", "a"], numbered(2))]
    with pytest.raises(RepeatedKeysError, match=rf"was written to {store}\. ") as caught:
        rl.pack(iter(blocks), store)
    assert "rowlock-building" not in str(caught.value)


@pytest.mark.parametrize(("make", "what"), [("touch", "it is a file"), ("mkdir", r"a folder without zarr\.json")])
def test_only_stores_are_replaced_and_what_is_there_is_said(store, make, what):
    getattr(store, make)()
    if store.is_dir():
        (store / "mine").touch()
    with pytest.raises(StoreExistsError, match=rf"{store} exists and is not a feature store \({what}\);"):
        rl.pack(numbered(), store, overwrite=True)
    assert store.exists()


WRONG = [
    ({"key": "object"}, ConfigError, "Did you mean 'object_id'"),
    ({}, ConfigError, r"not: \['object_id'\]"),
    ({"key": "object_id", "keys": keys_of()}, ConfigError, "only one of them"),
    ({"key": "object_id", "columns": "a"}, ConfigError, r"write \['a'\]"),
    ({"key": "object_id", "columns": []}, ConfigError, "one or more"),
    ({"key": "object_id", "columns": ["z"]}, ConfigError, "no column 'z'"),
    ({"key": "object_id", "dtype": "uint8"}, ConfigError, r"256|400|300|1000|cannot be stored as uint8"),
    ({"key": "object_id", "layout": "nonsense"}, ConfigError, "layout"),
    ({"key": "object_id", "dataset": "x"}, ConfigError, "one matrix"),
    ({"key": "object_id", "dtype": "banana"}, ConfigError, "banana"),
    ({"key": "object_id", "dtype": "bool"}, ConfigError, "uint8"),
    ({"key": "object_id", "key_type": "int"}, ConfigError, "key_type"),
    ({"key": "object_id", "key_type": "number"}, ConfigError, "key_type"),
    ({"columns": NAMES, "keys": keys_of(49)}, ConfigError, "49 keys for 50 rows"),
    ({"columns": NAMES, "keys": ["x"] * 50}, RepeatedKeysError, "49 of 50"),
    ({"columns": NAMES, "keys": [0.5] * 50}, KeyTypeError, "0.5"),
]


@pytest.mark.parametrize(("options", "error", "message"), WRONG)
def test_what_cannot_be_packed_leaves_nothing(parquet, store, options, error, message):
    with pytest.raises(error, match=message):
        rl.pack(parquet, store, **options)
    assert [entry.name for entry in store.parent.iterdir()] == [parquet.name]


def test_a_source_that_breaks_leaves_nothing_and_the_old_store(tmp_path, store):
    pq.write_table(pa.table({"x": np.arange(3_000_000.0)}), tmp_path / "f.parquet", row_group_size=100_000)
    whole = (tmp_path / "f.parquet").read_bytes()
    broken = bytearray(whole)
    broken[len(whole) // 2 : len(whole) // 2 + 1000] = bytes(1000)
    (tmp_path / "f.parquet").write_bytes(broken)
    with pytest.raises(SourceError, match=r"f\.parquet"):
        rl.pack(tmp_path / "f.parquet", store)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.parquet"]
    rl.pack(numbered(), store)
    with pytest.raises(StoreExistsError, match="overwrite"):
        rl.pack(numbered() + 1, store)
    with pytest.raises(SourceError):
        rl.pack(tmp_path / "f.parquet", store, overwrite=True)
    assert np.array_equal(rl.FeatureStore.open(store)[:], numbered())
    with pytest.raises(SourceNotFoundError):
        rl.pack(tmp_path / "nothing.parquet", store, overwrite=True)
    assert np.array_equal(rl.pack(numbered() + 1, store, overwrite=True)[:], numbered() + 1)


def test_sources_without_rows_are_refused(tmp_path, store):
    frame().head(0).to_parquet(tmp_path / "f.parquet")
    (tmp_path / "f.csv").write_text("a,b\n")
    for source in (tmp_path / "f.parquet", tmp_path / "f.csv", iter([]), frame().head(0)):
        with pytest.raises(ConfigError):
            rl.pack(source, store, columns=["a", "b"])
    assert not store.exists()


@pytest.mark.parametrize("form", ["parquet", "csv", "npy", "blocks"])
def test_progress_counts_rows_to_the_end(tmp_path, store, form):
    matrix = numbered(300_000, 8)
    source = {"npy": tmp_path / "f.npy", "csv": tmp_path / "f.csv", "parquet": tmp_path / "f.parquet"}.get(form)
    if form == "npy":
        np.save(source, matrix)
    elif form == "blocks":
        source = (matrix[i : i + 1000] for i in range(0, len(matrix), 1000))
    else:
        data = pd.DataFrame(matrix, columns=list("abcdefgh"))
        data.to_csv(source, index=False) if form == "csv" else data.to_parquet(source)
    seen = []
    rl.pack(source, store, progress=lambda done, total: seen.append((done, total)))
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert done[-1] == 300_000
    assert {total for _, total in seen} == {300_000 if form in {"parquet", "npy"} else None}


def test_packing_from_a_thread_leaves_signals_alone(parquet, store):
    before = signal.default_int_handler
    signal.signal(signal.SIGINT, before)
    thread = threading.Thread(target=rl.pack, args=(parquet, store), kwargs={"key": "object_id"})
    thread.start()
    thread.join(300)
    assert rl.FeatureStore.open(store).num_rows == 50
    rl.pack(parquet, store, key="object_id", overwrite=True)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_memory_stays_flat_whatever_the_size(tmp_path, form):
    """A child's own peak grows by less than half of what goes through it."""
    rows, columns = 500_000, 256  # 512 MB
    blocks = (np.arange(i, i + 10_000, dtype="f4")[:, None] + np.zeros(columns, "f4") for i in range(0, rows, 10_000))
    if form == "npy":
        file = np.lib.format.open_memmap(tmp_path / "f.npy", "w+", "f4", (rows, columns))
        for i, block in enumerate(blocks):
            file[i * 10_000 : (i + 1) * 10_000] = block
        file.flush()
    else:
        schema = pa.schema([(f"c{i}", pa.float32()) for i in range(columns)])
        with pq.ParquetWriter(tmp_path / "f.parquet", schema, use_dictionary=False) as writer:
            for block in blocks:
                writer.write_table(pa.table(list(block.T.copy()), schema=schema))
    code = """
        import sys, numpy as np, rowlock as rl, pyarrow.parquet
        rl.pack(np.zeros((4, 2)), sys.argv[1] + "/warm.zarr")
        def peak():
            return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10
        before = peak()
        store = rl.pack(sys.argv[2], sys.argv[1] + "/growth.zarr", layout="raw")
        assert store.shape == (500_000, 256) and store[499_999][0] == 499_999
        print(peak() - before)
    """
    grown = int(run_python(code, tmp_path, tmp_path / f"f.{form}").stdout)
    assert grown < 240 << 20, f"{grown:,} bytes"


def run_python(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)


# Ctrl-C

PACKER = """
    import sys, time, numpy as np, rowlock as rl
    def blocks():
        for start in range(0, 1_000_000, 100):
            print(start, flush=True)
            time.sleep(0.01)
            yield np.arange(start, start + 100) * 3, np.arange(start, start + 100)[:, None] * [1.0, 2.0]
    try:
        rl.pack(blocks(), sys.argv[1], overwrite=len(sys.argv) > 2)
    except KeyboardInterrupt as stop:
        print("interrupted:", stop, flush=True)
        sys.exit(130)
"""


WAITING = """
    def wait():
        import os, signal
        note = signal.getsignal(signal.SIGINT)
        # not print: the signal may come while that is writing "waiting"
        signal.signal(signal.SIGINT, lambda *given: (note(*given), os.write(1, b"noted\\n")))
        os.write(1, b"waiting\\n")
        time.sleep(600)
"""


def interrupted(*arguments, after=30, signals=1):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PACKER), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        for _ in range(after):
            process.stdout.readline()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        output, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    return process.returncode, output


@pytest.mark.parametrize("after", [3, 30])
def test_ctrl_c_leaves_a_whole_store_of_the_rows_so_far(store, after):
    code, output = interrupted(store, after=after)
    assert code == 130
    assert "is a whole store of the first" in output
    kept = rl.FeatureStore.open(store)
    assert after * 100 - 100 <= kept.num_rows < 1_000_000
    assert f"{kept.num_rows:,} rows" in output
    assert np.array_equal(kept[:], np.arange(kept.num_rows)[:, None] * [1.0, 2.0])
    assert np.array_equal(kept.by_key(np.arange(kept.num_rows) * 3), kept[:])
    assert kept.verify() == []
    kept.append(np.ones((1, 2)), keys=[-1])
    assert [entry.name for entry in store.parent.iterdir()] == [store.name]


def test_ctrl_c_while_a_store_is_replaced_leaves_the_old_one(store):
    rl.pack(numbered(), store)
    code, output = interrupted(store, "overwrite")
    assert code == 130
    assert "as it was" in output
    assert np.array_equal(rl.FeatureStore.open(store)[:], numbered())
    assert [entry.name for entry in store.parent.iterdir()] == [store.name]


def test_a_second_ctrl_c_ends_at_once(store):
    code = WAITING + PACKER.replace("time.sleep(0.01)", "time.sleep(0.01) if start < 500 else wait()")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(store)], stdout=subprocess.PIPE, text=True
    )
    try:
        while process.stdout.readline() != "waiting\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "noted\n"
        assert process.poll() is None, "it waits for the block at hand"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130
    assert not store.exists()


# the command

cli = CliRunner()


def command(*arguments):
    """Run ``rowlock pack`` as a shell does; returns its exit code, output and errors."""
    process = subprocess.run(
        [sys.executable, "-m", "rowlock", "pack", *map(str, arguments)],
        capture_output=True, check=False, text=True, timeout=600, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    return process.returncode, process.stdout, process.stderr


def test_the_command_packs_and_says_what_it_did(parquet, store):
    code, output, errors = command(parquet, store, "--key", "object_id", "--columns", "c,a", "--dtype", "float64")
    assert (code, errors) == (0, "")
    packed = rl.FeatureStore.open(store)
    assert (packed.columns, packed.dtype, packed.key_name) == (["c", "a"], np.float64, "object_id")
    assert np.array_equal(packed[:], numbered()[:, [2, 0]])
    for text in ("50 rows x 2 columns", "float64", "object_id", "rows/s", "/s", "growth.zarr"):
        assert text in output


def test_the_command_reads_datasets_and_text_keys(tmp_path, store):
    np.savez(tmp_path / "m.npz", x=numbered(), y=numbered() + 1, ids=np.arange(50))
    result = cli.invoke(app, ["pack", str(tmp_path / "m.npz"), str(store), "--dataset", "y", "--key", "ids"])
    assert result.exit_code == 0, result.output
    assert np.array_equal(rl.FeatureStore.open(store).by_key([7]), numbered()[[7]] + 1)
    (tmp_path / "f.csv").write_text("id,x\n1,10\n2,20\n")
    arguments = ["pack", str(tmp_path / "f.csv"), str(store), "--key", "id", "--key-type", "text", "--overwrite"]
    assert cli.invoke(app, arguments).exit_code == 0
    assert rl.FeatureStore.open(store).by_key(["2"]).tolist() == [[20.0]]


def test_columns_without_names_are_chosen_by_number(tmp_path, store):
    np.save(tmp_path / "m.npy", numbered())
    assert cli.invoke(app, ["pack", str(tmp_path / "m.npy"), str(store), "--columns", "2,0"]).exit_code == 0
    assert np.array_equal(rl.FeatureStore.open(store)[:], numbered()[:, [2, 0]])


MISUSE = [
    (["nothing.parquet", "s"], 2, "SourceNotFoundError.*nothing at"),
    (["f.parquet", "s"], 2, r"ConfigError.*\['object_id'\].*--key.*--columns"),
    (["f.parquet", "s", "--key", "objectid"], 2, "Did you mean 'object_id'"),
    (["f.parquet", "s", "--key", "object_id", "--columns", "z"], 2, "no column 'z'"),
    (["f.parquet", "s", "--key", "object_id", "--dtype", "banana"], 2, "banana"),
    (["f.parquet", "s", "--key", "object_id", "--dtype", "int8"], 2, "cannot be stored as int8"),
    (["f.parquet", "s", "--key", "object_id", "--layout", "nope"], 2, "layout"),
    (["f.parquet", "s", "--key", "object_id", "--dataset", "x"], 2, "dataset"),
    (["f.parquet", "f.parquet", "--key", "object_id"], 2, "StoreExistsError.*--overwrite"),
    (["f.parquet", "f.parquet", "--key", "object_id", "--overwrite"], 2, "not a feature store"),
    (["broken.parquet", "s", "--key", "object_id"], 1, r"SourceError.*broken\.parquet"),
    (["twice.parquet", "s", "--key", "object_id"], 2, "RepeatedKeysError.*'k001'"),
    (["text.txt", "s"], 2, "in no format that is read here"),
    (["f.parquet"], 2, "Missing argument"),
    (["f.parquet", "s", "--nonsense"], 2, "No such option"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISUSE)
def test_misuse_of_the_command_is_explained_and_leaves_nothing(
    tmp_path, parquet, monkeypatch, arguments, code, message
):
    (tmp_path / "broken.parquet").write_bytes(parquet.read_bytes()[:-100])
    (tmp_path / "text.txt").write_text("hello")
    pd.concat([frame(), frame().iloc[[1]]]).to_parquet(tmp_path / "twice.parquet")
    before = sorted(entry.name for entry in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rowlock", "pack", *arguments])
    monkeypatch.setenv("COLUMNS", "400")
    import contextlib
    import io

    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as told:
        main()
    assert told.value.code == code
    assert re.search(message, " ".join(errors.getvalue().split())), errors.getvalue()
    assert "Traceback" not in errors.getvalue()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


def test_a_wrong_command_line_ends_a_real_process_with_its_code(tmp_path, store):
    (tmp_path / "f.parquet").write_bytes(b"PAR1 not really")
    code, _, errors = command(tmp_path / "f.parquet", store)
    assert code == 1
    assert "SourceError" in errors
    assert "Traceback" not in errors
    assert command(tmp_path / "f.parquet", store, "--dtype")[0] == 2


def test_the_report_says_the_layout_and_why_and_which_columns(tmp_path, store):
    names = [f"f{i}" for i in range(30)]
    pd.DataFrame(np.random.default_rng(0).standard_normal((99, 30)), columns=names).to_parquet(tmp_path / "f.parquet")
    _, output, _ = command(tmp_path / "f.parquet", store)
    assert re.search(r"layout +raw: LZ4 saves nothing; 99 rows sampled", output)
    assert re.search(r"columns +f0, f1, \.\.\. f29", output)
    assert "99 rows x 30 columns" in output
    _, output, _ = command(tmp_path / "f.parquet", store, "--layout", "raw", "--columns", "f2", "--overwrite")
    assert re.search(r"layout +raw, as asked for", output)
    assert re.search(r"columns +f2 ", output)
    assert "99 rows x 1 column," in output


def test_the_command_says_what_was_left_out_and_asks_for_the_key(tmp_path, store):
    data = pd.DataFrame(numbered(), columns=NAMES).assign(object_id=np.arange(50) * 3)
    data.sample(frac=1, random_state=0).to_parquet(tmp_path / "f.parquet")
    code, _, errors = command(tmp_path / "f.parquet", store)
    assert code == 0
    assert [line.split(": ")[0] for line in errors.splitlines()] == ["note", "warning"]
    assert "__index_level_0__ is pandas' index" in errors
    assert "no key was named: rows will be joined by number; is 'object_id' the key?" in errors
    assert "--key object_id" in errors
    _, _, errors = command(tmp_path / "f.parquet", store, "--key", "object_id", "--overwrite")
    assert "no key" not in errors


@pytest.mark.parametrize(
    ("columns", "options", "found"),
    [
        ({"object_id": range(9)}, {}, "object_id"),
        ({"objectId": range(9)}, {}, "objectId"),
        ({"ID": range(9)}, {}, "ID"),
        ({"object_id": [f"k{i}" for i in range(9)]}, {"columns": ["a"]}, "object_id"),
        ({"object_id": [1, 1, *range(7)]}, {}, None),
        ({"object_id": np.arange(9) / 2}, {}, None),
        ({"valid": range(9), "grid": range(9)}, {}, None),
        ({"object_id": range(9)}, {"key": "object_id"}, None),
        ({"object_id": range(9)}, {"keys": range(9)}, None),
    ],
)
def test_a_key_that_nobody_named_is_asked_for(store, caplog, columns, options, found):
    rl.pack(pd.DataFrame({"a": np.arange(9) / 7} | columns), store, **options)
    asked = [re.search("is '(.*)' the key", message)[1] for message in caplog.messages]
    assert asked == ([] if found is None else [found])


def test_info_describes_a_store(parquet, store):
    rl.pack(parquet, store, key="object_id", columns=["c", "a"])
    result = cli.invoke(app, ["info", str(store)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    opened = rl.FeatureStore.open(store)
    for text in (
        "50 rows x 2 columns, float32", opened.layout, opened.layout_reason, "text, called 'object_id'",
        "c, a", "on disk", "of all rows; 0 values missing", opened.uuid,
    ):  # fmt: skip
        assert text in result.output
    opened.append(np.full((1, 2), np.nan), keys=pd.Series(["new"]))
    assert "2 values missing" in cli.invoke(app, ["info", str(store)], env={"COLUMNS": "200"}).output
    raw = rl.pack(parquet, store, key="object_id", layout="raw", overwrite=True)
    raw.replace(["k001"], numbered(1))
    output = cli.invoke(app, ["info", str(store)], env={"COLUMNS": "200"}).output
    assert "raw, as asked for" in output
    assert "not known; store.update_statistics()" in output
    assert rl.__version__ in cli.invoke(app, ["info"]).output


def test_verify_tells_a_whole_store_from_a_damaged_one(store):
    rl.pack(numbered(), store, layout="raw")
    whole = cli.invoke(app, ["verify", str(store)])
    assert (whole.exit_code, whole.output.strip()) == (0, "50 rows, all right")
    assert json.loads(cli.invoke(app, ["verify", str(store), "--json"]).output)["damaged"] == []
    with (store / "matrix" / "c.0.0").open("r+b") as file:
        file.seek(7 * 12)
        file.write(b"\xff" * 24)
    told = cli.invoke(app, ["verify", str(store)])
    assert told.exit_code == 1
    assert "rows 7..8" in told.output
    assert "2 of 50 rows are damaged" in told.output
    listed = cli.invoke(app, ["verify", str(store), "--json"])
    assert listed.exit_code == 1
    found = json.loads(listed.output)
    assert (found["store"], found["rows"]) == (str(store), 50)
    assert [(fault["start"], fault["stop"]) for fault in found["damaged"]] == [(7, 9)]


def test_verify_and_info_of_nothing_end_with_two(tmp_path):
    for name in ("verify", "info"):
        process = subprocess.run(
            [sys.executable, "-m", "rowlock", name, str(tmp_path / "nothing")],
            capture_output=True, check=False, text=True, timeout=600, env=os.environ | {"COLUMNS": "200"},
        )  # fmt: skip
        assert process.returncode == 2
        assert "StoreNotFoundError" in process.stderr
        assert "Traceback" not in process.stderr


def test_the_help_lists_what_can_be_chosen_and_shows_flags_as_flags():
    assert {member.value for member in Layout} == set(LAYOUTS)
    for width in ("80", "120"):
        output = cli.invoke(app, ["pack", "--help"], env={"COLUMNS": width}, prog_name="rowlock").output
        assert "Usage: rowlock pack" in output
        assert "bool" not in output
        for choice in (*LAYOUTS, "int", "text"):
            assert choice in output
        lines = [line.strip() for line in output.splitlines()]
        first = lines.index("Examples:")
        assert all(line.startswith("rowlock pack ") for line in lines[first + 1 : first + 7])
    assert "bool" not in cli.invoke(app, ["--help"]).output


def test_the_help_shows_examples():
    output = cli.invoke(app, ["pack", "--help"], env={"COLUMNS": "200"}).output
    for text in ("rowlock pack features.parquet growth.zarr --key object_id", "--overwrite", "file.h5::"):
        assert text in output


def test_ctrl_c_on_the_command_keeps_the_rows_so_far(tmp_path, store):
    np.lib.format.open_memmap(tmp_path / "f.npy", "w+", "f4", (3_000_000, 256)).flush()  # takes no disk
    process = subprocess.Popen(
        [sys.executable, "-m", "rowlock", "pack", str(tmp_path / "f.npy"), str(store), "--layout", "raw"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and not list(tmp_path.glob(".growth.zarr*/matrix/.c*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "whole store of the first" in errors
    assert "Traceback" not in errors
    assert 0 < rl.FeatureStore.open(store).num_rows < 3_000_000
