"""A bar for plain loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowlock.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.batch import Batch
    from rowlock.loader import Loader

__all__ = ["with_progress"]


def with_progress(loader: Loader, **options: Any) -> Iterator[Batch]:
    """Yield the batches of the loader's next epoch under a bar of rows; see `Loader.progress`."""
    try:
        from tqdm.auto import tqdm  # noqa: PLC0415 - only for a bar
    except ModuleNotFoundError as error:
        raise MissingDependencyError("a progress bar needs tqdm: pip install 'rowlock[progress]'") from error

    before, epoch = loader.stats(), iter(loader)
    settings = {"total": epoch.num_rows, "unit": " rows", "unit_scale": True, "dynamic_ncols": True, **options}
    with tqdm(**settings) as bar:
        for batch in epoch:
            bar.set_description(settings.get("desc", f"epoch {batch.epoch}"), refresh=False)
            yield batch
            bar.set_postfix_str(f"waited {(loader.stats() - before).wait_share:.0%}", refresh=False)
            bar.update(len(batch))
