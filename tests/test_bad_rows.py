import collections
import errno
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rowlock as rl
from rowlock.arrays import ArraySpec
from rowlock.errors import ConfigError, RowError, StateError, TooManyBadRowsError


class Failing(rl.Input):
    """Rows that tell their number, but for those that cannot be read."""

    def __init__(self, bad, error=None, piece_rows=3):
        self.bad, self.error, self.piece_rows = set(bad), error, piece_rows

    def open(self, table, name):
        return FailingReader(self)


class FailingReader(rl.Reader):
    spec = ArraySpec((2,), np.dtype("float32"))

    def __init__(self, settings):
        self.settings = settings
        self.piece_rows = settings.piece_rows

    def gather(self, rows, out, draw):
        for place, row in enumerate(rows.tolist()):
            if row in self.settings.bad:
                raise self.settings.error or RowError("it is broken", row=row, path=f"file-{row}", stage="decode")
            out[place] = row + 1


def make(num_rows, bad, also_bad=(), **arguments):
    frame = pd.DataFrame({"id": [f"r{row}" for row in range(num_rows)], "number": np.arange(num_rows) + 1})
    inputs = {"a": Failing(bad, **arguments), "b": Failing(also_bad, piece_rows=None), "c": rl.Columns(["number"])}
    return rl.Dataset(frame, inputs, target=rl.Column("number"), key="id")


cases = given(
    num_rows=st.integers(5, 60),
    batch_size=st.integers(1, 12),
    bad=st.sets(st.integers(0, 59), max_size=12),
    also_bad=st.sets(st.integers(0, 59), max_size=12),
    num_threads=st.integers(1, 4),
)


@settings(max_examples=80)
@cases
def test_masked_rows_stay_as_zeros_of_weight_zero_and_shapes_never_change(
    num_rows, batch_size, bad, also_bad, num_threads
):
    data = make(num_rows, bad, also_bad)
    with rl.Engine(num_threads=num_threads) as engine:
        loader = data.batches(batch_size, seed=1, on_error="mask", max_bad=1.0, engine=engine)
        plain = make(num_rows, ()).batches(batch_size, seed=1)
        for step, (batch, whole) in enumerate(zip(loader, plain, strict=True)):
            masked = np.isin(batch.rows, list(bad | also_bad))
            assert np.array_equal(batch.rows, whole.rows)
            assert np.array_equal(batch.sample_weight, np.where(masked, 0, 1))
            for name in batch.inputs:
                assert not batch.inputs[name][masked].any()
                assert np.array_equal(batch.inputs[name][~masked], whole.inputs[name][~masked])
            assert np.array_equal(batch.target, np.where(masked, 0, whole.target))
            oracle = loader.batch(step)
            assert np.array_equal(oracle.inputs["a"], batch.inputs["a"])
            assert np.array_equal(oracle.sample_weight, batch.sample_weight)
    met = [row for step in range(len(plain)) for row in plain.plan.rows(step).tolist() if row in bad | also_bad]
    assert [entry.row for entry in loader.bad_rows] == met
    assert all(entry.key == f"r{entry.row}" for entry in loader.bad_rows)


@settings(max_examples=80)
@cases
def test_skipped_rows_leave_their_batch_in_all_inputs_at_once(num_rows, batch_size, bad, also_bad, num_threads):
    data = make(num_rows, bad, also_bad)
    with rl.Engine(num_threads=num_threads) as engine:
        loader = data.batches(batch_size, seed=1, on_error="skip", max_bad=1.0, engine=engine)
        batches = list(loader)
        oracle = [batch for batch in map(loader.batch, range(len(loader))) if len(batch)]
    rows = [row for batch in batches for row in batch.rows.tolist()]
    assert sorted(rows) == sorted(set(range(num_rows)) - bad - also_bad)
    for batch, slow in zip(batches, oracle, strict=True):
        assert len(batch) > 0
        assert batch.step == slow.step
        expected = batch.rows[:, None] + 1.0
        assert np.array_equal(batch.inputs["a"], np.repeat(expected, 2, axis=1))
        assert np.array_equal(batch.inputs["b"], np.repeat(expected, 2, axis=1))
        assert np.array_equal(batch.inputs["c"], expected)
        assert batch.keys.tolist() == [f"r{row}" for row in batch.rows]
        assert np.array_equal(slow.inputs["a"], batch.inputs["a"])
        assert batch.inputs["a"].ctypes.data % 64 == 0


