"""Rows in proportion to weights: chance moves a count by less than two from its share.

Algorithm ``weighted-1``: stratified sampling. The rows lie side by side on a line of length N, in the dataset's order,
each with a length of its weight over the mean weight. An epoch draws one point from every unit of the line, and the
row that the point hits:

* position p of epoch e draws from unit ``u = feistel-1(p; seed, e, N)``;
* the point is ``u + (start(u) + turn(e)) % 1``; ``start(u)`` is the upper 53 bits of
  ``mix(mix(k0 + gold * u) + k1)``, over 2**53; k0 and k1 are the first words of SHAKE-256 over
  ``"rowlock weighted-1 {seed} {N}"``, `mix` and `gold` as in ``balanced-1``;
* ``turn(e)`` is the van der Corput sequence: the bits of e, mirrored at the binary point (0, 1/2, 1/4, 3/4, 1/8, ...);
* the line is in float64: ends are running sums of ``weight / heaviest``, in order, times ``N / sum``; a row reaches
  from the end before it, which belongs to it, to its own, which does not. The last row that weighs anything ends at
  N, and has the point that rounding lifts to N.

Golden files hold the order: it never changes under this name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from rowlock.permutation import key_words, permute

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["HINT_UNITS", "Weighted"]

HINT_UNITS = 8
"""Units of the line from one hint to the next: their rows' ends are about a cache line."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """Rows as often as their weights say, drawn from the units of a line; made by `of`.

    A row whose share of an epoch is s draws is drawn s times in expectation, and always less than two times more or
    less; the same holds for 2**m epochs from a multiple of 2**m on, with their share. Rows of weight 0 never
    come. Equal weights give every row exactly once an epoch.

    Memory is 9 bytes a row. A row costs a permutation's pass and a binary search between two hints.
    """

    algorithm: ClassVar[str] = "weighted-1"
    num_rows: int
    digest: str
    _ends: AnyArray = field(repr=False, compare=False)  # of the rows on the line
    _hints: Int64Array = field(repr=False, compare=False)  # the row that every `HINT_UNITS`th unit begins with

    @classmethod
    def of(cls, weights: AnyArray) -> Self:
        """Return the order for rows of the given weights.

        Parameters
        ----------
        weights : float64, shape (num_rows,)
            Finite, not negative, not all zero. What is below 2**-53 of the sum of all before it counts as zero.
        """
        num_rows = len(weights)
        ends = np.cumsum(weights / weights.max())  # running sums are taken one by one, the same on every machine
        ends *= num_rows / ends[-1]
        np.minimum(ends, num_rows, out=ends)
        last = num_rows - 1 - int(np.argmax(weights[::-1] > 0))
        ends[last:] = num_rows
        digest = hashlib.blake2b(ends.astype("<f8").data, digest_size=8).hexdigest()
        starts = np.arange(0, num_rows + HINT_UNITS, HINT_UNITS, dtype=np.float64)
        hints = np.minimum(np.searchsorted(ends, starts, side="right"), last).astype(np.int64)
        ends.flags.writeable = hints.flags.writeable = False
        return cls(num_rows, digest, ends, hints)

    @property
    def fingerprint(self) -> str:
        """Digest of the line: weights in exactly the same proportion have the same."""
        return f"weights:{self.digest}"

    def rows(self, positions: Int64Array, seed: int, epoch: int) -> Int64Array:
        """Return the rows at some positions; see `Order`."""
        from rowlock.orders import kernels  # noqa: PLC0415 - numba is loaded on first use

        units = permute(positions, self.num_rows, seed, epoch)
        keys = key_words(f"rowlock {self.algorithm} {seed} {self.num_rows}", 2)
        rows = np.empty(len(units), np.int64)
        kernels.weighted(units, _turn(epoch), self._ends, self._hints, keys, rows)
        return rows


def _turn(epoch: int) -> float:
    """Return the van der Corput sequence: any run of 2**m from a multiple of 2**m on is spread evenly over 0 .. 1."""
    bits = f"{epoch:b}"
    return int(bits[::-1], 2) / (1 << len(bits))
