"""Ask again: with growing pauses, within a total time, and never after the end."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, TypeVar

from rowlock.errors import LoaderClosedError, RowError
from rowlock.meter import note_retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.remote.settings import Remote

__all__ = ["Ending", "MomentaryError", "closed", "repeated"]

_LONGEST_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.2

Result = TypeVar("Result")


class Ending:
    """Whether all is over. A plain flag, without a lock: finalisers set it, in whatever thread and moment."""

    def __init__(self) -> None:
        self.is_over = False

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        deadline = time.monotonic() + seconds
        while not self.is_over and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _LOOK_SECONDS))


class MomentaryError(Exception):
    """A failure that may pass.

    Parameters
    ----------
    final : OSError or RowError
        What to raise if it does not.
    wait_seconds : float
        What the server asks for.
    """

    def __init__(self, final: OSError | RowError, wait_seconds: float = 0.0) -> None:
        super().__init__(str(final))
        self.final = final
        self.wait_seconds = wait_seconds


def closed() -> LoaderClosedError:
    """Return the error for whoever still waits when a dataset is closed."""
    return LoaderClosedError("the dataset of these remote pictures was closed")


def repeated(attempt: Callable[[float], Result], remote: Remote, ending: Ending) -> Result:
    """Call ``attempt(deadline)`` until it succeeds, fails for good, or tries or time are used up.

    Raises
    ------
    RowError, OSError
        What the last attempt said; an `OSError` is marked, so that outer layers do not repeat it.
    """
    deadline = time.monotonic() + remote.total_seconds
    for number in range(1, remote.num_tries + 1):
        if ending.is_over:
            raise closed()
        try:
            return attempt(deadline)
        except MomentaryError as failure:
            wait = max(failure.wait_seconds, _pause(number, remote.backoff_seconds))
            if ending.is_over:
                raise closed() from failure
            if number == remote.num_tries or time.monotonic() + wait > deadline:
                raise _given_up(failure, number, wait, remote) from failure.__cause__
        note_retry()
        ending.wait(wait)
    raise AssertionError  # the last round returns or raises


def _pause(number: int, first_seconds: float) -> float:
    longest = min(_LONGEST_WAIT_SECONDS, first_seconds * 2.0 ** (number - 1))
    return longest * random.uniform(0.5, 1.5)  # noqa: S311 - spreads the load; nothing depends on it


def _given_up(failure: MomentaryError, num_tried: int, wait: float, remote: Remote) -> Exception:
    error = failure.final
    why = "asked once" if num_tried == 1 else f"asked {num_tried} times"
    if num_tried < remote.num_tries:
        why += f"; the next try, in {wait:.3g} s, would exceed total_seconds={remote.total_seconds:g}"
    if isinstance(error, RowError):
        return RowError(f"{error.reason} ({why})", stage=error.stage)
    given_up = OSError(error.errno, f"{error.strerror} ({why})")
    given_up.num_retries = num_tried - 1  # type: ignore[attr-defined]  # a mark for `rowlock.retries`
    return given_up
