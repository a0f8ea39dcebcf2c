"""Proof of alignment on this machine and this disk, from the values alone.

Every row's number is written into its picture (as black and white blocks that survive JPEG), its feature row,
its column and its target. What comes out of the loader is read back: all four must tell the same number, and
every number must come once an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.backend import load
from rowlock.dataset import Dataset
from rowlock.errors import ConfigError, MissingDependencyError
from rowlock.inputs import Column, Columns, Features, Images
from rowlock.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from rowlock.arrays import AnyArray, Int64Array, UInt64Array
    from rowlock.engine import Engine
    from rowlock.loader import Loader

__all__ = ["EpochResult", "check_epoch", "make_dataset", "run"]

SIZE = 40
NUM_BITS = 25
MAX_ROWS = 2**24
"""float32 tells whole numbers apart up to here."""
NUM_FEATURES = 12
_BLOCK = SIZE // 5


@dataclass
class EpochResult:
    """What one epoch delivered.

    Attributes
    ----------
    name : str
        Which way the rows came.
    num_rows, num_misaligned, num_repeated, num_missing : int
    examples : list of str
        The first few faults, in words.
    """

    name: str
    num_rows: int = 0
    num_misaligned: int = 0
    num_repeated: int = 0
    num_missing: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether every row came once, with all that belongs to it."""
        return self.num_misaligned == self.num_repeated == self.num_missing == 0


def run(
    folder: Path,
    *,
    num_rows: int = 2000,
    batch_size: int = 64,
    num_epochs: int = 2,
    seed: int = 0,
    engine: Engine | None = None,
    say: Callable[[EpochResult], None] = lambda _: None,
) -> list[EpochResult]:
    """Write self-identifying data under `folder`, deliver it every way there is here, and check every value.

    Parameters
    ----------
    folder : Path
        An empty or new folder; pictures and a store are written into it.
    num_rows, batch_size, num_epochs, seed : int
    engine : Engine, optional
    say : callable
        Gets each epoch's result as soon as it is there.

    Returns
    -------
    results : list of EpochResult
        The loader shuffled and in order, then the Keras adapter where Keras is installed.
    """
    data = make_dataset(folder, num_rows)
    results = []
    for shuffle in (True, False):
        with data.batches(batch_size, shuffle=shuffle, seed=seed, engine=engine) as loader:
            for epoch in range(num_epochs if shuffle else 1):
                name = f"loader, epoch {epoch}" if shuffle else "loader, in order"
                results.append(check_epoch(name, (_arrays(batch) for batch in loader), num_rows))
                say(results[-1])
    for result in _through_keras(data, batch_size, seed, num_rows, engine):
        results.append(result)
        say(result)
    data.close()
    return results


def make_dataset(folder: Path, num_rows: int) -> Dataset:
    """Write `num_rows` pictures and a store in another order, and return the dataset that joins them.

    Raises
    ------
    ConfigError
        More rows than a picture can number.
    """
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    if not 1 <= num_rows <= MAX_ROWS:
        raise ConfigError(f"the self test numbers 1 to {MAX_ROWS:,} rows, not {num_rows:,}")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = np.arange(num_rows)
    for number in range(num_rows):
        _write_picture(folder / _file_name(number), number)
    stored = np.random.default_rng(1).permutation(num_rows)
    keys = [_key(number) for number in stored.tolist()]
    FeatureStore.write(folder / "features.zarr", _features(stored), keys=keys)
    frame = pa.table(
        {
            "object_id": [_key(number) for number in range(num_rows)],
            "path": [_file_name(number) for number in range(num_rows)],
            "number": numbers,
        }
    )
    inputs = {
        "image": Images("path", size=(SIZE, SIZE), root=str(folder)),
        "features": Features(str(folder / "features.zarr"), key="object_id"),
        "facts": Columns(["number"]),
    }
    return Dataset(frame, inputs, target=Column("number"), key="object_id")


