"""Which column of a table looks like the key that nobody named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.arrays import AnyArray

__all__ = ["likely_key"]

_LIKE_A_KEY = re.compile(r"(?:.*[ _.-])?(?:id|key|uid|uuid|guid)|.*[a-z](?:Id|ID)", re.DOTALL)
_FEW = 2  # rows in which anything is unique


def likely_key(features: Sequence[str], others: Sequence[str], block: AnyArray) -> str | None:
    """Return a column that is named like a key, or None.

    Parameters
    ----------
    features : sequence of str
        Names of the columns of `block`: a key is in them if its values are whole numbers, each of them once.
    others : sequence of str
        Columns that are not taken; of these only the name is known.
    block : shape (n, len(features))
        The first rows.
    """
    named = [place for place, name in enumerate(features) if _is_named_so(name)]
    found = next((features[place] for place in named if _is_unique(block[:, place])), None)
    return found if found is not None else next(filter(_is_named_so, others), None)


def _is_named_so(name: str) -> bool:
    return bool(_LIKE_A_KEY.fullmatch(name) or _LIKE_A_KEY.fullmatch(name.lower()))


def _is_unique(values: AnyArray) -> bool:
    whole = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((np.trunc(values) == values).all()))
    return whole and len(values) > _FEW and len(np.unique(values)) == len(values)
