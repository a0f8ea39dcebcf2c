"""Progress of a long write or check: a bar, a function of the user, or nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress", "reporting"]

Progress: TypeAlias = "bool | Callable[[int, int | None], object] | None"
"""True shows a bar; a function gets (rows done, rows in all or None)."""


@contextmanager
def reporting(progress: Progress, label: str, num_rows: int | None) -> Iterator[Callable[[int], None]]:
    """Yield a function that takes the number of rows done."""
    if callable(progress):
        tell = progress

        def report(done: int) -> None:
            tell(done, num_rows)

        yield report
        return
    if not progress:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - only for a bar
    from rich.progress import Progress as Bar  # noqa: PLC0415 - only for a bar

    with Bar(TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn()) as bar:
        task = bar.add_task(label, total=num_rows)
        yield lambda done: bar.update(task, completed=done)
