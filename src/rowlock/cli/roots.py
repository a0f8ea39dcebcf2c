"""Where relative paths of pictures start: what is said, what the table notes, or what the training took."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rowlock.errors import ConfigError
from rowlock.remote.permission import is_url

if TYPE_CHECKING:
    from rowlock.training.spec import Spec

__all__ = ["ROOT_ENTRY", "Root", "recorded_root", "require_root", "root_for"]

ROOT_ENTRY = b"rowlock.root"
"""Under this name, a table made by ``rowlock table`` says where its pictures are."""


class Root(NamedTuple):
    """A folder or the beginning of URLs, and what is to be said of it; None: that of the training."""

    place: str | None
    said: str = ""


def recorded_root(table: Any) -> Path | None:
    """Return the folder that the paths of a table made by ``rowlock table`` start from."""
    found = (table.schema.metadata or {}).get(ROOT_ENTRY)
    return None if found is None else Path(found.decode("utf-8", "surrogateescape"))


def require_root(given: str) -> str:
    """Return what ``--root`` says, or refuse a folder that is not there."""
    if not _is_there(given):
        raise ConfigError(f"--root {given}: there is no such folder")
    return given


def root_for(frame: Any, given: str | None, spec: Spec) -> Root:
    """Return where the pictures of a table are that a trained model is to see.

    What is said comes first, then the folder that the table notes, if it is there, then that of the training.
    """
    if given is not None:
        return Root(require_root(given))
    noted, trained = recorded_root(frame), [told["root"] for told in spec.inputs.values() if told["kind"] == "images"]
    if noted is None or not trained or str(noted) == trained[0]:
        return Root(None)
    before = "the working directory" if trained[0] is None else trained[0]
    if noted.is_dir():
        said = f"{noted}, as the table notes, and not in {before}, as in training"
        return Root(str(noted), f"pictures are looked for in {said}; --root says otherwise")
    said = f"{before}, as in training, because {noted}, which the table notes, is not there"
    return Root(None, f"pictures are looked for in {said}; --root says otherwise")


def _is_there(place: str) -> bool:
    return is_url(place.encode("utf-8", "surrogateescape")) or Path(place).is_dir()
