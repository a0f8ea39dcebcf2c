"""What a picture's file says of itself: height and width in its header, and a hash of its bytes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from rowlock.errors import RowError
from rowlock.pictures.digests import digest_of_bytes
from rowlock.pictures.files import read_file
from rowlock.pictures.limits import MAX_PIXELS, max_file_bytes
from rowlock.pictures.sizes import picture_size_of
from rowlock.processors import num_processors
from rowlock.store.progress import reporting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rowlock.store.progress import Progress

__all__ = ["FileFacts", "facts_of"]

_ALGORITHM = "blake2b-128"


class FileFacts(NamedTuple):
    """Of one file; `fault` says why there is nothing else."""

    height: int | None = None
    width: int | None = None
    digest: str | None = None
    fault: str = ""


def facts_of(
    base: bytes, paths: Sequence[bytes], *, sizes: bool, hashes: bool, progress: Progress = None
) -> list[FileFacts]:
    """Read every file once, on all processors.

    Parameters
    ----------
    base : bytes
        Folder that the paths start from.
    sizes, hashes : bool
        What is wanted.
    """
    found = []
    with (
        reporting(progress, "reading pictures", len(paths)) as report,
        ThreadPoolExecutor(num_processors()) as pool,
    ):
        try:
            for facts in pool.map(lambda path: _facts(os.path.join(base, path), sizes, hashes), paths):  # noqa: PTH118 - bytes
                found.append(facts)
                report(len(found))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _facts(path: bytes, sizes: bool, hashes: bool) -> FileFacts:
    try:
        data = read_file(path, max_file_bytes(MAX_PIXELS))
        height, width = picture_size_of(data) if sizes else (None, None)
    except RowError as error:
        return FileFacts(fault=error.reason)
    return FileFacts(height, width, digest_of_bytes(data, _ALGORITHM) if hashes else None)
