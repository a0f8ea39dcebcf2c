"""Tables in files: the same rows, splits, batches and errors as from a frame, in memory that does not hold the table.

This file is also the program that is limited or killed: ``python test_table_files.py NAME FOLDER ...``.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.bad_rows import BadRow
from rowlock.errors import (
    AlignmentError,
    ConfigError,
    KeyTypeError,
    MissingKeysError,
    RowlockError,
    SourceError,
    SourceNotFoundError,
)
from rowlock.table import Table
from rowlock.tables.spool import Spool, spool_type

MIB = 1 << 20
EPOCH = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=9)


@pytest.fixture
def table(frame, tmp_path):
    """The ten rows of `frame` as a Parquet file of three row groups."""
    path = tmp_path / "table.parquet"
    frame.to_parquet(path, row_group_size=4)
    return path


def dataset(source, **arguments):
    return rl.Dataset(source, {"age": rl.Column("age")}, target=rl.Labels("label"), key="object_id", **arguments)


def cache_of(path):
    return sorted(path.with_name(f"{path.name}.rowlock").glob("*.arrow"))


def write_arrow(table, path, **options):
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(
        file, table.schema, options=pa.ipc.IpcWriteOptions(**options)
    ) as writer:  # fmt: skip
        writer.write_table(table, max_chunksize=3)


def written(table, folder, how):
    """Write an Arrow table in one of the ways in which tables lie in files; return the address."""
    path = folder / {"folder": "parts", "arrow": "t.arrow", "feather": "t.feather"}.get(how, "t.parquet")
    if how == "parquet":
        pq.write_table(table, path, row_group_size=3)
    elif how == "folder":
        path.mkdir()
        for number, start in enumerate(range(0, len(table), 4)):
            pq.write_table(table.slice(start, 4), path / f"part-{number:03d}.parquet", row_group_size=2)
    else:
        write_arrow(table, path, **({"compression": "lz4"} if how == "feather" else {}))
    return path


@st.composite
def tables(draw):
    """Tables of everything that inputs read, with an Arrow type of each column drawn."""
    num_rows = draw(st.integers(1, 40))
    texts = draw(st.lists(TEXTS, min_size=num_rows, max_size=num_rows, unique=True))
    numbers = draw(st.lists(st.integers(-1000, 1000), min_size=num_rows, max_size=num_rows))
    labels = draw(st.lists(st.sampled_from(["cat", "dog", "é"]), min_size=num_rows, max_size=num_rows))
    text_kind = draw(st.sampled_from([pa.string(), pa.large_string()]))
    label_kind = draw(st.sampled_from([pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]))
    number_kind = draw(st.sampled_from([pa.int16(), pa.int64(), pa.float32(), pa.float64(), pa.decimal128(24, 2)]))
    lists = [texts[: number % 4] for number in numbers]
    return pa.table({
        "object_id": pa.array(texts, text_kind),
        "number": pa.array(numbers).cast(number_kind),
        "flag": pa.array([number % 2 == 0 for number in numbers]),
        "label": pa.array(labels).cast(label_kind),
        "photos": pa.array(lists, pa.list_(text_kind)),
        "when": pa.array([EPOCH + dt.timedelta(days=n % 3) for n in numbers]),
        "gaps": pa.array([None if number % 3 else number for number in numbers]),
    })  # fmt: skip


def everything(source, cache=None):
    return rl.Dataset(
        source,
        {
            "number": rl.Column("number"),
            "facts": rl.Columns(["number", "flag"], dtype="float64"),
            "mask": rl.ImagesMask("photos", num_images=2),
            "pictures": rl.Images("photos", size=(4, 4), num_images=3),
        },
        target=rl.Labels("label"),
        key="object_id",
        cache=cache,
    )


def pictures_apart(data):
    """Return the dataset's readers of arrays: no picture is there to be read."""
    return {slot.label: slot.reader for slot in data._slots if slot.label != "pictures"}


