"""What the names of files and folders say: classes, and keys that identify pictures."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING, Literal, TypeAlias

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LabelsFrom", "keys_of", "labels_of", "shown"]

LabelsFrom: TypeAlias = Literal["auto", "name", "folder", "none"]

_COUNTED = re.compile(r"[\s._-]*\(?\d+\)?$")  # the number in cat_001, dog-7, "house (3)"
_MOST_SHARE = 0.5  # more classes than this share of the pictures are no classes


def shown(name: bytes) -> str:
    """Return a file name as text that can always be printed and stored; bytes that are no UTF-8 are written out."""
    return name.decode("utf-8", "backslashreplace")


def labels_of(paths: Sequence[bytes], source: LabelsFrom) -> tuple[list[str] | None, str]:
    """Return the class of each picture and where it was found, in words.

    Parameters
    ----------
    paths : list of bytes
        Relative to the folder that was looked through.
    source : {"auto", "name", "folder", "none"}
        ``"name"``: what stands before the first dot or the number, ``cat`` of ``cat.0.jpg`` and ``cat_001.jpg``.
        ``"folder"``: the folder that the picture lies in. ``"auto"``: folders if every picture lies in one and there
        are several, but not one for each; else names if each class has two pictures or more on average; else none.

    Raises
    ------
    ConfigError
        Some picture has no class by the way that was asked for.
    """
    ways = {"folder": (_by_folder, "its folder", 1.0), "name": (_by_name, "the start of its name", _MOST_SHARE)}
    if source in ways:
        find, called, _ = ways[source]
        labels = [find(path) for path in paths]
        if "" in labels:
            raise ConfigError(
                f"{shown(paths[labels.index('')])!r} has no class by {called}; say --labels"
                f" {'name' if source == 'folder' else 'folder'}, or none"
            )
        return labels, called
    if source == "auto":
        for find, called, most_share in ways.values():
            labels = [find(path) for path in paths]
            counts = Counter(labels)
            if "" not in counts and 2 <= len(counts) <= max(2.0, most_share * (len(paths) - 1)):
                return labels, called
    return None, "nothing" if source == "none" else "nothing: neither folders nor names look like classes"


def keys_of(paths: Sequence[bytes]) -> list[str]:
    """Return a different text for each path: the path without its extension, where that is enough."""
    texts = [shown(path) for path in paths]
    bare = [os.path.splitext(text)[0] for text in texts]  # noqa: PTH122 - text, not a path
    counts = Counter(bare)
    keys = [short if counts[short] == 1 else text for short, text in zip(bare, texts, strict=True)]
    taken = Counter(keys)
    if len(taken) == len(keys):
        return keys
    return [key if taken[key] == 1 else f"{key}~{place}" for place, key in enumerate(keys)]


def _by_folder(path: bytes) -> str:
    return shown(os.path.basename(os.path.dirname(path)))  # noqa: PTH119, PTH120 - bytes


def _by_name(path: bytes) -> str:
    stem = os.path.splitext(shown(os.path.basename(path)))[0]  # noqa: PTH119, PTH122 - bytes
    head = stem.split(".", 1)[0]
    return head if head != stem and not head.isdecimal() else _COUNTED.sub("", stem)
