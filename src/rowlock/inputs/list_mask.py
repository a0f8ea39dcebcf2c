"""Which places of a row's list are taken: the masks beside `Images` with ``num_images=`` and beside `Tokens`."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from rowlock.inputs.base import Draw, Reader, check_rows

if TYPE_CHECKING:
    from rowlock.arrays import AnyArray, ArraySpec, Int64Array

__all__ = ["MaskReader"]


class MaskReader(Reader):
    """1 in the first places of a row, as many as its list fills, and 0 in the others.

    Parameters
    ----------
    lengths : int64, shape (rows of the table,)
        Of the lists. Masks are made from them when they are asked for.
    spec : ArraySpec
        Of shape ``(places,)``; longer lists fill all of them.
    """

    def __init__(self, lengths: Int64Array, spec: ArraySpec) -> None:
        self._lengths = np.minimum(lengths, spec.shape[0])
        self.spec = spec

    @override
    def gather(self, rows: Int64Array, out: AnyArray, draw: Draw | None) -> None:
        check_rows(rows, len(self._lengths))
        np.less(np.arange(out.shape[1]), self._lengths[rows, None], out=out, casting="unsafe")

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the lengths."""
        digest = hashlib.blake2b(self._lengths.data, digest_size=8).hexdigest()
        return f"{digest}:{self.spec.shape[0]}:{self.spec.dtype}"
