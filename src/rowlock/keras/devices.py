"""Batches that `keras.distribution` lays out over several devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from rowlock.loader import Loader

__all__ = ["check_devices", "divisible"]


def check_devices(loader: Loader) -> None:
    """Refuse batches that the devices do not divide evenly, which JAX does in the middle of an epoch.

    Raises
    ------
    ConfigError
    """
    plan, count = loader.plan, _num_parts()
    rest = plan.num_rows % plan.global_batch_size if plan.last == "keep" else 0
    for size, which in ((plan.global_batch_size, "batches"), (rest, "the last batch")):
        if size % count:
            fitting = max(1, plan.batch_size // count) * count
            raise ConfigError(
                f"keras.distribution lays the rows of a batch out over {count} devices, which do not divide {which} of"
                f" {size} rows: batches({fitting}, last='drop' or 'pad')"
            )


def divisible(size: int) -> int:
    """Return a number of rows, `size` or a little less, that the devices divide."""
    count = _num_parts()
    return max(size - size % count, count)


def _num_parts() -> int:
    """Return among how many devices the rows of a batch are divided; 1 without a `keras.distribution`."""
    distribution = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    mesh = getattr(distribution, "device_mesh", None)
    name = getattr(distribution, "batch_dim_name", None)
    if mesh is None or name not in mesh.axis_names:
        return 1
    return int(mesh.shape[list(mesh.axis_names).index(name)])
