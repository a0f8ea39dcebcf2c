"""From a table and a configuration to training, validation and test rows with statistics and scaled targets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import narwhals as nw
import numpy as np
import pyarrow as pa

import rowlock as rl
from rowlock.arguments import nearest
from rowlock.errors import ConfigError
from rowlock.training.column_inputs import (
    category_columns,
    columns_input,
    refuse_ids,
    rows_with,
    values_of,
    without_codes,
)
from rowlock.training.config import COLUMNS, PARTS, Config
from rowlock.training.digests import require_digests
from rowlock.training.target_inputs import Quantities, input_of
from rowlock.training.targets import (
    Target,
    find_target,
    require_learnable,
    rows_without_target,
    target_columns,
    whole_classes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rowlock.arrays import AnyArray, BoolArray
    from rowlock.training.spec import Spec

__all__ = ["Prepared", "arrow_table", "check_options", "prepare", "reopened", "truth_of"]

AUGMENT: Final = rl.Augment(flip=0.5, crop=(0.75, 1.0), rotate=6, brightness=0.15, contrast=0.15)
"""Mild: a picture is still what it was. Why these numbers: docs/adr/0024-training-defaults.md."""

_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data of a run.

    Attributes
    ----------
    target : Target
    parts : dict of str to Dataset
        ``"train"``, and ``"valid"`` and ``"test"`` where the split has them.
    mean, std : float64, shape (columns,), or None
        Of the training rows' quantities, by which targets are scaled.
    notes : tuple of str
        What a user should know: rows left out, classes that training lacks.
    categories : dict of str to tuple
        Of each column of text or categories among the inputs: those that training rows have.
    """

    target: Target
    parts: dict[str, rl.Dataset]
    mean: AnyArray | None
    std: AnyArray | None
    notes: tuple[str, ...]
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def train(self) -> rl.Dataset:
        """The training rows."""
        return self.parts["train"]

    def only(self, names: Sequence[str]) -> Prepared:
        """Return the same rows, with some of the inputs."""
        parts = {part: dataset.only(*names) for part, dataset in self.parts.items()}
        return replace(self, parts=parts, notes=())


def check_options(config: Config, frame: Any) -> None:
    """Compare the options with the table's columns, before anything of a run, or of an earlier one, is looked at.

    Raises
    ------
    ConfigError
        No input or no target is named, there is no such column, or the target cannot be predicted.
    """
    _told(config, arrow_table(frame, config.key))


def _told(config: Config, table: pa.Table) -> Target:
    """Return the target that the options and the table's types tell."""
    if not config.input_names:
        raise ConfigError("a model needs an input: --image COL, --features NAME=STORE or --columns A,B")
    columns = target_columns(table, config.target)
    _refuse_copying(columns, config)
    named = {
        "columns": config.columns,
        "image": config.image.values(),
        "join": config.join.values(),
        "group": [config.group],
        "key": [config.key],
        "stratify": [config.stratify],
    }
    for option, names in named.items():
        for name in names:
            if isinstance(name, str) and name not in table.column_names:
                raise ConfigError(
                    f"the table has no column {name!r}, which --{option} names.{nearest(name, table.column_names)}"
                )
    if config.verify:
        require_digests(table, config.image)
    return find_target(table, columns, config.task)


def prepare(config: Config, frame: Any) -> Prepared:
    """Open the inputs, leave out what has no target, split, and measure the training rows.

    Parameters
    ----------
    config : Config
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...

    Raises
    ------
    ConfigError
        The table does not have what the configuration names, or there is nothing to learn.
    """
    table = arrow_table(frame, config.key)
    columns = _told(config, table).columns
    table, notes = _with_target(table, columns, config)
    target = find_target(table, columns, config.task)
    require_learnable(table, target)
    table = whole_classes(table, target)
    data, parts, source = _opened(config, table, target, {})
    known, more = _known_categories(config, table, parts)
    if more:  # rare: a category that no training row has is no place of its own, so all is read as it will ever be
        data.close()
        data, parts, source = _opened(config, table, target, known)
    notes += more
    notes += [f"{len(keys):,} rows are left out: {name!r} lacks their keys, {_first(keys)}"
              for name, keys in data.dropped.items()]  # fmt: skip
    mean = std = None
    if isinstance(source, Quantities):
        mean, std = _scale(source, parts["train"], columns)
    if config.features or config.columns:
        parts = dict(zip(parts, parts["train"].fit_statistics(*list(parts.values())[1:]), strict=True))
    notes += _about(parts, target) + _copies(parts["train"], columns)
    return Prepared(target, parts, mean, std, tuple(notes), known)


