"""Compares the targets of a dataset with a model's outputs and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError
from rowlock.keras.bound_losses import check_pair
from rowlock.keras.outputs import Output, losses_of, outputs_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import ArraySpec
    from rowlock.dataset import Dataset

__all__ = ["check_targets"]


def check_targets(dataset: Dataset, model: Any) -> None:
    """Compare targets, outputs and losses; what the model does not tell is not judged.

    Raises
    ------
    ConfigError
    """
    outputs = outputs_of(model)
    if outputs is None:
        return
    losses = losses_of(model, outputs)
    pairs = _pairs(dataset.target_specs, outputs, losses)
    classes = dataset.classes if isinstance(dataset.classes, dict) else {"": dataset.classes}
    for target, output in pairs.items():
        loss = losses.get(output.name)
        if loss is None or not hasattr(output.tensor, "shape"):
            continue
        check_pair(dataset, target, classes.get(target), output, loss)


def _pairs(specs: Mapping[str, ArraySpec], outputs: list[Output], losses: Mapping[str, Any]) -> dict[str, Output]:
    """Return the output of each target."""
    by_name = {output.name: output for output in outputs}
    if list(specs) == [""]:
        if len(outputs) > 1:
            raise ConfigError(
                f"the data have one target, the model has {len(outputs)} outputs, {list(by_name)}: write"
                f" target={{{', '.join(f'{name!r}: ...' for name in by_name)}}}"
            )
        return {"": outputs[0]}
    if len(outputs) == 1 and len(specs) == 1 and not outputs[0].is_key:
        raise ConfigError(
            f"the data have a dict of one target, {list(specs)}, which Keras does not take for a model of one output:"
            " give the target itself, target=rl.Labels('label')"
        )
    of_some = bool(losses) and outputs[0].is_key and set(losses) <= set(specs) < set(by_name)
    if set(specs) == set(by_name) or of_some:
        return {name: by_name[name] for name in specs}
    raise ConfigError(
        f"the targets of the data are {list(specs)}, the outputs of the model {list(by_name)}: they must have the same"
        f" names. Name the last layers so, such as keras.layers.Dense(1, name={next(iter(specs))!r}), or give the model"
        " a dict of outputs."
    )
