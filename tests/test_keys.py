"""Keys: whole numbers or text, from whatever people have, exact and without surprises."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.errors import KeyTypeError
from rowlock.keys import Keys, key_name
from rowlock.store.index.key_index import KeyIndex, SortedRun

TEXTS = st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20), max_size=40)
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40)


@pytest.mark.parametrize(
    "values",
    [
        [3, 1, 2],
        (3, 1, 2),
        range(3, 6),
        np.array([3, 1], np.uint8),
        np.array([3, 1], np.uint64),
        np.array([3, 1], ">i4"),
        np.array([3, np.int8(1)], object),
        pd.Series([3, 1]),
        pd.Series([3, 1], dtype="Int64"),
        pd.Index([3, 1]),
        pl.Series([3, 1]),
        pl.Series([3, 1], dtype=pl.UInt16),
        pa.array([3, 1]),
        pa.chunked_array([[3], [1]]),
        [],
    ],
    ids=lambda values: type(values).__module__ + "." + str(getattr(values, "dtype", type(values).__name__)),
)
def test_whole_numbers_are_taken_from_whatever_holds_them(values):
    keys = Keys.of(values, "x")
    assert keys.kind == "int"
    assert keys.values().dtype == np.int64
    assert keys.values().tolist() == [int(value) for value in np.asarray(values).tolist()]


@pytest.mark.parametrize(
    "values",
    [
        ["007", "ü", ""],
        np.array(["007", "ü", ""]),
        np.array(["007", "ü", ""], object),
        np.array(["007", "ü", ""], np.dtypes.StringDType()),
        pd.Series(["007", "ü", ""]),
        pd.Series(["007", "ü", ""], dtype=object),
        pd.Series(["007", "ü", ""], dtype="category"),
        pd.Series(["007", "ü", ""], dtype="string"),
        pl.Series(["007", "ü", ""]),
        pl.Series(["007", "ü", ""], dtype=pl.Categorical),
        pl.Series(["007", "ü", ""], dtype=pl.Enum(["007", "ü", ""])),
        pa.array(["007", "ü", ""]),
        pa.array(["x", "007", "ü", "", "y"])[1:4],
        pa.array(["007", "ü", ""], pa.string_view()),
        pa.array(["007", "ü", ""]).dictionary_encode(),
        pa.chunked_array([["007"], ["ü", ""]]),
    ],
    ids=lambda values: type(values).__module__ + "." + str(getattr(values, "dtype", getattr(values, "type", ""))),
)
def test_text_is_taken_from_whatever_holds_it(values):
    keys = Keys.of(values, "x")
    assert keys.kind == "text"
    assert keys.values().tolist() == ["007", "ü", ""]
    assert keys.hash().tolist() == Keys.of(["007", "ü", ""], "x").hash().tolist()


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1, "a"], "1 (position 0)"),
        (pd.Series([1, "a"], dtype=object), "1 (position 0)"),
        ([1.5], "1.5 (position 0)"),
        (np.array([1.0, 2.0]), "1.0 (position 0), 2.0 (position 1)"),
        (pd.Series([1, None]), "None (position 1)"),
        (pd.Series([1.0, 2.0]), "1.0 (position 0)"),
        (pd.Series([1, None], dtype="Int64"), "None (position 1)"),
        (pl.Series([1, None, 3, None]), "None (position 1), None (position 3)"),
        (pd.Series(["a", None]), "(position 1)"),
        (["a", None], "None (position 1)"),
        (["a", float("nan")], "nan (position 1)"),
        ([True, False], "True (position 0)"),
        ([3, True], "True (position 1)"),
        (np.array([True]), "True (position 0)"),
        (pd.Series([True]), "True (position 0)"),
        ([b"x"], "b'x' (position 0)"),
        (np.array([b"x"]), "b'x' (position 0)"),
        (pa.array([b"x"]), "b'x' (position 0)"),
        (np.array([1, 2**63], np.uint64), "9223372036854775808 (position 1)"),
        ([5, 2**63], "9223372036854775808 (position 1)"),
        (pl.Series([2**63], dtype=pl.UInt64), "9223372036854775808 (position 0)"),
        (np.array(["2020"], "M8[D]"), "2020"),
        (pa.array([1.5]), "1.5 (position 0)"),
        (pd.Series([1.5, 2.5], dtype="category"), "1.5 (position 0)"),
        (np.ma.masked_array([1, 2], [False, True]), "(position 1)"),
        (["\ud800"], "not valid Unicode"),
        (np.zeros((2, 2), int), "shape (2, 2)"),
        ("abc", "not str"),
        (None, "not NoneType"),
        ({"a": 1}, "not dict"),
        (5, "not iterable"),
    ],
)
def test_what_cannot_be_a_key_is_refused_with_its_place(values, shown):
    with pytest.raises(KeyTypeError) as caught:
        Keys.of(values, "the frame's column 'object_id'")
    assert "the frame's column 'object_id'" in str(caught.value) or "Unicode" in str(caught.value)
    assert shown in str(caught.value)


def test_the_name_of_a_series_is_known_and_is_no_part_of_the_keys():
    assert key_name(pd.Series([1], name="object_id")) == "object_id"
    assert key_name(pl.Series("object_id", [1])) == "object_id"
    assert key_name(pd.Series([1])) is None
    assert key_name([1]) is None
    assert not hasattr(Keys.of(pd.Series([1], name="object_id"), "x"), "name")


def test_later_changes_of_the_users_array_have_no_effect():
    mine = np.array([1, 2, 3])
    keys = Keys.of(mine, "x")
    mine[:] = 0
    assert keys.values().tolist() == [1, 2, 3]


def test_the_hashes_on_disk_never_change_under_their_name():
    numbers = Keys.of([0, 1, -1, 2**63 - 1], "x").hash()
    texts = Keys.of(["", "a", "12345678", "123456789"], "x").hash()
    assert [f"{word:016x}" for word in numbers.tolist()] == GOLDEN_NUMBERS
    assert [f"{word:016x}" for word in texts.tolist()] == GOLDEN_TEXTS


@given(values=TEXTS | NUMBERS, data=st.data())
def test_take_concat_values_and_hash_agree_with_lists(values, data):
    keys = Keys.of(values, "x") if values else Keys.of(pl.Series([], dtype=pl.String), "x")
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=30)) if values else []
    taken = keys.take(np.array(rows, np.int64))
    assert taken.values().tolist() == [values[row] for row in rows]
    assert keys.values(np.array(rows, np.int64)).tolist() == [values[row] for row in rows]
    assert taken.hash().tolist() == keys.hash()[rows].tolist()
    start, stop = sorted(data.draw(st.tuples(st.integers(0, 40), st.integers(0, 40))))
    part = keys.take(slice(start, stop))
    assert part.values().tolist() == values[start:stop]
    assert Keys.concat([part, taken, part]).values().tolist() == [
        *values[start:stop],
        *(values[r] for r in rows),
        *values[start:stop],
    ]
    assert keys.equal(np.array(rows, np.int64), taken, np.arange(len(rows))).all()


@given(values=st.lists(st.sampled_from(["a", "b", "ab", "", "aaaaaaaaa", "aaaaaaaab"]), min_size=1, max_size=30))
def test_repeated_finds_every_row_that_has_an_earlier_key(values):
    expected = [i for i, value in enumerate(values) if value in values[:i]]
    assert Keys.of(values, "x").repeated().tolist() == expected


def test_text_is_never_a_number():
    texts, numbers = Keys.of(["7"], "x"), Keys.of([7], "x")
    with pytest.raises(KeyTypeError, match="cannot be compared"):
        texts.equal(np.array([0]), numbers, np.array([0]))
    with pytest.raises(KeyTypeError, match="put together"):
        Keys.concat([texts, numbers])


def test_messages_show_the_first_keys_and_count_the_rest():
    keys = Keys.of(["a17", "b02", "c", "d", "e"], "x")
    assert keys.describe(np.array([0, 1, 2, 3, 4]), most=2) == "'a17', 'b02' and 3 more"
    assert Keys.of([7], "x").describe() == "7"


@given(
    values=st.lists(st.integers(-50, 50), min_size=1, unique=True),
    wanted=st.lists(st.integers(-60, 60)),
    parts=st.integers(1, 4),
)
def test_an_index_of_several_runs_finds_what_a_dict_finds(values, wanted, parts):
    for kind in (int, str):
        stored = Keys.of([kind(value) for value in values], "x")
        edges = np.linspace(0, len(values), parts + 1).astype(int)
        runs = [SortedRun.of(stored.hash()[a:b], a) for a, b in itertools.pairwise(edges) if b > a]
        index = KeyIndex(runs, lambda stored=stored: stored, stored.kind, "growth.zarr")
        places = {value: row for row, value in enumerate(values)}
        query = Keys.of([kind(value) for value in wanted], "x") if wanted else stored.take(slice(0, 0))
        assert index.find(query).tolist() == [places.get(value, -1) for value in wanted]


def colliding_texts(count):
    """Texts of 16 letters with one hash: the second word undoes what the first one changed."""
    full, golden = (1 << 64) - 1, 0x9E3779B97F4A7C15

    def mix(word):
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & full
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & full
        return word ^ (word >> 31)

    start = mix((16 + 0x8A5CD789635D2DFF) & full)
    wanted = mix(((start ^ int.from_bytes(b"00000000", "little")) + golden) & full) ^ int.from_bytes(
        b"ABCDEFGH", "little"
    )
    found = []
    for number in range(10**6):
        first = b"%08d" % number
        second = mix(((start ^ int.from_bytes(first, "little")) + golden) & full) ^ wanted
        if second & 0x8080808080808080 == 0:
            found.append((first + second.to_bytes(8, "little")).decode("ascii"))
        if len(found) == count:
            return found
    raise AssertionError


def test_texts_with_one_hash_are_told_apart():
    a, b, c, z = texts = colliding_texts(4)
    assert len(set(Keys.of(texts, "x").hash().tolist())) == 1
    stored = Keys.of([a, b, c], "x")
    index = KeyIndex([SortedRun.of(stored.hash(), 0)], lambda: stored, "text", "growth.zarr")
    assert index.find(Keys.of([c, z, a, b, c], "x")).tolist() == [2, -1, 0, 1, 2]
    assert Keys.of([a, b, a, c, b], "x").repeated().tolist() == [2, 4]


def test_a_join_of_text_and_numbers_is_refused_with_both_shown():
    stored = Keys.of(["007", "008"], "x")
    index = KeyIndex([SortedRun.of(stored.hash(), 0)], lambda: stored, "text", "growth.zarr")
    with pytest.raises(KeyTypeError) as caught:
        index.find(Keys.of([7, 8], "x"), "the frame's column 'object_id'")
    message = str(caught.value)
    assert message.startswith(
        "store 'growth.zarr' has text keys ('007', ...), the frame's column 'object_id' has int keys (7, ...)."
    )
    assert 'dtype={"object_id": str}' in message


GOLDEN_NUMBERS = ["e220a8397b1dcdaf", "910a2dec89025cc1", "e4d971771b652c20", "2a67d7552e039ea7"]
GOLDEN_TEXTS = ["39c1078d7e982ebf", "e8728ff34875185a", "2df282f7683792cc", "3d32f39f46230a0e"]


@given(st.integers(0, 3000), st.integers(0, 64), st.integers(0, 2**32 - 1))
def test_many_hashes_are_sorted_and_found_as_numpy_does(num_words, num_bits, seed):
    """Few bits: many equal words, and many that differ in the lower bits alone."""
    from rowlock.join_kernels import locate, sort_words

    rng = np.random.default_rng(seed)
    shift = np.uint64(rng.integers(0, 64))
    words = (rng.integers(0, 2**num_bits, num_words, np.uint64, endpoint=num_bits < 64) if num_bits < 64
             else rng.integers(0, 2**64 - 1, num_words, np.uint64, endpoint=True)) << shift  # fmt: skip
    ordered, order = np.empty_like(words), np.empty(num_words, np.int64)
    sort_words(words, ordered, order)
    assert np.array_equal(ordered, np.sort(words))
    assert np.array_equal(order, np.argsort(words, kind="stable"))
    stored = np.sort(rng.choice(words, num_words // 2)) if num_words else words
    places = np.empty(num_words, np.int64)
    locate(stored, ordered, places)
    assert np.array_equal(places, np.searchsorted(stored, ordered))


def unmixed(words):
    """Return the numbers that have these hashes: the steps of ``mix64`` backwards."""
    words = words.copy()
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9)):
        words ^= words >> np.uint64(shift) ^ words >> np.uint64(2 * shift)
        words *= np.uint64(pow(factor, -1, 2**64))
    words ^= words >> np.uint64(30) ^ words >> np.uint64(60)
    return (words - np.uint64(0x9E3779B97F4A7C15)).view(np.int64)


def test_keys_that_were_chosen_to_have_nearly_the_same_hash_are_found_all_the_same(rng):
    """So many that a sort that takes the square of their number of steps would not end in time."""
    num_keys = 1_500_000
    lower = np.unique(rng.integers(0, 2**42, num_keys + 1000, np.uint64))[:num_keys]
    numbers = rng.permutation(unmixed(np.uint64(0xABCDE) << np.uint64(44) | lower))
    stored = Keys.of(numbers, "x")
    assert np.array_equal(np.unique(stored.hash() >> np.uint64(42)), [0xABCDE << 2])
    order = rng.permutation(num_keys)
    index = KeyIndex([SortedRun.of(stored.hash(), 0)], lambda: stored, "int", "store")
    assert np.array_equal(index.find(Keys.of(numbers[order], "x")), order)


@pytest.mark.parametrize("kind", [np.int64, str])
def test_a_join_of_many_keys_finds_each_and_misses_what_is_not_there(kind, rng):
    numbers = rng.permutation(60_000)
    stored = Keys.of(numbers[:50_000].astype(kind), "x")
    runs = [
        SortedRun.of(stored.take(slice(0, 30_000)).hash(), 0),
        SortedRun.of(stored.take(slice(30_000, 50_000)).hash(), 30_000),
    ]
    asked = rng.integers(0, 60_000, 100_000)
    found = KeyIndex(runs, lambda: stored, stored.kind, "store").find(Keys.of(asked.astype(kind), "x"))
    place = np.full(60_000, -1)
    place[numbers[:50_000]] = np.arange(50_000)
    assert np.array_equal(found, place[asked])
