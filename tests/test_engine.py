import collections
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowlock.engine import Engine, default_engine
from rowlock.errors import ConfigError, ForkedLoaderError, LoaderClosedError


class Squares:
    """A job whose every part can sleep or fail, and whose result tells its number."""

    def __init__(self, number, num_parts=3, fail=None, sleep=0.0, num_bytes=100):
        self.number = number
        self.num_bytes = num_bytes
        self.done = [None] * num_parts
        self.fail = fail or {}
        self.sleep = sleep

    def will_need(self):
        pass

    def pieces(self):
        return range(len(self.done))

    def run(self, piece):
        time.sleep(random.random() * self.sleep)
        if piece in self.fail:
            raise self.fail[piece]
        self.done[piece] = self.number * 10 + piece
        return 0


def rowlock_threads():
    return [thread for thread in threading.enumerate() if thread.name == "rowlock"]


def wait_until(condition, seconds=100.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def take_from_closed(stream, seen):
    with pytest.raises(LoaderClosedError):
        stream.take(0)
    seen.append("closed")


@given(st.integers(1, 4), st.sampled_from([0, 1, 2, 8]), st.integers(0, 12), st.integers(0, 5))
def test_jobs_come_in_order_and_whole_for_any_threads_and_prefetch(num_threads, prefetch, num_jobs, num_parts):
    with Engine(num_threads=num_threads, prefetch=prefetch) as engine:
        stream = engine.stream(lambda number: Squares(number, num_parts, sleep=0.001))
        for number in range(3, 3 + num_jobs):
            job = stream.take(number)
            assert job.number == number
            assert job.done == [number * 10 + part for part in range(num_parts)]


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_jobs_are_announced_in_their_order_one_at_a_time_however_many_threads_there_are(num_threads):
    events = []

    class Told(Squares):
        def will_need(self):
            events.append(("begins", self.number))
            time.sleep(random.random() * 0.004)
            events.append(("ends", self.number))

    with Engine(num_threads=num_threads, prefetch=4) as engine:
        stream = engine.stream(Told)
        for number in range(30):
            stream.take(number)
            if number % 3 == 0:  # what is taken meanwhile needs no telling; what is not, is told of in the end
                wait_until(lambda number=number: ("ends", number + 1) in events)
            else:
                time.sleep(random.random() * 0.008)
    numbers = [number for what, number in events if what == "begins"]
    assert numbers == sorted(set(numbers))
    assert set(numbers) >= set(range(1, 30, 3))
    assert events == [(what, number) for number in numbers for what in ("begins", "ends")][: len(events)]


@pytest.mark.parametrize("seconds", [0.02, 250.0])
def test_telling_that_takes_longer_than_making_keeps_no_job_alive(seconds):
    alive, most, goes_on = weakref.WeakSet(), 0, threading.Event()

    class Told(Squares):
        def will_need(self):
            goes_on.wait(seconds)

    def make(number):
        job = Told(number, sleep=0.001)
        alive.add(job)
        return job

    with Engine(num_threads=3, prefetch=4) as engine:
        stream = engine.stream(make)
        for number in range(60):
            stream.take(number)
            most = max(most, len(alive))
        goes_on.set()
    assert most <= 8


def test_a_hint_that_hangs_holds_up_no_job():
    goes_on = threading.Event()

    class Hanging(Squares):
        def will_need(self):
            goes_on.wait(250)

    with Engine(num_threads=2, prefetch=4) as engine:
        stream = engine.stream(Hanging)
        assert [stream.take(number).number for number in range(6)] == list(range(6))
        assert not goes_on.is_set()
        goes_on.set()


def test_no_more_jobs_are_begun_than_prefetch_allows():
    begun = []
    with Engine(num_threads=2, prefetch=3) as engine:
        stream = engine.stream(lambda number: begun.append(number) or Squares(number))
        stream.take(0)
        assert begun == [0, 1, 2, 3]
        stream.take(1)
        assert begun == [0, 1, 2, 3, 4]


def test_the_budget_holds_back_jobs_but_never_the_one_that_is_waited_for():
    with Engine(num_threads=2, prefetch=50, memory_budget=1000) as engine:
        begun = []
        stream = engine.stream(lambda number: begun.append(number) or Squares(number, num_bytes=400))
        for number in range(20):
            assert stream.take(number).number == number
            assert len(begun) <= number + 1 + 3


def test_a_job_larger_than_the_budget_is_refused_with_both_numbers():
    with Engine(memory_budget=1000) as engine:
        stream = engine.stream(lambda number: Squares(number, num_bytes=4000))
        with pytest.raises(ConfigError, match="takes 4,000 bytes, more than the memory budget of 1,000"):
            stream.take(0)


@pytest.mark.parametrize(
    "error", [ValueError, StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError]
)
@pytest.mark.parametrize("prefetch", [0, 1, 8])
def test_an_exception_of_any_class_arrives_at_its_own_job_and_not_before(error, prefetch):
    def job(number):
        return Squares(number, fail={2: error("late"), 1: error("first")} if number == 4 else None, sleep=0.001)

    with Engine(num_threads=3, prefetch=prefetch) as engine:
        stream = engine.stream(job)
        assert [stream.take(number).number for number in range(4)] == [0, 1, 2, 3]
        for _ in range(2):  # it does not end the stream, and is not skipped either
            with pytest.raises(error, match="first"):
                stream.take(4)


def test_two_streams_share_threads_and_do_not_mix():
    others = set(rowlock_threads())
    with Engine(num_threads=2, prefetch=2) as engine:
        streams = [engine.stream(lambda number, base=base: Squares(base + number, sleep=0.001)) for base in (0, 500)]
        for number in range(20):
            assert [stream.take(number).number for stream in streams] == [number, 500 + number]
        assert len(set(rowlock_threads()) - others) <= 2


def test_threads_end_when_the_last_stream_is_forgotten():
    others = set(rowlock_threads())
    engine = Engine(num_threads=3)
    for _ in range(20):
        stream = engine.stream(lambda number: Squares(number, sleep=0.001))
        stream.take(0)
        del stream
    gc.collect()
    wait_until(lambda: not set(rowlock_threads()) - others)


def test_closing_is_prompt_while_a_part_hangs_and_may_be_done_twice():
    hung = threading.Event()

    class Hanging(Squares):
        def run(self, piece):
            hung.set()
            return release.wait(250)

    release = threading.Event()
    engine = Engine(num_threads=2, prefetch=2)
    stream = engine.stream(Hanging)
    waiter = threading.Thread(target=take_from_closed, args=(stream, []))
    waiter.start()
    assert hung.wait(100)
    engine.close()
    engine.close()
    waiter.join(100)
    assert not waiter.is_alive()
    assert rowlock_threads(), "the part hangs still"
    release.set()
    with pytest.raises(LoaderClosedError):
        stream.take(0)


def test_closing_a_stream_wakes_whoever_waits_for_it():
    release = threading.Event()

    class Hanging(Squares):
        def run(self, piece):
            return release.wait(250)

    others = set(rowlock_threads())
    with Engine(num_threads=1) as engine:
        stream = engine.stream(Hanging)
        seen = []
        waiter = threading.Thread(target=take_from_closed, args=(stream, seen))
        waiter.start()
        wait_until(lambda: set(rowlock_threads()) - others)
        stream.close()
        waiter.join(100)
        assert seen
        release.set()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_clear_error_at_once():
    with Engine(num_threads=2) as engine:
        stream = engine.stream(Squares)
        stream.take(0)
        child = os.fork()
        if child == 0:
            try:
                stream.take(0)
            except ForkedLoaderError:
                fresh = default_engine().stream(Squares)
                os._exit(0 if fresh.take(0).number == 0 else 2)
            os._exit(3)
        deadline = time.monotonic() + 300
        while (found := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                pytest.fail("the child hung")
            time.sleep(0.01)
        assert os.waitstatus_to_exitcode(found[1]) == 0


@pytest.mark.parametrize("hang", [False, True])
def test_the_interpreter_exits_promptly_with_a_live_stream(hang):
    code = f"""
import sys, time
from rowlock.engine import default_engine
class Job:
    num_bytes = 1
    def __init__(self, number): self.number = number
    def will_need(self): pass
    def pieces(self): return [0]
    def run(self, piece): return time.sleep(1000 if {hang} and self.number > 0 else 0.001) or 0
stream = default_engine().stream(Job)
stream.take(0)
sys.exit(7)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "", "")


@pytest.mark.parametrize(
    "arguments", [{"num_threads": 0}, {"num_threads": 1.5}, {"prefetch": -1}, {"memory_budget": "many"}]
)
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ConfigError):
        Engine(**arguments)


@pytest.mark.parametrize(
    ("text", "num_bytes"), [("2GiB", 2 * 2**30), ("500 MB", 500_000_000), ("1.5kib", 1536), (77, 77), ("12", 12)]
)
def test_sizes_are_read_as_people_write_them(text, num_bytes):
    from rowlock.memory import parse_bytes

    assert parse_bytes(text) == num_bytes


def test_whatever_fails_ahead_of_its_turn_shifts_nothing():
    failures = {2: 1, 5: 2}

    def job(number):
        if failures.get(number):
            failures[number] -= 1
            raise MemoryError(number)
        return Squares(number)

    with Engine(num_threads=2, prefetch=4) as engine:
        stream = engine.stream(job)
        taken, failed = [], []
        for number in range(10):
            while True:
                try:
                    taken.append(stream.take(number).number)
                    break
                except MemoryError as error:
                    failed.append((number, *error.args))
    assert taken == list(range(10))
    assert all(asked == about for asked, about in failed)


def test_any_number_may_be_asked_for_next():
    with Engine(num_threads=2, prefetch=3) as engine:
        stream = engine.stream(lambda number: Squares(number, sleep=0.001))
        for number in (0, 1, 7, 8, 3, 3, 0, 100):
            assert stream.take(number).done == [number * 10 + part for part in range(3)]


def test_a_hint_that_fails_changes_nothing():
    class Hinting(Squares):
        def will_need(self):
            raise OSError("no advice here")

    with Engine(num_threads=2, prefetch=4) as engine:
        stream = engine.stream(Hinting)
        assert [stream.take(number).number for number in range(10)] == list(range(10))


def test_a_stream_freed_by_the_garbage_collector_in_any_thread_at_any_moment_hangs_nobody():
    code = """
import gc, sys, threading
from rowlock.engine import Engine
class Job:
    num_bytes = 1
    def __init__(self, number): self.number = number
    def will_need(self): pass
    def pieces(self): return range(3)
    def run(self, piece): return len([[] for _ in range(20)])
engine = Engine(num_threads=3, prefetch=3)
gc.set_threshold(1)
keep = engine.stream(Job)
for turn in range(300):
    stream = engine.stream(Job)
    stream.itself = stream  # a cycle: only the collector frees it
    stream.take(0)
    del stream
    keep.take(turn)
print("done")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_closing_from_another_thread_ends_in_the_right_error_only():
    for _ in range(100):
        engine = Engine(num_threads=2, prefetch=3)
        stream = engine.stream(lambda number: Squares(number, sleep=0.0003))
        closer = threading.Timer(random.random() * 0.004, stream.close)
        closer.start()
        with pytest.raises(LoaderClosedError):
            collections.deque(map(stream.take, range(100_000)), maxlen=0)
        closer.join()
        engine.close()


def test_no_thread_to_be_had_leaves_nothing_behind(monkeypatch):
    with Engine(num_threads=2, prefetch=2, memory_budget=1000) as engine:
        stream = engine.stream(lambda number: Squares(number, num_bytes=400))
        start = threading.Thread.start

        def refuse(self):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        for _ in range(5):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                stream.take(0)
        monkeypatch.setattr(threading.Thread, "start", start)
        assert [stream.take(number).number for number in range(5)] == list(range(5))


def test_memory_of_a_job_that_was_given_up_stays_in_the_account_while_a_thread_is_at_it():
    go_on, begun = threading.Event(), []

    class Waiting(Squares):
        def run(self, piece):
            begun.append(self.number)
            go_on.wait(250)
            return 0

    with Engine(num_threads=2, prefetch=4, memory_budget=1000) as engine:
        for _ in range(5):  # quick restarts
            stream = engine.stream(lambda number: Waiting(number, num_parts=1, num_bytes=400))
            stream._fill_ahead(0)
            wait_until(lambda: len(begun) == 2)
            stream.close()
            assert engine.memory().in_flight_bytes == 800  # two threads are at two jobs, and nothing else is kept
        assert engine.memory().peak_bytes == 1200  # the next batch of a loader is always made
        go_on.set()
        wait_until(lambda: engine.memory().in_flight_bytes == 0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_its_error_also_where_the_lock_was_held():
    with Engine(num_threads=1) as engine:
        stream = engine.stream(Squares)
        stream.take(0)
        with engine._pool._lock:
            child = os.fork()
            if child == 0:
                signal.alarm(100)
                try:
                    engine.memory()
                    stream.take(1)
                except ForkedLoaderError:
                    os._exit(7)
                os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7


def test_what_signal_handlers_and_finalisers_call_never_waits_for_the_lock_of_their_own_thread(time_limit):
    engine = Engine(num_threads=1)
    stream = engine.stream(Squares)
    stream.take(0)
    with time_limit(600), engine._pool._lock:  # as where a handler runs in the middle of the pool's work
        engine.memory()
        stream.close()
        engine.close()
    wait_until(lambda: not engine._pool._threads)
    with pytest.raises(LoaderClosedError):
        stream.take(1)


def test_threads_leave_room_for_what_they_need_beside_the_batches():
    running, most = [], []

    class Greedy(Squares):
        def run(self, piece):
            running.append(1)
            most.append(len(running))
            time.sleep(0.005)
            running.pop()
            return 600

    with Engine(num_threads=4, prefetch=4, memory_budget=1000) as engine:
        stream = engine.stream(lambda number: Greedy(number, num_parts=6))
        stream.take(0)  # nothing is known before
        most.clear()
        for number in range(1, 8):
            stream.take(number)
        assert max(most[6:]) == 1
        assert engine.memory().scratch_bytes == 2400


def test_one_giant_does_not_narrow_the_window_for_good():
    class Sometimes(Squares):
        def run(self, piece):
            return 900 if self.number == 3 else 0

    with Engine(num_threads=1, prefetch=2, memory_budget=1000) as engine:
        stream = engine.stream(Sometimes)
        seen = []
        for number in range(80):
            stream.take(number)
            seen.append(engine.memory().scratch_bytes)
        assert seen[3] == 900
        assert seen[-1] == 0


def test_nothing_is_in_the_account_of_a_closed_engine():
    engine = Engine(num_threads=2, prefetch=4)
    stream = engine.stream(Squares)
    stream.take(0)
    engine.close()
    wait_until(lambda: engine.memory().in_flight_bytes == 0)
