"""Digests of files: proof that their bytes are those that somebody saw before."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from rowlock.errors import ConfigError, RowError
from rowlock.list_columns import listed
from rowlock.pictures.path_lists import PathLists
from rowlock.pictures.paths import PathColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.arrays import Int64Array

__all__ = [
    "ALGORITHMS",
    "DIGEST_FORMS",
    "DigestColumn",
    "check_digest",
    "digest_like",
    "digest_of_bytes",
    "known_digests",
]

ALGORITHMS: dict[str, tuple[Callable[..., Any], int]] = {
    "blake2b-128": (functools.partial(hashlib.blake2b, digest_size=16), 32),
    "sha256": (functools.partial(hashlib.sha256, usedforsecurity=False), 64),
    "md5": (functools.partial(hashlib.md5, usedforsecurity=False), 32),
}
"""Name: what makes the digest, and its length in hexadecimal digits."""

DIGEST_FORMS = "blake2b-128:, sha256: or md5: and the hexadecimal digits"

_PATTERN = "^(?:" + "|".join(f"{name}:[0-9a-fA-F]{{{length}}}" for name, (_, length) in ALGORITHMS.items()) + ")$"


def digest_of_bytes(data: bytes | memoryview, algorithm: str) -> str:
    """Return ``"blake2b-128:<hexadecimal digits>"``, or of another of the `ALGORITHMS`."""
    make, _ = ALGORITHMS[algorithm]
    return f"{algorithm}:{make(data).hexdigest()}"


def digest_like(expected: str, data: bytes | memoryview) -> str:
    """Return the digest of bytes by the algorithm of another digest."""
    return digest_of_bytes(data, expected.partition(":")[0])


def known_digests(texts: Any) -> list[str | None]:
    """Return an Arrow array of texts as a list of digests in small letters; None where there is none that is known."""
    is_known = pc.fill_null(pc.match_substring_regex(texts, _PATTERN), fill_value=False)
    return [text.decode().lower() if known else None
            for text, known in zip(texts.to_pylist(), is_known.to_pylist(), strict=True)]  # fmt: skip


def check_digest(data: bytes | memoryview, expected: str) -> None:
    """Refuse bytes that have another digest.

    Raises
    ------
    RowError
        Names both.
    """
    found = digest_like(expected, data)
    if found != expected:
        raise RowError(
            f"its bytes are not those that were hashed: the digest should be {expected}, and that of these"
            f" {len(data):,} bytes is {found}. The file was changed or damaged since; bring it back, or hash it again"
            " (rl.hash_pictures) if the change was meant",
            stage="read",
        )


class DigestColumn:
    """The digest of each picture of each row.

    Parameters
    ----------
    series : narwhals.Series
        A column of text, or of lists of text where a row has several pictures.
    name : str
        Of the column, for messages.
    paths : PathColumn
        The pictures.
    most : int or None
        Pictures of a row that are served, where there are several.

    Raises
    ------
    ConfigError
        The column is not text (or lists of it), has rows without a digest, with something else, or with more or fewer
        of them than pictures.
    """

    def __init__(self, series: Any, name: str, paths: PathColumn, most: int | None) -> None:
        self._column = _Digests(series, name) if most is None else _DigestLists(series, name, most, "cut")
        wrong = np.flatnonzero(~np.asarray(pc.match_substring_regex(self._column.array, _PATTERN)))
        if len(wrong):
            first = self._column.take(wrong[:1])[0].decode(errors="replace")
            raise ConfigError(
                f"{listed(self._column.rows_of(wrong))} of column {name!r} hold no digest that is known: the first is"
                f" {first!r}. Write {DIGEST_FORMS}; rl.hash_pictures(paths) makes such a column."
            )
        if most is not None:
            others = np.flatnonzero(self._column.list_lengths != paths.list_lengths)
            if len(others):
                raise ConfigError(f"{listed(others)} of column {name!r} have more or fewer digests than pictures.")

    def digest(self) -> str:
        """Return a short text that other digests, or the same in another order, do not have."""
        return self._column.digest()

    def take(self, places: Int64Array) -> list[str]:
        """Return the digests of the pictures at `places` of the paths' array, int64 of shape (n,), in small letters."""
        return [digest.decode().lower() for digest in self._column.take(places)]


class _Digests(PathColumn):
    _what = "digests"
    _without = "have no digest"


class _DigestLists(PathLists):
    _what = "digests"
    _without = "have an entry without a digest"
