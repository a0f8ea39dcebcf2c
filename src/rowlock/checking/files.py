"""Which picture files the tables name: each different file once, and the rows that name it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rowlock.errors import ConfigError
from rowlock.folders.naming import shown
from rowlock.inputs import Images
from rowlock.pictures.digests import known_digests
from rowlock.pictures.limits import max_file_bytes
from rowlock.pictures.paths import as_binary, to_arrow
from rowlock.remote.source import source_of

if TYPE_CHECKING:
    from typing import Any

    from rowlock.arrays import BoolArray, Int64Array
    from rowlock.checking.subject import Part, Subject
    from rowlock.pictures.content import PictureSource

__all__ = ["Naming", "PictureFiles", "picture_files"]


class Naming(NamedTuple):
    """The rows of a part that name pictures by one input: row ``rows[i]`` of the table names file ``files[i]``."""

    part: Part
    input: str
    rows: Int64Array
    files: Int64Array
    without_path: Int64Array
    """Rows that name none."""
    digests: list[str | None] | None = None
    """What each of `files` should have, where that is to be compared; None: it has none that is known."""


@dataclass
class PictureFiles:
    """The different files, by number."""

    paths: list[bytes] = field(default_factory=list)
    """Absolute, or URLs."""
    images: list[Images] = field(default_factory=list)
    """How each is to be decoded."""
    sources: list[PictureSource] = field(default_factory=list)
    namings: list[Naming] = field(default_factory=list)

    @cached_property
    def digests(self) -> dict[int, tuple[str, ...]]:
        """The digests that a file should have: several, where rows say different ones."""
        found: dict[int, tuple[str, ...]] = {}
        for naming in self.namings:
            for file, digest in zip(naming.files.tolist(), naming.digests or (), strict=False):
                if digest is not None and digest not in found.get(file, ()):
                    found[file] = (*found.get(file, ()), digest)
        return found

    def __len__(self) -> int:
        return len(self.paths)

    def close(self) -> None:
        """Let go of servers."""
        for source in dict.fromkeys(self.sources):
            source.close()

    def shown(self, file: int) -> str:
        """Return a path as text that can always be printed."""
        return shown(self.paths[file])


def picture_files(subject: Subject) -> PictureFiles:
    """Return the files that the parts name, or those of a sample of rows."""
    found, numbers = PictureFiles(), dict[bytes, int]()
    share = _share(subject)
    rng = np.random.default_rng((subject.settings.seed, 0xC4EC))
    for part in subject.parts:
        count = max(1, round(share * len(part.rows)))
        rows = part.rows if share == 1 else np.sort(rng.choice(part.rows, count, replace=False))
        for opened in part.inputs:
            if isinstance(opened.what, Images):
                naming = _naming(part, opened.label, opened.what, rows, found, numbers)
                found.namings += [] if naming is None else [naming]
    return found


def _share(subject: Subject) -> float:
    total = sum(len(part.rows) for part in subject.parts)
    sample = subject.settings.sample
    return 1 if sample is None else min(1.0, sample / max(1, total))


def _naming(
    part: Part, name: str, images: Images, rows: Int64Array, found: PictureFiles, numbers: dict[bytes, int]
) -> Naming | None:
    try:
        series = part.table.column(images.column)
        array = to_arrow(series, images.column)
        source = source_of(images.root, images.remote, max_file_bytes(images.max_pixels))
        owners, texts = _flat(array.take(pa.array(rows)), rows, series, images)
    except ConfigError:  # it cannot be opened either, which says why
        return None
    lacks = np.asarray(pc.fill_null(pc.equal(pc.binary_length(texts), 0), fill_value=True))
    files = []
    for path in texts.filter(pa.array(~lacks)).to_pylist():
        full = source.locate(path)
        number = numbers.get(full)
        if number is None:
            number = numbers[full] = len(found.paths)
            found.paths.append(full)
            found.images.append(images)
            found.sources.append(source)
        files.append(number)
    digests = None if images.hashes is None else _digests(part, images, images.hashes, rows, ~lacks)
    return Naming(part, name, owners[~lacks], np.array(files, np.int64), owners[lacks], digests)


def _digests(part: Part, images: Images, column: str, rows: Int64Array, named: BoolArray) -> list[str | None] | None:
    """Return the digest of every picture that is `named`; None where the column cannot tell, as opening it says."""
    try:
        series = part.table.column(column)
        _, texts = _flat(to_arrow(series, column, "digests").take(pa.array(rows)), rows, series, images)
    except (ConfigError, pa.ArrowException):
        return None
    return known_digests(texts.filter(pa.array(named))) if len(texts) == len(named) else None


def _flat(array: Any, rows: Int64Array, series: Any, images: Images) -> tuple[Int64Array, Any]:
    """Return the row and the path of every picture."""
    if images.num_images is None:
        return rows, as_binary(array, series, images.column)
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        array = array.cast(pa.large_list(pa.large_string()))
    owners = rows[np.asarray(pc.list_parent_indices(array), np.int64)]
    return owners, as_binary(pc.list_flatten(array), series, images.column)
