"""What limits a loader, in one sentence, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["advise"]

_ENOUGH_SHARE = 0.05
"""Waiting less than this share of the time is not worth a thought."""

_IDLE_SHARE = 0.6
"""Threads that work less than this share of the time are not what limits the rate."""

_SHORT_SECONDS = 0.001
"""A batch that takes less is mostly bookkeeping."""

_DOING = {"read": "reading", "decode": "decoding", "gather": "gathering"}


def advise(
    seconds: Mapping[tuple[str, str], float],
    elapsed_seconds: float,
    wait_share: float,
    num_threads: int,
    num_batches: int,
) -> str:
    """Return one sentence.

    Parameters
    ----------
    seconds : dict
        Thread time of each (input, stage); stages are ``"read"``, ``"decode"`` and ``"gather"``.
    elapsed_seconds : float
        The consumer's time, waiting included.
    wait_share : float
        Share of it in which the consumer waited.
    num_threads : int
        Of the engine.
    num_batches : int
        Delivered.
    """
    busy = sum(seconds.values())
    if not elapsed_seconds or not busy:
        return "nothing to say yet: no epoch was measured"
    if wait_share < _ENOUGH_SHARE:
        return "the model is the bottleneck: faster loading would change nothing"
    busy_share = busy / elapsed_seconds / num_threads
    if busy_share < _IDLE_SHARE and elapsed_seconds < _SHORT_SECONDS * num_batches:
        return (
            f"a batch takes {elapsed_seconds / num_batches * 1e6:.0f} µs, mostly bookkeeping: larger batches would help"
        )
    if busy_share < _IDLE_SHARE:
        return (
            f"the {num_threads} threads were at work only {busy_share:.0%} of the time: let them run further ahead,"
            " Engine(prefetch=..., memory_budget=...)"
        )
    (name, stage), most = max(seconds.items(), key=lambda item: item[1])
    return f"{_DOING[stage]} {name!r} takes {most / busy:.0%} of the loader's time: {_remedy(stage, num_threads)}"


def _remedy(stage: str, num_threads: int) -> str:
    processors = num_processors()
    if num_threads < processors:
        return f"use more threads, Engine(num_threads={processors})"
    if stage == "read" and num_threads < 4 * processors:
        return f"use more threads than processors, Engine(num_threads={4 * processors}), or a faster disk"
    if stage == "read":
        return "a faster disk or network would help, or smaller files"
    if stage == "decode":
        return "all processors are at it: store the pictures smaller, or use more processors"
    return "all processors or the disk are at it: choose fewer columns or a smaller dtype, or a faster machine"