def test_the_list_says_where_and_why_and_is_a_file_too(tmp_path):
    file = tmp_path / "bad.jsonl"
    loader = make(20, {3}, {17}).batches(4, shuffle=False, on_error="mask", max_bad=0.5, bad_rows_file=file)
    for _ in range(2):
        list(loader)
    found = [(entry.row, entry.key, entry.input, entry.path, entry.stage, entry.step) for entry in loader.bad_rows]
    assert found == [(3, "r3", "a", "file-3", "decode", 0), (17, "r17", "b", "file-17", "decode", 4)]
    assert [json.loads(line)["key"] for line in file.read_text().splitlines()] == ["r3", "r17"]


def test_more_than_max_bad_ends_the_run_and_names_the_cure():
    loader = make(200, {5, 50, 51}).batches(10, shuffle=False, on_error="mask")
    with pytest.raises(TooManyBadRowsError, match=r"3 of the first 60 rows.*max_bad=0.01.*data.without") as caught:
        list(loader)
    assert "; the last: key 'r51', file-51: it is broken. " in str(caught.value)
    assert [entry.row for entry in loader.bad_rows] == [5, 50, 51]
    few = make(200, {5, 50}).batches(10, shuffle=False, on_error="mask")
    assert len(list(few)) == 20


@pytest.mark.parametrize("from_file", [False, True])
def test_data_without_its_bad_rows_is_read_to_the_end(tmp_path, from_file):
    data = make(50, {3, 30})
    loader = data.batches(5, on_error="skip", max_bad=1, bad_rows_file=tmp_path / "bad.jsonl")
    list(loader)
    clean = data.without(tmp_path / "bad.jsonl" if from_file else loader.bad_rows)
    assert len(clean) == 48
    assert sorted(row for batch in clean.batches(5) for row in batch.keys) == sorted(
        f"r{row}" for row in range(50) if row not in (3, 30)
    )


@pytest.mark.parametrize("policy", ["mask", "skip"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "disk"), MemoryError(), KeyboardInterrupt()])
def test_a_failing_disk_is_never_a_bad_row(policy, error, monkeypatch):
    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.001,))
    loader = make(20, {7}, error=error).batches(4, shuffle=False, on_error=policy)
    with pytest.raises(type(error)):
        list(loader)
    assert loader.bad_rows == []


@pytest.mark.parametrize("policy", ["mask", "skip"])
def test_an_exception_of_a_reader_s_own_is_a_bad_row(policy):
    loader = make(20, {7}, error=ValueError("odd")).batches(4, on_error=policy, max_bad=1)
    list(loader)
    assert [(entry.row, entry.reason) for entry in loader.bad_rows] == [(7, "ValueError: odd")]


