"""What each branch adds: the same rows, split and seed, trained without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.training import folder as names
from rowlock.training.curves import draw_curves
from rowlock.training.folder import RunFolder
from rowlock.training.run import Run
from rowlock.training.train import train_prepared

if TYPE_CHECKING:
    from rowlock.training.config import Config
    from rowlock.training.data import Prepared
    from rowlock.training.listener import Listener

__all__ = ["ablate", "subsets"]


def subsets(inputs: list[str]) -> dict[str, list[str]]:
    """Return the models beside the merged one: each input alone and, of three or more, all but each."""
    found = {f"{name} alone": [name] for name in inputs}
    if len(inputs) > 2:
        found |= {f"without {name}": [other for other in inputs if other != name] for name in inputs}
    return found


def ablate(
    run: Run, config: Config, prepared: Prepared, listener: Listener, backend: str, facts: dict[str, Any]
) -> Run:
    """Train the smaller models in ``RUN/ablation``, and add the comparison to the run's metrics."""
    if "ablation" in run.metrics:
        return run
    found: dict[str, dict[str, Any]] = {}
    runs = {}
    for title, inputs in subsets(config.input_names).items():
        folder = RunFolder(run.folder.file(names.ABLATION) / title.replace(" ", "-"))
        folder.check(config.only(inputs), overwrite=False)
        runs[title] = train_prepared(folder, config.only(inputs), prepared.only(inputs), listener, backend, facts)
        found[title] = {"inputs": inputs, "metrics": runs[title].metrics["metrics"]}
    main = run.metrics["main"]
    own = run.metrics["metrics"][main]
    adds = {name: _difference(own, found[_without(name, config.input_names)]["metrics"][main])
            for name in config.input_names}  # fmt: skip
    metrics = run.metrics | {"ablation": {"metric": main, "models": found, "adds": adds}}
    run.folder.write_json(names.METRICS, metrics)
    draw_curves(run.folder, metrics, {title: one.folder for title, one in runs.items()})
    done = Run.open(run.folder.path, model=run.model)
    listener.compare(metrics)
    return done


def _without(name: str, inputs: list[str]) -> str:
    """Return the title of the model of all other inputs."""
    others = [other for other in inputs if other != name]
    return f"{others[0]} alone" if len(others) == 1 else f"without {name}"


def _difference(merged: float | None, other: float | None) -> float | None:
    return None if merged is None or other is None else merged - other
