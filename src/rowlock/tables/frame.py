"""The columns of a frame in memory, whatever library it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw
import numpy as np

from rowlock.errors import ConfigError
from rowlock.sources.arrow import stored_index, unnamed_index
from rowlock.tables.readable import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rowlock.arrays import AnyArray

__all__ = ["FrameColumns"]


class FrameColumns:
    """A pandas, polars or Arrow frame, held as it was when it was given.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table, ...
        Anything that narwhals takes as an eager frame.

    Attributes
    ----------
    names : list of str
    num_rows : int
    what : str
        What it is called in messages.

    Raises
    ------
    ConfigError
        Not a frame, or two columns of one name.
    """

    what = "the frame"

    def __init__(self, frame: Any) -> None:
        try:
            wrapped = nw.from_native(frame, eager_only=True)
        except TypeError as error:
            raise ConfigError(
                "the table must be a pandas, polars or Arrow frame, or the path of a Parquet, Arrow or CSV file, not"
                f" {type(frame).__name__}"
            ) from error
        except nw.exceptions.DuplicateError as error:
            raise ConfigError(f"the table has two columns of one name: {error}. Rename one.") from error
        self._frame: nw.DataFrame[Any] = _snapshot(wrapped)
        hidden = unnamed_index(getattr(self._frame.to_native(), "schema", None))
        self.names = [name for name in self._frame.columns if name not in hidden]
        self.num_rows = len(self._frame)

    def series(self, name: str) -> nw.Series[Any]:
        """Return a column."""
        return self._frame[name]

    def distinct(self, name: str) -> nw.Series[Any]:
        """Return the different values of a column, in any order."""
        return readable(self.series(name)).unique()

    def kept(self, names: Sequence[str], what: tuple[str, ...], source: Any, make: Callable[[], AnyArray]) -> AnyArray:  # noqa: ARG002 - nothing is kept
        """Return what `make` does: beside a frame nothing is kept."""
        return make()

    @property
    def backend(self) -> Any:
        """The library that the frame is of."""
        return nw.get_native_namespace(self._frame)

    @property
    def index(self) -> Any:
        """The frame's own index object, or None where frames of this kind have none."""
        return nw.maybe_get_index(self._frame)

    def index_values(self) -> AnyArray | None:
        """Return the values of the frame's index, or of what pandas stored as one in an Arrow table, or None."""
        if self.index is not None:
            return np.asarray(self.index)
        stored = self._stored_index()
        if stored is None:
            return None
        series = self.series(stored)
        return series.to_numpy() if series.dtype.is_integer() else series.head(1).to_numpy()  # refused by its type

    def _stored_index(self) -> str | None:
        stored = stored_index(getattr(self._frame.to_native(), "schema", None))
        name = stored[0] if len(stored) == 1 else None  # a range is not a column: rows may have been taken since
        return name if isinstance(name, str) and name in self._frame.columns else None

    def take(self, rows: AnyArray | None) -> Any:
        """Return the chosen rows, or all, as a frame of the user's own kind."""
        return self._frame[np.arange(self.num_rows) if rows is None else rows].to_native()


def _snapshot(frame: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """Return what later changes to the frame do not reach; pandas copies a column only when it is changed."""
    native = frame.to_native()
    module, version = (
        nw.get_native_namespace(frame).__name__,
        getattr(nw.get_native_namespace(frame), "__version__", ""),
    )
    if module == "pandas" and int(version.split(".")[0]) >= 3:
        return nw.from_native(native.copy(deep=False), eager_only=True)
    return frame.clone()
