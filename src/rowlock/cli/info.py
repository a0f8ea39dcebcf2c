"""``rowlock info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import rowlock
from rowlock.cli.commands import examples
from rowlock.cli.terminal import console, show_lines

__all__ = ["info"]


@examples("rowlock info", "rowlock info --json", "rowlock info growth.zarr")
def info(
    store: Annotated[Path | None, typer.Argument(help="A feature store to describe.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Describe a store; without one, this installation and machine: versions, processor, codecs, what is bad."""
    if store is None:
        _installation(as_json=as_json)
        return
    from rowlock.store_report import store_lines

    with rowlock.FeatureStore.open(store) as opened:
        if as_json:
            typer.echo(json.dumps(_store_facts(opened), indent=2))
        else:
            show_lines(store_lines(opened))


def _installation(*, as_json: bool) -> None:
    from rowlock.machine import machine_facts, machine_lines

    facts = machine_facts(rowlock.__version__)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    show_lines(machine_lines(facts))
    for warning in facts["warnings"]:
        console.print(f"[yellow]warning[/]: {escape(warning)}")


def _store_facts(store: rowlock.FeatureStore) -> dict[str, Any]:
    return {
        "schema": "rowlock-store-info-1",
        "path": str(store.path),
        "uuid": store.uuid,
        "rows": store.num_rows,
        "columns": store.num_columns,
        "column_names": store.columns,
        "dtype": str(store.dtype),
        "layout": store.layout,
        "layout_reason": store.layout_reason,
        "key_kind": store.key_kind,
        "key_name": store.key_name,
        "matrix_bytes": store.matrix_bytes,
    }
