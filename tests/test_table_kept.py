"""What is kept beside a table: joins and class numbers are made once, and never lead to a row of another key."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pytest

import rowlock as rl
from rowlock.errors import ConfigError, MissingKeysError, RowError
from rowlock.tables.array_files import ArrayFiles

NUM_ROWS = 70_000
"""More than are computed again each time."""

PROGRAM = """
import json, sys
import test_table_kept as tests
data = tests.dataset(sys.argv[1], sys.argv[2])
batch = data.gather(range(0, tests.NUM_ROWS, 7))
tests.check(batch)
print(json.dumps(data.fingerprints))
"""


def features_of(keys):
    return np.stack([keys % 251, keys // 251 % 241], axis=1).astype(np.uint8)


def frame_of(keys):
    return pd.DataFrame({"object_id": keys, "label": np.array(["ant", "bee", "cat"])[keys % 3]})


def write_store(path, keys, **options):
    rl.FeatureStore.write(path, features_of(keys), keys=keys, key_name="object_id", dtype="uint8", **options)


def as_text(keys):
    return np.array([f"a{key:07d}" for key in keys], object)


@pytest.fixture
def keys(rng):
    return rng.permutation(NUM_ROWS) * 7 + 3


@pytest.fixture
def table(keys, tmp_path):
    path = tmp_path / "table.parquet"
    frame_of(keys).to_parquet(path)
    return path


@pytest.fixture
def store(keys, tmp_path, rng):
    write_store(tmp_path / "store.zarr", rng.permutation(keys))
    return tmp_path / "store.zarr"


def dataset(table, store, classes=None, **options):
    inputs = {"features": rl.Features(store, dtype="uint8", **options)}
    return rl.Dataset(table, inputs, target=rl.Labels("label", classes=classes), key="object_id")


def check(batch, order=(0, 1, 2)):
    assert np.array_equal(batch.inputs["features"], features_of(batch.keys))
    assert np.array_equal(batch.target, np.array(order)[batch.keys % 3])


def check_all(data, order=(0, 1, 2)):
    check(data.gather(np.arange(len(data))), order)


def files_of(table):
    return {path: path.stat().st_ino for path in table.with_name(f"{table.name}.rowlock").glob("*.arrow")}


def kept_files(table):
    """Those that are no columns."""
    return sorted(path for path in files_of(table) if pa.ipc.open_file(path).schema.names == ["kept"])


def column_of(path):
    return pa.ipc.open_file(path).get_batch(0).column(0)


def is_join(path):
    column = column_of(path)
    return column.type == pa.int32() and len(column) == NUM_ROWS and column.to_numpy().max() > 2


def test_a_second_opening_computes_nothing_again_and_gives_what_the_frame_gives(table, store, keys):
    first = dataset(str(table), store)
    check_all(first)
    before = files_of(table)
    assert len(kept_files(table)) == 3  # classes, their numbers, rows of the store
    second = dataset(str(table), store)
    check_all(second)
    assert files_of(table) == before
    framed = dataset(frame_of(keys), store)
    check_all(framed)
    assert first.fingerprints == second.fingerprints == framed.fingerprints


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_kept_is_mapped_and_not_held(table, store):
    data = dataset(str(table), store)
    maps = Path("/proc/self/maps").read_text()
    assert all(str(path) in maps for path in kept_files(table) if len(column_of(path)) == NUM_ROWS)
    data.close()


def test_short_tables_keep_nothing(tmp_path, store, keys):
    path = tmp_path / "short.parquet"
    frame_of(keys[:1000]).to_parquet(path)
    check_all(dataset(str(path), store))
    assert not kept_files(path)


@pytest.mark.parametrize("change", ["another order", "appended", "other rows of the same keys"])
def test_another_store_at_the_same_address_is_joined_anew(table, store, keys, rng, change):
    check_all(dataset(str(table), store))
    before = set(kept_files(table))
    if change == "appended":
        with rl.FeatureStore.open(store).writer() as writer:
            more = np.arange(10) * 7 + 3 + NUM_ROWS * 7
            writer.append(features_of(more), more)
    else:
        shutil.rmtree(store)
        write_store(store, rng.permutation(keys) if change == "another order" else keys)
    check_all(dataset(str(table), store))
    assert len(kept_files(table)) == 3  # nothing old is left
    assert len(set(kept_files(table)) & before) == 2


def test_another_table_at_the_same_address_is_joined_anew(table, store, keys):
    check_all(dataset(str(table), store))
    before = set(kept_files(table))
    frame_of(keys[::-1]).to_parquet(table)
    check_all(dataset(str(table), store))
    assert len(kept_files(table)) == 3
    assert not set(kept_files(table)) & before


def test_classes_in_another_order_have_their_own_numbers(table, store):
    for _ in range(2):
        check_all(dataset(str(table), store))
        check_all(dataset(str(table), store, classes=["cat", "ant", "bee"]), order=(1, 2, 0))
    with pytest.raises(ConfigError, match="holds 'cat'"):
        dataset(str(table), store, classes=["ant", "bee"])


@pytest.mark.parametrize("kind", ["int", "text"])
def test_missing_keys_are_missing_when_they_were_kept_as_well(tmp_path, keys, kind):
    named = keys if kind == "int" else as_text(keys)
    frame_of(keys).assign(object_id=named).to_parquet(tmp_path / "t.parquet")
    rl.FeatureStore.write(
        tmp_path / "s.zarr", features_of(keys)[5:], keys=named[5:], key_name="object_id", dtype="uint8"
    )
    for _ in range(2):
        dropped = dataset(str(tmp_path / "t.parquet"), tmp_path / "s.zarr", missing="drop")
        assert len(dropped) == NUM_ROWS - 5
        assert dropped.dropped["features"].tolist() == named[:5].tolist()
        batch = dropped.gather(np.arange(len(dropped)))
        assert np.array_equal(batch.inputs["features"], features_of(keys[5:]))
        with pytest.raises(MissingKeysError, match=f"5 of {NUM_ROWS:,} rows have a key that is not in"):
            dataset(str(tmp_path / "t.parquet"), tmp_path / "s.zarr")


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "link"])
def test_what_was_kept_and_is_damaged_is_made_again(table, store, damage, tmp_path, caplog):
    check_all(dataset(str(table), store))
    for number, path in enumerate(kept_files(table)):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        if damage == "link":
            path.rename(tmp_path / f"{number}")
            path.symlink_to(tmp_path / f"{number}")
        else:
            path.write_bytes({"flipped": content, "cut": content[:-8], "emptied": b""}[damage])
    check_all(dataset(str(table), store))
    assert "is damaged, and is made again" in caplog.text
    caplog.clear()
    check_all(dataset(str(table), store))
    assert "damaged" not in caplog.text


def test_places_that_are_wrong_and_believed_are_an_error_of_each_row_and_never_another_row(table, store):
    """The worst case: a join of another store, with the digests of the right one."""
    dataset(str(table), store)
    path = next(path for path in kept_files(table) if is_join(path))
    which, source, _ = path.stem.split("-")
    places = column_of(path).to_numpy().copy()
    places[:1000] = places[:1000][::-1]
    path.unlink()
    ArrayFiles(path.parent).add(which, source, lambda: pa.record_batch([pa.array(places)], names=["kept"]))
    data = dataset(str(table), store)
    for row in (0, 5, 999):
        with pytest.raises(RowError, match="it is another key's row"):
            data.gather([row])
    check(data.gather(np.arange(1000, NUM_ROWS)))


def test_a_disk_that_is_full_keeps_nothing_and_fails_nothing(table, store):
    dataset(str(table), store)
    for path in kept_files(table):
        path.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, hard))
    try:
        data = dataset(str(table), store)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_all(data)
    assert not kept_files(table)
    assert not list(table.with_name("table.parquet.rowlock").glob("*.partial"))


def rows_of(parts):
    return [part.gather(np.arange(len(part))).rows.tolist() for part in parts]


def test_a_split_that_was_kept_is_that_of_the_frame(table, store, keys):
    data, framed = dataset(str(table), store), dataset(frame_of(keys), store)
    ways = [{"seed": 3}, {"seed": 4}, {"stratify": "label"}, {"stratify": "label", "seed": 3}, {"group": "label"}]
    for how in [*ways, *ways[::-1]]:
        shares = (0.8, 0.1, 0.1) if "group" not in how else (0.5, 0.5)
        expected = rows_of(framed.split(*shares, **how))
        assert rows_of(data.split(*shares, **how)) == expected
        assert rows_of(dataset(str(table), store).split(*shares, **how)) == expected
    before = files_of(table)
    data.split(0.8, 0.1, 0.1, seed=3)
    assert files_of(table) == before
    assert len(kept_files(table)) == 3 + 2  # one a choice of columns
    part = data.split(0.5, 0.5)[0]
    assert rows_of(part.split(0.5, 0.5)) == rows_of(framed.split(0.5, 0.5)[0].split(0.5, 0.5))
    assert data.split(0.5, 0.5)[1].fingerprints == framed.split(0.5, 0.5)[1].fingerprints


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_keeps_nothing_and_fails_nothing(table, store):
    dataset(str(table), store)
    for path in kept_files(table):
        path.unlink()
    folder = table.with_name("table.parquet.rowlock")
    folder.chmod(0o500)
    try:
        check_all(dataset(str(table), store))
    finally:
        folder.chmod(0o700)


@pytest.mark.slow
def test_several_processes_make_a_join_once_and_all_are_right(table, store):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(table), str(store)], stdout=subprocess.PIPE, text=True,
                         env=environment)
        for _ in range(3)
    ]  # fmt: skip
    found = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({json.dumps(json.loads(one), sort_keys=True) for one in found}) == 1
    assert len(kept_files(table)) == 3
    check_all(dataset(str(table), store))
