"""Damage of any file of a store: an error, or the right data; never a third thing."""

from __future__ import annotations

import contextlib
import json
import shutil

import numpy as np
import pytest

from rowlock.errors import RowlockError, StoreCorruptError, StoreFormatError
from rowlock.keys import Keys
from rowlock.store import FeatureStore
from rowlock.store.commit.format import _digest

NUM_ROWS, NUM_COLUMNS = 15, 5
ROW_BYTES = 4 * NUM_COLUMNS
SHARD_BYTES = {"raw": 6 * ROW_BYTES, "csr": 64, "packed": 200}

# Keys and layouts have files of their own: each appears, not each with each.
CASES = [("raw", None), ("csr", "int"), ("packed", "text"), ("raw", "text")]
every_case = pytest.mark.parametrize(("layout", "kind"), CASES, ids=str)
every_layout = pytest.mark.parametrize("layout", ["raw", "csr", "packed"])


def values(salt=0):
    """Rows of every density, one of them without a value."""
    rng = np.random.default_rng(salt)
    dense = rng.standard_normal((NUM_ROWS, NUM_COLUMNS)).astype(np.float32)
    return dense * (rng.random(dense.shape) < np.linspace(0, 1.2, NUM_ROWS)[:, None])


def keys_of(kind):
    return {None: None, "int": list(range(100, 100 + NUM_ROWS)), "text": [f"key-{i:03}" for i in range(NUM_ROWS)]}[kind]


def make(path, layout, kind, salt=0):
    """Several shards, several runs of the index."""
    matrix, keys = values(salt), keys_of(kind)
    store = FeatureStore.write(
        path, matrix[:11], keys=keys and keys[:11], layout=layout, shard_bytes=SHARD_BYTES[layout]
    )
    store.append(matrix[11:], keys and keys[11:])
    assert len(list((path / "matrix").rglob("c.*"))) > 2
    return store


def read_all(path, kind, io="mmap"):
    """Read everything that a store can tell, in every way that it can be asked."""
    store = FeatureStore.open(path, io)
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
    return sorted(entry for entry in path.rglob("*") if entry.is_file() and "lock" not in entry.name)


def outcomes(path, kind, damages, *, compared=1):
    """Apply each damage in turn, read, and undo it; raise on silent damage.

    One of `compared` is read in both ways, which must say the same. Return how many were refused.
    """
    expected = read_all(path, kind)
    refused = 0
    for number, (name, damage) in enumerate(damages):
        file = path / name
        original = file.read_bytes()
        file.unlink()  # a new file: what an earlier reader mapped stays as it was
        damage(file, original)
        told = told_or_refused(path, kind, "mmap")
        if number % compared == 0:
            assert told_or_refused(path, kind, "pread") == told, f"by pread something else: {name} {damage}"
        if isinstance(told, str):
            refused += 1
        else:
            assert told == expected, f"silent: {name} {damage}"
        file.unlink(missing_ok=True)
        file.write_bytes(original)
    assert read_all(path, kind) == expected
    return refused


def told_or_refused(path, kind, io):
    try:
        return read_all(path, kind, io)
    except RowlockError as error:
        return f"{type(error).__name__}: {error}"


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


def one_flip_in_every_byte(path, rng):
    """All files; in those of numbers every bit. Text is long, and a byte of it is as good as its bits."""
    for file in files_of(path):
        size = file.stat().st_size
        in_bytes = 8 * np.arange(size) + rng.integers(0, 8, size)
        for bit in in_bytes.tolist() if file.suffix == ".json" else range(8 * size):
            yield file.relative_to(path), flip(bit)


@every_case
def test_no_flipped_bit_of_any_file_passes_unseen(tmp_path, layout, kind):
    make(tmp_path / "s.zarr", layout, kind)
    assert outcomes(tmp_path / "s.zarr", kind, flips(tmp_path / "s.zarr", 25, np.random.default_rng(1))) > 0


@pytest.mark.slow
@every_case
def test_no_flipped_bit_at_all_passes_unseen(tmp_path, layout, kind):
    make(tmp_path / "s.zarr", layout, kind)
    damages = one_flip_in_every_byte(tmp_path / "s.zarr", np.random.default_rng(0))
    assert outcomes(tmp_path / "s.zarr", kind, damages, compared=7) > 1000


