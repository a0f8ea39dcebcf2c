"""JAX: batches of device arrays, sent ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.arguments import nearest
from rowlock.arrays import ArraySpec
from rowlock.batch import Batch
from rowlock.errors import ConfigError, MissingDependencyError
from rowlock.handover import FrameworkBatches, SentAhead

try:
    import jax
except ModuleNotFoundError as error:
    raise MissingDependencyError("JAX is not installed: pip install 'rowlock[jax]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.arrays import AnyArray
    from rowlock.dataset import Dataset
    from rowlock.loader import Loader

__all__ = ["JaxBatches", "refuse_64_bits", "shard"]

_WEIGHT = "sample_weight"


class JaxBatches(FrameworkBatches):
    """A loader's batches as JAX arrays; made by `Loader.to_jax`.

    Parameters
    ----------
    loader : Loader
    sharding : jax.sharding.Sharding or dict of them, optional
        How the rows of all ranks together lie on the devices of all processes: each array is the global one, and
        its rows are those of rank 0, then those of rank 1, ... A dict has one for each name: of inputs, of targets
        (``"target"`` where there is one), and ``"sample_weight"``. By default arrays are this rank's own, on the
        default device.
    prefetch : int
        Most batches that are sent ahead of the one that is delivered.

    Raises
    ------
    ConfigError
        JAX would cut numbers to 32 bits; the sharding gives this process other rows than `shard` does, or the last
        batch of an epoch cannot be divided so.
    """

    def __init__(self, loader: Loader, *, sharding: Any = None, prefetch: int = 2) -> None:
        refuse_64_bits(loader.dataset)
        self.loader = loader
        self.sharding = sharding
        if sharding is not None:
            _refuse_what_is_no_sharding(sharding)
            self._check_shardings()
        self._ahead = SentAhead(loader, self._sent, prefetch)

    def __iter__(self) -> Iterator[Batch]:
        if self.sharding is None:
            self.warn_if_whole(jax.process_count(), "rowlock.jax.shard()")
        return self.loader.epoch(self._ahead)

    def _sent(self, batch: Batch) -> Batch:
        target: Any = batch.target
        if isinstance(target, dict):
            target = self._all_sent(target)
        elif target is not None:
            target = self._put("target", target)
        weight = None if batch.sample_weight is None else self._put(_WEIGHT, batch.sample_weight)
        return Batch(self._all_sent(batch.inputs), target, weight, batch.keys, batch.rows, batch.step, batch.epoch)

    def _all_sent(self, arrays: Mapping[str, AnyArray]) -> dict[str, Any]:
        return {name: self._put(name, array) for name, array in arrays.items()}

    def _put(self, name: str, array: AnyArray) -> Any:
        if self.sharding is None:
            return jax.device_put(array)
        shape = (len(array) * self.loader.plan.world_size, *array.shape[1:])
        return jax.make_array_from_process_local_data(self._sharding_of(name), array, shape)

    def _sharding_of(self, name: str) -> Any:
        if not isinstance(self.sharding, dict):
            return self.sharding
        if name not in self.sharding:
            raise ConfigError(f"sharding has none for {name!r}; it names {', '.join(map(repr, self.sharding))}")
        return self.sharding[name]

    def _check_shardings(self) -> None:
        data, plan = self.loader.dataset, self.loader.plan
        sizes = {plan.batch_size}
        if plan.last == "keep":
            sizes.add((plan.num_rows - 1) % plan.batch_size + 1)
        if self.loader.on_error == "skip":
            sizes.add(1)
        specs = {**data.input_specs, **data.target_specs}
        if self.loader.has_sample_weight:
            specs[_WEIGHT] = ArraySpec((), np.dtype(np.float32))
        self._refuse_unknown_names([name or "target" for name in specs])
        for name, spec in specs.items():
            for size in sizes:
                self._check_sharding(name or "target", spec, size)

    def _refuse_unknown_names(self, known: list[str]) -> None:
        """Refuse names of nothing; targets and weights are missing from some loaders of a run."""
        given = self.sharding if isinstance(self.sharding, dict) else {}
        unknown = [name for name in given if name not in {*known, "target", _WEIGHT}]
        if unknown:
            raise ConfigError(
                f"sharding names {unknown[0]!r}, and the batches hold {known}.{nearest(str(unknown[0]), known)}"
            )

    def _check_sharding(self, name: str, spec: ArraySpec, num_rows: int) -> None:
        plan, sharding = self.loader.plan, self._sharding_of(name)
        shape = (num_rows * plan.world_size, *spec.shape)
        try:
            here = sharding.addressable_devices_indices_map(shape).values()
        except IndexError:  # a PartitionSpec of more axes
            raise ConfigError(
                f"{name!r} of shape {shape} has fewer axes than its sharding, {sharding}: give a dict of shardings, one"
                " a name, or divide the rows alone, PartitionSpec('data')"
            ) from None
        except ValueError as error:
            raise ConfigError(
                f"{name!r} of shape {shape} cannot be laid out as sharding says: {error}. Choose a batch size that its"
                " devices divide, last='drop' or last='pad', and on_error='raise' or 'mask'."
            ) from None
        spans = [index[0].indices(shape[0])[:2] for index in here]
        first, stop = min(first for first, _ in spans), max(stop for _, stop in spans)
        wanted = (plan.rank * num_rows, (plan.rank + 1) * num_rows)
        if plan.world_size > 1 and (first, stop) != wanted:
            raise ConfigError(
                f"sharding puts rows {first} to {stop - 1} of a global batch on this process, but"
                f" shard=({plan.rank}, {plan.world_size}) delivers {wanted[0]} to {wanted[1] - 1}. Write"
                " batches(..., shard=rowlock.jax.shard()), and divide the rows over the processes in their order."
            )


def _refuse_what_is_no_sharding(sharding: Any) -> None:
    for one in sharding.values() if isinstance(sharding, dict) else (sharding,):
        if not isinstance(one, jax.sharding.Sharding):
            raise ConfigError(
                "sharding is a jax.sharding.Sharding, such as NamedSharding(mesh, PartitionSpec('data')), or a dict of"
                f" them by name, not {one!r}"
            )


def shard() -> tuple[int, int]:
    """Return (rank, world_size) of this process of JAX, for ``batches(..., shard=shard())``.

    (0, 1) where there is one process; after `jax.distributed.initialize` where there are several.
    """
    return jax.process_index(), jax.process_count()


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
