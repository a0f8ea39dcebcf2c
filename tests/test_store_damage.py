"""Damage of any file of a store: an error, or the right data; never a third thing."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from rowlock.errors import RowlockError, StoreCorruptError, StoreFormatError
from rowlock.keys import Keys
from rowlock.store import FeatureStore
from rowlock.store.format import _digest

NUM_ROWS, NUM_COLUMNS = 23, 5


def values(salt=0):
    return np.random.default_rng(salt).standard_normal((NUM_ROWS, NUM_COLUMNS)).astype(np.float32)


def keys_of(kind):
    return {None: None, "int": list(range(100, 100 + NUM_ROWS)), "text": [f"key-{i:03}" for i in range(NUM_ROWS)]}[kind]


def make(path, kind, salt=0):
    """Several shards, several runs of the index."""
    matrix, keys = values(salt), keys_of(kind)
    store = FeatureStore.write(path, matrix[:17], keys=keys and keys[:17], shard_bytes=20 * 8)
    store.append(matrix[17:], keys and keys[17:])
    return store


def read_all(path, kind):
    """Read everything that a store can tell, in every way that it can be asked."""
    store = FeatureStore.open(path)
    keys = keys_of(kind)
    told = [store[:].tobytes(), store.shape, store.dtype, store.key_kind, store.key_name, store.columns]
    told += [getattr(store.statistics, name).tolist() for name in ("mean", "std", "min", "max", "share_of_zeros")]
    if kind:
        query = Keys.of(keys, "q")
        told += [store.keys.values().tolist(), store.find(query).tolist(), store.by_key(keys).tobytes()]
        nobody = {"int": [5], "text": ["nobody"]}[kind]
        told.append(store.find(Keys.of(nobody, "q")).tolist())
    return told


def files_of(path):
    return sorted(entry for entry in path.rglob("*") if entry.is_file())


def outcomes(path, kind, damages):
    """Apply each damage in turn, read, and undo it. Return how many were refused; raise on silent damage."""
    expected = read_all(path, kind)
    refused = 0
    for name, damage in damages:
        file = path / name
        original = file.read_bytes()
        file.unlink()  # a new file: what an earlier reader mapped stays as it was
        damage(file, original)
        try:
            told = read_all(path, kind)
        except RowlockError:
            refused += 1
        else:
            assert told == expected, f"silent: {name} {damage}"
        file.unlink(missing_ok=True)
        file.write_bytes(original)
    assert read_all(path, kind) == expected
    return refused


def flip(bit):
    def damage(file, original):
        data = bytearray(original)
        data[bit // 8] ^= 1 << (bit % 8)
        file.write_bytes(data)

    return damage


def flips(path, num_each, rng):
    for file in files_of(path):
        num_bits = 8 * file.stat().st_size
        for bit in rng.choice(num_bits, min(num_each, num_bits), replace=False).tolist():
            yield file.relative_to(path), flip(bit)


@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_no_flipped_bit_of_any_file_passes_unseen(tmp_path, kind):
    make(tmp_path / "s.zarr", kind)
    assert outcomes(tmp_path / "s.zarr", kind, flips(tmp_path / "s.zarr", 40, np.random.default_rng())) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_no_flipped_bit_at_all_passes_unseen(tmp_path, kind):
    make(tmp_path / "s.zarr", kind)
    assert outcomes(tmp_path / "s.zarr", kind, flips(tmp_path / "s.zarr", 10**9, np.random.default_rng(0))) > 0


@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_every_flipped_bit_of_the_matrix_and_its_checks_is_seen(tmp_path, kind):
    store = make(tmp_path / "s.zarr", kind)
    rows_in_tail = NUM_ROWS - (store._commit.num_shards - 1) * store._commit.rows_per_shard
    rng = np.random.default_rng()
    for name, num_bytes in [
        ("matrix/c.0.0", 160),
        ("matrix/c.2.0", 20 * rows_in_tail),
        ("row_check/c.0", 8 * NUM_ROWS),
    ]:
        bits = rng.choice(8 * num_bytes, 60, replace=False).tolist()
        assert outcomes(tmp_path / "s.zarr", kind, ((name, flip(bit)) for bit in bits)) == 60


@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_every_missing_file_is_missed(tmp_path, kind):
    make(tmp_path / "s.zarr", kind)
    names = [file.relative_to(tmp_path / "s.zarr") for file in files_of(tmp_path / "s.zarr")]
    needed = [name for name in names if "lock" not in name.name and str(name) != "key_index/zarr.json"]
    for name in needed:
        assert outcomes(tmp_path / "s.zarr", kind, [(name, lambda *_: None)]) == 1, name


@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_every_shorter_file_is_refused_when_opened_or_read(tmp_path, kind):
    store = make(tmp_path / "s.zarr", kind)
    tail = f"matrix/c.{store._commit.num_shards - 1}.0"
    committed = 20 * (NUM_ROWS % store._commit.rows_per_shard or store._commit.rows_per_shard)
    for file in files_of(tmp_path / "s.zarr"):
        name = str(file.relative_to(tmp_path / "s.zarr"))
        if "lock" in name or name == "key_index/zarr.json":
            continue
        size = committed if name == tail else file.stat().st_size
        lengths = {0, 1, size // 2, size - 1}
        cuts = [(name, lambda file, data, n=n: file.write_bytes(data[:n])) for n in lengths]
        assert outcomes(tmp_path / "s.zarr", kind, cuts) == len(cuts), name


@pytest.mark.parametrize("kind", [None, "int", "text"])
def test_what_lies_behind_the_commit_is_never_read(tmp_path, kind):
    make(tmp_path / "s.zarr", kind)
    names = [f.relative_to(tmp_path / "s.zarr") for f in files_of(tmp_path / "s.zarr") if f.name.startswith("c.")]
    longer = [(name, lambda file, data: file.write_bytes(data + b"garbage!" * 9)) for name in names]
    assert outcomes(tmp_path / "s.zarr", kind, longer) == 0


def test_swapped_shards_are_seen(tmp_path):
    path = tmp_path / "s.zarr"
    store = make(path, "int")
    for other in range(1, store._commit.num_shards - 1):
        shutil.copytree(path, tmp_path / "copy")
        (tmp_path / "copy/matrix/c.0.0").rename(tmp_path / "x")
        (tmp_path / f"copy/matrix/c.{other}.0").rename(tmp_path / "copy/matrix/c.0.0")
        (tmp_path / "x").rename(tmp_path / f"copy/matrix/c.{other}.0")
        with pytest.raises(StoreCorruptError) as caught:
            FeatureStore.open(tmp_path / "copy")[:]
        assert set(range(8)) <= set(caught.value.rows)
        shutil.rmtree(tmp_path / "copy")


@pytest.mark.parametrize("kind", [None, "int", "text"])
@pytest.mark.parametrize(
    "spliced",
    [
        ["matrix/c.0.0"],
        ["row_check/c.0"],
        ["matrix/c.0.0", "row_check/c.0"],
        ["keys/c.0", "key_bytes/c.0", "key_offsets/c.0"],
    ],
)
def test_files_of_another_store_of_the_same_shape_are_seen(tmp_path, kind, spliced):
    make(tmp_path / "s.zarr", kind)
    other = make(tmp_path / "other.zarr", kind, salt=1)
    spliced = [name for name in spliced if (tmp_path / "s.zarr" / name).exists()]
    if spliced and "key" in spliced[0]:  # the same bytes are no damage
        reverse = keys_of(kind)[::-1]
        other = FeatureStore.write(tmp_path / "other.zarr", values(), keys=reverse, shard_bytes=160, overwrite=True)
    for name in spliced:
        shutil.copy(other.path / name, tmp_path / "s.zarr" / name)
    if spliced:
        with pytest.raises(RowlockError):
            read_all(tmp_path / "s.zarr", kind)
        assert FeatureStore.open(tmp_path / "s.zarr").verify() != []


def test_an_earlier_version_of_a_shard_is_seen(tmp_path):
    store = FeatureStore.write(tmp_path / "s.zarr", values()[:4], shard_bytes=20 * 8)
    shutil.copy(tmp_path / "s.zarr/matrix/c.0.0", tmp_path / "lost")
    store.append(values()[4:])
    shutil.copy(tmp_path / "lost", tmp_path / "s.zarr/matrix/c.0.0")
    with pytest.raises(StoreFormatError, match="was cut off"):
        FeatureStore.open(tmp_path / "s.zarr")
    with (tmp_path / "s.zarr/matrix/c.0.0").open("ab") as file:
        file.truncate(20 * 8)
    with pytest.raises(StoreCorruptError) as caught:
        FeatureStore.open(tmp_path / "s.zarr")[:]
    assert caught.value.rows == (4, 5, 6, 7)


def test_the_message_says_row_key_file_offset_both_checks_and_what_to_do(tmp_path):
    path = tmp_path / "s.zarr"
    make(path, "text")
    data = bytearray((path / "matrix/c.1.0").read_bytes())
    data[2 * 20 + 7] ^= 4
    (path / "matrix/c.1.0").write_bytes(data)
    store = FeatureStore.open(path)
    with pytest.raises(StoreCorruptError) as caught:
        store[[3, 10, 4, 10]]
    message = str(caught.value)
    for part in (
        "row 10 (key 'key-010')",
        str(path),
        "matrix/c.1.0 at byte 40, 20 bytes long",
        "row_check ",
        "stored ",
        "2 of the 4",
        "verify()",
        "restore",
    ):
        assert part in message
    assert caught.value.rows == (10,)
    assert np.array_equal(store[[3, 4]], values()[[3, 4]]), "intact rows stay readable"
    assert [(first, stop) for first, stop, _ in store.verify()] == [(10, 11)]


def test_columns_and_casts_are_checked_before_they_are_made(tmp_path):
    path = tmp_path / "s.zarr"
    make(path, "int")
    data = bytearray((path / "matrix/c.0.0").read_bytes())
    data[3 * 20 + 16] ^= 1  # row 3, the last column
    (path / "matrix/c.0.0").write_bytes(data)
    store = FeatureStore.open(path)
    with pytest.raises(StoreCorruptError):
        store.gather(np.array([1, 3]), np.empty((2, 1), np.float64), np.array([0]))


def test_zeros_in_place_of_rows_are_seen_in_every_store(tmp_path):
    for name in ("a", "b"):
        store = FeatureStore.write(tmp_path / name, np.zeros((50, 4)), keys=range(50))
        assert not store[:].any(), "zeros that were written are fine"
    checks = [(tmp_path / name / "row_check/c.0").read_bytes() for name in ("a", "b")]
    assert checks[0] != checks[1]
    store = FeatureStore.write(tmp_path / "c", np.ones((50, 4)), keys=range(50))
    (tmp_path / "c/matrix/c.0.0").write_bytes(bytes(800))
    with pytest.raises(StoreCorruptError, match="50 of the 50"):
        FeatureStore.open(tmp_path / "c")[:]


GROUP = b'{"zarr_format": 3, "node_type": "group"'
NONSENSE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    GROUP + b"}",
    GROUP + b', "attributes": []}',
    GROUP.replace(b"group", b"array") + b', "attributes": {"rowlock": {}}}',
    GROUP + b', "attributes": {"rowlock": {"format": 1}}}',
    GROUP + b', "attributes": {"rowlock": {"format": "x", "digest": NaN}}}',
]


@pytest.mark.parametrize("text", NONSENSE, ids=range(len(NONSENSE)))
def test_a_root_of_nonsense_is_refused(tmp_path, text):
    make(tmp_path / "s.zarr", "int")
    (tmp_path / "s.zarr/zarr.json").write_bytes(text)
    with pytest.raises(StoreFormatError):
        FeatureStore.open(tmp_path / "s.zarr")


LIES = [
    {"num_rows": 1 << 60},
    {"num_rows": -1},
    {"num_rows": 1.5},
    {"num_rows": 22},
    {"num_rows": 24},
    {"num_columns": 0},
    {"rows_per_shard": 0},
    {"rows_per_shard": 3},
    {"key_bytes": 1 << 61},
    {"dtype": "object"},
    {"dtype": "float64"},
    {"layout": "csr"},
    {"key_kind": "text"},
    {"key_kind": None},
    {"key_index": []},
    {"key_index": [{"name": "../../x", "num_keys": 23, "digest": "0"}]},
    {"columns": ["a"]},
    {"uuid": "x"},
    {"uuid": "0" * 32},
    {"row_hash": "other"},
    {"surprise": 1},
]


@pytest.mark.parametrize("changes", LIES, ids=str)
def test_a_root_that_lies_with_a_valid_digest_is_refused_before_anything_is_allocated(tmp_path, changes):
    make(tmp_path / "s.zarr", "int")
    file = tmp_path / "s.zarr/zarr.json"
    root = json.loads(file.read_text())
    content = root["attributes"]["rowlock"] | changes
    content.pop("digest")
    root["attributes"]["rowlock"] = content | {"digest": _digest(content)}
    file.write_text(json.dumps(root))
    with pytest.raises(RowlockError):
        read_all(tmp_path / "s.zarr", "int")
