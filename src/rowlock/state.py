"""Where a loader is, as a small flat dict: enough to go on with the same remaining rows, or to refuse.

What fixes the order (seed, shuffle, algorithm, what it samples by, rows) and the data (fingerprints) must be the
same again. Batch size, world size, `last`, threads and prefetch may change: the remaining rows stay the same, in the
same order.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, StateError
from rowlock.plan import Place, Plan

if TYPE_CHECKING:
    from rowlock.dataset import Dataset

__all__ = ["plan_from", "state_of"]

FORMAT = 1
_ORDER = ("seed", "shuffle", "algorithm", "sampled_by", "num_rows")
_GEOMETRY = ("batch_size", "world_size", "last")
_NUMBERS = ("epoch", "rows_delivered", "step", "start_epoch", "start_position", "start_step")
_DATA = "data."


def state_of(plan: Plan, step: int, dataset: Dataset) -> dict[str, Any]:
    """Return the state before `step` is delivered; the same on every rank.

    Parameters
    ----------
    plan : Plan
    step : int
        The next to deliver.
    dataset : Dataset

    Returns
    -------
    state : dict of str to int, bool or str
        Flat, JSON, below a kilobyte for a few inputs, whatever the size of the data.
    """
    place = plan.place(step)
    facts = {name: getattr(plan, name) for name in (*_ORDER, *_GEOMETRY)}
    data = {f"{_DATA}{name}": text for name, text in dataset.fingerprints.items()}
    return {
        "format": FORMAT,
        "epoch": place.epoch,
        "rows_delivered": plan.rows_before(step),
        "step": step,
        "start_epoch": plan.start.epoch,
        "start_position": plan.start.position,
        "start_step": plan.start_step,
        **facts,
        **data,
    }


def plan_from(state: Mapping[str, Any], plan: Plan, dataset: Dataset) -> tuple[Plan, int]:
    """Return the plan that goes on from `state`, and its next step.

    With the geometry of the state it is the plan of the interrupted run, step numbers included; with another
    one it begins within the epoch, and counts on from the state's step.

    Raises
    ------
    StateError
        Another format, order or data; both values are shown.
    """
    if not isinstance(state, Mapping):
        raise StateError(f"a state is a dict, not {type(state).__name__}")
    try:
        _check(state, plan, dataset)
        numbers = {name: operator.index(state[name]) for name in _NUMBERS}
        geometry = {name: state[name] for name in _GEOMETRY}
    except KeyError as error:
        raise StateError(f"the state has no {error}: it is not whole, or not a state of Rowlock") from None
    except TypeError as error:
        raise StateError(f"the state holds a number that is none: {error}") from None
    start = Place(numbers["start_epoch"], numbers["start_position"])
    here = Place(numbers["epoch"], numbers["rows_delivered"])
    step = numbers["step"]
    own = {name: getattr(plan, name) for name in _GEOMETRY}
    try:
        interrupted = replace(plan, start=start, start_step=numbers["start_step"], rank=0, **geometry)
        agrees = interrupted.place(step).epoch == here.epoch and interrupted.rows_before(step) == here.position
    except (ConfigError, TypeError):
        agrees = False
    if not agrees:
        raise StateError(
            f"the state contradicts itself: step {step} is not in epoch {here.epoch} after {here.position} rows"
        )
    if geometry == own:
        return replace(plan, start=start, start_step=numbers["start_step"]), step
    return replace(plan, start=here, start_step=step), step


def _check(state: Mapping[str, Any], plan: Plan, dataset: Dataset) -> None:
    if state["format"] != FORMAT:
        raise StateError(f"the state has format {state['format']}; this version reads format {FORMAT}")
    wrong = [
        f"{name} was {state[name]!r}, is {getattr(plan, name)!r}"
        for name in _ORDER
        if state[name] != getattr(plan, name)
    ]
    data = {name.removeprefix(_DATA): text for name, text in state.items() if name.startswith(_DATA)}
    wrong += [f"{name} was {was}, is {now}" for name, (was, now) in dataset.changes_since(data).items()]
    if wrong:
        raise StateError(
            f"the state belongs to another run: {'; '.join(wrong)}. Nothing was changed; load it into a loader of the"
            " same data, seed and sampling."
        )
