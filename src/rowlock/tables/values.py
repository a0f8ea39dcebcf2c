"""Values beside the keys of their rows, as a frame of the library that the table came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import narwhals as nw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rowlock.arrays import AnyArray, BoolArray

__all__ = ["frame_of"]


def frame_of(backend: Any, keys: tuple[str, Any], columns: Mapping[str, AnyArray], known: BoolArray | None) -> Any:
    """Return a native frame of `backend`: the keys under their name, then the columns.

    Parameters
    ----------
    backend : module
        pandas, polars, pyarrow, ...
    keys : (str, list or array)
    columns : dict of str to array, shape (n,)
    known : bool, shape (n,), optional
        Where the columns have a value; elsewhere null, or NaN in pandas.
    """
    name, values = keys
    first = nw.new_series(name, values, backend=backend)
    frame = nw.from_dict({name: first, **columns}, backend=backend)
    if known is not None and not known.all():
        mask = nw.new_series("known", known, nw.Boolean, backend=backend)
        frame = frame.with_columns(**{column: nw.when(mask).then(nw.col(column)) for column in columns})
    return frame.to_native()
