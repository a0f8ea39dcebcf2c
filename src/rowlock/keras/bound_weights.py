"""Rows that shall weigh nothing must weigh nothing in the model's loss and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from rowlock.errors import ConfigError
from rowlock.keras.outputs import class_of_loss, loss_name, losses_of, outputs_of

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
        reduction = _reduction(loss)
        if reduction not in _EXACT:
            of = f" of output {name!r}" if name else ""
            raise ConfigError(
                f"{why} the loss{of} is a mean over all rows (reduction={reduction!r}): write {_instead(loss)}"
            )


def _reduction(loss: Any) -> str | None:
    """Return how Keras makes one number of those of the rows; of what reduces by itself, a sum, as far as is known."""
    if isinstance(loss, keras.losses.Loss):
        is_own = type(loss).__call__ is not keras.losses.Loss.__call__
        return "sum" if is_own else loss.reduction
    return "sum_over_batch_size" if isinstance(loss, str) or callable(loss) else "sum"


def _instead(loss: Any) -> str:
    kind = loss_name(loss)
    if kind:
        return f"keras.losses.{class_of_loss(kind)}(reduction='mean_with_sample_weight')"
    if isinstance(loss, keras.losses.Loss):
        return f"{type(loss).__name__}(reduction='mean_with_sample_weight')"
    if isinstance(loss, str):  # "crossentropy", of which Keras guesses the kind
        return "keras.losses.SparseCategoricalCrossentropy(reduction='mean_with_sample_weight'), or its like"
    return (
        "it as a class: class MyLoss(keras.losses.Loss), whose call(y_true, y_pred) gives a number a row, and"
        " MyLoss(reduction='mean_with_sample_weight')"
    )


def _only(model: Any) -> list[tuple[str, Any]]:
    loss = getattr(model, "loss", None)
    return [("", loss)] if isinstance(loss, str) or callable(loss) else []


def _check_metrics(model: Any, why: str) -> None:
    plain = getattr(getattr(model, "_compile_metrics", None), "_user_metrics", None)
    if plain:
        raise ConfigError(
            f"{why} metrics= counts them as if they were real: write compile(..., weighted_metrics={_shown(plain)})"
        )


def _shown(metrics: Any) -> str:
    return repr(metrics) if isinstance(metrics, list) and all(isinstance(one, str) for one in metrics) else "..."