def reopened(config: Config, spec: Spec, frame: Any) -> rl.Dataset:
    """Open all rows of a table as they were for the training of a finished run; nothing is measured or split.

    Raises
    ------
    ConfigError
        The table does not have what the configuration names.
    """
    table, _ = _with_target(arrow_table(frame, config.key), spec.target.columns, replace(config, missing="drop"))
    known = spec.inputs[COLUMNS]["categories"] if config.columns else {}
    source = input_of(spec.target)
    inputs = _inputs(config, table, known)
    data = rl.Dataset(whole_classes(table, spec.target), inputs, source, key=config.key, missing=config.missing)
    if isinstance(source, Quantities) and source.reader is not None:
        source.reader.scale_by(np.asarray(spec.mean), np.asarray(spec.std))
    return data


def arrow_table(frame: Any, key: str | None) -> pa.Table:
    """Return a frame as an Arrow table of plain numbers; pandas' index becomes a column where it is the key."""
    if key is not None and key in getattr(getattr(frame, "index", None), "names", ()):
        frame = frame.reset_index()
    try:
        table = nw.from_native(frame, eager_only=True).to_arrow()
    except TypeError as error:
        raise ConfigError(f"the table must be a pandas, polars or Arrow frame, not {type(frame).__name__}") from error
    if table.num_rows == 0:
        raise ConfigError(f"the table has no rows (columns: {', '.join(table.column_names[:12])})")
    return without_codes(table)


def truth_of(part: rl.Dataset, target: Target) -> AnyArray:
    """Return the target of every row: class numbers, zeros and ones, or quantities in their own units, float64."""
    if target.task == "quantity":
        frame = part.frame
        return np.column_stack([frame.column(name).cast(pa.float64()).to_numpy() for name in target.columns])
    values = part.target_column()
    if values is None:
        raise ConfigError("the rows have no target, so nothing can be compared with what is predicted")
    return values


def _refuse_copying(columns: tuple[str, ...], config: Config) -> None:
    """Refuse a target that the model is given: it would be perfect, and useless."""
    given = [*config.columns, *config.image.values()]
    both = [column for column in columns if column in given]
    if both:
        raise ConfigError(f"column {both[0]!r} is what is predicted and an input as well: the model would only copy it")


def _opened(
    config: Config, table: pa.Table, target: Target, known: Mapping[str, Sequence[str]]
) -> tuple[rl.Dataset, dict[str, rl.Dataset], rl.Input]:
    source = input_of(target)
    data = rl.Dataset(table, _inputs(config, table, known), source, key=config.key, missing=config.missing)
    return data, _parts(data, config, target), source


