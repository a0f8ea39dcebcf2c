"""Ray Train: which part of the batches this worker takes."""

from __future__ import annotations

from rowlock.errors import ConfigError, MissingDependencyError

try:
    from ray import train
except ModuleNotFoundError as error:
    raise MissingDependencyError("Ray is not installed: pip install 'rowlock[ray]'") from error

__all__ = ["shard"]


def shard() -> tuple[int, int]:
    """Return (rank, world_size) of the Ray Train worker that calls it, for ``batches(..., shard=shard())``.

    Raises
    ------
    ConfigError
        It is called elsewhere, such as in the driver.
    """
    try:
        context = train.get_context()
        return context.get_world_rank(), context.get_world_size()
    except RuntimeError as error:
        raise ConfigError(
            "rowlock.ray.shard() is for a worker: call it inside the function that Ray Train runs on its workers, and"
            f" make the loader there ({error})"
        ) from None
