"""Settings and the smallest of helpers that all tests share."""

import contextlib
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import numpy as np
import pandas as pd
import pytest

hypothesis.settings.register_profile("ci", max_examples=60, deadline=None, derandomize=True)
hypothesis.settings.register_profile("long", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


@pytest.fixture
def frame():
    """Ten rows whose every value tells the row it belongs to."""
    numbers = np.arange(10)
    return pd.DataFrame(
        {
            "object_id": [f"a{number:02d}" for number in numbers],
            "age": numbers * 10.0,
            "label": ["cat", "dog"] * 5,
            "price": numbers + 0.5,
        }
    )


@pytest.fixture
def time_limit():
    """Return a context that ends a test that hangs: ``with time_limit(60): ...``, in seconds, in the main thread."""

    @contextlib.contextmanager
    def limited(seconds):
        def too_late(*_):
            raise TimeoutError(f"not done after {seconds} s")

        before = signal.signal(signal.SIGALRM, too_late)
        signal.alarm(seconds)
        try:
            yield
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limited
