"""Rows that shall weigh nothing must weigh nothing in the model's loss and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError
from rowlock.keras.bound_targets import loss_name, losses_of, outputs_of

if TYPE_CHECKING:
    from rowlock.loader import Loader

__all__ = ["check_weights"]

_EXACT = ("mean_with_sample_weight", "sum")
"""Reductions under which a row of weight 0 changes nothing: not the mean over all rows, which counts it."""


def check_weights(loader: Loader, model: Any) -> None:
    """Refuse losses and metrics that would count padded and masked rows.

    Raises
    ------
    ConfigError
    """
    plan = loader.plan
    reasons = []
    if plan.last == "pad" and plan.num_rows % plan.global_batch_size:
        reasons.append("last='pad'")
    if loader.on_error == "mask":
        reasons.append("on_error='mask'")
    if not reasons:
        return
    why = f"{' and '.join(reasons)} gives rows that weigh nothing, but"
    _check_losses(model, why)
    _check_metrics(model, why)


def _check_losses(model: Any, why: str) -> None:
    for name, loss in losses_of(model, outputs_of(model) or []).items() or _only(model):
        kind = loss_name(loss)
        if not kind:
            continue  # a loss of the user's own
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if reduction not in _EXACT:
            of = f" of output {name!r}" if name else ""
            raise ConfigError(
                f"{why} the loss{of} is a mean over all rows (reduction={reduction!r}): write"
                f" keras.losses.{''.join(part.title() for part in kind.split('_'))}"
                "(reduction='mean_with_sample_weight')"
            )


def _only(model: Any) -> list[tuple[str, Any]]:
    loss = getattr(model, "loss", None)
    return [("", loss)] if isinstance(loss, (str, keras.losses.Loss)) else []


def _check_metrics(model: Any, why: str) -> None:
    plain = getattr(getattr(model, "_compile_metrics", None), "_user_metrics", None)
    if plain:
        raise ConfigError(
            f"{why} metrics= counts them as if they were real: write compile(..., weighted_metrics={_shown(plain)})"
        )


def _shown(metrics: Any) -> str:
    return repr(metrics) if isinstance(metrics, list) and all(isinstance(one, str) for one in metrics) else "..."
