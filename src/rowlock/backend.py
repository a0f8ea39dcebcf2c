"""Chooses Keras' backend, loads it without its chatter, and says which one it is."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from rowlock.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BACKENDS", "choose", "load"]

BACKENDS: Final = ("tensorflow", "jax", "torch")
"""The fastest on two cores first; measured in docs/adr/0006-demo-backend.md."""

_INSTALL = "pip install 'rowlock[keras,{}]'"


def choose() -> str:
    """Return the backend that KERAS_BACKEND names, else the first of `BACKENDS` that is installed.

    Raises
    ------
    ConfigError
        KERAS_BACKEND names something that Keras cannot train with.
    MissingDependencyError
        The named one is not installed, or none is.
    """
    named = os.environ.get("KERAS_BACKEND", "")
    if named and named not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND={named!r} is none of {', '.join(BACKENDS)}, which Keras trains with")
    for backend in (named,) if named else BACKENDS:
        if find_spec(backend) is not None:
            return backend
    missing = f"KERAS_BACKEND={named}, but {named} is" if named else f"none of {', '.join(BACKENDS)} is"
    raise MissingDependencyError(f"{missing} not installed: {_INSTALL.format(named or BACKENDS[0])}")


def load() -> str:
    """Import Keras with the chosen backend and return the name of the one that runs.

    Where Keras is imported already, that is the one it was imported with.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = choose()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if find_spec("keras") is None:
        raise MissingDependencyError(f"keras is not installed: {_INSTALL.format(BACKENDS[0])}")
    with _quiet():
        import keras  # noqa: PLC0415 - the backend must be chosen before

        if find_spec("tensorflow") is not None:
            # Keras does so itself when it first looks at a data set, on every backend: now it is quiet.
            import_module("tensorflow")
    return str(keras.backend.backend())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and show it after all where an import fails.

    TensorFlow prints its first lines from C++ before any setting of its log level counts; the setting that
    would stop them (TF_ENABLE_ONEDNN_OPTS=0) makes training 1.6 times slower.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
