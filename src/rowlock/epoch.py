"""One pass over the data, batch by batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from rowlock.errors import LoaderClosedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rowlock.arrays import Int64Array
    from rowlock.bad_rows import BadRow
    from rowlock.batch import Batch

__all__ = ["Epoch", "Made"]

HandedT = TypeVar("HandedT")


class Made(NamedTuple):
    """A batch that was made and not counted yet; see `Loader.made`."""

    batch: Batch
    num_rows: int
    """Planned for it, those that were skipped included."""
    bad: Sequence[BadRow]
    """Rows of it that were masked or skipped."""
    bad_places: Int64Array
    """Where they are, or were, in the batch."""


class Epoch(Generic[HandedT]):
    """One pass over the data. A class, not a generator: an error does not end it, and threads may share it."""

    def __init__(
        self,
        next_batch: Callable[[Callable[[Batch], HandedT], int, range], HandedT],
        hand_over: Callable[[Batch], HandedT],
        turn: int,
        steps: range,
        num_rows: int,
    ) -> None:
        self._next_batch = next_batch
        self._hand_over = hand_over
        self._turn = turn
        self.steps = steps
        """Of this epoch, or of what is left of it."""
        self.num_rows = num_rows
        """Rows that are planned for it, on this rank."""
        self._is_over = False

    def __iter__(self) -> Iterator[HandedT]:
        return self

    def __length_hint__(self) -> int:
        return len(self.steps)

    def __next__(self) -> HandedT:
        if self._is_over:
            raise StopIteration
        try:
            # A method, not a `partial`: Ctrl-C may come when a function of C returns, and the batch would be lost.
            return self._next_batch(self._hand_over, self._turn, self.steps)
        except StopIteration:
            self._is_over = True
            raise
        except LoaderClosedError:
            if self._is_over:  # another thread took the last batch meanwhile, and went on to the next epoch
                raise StopIteration from None
            raise
