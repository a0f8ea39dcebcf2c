"""Which rows are batch number `step`: a pure function, the same in every process and on every day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from rowlock.arguments import true_or_false, whole_number
from rowlock.errors import ConfigError
from rowlock.orders import FrameOrder, Permutation

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array
    from rowlock.inputs.base import Draw
    from rowlock.orders import Order

__all__ = ["Last", "Place", "Plan"]

_MOST = 2**62
"""Rows of a dataset, and of a batch: the end of the last batch is a number of 64 bits, too."""

_NUMBERS = (
    ("num_rows", 1, _MOST), ("batch_size", 1, _MOST), ("world_size", 1, None), ("rank", 0, None), ("seed", None, None),
)  # fmt: skip

Last = Literal["keep", "drop", "pad"]


class Place(NamedTuple):
    """A step's place in the run: its epoch, and how many rows of that epoch all ranks took before it."""

    epoch: int
    position: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The order of a whole run, for one rank, in O(1) memory (but for what a `sampling` holds).

    An epoch is an exact permutation of all rows (see `rowlock.permutation`), or as many rows drawn by `sampling`,
    cut into global batches of ``batch_size * world_size`` rows; rank r takes the r-th `batch_size` rows of each. So
    the rows of a global batch do not depend on how many ranks share it.

    Parameters
    ----------
    num_rows : int
        Rows of the dataset.
    batch_size : int
        Rows a batch, on this rank.
    shuffle : bool
        False: every epoch is the dataset's own order.
    seed : int
        The one integer that fixes the order of all epochs.
    augment : bool
        Whether `draw` gives readers a source of random numbers.
    last : {"keep", "drop", "pad"}
        What becomes of the rows that do not fill a global batch: a short batch, left out of this epoch, or
        filled up with rows from the epoch's beginning (which get weight 0).
    rank, world_size : int
        Which process, of how many.
    start : (epoch, position)
        Where the run begins. Not (0, 0) where an interrupted run goes on with another geometry.
    start_step : int
        Number of the first step, cut from `start`.
    sampling : Order, optional
        What draws the rows of an epoch instead of a permutation: `rowlock.orders.Balanced` or `Weighted`.

    Raises
    ------
    ConfigError
        A number is out of its range; several ranks with ``last="keep"`` (their step counts would differ and
        hang a collective operation); a batch larger than the data with ``last="drop"`` (no step would be left);
        a `sampling` without `shuffle`, or for another number of rows.
    """

    num_rows: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    augment: bool = False
    last: Last = "keep"
    rank: int = 0
    world_size: int = 1
    start: Place = Place(0, 0)  # noqa: RUF009 - a tuple, which nobody can change
    start_step: int = 0
    sampling: Order | None = None

    def __post_init__(self) -> None:
        for name, least, most in _NUMBERS:
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least, most))
        whole_number("batch_size * world_size", self.global_batch_size, most=_MOST)
        for name in ("shuffle", "augment"):
            object.__setattr__(self, name, true_or_false(name, getattr(self, name)))
        if self.last not in get_args(Last):
            raise ConfigError(f"last must be 'keep', 'drop' or 'pad', not {self.last!r}")
        if self.rank >= self.world_size:
            raise ConfigError(f"rank {self.rank} is not one of {self.world_size} ranks, which count from 0")
        if self.last == "keep" and self.world_size > 1:
            raise ConfigError(
                f"last='keep' would give the {self.world_size} ranks different numbers of steps, and hang"
                " training at the end of an epoch. Choose last='drop' or last='pad'."
            )
        if self.last == "drop" and self.num_rows < self.global_batch_size:
            raise ConfigError(
                f"a batch of {self.batch_size} rows on {self.world_size} rank(s) is larger than the data"
                f" ({self.num_rows} rows), so last='drop' leaves no step. Choose a smaller batch or last='keep'."
            )
        if self.sampling is not None:
            self._check_sampling(self.sampling)

    @property
    def global_batch_size(self) -> int:
        """Rows a step, over all ranks."""
        return self.batch_size * self.world_size

    @property
    def most_rows(self) -> int:
        """Rows of the largest batch of this rank."""
        return min(self.batch_size, self.num_rows) if self.last == "keep" else self.batch_size

    @property
    def order(self) -> Order:
        """What says which row stands at a position of an epoch."""
        if self.sampling is not None:
            return self.sampling
        return Permutation(self.num_rows) if self.shuffle else FrameOrder(self.num_rows)

    @property
    def algorithm(self) -> str:
        """Name of the order: it never changes under one name."""
        return self.order.algorithm

    @property
    def sampled_by(self) -> str:
        """What a `sampling` depends on besides the seed, as a short text; empty without one."""
        return self.order.fingerprint

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a whole epoch; the same on every rank."""
        return self._steps_from(0)

    def first_step(self, epoch: int) -> int:
        """Return the first step of an epoch, or of what is left of it where the plan starts within."""
        if epoch <= self.start.epoch:
            return self.start_step
        whole_epochs = epoch - self.start.epoch - 1
        return self.start_step + self._steps_from(self.start.position) + whole_epochs * self.steps_per_epoch

    def place(self, step: int) -> Place:
        """Return the epoch of a step, and how many rows of it all ranks took before this step."""
        taken = step - self.start_step
        if taken < 0:
            raise ConfigError(f"step {step} does not exist: this plan begins with step {self.start_step}")
        in_first_epoch = self._steps_from(self.start.position)
        if taken < in_first_epoch:
            return Place(self.start.epoch, self.start.position + taken * self.global_batch_size)
        epochs, index = divmod(taken - in_first_epoch, self.steps_per_epoch)
        return Place(self.start.epoch + 1 + epochs, index * self.global_batch_size)

    def num_rows_between(self, first: int, stop: int) -> int:
        """Return how many rows this rank delivers in the steps from `first` to before `stop`, all of one epoch."""
        num_rows = (stop - first) * self.batch_size
        if self.last == "keep" and stop > first:
            num_rows -= max(0, self.place(stop - 1).position + self.batch_size - self.num_rows)
        return num_rows

    def rows(self, step: int) -> Int64Array:
        """Return the dataset rows of batch `step`; no history is needed, and any step may be asked for.

        Returns
        -------
        rows : int64, shape (n,)
            n is `batch_size`, but for a short last batch under ``last="keep"``.
        """
        epoch, position = self.place(step)
        first = position + self.rank * self.batch_size
        stop = first + self.batch_size
        if self.last == "keep":
            stop = min(stop, self.num_rows)
        positions = np.arange(first, stop, dtype=np.int64) % self.num_rows
        return self.order.rows(positions, self.seed, epoch)

    def rows_before(self, step: int) -> int:
        """Return how many rows of its epoch all ranks took before a step, repeats left out."""
        return min(self.place(step).position, self.num_rows)

    def num_padded(self, step: int) -> int:
        """Return how many rows at the end of batch `step` only fill it up, and weigh nothing."""
        if self.last != "pad":
            return 0
        stop = self.place(step).position + (self.rank + 1) * self.batch_size
        return min(max(stop - self.num_rows, 0), self.batch_size)

    def draw(self, step: int) -> Draw | None:
        """Return (seed, epoch) for augmentation in batch `step`, or None where nothing is augmented."""
        return (self.seed, self.place(step).epoch) if self.augment else None

    def _check_sampling(self, sampling: Order) -> None:
        if not self.shuffle:
            raise ConfigError(
                f"shuffle=False is the dataset's own order, and {sampling.algorithm} is an order of chance. Leave one"
                " of them out: sampling is for training, and rows are evaluated once each, in their own order."
            )
        if sampling.num_rows != self.num_rows:
            raise ConfigError(f"the sampling is for {sampling.num_rows:,} rows, the plan for {self.num_rows:,}")

    def _steps_from(self, position: int) -> int:
        left = self.num_rows - position
        if self.last == "drop":
            return left // self.global_batch_size
        return -(-left // self.global_batch_size)
