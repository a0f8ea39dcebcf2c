"""The merged model of a configuration, compiled."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import keras

from rowlock.keras import Branch, merge
from rowlock.training.branches import branch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.dataset import Dataset
    from rowlock.training.config import Config
    from rowlock.training.targets import Target

__all__ = ["DATA_LOSS", "build", "compile_model"]

DATA_LOSS: Final = "data_loss"
"""The loss without what keeps weights small: what early stopping looks at, and people too."""

_ACTIVATION: Final = {"classes": "softmax", "labels": "sigmoid", "quantity": None}
_WARMUP: Final = 0.05
_LAST_RATE: Final = 0.01


def build(config: Config, target: Target, data: Dataset) -> Any:
    """Return the model of all inputs, not compiled; weights by the configuration's seed.

    Raises
    ------
    ConfigError
        A branch that there is not, or that does not fit its input.
    """
    keras.utils.set_random_seed(config.seed % 2**32)
    with _precision(config):
        branches = {
            name: Branch(branch(name, spec, config.branches.get(name)), frozen=name in config.freeze)
            for name, spec in data.input_specs.items()
        }
        return merge(branches, _head(target), data=data)


def compile_model(model: Any, config: Config, target: Target, steps_per_epoch: int) -> None:
    """Compile with AdamW under a warm-up and a cosine, and a loss that rows of weight 0 do not touch."""
    steps = max(1, steps_per_epoch * config.epochs)
    warmup = max(1, int(steps * _WARMUP))
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / 10,
        max(1, steps - warmup),
        alpha=_LAST_RATE,
        warmup_target=config.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss, *metrics = _LOSSES[target.task]
    with _precision(config):
        model.compile(optimizer, loss=loss(), weighted_metrics=[metric() for metric in metrics])


def _head(target: Target) -> Any:
    last = keras.layers.Dense(
        target.num_outputs, activation=_ACTIVATION[target.task], dtype="float32", name="prediction"
    )
    layers = [keras.layers.Dropout(0.3), keras.layers.Dense(64, activation="relu"), keras.layers.Dropout(0.3), last]
    return keras.Sequential(layers, name="head")


_MEAN: Final = "mean_with_sample_weight"
_LOSSES: Final[dict[str, tuple[Any, ...]]] = {
    "classes": (
        lambda: keras.losses.SparseCategoricalCrossentropy(reduction=_MEAN),
        lambda: keras.metrics.SparseCategoricalCrossentropy(name=DATA_LOSS),
        lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
    ),
    "labels": (
        lambda: keras.losses.BinaryCrossentropy(reduction=_MEAN),
        lambda: keras.metrics.BinaryCrossentropy(name=DATA_LOSS),
        lambda: keras.metrics.BinaryAccuracy(name="accuracy"),
    ),
    "quantity": (
        lambda: keras.losses.MeanSquaredError(reduction=_MEAN),
        lambda: keras.metrics.MeanSquaredError(name=DATA_LOSS),
        lambda: keras.metrics.MeanAbsoluteError(name="mae"),
    ),
}


@contextlib.contextmanager
def _precision(config: Config) -> Iterator[None]:
    """Build and compile in 16 bits where that is wanted; Keras' own setting is as before afterwards."""
    before = keras.config.dtype_policy()
    if config.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16" if _has_gpu() else "mixed_bfloat16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _has_gpu() -> bool:
    if keras.backend.backend() == "torch":  # Keras lists no devices there
        import torch  # noqa: PLC0415 - only where it is the backend

        return bool(torch.cuda.is_available())
    return any(device.lower().startswith(("gpu", "cuda")) for device in keras.distribution.list_devices())
