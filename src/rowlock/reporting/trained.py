"""What was trained on what: inputs, rows, options, versions, fingerprints."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from rowlock.reporting.markup import Raw, facts, folded, markup, section, table
from rowlock.reporting.opening import PARTS_IN_WORDS
from rowlock.training import Config
from rowlock.training import folder as names
from rowlock.training.config import COLUMNS
from rowlock.training.spec import columns_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rowlock.reporting.findings import Findings

__all__ = ["trained"]

_TASKS: Final = {"classes": "one class of several", "labels": "any number of labels", "quantity": "a quantity"}
_SHOWN: Final = 12
_ELSEWHERE: Final = {"image", "features", "join", "columns", "target", "key"}
"""Options that the tables above those of the options tell already."""


def trained(found: Findings) -> str:
    """Return the section."""
    told = found.kept.told
    return section(
        "data", "What was trained on what",
        facts(_facts(found)),
        table(("input", "what it is", "from", "shape of a row"), _inputs(found), words=4, look="many"),
        folded("Options that are not the usual ones, versions, fingerprints of the data",
               facts(_options(found.kept.config)), facts(told.get("versions", {}).items()),
               facts((name, Raw(f"<code>{markup(text)}</code>")) for name, text in told.get("data", {}).items())),
    )  # fmt: skip


def _facts(found: Findings) -> Iterator[tuple[str, Any]]:
    kept = found.kept
    yield "target", f"{kept.target}: {_TASKS.get(found.task or '', 'not known')}{_classes(found)}"
    if "table" in kept.told:
        yield "table", kept.told["table"]
    yield "key", kept.config.key or "none: rows are known by their number"
    if kept.parts:
        total = sum(kept.parts.values())
        rows = ", ".join(f"{PARTS_IN_WORDS[part]} {rows:,}" for part, rows in kept.parts.items())
        yield "rows", f"{total:,}: {rows}{_split(kept.config)}"
    if kept.history:
        seconds = sum(row.get("seconds", 0.0) for row in kept.history)
        epochs = f"{len(kept.history)} of at most {kept.config.epochs} epochs in {duration(seconds)}"
        yield "training", f"{epochs}; kept: epoch {kept.best_epoch}"
    if found.tested is not None:
        yield (
            "model",
            f"{found.tested.num_parameters:,} parameters, on {kept.told.get('versions', {}).get('backend', '?')}",
        )
    if kept.metrics is not None:
        ended = dt.datetime.fromtimestamp(kept.folder.file(names.METRICS).stat().st_mtime).astimezone()
        yield "ended", f"{ended:%Y-%m-%d %H:%M %Z}"


def _classes(found: Findings) -> str:
    if not found.classes:
        return ""
    more = len(found.classes) - _SHOWN
    return f" ({', '.join(map(str, found.classes[:_SHOWN]))}{f' and {more} more' if more > 0 else ''})"


def _split(config: Config) -> str:
    if config.group is not None:
        return f"; equal {config.group!r} in one part"
    return f"; stratified by {config.stratify!r}" if isinstance(config.stratify, str) else ""


def duration(seconds: float) -> str:
    """Return a time for people."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _inputs(found: Findings) -> Iterator[tuple[Any, ...]]:
    config, spec = found.kept.config, found.kept.spec
    told: Mapping[str, Mapping[str, Any]] = {} if spec is None else spec.inputs
    size = " x ".join(map(str, config.size))
    for name, column in config.image.items():
        where = f" below {config.root}" if config.root else ""
        yield name, f"pictures, {config.branches.get(name, 'convnet')}", f"column {column!r}{where}", f"{size} x 3"
    for name, store in config.features.items():
        kind = "straight on" if config.branches.get(name) == "none" else "dense layers"
        joined = f", by {config.join[name]!r}" if name in config.join else ""
        yield name, f"features, {kind}", f"{store}{joined}", f"{told[name]['num_columns']:,}" if name in told else ""
    if config.columns:
        width = f"{columns_width(told[COLUMNS]):,}" if COLUMNS in told else ""
        what = "numbers of the table" if not told.get(COLUMNS, {}).get("categories") else "columns of the table"
        yield COLUMNS, what, ", ".join(config.columns), width


def _options(config: Config) -> Iterator[tuple[str, Any]]:
    """Yield the options that are not the defaults."""
    usual = Config().to_dict()
    given = config.to_dict()
    for part in fields(Config):
        if part.name in given and part.name not in _ELSEWHERE and given[part.name] != usual.get(part.name):
            value = given[part.name]
            yield part.name, ", ".join(map(str, value)) if isinstance(value, list) else value
