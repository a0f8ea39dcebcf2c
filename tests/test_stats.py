"""Where the time goes, and whether the advice is right."""

import errno
import io
import logging
import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import rowlock as rl
from rowlock.advice import advise
from rowlock.arrays import ArraySpec
from rowlock.errors import RowError
from rowlock.meter import Meter, note_read, note_retry, note_scratch, stage
from rowlock.processors import num_processors
from rowlock.retries import retried
from rowlock.stats import InputStats


class Slow(rl.Input):
    """An input that takes a known time a row."""

    def __init__(self, seconds, sleep=time.sleep):
        self.seconds, self.sleep = seconds, sleep

    def open(self, table, name):
        return SlowReader(self.seconds, self.sleep)


class SlowReader(rl.Reader):
    def __init__(self, seconds, sleep=time.sleep):
        self.seconds, self.sleep = seconds, sleep
        self.spec = ArraySpec((), np.dtype("int64"))

    def gather(self, rows, out, draw):
        self.sleep(self.seconds * len(rows))
        out[:] = rows


class Clock:
    """A clock that only goes on where something sleeps by it: what a busy machine takes is in no account."""

    def __init__(self):
        self.now, self.lock = 100.0, threading.Lock()

    def sleep(self, seconds):
        with self.lock:
            self.now += seconds

    def perf_counter(self):
        return self.now


class ThreadClock(threading.local):
    """Such a clock of each thread, for costs that threads sum up."""

    now = 100.0

    def sleep(self, seconds):
        self.now += seconds

    def perf_counter(self):
        return self.now


def by_clock(monkeypatch, clock):
    """Measure by a clock that goes as told."""
    for module in ("meter", "stats"):
        monkeypatch.setattr(f"rowlock.{module}.time", SimpleNamespace(perf_counter=clock.perf_counter))
    return clock


@pytest.fixture
def clock(monkeypatch):
    return by_clock(monkeypatch, Clock())


@pytest.fixture
def thread_clock(monkeypatch):
    return by_clock(monkeypatch, ThreadClock())


@pytest.fixture
def pictures(tmp_path):
    paths = [str(tmp_path / f"{row}.jpg") for row in range(32)]
    for row, path in enumerate(paths):
        Image.new("RGB", (48, 48), (row, row, row)).save(path)
    return pd.DataFrame({"path": paths, "y": np.arange(32.0)})


def slowed(monkeypatch, module, name, seconds, sleep):
    """Make a function of another library, or of the system, slower by a known time; return the list of its calls."""
    function, calls = getattr(module, name), []

    def slow(*args, **kwargs):
        sleep(seconds)
        calls.append(seconds)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, slow)
    return calls


@pytest.fixture
def one_by_one(monkeypatch):
    """Files are read as on other systems: what they do can then be made to fail."""
    monkeypatch.setattr("rowlock.pictures.roots.can_read_many", lambda: False)


def test_a_delay_in_gathering_is_attributed_to_that_input(clock):
    slow = Slow(0.004, clock.sleep)
    data = rl.Dataset(pd.DataFrame({"y": np.zeros(64)}), {"slow": slow, "y": rl.Columns(["y"])})
    loader = data.batches(8, engine=rl.Engine(num_threads=1, prefetch=0))
    list(loader)
    stats = loader.stats()
    assert stats.inputs["slow"].gather_seconds == pytest.approx(64 * 0.004)
    assert stats.inputs["slow"].read_seconds == stats.inputs["slow"].decode_seconds == 0
    assert stats.inputs["y"].seconds == 0
    assert stats.wait_seconds == pytest.approx(64 * 0.004)


def test_a_delay_in_reading_is_attributed_to_reading(pictures, one_by_one, monkeypatch, thread_clock):
    data = rl.Dataset(pictures, {"image": rl.Images("path", size=(24, 24))}, target=rl.Column("y"))
    data.gather(np.arange(4))  # kernels are compiled
    calls = slowed(monkeypatch, os, "read", 0.02, thread_clock.sleep)
    loader = data.batches(8, engine=rl.Engine(num_threads=2, prefetch=0))
    list(loader)
    costs = loader.stats().inputs["image"]
    assert len(calls) == 32
    assert costs.read_seconds == pytest.approx(32 * 0.02)
    assert costs.decode_seconds == 0
    assert costs.read_bytes >= sum(Path(path).stat().st_size for path in pictures["path"])


