"""The rows that a run was measured on, predicted once more by its saved model, beside what is true of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import rowlock as rl
from rowlock.errors import ConfigError
from rowlock.training import folder as names
from rowlock.training.data import arrow_table, truth_of
from rowlock.training.fits import require_fit
from rowlock.training.metrics import measure, row_losses
from rowlock.training.run import predicted_by
from rowlock.training.target_inputs import input_of
from rowlock.training.targets import rows_without_target, whole_classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.training import Run, Spec

__all__ = ["Tested", "test_again"]

_ALIKE: Final = 1e-3
"""Relative difference of a metric that another machine or backend may make."""


@dataclass(frozen=True, eq=False)
class Tested:
    """What a model says of the rows that it was measured on.

    Attributes
    ----------
    part : str
        Of the run's split.
    num_expected : int
        Rows that the part had in training.
    spec : Spec
        With the places where things are now.
    table : pyarrow.Table
        The rows that are still there.
    keys : array, shape (rows,)
    truth, predicted : array
        As `rowlock.training.metrics.measure` takes them; a row that cannot be read is NaN.
    metrics : dict
        Measured now, of the rows that can be read.
    num_parameters : int
        Of the model.
    """

    part: str
    num_expected: int
    spec: Spec
    table: pa.Table
    keys: AnyArray
    truth: AnyArray
    predicted: AnyArray
    metrics: dict[str, Any]
    num_parameters: int

    @property
    def known(self) -> BoolArray:
        """Which rows could be read."""
        return np.asarray(~np.isnan(self.predicted).any(axis=1))

    @property
    def losses(self) -> AnyArray:
        """What each row adds to the loss, in the model's units; NaN where it could not be read."""
        scale = 1.0 if self.spec.std is None else self.spec.std
        is_scaled = self.spec.std is not None
        truth, predicted = (self.truth / scale, self.predicted / scale) if is_scaled else (self.truth, self.predicted)
        return row_losses(self.spec.target.task, truth, predicted)

    def differences(self, metrics: Mapping[str, Any]) -> list[str]:
        """Return which numbers are not those that the run kept, in words."""
        return [
            f"{name.replace('_', ' ')} was {was:.4g}, is {self.metrics[name]:.4g}"
            for name, was in metrics.items()
            if isinstance(was, float)
            and isinstance(self.metrics.get(name), float)
            and not math.isclose(was, self.metrics[name], rel_tol=_ALIKE, abs_tol=_ALIKE * _unit(name))
        ]


def test_again(run: Run, frame: Any, *, features: Mapping[str, str], root: str | None, verify: bool | None) -> Tested:
    """Predict the part of a table that a run was measured on.

    Parameters
    ----------
    run : Run
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
        The table of the training.
    features, root, verify
        As in `Run.predict`.

    Raises
    ------
    ConfigError
        The table or a store does not fit, or has none of these rows.
    RowlockError
        Nothing can be read.
    """
    spec = run.spec.with_places(
        features, root, "zeros", verify
    )  # as in the training: it may be rare, and of this part alone
    part = run.metrics["measured_on"]
    table, num_expected = _rows_of(run, arrow_table(frame, spec.key), part)
    require_fit(spec, table, with_target=True)
    data = rl.Dataset(whole_classes(table, spec.target), spec.rl_inputs(), input_of(spec.target), key=spec.key)
    try:
        truth = truth_of(data, spec.target)
        predicted = predicted_by(run.model, data, spec, batch_size=run.config.batch_size, on_error="mask", max_bad=1.0)
        keys = data.keys
    finally:
        data.close()
    known = ~np.isnan(predicted).any(axis=1)
    if not known.any():
        raise ConfigError(f"none of the {len(keys):,} {part} rows can be read any more")
    metrics = measure(spec.target, truth[known], predicted[known])
    return Tested(part, num_expected, spec, table, keys, truth, predicted, metrics, int(run.model.count_params()))


def _rows_of(run: Run, table: pa.Table, part: str) -> tuple[pa.Table, int]:
    """Return the rows of a part that are still there and have a target, and how many it had."""
    from pyarrow import parquet  # noqa: PLC0415 - loaded on use

    split = parquet.read_table(run.folder.file(names.SPLIT))
    own = split.filter(pc.equal(split.column("part"), part))
    if all(column in table.column_names for column in run.spec.target.columns):
        table = table.filter(pa.array(~rows_without_target(table, run.spec.target.columns)))
    if run.spec.key is not None:
        return run.part_of(table, part), own.num_rows
    rows = own.column(0).to_numpy()
    if len(rows) and int(rows.max()) >= table.num_rows:
        raise ConfigError(
            f"the run has no keys, and the table has {table.num_rows:,} rows with a target now: not those it had"
        )
    return table.take(pa.array(rows)), own.num_rows


def _unit(name: str) -> float:
    """Return the size of a metric for which a difference of `_ALIKE` is nothing; errors have the target's units."""
    return 0.0 if name in {"mae", "rmse"} else 1.0
