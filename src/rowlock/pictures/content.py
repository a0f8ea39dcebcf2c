"""What a place that holds pictures says about them, and to whom: the words between places, decoding and the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from contextlib import AbstractContextManager

    from rowlock.pictures.paths import PathColumn

__all__ = ["Content", "Kept", "PictureSource", "Version", "digest_in", "key_of", "name_of"]

_NUL = b"\0"


class Version(NamedTuple):
    """The state of a picture's file, as its place tells it."""

    facts: bytes
    """Others wherever the content may be another."""
    changed_ns: int = 0
    """When the file last changed, where that matters: a change within the same tick of a clock would not show."""


class Content(NamedTuple):
    """The bytes of a file."""

    data: bytes | memoryview
    version: Version | None = None
    """Of these very bytes, where the place says it with them; None: ask the place again."""


class Kept(Protocol):
    """Who may have a picture already, so that its file is not needed: the cache of pixels."""

    def will_need(self, pictures: Iterable[tuple[bytes, Version | None]], /) -> list[bytes]:
        """Make ready what is kept of these (key, version), and return the keys of which nothing is."""


class PictureSource(Protocol):
    """A place that holds pictures: the local disk, or servers.

    Names are absolute: what `locate` returns. Keys are names, and what else tells pictures apart; see `key_of`.
    """

    def check_text(self, paths: PathColumn, name: str) -> None:
        """Refuse paths that lead where they must not, by their text alone, with a `ConfigError`."""

    def locate(self, path: bytes) -> bytes:
        """Return the absolute name of what the table calls `path`."""

    def version(self, name: bytes) -> Version | None:
        """Return the state of the file now; None: the place does not tell, and nothing may be kept of it."""

    def versions(self, names: Sequence[bytes]) -> list[Version | None]:
        """Return the state of each file now; None also where asking fails, which reading it will tell."""

    def read(self, name: bytes) -> Content:
        """Return the file's bytes.

        Raises
        ------
        RowError
            Something is wrong with this file.
        OSError
            The disk or the network failed, again and again.
        """

    def read_each(self, names: Sequence[bytes]) -> Generator[Content, None, None]:
        """Yield the bytes of each file, in order; each are valid until the next are asked for.

        Several may be read at a time. Raises as `read`, when it is the turn of the file. Close it: errors that are kept
        keep whatever they left half-way, and its memory.
        """

    def will_need(self, keys: Iterable[bytes], kept: Kept | None) -> None:
        """Take note that these will be read soon, except those that `kept` has."""

    def reading(self, keys: Iterable[bytes], kept: Kept | None, *, keep_on_error: bool) -> AbstractContextManager[None]:
        """Return a context in which these are read now, each perhaps more than once.

        `keep_on_error`: if the block fails, whoever asked will come again at once, for a part of them.
        """

    def close(self) -> None:
        """Let go of connections and threads."""


def key_of(name: bytes, digest: str = "") -> bytes:
    """Return what tells a picture from others: its name, and the digest that its bytes must have."""
    return name + _NUL + digest.encode() if digest else name


def name_of(key: bytes) -> bytes:
    """Return the name within a key. No name has a NUL: `PathColumn` refuses those."""
    return key.partition(_NUL)[0]


def digest_in(key: bytes) -> str:
    """Return the digest that the bytes must have, or nothing."""
    return key.partition(_NUL)[2].decode()
