"""Tokens: each number in its place, the rest filled up, a mask beside them; wrong lists are named by row."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import rowlock as rl
from rowlock.errors import ConfigError
from rowlock.table import Table

LISTS = [[101, 102, 103], [], [301], [401, 402, 403, 404], [501, 502]]
FILLED = [[101, 102, 103, 0], [0, 0, 0, 0], [301, 0, 0, 0], [401, 402, 403, 404], [501, 502, 0, 0]]


def frames(lists):
    return [
        pd.DataFrame({"words": lists}),
        pd.DataFrame({"words": [np.array(row, np.int64) for row in lists]}),
        pd.DataFrame({"words": [tuple(row) for row in lists]}),
        pd.DataFrame({"words": pd.Series(lists, dtype=pd.ArrowDtype(pa.list_(pa.int16())))}),
        pl.DataFrame({"words": lists}),
        pl.DataFrame({"words": pl.Series(lists, dtype=pl.List(pl.UInt64))}),
        pa.table({"words": pa.array(lists, pa.list_(pa.int64()))}),
        pa.table({"words": pa.array(lists, pa.large_list(pa.uint16()))}),
        pa.table({"words": pa.chunked_array([lists[:2], lists[2:]], pa.list_(pa.int64()))}),
        pa.table({"words": [[7], *lists, [8]]}).slice(1, 5),
    ]


def gathered(reader, rows):
    out = reader.spec.empty(len(rows))
    out.view(np.uint8)[...] = 0xA5
    reader.gather(np.asarray(rows, np.int64), out, None)
    return out


def opened(frame, length=4, **settings):
    return rl.Tokens("words", length, **settings).open(Table(frame), "words")


@pytest.mark.parametrize("kind", range(10))
def test_each_token_is_in_its_place_and_short_lists_are_filled_up(kind):
    reader = opened(frames(LISTS)[kind])
    out = gathered(reader, [3, 1, 0, 4, 2, 0])
    assert (reader.spec.shape, out.dtype) == ((4,), np.int32)
    assert out.tolist() == [FILLED[row] for row in (3, 1, 0, 4, 2, 0)]
    mask = rl.TokensMask("words", 4).open(Table(frames(LISTS)[kind]), "mask")
    assert gathered(mask, [3, 1, 4]).tolist() == [[1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]]


def test_lists_of_a_fixed_length_are_lists():
    for frame in (
        pl.DataFrame({"words": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int64, 2))}),
        pa.table({"words": pa.array([[9, 9], [1, 2], [3, 4]], pa.list_(pa.int64(), 2))}).slice(1),
    ):
        assert gathered(opened(frame, 3), [1, 0]).tolist() == [[3, 4, 0], [1, 2, 0]]


def test_no_rows_and_random_rows_are_those_of_a_loop(rng):
    lists = [rng.integers(0, 1000, rng.integers(0, 9)).tolist() for _ in range(300)]
    reader = opened(pd.DataFrame({"words": lists}), 6, longer="cut", pad=7, dtype="int64")
    rows = rng.integers(0, 300, 500)
    assert gathered(reader, rows).tolist() == [(lists[row] + [7] * 6)[:6] for row in rows]
    assert gathered(reader, []).shape == (0, 6)
    with pytest.raises(ConfigError, match="row -1 does not exist"):
        gathered(reader, [-1])


def test_only_empty_lists_are_rows_of_padding():
    for frame in (pd.DataFrame({"words": [[], []]}), pl.DataFrame({"words": [[], []]})):
        assert gathered(opened(frame, 2, pad=9), [0, 1]).tolist() == [[9, 9], [9, 9]]


def test_lists_that_are_too_long_are_refused_or_cut_as_asked():
    frame = frames(LISTS)[0]
    with pytest.raises(ConfigError, match=r"2 rows \(0, 3\) of column 'words' have more than length=2 tokens, up to 4"):
        opened(frame, 2)
    assert gathered(opened(frame, 2, longer="cut"), [0, 3, 2]).tolist() == [[101, 102], [401, 402], [301, 0]]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[1], None, [], None], r"2 rows \(1, 3\) of column 'words' have no list of whole numbers \(an empty list"),
        ([[1], [2, None], [], [None]], r"2 rows \(1, 3\) of column 'words' have an entry without a number"),
        ([[1], [-2], [], [3, -4, -5]], r"2 rows \(1, 3\) of column 'words' have a negative number: the first is -2\."),
        ([[1], [2**31]], r"1 row \(1\) .* above 2,147,483,647, which int32 cannot hold: the first is 2147483648\."),
        ([[1.0], [2.5]], r"must hold lists of whole numbers; they are double, the first list is .*1\.0.*Number words"),
        ([["a"], ["b"]], r"must hold lists of whole numbers; they are .*str.*Number words"),
        ([[True], [False]], r"must hold lists of whole numbers; they are bool"),
        ([[[1]], [[2]]], r"must hold lists of whole numbers; they are .*list"),
        ([1, 2], r"column 'words' must hold lists of whole numbers; it is int64, its first value 1\."),
        (["a b", "c"], r"column 'words' must hold lists of whole numbers; it is .*'a b'.*Number words"),
        ([[None], [None, None]], r"2 rows \(0, 1\) of column 'words' have an entry without a number"),
    ],
)
def test_wrong_lists_are_refused_with_their_rows(make, lists, message):
    with pytest.raises(ConfigError, match=message):
        opened(make({"words": lists}))


def test_lists_of_mixed_types_and_missing_numbers_of_pandas_are_refused():
    with pytest.raises(ConfigError, match="cannot be read as lists of one type"):
        opened(pd.DataFrame({"words": [[1, "a"], [2]]}))
    with pytest.raises(ConfigError, match="cannot be read as lists of one type"):
        opened(pd.DataFrame({"words": [[1], "ab"]}))
    with pytest.raises(ConfigError, match=r"1 row \(1\) of column 'words' have no list"):
        opened(pd.DataFrame({"words": [[1], float("nan")]}))
    with pytest.raises(ConfigError, match=r"they are double"):
        opened(pd.DataFrame({"words": [np.array([1.0, np.nan])]}))


def test_the_largest_number_of_a_dtype_fits():
    reader = opened(pd.DataFrame({"words": [[255]]}), 1, dtype="uint8")
    assert gathered(reader, [0]).tolist() == [[255]]
    with pytest.raises(ConfigError, match="above 255, which uint8 cannot hold"):
        opened(pd.DataFrame({"words": [[256]]}), 1, dtype="uint8")
    big = pa.table({"words": pa.array([[2**64 - 1]], pa.list_(pa.uint64()))})
    assert gathered(opened(big, 1, dtype="uint64"), [0]).tolist() == [[2**64 - 1]]


def test_the_mask_counts_longer_lists_as_full_and_knows_its_dtype():
    mask = rl.TokensMask("words", 2, dtype="bool").open(Table(frames(LISTS)[0]), "mask")
    assert gathered(mask, [3, 2, 1]).tolist() == [[True, True], [True, False], [False, False]]
    with pytest.raises(ConfigError, match="must hold lists of whole numbers"):
        rl.TokensMask("words", 2).open(Table(pd.DataFrame({"words": [1]})), "mask")


def test_the_fingerprint_knows_tokens_lists_and_settings():
    listings = [LISTS, [*LISTS[:4], [502, 501]], [[101, 102], [103], [301], *LISTS[3:]]]
    readers = [opened(pd.DataFrame({"words": lists})) for lists in listings]
    readers += [opened(frames(LISTS)[0], length) for length in (5, 6)]
    readers += [opened(frames(LISTS)[0], pad=1), opened(frames(LISTS)[0], dtype="int64")]
    assert len({reader.fingerprint for reader in readers}) == 7
    assert len({opened(frame).fingerprint for frame in frames(LISTS)}) == 1


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((3, 4), {}, r'takes the name of a column of lists: rl.Tokens\("words", 40\), not 3'),
        (("words", 0), {}, "length must be at least 1"),
        (("words", 2.5), {}, "length must be an integer"),
        (("words", 4), {"dtype": "float32"}, "tokens are whole numbers: dtype='float32'"),
        (("words", 4), {"dtype": "bool"}, "tokens are whole numbers"),
        (("words", 4), {"pad": -1}, "pad must be at least 0"),
        (("words", 4), {"pad": 256, "dtype": "uint8"}, "pad=256 is more than uint8 can hold"),
        (("words", 4), {"longer": "drop"}, "longer must be one of 'raise', 'cut'"),
    ],
)
def test_arguments_are_checked(arguments, settings, message):
    with pytest.raises(ConfigError, match=message):
        rl.Tokens(*arguments, **settings)


def test_it_shows_what_was_asked_for():
    assert repr(rl.Tokens("words", 40)) == "Tokens('words', 40)"
    shown = "Tokens('words', 40, pad=1, longer='cut', dtype='int64')"
    assert repr(rl.Tokens("words", 40, pad=1, longer="cut", dtype="int64")) == shown
    assert repr(rl.TokensMask("words", 40)) == "TokensMask('words', 40)"


def test_batches_hold_each_row_s_own_tokens_in_any_order():
    numbers = np.arange(50)
    frame = pd.DataFrame({"number": numbers, "words": [[n] * (n % 5) for n in numbers]})
    inputs = {"words": rl.Tokens("words", 5, pad=99), "mask": rl.TokensMask("words", 5)}
    data = rl.Dataset(frame, inputs, rl.Column("number"))
    for batch in data.batches(8, seed=3):
        for number, words, mask in zip(batch.target, batch.inputs["words"], batch.inputs["mask"], strict=True):
            count = int(number) % 5
            assert words.tolist() == [int(number)] * count + [99] * (5 - count)
            assert mask.tolist() == [1] * count + [0] * (5 - count)
