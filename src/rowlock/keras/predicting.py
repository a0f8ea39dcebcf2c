"""`predict`: what a model says about rows, joined to their keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from rowlock.arguments import whole_number
from rowlock.dataset import Dataset
from rowlock.errors import ConfigError
from rowlock.keras.alike import refuse_other
from rowlock.keras.batches import KerasBatches
from rowlock.keras.binding import bind_inputs
from rowlock.keras.class_names import class_names
from rowlock.keras.devices import check_devices, divisible
from rowlock.keras.errors import original
from rowlock.keras.jax_weights import KeptWeights
from rowlock.keras.outputs import outputs_of
from rowlock.keras.steps import StepBatches
from rowlock.loader import Loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.epoch import Made
    from rowlock.keras.converted import Structure

__all__ = ["predict"]

_MOST_COLUMNS = 4096


def predict(
    model: Any,
    data: Dataset | Loader | KerasBatches,
    *,
    batch_size: int | None = None,
    on_error: str = "raise",
    max_bad: float | None = None,
    classes: Any = None,
    verbose: str | int = 0,
) -> Any:
    """Return what a model says about every row, beside the row's key, in the dataset's order.

    Parameters
    ----------
    model : keras.Model
        Need not be compiled.
    data : Dataset, Loader or KerasBatches
        With or without a target, which is not looked at. Of a loader only rows, batch size, `on_error` and engine
        count: the order is the dataset's, each row comes once, nothing is augmented.
    batch_size : int, optional
        By default the loader's, or 64 for a dataset. The last batch is filled up, so that a model is compiled once.
    on_error : {"raise", "mask"}
        For a dataset. ``"mask"``: a row that cannot be read is in the frame, and its predictions are missing (null, NaN
        in pandas).
    max_bad : float, optional
        Most bad rows, as a share, as in `Dataset.batches`, 0.01 by default. For a dataset; a loader has its own.
    classes : sequence, or dict of them, optional
        Names of the outputs' classes: ``classes=train.classes``. By default those that `fit` trained this model on, if
        that was in this process; else those of the data's `Labels`, if they were named, ``rl.Labels("label",
        classes=[...])``, or are those of an earlier frame. What this very frame happens to hold is no name of an
        output: then the columns are numbered.
    verbose : {0, 1, 2, "auto"}
        As in `model.predict`.

    Returns
    -------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
        Of the kind that the dataset was made from. The key under its name (without ``key=``: pandas' index, or a column
        ``row``), then the outputs: ``price``; ``price_0``, ``price_1``, ... for several numbers; ``label_cat``,
        ``label_dog`` for one a class; ``label_dog`` for the only number of two classes, the second's probability. They
        are called by the target's column where there is one, else by the output.

    Raises
    ------
    ConfigError
        Inputs and model do not fit; `classes` does not fit the outputs; the inputs, or the classes of the target, do
        not mean what they did when `fit` trained this model in this process.
    RowError
        A row cannot be read.
    TooManyBadRowsError
        More than `max_bad` rows cannot be read.
    """
    loader, structure = _loader(data, batch_size, on_error, max_bad)
    if loader.on_error == "skip":
        raise ConfigError("predictions stand beside every row: on_error='mask' instead of 'skip'")
    if keras.backend.backend() == "jax":
        from rowlock.jax import refuse_64_bits  # noqa: PLC0415 - only where it is the backend

        refuse_64_bits(loader.dataset)
    bound, order = bind_inputs(loader, model, structure)
    check_devices(loader)
    refuse_other(model, loader.dataset, with_target=False)
    _check_classes(model, loader.dataset, classes)
    missing = np.zeros(len(loader.dataset), np.bool_)

    def took(made: Made) -> None:
        missing[made.batch.rows[made.bad_places]] = True
        loader.count(made)

    batches = StepBatches(loader, 0, len(loader), bound, order, took=took, with_target=False)
    kept = KeptWeights(model)
    kept.take()
    try:
        outputs = model.predict(batches, verbose=verbose)
    except BaseException as error:
        kept.put_back()
        cause = original(error, batches)
        if cause is error:
            raise
        raise cause from None
    finally:
        batches.close()
    return _frame(outputs, model, loader.dataset, classes, missing)


def _frame(outputs: Any, model: Any, dataset: Dataset, classes: Any, missing: BoolArray) -> Any:
    arrays = {name: _rows(name, array, len(dataset)) for name, array in _named(outputs, model, dataset)}
    names = class_names(model, dataset, classes, {name: array.shape[1:] for name, array in arrays.items()})
    columns: dict[str, AnyArray] = {}
    for name, array in arrays.items():
        made = _columns(name, array, names.get(name))
        twice = sorted(set(made) & set(columns))
        if twice:
            raise ConfigError(f"two outputs give a column {twice[0]!r}: name outputs or classes otherwise")
        columns |= made
    return dataset.frame_of(columns, missing)


def _rows(name: str, output: Any, num_rows: int) -> AnyArray:
    """Return what is said of each row, without the rows that the last batch was filled up with."""
    if isinstance(output, (dict, list, tuple)):
        raise ConfigError(f"output {name!r} is several: give the model a flat dict of outputs, one a name")
    array = np.asarray(output)
    if len(array) < num_rows:
        raise ConfigError(
            f"output {name!r} has {len(array)} row(s) for {num_rows} of the data: the model reduces over the batch"
        )
    is_known = array.dtype.kind in "biuf"
    return (array if is_known else array.astype(np.float32))[:num_rows]  # bfloat16, which no frame holds


def _check_classes(model: Any, dataset: Dataset, classes: Any) -> None:
    """Compare names with outputs before all rows are predicted, where the model tells its outputs."""
    outputs = outputs_of(model)
    if outputs is None or not all(hasattr(output.tensor, "shape") for output in outputs):
        return
    tensors: Any = [output.tensor for output in outputs]
    if outputs[0].is_key:
        tensors = {output.name: output.tensor for output in outputs}
    elif len(outputs) == 1:
        tensors = outputs[0].tensor
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in _named(tensors, model, dataset)}
    class_names(model, dataset, classes, shapes)


def _loader(data: Any, batch_size: int | None, on_error: Any, max_bad: float | None) -> tuple[Loader, Structure]:
    """Return the rows in their order, and how the user said that the model takes its inputs."""
    structure: Structure = "auto"
    if isinstance(data, KerasBatches):
        data, structure = data.loader, data.structure
    size = None if batch_size is None else whole_number("batch_size", batch_size, 1)
    if isinstance(data, Dataset):
        size = divisible(min(64 if size is None else size, len(data)))
        most = 0.01 if max_bad is None else max_bad  # as by default in `Dataset.batches`
        return data.batches(size, shuffle=False, last="pad", on_error=on_error, max_bad=most), structure
    if not isinstance(data, Loader):
        raise ConfigError(f"predict takes a dataset, or a loader of one, not {type(data).__name__}")
    if max_bad is not None:
        raise ConfigError(f"a loader has its own max_bad: data.batches(..., on_error='mask', max_bad={max_bad!r})")
    if data.plan.world_size > 1:
        raise ConfigError(
            f"this loader is rank {data.plan.rank} of {data.plan.world_size}: give each rank its own rows,"
            " predict(model, data.select(rows)), and join the frames"
        )
    size = divisible(min(data.plan.batch_size if size is None else size, len(data.dataset)))
    return data.in_order(size), structure


def _named(outputs: Any, model: Any, dataset: Dataset) -> Iterator[tuple[str, AnyArray]]:
    """Yield each output under the name that its columns get."""
    columns = dataset.target_columns
    if isinstance(outputs, dict):
        pairs = list(outputs.items())
    elif isinstance(outputs, (list, tuple)):
        known = outputs_of(model) or []
        names = [output.name for output in known] if len(known) == len(outputs) else []
        pairs = list(zip(names or [f"output_{number}" for number in range(len(outputs))], outputs, strict=True))
    else:
        pairs = [(next(iter(columns), "") or columns.get("") or "prediction", outputs)]
    if len(pairs) == 1 and columns.get(""):
        pairs = [(str(columns[""]), pairs[0][1])]
    yield from pairs


def _columns(name: str, array: AnyArray, classes: Sequence[Any] | None) -> dict[str, AnyArray]:
    """Return the columns of one output: one a number."""
    num_columns = math.prod(array.shape[1:])
    if num_columns > _MOST_COLUMNS:
        raise ConfigError(
            f"output {name!r} has {array.shape[1:]} numbers a row, which are no columns of a table: model.predict("
            "loader.to_keras()) with shuffle=False gives them as an array"
        )
    flat = array.reshape(len(array), num_columns)
    if classes is not None and num_columns == len(classes):
        return {f"{name}_{one}": flat[:, place] for place, one in enumerate(classes)}
    if num_columns == 1:
        only = name if classes is None else f"{name}_{classes[1]}"
        return {only: flat[:, 0]}
    places = ["_".join(map(str, place)) for place in np.ndindex(*array.shape[1:])]
    return {f"{name}_{place}": flat[:, number] for number, place in enumerate(places)}
