"""Whether a table has the digests that its pictures are to be compared with: asked before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rowlock.errors import ConfigError
from rowlock.inputs.image_arguments import digests_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

__all__ = ["HOW_TO_HASH", "require_digests"]

HOW_TO_HASH: Final = (
    "rowlock table FOLDER OUT --hash makes a table with path and path_hash, with --csv TABLE beside your own columns;"
    " in Python, rl.hash_pictures makes the column"
)


def require_digests(table: pa.Table, columns: Mapping[str, str]) -> None:
    """Refuse a table that lacks a column of digests.

    Parameters
    ----------
    table : pyarrow.Table
    columns : dict of str to str
        Columns of paths, by the input's name. One that is not there itself is for others to tell.

    Raises
    ------
    ConfigError
        Names every such column, and says how it is made; or there are no pictures.
    """
    if not columns:
        raise ConfigError("--verify compares pictures with their digests, and no pictures are named: say --image COL")
    names = table.column_names
    lacking = [column for column in columns.values() if column in names and digests_of(column) not in names]
    if lacking:
        told = ", ".join(f"{digests_of(column)!r}" for column in lacking)
        raise ConfigError(
            f"the table has no column {told}, the digests that --verify compares pictures of"
            f" {', '.join(map(repr, lacking))} with. {HOW_TO_HASH}. Nothing was read."
        )
