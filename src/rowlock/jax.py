"""JAX: batches of device arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.batch import Batch
from rowlock.errors import ConfigError, MissingDependencyError

try:
    import jax
except ModuleNotFoundError as error:
    raise MissingDependencyError("JAX is not installed: pip install 'rowlock[jax]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.dataset import Dataset
    from rowlock.loader import Loader

__all__ = ["JaxBatches", "refuse_64_bits"]


class JaxBatches:
    """A loader's batches as JAX arrays; made by `Loader.to_jax`.

    Parameters
    ----------
    loader : Loader
    sharding : jax.sharding.Sharding, optional
        How the rows lie on the devices; each process passes its own part. By default the default device.
    """

    def __init__(self, loader: Loader, *, sharding: Any = None) -> None:
        refuse_64_bits(loader.dataset)
        self.loader = loader
        self.sharding = sharding

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        return map(self._sent, iter(self.loader))  # not a generator, which an error would end

    def _sent(self, batch: Batch) -> Batch:
        arrays = (batch.inputs, batch.target, batch.sample_weight)
        inputs, target, weight = jax.tree.map(self._put, arrays)
        return Batch(inputs, target, weight, batch.keys, batch.rows, batch.step, batch.epoch)

    def _put(self, array: Any) -> Any:
        if self.sharding is None:
            return jax.device_put(array)
        return jax.make_array_from_process_local_data(self.sharding, array)


def refuse_64_bits(dataset: Dataset) -> None:
    """Refuse inputs and targets of 64 bits where JAX would cut them to 32 without a word.

    Raises
    ------
    ConfigError
        Names the input, and what to write.
    """
    if jax.config.jax_enable_x64:
        return
    for name, spec in (*dataset.input_specs.items(), *dataset.target_specs.items()):
        if spec.dtype.itemsize == 8:
            raise ConfigError(
                f"{name or 'the target'!r} is {spec.dtype}, which JAX cuts to 32 bits without a word. Write"
                f" dtype='{spec.dtype.name.replace('64', '32')}', or set jax_enable_x64."
            )
