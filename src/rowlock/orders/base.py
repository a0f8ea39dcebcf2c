"""What an order is, and the two that need no table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from rowlock import permutation

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array

__all__ = ["FrameOrder", "Order", "Permutation"]


class Order(Protocol):
    """A pure function from a position within an epoch to a row; frozen and picklable.

    Orders are equal where `algorithm`, `fingerprint` and `num_rows` are: then they give the same rows.
    """

    @property
    def algorithm(self) -> str:
        """Name of the order: it never changes under one name."""

    @property
    def fingerprint(self) -> str:
        """Short text of what the order depends on besides seed, epoch and number of rows; empty for nothing."""

    @property
    def num_rows(self) -> int:
        """Rows of the dataset, and positions of an epoch."""

    def rows(self, positions: Int64Array, seed: int, epoch: int) -> Int64Array:
        """Return the rows at some positions of an epoch.

        Parameters
        ----------
        positions : int64, shape (n,)
            0 <= position < num_rows; any of them, in any order.
        seed, epoch : int
            Different pairs give unrelated orders. 0 <= epoch.

        Returns
        -------
        rows : int64, shape (n,)
        """


@dataclass(frozen=True, slots=True)
class Permutation:
    """Every row once an epoch, shuffled: see `rowlock.permutation`."""

    num_rows: int
    algorithm: ClassVar[str] = permutation.ALGORITHM
    fingerprint: ClassVar[str] = ""

    def rows(self, positions: Int64Array, seed: int, epoch: int) -> Int64Array:
        """Return the rows at some positions; see `Order`."""
        return permutation.permute(positions, self.num_rows, seed, epoch)


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """Every row once an epoch, as the dataset has them."""

    num_rows: int
    algorithm: ClassVar[str] = "frame"
    fingerprint: ClassVar[str] = ""

    def rows(self, positions: Int64Array, seed: int, epoch: int) -> Int64Array:  # noqa: ARG002 - the same in every epoch
        """Return the positions themselves: they are the rows; see `Order`."""
        return positions