@settings(max_examples=20)
@given(tables(), st.sampled_from(["parquet", "folder", "arrow", "feather"]), st.integers(0, 3))
def test_a_file_gives_what_the_frame_gives(tmp_path_factory, table, how, seed):
    folder = tmp_path_factory.mktemp("t")
    path = written(table, folder, how)
    files, frames = everything(path), everything(table)
    assert files.keys.tolist() == frames.keys.tolist()
    assert files.classes == frames.classes
    assert files.fingerprints == frames.fingerprints
    assert files.input_specs == frames.input_specs
    for name, reader in pictures_apart(frames).items():
        expected, found = reader.spec.empty(len(table)), reader.spec.empty(len(table))
        reader.gather(np.arange(len(table)), expected, None)
        pictures_apart(files)[name].gather(np.arange(len(table)), found, None)
        assert found.tobytes() == expected.tobytes()
    for options in ({}, {"stratify": "label"}, {"group": "when"}, {"stratify": "flag"}, {"stratify": "gaps"}):
        ours, theirs = (
            outcome(lambda data=data, options=options: parts(data, seed, options)) for data in (files, frames)
        )
        assert ours == theirs
    assert files.frame.cast(table.schema).equals(table)
    shutil.rmtree(folder)


def parts(data, seed, options):
    return [(part.keys.tolist(), part.fingerprints["rows"]) for part in data.split(0.6, 0.4, seed=seed, **options)]


def outcome(function):
    try:
        return function()
    except RowlockError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    "make", [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas], ids=["pandas", "polars", "arrow"]
)
def test_a_run_goes_on_from_file_to_frame_and_back(frame, table, make, tmp_path):
    def loader(source):
        return dataset(source).split(0.8, 0.2, seed=3)[0].batches(3, seed=5)

    store = tmp_path / "f.zarr"
    rl.FeatureStore.write(store, np.arange(20.0).reshape(10, 2), keys=frame["object_id"])
    for one, other in ((table, make(frame)), (make(frame), table)):
        first, second, whole = loader(one), loader(other), list(loader(other))
        epoch = iter(first)
        next(epoch)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        rest = list(second)
        assert [batch.keys.tolist() for batch in rest] == [batch.keys.tolist() for batch in whole[1:]]


def test_batches_of_a_file_are_those_of_the_frame_bit_for_bit(frame, table):
    for options in ({}, {"sampling": "balanced"}, {"weights": "price"}, {"shuffle": False}, {"last": "pad"}):
        pairs = zip(dataset(table).batches(3, **options), dataset(frame).batches(3, **options), strict=True)
        for ours, theirs in pairs:
            assert ours.inputs["age"].tobytes() == theirs.inputs["age"].tobytes()
            assert ours.target.tobytes() == theirs.target.tobytes()
            assert ours.keys.tolist() == theirs.keys.tolist()


def test_everything_of_a_dataset_works_on_a_file(frame, table, tmp_path):
    data = dataset(str(table))
    assert data.where(np.asarray(frame["age"]) > 70).keys.tolist() == ["a08", "a09"]
    assert data.where(pc.greater(data.column("age"), 70)).keys.tolist() == ["a08", "a09"]
    part = data.select([7, 0, 7])
    assert part.frame["object_id"].to_pylist() == ["a07", "a00", "a07"]
    assert part.column("price").to_pylist() == [7.5, 0.5, 7.5]
    assert data.frame.column_names == list(frame.columns)
    bad = BadRow(row=3, key="a03", input="age", path=None, stage="read", reason="", epoch=0, step=0)
    assert "a03" not in data.without([bad]).keys.tolist()
    store = tmp_path / "f.zarr"
    rl.FeatureStore.write(store, np.arange(16.0).reshape(8, 2), keys=[f"a{i:02d}" for i in range(8)])
    with pytest.raises(MissingKeysError, match="2 of 10 rows have a key that is not in"):
        rl.Dataset(table, {"f": rl.Features(store)}, key="object_id")
    kept = rl.Dataset(table, {"f": rl.Features(store)}, key="object_id", missing="drop")
    assert (len(kept), kept.dropped["f"].tolist()) == (8, ["a08", "a09"])
    assert kept.gather([5]).inputs["f"].tolist() == [[10, 11]]