def bytes_of_rows(path):
    """Files and how many of their bytes belong to rows, hence must be right."""
    store = FeatureStore.open(path)
    commit = store._commit
    yield "row_check/c.0", 8 * NUM_ROWS
    if commit.layout == "raw":
        yield "matrix/c.0.0", 6 * ROW_BYTES
        yield "matrix/c.2.0", 3 * ROW_BYTES
    if commit.layout == "csr":
        yield "matrix/indptr/c.0", 8 * (NUM_ROWS + 1)
        for name, width in (("data", 4), ("indices", 2)):
            yield f"matrix/{name}/c.0", width * commit.cells_per_shard
            yield f"matrix/{name}/c.{commit.num_cells // commit.cells_per_shard}", width
    if commit.layout == "packed":
        yield "row_offsets/c.0", 8 * (NUM_ROWS + 1)
        for shard in (0, commit.num_shards - 1):
            yield f"matrix/c.{shard}.0", int(store._opened._matrix._sizes[shard])


@every_case
def test_every_flipped_bit_of_the_matrix_and_its_checks_is_seen(tmp_path, layout, kind):
    make(tmp_path / "s.zarr", layout, kind)
    rng = np.random.default_rng(2)
    for name, num_bytes in list(bytes_of_rows(tmp_path / "s.zarr")):
        bits = rng.choice(8 * num_bytes, min(40, 8 * num_bytes), replace=False).tolist()
        seen = outcomes(tmp_path / "s.zarr", kind, ((name, flip(bit)) for bit in bits))
        # A match of LZ4 may be told in two ways: a few flips of packed rows are no damage at all.
        assert seen == len(bits) or (layout == "packed" and name.startswith("matrix/") and seen > len(bits) / 2), name


@every_case
def test_every_missing_file_is_missed(tmp_path, layout, kind):
    make(tmp_path / "s.zarr", layout, kind)
    names = [file.relative_to(tmp_path / "s.zarr") for file in files_of(tmp_path / "s.zarr")]
    for name in names:
        if str(name) != "key_index/zarr.json":
            assert outcomes(tmp_path / "s.zarr", kind, [(name, lambda *_: None)]) == 1, name


