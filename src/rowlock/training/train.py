"""From a table and a configuration to a run: a trained, measured model and all that is needed to use it."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import rowlock as rl
from rowlock.backend import load
from rowlock.training import folder as names
from rowlock.training.bad_lists import add_lists, remove_lists
from rowlock.training.baseline import no_better
from rowlock.training.data import Prepared, arrow_table, check_options, prepare, truth_of
from rowlock.training.folder import RunFolder, read_metrics
from rowlock.training.listener import Listener
from rowlock.training.metrics import MAIN, MEANINGS, measure
from rowlock.training.pictures import require_pictures
from rowlock.training.run import Run, predicted_by
from rowlock.training.spec import Spec
from rowlock.training.tables import write_table

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from rowlock.training.config import Config

__all__ = ["train"]

_PACKAGES: Final = ("rowlock", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")


def train(
    frame: Any,
    config: Config,
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    listener: Listener | None = None,
    source: Mapping[str, Any] | None = None,
) -> Run:
    """Train a merged model, measure it, and keep all of it in a folder.

    The same call again goes on where an interrupted one was, exactly (on a CPU, with the same backend), and returns
    the run at once where it was finished.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
    config : Config
    out : path
        The folder; made where it is missing. One that holds another run is refused.
    overwrite : bool
        Remove the run that is in `out` first.
    listener : Listener, optional
        Hears what happens.
    source : dict, optional
        Where `frame` came from, as the command line says it, for ``run.toml``: ``table``, ``key_type``, ``types``.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError
        The data do not have what the configuration names, or there is nothing to learn.
    RunExistsError
        `out` holds another run, or something else.
    TrainingError
        The loss became infinite or NaN.
    RowError
        A row cannot be read.
    """
    listener = listener or Listener()
    folder = RunFolder(out)
    check_options(config, frame)
    folder.check(config, overwrite=overwrite)
    if overwrite or not folder.is_complete:
        require_pictures(arrow_table(frame, config.key), config.image, config.root)
    backend = load()
    prepared = prepare(config, frame)
    try:
        facts = dict(source or {})
        try:
            said = folder.begin(config, facts | {"versions": _versions(backend)}, prepared.train, overwrite=overwrite)
            if said:
                listener.note(said)
            if _is_all_there(folder, config):
                listener.finished(folder)
            run = _trained(folder, config, prepared, listener, backend)
            if config.ablate:
                from rowlock.training.ablation import ablate  # noqa: PLC0415 - it needs this module

                run = ablate(run, config, prepared, listener, backend, facts)
            poor = no_better(run.metrics, is_balanced="balanced" in {config.class_weights, config.sampling})
            if poor:
                listener.note(poor)
            listener.done(folder)
            return run
        finally:
            folder.release()
    finally:
        prepared.train.close()


def train_prepared(folder: RunFolder, config: Config, prepared: Prepared, listener: Listener, backend: str,
                   facts: dict[str, Any]) -> Run:  # fmt: skip
    """Train a model of data that are open already, as for an ablation."""
    try:
        folder.begin(config, facts | {"versions": _versions(backend)}, prepared.train, overwrite=False)
        return _trained(folder, config, prepared, listener, backend)
    finally:
        folder.release()


def _is_all_there(folder: RunFolder, config: Config) -> bool:
    """Return whether nothing of a run, its ablation included, is left to be trained."""
    return folder.is_complete and not (config.ablate and "ablation" not in read_metrics(folder.file(names.METRICS)))


def _trained(folder: RunFolder, config: Config, prepared: Prepared, listener: Listener, backend: str) -> Run:
    if folder.is_complete:
        run = Run.open(folder.path)
        listener.end(run.metrics)
        return run
    from rowlock.training.fitting import fit  # noqa: PLC0415 - loads Keras

    spec = Spec.of(config, prepared)
    folder.write_json(names.SPEC, spec.to_dict())
    _write_split(folder, prepared, config)
    model = fit(folder, config, prepared, listener, backend)
    metrics = _measured(folder, model, config, prepared, spec)
    _save(model, folder)
    folder.write_json(names.METRICS, metrics)
    folder.file(names.STATE).unlink(missing_ok=True)
    remove_lists(folder)
    if not config.ablate:
        _draw(folder, metrics)
    listener.end(metrics)
    return Run.open(folder.path, model=model)


def _measured(folder: RunFolder, model: Any, config: Config, prepared: Prepared, spec: Spec) -> dict[str, Any]:
    """Return the metrics of the test rows, or of validation where there are none, or of training.

    Rows that cannot be read are in the run's list then.
    """
    on = next(part for part in ("test", "valid", "train") if part in prepared.parts)
    part = prepared.parts[on]
    predicted = predicted_by(
        model,
        part,
        spec,
        batch_size=config.batch_size,
        on_error=config.on_error,
        bad_rows_file=folder.file(names.MEASURED_BAD_ROWS),
    )
    add_lists(folder)
    known = ~np.isnan(predicted).any(axis=1)
    target = prepared.target
    values = measure(target, truth_of(part, target)[known], predicted[known])
    return {
        "task": target.task,
        "target": list(target.columns),
        "classes": list(target.classes),
        "measured_on": on,
        "unreadable_rows": int((~known).sum()),
        "main": MAIN[target.task],
        "metrics": values,
        "meanings": {name: MEANINGS[name] for name in values if name in MEANINGS},
    }


def _save(model: Any, folder: RunFolder) -> None:
    """Write the model whole, without what only training needs."""
    import keras  # noqa: PLC0415 - loaded by now

    bare = keras.Model(model.input, model.output, name=model.name)  # not compiled, so no optimizer is saved
    beside = folder.file(f".partial-{names.MODEL}")
    bare.save(beside)
    beside.replace(folder.file(names.MODEL))


def _write_split(folder: RunFolder, prepared: Prepared, config: Config) -> None:
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    pieces = [
        pa.table({config.key or "row": _keys(part, config.key), "part": pa.repeat(name, len(part))})
        for name, part in prepared.parts.items()
    ]
    write_table(pa.concat_tables(pieces), folder.file(names.SPLIT), overwrite=True)


def _keys(part: rl.Dataset, key: str | None) -> Any:
    """Return the keys of a part's rows in Arrow, without a Python object each: there may be very many."""
    import pyarrow as pa  # noqa: PLC0415 - loaded on use

    if key is None:
        return pa.array(part.keys)
    column = part.column(key)
    return column.cast(pa.int64() if pa.types.is_integer(column.type) else pa.large_string())


def _draw(folder: RunFolder, metrics: dict[str, Any]) -> None:
    from rowlock.training.curves import draw_curves  # noqa: PLC0415 - Matplotlib may be missing

    draw_curves(folder, metrics)


def _versions(backend: str) -> dict[str, str]:
    found = {"python": platform.python_version(), "backend": backend}
    for package in _PACKAGES:
        try:
            found[package] = rl.__version__ if package == "rowlock" else importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