def test_a_delay_in_decoding_is_attributed_to_decoding(pictures, monkeypatch, thread_clock):
    import simplejpeg

    data = rl.Dataset(pictures, {"image": rl.Images("path", size=(24, 24))}, target=rl.Column("y"))
    data.gather(np.arange(4))
    calls = slowed(monkeypatch, simplejpeg, "decode_jpeg", 0.03, thread_clock.sleep)
    loader = data.batches(8, engine=rl.Engine(num_threads=2, prefetch=0))
    list(loader)
    assert len(calls) == 32
    assert loader.stats().inputs["image"].decode_seconds == pytest.approx(32 * 0.03)
    assert loader.stats().inputs["image"].read_seconds == 0


def test_errors_that_pass_are_retried_and_counted(pictures, one_by_one, monkeypatch):
    failures = iter([errno.EIO, errno.ESTALE])  # two threads may ask at once: each failure comes once
    read = os.read

    def flaky(*args):
        for number in failures:
            raise OSError(number, "for a moment")
        return read(*args)

    data = rl.Dataset(pictures, {"image": rl.Images("path", size=(24, 24))}, target=rl.Column("y"))
    monkeypatch.setattr(os, "read", flaky)
    loader = data.batches(8, on_error="mask")
    assert sum(len(batch) for batch in loader) == 32
    assert loader.stats().inputs["image"].num_retries == 2
    assert loader.bad_rows == []
    assert "2 retries" in str(loader.stats())


def test_errors_of_a_users_reader_that_pass_are_retried_too():
    failures = iter([errno.EIO, errno.EIO])

    class Flaky(SlowReader):
        def gather(self, rows, out, draw):
            for number in failures:
                raise OSError(number, "for a moment")
            super().gather(rows, out, draw)

    class Input(Slow):
        def open(self, table, name):
            return Flaky(0)

    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(8)}), {"n": Input(0)}).batches(4, shuffle=False)
    assert np.concatenate([batch.inputs["n"] for batch in loader]).tolist() == list(range(8))
    assert loader.stats().inputs["n"].num_retries == 2


@pytest.mark.parametrize(("policy", "expected"), [("mask", OSError), ("raise", RowError)])
def test_an_error_that_does_not_pass_is_raised_after_three_repeats_and_never_a_bad_row(
    pictures, one_by_one, monkeypatch, policy, expected
):
    calls = []

    def broken(path, *args, **kwargs):
        calls.append(path)
        raise OSError(errno.EIO, "the disk is gone")

    data = rl.Dataset(pictures, {"image": rl.Images("path", size=(24, 24))}, target=rl.Column("y"))
    monkeypatch.setattr(os, "open", broken)
    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.001, 0.001, 0.001))
    with pytest.raises(expected, match="the disk is gone") as caught:
        data.batches(8, shuffle=False, on_error=policy).batch(0)
    assert len(calls) == 4
    if policy == "raise":
        assert (caught.value.stage, caught.value.key) == ("read", 0)
        assert caught.value.path == pictures["path"][0]


@pytest.mark.parametrize("error", [TimeoutError("timed out"), ConnectionResetError(), OSError(errno.ESTALE, "stale")])
def test_timeouts_and_connections_are_retried_whoever_raises_them(monkeypatch, error):
    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.001, 0.001, 0.001))
    failures = [error, error]

    def flaky():
        if failures:
            raise failures.pop()
        return "done"

    with Meter() as meter:
        assert retried(flaky) == "done"
    assert meter.num_retries == 2


def test_what_was_repeated_below_is_not_repeated_above(monkeypatch):
    monkeypatch.setattr("rowlock.retries._WAITS_SECONDS", (0.001, 0.001, 0.001))
    calls = []

    def broken():
        calls.append(1)
        raise OSError(errno.EIO, "gone")

    with pytest.raises(OSError, match="gone"):
        retried(retried, broken)
    assert len(calls) == 4


