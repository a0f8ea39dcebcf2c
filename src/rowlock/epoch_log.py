"""A line of log for each complete epoch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rowlock.engine import Engine
    from rowlock.stats import LoaderStats, Recorder

__all__ = ["EpochLog"]

_LOG = logging.getLogger("rowlock")


class EpochLog:
    """Says in one line how each complete epoch went: what it cost, and what its consumer waited for.

    Parameters
    ----------
    recorder : Recorder
        Counts what is delivered.
    engine : Engine
        That makes it.
    """

    def __init__(self, recorder: Recorder, engine: Engine) -> None:
        self._recorder = recorder
        self._engine = engine
        self._at_start = self.stats()  # of the epoch under way

    def stats(self) -> LoaderStats:
        """Return what was delivered so far."""
        return self._recorder.snapshot(self._engine.num_threads, self._engine.memory())

    def begin(self, complete: int | None) -> None:
        """Note that an epoch begins; `complete` is the one before, if it is not told yet."""
        self._tell(complete)
        self._recorder.new_epoch()
        self._at_start = self.stats()

    def end(self, complete: int | None) -> None:
        """Note that the consumer is done with the last batch."""
        self._recorder.ended()
        self._tell(complete)

    def used(self, complete: int) -> None:
        """Note that all batches of an epoch were used, while the next ones may be under way already."""
        self._tell(complete)
        self._at_start = self.stats()

    def _tell(self, complete: int | None) -> None:
        if complete is not None and _LOG.isEnabledFor(logging.INFO):
            _LOG.info("epoch %d: %s", complete, self.stats() - self._at_start)
