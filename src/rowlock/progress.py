"""A bar for plain loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from rowlock.errors import MissingDependencyError

if TYPE_CHECKING:
    from rowlock.batch import Batch
    from rowlock.loader import Loader

__all__ = ["Progress"]


class Progress:
    """The loader's next epoch under a bar of rows; see `Loader.progress`. An error does not end it.

    Raises
    ------
    MissingDependencyError
        tqdm is not installed.
    """

    def __init__(self, loader: Loader, **options: Any) -> None:
        try:
            from tqdm.auto import tqdm  # noqa: PLC0415 - only for a bar
        except ModuleNotFoundError as error:
            raise MissingDependencyError("a progress bar needs tqdm: pip install 'rowlock[progress]'") from error

        self._loader, self._before = loader, loader.stats()
        self._epoch = iter(loader)
        defaults = {"total": self._epoch.num_rows, "unit": " rows", "unit_scale": True, "dynamic_ncols": True}
        self._is_named = "desc" in options
        self._bar: Any = tqdm(**{**defaults, **options})

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        try:
            batch = next(self._epoch)
        except StopIteration:
            self._show(self._epoch.num_rows)
            self._bar.close()
            raise
        plan = self._loader.plan  # a batch counts when the next is asked for
        self._show(plan.num_rows_between(self._epoch.steps.start, batch.step))
        if not self._is_named:
            self._bar.set_description(f"epoch {batch.epoch}", refresh=False)
        return batch

    def _show(self, num_rows: int) -> None:
        waited = (self._loader.stats() - self._before).wait_share
        self._bar.set_postfix_str(f"waited {waited:.0%}", refresh=False)
        self._bar.update(num_rows - self._bar.n)
