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
        self._complete: int | None = None  # an epoch that is not told yet

    def stats(self) -> LoaderStats:
        """Return what was delivered so far."""
        return self._recorder.snapshot(self._engine.num_threads, self._engine.memory())

    def begin(self) -> None:
        """Note that an epoch begins."""
        self._tell()
        self._recorder.new_epoch()
        self._at_start = self.stats()

    def complete(self, epoch: int) -> None:
        """Note that all of an epoch was delivered; its consumer may still be busy with the last batch."""
        self._complete = epoch

    def end(self) -> None:
        """Note that the consumer is done with the last batch."""
        self._recorder.ended()
        self._tell()

    def _tell(self) -> None:
        epoch, self._complete = self._complete, None
        if epoch is not None and _LOG.isEnabledFor(logging.INFO):
            _LOG.info("epoch %d: %s", epoch, self.stats() - self._at_start)