MISUSES = [
    lambda source: rl.Dataset(source, {"x": rl.Column("agee")}),
    lambda source: rl.Dataset(source, {"x": rl.Column("label")}),
    lambda source: rl.Dataset(source, {"x": rl.Column("gap")}),
    lambda source: rl.Dataset(source, {"x": rl.Column("age", dtype="int8")}),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}, key="price"),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}, key="nothing"),
    lambda source: rl.Dataset(source, {"x": rl.Labels("age")}),
    lambda source: rl.Dataset(source, {"x": rl.Labels("label", classes=["cat"])}),
    lambda source: rl.Dataset(source, {"x": rl.Images("age", size=(2, 2))}),
    lambda source: rl.Dataset(source, {"x": rl.Images("note", size=(2, 2))}),
    lambda source: rl.Dataset(source, {"x": rl.Images("note", size=(2, 2), num_images=2)}),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}).split(0.5, 0.5, stratify="gap"),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}).split(0.5, 0.5, group="nothing"),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}).batches(2, weights="minus"),
    lambda source: rl.Dataset(source, {"x": rl.Column("age")}).where([True]),
    lambda source: rl.Dataset(source, {"x": rl.Features(np.zeros((3, 2)))}),
]


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse_of_a_file_is_refused_in_the_words_of_the_frame(frame, tmp_path, misuse):
    changed = frame.assign(gap=[None, *range(9)], minus=-frame["age"] - 1, note=["", None, *"abcdefgh"])
    changed["age"] += 300
    arrow = pa.Table.from_pandas(changed, preserve_index=False)
    path = written(arrow, tmp_path, "parquet")
    ours, theirs = outcome(lambda: misuse(path)), outcome(lambda: misuse(arrow))
    assert ours == theirs
    assert issubclass(ours[0], RowlockError)


TYPES = {
    "bool": pa.array([True, None, False, True]),
    "int8": pa.array([1, None, 3, 4], pa.int8()),
    "uint64": pa.array([1, 2**64 - 1, 3, 4], pa.uint64()),
    "float16": pa.array(np.array([1, 2, 3, 4], np.float16)),
    "string": pa.array(["a", None, "", "ü" * 9]),
    "large_string": pa.array(["a", None, "", "ü"], pa.large_string()),
    "string_view": pa.array(["a", None, "", "a text of more than twelve"], pa.string_view()),
    "binary": pa.array([b"a", None, b"", b"\0"]),
    "fixed": pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)),
    "date": pa.array([dt.date(2020, 1, 2), None, None, dt.date(1, 1, 1)]),
    "timestamp": pa.array([1, None, 3, 4], pa.timestamp("us", "UTC")),
    "decimal": pa.array([1, None, 3, 4]).cast(pa.decimal128(30, 2)),
    "categories": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "numbers": pa.array([5, 7, None, 5]).dictionary_encode(),
    "lists": pa.array([["a"], [], None, ["b", None]]),
    "fixed lists": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int32(), 2)),
    "lists of lists": pa.array([[["a"], []], [], None, [None, ["b"]]]),
    "nothing": pa.nulls(4),
}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("block", [1, 3, 4])
def test_a_column_of_every_type_is_kept_as_it_is(tmp_path, name, block):
    values = TYPES[name]
    whole = pa.concat_arrays([values] * 9).slice(3, 30)
    with Spool(spool_type(values.type), tmp_path) as spool:
        for start in range(0, 30, block):
            spool.add(whole.slice(start, block))
        kept = spool.array()
    kept.validate(full=True)
    assert kept.to_pylist() == whole.to_pylist()
    assert kept.null_count == whole.null_count
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in TYPES if name not in ("string_view", "float16", "nothing")])
def test_a_column_of_every_type_comes_back_from_a_file(tmp_path, name):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": TYPES[name]}), path)
    assert Table(path).take_column("x", None).to_pylist() == TYPES[name].to_pylist()
    assert Table(path).take_column("x", np.array([3, 0])).to_pylist() == TYPES[name].take([3, 0]).to_pylist()


