"""Offsets, places and rows that are read from files of a store: whatever stands there, memory stays as it was."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rowlock as rl
from rowlock import key_kernels
from rowlock.errors import SourceError, StoreCorruptError
from rowlock.keys import Keys
from rowlock.sources.csr import checked_indptr
from rowlock.text_array import TextArray

GUARD = 64
DATA = np.frombuffer("ab cdé fghijkl mnopqrstu".encode(), np.uint8)
EXTREME = [0, 1, -1, len(DATA), len(DATA) + 1, 2**31, 2**63 - 1, -(2**63), 2**62]
any_number = st.one_of(st.integers(-3, len(DATA) + 3), st.sampled_from(EXTREME), st.integers(-(2**63), 2**63 - 1))
offset_lists = st.lists(any_number, min_size=1, max_size=9).map(lambda values: np.array(values, np.int64))
row_lists = st.lists(any_number, max_size=9).map(lambda values: np.array(values, np.int64))


def guarded(num_items, dtype):
    """Memory with a margin on both sides, and the part in the middle."""
    whole = np.full(num_items + 2 * GUARD, 77, dtype)
    return whole, whole[GUARD : GUARD + num_items]


def margins_are_whole(whole):
    return (whole[:GUARD] == 77).all() and (whole[len(whole) - GUARD :] == 77).all()


def text_at(offsets, row):
    """What a slow and careful reader finds; None where the offsets make no sense."""
    if not 0 <= row < len(offsets) - 1:
        return None
    start, stop = int(offsets[row]), int(offsets[row + 1])
    return DATA[start:stop].tobytes() if 0 <= start <= stop <= len(DATA) else None


@given(offset_lists, row_lists)
def test_loops_over_text_count_what_cannot_be_read_and_hash_the_rest(offsets, rows):
    texts = [text_at(offsets, int(row)) for row in rows]
    whole, out = guarded(len(rows), np.uint64)
    assert key_kernels.hash_text(DATA, offsets, rows, out) == texts.count(None)
    expected = [0 if text is None else int(hash_of(text)) for text in texts]
    assert out.tolist() == expected
    assert margins_are_whole(whole)
    whole, out = guarded(len(offsets) - 1, np.uint64)
    every = [text_at(offsets, row) for row in range(len(offsets) - 1)]
    assert key_kernels.hash_all_text(DATA, offsets, out) == every.count(None)
    assert margins_are_whole(whole)


def hash_of(text):
    return TextArray(np.frombuffer(text, np.uint8), np.array([0, len(text)])).hash()[0]


@given(offset_lists, row_lists, st.data())
def test_the_loop_that_copies_text_writes_inside_of_its_output_alone(offsets, rows, data):
    places = st.lists(any_number, min_size=len(rows) + 1, max_size=len(rows) + 1)
    out_offsets = np.array(data.draw(places), np.int64)
    whole, out = guarded(data.draw(st.integers(0, 40)), np.uint8)
    num_bad = key_kernels.copy_text(DATA, offsets, rows, out, out_offsets)
    assert margins_are_whole(whole)
    assert num_bad >= [text_at(offsets, int(row)) for row in rows].count(None)


@given(offset_lists, row_lists, row_lists)
def test_text_that_cannot_be_read_equals_nothing(offsets, left, right):
    left, right = left[: len(right)], right[: len(left)]
    whole, out = guarded(len(left), np.bool_)
    whole[:] = True
    key_kernels.equal_text(DATA, offsets, left, DATA, offsets, right, out)
    texts = [(text_at(offsets, int(one)), text_at(offsets, int(other))) for one, other in zip(left, right, strict=True)]
    assert out.tolist() == [one is not None and one == other for one, other in texts]


@given(offset_lists, st.data())
def test_keys_are_taken_as_they_are_or_refused_as_a_whole(offsets, data):
    keys = Keys(TextArray(DATA, offsets, "/a/store.zarr"))
    rows = np.array(
        data.draw(st.lists(st.integers(0, max(0, len(keys) - 1)), max_size=9 * min(1, len(keys)))), np.int64
    )
    texts = [text_at(offsets, int(row)) for row in rows]
    lengths = {int(row): len(text) for row, text in zip(rows, texts, strict=True) if text is not None}
    if None in texts or sum(lengths.values()) > len(DATA):  # the latter: they overlap
        every = [text_at(offsets, row) for row in range(len(keys))]
        with pytest.raises(StoreCorruptError, match="/a/store.zarr") as caught:
            keys.take(rows)
        assert caught.value.rows == tuple(row for row, text in enumerate(every) if text is None) != ()
        assert f"the key of row {caught.value.rows[0]} would be bytes" in str(caught.value)
    else:
        taken = keys.take(rows)
        assert taken.values().tolist() == [text.decode("utf-8", "backslashreplace") for text in texts]


@given(st.lists(st.sampled_from([0, 1, 5, 2**62, 2**63 - 1, -1, -(2**63), -(2**62)]), min_size=1, max_size=6))
def test_an_indptr_whose_differences_wrap_is_refused(middle):
    edges = np.array([0, *middle, 5], np.int64)
    ascends = all(one <= other for one, other in zip([0, *middle], [*middle, 5], strict=True))
    with contextlib.nullcontext() if ascends else pytest.raises(SourceError):
        checked_indptr("x.npz", edges, len(edges) - 1, 5)


NUM_ROWS = 2000


@pytest.fixture
def damaged(tmp_path):
    """A store with text keys, in whose offsets one bit is flipped: key 9 ends behind key 10."""
    path, names = tmp_path / "s.zarr", [f"key{i}" for i in range(NUM_ROWS)]
    matrix = np.arange(NUM_ROWS * 4, dtype=np.float32).reshape(-1, 4)
    rl.FeatureStore.write(path, matrix, keys=pd.Series(names, name="id"))
    change(path / "key_offsets" / "c.0", {10: lambda offset: offset ^ 1 << 13})
    return path, names, matrix


def change(file, changes):
    numbers = np.frombuffer(file.read_bytes(), np.int64).copy()
    for place, damage in changes.items():
        numbers[place] = damage(int(numbers[place]))
    file.unlink()  # a new file: what is mapped stays as it was
    file.write_bytes(numbers.tobytes())


@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_damaged_offsets_of_keys_are_called_damage_with_store_row_and_cure(damaged, io):
    path, names, matrix = damaged
    store = rl.FeatureStore.open(path, io)
    frame = pd.DataFrame({"id": names})
    tries = [
        lambda: rl.Dataset(frame, {"g": rl.Features(path, io=io)}, key="id"),
        lambda: store.by_key(names),
        lambda: store.keys,
    ]
    for one in tries:
        with pytest.raises(StoreCorruptError) as caught:
            one()
        message = str(caught.value)
        for part in (str(path), "row 10 would be bytes 8,232..45", "by number", "verify()", "write the store again"):
            assert part in message
        assert caught.value.rows == (10,)
    assert np.array_equal(store[[8, 11, 1999]], matrix[[8, 11, 1999]]), "whole rows stay readable"
    for row in (9, 10):
        with pytest.raises(StoreCorruptError) as caught:
            store[[8, row]]
        assert caught.value.rows == (row,)
        assert len(str(caught.value)) < 1000, "a key that has become a thousand keys is not shown whole"
    assert [found[:2] for found in store.verify()] == [(9, 11), (0, NUM_ROWS)]


def test_a_key_that_became_another_is_named_by_its_row(damaged):
    path, names, _ = damaged
    change(path / "key_offsets" / "c.0", {10: lambda offset: (offset ^ 1 << 13) - 1})  # "key" and "9key10"
    with pytest.raises(StoreCorruptError, match=r"run-00000001.*the key of row 9 is not the one.*\(2 such\)") as caught:
        rl.FeatureStore.open(path).by_key(names)
    assert caught.value.rows == (9, 10)


def test_a_number_that_became_another_key_is_named_by_its_row(tmp_path):
    path = tmp_path / "s.zarr"
    rl.FeatureStore.write(path, np.ones((50, 2)), keys=np.arange(50) * 7)
    change(path / "keys" / "c.0", {31: lambda number: number + 1})
    with pytest.raises(StoreCorruptError, match="the key of row 31 is not the one that was indexed") as caught:
        rl.FeatureStore.open(path).by_key([7, 217])
    assert caught.value.rows == (31,)


DAMAGER = """
import sys
import numpy as np
import pandas as pd
import rowlock as rl
from rowlock.errors import RowlockError, StoreError
from pathlib import Path

