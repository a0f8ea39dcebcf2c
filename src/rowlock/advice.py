"""What limits a loader, in one sentence, and what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.processors import num_processors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["advise"]

_ENOUGH_SHARE = 0.1
"""Waiting less than this share of the time is not worth a thought."""

_IDLE_SHARE = 0.6
"""Threads that work less than this share of the time are not what limits the rate."""

_FULL_SHARE = 0.8
"""A budget of which more was in use held batches back."""

_DOING = {"read": "reading", "decode": "decoding", "transform": "augmenting", "gather": "gathering"}


def advise(
    seconds: Mapping[tuple[str, str], float],
    elapsed_seconds: float,
    wait_share: float,
    num_threads: int,
    num_batches: int,
    memory_share: float,
) -> str:
    """Return one sentence.

    Parameters
    ----------
    seconds : dict
        Thread time of each (input, stage); stages are ``"read"``, ``"decode"``, ``"transform"`` and
        ``"gather"``.
    elapsed_seconds : float
        The consumer's time, waiting included.
    wait_share : float
        Share of it in which the consumer waited.
    num_threads : int
        Of the engine.
    num_batches : int
        Delivered.
    memory_share : float
        Most of the memory budget that was in use at a time, or kept free for the threads, 0 to 1.
    """
    busy = sum(seconds.values())
    if not elapsed_seconds or not num_batches:
        return "nothing to say yet: no epoch was measured"
    if wait_share < _ENOUGH_SHARE:
        return f"the model is the bottleneck: faster loading could save {wait_share:.0%} at most"
    busy_share = busy / elapsed_seconds / num_threads
    if busy_share < _IDLE_SHARE:
        return _idle(busy_share, elapsed_seconds / num_batches, num_threads, memory_share)
    (name, stage), most = max(seconds.items(), key=lambda item: item[1])
    return f"{_DOING[stage]} {name!r} takes {most / busy:.0%} of the loader's time: {_remedy(stage, num_threads)}"


def _idle(busy_share: float, batch_seconds: float, num_threads: int, memory_share: float) -> str:
    """Say why the consumer waits although threads have nothing to do."""
    threads = f"the {num_threads} threads were at work only {busy_share:.0%} of the time"
    if memory_share > _FULL_SHARE:
        return f"{threads}, held back by the memory budget: a larger one, Engine(memory_budget=...), or smaller batches"
    return (
        f"{threads}, and a batch takes {batch_seconds * 1e3:.2g} ms: handing it over is much of that. Larger batches"
        " would help, or running further ahead, Engine(prefetch=...)"
    )


def _remedy(stage: str, num_threads: int) -> str:
    processors = num_processors()
    if num_threads < processors:
        return f"use more threads, Engine(num_threads={processors})"
    if stage == "read" and num_threads < 4 * processors:
        return f"use more threads than processors, Engine(num_threads={4 * processors}), or a faster disk"
    if stage == "read":
        return "a faster disk or network would help, or smaller files"
    if stage == "decode":
        return (
            "all processors are at it: keep decoded pictures, Images(cache=...), store them smaller, or use more"
            " processors"
        )
    if stage == "transform":
        return "all processors are at it: augment less, or on the device, with layers of the model"
    return (
        "all processors or the disk are at it: fewer columns, a smaller dtype or a faster machine would help, and"
        " `rowlock pack` for a source that is no store"
    )
