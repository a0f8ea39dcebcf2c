"""Keys and index runs of a commit: mapped, or in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rowlock.keys import Keys
from rowlock.store.commit.addresses import shown_path
from rowlock.store.commit.format import chunk_name
from rowlock.store.disk.mapped import map_file
from rowlock.store.index.key_index import SortedRun
from rowlock.text_array import TextArray

if TYPE_CHECKING:
    from pathlib import Path

    from rowlock.keys import KeyKind
    from rowlock.store.commit.format import Run
    from rowlock.store.disk.ways import GetFile

__all__ = ["map_keys", "map_run"]


def map_keys(path: Path, kind: KeyKind, num_rows: int, key_bytes: int, get: GetFile = map_file) -> Keys:
    """Return the first keys of the store at `path`."""
    source = str(shown_path(path))
    if kind == "int":
        numbers = get(path / "keys" / chunk_name(0), 8 * num_rows, random=False)
        return Keys(numbers.view("<i8"))
    data = get(path / "key_bytes" / chunk_name(0), key_bytes, random=False)
    offsets = get(path / "key_offsets" / chunk_name(0), 8 * (num_rows + 1), random=False)
    return Keys(TextArray(data, offsets.view("<i8"), source))


def map_run(path: Path, run: Run, get: GetFile = map_file) -> SortedRun:
    """Return a run of the key index of the store at `path`."""
    file = path / "key_index" / run.name / chunk_name(0, 0)
    words = get(file, 16 * run.num_keys, random=False).view("<u8")
    return SortedRun(words[: run.num_keys], words[run.num_keys :], int(run.digest, 16), run.name)
