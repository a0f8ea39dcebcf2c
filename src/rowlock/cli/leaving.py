"""The end of the process: at once, where nothing is left to be done."""

from __future__ import annotations

import atexit
import os
import sys
import threading

from rowlock.cli.terminal import PIPE_CLOSED

__all__ = ["leave"]


def leave(end: SystemExit) -> None:
    """End the process as `end` says: after all that waits for the end, and without taking the interpreter apart.

    Python frees every object and module on its way out. With Keras, its backend and Numba loaded that is one to two
    seconds of processor time, and on a busy machine many more, in which Ctrl-C seems to do nothing.
    """
    others = [one for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    if others or not (end.code is None or isinstance(end.code, int)):
        raise end
    code = end.code or 0
    atexit._run_exitfuncs()  # noqa: SLF001 - what Python itself calls; there is no public name for it
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = PIPE_CLOSED
    os._exit(code)