folder, layout, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
rng = np.random.default_rng(seed)
names = [f"key-{i:05}" for i in range(300)]
matrix = rng.standard_normal((300, 6)).astype(np.float32) * (rng.random((300, 6)) < 0.5)
store = rl.FeatureStore.write(folder / "s.zarr", matrix[:200], keys=pd.Series(names[:200], name="id"), layout=layout,
                              shard_bytes=2000)
store.append(matrix[200:], names[200:])
files = ["key_offsets/c.0", "row_check/c.0", "key_index/*/c.0.0", "statistics/**/c.0*"]
files += {"csr": ["matrix/indptr/c.0", "matrix/indices/c.0"], "packed": ["row_offsets/c.0"], "raw": []}[layout]
files = sorted({file for pattern in files for file in store.path.glob(pattern) if file.is_file()})
assert len(files) >= 4
frame = pd.DataFrame({"id": names})
refused = tries = 0


def damaged(numbers, kind):
    at = rng.integers(0, len(numbers), rng.integers(1, 9))
    if kind == 0:
        numbers[at] ^= np.left_shift(np.int64(1), rng.integers(0, 63, len(at)))
    elif kind == 1:
        numbers[at] = rng.integers(-(2**63), 2**63 - 1, len(at))
    elif kind == 2:
        numbers[at] = rng.choice([0, -1, 2**63 - 1, -(2**63), 2**62, 3000, 10**6], len(at))
    else:
        numbers[:] = rng.permutation(numbers) if kind == 3 else rng.integers(-(2**63), 2**63 - 1, len(numbers))