@every_case
def test_every_shorter_file_is_refused_when_opened_or_read(tmp_path, layout, kind):
    commit = make(tmp_path / "s.zarr", layout, kind)._commit
    cells = commit.num_cells % commit.cells_per_shard or commit.cells_per_shard
    last = -(-commit.num_cells // commit.cells_per_shard) - 1
    committed = {  # what is behind it in the tail is nothing
        ("raw", f"matrix/c.{commit.num_shards - 1}.0"): ROW_BYTES * (NUM_ROWS % commit.rows_per_shard),
        ("csr", f"matrix/data/c.{last}"): 4 * cells,
        ("csr", f"matrix/indices/c.{last}"): 2 * cells,
        ("packed", f"matrix/c.{commit.num_shards - 1}.0"): commit.tail_bytes,
    }
    for file in files_of(tmp_path / "s.zarr"):
        name = str(file.relative_to(tmp_path / "s.zarr"))
        if name == "key_index/zarr.json":
            continue
        size = committed.get((layout, name)) or file.stat().st_size
        lengths = {0, 1, size // 2, size - 1}
        cuts = [(name, lambda file, data, n=n: file.write_bytes(data[:n])) for n in lengths]
        assert outcomes(tmp_path / "s.zarr", kind, cuts) == len(cuts), name


@every_case
def test_what_lies_behind_the_commit_is_never_read(tmp_path, layout, kind):
    make(tmp_path / "s.zarr", layout, kind)
    names = [f.relative_to(tmp_path / "s.zarr") for f in files_of(tmp_path / "s.zarr") if f.name.startswith("c.")]
    longer = [(name, lambda file, data: file.write_bytes(data + b"garbage!" * 9)) for name in names]
    assert outcomes(tmp_path / "s.zarr", kind, longer) == 0


@every_layout
def test_swapped_shards_are_seen(tmp_path, layout):
    path = tmp_path / "s.zarr"
    make(path, layout, "int")
    folder = {"raw": "matrix", "csr": "matrix/data", "packed": "matrix"}[layout]
    shards = sorted(file.name for file in (path / folder).glob("c.*"))
    for other in shards[1:-1]:
        shutil.copytree(path, tmp_path / "copy")
        (tmp_path / "copy" / folder / shards[0]).rename(tmp_path / "x")
        (tmp_path / "copy" / folder / other).rename(tmp_path / "copy" / folder / shards[0])
        (tmp_path / "x").rename(tmp_path / "copy" / folder / other)
        with pytest.raises(RowlockError) as caught:
            FeatureStore.open(tmp_path / "copy")[:]
        assert isinstance(caught.value, StoreCorruptError) or layout == "packed"
        shutil.rmtree(tmp_path / "copy")


def test_the_rows_of_swapped_shards_are_named(tmp_path):
    path = tmp_path / "s.zarr"
    make(path, "raw", "int")
    (path / "matrix/c.0.0").rename(tmp_path / "x")
    (path / "matrix/c.1.0").rename(path / "matrix/c.0.0")
    (tmp_path / "x").rename(path / "matrix/c.1.0")
    with pytest.raises(StoreCorruptError) as caught:
        FeatureStore.open(path)[:]
    assert caught.value.rows == tuple(range(12))


SPLICED = {
    "raw": [["matrix/c.0.0"]],
    "csr": [
        ["matrix/data/c.0"],
        ["matrix/indices/c.0"],
        ["matrix/indptr/c.0"],
        ["matrix/data/c.0", "matrix/indices/c.0"],
    ],
    "packed": [["matrix/c.0.0"], ["row_offsets/c.0"], ["matrix/c.0.0", "row_offsets/c.0"]],
}


@every_case
def test_files_of_another_store_of_the_same_shape_are_seen(tmp_path, layout, kind):
    make(tmp_path / "other.zarr", layout, kind, salt=1)
    alone = SPLICED[layout]
    everything = [str(f.relative_to(tmp_path / "other.zarr")) for f in (tmp_path / "other.zarr/matrix").rglob("c.*")]
    for names in [
        ["row_check/c.0"],
        *alone,
        *([*part, "row_check/c.0"] for part in alone),
        [*everything, "row_check/c.0"],
    ]:
        make(tmp_path / "s.zarr", layout, kind)
        for name in names:
            shutil.copy(tmp_path / "other.zarr" / name, tmp_path / "s.zarr" / name)
        with pytest.raises(RowlockError):
            read_all(tmp_path / "s.zarr", kind)
        with contextlib.suppress(StoreFormatError):  # some cannot even be opened
            assert FeatureStore.open(tmp_path / "s.zarr").verify() != []
        shutil.rmtree(tmp_path / "s.zarr")


@pytest.mark.parametrize("kind", ["int", "text"])
def test_keys_of_another_store_are_seen(tmp_path, kind):
    make(tmp_path / "s.zarr", "raw", kind)
    other = FeatureStore.write(
        tmp_path / "other.zarr", values(), keys=keys_of(kind)[::-1], layout="raw", shard_bytes=120
    )
    for name in {"int": ["keys/c.0"], "text": ["key_bytes/c.0", "key_offsets/c.0"]}[kind]:
        shutil.copy(other.path / name, tmp_path / "s.zarr" / name)
    with pytest.raises(RowlockError):
        read_all(tmp_path / "s.zarr", kind)
    assert FeatureStore.open(tmp_path / "s.zarr").verify() != []


def test_an_earlier_version_of_a_shard_is_seen(tmp_path):
    store = FeatureStore.write(tmp_path / "s.zarr", values()[:4], layout="raw", shard_bytes=20 * 8)
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
    make(path, "raw", "text")
    data = bytearray((path / "matrix/c.1.0").read_bytes())
    data[4 * 20 + 7] ^= 4
    (path / "matrix/c.1.0").write_bytes(data)
    store = FeatureStore.open(path)
    with pytest.raises(StoreCorruptError) as caught:
        store[[3, 10, 4, 10]]
    message = str(caught.value)
    for part in (
        "row 10 (key 'key-010')",
        str(path),
        "matrix/c.1.0 at byte 80, 20 bytes long",
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
    make(path, "raw", "int")
    data = bytearray((path / "matrix/c.0.0").read_bytes())
    data[3 * 20 + 16] ^= 1  # row 3, the last column
    (path / "matrix/c.0.0").write_bytes(data)
    store = FeatureStore.open(path)
    with pytest.raises(StoreCorruptError):
        store.gather(np.array([1, 3]), np.empty((2, 1), np.float64), np.array([0]))


def test_zeros_in_place_of_rows_are_seen_in_every_store(tmp_path):
    for name in ("a", "b"):
        store = FeatureStore.write(tmp_path / name, np.zeros((50, 4)), keys=range(50), layout="raw")
        assert not store[:].any(), "zeros that were written are fine"
    checks = [(tmp_path / name / "row_check/c.0").read_bytes() for name in ("a", "b")]
    assert checks[0] != checks[1]
    store = FeatureStore.write(tmp_path / "c", np.ones((50, 4)), keys=range(50), layout="raw")
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
    make(tmp_path / "s.zarr", "raw", "int")
    (tmp_path / "s.zarr/zarr.json").write_bytes(text)
    with pytest.raises(StoreFormatError):
        FeatureStore.open(tmp_path / "s.zarr")


LIES = [
    {"num_rows": 1 << 60},
    {"num_rows": -1},
    {"num_rows": 1.5},
    {"num_rows": NUM_ROWS - 1},
    {"num_rows": NUM_ROWS + 1},
    {"num_columns": 0},
    {"rows_per_shard": 0},
    {"rows_per_shard": 3},
    {"key_bytes": 1 << 61},
    {"dtype": "object"},
    {"dtype": "float64"},
    {"layout": "csr"},
    {"layout": "packed"},
    {"layout": "auto"},
    {"layout": "other"},
    {"num_cells": 76},
    {"cells_per_shard": 0},
    {"tail_bytes": -1},
    {"shuffle": 2},
    {"layout_reason": 3},
    {"key_kind": "text"},
    {"key_kind": None},
    {"key_index": []},
    {"key_index": [{"name": "../../x", "num_keys": NUM_ROWS, "digest": "0"}]},
    {"columns": ["a"]},
    {"uuid": "x"},
    {"uuid": "0" * 32},
    {"row_hash": "other"},
    {"surprise": 1},
]


LIES_OF_LAYOUTS = [
    ("csr", {"num_cells": 1 << 60}),
    ("csr", {"num_cells": 75}),
    ("csr", {"num_cells": 3}),
    ("csr", {"cells_per_shard": 5}),
    ("csr", {"cells_per_shard": 1 << 40}),
    ("csr", {"layout": "packed"}),
    ("csr", {"num_columns": 4}),
    ("csr", {"dtype": "int32"}),
    ("packed", {"rows_per_shard": 1}),
    ("packed", {"rows_per_shard": 1 << 40}),
    ("packed", {"shuffle": True}),
    ("packed", {"layout": "raw"}),
    ("packed", {"num_columns": 6}),
]


def rewrite_root(path, changes):
    """Tell other things in the commit, under a digest that fits."""
    root = json.loads((path / "zarr.json").read_text())
    content = root["attributes"]["rowlock"] | changes
    content.pop("digest")
    root["attributes"]["rowlock"] = content | {"digest": _digest(content)}
    (path / "zarr.json").write_text(json.dumps(root))


@pytest.mark.parametrize(("layout", "changes"), [*(("raw", lie) for lie in LIES), *LIES_OF_LAYOUTS], ids=str)
def test_a_root_that_lies_with_a_valid_digest_is_refused_before_anything_is_allocated(tmp_path, layout, changes):
    make(tmp_path / "s.zarr", layout, "int")
    rewrite_root(tmp_path / "s.zarr", changes)
    with pytest.raises(RowlockError):
        read_all(tmp_path / "s.zarr", "int")


@every_layout
def test_metadata_that_all_tell_the_same_lie_allocate_nothing(tmp_path, layout):
    """A million times a million rows in a file each: refused at the first file that is missing."""
    store = FeatureStore.write(tmp_path / "s.zarr", values(), layout=layout, shard_bytes=SHARD_BYTES[layout])
    many = 1 << 50
    changes = {"num_rows": many, "num_cells": 4 * many if layout == "csr" else 0, "statistics": None}
    arrays = {"matrix": [many, NUM_COLUMNS], "row_check": [many]}
    if layout == "csr":
        arrays |= {f"matrix/{name}": [4 * many + 1] for name in ("data", "indices", "indptr")}
    if layout == "packed":
        arrays["row_offsets"] = [many + 1]
    for name, shape in arrays.items():
        file = store.path / name / "zarr.json"
        metadata = json.loads(file.read_text())
        (metadata["attributes"] if "shape" in metadata["attributes"] else metadata)["shape"] = shape
        file.write_text(json.dumps(metadata))
    rewrite_root(store.path, changes)
    with pytest.raises(StoreFormatError):
        FeatureStore.open(store.path)
