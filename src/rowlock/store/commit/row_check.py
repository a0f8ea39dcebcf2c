"""The constants of ``row_check``: drawn from the store's uuid, so that two stores never agree by chance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from uuid import UUID

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array

__all__ = ["ROW_HASH", "RowCheck", "RowFactors", "RowProof", "changed_digest"]

ROW_HASH = "multilinear32-1"
"""Name of the algorithm as it is written into a store; it never changes under this name."""

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 1 << 64


@dataclass(frozen=True, eq=False)
class RowFactors:
    """What turns a row's bytes into its check; see `rowlock.store.commit.row_kernels`.

    Parameters
    ----------
    factors : uint64, shape (words,)
        Two odd 32-bit factors each, one for every 32-bit word of a row: the earlier in the low half.
    salt : uint64
        Where the sum starts, so that rows of zeros differ between stores.
    """

    factors: UInt64Array
    salt: np.uint64

    @cached_property
    def words(self) -> AnyArray:
        """The factors one by one, uint32: ``words[j]`` is that of the j-th 32-bit word of a row."""
        return self.factors.astype("<u8", copy=False).view("<u4")

    @staticmethod
    def of(uuid: UUID, row_bytes: int) -> RowFactors:
        """Draw the constants from splitmix64, started at the two halves of `uuid` joined by xor.

        The salt is the first number of the stream; the factors are the numbers after it, with the lowest bit
        of both halves set.
        """
        start = ((uuid.int >> 64) ^ uuid.int) % _WORD
        num_words = -(-row_bytes // 8)
        steps = np.arange(1, num_words + 2, dtype=np.uint64)
        stream = _mix64(np.uint64(start) + steps * np.uint64(_GOLDEN))
        return RowFactors(stream[1:] | np.uint64(0x1_0000_0001), stream[0])


@dataclass(frozen=True, eq=False)
class RowProof:
    """What the rows of a commit are checked against.

    Parameters
    ----------
    factors : RowFactors
    checks : uint64, shape (num_rows,)
        The stored row_check of every row.
    numbers : int64, shape (num_rows,) or empty
        The stored keys, where keys are numbers.
    """

    factors: RowFactors
    checks: UInt64Array
    numbers: Int64Array


KernelArguments: TypeAlias = "tuple[AnyArray, np.uint64, UInt64Array, Int64Array, UInt64Array, bool, UInt64Array]"
"""What each loop that decodes and checks rows takes last."""


class RowCheck(NamedTuple):
    """How the rows of one call are checked."""

    proof: RowProof
    key_hashes: UInt64Array
    """Hash of the key that each row must have, uint64, shape (n,); empty: of what the proof says."""
    found: UInt64Array
    """Receives the check of what was read, uint64, shape (n,)."""
    verify: bool
    """Whether to check at all (benchmarks measure what it costs)."""

    def part(self, piece: slice) -> RowCheck:
        """Return the check of some of the rows."""
        return RowCheck(self.proof, self.key_hashes[piece], self.found[piece], self.verify)

    @property
    def by_words(self) -> KernelArguments:
        """For loops over whole rows, by 64-bit words."""
        return self._arguments(self.proof.factors.factors)

    @property
    def by_half_words(self) -> KernelArguments:
        """For loops over cells, by 32-bit words."""
        return self._arguments(self.proof.factors.words)

    def _arguments(self, factors: AnyArray) -> KernelArguments:
        proof = self.proof
        return factors, proof.factors.salt, proof.checks, proof.numbers, self.key_hashes, self.verify, self.found


def changed_digest(digest: str, rows: Int64Array, before: UInt64Array, after: UInt64Array) -> str:
    """Return the digest of all checks (`digest_words`) after those of `rows`, each named once, have changed."""
    places = _mix64(rows.astype(np.uint64))
    added, taken = (int(_mix64(checks + places).sum(dtype=np.uint64)) for checks in (after, before))
    return f"{(int(digest, 16) + added - taken) % _WORD:016x}"


def _mix64(words: UInt64Array) -> UInt64Array:
    """Return the finaliser of splitmix64, as in `rowlock.key_kernels.mix64`, without Numba."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
