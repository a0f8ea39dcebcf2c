"""Arrays that lie in folders inside of a file (HDF5) or of a folder (Zarr), by one set of names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rowlock.arguments import nearest
from rowlock.errors import ConfigError
from rowlock.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from rowlock.arrays import AnyArray
    from rowlock.sources.base import PieceSource

__all__ = ["Tree", "Vector", "the_matrix"]


@dataclass(frozen=True)
class Vector:
    """An array of one axis.

    Attributes
    ----------
    length : int
    dtype : numpy.dtype
    read : callable
        ``read(start, stop)`` gives that part of it.
    """

    length: int
    dtype: np.dtype[Any]
    read: Callable[[int, int], AnyArray]


class Tree(ABC):
    """Arrays and groups, addressed by paths such as ``obs/cell_id``.

    Attributes
    ----------
    address : str
    """

    address: str

    @abstractmethod
    def attributes(self, path: str) -> dict[str, Any]:
        """Return the attributes of an array or group; ``""`` is the root."""

    @abstractmethod
    def is_group(self, path: str) -> bool:
        """Whether there is a group at `path`."""

    @abstractmethod
    def is_array(self, path: str) -> bool:
        """Whether there is an array at `path`."""

    @abstractmethod
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the arrays of numbers in the whole tree, by path."""

    @abstractmethod
    def matrix(self, path: str, key: str | None = None) -> PieceSource:
        """Return an array of two axes; `key` is the path of an array that holds its keys."""

    @abstractmethod
    def vector(self, path: str) -> Vector:
        """Return an array of numbers with one axis."""

    @abstractmethod
    def labels(self, path: str) -> Any:
        """Return a whole array of one axis, of whole numbers or of text, as something that `Keys.of` takes."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files."""

    def require_array(self, path: str) -> str:
        """Return `path` if there is an array, or raise a `ConfigError` that suggests the nearest name."""
        if self.is_array(path):
            return path
        known = self.arrays()
        raise ConfigError(
            f"{self.address} has no array {path!r}.{nearest(path, known)} Its arrays of numbers: {list(known)[:8]!r}"
        )

    def keys(self, path: str, num_rows: int) -> Keys:
        """Return an array as the keys of that many rows."""
        keys = Keys.of(self.labels(self.require_array(path)), f"{self.address}::{path}")
        if len(keys) != num_rows:
            raise ConfigError(f"{self.address}::{path} has {len(keys):,} keys for {num_rows:,} rows")
        return keys


def the_matrix(tree: Tree) -> str:
    """Return the path of the only array with two axes, or raise a `ConfigError` that lists them."""
    found = [path for path, shape in tree.arrays().items() if len(shape) == 2]
    if len(found) == 1:
        return found[0]
    raise ConfigError(
        f"{tree.address} has {len(found)} arrays with two axes{': ' * bool(found)}{', '.join(found[:8])}. Name one:"
        f" {tree.address}::{(found or ['path'])[0]}, or dataset= (--dataset)."
    )
