"""Ray Train: which part of the batches this worker takes."""

from __future__ import annotations

from rowlock.errors import MissingDependencyError

try:
    from ray import train
except ModuleNotFoundError as error:
    raise MissingDependencyError("Ray is not installed: pip install 'rowlock[ray]'") from error

__all__ = ["shard"]


def shard() -> tuple[int, int]:
    """Return (rank, world_size) of the Ray Train worker that calls it, for ``batches(..., shard=shard())``."""
    context = train.get_context()
    return context.get_world_rank(), context.get_world_size()
