"""Settings and the smallest of helpers that all tests share."""

import contextlib
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import numpy as np
import pandas as pd
import pytest

UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}  # machines may be slow
hypothesis.settings.register_profile("ci", max_examples=60, derandomize=True, **UNTIMED)
hypothesis.settings.register_profile("long", max_examples=2000, **UNTIMED)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def _numba_cache():
    """Return a folder for compiled loops as they are now.

    Numba compiles a loop anew when its own file changes, and not when a loop of another file does that it calls.
    """
    root = Path(__file__).parents[1]
    sources = sorted(path for path in (root / "src").rglob("*.py") if b"numba" in path.read_bytes())
    digest = hashlib.blake2b(digest_size=8)
    for path in sources:
        digest.update(str(path).encode() + path.read_bytes())
    return str(root / ".pytest_cache" / f"numba-{digest.hexdigest()}")


os.environ.setdefault("NUMBA_CACHE_DIR", _numba_cache())

# hundreds of processes that tests start would each compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # a shell starts what runs in its background like that
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_framework_comes_in_unmarked(request):
    """Fail a test without a mark that loads a framework: its threads would disturb the tests after it that fork."""
    frameworks = {"jax", "torch", "tensorflow"} - set(sys.modules)
    yield
    is_marked = any(request.node.get_closest_marker(mark) for mark in ("framework", "adapter"))
    assert is_marked or not frameworks & set(sys.modules), "it loads a framework: mark it framework or adapter"


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
    """Return a context that ends a test that hangs: ``with time_limit(600): ...``, in seconds, in the main thread."""

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


@pytest.fixture
def has_open():
    """Return a function that says whether a process has a file of such an ending open just now."""

    def looked_up(pid, ending):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                if str(link.readlink()).endswith(ending):
                    return True
        return False

    return looked_up


def free_port():
    """Return a port that nobody uses, and that the system gives nobody until it is used: it gives higher ones."""
    first_given = Path("/proc/sys/net/ipv4/ip_local_port_range")
    below = int(first_given.read_text().split()[0]) if first_given.exists() else 32_768
    while True:
        port = secrets.choice(range(10_000, max(below, 10_500)))
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def run_ranks():
    """Return a function that runs a script as several processes, and gives what each printed last, read as JSON.

    The script gets rank, world_size and a free port as its arguments.
    """
    children = []

    def run(script, *, world_size=2, seconds=300, **environment):
        port = free_port()
        children.extend(
            subprocess.Popen(
                [sys.executable, "-c", script, str(rank), str(world_size), str(port)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | environment,
            )
            for rank in range(world_size)
        )
        said = [child.communicate(timeout=seconds) for child in children]
        for child, (_, complaints) in zip(children, said, strict=True):
            assert child.returncode == 0, complaints[-3000:]
        return [json.loads(out.strip().splitlines()[-1]) for out, _ in said]

    yield run
    for child in children:
        if child.poll() is None:
            child.kill()
            child.communicate()
