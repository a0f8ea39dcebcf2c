"""Feature stores: whether they are whole, and what sources of other formats cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rowlock.checking.report import Example, Finding
from rowlock.checking.subject import NUM_EXAMPLES
from rowlock.errors import RowlockError, StoreError
from rowlock.inputs import Features
from rowlock.inputs.features import FeatureReader
from rowlock.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rowlock.checking.subject import OpenedInput, Part, Subject

__all__ = ["Stored", "damaged", "dear_sources", "joined_by_position", "stores_of"]


class Stored(NamedTuple):
    """An input of features, and the store behind it if it is one."""

    part: Part
    opened: OpenedInput
    store: FeatureStore | None


def stores_of(subject: Subject) -> Iterator[Stored]:
    """Yield each input of features; its store also where the input could not be joined to the table."""
    for part, opened in subject.inputs_of(Features):
        yield Stored(part, opened, _store(opened.what))


def damaged(subject: Subject) -> Iterator[Finding]:
    """Find stores that are damaged: their metadata and sizes, or with `full` every row."""
    done = set()
    for stored in subject.stores:
        store = stored.store
        if store is None or store.path in done:
            continue
        done.add(store.path)
        if subject.settings.full:
            yield from _verified(store, stored.opened.label, subject)
        try:
            known = store.statistics
        except StoreError as error:
            yield Finding(
                "store",
                "warning",
                f"its statistics are damaged: {error}",
                1,
                stored.opened.label,
                "the rows are not affected; store.update_statistics() makes them anew",
            )
        else:
            if known is None:
                yield Finding(
                    "store",
                    "note",
                    "it has no statistics, so its columns were not checked",
                    1,
                    stored.opened.label,
                    "store.update_statistics() makes them",
                )


def joined_by_position(subject: Subject) -> Iterator[Finding]:
    """Find sources without keys beside a table that has some: another order of its rows would be another's features."""
    for stored in subject.stores:
        opened, key = stored.opened, stored.part.table.key
        reader = getattr(opened.reader, "raw", opened.reader)
        source = getattr(opened.what, "source", None)
        if key is None or not isinstance(reader, FeatureReader) or not isinstance(source, str | FeatureStore):
            continue
        if not reader.is_joined_by_key:
            where = source if isinstance(source, str) else source.path
            yield Finding(
                "joined-by-position",
                "warning",
                f"{where} has no keys: its rows are joined by position, not by {key!r}. In a table with its rows in"
                " another order, each would get another row's features",
                len(stored.part.rows),
                opened.label,
                f"pack it with its keys: rowlock pack SOURCE STORE --key {key}",
            )


def dear_sources(subject: Subject) -> Iterator[Finding]:
    """Find sources of other formats whose rows are dear to read in random order."""
    for stored in subject.stores:
        cost = None if stored.opened.reader is None else stored.opened.reader.access_cost
        if cost is not None:
            yield Finding(
                "source",
                "warning" if cost.is_large else "note",
                str(cost),
                1,
                stored.opened.label,
                f"packing would make shuffled reading up to {cost.amplification:,.0f} times cheaper"
                if cost.is_large
                else "",
            )


def _verified(store: FeatureStore, label: str, subject: Subject) -> Iterator[Finding]:
    faults = store.verify(subject.progress)
    if faults:
        rows = {row for start, stop, _ in faults for row in range(start, stop)}
        yield Finding(
            "store",
            "error",
            f"{len(rows):,} of {store.num_rows:,} rows are damaged",
            len(rows),
            label,
            "store.repair(source) writes them again from where they came from",
            tuple(
                Example(path=str(store.path), detail=f"rows {start} to {stop - 1}: {reason}")
                for start, stop, reason in faults[:NUM_EXAMPLES]
            ),
        )


def _store(features: object) -> FeatureStore | None:
    source = getattr(features, "source", None)
    if isinstance(source, FeatureStore):
        return source
    if not isinstance(source, str) or not Path(source).is_dir():
        return None
    try:
        return FeatureStore.open(source)
    except (RowlockError, OSError):  # another format; or a damaged one, and opening the input says how
        return None