def uses(path, io):
    yield lambda: rl.FeatureStore.open(path, io)[:]
    yield lambda: rl.FeatureStore.open(path, io).by_key(names)
    yield lambda: rl.FeatureStore.open(path, io).keys.values()
    yield lambda: rl.FeatureStore.open(path, io).verify()
    yield lambda: rl.FeatureStore.open(path, io).statistics
    yield lambda: rl.Dataset(frame, {"g": rl.Features(path, io=io)}, key="id").gather(range(300))


for number in range(40):
    file = files[number % len(files)]
    original = file.read_bytes()
    words = np.frombuffer(original[: len(original) // 8 * 8], np.int64).copy()
    damaged(words, rng.integers(0, 5))
    file.unlink()
    file.write_bytes(words.tobytes() + original[len(words) * 8 :])
    for use in uses(store.path, "pread" if number % 3 == 0 else "mmap"):
        tries += 1
        try:
            use()
        except RowlockError as error:
            refused += 1
            assert isinstance(error, StoreError) or isinstance(error.__cause__, StoreError), repr(error)
    if number % 10 == 9:
        try:
            rl.FeatureStore.open(store.path).repair(matrix, keys=names)
        except StoreError:
            pass
        rl.FeatureStore.write(folder / "new.zarr", matrix, keys=pd.Series(names, name="id"), overwrite=True)
    file.unlink()
    file.write_bytes(original)
    held = [bytes(size) for size in range(100, 20000, 100)]  # walks through the heap
    del held
print("whole", tries, refused)
"""


def checking_allocator():
    """The environment in which the C library looks at its heap at every step, as far as this one can."""
    name = "libc_malloc_debug.so.0"  # since glibc 2.34 the checks are in a library of their own
    try:
        ctypes.CDLL(name)
    except OSError:
        name = ""
    return {
        "LD_PRELOAD": name,
        "MALLOC_CHECK_": "3",
        "GLIBC_TUNABLES": "glibc.malloc.check=3",
        "MALLOC_PERTURB_": "165",
    }


@pytest.mark.parametrize("layout", ["raw", "csr", "packed"])
@pytest.mark.parametrize("seed", range(int(os.environ.get("ROWLOCK_DAMAGE_SEEDS", "2"))))
def test_no_damage_of_any_offset_ends_the_process_or_is_anything_but_an_error_of_the_store(tmp_path, layout, seed):
    script = tmp_path / "damager.py"
    script.write_text(DAMAGER)
    source = str(Path(rl.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-X", "faulthandler", script, tmp_path, layout, str(seed)],
        env=os.environ | checking_allocator() | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    word, tries, refused = ran.stdout.split()
    assert (word, int(tries) > 200, int(refused) > 50) == ("whole", True, True)
