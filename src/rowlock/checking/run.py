"""All checks, one after the other; Ctrl-C keeps what was found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from rowlock.checking import (
    categories,
    duplicates,
    keys,
    labels,
    odd_pictures,
    opening,
    pictures,
    splits,
    store_columns,
    stores,
    table_columns,
)
from rowlock.checking.report import SEVERITIES, Finding, Report
from rowlock.checking.subject import OpenedInput, Part, Settings, Subject
from rowlock.errors import ConfigError
from rowlock.inputs import Images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rowlock.checking.report import Estimate
    from rowlock.dataset import Dataset
    from rowlock.store.progress import Progress

__all__ = ["CHECKS", "check_datasets", "check_parts", "part_of"]

CHECKS: Final[dict[str, Callable[[Subject], Iterator[Finding]]]] = {
    "keys": keys.bad_keys,
    "table columns": table_columns.table_columns,
    "categories": categories.rare_categories,
    "categories of the parts": categories.unseen_categories,
    "labels": labels.label_balance,
    "labels of the parts": labels.labels_of_parts,
    "repeated keys": keys.repeated_keys,
    "rows in several parts": splits.shared_rows,
    "stores without keys": stores.joined_by_position,
    "rows left out": opening.left_out,
    "rows of stores that are not used": keys.unused_rows,
    "store columns": store_columns.store_columns,
    "stores": stores.damaged,
    "sources of other formats": stores.dear_sources,
    "paths": pictures.no_path,
    "digests": pictures.no_digest,
    "unreadable pictures": pictures.unreadable,
    "changed pictures": pictures.changed,
    "pictures named twice": duplicates.repeats,
    "copies of pictures": duplicates.copies,
    "contradicting labels": duplicates.contradictions,
    "pictures in several parts": splits.shared_pictures,
    "sizes of pictures": odd_pictures.odd_sizes,
    "names of pictures": odd_pictures.wrong_names,
}
"""In this order: what is cheap first, so that Ctrl-C while pictures are read loses little."""

_NEED_PICTURES = {
    pictures.unreadable,
    pictures.changed,
    duplicates.copies,
    duplicates.contradictions,
    splits.shared_pictures,
    odd_pictures.odd_sizes,
    odd_pictures.wrong_names,
}


def check_datasets(
    datasets: Sequence[Dataset],
    *,
    names: Sequence[str] | None = None,
    sample: int | None = None,
    full: bool = False,
    speed_seconds: float = 3.0,
    seed: int = 0,
    progress: Progress = None,
) -> Report:
    """Check datasets that were made already; see `Dataset.check`."""
    from rowlock.dataset import Dataset  # noqa: PLC0415 - `Dataset.check` imports this module

    for other in datasets:
        if not isinstance(other, Dataset):
            raise ConfigError(f"check takes the other parts: train.check(valid, test); not {type(other).__name__}")
    named = names or (["data"] if len(datasets) == 1 else _usual_names(len(datasets)))
    parts = [part_of(name, data) for name, data in zip(named, datasets, strict=True)]
    settings = Settings(sample, full, speed_seconds, seed)
    return check_parts(Subject(parts, settings, datasets[0], progress))


def check_parts(subject: Subject) -> Report:
    """Run every check."""
    started, found, ran = time.perf_counter(), list[Finding](), list[str]()
    has_pictures = any(isinstance(one.what, Images) for part in subject.parts for one in part.inputs)
    is_complete, estimated = True, None
    try:
        for name, check in CHECKS.items():
            if check in _NEED_PICTURES and not has_pictures:
                continue
            found += check(subject)
            ran.append(name)
        if has_pictures and subject.scan.was_stopped:
            is_complete = False
        else:
            estimated = _estimate(subject)
    except KeyboardInterrupt:
        is_complete = False
    found += opening.not_opened(subject, found)
    found.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    files = subject.__dict__.get("files")  # not made where it never came to that
    scan = subject.__dict__.get("scan")
    return Report(
        parts={part.name: len(part.rows) for part in subject.parts},
        findings=tuple(found),
        num_pictures=0 if files is None else len(files),
        num_pictures_read=0 if scan is None else scan.num_read,
        estimate=estimated,
        is_complete=is_complete,
        seconds=time.perf_counter() - started,
        checks=tuple(ran),
    )


def part_of(name: str, data: Dataset) -> Part:
    """Return a dataset as a part to be checked."""
    opened = data._opened  # noqa: SLF001 - what its parts share is no business of users
    inputs = [
        OpenedInput(role, label, what, slot.reader)
        for (role, label, what), slot in zip(opened.roles, opened.slots, strict=True)
    ]
    return Part(name, opened.table, data._selection.all(), inputs)  # noqa: SLF001 - what its parts share is no business of users


def _estimate(subject: Subject) -> Estimate | None:
    from rowlock.checking.speed import estimate  # noqa: PLC0415 - starts an engine

    if subject.dataset is None or subject.settings.speed_seconds <= 0:
        return None
    return estimate(subject.dataset, subject.settings.speed_seconds)


def _usual_names(count: int) -> list[str]:
    usual = ["train", "valid", "test"]
    return usual[:count] if count <= len(usual) else [f"part {place}" for place in range(1, count + 1)]
