"""Fits the model of a run; goes on from its checkpoint where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

import rowlock.keras
from rowlock.training import folder as names
from rowlock.training.data import Prepared, truth_of
from rowlock.training.history import History, InterruptStop
from rowlock.training.listener import BranchFacts, Listener, Summary
from rowlock.training.models import DATA_LOSS, build, compile_model

if TYPE_CHECKING:
    from rowlock.training.config import Config
    from rowlock.training.folder import RunFolder

__all__ = ["fit"]

SAVED_EVERY_SECONDS = 30.0
"""Most that a kill costs, beside the end of every epoch."""


def fit(folder: RunFolder, config: Config, prepared: Prepared, listener: Listener, backend: str) -> Any:
    """Return the trained model, with the weights of its best epoch.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C; the checkpoint is saved, and the message says how to go on.
    """
    train, valid = prepared.train, prepared.parts.get("valid")
    are_listed = config.on_error == "mask"
    model = build(config, prepared.target, train)
    batches = train.batches(
        min(config.batch_size, len(train)),
        seed=config.seed,
        sampling="balanced" if config.sampling == "balanced" else None,
        on_error=config.on_error,
        max_bad=config.max_bad,
        bad_rows_file=folder.file(names.BAD_ROWS) if are_listed else None,
    )
    compile_model(model, config, prepared.target, len(batches))
    listener.begin(_summary(folder, config, prepared, model, backend))
    resume = rowlock.keras.Resume(folder.file(names.STATE), every_seconds=SAVED_EVERY_SECONDS)
    unit = float(prepared.std[0]) if prepared.std is not None and len(prepared.std) == 1 else None
    history = History(folder.file(names.HISTORY), listener, batches, config.epochs, unit)
    stop = InterruptStop(resume, listener)
    checked = None
    if valid is not None:
        size = min(config.batch_size, len(valid))
        checked = valid.batches(
            size,
            shuffle=False,
            on_error=config.on_error,
            max_bad=config.max_bad,
            bad_rows_file=folder.file(names.VALID_BAD_ROWS) if are_listed else None,
        )
    try:
        with stop:
            rowlock.keras.fit(
                model,
                batches,
                checked,
                epochs=config.epochs,
                callbacks=[history, *_early(config, valid is not None), stop],
                class_weight="balanced" if config.class_weights == "balanced" else None,
                resume=resume,
                verbose=0,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_told(folder, history)) from None
    finally:
        batches.close()
        if checked is not None:
            checked.close()
    return model


def _early(config: Config, has_validation: bool) -> list[Any]:
    if not has_validation:
        return []
    patience = config.patience or config.epochs + 1
    return [keras.callbacks.EarlyStopping(f"val_{DATA_LOSS}", mode="min", patience=patience, restore_best_weights=True)]


def _told(folder: RunFolder, history: History) -> str:
    done = len(history.rows)
    owner = folder.path.parent.parent if folder.path.parent.name == names.ABLATION else folder.path
    return (
        f"stopped after {done} epoch(s) and what was saved of the next one. {folder.path} keeps it; the same command"
        f" goes on exactly there, and so does: rowlock train --config {owner / names.RUN}"
    )


def _summary(folder: RunFolder, config: Config, prepared: Prepared, model: Any, backend: str) -> Summary:
    target, parts = prepared.target, prepared.parts
    balance: dict[str, list[int]] = {}
    spread = None
    if target.task == "quantity":
        values = truth_of(prepared.train, target)[:, 0]
        spread = (float(values.mean()), float(values.std()))
    else:
        counts = [_counts(truth_of(part, target), target.num_outputs) for part in parts.values()]
        balance = {str(name): [int(one[place]) for one in counts] for place, name in enumerate(target.classes)}
    return Summary(
        title=" and ".join(config.input_names) if len(config.input_names) > 1 else f"{config.input_names[0]} alone",
        task=target.task,
        target=target.name,
        rows={name: len(part) for name, part in parts.items()},
        balance=balance,
        spread=spread,
        branches=tuple(_branch(name, config, prepared, model) for name in prepared.train.input_specs),
        num_parameters=int(model.count_params()),
        backend=backend,
        is_resumed=folder.file(names.STATE).exists(),
        notes=prepared.notes,
    )


def _counts(truth: Any, num_outputs: int) -> Any:
    return np.bincount(truth, minlength=num_outputs) if truth.ndim == 1 else (truth > 0).sum(axis=0)


def _branch(name: str, config: Config, prepared: Prepared, model: Any) -> BranchFacts:
    spec = prepared.train.input_specs[name]
    kind = config.branches.get(name) or ("convnet" if len(spec.shape) == 3 else "dense")
    layer = next((layer for layer in model.layers if layer.name == f"{name}_branch"), None)
    columns = spec.shape[0] if layer is None else layer.output.shape[-1]
    return BranchFacts(name, kind, spec.shape, int(columns), 0 if layer is None else int(layer.count_params()))
