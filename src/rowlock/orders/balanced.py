"""Every class equally often, whatever its size: exact counts, nothing left to chance but the order.

Algorithm ``balanced-1``. The C classes that have rows are numbered as their codes are sorted. Everything below is
integer arithmetic on 64-bit words; ``mix`` is the finaliser of splitmix64, ``gold`` is 0x9E3779B97F4A7C15, and the keys
k0, k1, k2 are the first words of SHAKE-256 over ``"rowlock balanced-1 {seed} {num_rows} {C}"``.

* An epoch is cut into blocks of C positions; every class has one of them. Block b of epoch e is shuffled by the
  state ``mix(k0 + gold * (e * (num_rows // C) + b))``.
* The ``rest = num_rows % C`` positions that are left over at the end belong to the classes ``(e * rest + i) % C``,
  0 <= i < rest, shuffled by ``mix(k1 + gold * e)``: over the epochs, every class has its turn.
* So every position is a known draw of its class, counted over all epochs in the order of time. Draw d of class c,
  which has n rows, is the row at place ``d % n`` of its cycle ``d // n``, which is shuffled by
  ``mix(mix(k2 + gold * c) + gold * cycle)``. Rows of a class are numbered in the dataset's order.
* Shuffled by a state, 0 .. n-1 is: for n up to 64, at place p the number of i < n with
  ``mix(state + gold * i) < mix(state + gold * p)``; for more, the network of `feistel-1`, whose eight round keys are
  ``mix(state + gold * (i + 1))``, 0 <= i < 8.

Golden files hold the order: it never changes under this name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from rowlock.permutation import key_words

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, Int64Array

__all__ = ["Balanced"]


@dataclass(frozen=True, slots=True)
class Balanced:
    """Every class equally often in every epoch and, within two, in every batch.

    Counts of classes differ by at most one over any number of whole epochs. A row of a class comes again only when
    every row of the class has come, over the ends of epochs too. Made by `of`.

    Memory is 4 bytes a row (8 beyond 2**31 rows), and 8 a class. A row costs one or two passes through the network
    of a permutation; with classes of 64 rows or fewer, up to 64 hashes instead.
    """

    algorithm: ClassVar[str] = "balanced-1"
    num_rows: int
    num_classes: int
    digest: str
    _members: AnyArray = field(repr=False, compare=False)  # rows, class after class
    _firsts: Int64Array = field(repr=False, compare=False)  # where each class begins in them, and the end

    @classmethod
    def of(cls, codes: AnyArray) -> Self:
        """Return the order for rows of the given classes.

        Parameters
        ----------
        codes : integers, shape (num_rows,)
            Class of each row; at least one row. Numbers that no row has are no classes.
        """
        classes, counts = np.unique(codes, return_counts=True)
        dense = np.searchsorted(classes, codes).astype(np.min_scalar_type(len(classes)))  # 16 bits sort in linear time
        members = np.argsort(dense, kind="stable").astype("<i4" if len(codes) <= 2**31 else "<i8")
        firsts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        digest = hashlib.blake2b(firsts.astype("<i8").data, digest_size=8)
        digest.update(members.data)
        members.flags.writeable = firsts.flags.writeable = False
        return cls(len(codes), len(classes), digest.hexdigest(), members, firsts)

    @property
    def fingerprint(self) -> str:
        """Number of classes, and a digest of who belongs to them."""
        return f"{self.num_classes} classes:{self.digest}"

    def rows(self, positions: Int64Array, seed: int, epoch: int) -> Int64Array:
        """Return the rows at some positions; see `Order`."""
        from rowlock.orders import kernels  # noqa: PLC0415 - numba is loaded on first use

        keys = key_words(f"rowlock {self.algorithm} {seed} {self.num_rows} {self.num_classes}", 3)
        places = np.empty(len(positions), np.int64)
        kernels.balanced(positions, np.uint64(epoch), np.uint64(self.num_rows), self._firsts, keys, places)
        return self._members[places].astype(np.int64)
