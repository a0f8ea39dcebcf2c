"""Measurements as text: bars to compare, and where the time went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rowlock.benching.report import Bench

__all__ = ["renderable"]

_STAGES = (("read", "#0072b2"), ("decode", "#d55e00"), ("transform", "#cc79a7"), ("gather", "#009e73"))
_BAR = 32
_LITTLE = 0.01  # of the time: not worth a line


def renderable(found: Bench, width: int, *, ascii_only: bool = False, letters: bool = False) -> Group:
    """Return what rich prints; with `letters`, stages are told apart by their initials and not by colour."""
    block = "#" if ascii_only else "\N{FULL BLOCK}"
    bar = max(8, min(_BAR, width - 48))
    parts: list[Any] = [
        Text(f"rows/s, {found.num_rows:,} row{'s' * (found.num_rows != 1)} in batches of {found.batch_size:,}", "bold")
    ]
    parts += [_rates(found, bar, block), Text()]
    if found.stages:
        parts += [
            Text("where the threads' time went, warm", "bold"),
            _stages(found, bar, None if letters or ascii_only else block),
            Text(),
        ]
    parts.append(Text(f"batches took {decimal(found.memory_bytes)} of memory at most"))
    parts += [Text(found.advice, "italic"), *(Text(note, "dim") for note in found.notes)]
    return Group(*parts)


def _rates(found: Bench, bar: int, block: str) -> Table:
    rows = [
        (f"{run.name}, {run.num_threads} thread{'s' * (run.num_threads != 1)}", run.rows_per_second, "")
        for run in sorted(found.runs, key=lambda run: (_ORDER.index(run.name), run.num_threads))
    ]
    warm = found.run("warm")
    for other in found.references:
        rate = other.rows_per_second
        ratio = f"{warm.rows_per_second / rate:.1f}x slower than warm" if warm and rate else other.note
        rows.append((other.name, rate or 0.0, ratio))
    most = max((rate for _, rate, _ in rows), default=1.0) or 1.0
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, rate, note in rows:
        table.add_row(name, f"{rate:,.0f}" if rate else "-", Text(block * round(bar * rate / most), "cyan"), note)
    return table


_ORDER = ("cold", "warm", "cached")


def _stages(found: Bench, bar: int, block: str | None) -> Table:
    total = max((sum(stages.values()) for stages in found.stages.values()), default=0.0) or 1.0
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, stages in found.stages.items():
        if sum(stages.values()) < _LITTLE * total:
            continue
        line = Text()
        for stage, colour in _STAGES:
            line.append((block or stage[0]) * round(bar * stages.get(stage, 0.0) / total), colour)
        spent = sum(stages.values()) or 1.0
        words = ", ".join(
            f"{stage} {stages[stage] / spent:.0%}" for stage, _ in _STAGES if stages.get(stage, 0) > 0.005
        )
        table.add_row(name or "target", line, f"{sum(stages.values()):.1f} s: {words}")
    return table