def test_categories_of_several_files_are_numbered_as_one(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, labels in enumerate((["b", "a"], ["c", "b"], ["a", "d"])):
        pd.DataFrame({"label": pd.Categorical(labels)}).to_parquet(folder / f"{number}.parquet", index=False)
    data = rl.Dataset(folder, {"y": rl.Labels("label")})
    assert data._slots[0].reader.classes == ("a", "b", "c", "d")
    assert data.gather(np.arange(6)).inputs["y"].tolist() == [1, 0, 2, 1, 0, 3]


def test_columns_are_converted_once_and_only_those_that_are_asked_for(table):
    data = dataset(table)
    assert len(cache_of(table)) == 3
    made = {path: path.stat().st_ino for path in cache_of(table)}
    data.split(0.5, 0.5, stratify="label")
    dataset(table)
    assert {path: path.stat().st_ino for path in cache_of(table)} == made
    data.split(0.5, 0.5, stratify="price")
    assert len(cache_of(table)) == 4


def test_columns_are_mapped_and_not_held(table):
    keys = Table(table).keys("object_id")
    path = next(path for path in cache_of(table))
    assert str(path) in Path("/proc/self/maps").read_text()
    assert keys.text.data.flags.writeable is False


def test_an_index_that_pandas_stored_gives_row_numbers(frame, tmp_path):
    matrix = np.arange(40.0).reshape(20, 2)
    path = tmp_path / "t.parquet"
    for changed in (frame.iloc[::-1], frame.set_index(np.arange(19, 9, -1)), frame.iloc[2:9:3]):
        changed.to_parquet(path)
        ours = rl.Dataset(path, {"f": rl.Features(matrix)})
        theirs = rl.Dataset(changed, {"f": rl.Features(matrix)})
        rows = np.arange(len(changed))
        assert ours.keys.tolist() == theirs.keys.tolist()
        assert ours.gather(rows).inputs["f"].tolist() == theirs.gather(rows).inputs["f"].tolist()
    named = tmp_path / "named.parquet"
    frame.set_index("object_id").to_parquet(named)
    assert dataset(named).keys.tolist() == frame["object_id"].tolist()


def test_an_index_of_text_gives_no_row_numbers(frame, tmp_path):
    path = tmp_path / "t.parquet"
    frame.set_index("object_id").to_parquet(path)
    data = rl.Dataset(path, {"age": rl.Column("age")})
    assert data.keys.tolist() == list(range(10))
    with pytest.raises(AlignmentError, match="the frame's index is not of integers"):
        rl.Dataset(path, {"f": rl.Features(np.zeros((10, 2)))})


def test_a_name_with_a_dot_is_a_name(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a.b": [1, 2], "a": [{"b": 3}, {"b": 4}]}), path)
    assert rl.Dataset(path, {"x": rl.Column("a.b")}).gather([1]).inputs["x"].tolist() == [2]


def test_a_table_in_a_file_travels_to_another_process(table):
    again = pickle.loads(pickle.dumps(Table(table, key="object_id")))
    assert again.row_keys().values().tolist() == [f"a{row:02d}" for row in range(10)]
    assert again.take_column("price", np.array([3])).to_pylist() == [3.5]


@pytest.mark.parametrize("how", ["parquet", "arrow"])
def test_an_empty_table_is_refused(tmp_path, how):
    path = written(pa.table({"age": pa.array([], pa.int64())}), tmp_path, how)
    with pytest.raises(ConfigError, match=r"the table has no rows \(columns: 'age'\)"):
        rl.Dataset(path, {"age": rl.Column("age")})


@pytest.mark.parametrize("how", ["parquet", "arrow", "feather"])
def test_a_file_that_is_cut_off_anywhere_is_an_error_and_leaves_nothing(tmp_path, how):
    whole = written(pa.table({"age": np.arange(3000), "label": ["x"] * 3000}), tmp_path, how)
    content = whole.read_bytes()
    for length in {0, 3, 7, 50, len(content) // 2, len(content) - 9, len(content) - 1}:
        path = tmp_path / f"cut-{length}{whole.suffix}"
        path.write_bytes(content[:length])
        with pytest.raises((SourceError, ConfigError), match="damaged"):
            rl.Dataset(path, {"age": rl.Column("age")})
        assert not cache_of(path)


def test_damage_within_a_file_is_an_error_or_the_right_values(tmp_path, rng):
    whole = tmp_path / "whole.parquet"
    values = np.arange(3000) * 1.5
    pq.write_table(pa.table({"age": values}), whole, write_page_checksum=True, use_dictionary=False)
    content = whole.read_bytes()
    path, seen = tmp_path / "t.parquet", set()
    for place in rng.integers(4, len(content), 60):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        try:
            data = rl.Dataset(path, {"age": rl.Column("age", dtype="float64")})
        except RowlockError:
            seen.add("error")
            continue
        assert data.gather(np.arange(3000)).inputs["age"].tolist() == values.tolist()
    assert seen


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda path: path, SourceNotFoundError, "there is no table at"),
        (lambda path: touched(path, b"something else"), ConfigError, "neither Parquet nor an Arrow file"),
        (lambda path: made(path / "."), ConfigError, "holds no .parquet files"),
        (lambda path: made(path / "a").parent, ConfigError, r"holds folders \('a', ...\)"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(tmp_path, make, kind, message):
    with pytest.raises(kind, match=message):
        rl.Dataset(make(tmp_path / "t.parquet"), {"age": rl.Column("age")})


def touched(path, content):
    path.write_bytes(content)
    return path


def made(path):
    path.mkdir(parents=True)
    return path


def test_files_of_a_folder_must_have_the_same_columns(tmp_path):
    pq.write_table(pa.table({"age": [1], "b": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"age": [1.0], "b": [1]}), tmp_path / "b.parquet")
    with pytest.raises(ConfigError, match=r"b.parquet has other columns than .*a.parquet: \['age'\]"):
        rl.Dataset(tmp_path, {"age": rl.Column("age")})


def test_a_column_that_nothing_reads_stands_in_no_ones_way(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"age": [1, 2], "s": [{"a": 1}, {"a": 2}]}), path)
    assert len(rl.Dataset(path, {"age": rl.Column("age")})) == 2
    with pytest.raises(ConfigError, match="which no input reads"):
        rl.Dataset(path, {"s": rl.Column("s")})


def test_keys_are_not_guessed(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"object_id": [1.0, 2.0], "age": [1, 2], "label": ["a", "b"]}), path)
    with pytest.raises(KeyTypeError, match="has double values"):
        dataset(path)


