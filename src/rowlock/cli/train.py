"""``rowlock train``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from rowlock.cli.choices import Missing, OnError, Weighting
from rowlock.cli.commands import examples
from rowlock.cli.data_options import MISSING_HELP, DataOptions, takes_data
from rowlock.cli.train_listener import TerminalListener
from rowlock.errors import ConfigError
from rowlock.remote.permission import is_url

__all__ = ["train"]

_PLAIN = (
    *(
        "root",
        "remote",
        "verify",
        "task",
        "key",
        "rows",
        "missing",
        "group",
        "seed",
        "epochs",
        "batch_size",
        "learning_rate",
        "patience",
    ),
    *("class_weights", "sampling", "mixed_precision", "ablate", "on_error", "max_bad", "cache"),
)
_MODEL, _TRAINING, _RUN = "Model", "Training", "Run"


def _from_file(context: typer.Context, given: Path | None) -> Path | None:
    """Take what a run.toml says as the default of every option."""
    if given is None or context.resilient_parsing:
        return given
    try:
        content = tomllib.loads(given.read_text("utf-8"))
        options = dict(content["options"])
    except FileNotFoundError:
        raise ConfigError(f"there is no {given}, which --config names") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{given} is no run.toml: {error!r}") from error
    told: dict[str, Any] = {name: content[name] for name in ("table", "key_type") if name in content}
    told["types"] = [f"{column}={kind}" for column, kind in content.get("types", {}).items()]
    context.default_map = {**_as_typed(options), **told, "out": str(given.parent)}
    return given


def _as_typed(options: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration in the words of the command line."""
    pairs = {"image": "image", "features": "features", "join": "join", "branches": "branch"}
    found: dict[str, Any] = {
        word: [f"{name}={value}" for name, value in options.get(name_of, {}).items()] for name_of, word in pairs.items()
    }
    for name in ("size", "split", "columns", "freeze", "target"):
        value = options.get(name)
        if value:
            found[name] = value if isinstance(value, str) else ",".join(map(str, value))
    stratify = options.get("stratify", True)
    found |= {"stratify": stratify} if isinstance(stratify, str) else {"no_stratify": not stratify}
    found |= {"no_augment": not options.get("augment", True)}
    return found | {name: options[name] for name in _PLAIN if name in options}


