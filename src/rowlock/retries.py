"""Repeat what failed for a moment: a disk or a network mount that hiccups must not end a run."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from rowlock.meter import note_retry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["retried"]

_MOMENTARY = {
    errno.EIO,
    errno.EAGAIN,
    errno.EINTR,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}
_MOMENTARY |= {getattr(errno, name, errno.EIO) for name in ("ESTALE", "EHOSTDOWN", "EHOSTUNREACH", "EREMOTEIO")}
_WAITS_SECONDS = (0.05, 0.5, 2.0)

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def retried(function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
    """Call a function, and again up to three times where the system reports an error that may pass.

    Raises
    ------
    OSError
        Of another kind, at once; or the last one, if it did not pass. What was repeated here is not repeated again
        by a caller that uses this function too.
    """
    for wait in (*_WAITS_SECONDS, None):
        try:
            return function(*args, **kwargs)
        except OSError as error:
            if wait is None:
                error.num_retries = len(_WAITS_SECONDS)  # type: ignore[attr-defined]  # a mark for outer callers
            if wait is None or hasattr(error, "num_retries") or not _may_pass(error):
                raise
        note_retry()
        time.sleep(wait)
    raise AssertionError  # the last round returns or raises


def _may_pass(error: OSError) -> bool:
    return error.errno in _MOMENTARY or isinstance(error, (TimeoutError, ConnectionError))
