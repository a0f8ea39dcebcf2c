"""The table itself: a row a picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rowlock.errors import ConfigError, SourceError
from rowlock.folders.facts import facts_of
from rowlock.folders.listing import join_listing
from rowlock.folders.naming import keys_of, labels_of
from rowlock.folders.walk import find_pictures

if TYPE_CHECKING:
    from rowlock.folders.listing import Joined
    from rowlock.folders.naming import LabelsFrom
    from rowlock.folders.walk import Found
    from rowlock.store.progress import Progress

__all__ = ["FolderTable", "table_from_folder"]


@dataclass(frozen=True)
class FolderTable:
    """A table made from a folder, and what there is to say of it.

    Attributes
    ----------
    rows : pyarrow.Table
        Columns ``key``, ``path``, and as asked for ``label``, ``height``, ``width``, ``num_bytes``, ``path_hash``,
        and those of the listing.
    folder : str
        Absolute; what relative paths start from.
    key : str
        Name of the column that identifies the rows.
    labels_from : str
        Where the classes were found, in words.
    ignored : list of (why, how many, first few)
        What was passed over.
    notes : list of str
        What else a reader should know.
    """

    rows: Any
    folder: str
    key: str
    labels_from: str
    ignored: list[tuple[str, int, list[str]]]
    notes: list[str]


def table_from_folder(
    folder: str | os.PathLike[str],
    *,
    labels: LabelsFrom = "auto",
    listing: Any = None,
    listing_column: str | None = None,
    key: str | None = None,
    absolute: bool = False,
    sizes: bool = False,
    hashes: bool = False,
    progress: Progress = None,
) -> FolderTable:
    """Return a table of the pictures below a folder, one a row, sorted by path: the same folder, the same table.

    Parameters
    ----------
    folder : path
    labels : {"auto", "name", "folder", "none"}
        Where classes are looked for; see `rowlock.folders.naming.labels_of`. With a listing, ``"auto"`` is none.
    listing : pyarrow.Table, optional
        Rows that belong to the pictures, joined by file name; pictures that it does not name are left out.
    listing_column : str, optional
        Its column of file names.
    key : str, optional
        A column of the listing that identifies the rows; by default ``key`` is made of the paths.
    absolute : bool
        Whether paths are absolute, or relative to the folder.
    sizes : bool
        Read each picture's header: ``height``, ``width`` (as a viewer shows it) and ``num_bytes``.
    hashes : bool
        Read each file: ``path_hash``, BLAKE2b of 128 bits.

    Raises
    ------
    SourceError
        There is no such folder, or no picture in it.
    ConfigError
        Classes or a listing that do not fit.
    """
    base = os.path.abspath(folder)  # noqa: PTH100 - of text that may hold surrogates for odd bytes
    found = find_pictures(base)
    _require_some(found, base)
    if listing is None and key is not None:
        raise ConfigError(f"--key {key!r} names a column of a listing; without --csv, keys are made of the paths")
    extra: Any = None
    notes: list[str] = []
    if listing is not None:
        joined = join_listing(found, listing, listing_column, key=key)
        found, extra, notes = joined.found, joined.rows, _notes(joined)
        _require_some(found, base)
    measured: dict[str, Any] = {}
    if sizes or hashes:
        found, kept, measured = _measured(found, os.fsencode(base), sizes, hashes, progress)
        extra = None if extra is None else extra.take(kept)
        _require_some(found, base)
    classes, labels_from = labels_of(found.paths, "none" if labels == "auto" and listing is not None else labels)
    if classes is None and listing is not None:
        labels_from = "the listing"
    own = {} if key is not None else {"key": keys_of(found.paths)}
    own |= {"path": _paths(found, base if absolute else None)} | ({} if classes is None else {"label": classes})
    rows = _assembled(own | measured, extra)
    return FolderTable(rows, base, key or "key", labels_from, found.ignored, notes)


def _notes(joined: Joined) -> list[str]:
    notes = [f"joined by the listing's column {joined.column!r}"]
    if joined.num_without_picture:
        first = ", ".join(map(repr, joined.without_picture))
        notes.append(f"{joined.num_without_picture:,} rows of the listing have no picture: {first}")
    return notes


def _measured(
    found: Found,
    base: bytes,
    sizes: bool,
    hashes: bool,
    progress: Progress,
) -> tuple[Found, list[int], dict[str, Any]]:
    """Return the pictures that can be read, their places, and columns of facts about them."""
    facts = facts_of(base, found.paths, sizes=sizes, hashes=hashes, progress=progress)
    gone = {place: f"cannot be read: {one.fault}" for place, one in enumerate(facts) if one.fault}
    kept = [place for place in range(len(facts)) if place not in gone]
    columns: dict[str, Any] = {}
    if sizes:
        columns |= {"height": [facts[i].height for i in kept], "width": [facts[i].width for i in kept]}
        columns["num_bytes"] = [found.sizes[i] for i in kept]
    if hashes:
        columns["path_hash"] = [facts[i].digest for i in kept]
    return found.without(gone), kept, columns


def _paths(found: Found, base: str | None) -> Any:
    """Return the paths as text, or as bytes where one is no UTF-8."""
    import pyarrow as pa  # noqa: PLC0415 - loaded when a table is made

    start = b"" if base is None else os.fsencode(base)
    paths = pa.array([os.path.join(start, path) for path in found.paths], pa.binary())  # noqa: PTH118 - bytes
    try:
        return paths.cast(pa.string())
    except pa.ArrowInvalid:
        return paths


def _assembled(own: dict[str, Any], extra: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415 - loaded when a table is made

    table = pa.table(own)
    if extra is None:
        return table
    twice = [name for name in extra.column_names if name in own]
    other = [name for name in twice if not _says_the_same(table.column(name), extra.column(name))]
    if other:
        raise ConfigError(
            f"the listing has columns that the table makes itself, with other values: {', '.join(other)}."
            f" {'; '.join(_REMEDIES.get(name, f'{name}: rename it in the listing') for name in other)}."
        )
    for name in extra.column_names:
        if name not in twice:
            table = table.append_column(name, extra.column(name))
    return table


_REMEDIES = {
    "key": "key: say --key key if the listing's is meant, or rename it there",
    "label": "label: say --labels none if the listing's is meant",
    "path": "path: say --csv-file path if it names the pictures, or rename it in the listing",
}


def _says_the_same(own: Any, given: Any) -> bool:
    return bool(own.to_pylist() == given.to_pylist())


def _require_some(found: Found, base: str) -> None:
    if not found.paths:
        why = "; ".join(f"{count:,} {reason}" for reason, count, _ in found.ignored[:5])
        raise SourceError(f"there is no picture below {base}" + (f" (passed over: {why})" if why else ""))
