"""The shard file that is being written: beside its place, until it is whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rowlock.store.disk.files import PARTIAL, copy_start, write_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["TailShard", "remove_later_shards"]


class TailShard:
    """Writes one shard after the other; one is open at a time.

    Parameters
    ----------
    path_of : callable
        Returns the path of a shard by its number.
    """

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        self._path_of = path_of
        self._path: Path | None = None
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        """Whether something was written that has not its final name yet."""
        return self._descriptor >= 0

    def write(self, shard: int, offset: int, data: Any) -> None:
        """Write at `offset`; what lies before it in the committed shard is copied when the shard is opened."""
        if self._descriptor < 0:
            self._path = self._path_of(shard)
            self._descriptor = os.open(self._beside(self._path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            if offset:
                copy_start(self._path, self._descriptor, offset)
        write_all(self._descriptor, data, offset)

    def finish(self, num_bytes: int, footer: bytes = b"") -> None:
        """Give the shard its full length (a hole uses no disk) and a footer, sync it and put it in its place."""
        if self._path is None:
            return
        os.ftruncate(self._descriptor, num_bytes)
        write_all(self._descriptor, footer, num_bytes)
        os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        os.replace(self._beside(self._path), self._path)  # noqa: PTH105 - counted by the crash tests
        self._path = None

    def drop(self) -> None:
        """Forget the shard that was not finished."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._path is not None:
            self._beside(self._path).unlink(missing_ok=True)
            self._path = None

    @staticmethod
    def _beside(path: Path) -> Path:
        return path.with_name(f".{path.name}{PARTIAL}")


def remove_later_shards(folder: Path, num_shards: int) -> None:
    """Remove the shards that no commit knows: a killed writer's."""
    for shard in folder.glob("c.*"):
        if int(shard.name.split(".")[1]) >= num_shards:
            shard.unlink()