def check_epoch(
    name: str, batches: Iterable[tuple[AnyArray, AnyArray, AnyArray, AnyArray]], num_rows: int
) -> EpochResult:
    """Read the row numbers back from (image, features, facts, target) of each batch, and compare them."""
    result = EpochResult(name)
    seen = np.zeros(num_rows, np.int64)
    for image, features, facts, target in batches:
        told = np.stack(
            [_numbers_in(image), _numbers_of(features), facts[:, 0].astype(np.int64), target.astype(np.int64)]
        )
        aligned = (told == told[3]).all(axis=0)
        result.num_rows += len(target)
        result.num_misaligned += int((~aligned).sum())
        result.examples += [_described(*told[:, place]) for place in np.flatnonzero(~aligned)[:3]]
        np.add.at(seen, told[3][(told[3] >= 0) & (told[3] < num_rows)], 1)
    result.num_repeated = int((seen[seen > 1] - 1).sum())
    result.num_missing = int((seen == 0).sum())
    del result.examples[5:]
    return result


def _through_keras(
    data: Dataset, batch_size: int, seed: int, num_rows: int, engine: Engine | None
) -> Iterable[EpochResult]:
    try:
        backend = load()
    except MissingDependencyError:
        return
    import keras  # noqa: PLC0415 - just loaded

    loader: Loader = data.batches(batch_size, seed=seed, engine=engine)
    batches, model = loader.to_keras(), _echo(keras, data)
    with loader:
        for epoch in range(2):
            told = model.predict(batches, verbose=0)
            arrays = (told["image"], told["features"], told["facts"], told["facts"][:, 0])
            yield check_epoch(f"Keras on {backend}, pass {epoch}", [arrays], num_rows)


def _echo(keras: Any, data: Dataset) -> Any:
    """Return a model that gives back what it gets, so that `predict` shows what reached the backend."""
    inputs = {
        name: keras.Input(spec.shape, dtype=spec.dtype.name, name=name) for name, spec in data.input_specs.items()
    }
    outputs = {name: keras.layers.Identity(dtype=tensor.dtype)(tensor) for name, tensor in inputs.items()}
    return keras.Model(inputs, outputs)


def _arrays(batch: Any) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    return batch.inputs["image"], batch.inputs["features"], batch.inputs["facts"], batch.target


def _key(number: int) -> str:
    return f"row-{number:07d}"


def _file_name(number: int) -> str:
    return f"{number % 10}-{number:07d}.jpg"


def _write_picture(path: Path, number: int) -> None:
    from PIL import Image  # noqa: PLC0415 - loaded on use

    bits = (number >> np.arange(NUM_BITS)) & 1
    blocks = np.kron(bits.reshape(5, 5), np.ones((_BLOCK, _BLOCK))).astype(np.uint8) * 255
    Image.fromarray(blocks).convert("RGB").save(path, quality=90)


def _numbers_in(images: AnyArray) -> Int64Array:
    centres = slice(_BLOCK // 2, None, _BLOCK)
    bits = images[:, centres, centres, 0].reshape(len(images), NUM_BITS) > 127
    numbers: Int64Array = bits @ (1 << np.arange(NUM_BITS, dtype=np.int64))
    return numbers


def _features(numbers: Int64Array) -> AnyArray:
    """Return the number itself, and values that only this row has in these places; float32 holds them exactly."""
    columns = np.arange(NUM_FEATURES, dtype=np.uint64)
    places: UInt64Array = numbers.astype(np.uint64)[:, None] * np.uint64(NUM_FEATURES) + columns
    values: AnyArray = np.right_shift(places * np.uint64(0x9E3779B97F4A7C15), np.uint64(40)).astype(np.float32)
    values[:, 0] = numbers
    return values


def _numbers_of(features: AnyArray) -> Int64Array:
    """Return the number that all values of a row agree on, -1 where they do not."""
    first = np.rint(features[:, 0]).astype(np.int64)
    agree = (features == _features(first)).all(axis=1)
    return np.where(agree, first, -1)


def _described(image: int, features: int, facts: int, target: int) -> str:
    return f"a batch row holds the picture of row {image}, features of {features}, facts of {facts}, target of {target}"