def test_a_table_that_is_written_again_is_converted_again(frame, table):
    dataset(table)
    before = cache_of(table)
    frame.assign(age=frame["age"] + 1).to_parquet(table, row_group_size=4)
    assert dataset(table).gather([0]).inputs["age"].tolist() == [1]
    assert len(cache_of(table)) == 3
    assert not set(before) & set(cache_of(table))


def test_a_table_that_changes_while_it_is_used_is_refused(frame, table):
    data = dataset(table)
    frame.iloc[::-1].to_parquet(table)
    with pytest.raises(SourceError, match="was written to after the dataset had been made"):
        data.split(0.5, 0.5, stratify="price")
    assert data.gather([3]).keys.tolist() == ["a03"]
    table.unlink()
    with pytest.raises(SourceNotFoundError, match="there is no table at"):
        data.split(0.5, 0.5, stratify="price")


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "other"])
def test_a_damaged_column_is_found_and_made_again(table, damage, caplog):
    expected = dataset(table).gather(np.arange(10)).inputs["age"].tolist()
    for path in cache_of(table):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes({"flipped": content, "cut": content[:-8], "emptied": b"", "other": b"x" * 800}[damage])
    data = dataset(table)
    assert data.gather(np.arange(10)).inputs["age"].tolist() == expected
    assert "is damaged, and is made again" in caplog.text
    caplog.clear()
    dataset(table)
    assert "damaged" not in caplog.text


def test_a_cache_that_others_can_write_into_is_not_believed(table):
    dataset(table)
    folder = table.with_name("table.parquet.rowlock")
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*.arrow"))
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match="can be written by everybody"):
        dataset(table)


def test_a_link_in_the_cache_is_not_followed(table, tmp_path):
    dataset(table)
    for path in cache_of(table):
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert dataset(table).gather([3]).inputs["age"].tolist() == [30]
    assert not any(path.is_symlink() for path in cache_of(table))


