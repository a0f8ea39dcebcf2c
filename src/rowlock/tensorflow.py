"""TensorFlow: a `tf.data.Dataset` with a fixed signature."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from operator import length_hint
from typing import TYPE_CHECKING, Any, Literal, get_args

from rowlock.errors import ConfigError, MissingDependencyError, StateError

try:
    import tensorflow as tf
except ModuleNotFoundError as error:
    raise MissingDependencyError("TensorFlow is not installed: pip install 'rowlock[tensorflow]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import ArraySpec
    from rowlock.batch import Batch
    from rowlock.epoch import Epoch
    from rowlock.loader import Loader

__all__ = ["original_errors", "tf_dataset"]

Structure = Literal["dict", "tuple"]
_NUM_REMEMBERED = 8
_errors: deque[Exception] = deque(maxlen=_NUM_REMEMBERED)
"""What was raised in TensorFlow's threads lately; of that, TensorFlow passes on the text alone."""


def tf_dataset(loader: Loader, *, inputs: Structure = "dict") -> Any:
    """Return a loader's batches as a `tf.data.Dataset`; see `Loader.to_tf_dataset`.

    Each iteration over it is the loader's next epoch, one iteration at a time. The state of the loader counts what
    TensorFlow has taken: exactly what was handed over, unless you add ``.prefetch(...)``.

    Parameters
    ----------
    loader : Loader
    inputs : {"dict", "tuple"}
        How the model takes its inputs.

    Returns
    -------
    dataset : tf.data.Dataset
        Of (inputs,), (inputs, target) or (inputs, target, sample_weight). The number of rows of a batch is fixed where
        all batches have the same, else None; the number of batches is known unless rows may be skipped. Where the
        loader has a shard of its own, tf.distribute does not divide the batches again.
    """
    if inputs not in get_args(Structure):
        raise ConfigError(f"inputs must be 'dict' or 'tuple', not {inputs!r}")
    batches = _Batches(loader, inputs)
    dataset = tf.data.Dataset.from_generator(batches.epoch, output_signature=_signature(loader, inputs))
    if loader.on_error != "skip":
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(loader)))
    options = tf.data.Options()
    options.experimental_optimization.inject_prefetch = False  # the loader is ahead, and its state counts what is taken
    if loader.plan.world_size > 1:
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


@contextlib.contextmanager
def original_errors() -> Iterator[None]:
    """Raise Rowlock's own error where TensorFlow raises one that only holds its text.

    ::

        with rowlock.tensorflow.original_errors():
            model.fit(loader.to_tf_dataset())       # a RowError, with key, path and step
    """
    try:
        yield
    except tf.errors.OpError as error:
        for original in reversed(_errors):
            if f"{type(original).__name__}: {original}" in str(error):
                raise original from error
        raise


class _Batches:
    """What TensorFlow's threads take from, one at a time."""

    def __init__(self, loader: Loader, structure: Structure) -> None:
        self._loader = loader
        self._structure = structure
        self._lock = threading.Lock()  # a thread of an iteration that was given up may still be about to take one

    def epoch(self) -> _Epoch:
        with self._lock, _remembered():
            epoch = self._loader.epoch(self._converted)
            if length_hint(epoch) != len(self._loader) and self._loader.on_error != "skip":
                raise StateError(
                    f"this loader goes on within an epoch ({length_hint(epoch)} of {len(self._loader)} steps are left),"
                    " and a tf.data.Dataset has the same length each time: iterate the rest of the epoch yourself first"
                )
            return _Epoch(epoch, self._lock)

    def _converted(self, batch: Batch) -> tuple[Any, ...]:
        inputs: Any = batch.inputs if self._structure == "dict" else tuple(batch.inputs.values())
        taken = (inputs,) if batch.target is None else (inputs, batch.target)
        return taken if batch.sample_weight is None or batch.target is None else (*taken, batch.sample_weight)


class _Epoch:
    """One pass. A class, not a generator: an error does not end it."""

    def __init__(self, epoch: Epoch[tuple[Any, ...]], lock: threading.Lock) -> None:
        self._epoch = epoch
        self._lock = lock

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> tuple[Any, ...]:
        with self._lock, _remembered():
            return next(self._epoch)


@contextlib.contextmanager
def _remembered() -> Iterator[None]:
    """Keep what is raised, for `original_errors`."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, StopIteration):
            _errors.append(error)
        raise


def _signature(loader: Loader, structure: Structure) -> tuple[Any, ...]:
    """Return the `tf.TensorSpec` of everything that a batch holds."""
    data, plan = loader.dataset, loader.plan
    varies = loader.on_error == "skip" or (plan.last == "keep" and plan.num_rows % plan.batch_size)
    num_rows = None if varies else plan.batch_size
    named = {name: _tensor_spec(name, spec, num_rows) for name, spec in data.input_specs.items()}
    inputs: Any = named if structure == "dict" else tuple(named.values())
    if not data.target_specs:
        return (inputs,)
    targets = {name: _tensor_spec(name, spec, num_rows) for name, spec in data.target_specs.items()}
    target = targets.get("", targets)
    if not loader.has_sample_weight:
        return inputs, target
    return inputs, target, tf.TensorSpec((num_rows,), tf.float32)


def _tensor_spec(name: str, spec: ArraySpec, num_rows: int | None) -> Any:
    try:
        dtype = tf.as_dtype(spec.dtype)
    except TypeError:
        raise ConfigError(
            f"{name or 'the target'!r} is {spec.dtype}, which TensorFlow has no type for. Write dtype='float32'."
        ) from None
    return tf.TensorSpec((num_rows, *spec.shape), dtype)
