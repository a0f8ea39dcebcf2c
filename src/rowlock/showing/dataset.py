"""A dataset: its inputs, where they come from, and what a row takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.filesize import decimal

from rowlock.showing.tables import html_table, titled

if TYPE_CHECKING:
    from rowlock.dataset import Dataset

__all__ = ["dataset_html"]


def dataset_html(dataset: Dataset) -> str:
    """Return one line an input, target and weight."""
    opened = dataset._opened  # noqa: SLF001 - how it was written down is no business of users
    rows = [
        (slot.label, slot.role, " x ".join(map(str, slot.reader.spec.shape)) or "one number",
         slot.reader.spec.dtype, decimal(slot.reader.spec.row_bytes), what)
        for slot, (_, _, what) in zip(opened.slots, opened.roles, strict=True)
    ]  # fmt: skip
    key = f", key {opened.table.key!r}" if opened.table.key else ""
    total = decimal(sum(slot.reader.spec.row_bytes for slot in opened.slots))
    dropped = sum(len(keys) for keys in dataset.dropped.values())
    left_out = f"; {dropped:,} rows of the table left out, whose keys a store lacks" if dropped else ""
    title = f"Dataset: {len(dataset):,} rows{key}, {total} a row{left_out}"
    return titled(title, html_table(("name", "role", "shape of a row", "dtype", "bytes", "from"), rows))
