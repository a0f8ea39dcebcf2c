"""From a loader to a framework: what all adapters have in common."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rowlock.arguments import whole_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rowlock.batch import Batch
    from rowlock.loader import Loader

__all__ = ["FrameworkBatches", "SentAhead"]

SentT = TypeVar("SentT")
_LOG = logging.getLogger("rowlock")


class FrameworkBatches:
    """A loader in a framework's clothes: length, epoch and state are the loader's own."""

    loader: Loader
    _was_warned = False

    def __len__(self) -> int:
        return len(self.loader)

    def warn_if_whole(self, num_processes: int, shard: str) -> None:
        """Say once that each of several processes trains on all the rows, where it seems so."""
        plan = self.loader.plan
        if num_processes > 1 and plan.world_size == 1 and plan.shuffle and not self._was_warned:
            self._was_warned = True
            _LOG.warning(
                "each of %d processes takes all %d rows: batches(..., shard=%s) gives each its part",
                num_processes,
                plan.num_rows,
                shard,
            )

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration deliver `epoch`; see `Loader.set_epoch`."""
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where the loader is; batches count when they are handed over, not when they are sent ahead."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see `Loader.load_state_dict`."""
        self.loader.load_state_dict(state)


class SentAhead(Generic[SentT]):
    """Sends batches to a device before they are asked for; for `Loader.epoch`.

    It sends, in the consumer's own thread and without waiting, what the engine has made already. Nothing of it
    counts as delivered. What cannot be sent ahead is sent again in its turn, and raises there.

    Parameters
    ----------
    loader : Loader
    send : callable
        Begins to send a batch, and returns what is handed over.
    num_ahead : int
        Most batches that are sent and not yet delivered.
    """

    def __init__(self, loader: Loader, send: Callable[[Batch], SentT], num_ahead: int) -> None:
        self._loader = loader
        self._send = send
        self._num_ahead = whole_number("prefetch", num_ahead, 0)
        self._on_their_way: deque[tuple[Batch, SentT]] = deque()

    def __call__(self, batch: Batch) -> SentT:
        """Return the batch as it was sent, and send those after it."""
        while self._on_their_way:  # other batches than this one: their epoch was given up
            source, sent = self._on_their_way.popleft()
            if source is batch:
                break
        else:
            sent = self._send(batch)
        self._send_ahead(batch.step + 1)
        return sent

    def _send_ahead(self, first: int) -> None:
        upcoming = self._loader.ready(first, self._num_ahead)
        try:
            for batch in upcoming[len(self._on_their_way) :]:
                self._on_their_way.append((batch, self._send(batch)))
        except Exception:  # noqa: BLE001 - it is raised in the batch's own turn
            return