def test_too_many_open_files_is_not_a_bad_row_and_names_the_limit(pictures, one_by_one, monkeypatch):
    def full(path, *args, **kwargs):
        raise OSError(errno.EMFILE, "Too many open files")

    data = rl.Dataset(pictures, {"image": rl.Images("path", size=(24, 24))}, target=rl.Column("y"))
    data.batches(8).batch(0)  # compiled loops are loaded
    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="Too many open files") as caught:
        data.batches(8, on_error="skip").batch(0)
    assert "ulimit -n" in str(caught.value.__notes__)
    with pytest.raises(RowError, match="cannot read a row.*jpg.*Too many open files.*ulimit -n"):
        data.batches(8).batch(0)


def test_the_difference_of_two_snapshots_is_what_was_in_between():
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(24)}), {"slow": Slow(0.001)}).batches(8)
    list(loader)
    first = loader.stats()
    list(loader)
    between = loader.stats() - first
    assert (between.num_batches, between.num_rows) == (3, 24)
    assert 0 < between.inputs["slow"].seconds < loader.stats().inputs["slow"].seconds


def test_each_epoch_leaves_one_line_in_the_log(caplog):
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(24)}), {"slow": Slow(0.001)}).batches(8)
    with caplog.at_level(logging.INFO, "rowlock"):
        list(loader)
        list(loader)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["epoch 0", "epoch 1"]
    assert all("24 rows in" in record.getMessage() and "\n" not in record.getMessage() for record in caplog.records)


def test_a_slow_model_is_called_the_bottleneck(clock):
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(64)}), {"slow": Slow(0.0005, clock.sleep)}).batches(8)
    for _ in loader:
        clock.sleep(0.1)
    assert "the model is the bottleneck" in loader.stats().advice
    assert 0 < loader.stats().startup_seconds <= loader.stats().wait_seconds


def test_slow_gathering_is_named_with_its_share(clock):
    data = rl.Dataset(pd.DataFrame({"y": np.zeros(64)}), {"slow": Slow(0.005, clock.sleep), "fast": Slow(0.0)})
    loader = data.batches(8, engine=rl.Engine(num_threads=1, prefetch=0))
    list(loader)
    assert "gathering 'slow' takes 100%" in loader.stats().advice
    if num_processors() > 1:
        assert f"num_threads={num_processors()}" in loader.stats().advice


@pytest.mark.parametrize(
    ("stage_name", "num_threads", "remedy"),
    [
        ("decode", 1000, "Images(cache=...)"),
        ("read", 1000, "a faster disk"),
        ("gather", 1000, "fewer columns"),
    ],
)
def test_advice_knows_when_all_processors_are_at_work(stage_name, num_threads, remedy):
    sentence = advise(
        {("x", stage_name): 9.0 * num_threads, ("y", "gather"): 1.0 * num_threads}, 10.0, 0.9, num_threads, 100, 0.1
    )
    assert remedy in sentence
    assert "90%" in sentence
    assert "num_threads" not in sentence


def test_threads_that_idle_are_told_from_a_budget_that_is_full():
    assert "Larger batches" in advise({("x", "read"): 1.0}, 10.0, 0.9, 2, 100, 0.1)
    assert "memory_budget" in advise({("x", "read"): 1.0}, 10.0, 0.9, 2, 100, 0.95)
    assert "no epoch" in advise({}, 0.0, 0.0, 2, 0, 0.0)


def test_little_waiting_is_the_model_s_whatever_the_threads_do():
    assert "could save 8% at most" in advise({("x", "read"): 1.0}, 10.0, 0.08, 2, 100, 0.1)


def test_memory_in_use_is_reported_and_within_the_budget():
    with rl.Engine(num_threads=2, prefetch=8, memory_budget=3000) as engine:
        loader = rl.Dataset(pd.DataFrame({"y": np.zeros(512)}), {"slow": Slow(0)}).batches(64, engine=engine)
        for _ in loader:
            pass
        memory = loader.stats().memory
    assert memory.budget_bytes == 3000
    assert 64 * 8 <= memory.peak_bytes <= 3000


def test_scratch_memory_leaves_less_room_for_batches_ahead():
    class Greedy(SlowReader):
        def gather(self, rows, out, draw):
            note_scratch(1000)
            super().gather(rows, out, draw)

    class Input(Slow):
        def open(self, table, name):
            return Greedy(0)

    with rl.Engine(num_threads=2, prefetch=8, memory_budget=3000) as engine:
        loader = rl.Dataset(pd.DataFrame({"y": np.zeros(512)}), {"slow": Input(0)}).batches(64, engine=engine)
        for _ in loader:
            pass
        list(loader)
        assert engine.memory().scratch_bytes == 2000
        assert engine.memory().in_flight_bytes <= 1000


