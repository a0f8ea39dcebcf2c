"""What stands on the joined columns: one head, or one a target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from rowlock.errors import ConfigError
from rowlock.keras.activations import activation_of
from rowlock.keras.bound_losses import shown_classes
from rowlock.keras.branch_models import called, declared_inputs

__all__ = ["check_classes", "check_targets", "headed"]


def headed(head: Any, joined: Any, widths: Mapping[str, int]) -> tuple[Any, dict[str, Any]]:
    """Return the outputs on the joined columns, and the nested models of the heads by what they are called.

    Parameters
    ----------
    head : keras.Model, keras.layers.Layer, or dict of them
    joined : tensor, shape (batch, columns)
    widths : dict of str to int
        Columns of each branch, for messages.
    """
    if not isinstance(head, Mapping):
        model = _head_model(head, joined, widths, "head", "the head")
        return model(joined), {"the head": model}
    if not head or not all(isinstance(target, str) and target and "/" not in target for target in head):
        raise ConfigError(f"heads are a dict of targets' names and models, not {dict(head)!r}")
    models = {
        target: _head_model(one, joined, widths, f"{target}_head", f"head {target!r}") for target, one in head.items()
    }
    outputs = {target: model(joined) for target, model in models.items()}
    several = [target for target, output in outputs.items() if not isinstance(output, keras.KerasTensor)]
    if several:
        raise ConfigError(f"head {several[0]!r} has several outputs; a head of a dict has one")
    return outputs, {f"head {target!r}": model for target, model in models.items()}


def check_targets(outputs: Any, targets: list[str]) -> None:
    """Compare the outputs with the targets of a dataset, whose single one is called ``""``.

    Raises
    ------
    ConfigError
        Heads for other targets than there are, or one head for several.
    """
    if not targets:
        return
    named = [target for target in targets if target]
    if isinstance(outputs, dict) and sorted(outputs) != sorted(targets):
        have = f"targets are {sorted(named)}" if named else "target has no name: target={'price': rl.Column(...)}"
        raise ConfigError(f"the heads are {sorted(outputs)}, but the data's {have}")
    if isinstance(outputs, keras.KerasTensor) and named:
        what = (
            f"the {len(named)} targets {sorted(named)}" if len(named) > 1 else f"target {named[0]!r}, which has a name"
        )
        raise ConfigError(f"there is one head for {what}: give a dict, one a target")


def check_classes(outputs: Any, classes: Any) -> None:
    """Compare the outputs with the classes of a dataset's targets, where it has some.

    One number may be one of two probabilities, or a grade; a head that does not end with a layer of classes (Dense,
    Activation, Softmax) may be an embedding: these are left to `bind`, which knows the loss.

    Raises
    ------
    ConfigError
        More outputs than classes, or fewer; one probability for more than two classes; several outputs a place.
    """
    named = outputs if isinstance(outputs, dict) else {"": outputs}
    for target, names in (classes if isinstance(classes, dict) else {"": classes}).items():
        output = named.get(target)
        if names is not None and isinstance(output, keras.KerasTensor) and activation_of(output):
            _check_classes_of(output, names, f"head {target!r}" if target else "the head")


def _check_classes_of(output: Any, names: Any, head: str) -> None:
    activation, width, count = activation_of(output), output.shape[-1], len(names)
    instead = f"end it with Dense({count}, 'softmax')" + (", or with Dense(1, 'sigmoid')" if count == 2 else "")
    if len(output.shape) > 2:
        raise ConfigError(
            f"{head} has shape {tuple(output.shape[1:])} a row, but the data's target is one class a row: Flatten or"
            " pooling comes before its last layer"
        )
    if len(output.shape) < 2 or width is None:
        return
    if width == 1 and activation == "softmax":
        raise ConfigError(f"{head} is a softmax over one output, which is always 1: {instead}")
    if width == 1 and (activation != "sigmoid" or count <= 2):
        return
    if width != count:
        more = "" if width < count else "; classes to come are named, too: rl.Labels(..., classes=[...])"
        raise ConfigError(
            f"{head} has {width} output(s), but the data's target has {count} class(es) ({shown_classes(names)}):"
            f" {instead}{more}"
        )


def _head_model(head: Any, joined: Any, widths: Mapping[str, int], name: str, label: str) -> Any:
    if not isinstance(head, keras.Layer):
        raise ConfigError(f"{label} is a Keras model or layer, not {head!r}")
    known = declared_inputs(head)
    known = list(known.values()) if isinstance(known, dict) else known
    if known is not None and (len(known) != 1 or known[0].shape[1:] not in {joined.shape[1:], (None,)}):
        taken = ", ".join(str(tensor.shape[1:]) for tensor in known)
        raise ConfigError(
            f"{label} takes {taken}, but {joined.shape[1]} columns are joined ("
            + ", ".join(f"{branch} {width}" for branch, width in widths.items())
            + "). Leave its keras.Input out, or correct it."
        )
    columns = keras.Input(joined.shape[1:], dtype=joined.dtype, name="columns")
    return keras.Model(columns, called(head, columns, label), name=name)
