"""A mask of a dataset's rows, checked: it must be this dataset's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rowlock.errors import AlignmentError, ConfigError

if TYPE_CHECKING:
    from rowlock.arrays import Int64Array

__all__ = ["rows_where"]


def rows_where(mask: Any, num_rows: int, own_index: Any) -> Int64Array:
    """Return the rows where `mask` is true.

    Parameters
    ----------
    mask : booleans, shape (num_rows,)
        An array, a list, or a Series.
    num_rows : int
        Of the dataset.
    own_index : pandas.Index or None
        The dataset's index, which a Series must carry too.

    Raises
    ------
    ConfigError
        Not booleans, not one a row, or none of them true.
    AlignmentError
        A Series with another index: it was made from other rows, or from these in another order.
    """
    try:
        chosen = np.asarray(mask)
    except ValueError:
        chosen = np.empty(0)  # a ragged list
    if chosen.dtype != np.bool_ or chosen.shape != (num_rows,):
        raise ConfigError(
            f"a mask is {num_rows} booleans, one a row of this dataset, not {chosen.dtype} of shape {chosen.shape}."
            " A part's mask is made from the part: part.frame['column'] > 3."
        )
    index = getattr(mask, "index", None)
    if own_index is not None and index is not None and not callable(index) and not own_index.equals(index):
        raise AlignmentError(
            "the mask's index is not this dataset's: it was made from another frame, or in another order."
            " Make it from the dataset's own rows: part.frame['column'] > 3."
        )
    if not chosen.any():
        raise ConfigError(f"the mask leaves none of the {num_rows} rows")
    return np.flatnonzero(chosen)
