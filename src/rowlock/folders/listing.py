"""A table beside the pictures (a CSV file, as often): its rows joined to them by file name."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from rowlock.arguments import nearest
from rowlock.errors import ConfigError
from rowlock.folders.naming import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rowlock.folders.walk import Found

__all__ = ["Joined", "join_listing"]


class Joined(NamedTuple):
    """Pictures that a listing names, and its rows in their order."""

    found: Found
    rows: Any
    """`pyarrow.Table`, without the column of file names where that is not the key."""
    column: str
    num_without_picture: int
    without_picture: list[str]
    """The first few file names of rows for which there is no picture."""


_WAYS: tuple[Callable[[str], str], ...] = (
    str,
    lambda path: os.path.splitext(path)[0],  # noqa: PTH122 - text
    os.path.basename,
    lambda path: os.path.splitext(os.path.basename(path))[0],  # noqa: PTH119, PTH122 - text
)
"""How a listing may write a picture's path: in full, without extension, or both without the folder."""


def join_listing(found: Found, listing: Any, column: str | None = None, *, key: str | None = None) -> Joined:
    """Return the pictures of `found` that `listing` names, and the rows that belong to them.

    Parameters
    ----------
    listing : pyarrow.Table
    column : str, optional
        Its column of file names; by default the one that names most of the pictures, of equal ones `path`.
    key : str, optional
        Its column of keys, which stays among the rows even if it names the pictures.

    Raises
    ------
    ConfigError
        No column names pictures, a picture is named twice, or a name fits several pictures.
    """
    texts = [shown(path) for path in found.paths]
    if key is not None and key not in listing.column_names:
        raise ConfigError(
            f"the listing has no column {key!r} to be the key; its columns are {listing.column_names}."
            f"{nearest(key, listing.column_names)}"
        )
    column, way = _column(listing, column, key, texts)
    named = [str(value) for value in listing.column(column).to_pylist()]
    _refuse_repeats(named, f"{column!r} names", "a picture has one row; leave the other rows out")
    places = {name: place for place, name in enumerate(named)}
    shortened = [_WAYS[way](text) for text in texts]
    known = [name if name in places else None for name in shortened]
    _refuse_repeats([name for name in known if name], "several pictures fit", f"write their paths into {column!r}")
    left = found.without(
        {place: f"not in column {column!r} of the listing" for place, name in enumerate(known) if name is None}
    )
    kept = listing if column == key else listing.drop_columns([column])
    rows = kept.take([places[name] for name in known if name is not None])
    lost = sorted(set(named) - set(shortened))
    return Joined(left, rows, column, len(lost), lost[:3])


def _column(listing: Any, column: str | None, key: str | None, texts: Sequence[str]) -> tuple[str, int]:
    """Return the column of file names and the number of the way in which it writes them."""
    if column is not None and column not in listing.column_names:
        raise ConfigError(f"the listing has no column {column!r}.{nearest(column, listing.column_names)}")
    best = (0, "", 0)
    likely = sorted(listing.column_names, key=lambda name: (name != "path", name == (key or "key")))
    for name in likely if column is None else [column]:
        values = {str(value) for value in listing.column(name).to_pylist()}
        for way, shorten in enumerate(_WAYS):
            count = sum(shorten(text) in values for text in texts)
            best = max(best, (count, name, way), key=lambda entry: entry[0])
    if not best[0]:
        raise ConfigError(
            f"no {'column' if column is None else f'value of column {column!r}'} of the listing"
            f" ({', '.join(listing.column_names[:8])}) names a picture, such as {texts[0]!r}"
        )
    return best[1], best[2]


def _refuse_repeats(names: Sequence[str], what: str, remedy: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{what} {twice[0]!r} more than once ({len(twice):,} such names): {remedy}")