def test_a_cache_that_is_deleted_while_it_is_used_is_made_again(table):
    data = dataset(table)
    shutil.rmtree(table.with_name("table.parquet.rowlock"))
    assert data.gather(np.arange(10)).inputs["age"].tolist() == [10.0 * row for row in range(10)]
    assert [batch.keys.tolist() for batch in data.batches(5, shuffle=False)][1][0] == "a05"
    data.split(0.5, 0.5, stratify="price")
    assert len(cache_of(table)) == 1


def test_the_cache_lies_where_one_says(table, tmp_path, monkeypatch):
    dataset(table, cache=tmp_path / "one")
    assert len(list((tmp_path / "one").glob("*.arrow"))) == 3
    monkeypatch.setenv("ROWLOCK_CACHE", str(tmp_path / "two"))
    dataset(table)
    assert len(list((tmp_path / "two").glob("*.arrow"))) == 3
    assert not cache_of(table)
    with pytest.raises(ConfigError, match="a frame is in memory. Leave it out"):
        dataset(pd.read_parquet(table), cache=tmp_path / "one")


def test_a_folder_that_cannot_be_written_to_is_said_with_what_to_do(table, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="ROWLOCK_CACHE"):
        dataset(table, cache=tmp_path / "file" / "inside")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_columns_in_a_read_only_folder_are_used_and_none_is_made(table, tmp_path):
    dataset(table)
    for folder in (table.with_name("table.parquet.rowlock"), tmp_path):
        folder.chmod(0o500)
    try:
        assert dataset(table).gather([3]).inputs["age"].tolist() == [30]
        with pytest.raises(ConfigError, match="ROWLOCK_CACHE"):
            dataset(table).split(0.5, 0.5, stratify="price")
    finally:
        tmp_path.chmod(0o700)


