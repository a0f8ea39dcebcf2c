"""Which inputs, and which of their columns, a model needs: permutation importance.

In a merged model a branch sees only its own input, a row at a time. So the branches run once over the rows; an input
that is shuffled is what its branch said, shuffled; a column that is shuffled needs only its own branch again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import keras
import numpy as np
import pyarrow as pa

import rowlock as rl
from rowlock.errors import ConfigError
from rowlock.training.data import arrow_table, truth_of
from rowlock.training.fits import require_fit
from rowlock.training.metrics import MAIN, measure, row_losses
from rowlock.training.target_inputs import input_of
from rowlock.training.targets import whole_classes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.arrays import AnyArray
    from rowlock.training.spec import Spec

__all__ = ["Explanation", "Importance", "explain"]

_JOINED: Final = "concatenated"
_SCREEN_ROWS: Final = 500


class Importance(NamedTuple):
    """How much worse a model is without one thing.

    Attributes
    ----------
    input : str
    column : str or None
        None: the input as a whole.
    drop, spread : float
        Of the main metric: mean and standard deviation over the repeats.
    loss_rise : float
        Of the mean loss, which sees smaller effects.
    """

    input: str
    column: str | None
    drop: float
    spread: float
    loss_rise: float


@dataclass(frozen=True)
class Explanation:
    """What `Run.explain` found.

    Attributes
    ----------
    metric : str
        What drops.
    value : float
        Of the rows as they are.
    num_rows, repeats : int
    inputs, columns : tuple of Importance
        Most important first; of columns only those that were measured in full.
    """

    metric: str
    value: float
    num_rows: int
    repeats: int
    inputs: tuple[Importance, ...]
    columns: tuple[Importance, ...]

    def table(self) -> pa.Table:
        """Return it as a table: input, column (null: the whole input), drop, spread, loss_rise.

        Rounded to what a few permutations can tell: six digits of the metric, six decimals of the loss.
        """
        digits = 5 - math.floor(math.log10(abs(self.value))) if math.isfinite(self.value) and self.value else 6
        rows = [
            one._replace(drop=round(one.drop, digits), spread=round(one.spread, digits),
                         loss_rise=round(one.loss_rise, 6))
            for one in (*self.inputs, *self.columns)
        ]  # fmt: skip
        kinds = {"column": pa.string(), "input": pa.string()}
        return pa.table({name: pa.array([getattr(row, name) for row in rows], kinds.get(name))
                         for name in Importance._fields})  # fmt: skip


def explain(
    model: Any,
    spec: Spec,
    frame: Any,
    *,
    rows: int | None,
    columns: int,
    repeats: int,
    seed: int,
    batch_size: int,
) -> Explanation:
    """As `Run.explain`."""
    if repeats < 1 or columns < 0 or (rows is not None and rows < 2):
        raise ConfigError("explain needs 2 rows or more, 1 repeat or more, and 0 columns or more")
    data = _dataset(spec, frame, rows, seed)
    try:
        probe = _Probe(model, spec, data, batch_size)
        draws = [np.random.default_rng([seed % 2**32, 2, repeat]).permutation(len(data)) for repeat in range(repeats)]
        inputs = [probe.importance(name, None, draws) for name in spec.inputs]
        found: list[Importance] = []
        for name, told in spec.inputs.items():
            if told["kind"] != "images":
                found += [probe.importance(name, place, draws) for place in probe.promising(name, columns, seed)]
    finally:
        data.close()
    key = probe.order
    return Explanation(probe.metric, probe.value, len(data), repeats, tuple(sorted(inputs, key=key)),
                       tuple(sorted(found, key=key)))  # fmt: skip


def _dataset(spec: Spec, frame: Any, rows: int | None, seed: int) -> rl.Dataset:
    table = arrow_table(frame, spec.key)
    require_fit(spec, table, with_target=True)
    table = whole_classes(table, spec.target)
    data = rl.Dataset(table, spec.rl_inputs(), input_of(spec.target), key=spec.key)
    if rows is not None and rows < len(data):
        data = data.select(np.sort(np.random.default_rng([seed % 2**32, 3]).permutation(len(data))[:rows]))
    return data


class _Probe:
    """A model cut at the place where its branches meet, and what they said about the rows."""

    def __init__(self, model: Any, spec: Spec, data: rl.Dataset, batch_size: int) -> None:
        self._spec = spec
        self._truth = truth_of(data, spec.target)
        self._names = list(spec.inputs)
        joined = model.get_layer(_JOINED).input
        joined = list(joined) if isinstance(joined, (list, tuple)) else [joined]
        by_name = dict(zip(self._names, _in_order(model, joined, self._names), strict=True))
        self._branches = {name: keras.Model(model.input[name], tensor) for name, tensor in by_name.items()}
        self._head = keras.Model([by_name[name] for name in self._names], model.output)
        self._batch_size = batch_size
        self._given: dict[str, AnyArray] = {}
        self._places: dict[str, dict[str, slice]] = {}
        self._said = self._run(data)
        self.metric = MAIN[spec.target.task]
        self.value, self._loss = self._measured(self._said)

    def importance(self, name: str, column: str | None, draws: list[AnyArray]) -> Importance:
        """Return how much worse the model is when an input, or a column of it, is shuffled."""
        drops, rises = [], []
        for draw in draws:
            said = self._said[name][draw] if column is None else self._without(name, column, draw)
            value, loss = self._measured(self._said | {name: said})
            drops.append(self.value - value)
            rises.append(loss - self._loss)
        return Importance(name, column, float(np.mean(drops)), float(np.std(drops)), float(np.mean(rises)))

    def promising(self, name: str, most: int, seed: int) -> list[str]:
        """Return the columns whose shuffling raises the loss most, in one permutation of some rows."""
        columns = list(self._places[name])
        if len(columns) <= most:
            return columns
        few = np.arange(min(_SCREEN_ROWS, len(self._truth)))
        draw = np.random.default_rng([seed % 2**32, 4]).permutation(len(few))
        rises = [self._measured({other: values[few] for other, values in self._said.items()}
                                | {name: self._without(name, column, draw, few)}, few)[1]
                 for column in columns]  # fmt: skip
        return [columns[place] for place in np.argsort(-np.array(rises), kind="stable")[:most]]

    @staticmethod
    def order(one: Importance) -> tuple[float, float]:
        """Most important first."""
        return -one.drop, -one.loss_rise

    def _run(self, data: rl.Dataset) -> dict[str, AnyArray]:
        """Run every branch once; numbers are kept, pictures are not."""
        said: dict[str, list[AnyArray]] = {name: [] for name in self._names}
        given: dict[str, list[AnyArray]] = {name: [] for name in self._names if len(data.input_specs[name].shape) == 1}
        loader = data.batches(min(self._batch_size, len(data)), shuffle=False)
        try:
            for batch in loader:
                for name in self._names:
                    said[name].append(self._numpy(self._branches[name](batch.inputs[name], training=False)))
                    if name in given:
                        given[name].append(batch.inputs[name])
        finally:
            loader.close()
        self._given = {name: np.concatenate(parts) for name, parts in given.items()}
        self._places = {name: _places(self._spec.inputs[name], values.shape[1]) for name, values in self._given.items()}
        return {name: np.concatenate(parts) for name, parts in said.items()}

    def _without(self, name: str, column: str, draw: AnyArray, rows: Any = slice(None)) -> AnyArray:
        values = self._given[name][rows].copy()
        places = self._places[name][column]
        values[:, places] = values[draw, places]
        return self._numpy(self._branches[name](values, training=False))

    def _measured(self, said: dict[str, AnyArray], rows: Any = slice(None)) -> tuple[float, float]:
        answer = self._numpy(self._head([said[name] for name in self._names], training=False))
        predicted, truth = self._spec.in_units(np.asarray(answer, np.float64)), self._truth[rows]
        value = measure(self._spec.target, truth, predicted)[self.metric]
        scale = 1.0 if self._spec.std is None else self._spec.std
        loss = row_losses(self._spec.target.task, truth / scale if self._spec.std is not None else truth,
                          predicted / scale if self._spec.std is not None else predicted).mean()  # fmt: skip
        return (float("nan") if value is None else float(value)), float(loss)

    @staticmethod
    def _numpy(tensor: Any) -> AnyArray:
        return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)


def _places(told: dict[str, Any], num_columns: int) -> dict[str, slice]:
    """Return where the numbers of each column are; a column of categories has several."""
    names = told["columns"] or range(num_columns)
    widths = [len(told.get("categories", {}).get(name, ".")) for name in names]
    ends = np.cumsum(widths).tolist()
    return {str(name): slice(end - width, end) for name, width, end in zip(names, widths, ends, strict=True)}


def _in_order(model: Any, joined: list[Any], names: list[str]) -> Iterator[Any]:
    """Yield what each input's branch gives to the head, in the order of the inputs."""
    for name in names:
        wanted = model.input[name]
        yield next(tensor for tensor in joined if _comes_from(tensor, wanted))


def _comes_from(tensor: Any, source: Any) -> bool:
    if tensor is source:
        return True
    operation, node, _ = tensor._keras_history  # noqa: SLF001 - how Keras' own functional models walk
    return any(_comes_from(one, source) for one in operation._inbound_nodes[node].input_tensors)  # noqa: SLF001 - how Keras' own functional models walk
