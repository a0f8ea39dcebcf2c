"""Arrays of items of one size (rows, cells) without compression: item i is at a known byte of a known shard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from rowlock.store.disk.files import sync_folder
from rowlock.store.disk.mapped import map_file
from rowlock.store.disk.tail_shard import TailShard, remove_later_shards

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rowlock.arrays import AnyArray, UInt64Array

__all__ = ["ItemShards", "ItemWriter"]


class ItemShards:
    """The mapped shards of one array in one commit.

    Parameters
    ----------
    path_of : callable
        Returns the path of a shard by its number.
    item_bytes, num_items, items_per_shard : int
    map_shard : callable or None
        Maps the first bytes of a shard, given its number and how many; by default of the file at its path.

    Attributes
    ----------
    bases : uint64, shape (num_shards,)
        Address of the first item of every shard; valid as long as this object lives.
    residency_is_told : bool
        Whether the system says which pages are in memory. Linux says it to those who may write the file, and
        tells others that all are.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        item_bytes: int,
        num_items: int,
        items_per_shard: int,
        map_shard: Callable[[int, int], AnyArray] | None = None,
    ) -> None:
        map_one = map_shard or (lambda shard, num_bytes: map_file(path_of(shard), num_bytes, random=True))
        starts = enumerate(range(0, num_items, items_per_shard))  # no list: the first file that is missing ends a lie
        self._maps = [map_one(shard, min(items_per_shard, num_items - first) * item_bytes) for shard, first in starts]
        self.bases: UInt64Array = np.array([shard.ctypes.data for shard in self._maps], np.uint64)
        self.residency_is_told = bool(self._maps) and os.access(path_of(0), os.W_OK)


class ItemWriter:
    """Adds items behind a commit. The last shard is written anew beside the committed one, and renamed.

    Parameters
    ----------
    folder : Path
        Of the array.
    path_of : callable
        Returns the path of a shard by its number.
    item_bytes : int
    num_items, items_per_shard : int
        What is there.
    most_items : int
        Items of a full shard, as long as there is a single one.
    """

    def __init__(
        self,
        folder: Path,
        path_of: Callable[[int], Path],
        item_bytes: int,
        *,
        num_items: int,
        items_per_shard: int,
        most_items: int,
    ) -> None:
        self._folder = folder
        self._item_bytes = item_bytes
        self._most_items = items_per_shard if num_items > items_per_shard else most_items
        self.num_items = num_items
        self._tail = TailShard(path_of)
        remove_later_shards(folder, -(-num_items // items_per_shard))

    @property
    def items_per_shard(self) -> int:
        """Items of a chunk as the next commit has them: all items while there is a single shard."""
        return min(self._most_items, max(1, self.num_items))

    def append(self, items: AnyArray) -> bool:
        """Add items, C-contiguous; return whether a shard was filled."""
        filled = False
        done = 0
        while done < len(items):
            shard, start = divmod(self.num_items, self._most_items)
            count = min(len(items) - done, self._most_items - start)
            self._tail.write(shard, start * self._item_bytes, items[done : done + count])
            self.num_items += count
            done += count
            if start + count == self._most_items:
                self._finish()
                filled = True
        return filled

    def sync(self) -> None:
        """Make all items durable under their final names."""
        if self._tail.is_open:
            self._finish()
        sync_folder(self._folder)

    def close(self) -> None:
        """Drop the shard that was not finished."""
        self._tail.drop()

    def _finish(self) -> None:
        self._tail.finish(self.items_per_shard * self._item_bytes)