def test_no_python_object_a_row(tmp_path):
    num_rows = 1_000_000
    numbers = np.random.default_rng(0).permutation(num_rows)
    path = tmp_path / "t.parquet"
    texts = pa.array(numbers).cast("string")
    pq.write_table(pa.table({"object_id": texts, "path": texts, "label": pa.array(["a", "b"] * (num_rows // 2))}), path)
    store = tmp_path / "f.zarr"
    blocks = ((texts.slice(i, 100_000), np.zeros((100_000, 1), np.uint8)) for i in range(0, num_rows, 100_000))
    rl.FeatureStore.write(store, blocks, layout="raw", dtype="uint8")
    inputs = {"f": rl.Features(store, dtype="uint8"), "i": rl.Images("path", size=(2, 2))}

    def use():
        data = rl.Dataset(path, inputs, target=rl.Labels("label"), key="object_id")
        train, _ = data.split(0.9, 0.1, stratify="label")
        train.batches(64, seed=1).state_dict()
        train.where(np.ones(len(train), bool))

    use()  # what is loaded and compiled once is not counted
    tracemalloc.start()
    try:
        use()
        statistics = tracemalloc.take_snapshot().statistics("filename")
        num_objects = sum(found.count for found in statistics)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_objects < 50_000
    assert kept < 4 * num_rows
    assert peak < 120 * num_rows


# What runs in processes of its own


def run(*arguments, timeout=280):
    return subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=True, timeout=timeout
    ).stdout


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def write_large(path, num_rows=2_000_000):
    """Write a table of about 250 MB in memory."""
    with pq.ParquetWriter(path, pa.schema({"object_id": pa.int64(), "path": pa.string()})) as writer:
        for first in range(0, num_rows, 100_000):
            numbers = pa.array(np.arange(first, first + 100_000)[::-1].copy())
            paths = pc.binary_join_element_wise("folder/" * 12, numbers.cast("string"), "")
            writer.write_table(pa.table({"object_id": numbers, "path": paths}))


def program_open(path):
    data = rl.Dataset(path, {"i": rl.Images("path", size=(2, 2))}, key="object_id")
    print(json.dumps([len(data), data.keys[:1].tolist(), data.fingerprints["rows"]]))  # noqa: T201 - read by the test


def program_limited(path, limit):
    """Open a table within a limit of memory that is not mapped from files."""
    rl.Dataset(path.with_name("small.parquet"), {"i": rl.Images("path", size=(2, 2))}, key="object_id")
    status = Path("/proc/self/status").read_text()
    resource.setrlimit(resource.RLIMIT_DATA, (int(status.split("VmData:")[1].split()[0]) * 1024 + int(limit),) * 2)
    program_open(path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts what is not mapped from files on Linux")
def test_memory_is_bounded_with_a_table_several_times_larger(tmp_path):
    write_large(tmp_path / "t.parquet")
    write_large(tmp_path / "small.parquet", 100_000)
    for _ in ("cold", "warm"):
        found = json.loads(run("limited", tmp_path / "t.parquet", 100 * MIB))
        assert found[:2] == [2_000_000, [99_999]]
    assert sum(path.stat().st_size for path in cache_of(tmp_path / "t.parquet")) > 200 * MIB


@pytest.mark.slow
def test_two_processes_at_once_make_a_column_once_and_both_read_it(tmp_path):
    path = tmp_path / "t.parquet"
    write_large(path)
    processes = [start("open", path) for _ in range(3)]
    found = [process.communicate(timeout=280)[0] for process in processes]
    assert len(set(found)) == 1
    assert json.loads(found[0])[0] == 2_000_000
    assert len(cache_of(path)) == 2


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_converts_leaves_nothing_in_the_way(tmp_path):
    path = tmp_path / "t.parquet"
    write_large(path)
    folder = path.with_name("t.parquet.rowlock")
    for wait in (0.0, 0.05, 0.2, 0.5):
        process = start("open", path)
        began = time.monotonic()
        while not (folder.exists() and any(folder.glob("*.lock"))) and process.poll() is None:
            assert time.monotonic() - began < 200
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    found = json.loads(run("open", path))
    assert found[:2] == [2_000_000, [99_999]]
    assert not list(folder.glob("*.partial"))
    assert len(cache_of(path)) == 2


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"open": program_open, "limited": program_limited}[name](Path(arguments[0]), *arguments[1:])


@pytest.mark.parametrize("values", [[1, 2, 10], [True, False], [1.5, 2.5, 10.0], ["1", "2", "10"]])
@pytest.mark.parametrize("use", [rl.Labels, rl.Columns, rl.Column])
def test_categories_that_are_numbers_are_these_numbers_everywhere(tmp_path, values, use):
    values = [values[number % len(values)] for number in range(12)]
    frame = pd.DataFrame({"y": pd.Categorical(values), "x": np.arange(12.0)})
    frame.to_parquet(tmp_path / "t.parquet")
    arrow = pa.table({"y": pa.array(values).dictionary_encode(), "x": np.arange(12.0)})
    plain, found = pd.DataFrame({"y": values, "x": np.arange(12.0)}), []
    for table in (plain, frame, arrow, tmp_path / "t.parquet"):
        cache = {"cache": tmp_path / "cache"} if isinstance(table, Path) else {}
        inputs = {"y": rl.Columns(["y"])} if use is rl.Columns else {"x": rl.Columns(["x"])}
        try:
            data = rl.Dataset(table, inputs, target=None if use is rl.Columns else use("y"), **cache)
        except ConfigError as error:
            found.append(type(error))
        else:
            batch = data.gather(np.arange(12))
            found.append((str(batch.inputs), str(batch.target), data.batches(3).state_dict()))
    assert found == found[:1] * 4


def test_categories_with_gaps_and_intervals_keep_them():
    series = Table(pd.DataFrame({"y": pd.Categorical([3, None, 4])})).column("y")
    assert series.is_null().to_list() == [False, True, False]
    assert series.drop_nulls().to_list() == [3, 4]
    bins = pd.DataFrame({"y": pd.cut([1, 5, 9], [0, 4, 10]), "x": [1.0, 2.0, 3.0]})
    assert rl.Dataset(bins, {"x": rl.Columns(["x"])}, target=rl.Labels("y")).gather([0, 1, 2]).target.tolist() == [
        0,
        1,
        1,
    ]
