"""A folder that is private to one user, and shared by all of the user's processes: what a cache lies in."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from rowlock.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_own_file", "make_folder", "open_file", "require_private"]

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK if os.name == "posix" else 0
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# A cache of Rowlock. It may be deleted at any time.\n"
_TAG_NAME = "CACHEDIR.TAG"


def make_folder(path: Path) -> None:
    """Make the folder, for this user alone, or accept it as it is.

    Raises
    ------
    ConfigError
        It is a link, no folder, somebody else's, or everybody may write into it: who can write there decides what
        a model is trained on.
    OSError
        It can be neither made nor looked at.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        require_private(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        make_folder(path)
    else:
        _write_tag(path / _TAG_NAME)


def open_file(path: Path, *, new: bool = False) -> int:
    """Open a file of the cache for reading, or make a new one, and return its descriptor; no link is followed.

    Raises
    ------
    OSError
        It cannot be opened, or is not a plain file of this user.
    """
    descriptor = os.open(path, _FLAGS | (os.O_RDWR | os.O_CREAT | os.O_EXCL if new else os.O_RDONLY), 0o600)
    if not is_own_file(os.fstat(descriptor)):
        os.close(descriptor)
        raise PermissionError(f"{path} is not a file of this user")
    return descriptor


def is_own_file(status: os.stat_result) -> bool:
    """Return whether it is a plain file of this user."""
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def require_private(path: Path) -> None:
    """Refuse a folder that others can write into.

    Raises
    ------
    ConfigError
        As `make_folder`.
    OSError
        It is not there, or cannot be looked at.
    """
    status = path.lstat()
    why = ""
    if stat.S_ISLNK(status.st_mode):
        why = f"is a link; name the folder that it leads to ({os.path.realpath(path)!r}) if that is meant"
    elif not stat.S_ISDIR(status.st_mode):
        why = "is not a folder"
    elif status.st_uid != os.geteuid():
        why = f"belongs to user {status.st_uid}, and this is user {os.geteuid()}: name a folder of your own"
    elif status.st_mode & stat.S_IWOTH:
        why = f"can be written by everybody: chmod 700 {str(path)!r}, or name one inside of it, which will be made"
    if why:
        raise ConfigError(
            f"cache={str(path)!r} {why}. Who can write into a cache decides what a model sees."
            " Nothing was read or written."
        )


def _write_tag(path: Path) -> None:
    """Tell backups that they may pass it over."""
    try:
        descriptor = open_file(path, new=True)
    except OSError:
        return
    try:
        os.write(descriptor, _TAG)
    except OSError:
        pass
    finally:
        os.close(descriptor)
