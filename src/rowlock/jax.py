"""JAX: batches of device arrays, sent one ahead of the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.batch import Batch
from rowlock.errors import MissingDependencyError

try:
    import jax
except ModuleNotFoundError as error:
    raise MissingDependencyError("JAX is not installed: pip install 'rowlock[jax]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.loader import Loader

__all__ = ["JaxBatches"]


class JaxBatches:
    """A loader's batches as JAX arrays; made by `Loader.to_jax`.

    Parameters
    ----------
    loader : Loader
    sharding : jax.sharding.Sharding, optional
        How the rows lie on the devices; each process passes its own part. By default the default device.
    """

    def __init__(self, loader: Loader, *, sharding: Any = None) -> None:
        self.loader = loader
        self.sharding = sharding

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        ahead: Batch | None = None
        for batch in self.loader:
            sent = self._sent(batch)
            if ahead is not None:
                yield ahead
            ahead = sent
        if ahead is not None:
            yield ahead

    def _sent(self, batch: Batch) -> Batch:
        arrays = (batch.inputs, batch.target, batch.sample_weight)
        inputs, target, weight = jax.tree.map(self._put, arrays)
        return Batch(inputs, target, weight, batch.keys, batch.rows, batch.step, batch.epoch)

    def _put(self, array: Any) -> Any:
        if self.sharding is None:
            return jax.device_put(array)
        return jax.make_array_from_process_local_data(self.sharding, array)
