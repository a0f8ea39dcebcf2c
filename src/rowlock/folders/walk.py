"""The pictures below a folder, in one order whatever the file system says, and what was passed over."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rowlock.errors import SourceError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EXTENSIONS", "Found", "find_pictures"]

EXTENSIONS: Final = {
    b".jpg": "jpeg", b".jpeg": "jpeg", b".jpe": "jpeg", b".jfif": "jpeg", b".png": "png", b".webp": "webp",
    b".gif": "gif", b".bmp": "bmp", b".dib": "bmp", b".tif": "tiff", b".tiff": "tiff", b".avif": "avif",
    b".heic": "heic", b".heif": "heic",
}  # fmt: skip
"""What a file's name promises: one of `rowlock.pictures.kinds.KINDS`."""

_FEW = 3


@dataclass
class Found:
    """What lies below a folder.

    Attributes
    ----------
    paths : list of bytes
        Of the pictures, relative to the folder, sorted; bytes, since a file name need not be text.
    sizes : list of int
        Of their files, in bytes.
    """

    paths: list[bytes] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _first: dict[str, list[str]] = field(default_factory=dict)

    def ignore(self, path: bytes, why: str) -> None:
        """Note that something was passed over."""
        self._counts[why] += 1
        first = self._first.setdefault(why, [])
        if len(first) < _FEW:
            first.append(os.fsdecode(path))

    @property
    def ignored(self) -> list[tuple[str, int, list[str]]]:
        """(why, how many, the first few), most first."""
        return [(why, count, self._first[why]) for why, count in self._counts.most_common()]

    def without(self, gone: dict[int, str]) -> Found:
        """Return this without the pictures at the given places, which are ignored for the reasons given."""
        for place, why in gone.items():
            self.ignore(self.paths[place], why)
        kept = [place for place in range(len(self.paths)) if place not in gone]
        return Found([self.paths[i] for i in kept], [self.sizes[i] for i in kept], self._counts, self._first)


def find_pictures(folder: str | os.PathLike[str]) -> Found:
    """Return the files below `folder` that are called as pictures are; links are followed, each folder once.

    Raises
    ------
    SourceNotFoundError, SourceError
        There is no such folder, it is none, or it cannot be read.
    """
    base = os.fsencode(os.path.abspath(folder))  # noqa: PTH100 - paths are bytes here, which pathlib does not take
    found = Found()
    entries = sorted(_files(base, found), key=lambda entry: entry[0])
    found.paths, found.sizes = [path for path, _ in entries], [size for _, size in entries]
    return found


def _files(base: bytes, found: Found) -> Iterator[tuple[bytes, int]]:
    """Yield path and size of each picture, in any order."""
    waiting, seen = [b""], set()
    while waiting:
        inside = waiting.pop()
        place = os.path.join(base, inside)  # noqa: PTH118 - paths are bytes
        try:
            status = os.stat(place)  # noqa: PTH116 - paths are bytes
            if (status.st_dev, status.st_ino) in seen:
                found.ignore(inside, "a folder that a link leads to once more")
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                listed = list(entries)
        except OSError as error:
            if not inside:
                raise _not_readable(base, error) from error
            found.ignore(inside, f"a folder that cannot be read ({error.strerror})")
            continue
        for entry in listed:
            path = os.path.join(inside, entry.name)  # noqa: PTH118 - paths are bytes
            if entry.name.startswith(b"."):
                found.ignore(path, "hidden (its name starts with a dot)")
            elif _is_folder(entry):
                waiting.append(path)
            else:
                yield from _picture(entry, path, found)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


def _picture(entry: os.DirEntry[bytes], path: bytes, found: Found) -> Iterator[tuple[bytes, int]]:
    extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - paths are bytes
    if extension not in EXTENSIONS:
        kind = os.fsdecode(extension) if extension else "no extension"
        found.ignore(path, f"not called as a picture is ({kind})")
        return
    try:
        if not entry.is_file():
            found.ignore(path, "a link to nothing" if entry.is_symlink() else "no regular file")
            return
        size = entry.stat().st_size
    except OSError as error:
        found.ignore(path, f"cannot be looked at ({error.strerror})")
        return
    if size:
        yield path, size
    else:
        found.ignore(path, "empty (0 bytes)")


def _not_readable(base: bytes, error: OSError) -> SourceError:
    place = os.fsdecode(base)
    if isinstance(error, FileNotFoundError):
        return SourceNotFoundError(f"there is no folder {place}")
    if isinstance(error, NotADirectoryError):
        return SourceNotFoundError(f"{place} is not a folder; `rowlock table` makes a table of the pictures below one")
    return SourceError(f"{place} cannot be read: {error.strerror}")