def _known_categories(
    config: Config, table: pa.Table, parts: Mapping[str, rl.Dataset]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return the categories that training rows have, and what to say of rows of other parts that have others."""
    refuse_ids(table, config.columns)
    known, notes = {}, []
    for name in category_columns(table, config.columns):
        known[name] = tuple(values_of(parts["train"].column(name)).to_pylist())
        if not known[name]:
            raise ConfigError(f"column {name!r} has no value in the training rows: leave it out of --columns")
        lost = [value for value in values_of(table.column(name)).to_pylist() if value not in known[name]]
        counts = [rows_with(part.column(name), lost) for part in parts.values()] if lost else [0]
        if lost:
            notes.append(f"{name!r}: no training row is {_first(lost)}; {sum(counts):,} row(s) of other parts are, and"
                         " count as none of its categories")  # fmt: skip
    return known, notes


def _inputs(config: Config, table: pa.Table, known: Mapping[str, Sequence[str]]) -> dict[str, rl.Input]:
    augment = AUGMENT if config.augment else None
    remote = rl.Remote(*config.remote) if config.remote else None
    inputs: dict[str, rl.Input] = {
        name: rl.Images(
            column,
            size=config.size,
            root=config.root,
            remote=remote,
            augment=augment,
            cache=config.cache,
            verify="hash" if config.verify else None,
        )
        for name, column in config.image.items()
    }
    for name, store in config.features.items():
        inputs[name] = rl.Features(store, key=config.join.get(name), standardize=True, fill_missing="mean")
    if config.columns:
        inputs[COLUMNS] = columns_input(table, config.columns, known, standardize=True, fill_missing="mean")
    return inputs


def _with_target(table: pa.Table, columns: tuple[str, ...], config: Config) -> tuple[pa.Table, list[str]]:
    lacking = rows_without_target(table, columns)
    if not lacking.any():
        return table, []
    named = _named_rows(table, config.key, lacking)
    what = (
        f"{int(lacking.sum()):,} of {table.num_rows:,} rows have no target in {', '.join(map(repr, columns))}: {named}"
    )
    if config.missing == "raise":
        raise ConfigError(f"{what}. --missing drop leaves them out; or fill them in.")
    if lacking.all():
        raise ConfigError(f"{what}: no row is left to learn from")
    return table.filter(pa.array(~lacking)), [f"left out: {what}"]


def _named_rows(table: pa.Table, key: str | None, chosen: BoolArray) -> str:
    if key in table.column_names:
        return "keys " + _first(table.column(key).filter(pa.array(chosen)).slice(0, _SHOWN + 1).to_pylist())
    return "rows " + _first(np.flatnonzero(chosen).tolist())


def _first(values: Any) -> str:
    shown = ", ".join(repr(value) for value in list(values[:_SHOWN]))
    return shown + (", ..." if len(values) > _SHOWN else "")


def _parts(data: rl.Dataset, config: Config, target: Target) -> dict[str, rl.Dataset]:
    if config.rows is not None and config.rows < len(data):
        chosen = np.random.default_rng([config.seed % 2**32, 1]).permutation(len(data))[: config.rows]
        data = data.select(np.sort(chosen))
    stratify = config.stratify if isinstance(config.stratify, str) else None
    if config.stratify is True and target.task == "classes" and config.group is None:
        stratify = target.columns[0]
    split = data.split(*config.split, stratify=stratify, group=config.group, seed=config.seed)
    return dict(zip(PARTS, split, strict=False))


def _scale(source: Quantities, train: rl.Dataset, columns: tuple[str, ...]) -> tuple[AnyArray, AnyArray]:
    frame = train.frame
    values = np.column_stack([frame.column(name).cast(pa.float64()).to_numpy() for name in columns])
    mean, std = values.mean(axis=0), values.std(axis=0)
    constant = [name for name, spread in zip(columns, std, strict=True) if not spread > 0]
    if constant:
        raise ConfigError(
            f"column {constant[0]!r} has the same value, {values[0, columns.index(constant[0])]:g}, in all"
            f" {len(values):,} training rows: there is nothing to learn. Use more rows, or another --seed."
        )
    if source.reader is not None:
        source.reader.scale_by(mean, std)
    return mean, std


def _copies(train: rl.Dataset, columns: tuple[str, ...]) -> list[str]:
    """Say where a store holds columns that are called as the target is."""
    named = {name: set(statistics.columns or ()) & set(columns) for name, statistics in train.statistics.items()}
    told = "as the target is called: is the answer among the features?"
    return [f"the store of {name!r} has a column {min(found)!r}, {told}" for name, found in named.items() if found]


def _about(parts: dict[str, rl.Dataset], target: Target) -> list[str]:
    if target.task == "quantity":
        return []
    truth = truth_of(parts["train"], target)
    counts = np.bincount(truth, minlength=target.num_outputs) if truth.ndim == 1 else (truth > 0).sum(axis=0)
    never = [name for name, count in zip(target.classes, counts, strict=True) if not count]
    notes = []
    if never:
        kind = "class" if target.task == "classes" else "label"
        notes.append(f"no training row is of {kind} {_first(never)}: the model cannot learn it")
    if target.task == "classes" and np.count_nonzero(counts) < 2:
        raise ConfigError(
            f"all {len(truth):,} training rows are of class {target.classes[int(counts.argmax())]!r}: there is nothing"
            " to learn. Use more rows, or stratify the split."
        )
    return notes