def test_a_meter_hears_its_own_thread_and_nothing_without_one():
    note_read(5)
    with Meter() as outer:
        note_read(7)
        with Meter() as inner, stage("read"):
            note_read(1)
            note_retry()
        note_scratch(3)
    assert (outer.read_bytes, inner.read_bytes) == (7, 1)
    assert (inner.num_retries, outer.num_retries, outer.scratch_bytes) == (1, 0, 3)
    assert inner.stages["read"] <= inner.seconds <= outer.seconds


def test_what_costs_nothing_is_shown_as_nothing():
    assert str(InputStats()) == "0 s"


def test_a_bar_shows_rows_and_what_was_waited():
    bar = io.StringIO()
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(24)}), {"slow": Slow(0.001)}).batches(8)
    for epoch in range(2):
        rows = [batch.rows for batch in loader.progress(file=bar, mininterval=0)]
        assert sorted(np.concatenate(rows)) == list(range(24))
        assert f"epoch {epoch}: 100%" in bar.getvalue()
    assert "24.0/24.0" in bar.getvalue()
    assert "rows/s" in bar.getvalue()
    assert "waited" in bar.getvalue()


def test_the_time_of_the_last_batch_of_an_epoch_counts(clock):
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(8)}), {"slow": Slow(0.0)}).batches(8)
    list(loader)
    for _ in range(3):
        for _batch in loader:
            clock.sleep(0.05)
    stats = loader.stats()
    assert stats.elapsed_seconds - stats.startup_seconds == pytest.approx(0.15)
    assert "the model is the bottleneck" in stats.advice


def test_the_time_of_batches_that_are_fetched_ahead_and_counted_later_is_whole(clock):
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(8)}), {"slow": Slow(0.0)}).batches(4)
    made = [loader.made(step) for step in (0, 1)]
    for step in range(2, 8):  # over the ends of three epochs
        clock.sleep(0.05)
        loader.count(made[step - 2])
        made.append(loader.made(step))
    assert loader.stats().elapsed_seconds == pytest.approx(0.3)


def test_waiting_for_a_batch_that_fails_is_waiting(clock):
    class Failing(SlowReader):
        def gather(self, rows, out, draw):
            clock.sleep(0.1)
            raise ValueError("odd")

    class Input(Slow):
        def open(self, table, name):
            return Failing(0)

    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(8)}), {"slow": Input(0)}).batches(8)
    with pytest.raises(RowError):
        next(iter(loader))
    assert loader.stats().wait_seconds >= 0.1
    assert loader.stats().elapsed_seconds >= 0.1


def test_what_the_first_batch_cost_is_not_what_is_advised_on(clock):
    class Starting(SlowReader):
        is_first = True

        def gather(self, rows, out, draw):
            clock.sleep(0.5 if self.is_first else 0.0)
            self.is_first = False
            out[:] = rows

    class Input(Slow):
        def open(self, table, name):
            return Starting(0)

    data = rl.Dataset(pd.DataFrame({"y": np.zeros(64)}), {"starting": Input(0), "slow": Slow(0.002, clock.sleep)})
    loader = data.batches(8, engine=rl.Engine(num_threads=1, prefetch=0))
    list(loader)
    assert "gathering 'slow'" in loader.stats().advice


def test_an_error_does_not_end_an_epoch_under_a_bar():
    class Failing(SlowReader):
        def gather(self, rows, out, draw):
            if 12 in rows and not mended:
                raise ValueError("odd")
            out[:] = rows

    class Input(Slow):
        def open(self, table, name):
            return Failing(0)

    mended = []
    loader = rl.Dataset(pd.DataFrame({"y": np.zeros(24)}), {"n": Input(0)}).batches(8, shuffle=False)
    epoch = loader.progress(file=io.StringIO())
    assert len(next(epoch)) == 8
    for _ in range(2):
        with pytest.raises(RowError, match="odd"):
            next(epoch)
    mended.append(True)
    assert [batch.step for batch in epoch] == [1, 2]