@examples(
    "rowlock train animals.parquet --image imgpath --key object_id --target label",
    "rowlock train animals.parquet --image imgpath --features growth=growth.zarr --columns age,weight \\",
    "    --key object_id --target label --size 96 --epochs 30 --out merged --ablate",
    "rowlock train animals.parquet --image path --verify --key key --target label    # of `rowlock table --hash`",
    "rowlock train houses.parquet --image photo --columns rooms,area --key id --target price --out prices",
    "rowlock train animals.parquet --image imgpath --key object_id --target label \\",
    "    --branch image=efficientnetv2b0:efficientnetv2-b0_notop.h5 --freeze image",
    "rowlock train --config run/run.toml                # go on, or see what came out",
    "rowlock train --config run/run.toml --out again    # the same once more",
)
@takes_data
def train(
    data: DataOptions,
    out: Annotated[
        Path, typer.Option(help="Folder of the run; made where it is missing.", rich_help_panel=_RUN)
    ] = Path("run"),
    config: Annotated[
        Path | None,
        typer.Option(
            help="A run.toml, whose options hold where none are given here.",
            callback=_from_file,
            is_eager=True,
            rich_help_panel=_RUN,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Remove the run that is in the folder.", rich_help_panel=_RUN)
    ] = False,
    epochs: Annotated[int, typer.Option(help="At most so many epochs.", rich_help_panel=_TRAINING)] = 20,
    batch_size: Annotated[int, typer.Option(help="Rows a batch.", rich_help_panel=_TRAINING)] = 32,
    learning_rate: Annotated[float, typer.Option(help="Its highest value.", rich_help_panel=_TRAINING)] = 1e-3,
    patience: Annotated[
        int,
        typer.Option(
            help="Epochs without a better validation loss until training ends; 0: never.", rich_help_panel=_TRAINING
        ),
    ] = 5,
    split: Annotated[
        str,
        typer.Option(
            metavar="A,B,C",
            help="Shares of training, validation, test; the last two may be left out.",
            rich_help_panel=_TRAINING,
        ),
    ] = "0.8,0.1,0.1",
    stratify: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Column shared out evenly; default the target's classes.", rich_help_panel=_TRAINING
        ),
    ] = None,
    no_stratify: Annotated[
        bool, typer.Option("--no-stratify", help="Share out by chance alone.", rich_help_panel=_TRAINING)
    ] = False,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column whose equal values stay in one part: a patient, a house.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="At most so many rows, by chance: for a first try.", rich_help_panel=_TRAINING)
    ] = None,
    missing: Annotated[Missing, typer.Option(help=MISSING_HELP, rich_help_panel=_TRAINING)] = Missing.raise_,
    class_weights: Annotated[
        Weighting, typer.Option(help="balanced: classes count equally in the loss.", rich_help_panel=_TRAINING)
    ] = Weighting.none,
    sampling: Annotated[
        str,
        typer.Option(
            metavar="all|balanced", help="balanced: classes are drawn equally often.", rich_help_panel=_TRAINING
        ),
    ] = "all",
    no_augment: Annotated[
        bool, typer.Option("--no-augment", help="Train on the pictures as they are.", rich_help_panel=_TRAINING)
    ] = False,
    on_error: Annotated[
        OnError,
        typer.Option(
            help="What becomes of rows that cannot be read; mask: they do not count.", rich_help_panel=_TRAINING
        ),
    ] = OnError.raise_,
    max_bad: Annotated[float, typer.Option(help="Most of them, as a share.", rich_help_panel=_TRAINING)] = 0.01,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for decoded pictures (of validation, and with --no-augment of all).", rich_help_panel=_TRAINING
        ),
    ] = None,
    branch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INPUT=KIND",
            help="image=efficientnetv2b0[:weights.h5], or another of keras.applications; NAME=none passes numbers on.",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    freeze: Annotated[
        str | None, typer.Option(metavar="A,B", help="Inputs whose branch is not trained.", rich_help_panel=_MODEL)
    ] = None,
    mixed_precision: Annotated[
        bool, typer.Option("--mixed-precision", help="Compute in 16 bits.", rich_help_panel=_MODEL)
    ] = False,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="Train each branch alone as well, and compare.", rich_help_panel=_MODEL)
    ] = False,
) -> None:
    """Train a merged model on a table, measure it, and keep all of it in a folder.

    The same command again goes on after an interruption, exactly. Ctrl-C saves first.
    """
    from rowlock.training import Config
    from rowlock.training import train as run

    settings = Config(
        image=data.images,
        size=data.image_size,
        root=_absolute(data.image_root),
        remote=data.remote or (),
        verify=data.verify,
        features={name: _absolute(store) for name, store in data.stores.items()},
        join=data.joins,
        columns=data.column_names,
        target=data.target or "",
        task=data.task.value,
        key=data.key,
        rows=rows,
        missing=missing.value,
        split=_numbers(split),
        stratify=stratify if stratify is not None else not no_stratify,
        group=group,
        seed=data.seed,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        patience=patience,
        augment=not no_augment,
        branches=_branches(branch),
        freeze=[] if freeze is None else [part.strip() for part in freeze.split(",") if part.strip()],
        class_weights=class_weights.value,
        sampling=sampling,
        mixed_precision=mixed_precision,
        ablate=ablate,
        on_error="mask" if on_error is OnError.mask else "raise",
        max_bad=max_bad,
        cache=_absolute(cache),
    )
    source: dict[str, Any] = {"table": _absolute(data.table)}
    if data.key_type is not None:
        source["key_type"] = data.key_type.value
    if data.column_types:
        source["types"] = data.column_types
    listener = TerminalListener()
    try:
        with listener:
            run(data.frame, settings, out, overwrite=overwrite, listener=listener, source=source)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or "stopped; the same command goes on") from None
    del config


def _absolute(path: Any) -> Any:
    return None if path is None else str(path) if is_url(str(path).encode()) else str(Path(path).absolute())


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"--split has numbers, such as 0.8,0.1,0.1, not {text!r}") from None


def _branches(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given or []:
        name, separator, kind = text.partition("=")
        if not separator or not name or not kind:
            raise ConfigError(f"--branch says INPUT=KIND, such as image=efficientnetv2b0, not {text!r}")
        model, colon, weights = kind.partition(":")
        found[name] = f"{model}:{Path(weights).absolute()}" if colon else kind
    return found