def test_the_list_is_the_same_after_a_resume(tmp_path):
    bad = set(range(0, 60, 7))

    def loader(file, seed=1):
        return make(60, bad).batches(4, seed=seed, on_error="mask", max_bad=1, bad_rows_file=tmp_path / file)

    whole = loader("whole.jsonl")
    list(whole)
    first = loader("run.jsonl")
    batches = iter(first)
    for _ in range(6):
        next(batches)
    state = first.state_dict()
    next(batches)  # delivered, but the state was saved before
    second = loader("run.jsonl")
    second.load_state_dict(state)
    list(second)
    assert second.bad_rows == whole.bad_rows
    assert (tmp_path / "run.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    assert second.state_dict()["bad_digest"] == whole.state_dict()["bad_digest"]
    with pytest.raises(StateError, match="belongs to another run"):
        loader("nothing.jsonl").load_state_dict(state)


def test_the_list_of_each_rank_is_the_same_after_a_resume(tmp_path):
    bad = set(range(0, 60, 7))

    def loader(file, rank):
        return make(60, bad).batches(
            4, seed=1, last="pad", shard=(rank, 2), on_error="mask", max_bad=1, bad_rows_file=tmp_path / file
        )

    for rank in range(2):
        whole = loader("whole.jsonl", rank)
        list(whole)
        first = loader("run.jsonl", rank)
        batches = iter(first)
        for _ in range(3):
            next(batches)
        state = first.state_dict()
        collections.deque(batches, maxlen=0)  # delivered, but the state was saved before
        with (tmp_path / f"run.rank{rank}.jsonl").open("a") as stream:
            stream.write('{"row": 3, "ke')  # the process was killed here
        second = loader("run.jsonl", rank)
        second.load_state_dict(state)
        list(second)
        assert len(whole.bad_rows) > 1
        assert second.bad_rows == whole.bad_rows
        assert (tmp_path / f"run.rank{rank}.jsonl").read_text() == (tmp_path / f"whole.rank{rank}.jsonl").read_text()


def test_a_row_that_a_batch_holds_several_times_is_listed_once(tmp_path):
    file = tmp_path / "bad.jsonl"
    data = make(20, {5}).select([5, 5, 1, 5])
    loader = data.batches(4, shuffle=False, on_error="mask", max_bad=1, bad_rows_file=file)
    list(loader)
    assert [entry.row for entry in loader.bad_rows] == [5]
    assert len(file.read_text().splitlines()) == 1


def test_the_file_of_an_earlier_run_is_emptied_by_the_first_batch_and_never_adopted(tmp_path):
    def loader(bad, seed, shard):
        return make(60, bad).batches(
            4, seed=seed, last="pad", shard=shard, on_error="mask", max_bad=1, bad_rows_file=tmp_path / "bad.jsonl"
        )

    list(loader(set(range(0, 60, 7)), 1, (0, 2)))
    assert (tmp_path / "bad.rank0.jsonl").stat().st_size
    mended = loader((), 2, (0, 2))
    next(iter(mended))
    again = loader((), 2, (0, 2))
    again.load_state_dict(mended.state_dict())
    assert again.bad_rows == []
    assert not (tmp_path / "bad.rank0.jsonl").exists()


def test_under_another_number_of_ranks_the_files_of_the_earlier_ones_are_kept_aside(tmp_path):
    def loader(shard):
        return make(60, set(range(0, 60, 7))).batches(
            4, seed=1, last="pad", shard=shard, on_error="mask", max_bad=1, bad_rows_file=tmp_path / "bad.jsonl"
        )

    first = loader((0, 3))
    batches = iter(first)
    for _ in range(4):
        next(batches)
    before = (tmp_path / "bad.rank0.jsonl").read_text()
    second = loader((0, 2))
    second.load_state_dict(first.state_dict())
    list(second)
    assert before
    assert (tmp_path / "bad.rank0.before-step-4.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_error": "ignore"}, "on_error must be 'raise', 'mask' or 'skip', not 'ignore'"),
        ({"on_error": "skip", "shard": (0, 2), "last": "drop"}, "'skip' would give the 2 ranks"),
        ({"on_error": "mask", "max_bad": 3}, "max_bad is a share"),
    ],
)
def test_a_policy_that_cannot_work_is_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        make(10, ()).batches(2, **arguments)


def test_a_reader_that_names_the_wrong_row_is_not_believed():
    loader = make(20, {7}, error=RowError("odd", row=0)).batches(4, on_error="mask", max_bad=1)
    list(loader)
    assert [(entry.row, entry.key) for entry in loader.bad_rows] == [(7, "r7")]


def test_bad_rows_of_another_dataset_are_refused():
    loader = make(20, {7}).batches(4, on_error="mask", max_bad=1)
    list(loader)
    other = make(30, ()).select(list(range(30))[::-1])
    assert len(other.without(loader.bad_rows)) == 29
    strange = pd.DataFrame({"id": [f"x{row}" for row in range(20)], "y": range(20)})
    with pytest.raises(rl.errors.AlignmentError, match="listed for another one"):
        rl.Dataset(strange, {"y": rl.Column("y")}, key="id").without(loader.bad_rows)
    with pytest.raises(ConfigError, match="what loader.bad_rows lists"):
        other.without([1, 2])
    for wrong in (None, "no-such-file"):
        with pytest.raises(ConfigError, match="what loader.bad_rows lists"):
            other.without(wrong)


def test_a_run_that_is_not_resumed_begins_its_file_anew(tmp_path):
    file = tmp_path / "bad.jsonl"
    for bad in ({3, 5}, {7}):
        loader = make(20, bad).batches(4, shuffle=False, on_error="mask", max_bad=1, bad_rows_file=file)
        list(loader)
    assert [json.loads(line)["row"] for line in file.read_text().splitlines()] == [7]
    again = make(20, {7}).batches(4, shuffle=False, on_error="mask", max_bad=1, bad_rows_file=file)
    again.load_state_dict(loader.state_dict())
    assert [entry.row for entry in again.bad_rows] == [7]


def test_stats_make_sense_where_whole_batches_are_skipped():
    loader = make(24, set(range(16))).batches(4, shuffle=False, on_error="skip", max_bad=1)
    assert len(list(loader)) == 2
    stats = loader.stats()
    assert (stats.num_batches, stats.num_rows) == (2, 8)
    assert 0 < stats.wait_share <= 1
