"""Pictures on servers, and tables that name both servers and files."""

from __future__ import annotations

import contextlib
import copy
import os
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc

from rowlock.errors import ConfigError, RowError
from rowlock.list_columns import listed
from rowlock.meter import note_read, note_retry, stage
from rowlock.pictures.content import Content, name_of
from rowlock.pictures.roots import Root
from rowlock.remote.ahead import ReadAhead
from rowlock.remote.fetching import Fetcher
from rowlock.remote.permission import BUCKETS, SCHEMES, is_url
from rowlock.remote.settings import Remote
from rowlock.remote.versions import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from rowlock.arrays import BoolArray
    from rowlock.pictures.content import Kept, PictureSource, Version
    from rowlock.pictures.paths import PathColumn
    from rowlock.remote.wanted import Wanted

__all__ = ["RemoteSource", "open_source", "source_of"]

_CLOSE_SECONDS = 1.6
_KEEP_SECONDS = 600.0
_ANY_URL = r"^[A-Za-z][A-Za-z0-9+.\-]+://"


def open_source(
    paths: PathColumn, name: str, root: str | os.PathLike[str] | None, remote: Remote | None, max_bytes: int
) -> PictureSource:
    """Return where the pictures of a column are, all its paths checked by their text.

    Parameters
    ----------
    paths : PathColumn
    name : str
        Of the column.
    root : str or path, optional
        Folder, or beginning of URLs, that relative paths start from.
    remote : Remote, optional
        Which servers are allowed.
    max_bytes : int
        Larger files are errors of their rows.

    Raises
    ------
    ConfigError
        URLs that are not allowed, or paths that leave `root`; lists their rows.
    """
    are_urls = _are_urls(paths)
    is_local = root is None or not is_url(os.fsencode(root))
    if is_local and remote is None and are_urls.any():
        raise _not_asked_for(paths, name, are_urls)
    needs_servers = not is_local or are_urls.any()
    source = source_of(root, remote if needs_servers else None, max_bytes)
    source.check_text(paths, name)
    return source


def source_of(root: str | os.PathLike[str] | None, remote: Remote | None, max_bytes: int) -> Root | RemoteSource:
    """Return where pictures are, whatever their paths; arguments as of `open_source`."""
    base = os.fspath(root).rstrip("/") + "/" if root is not None and is_url(os.fsencode(root)) else None
    local = Root(None if base is not None else root, max_bytes)
    if base is not None:
        return RemoteSource(local, remote or Remote(base), base, max_bytes)
    return local if remote is None else RemoteSource(local, remote, None, max_bytes)


class RemoteSource:
    """Servers, and the local disk beside them.

    Parameters
    ----------
    local : Root
        Where paths lead that are no URLs, if there is no `base`.
    remote : Remote
    base : str or None
        Beginning of a URL that relative paths start from, with a slash at its end.
    max_bytes : int
        Larger files are errors of their rows.
    """

    def __init__(self, local: Root, remote: Remote, base: str | None, max_bytes: int) -> None:
        self._local = local
        self._remote = remote
        self._base = base
        self._max_bytes = max_bytes
        self._permission = remote.permission(*([] if base is None else [base]))
        self._schemes: set[str] = set()
        self._process = -1

    def check_text(self, paths: PathColumn, name: str) -> None:
        """Refuse URLs that are not allowed, and paths that leave the root; see `PictureSource`."""
        are_urls = _are_urls(paths)
        if self._base is None:
            self._local.check_text(paths, name, ~are_urls)
        else:
            _refuse(paths, name, ~are_urls & _leaves_base(paths), f"leave root={self._base!r}", "Correct the paths.")
        for rule in self._permission.rules:
            matches = np.asarray(pc.match_substring_regex(paths.array, rule.pattern))
            refused = are_urls & (matches == rule.refuses_match)
            _refuse(paths, name, refused, rule.why, rule.what_to_do)
        self._schemes = _schemes(paths, self._base)
        self._fetcher()  # a library that is not installed is missed now

    def locate(self, path: bytes) -> bytes:
        """Return a URL, or an absolute path; see `PictureSource`."""
        if is_url(path):
            return path
        if self._base is None:
            return self._local.locate(path)
        return os.fsencode(self._base) + (path if self._base.lower().startswith(BUCKETS) else quote(path).encode())

    def version(self, name: bytes) -> Version | None:
        """Return the state of a file; see `PictureSource`."""
        if not is_url(name):
            return self._local.version(name)
        if self._remote.immutable:
            return self._fetcher().version(_text(name))
        with stage("read"):
            wanted = self._taken(name)
        version = wanted.version
        if version is None and wanted.content is not None:
            version = wanted.content.version
        return None if version is UNKNOWN else version

    def read(self, name: bytes) -> Content:
        """Return the content of a file; see `PictureSource`."""
        if not is_url(name):
            return self._local.read(name)
        found = self._taken(name, content=True).content
        if found is None:
            raise AssertionError("nothing came, and no error")  # pragma: no cover - one of them is set
        return found

    def versions(self, names: Sequence[bytes]) -> list[Version | None]:
        """Return the state of each file; see `PictureSource`."""
        return [self._version_or_none(name) for name in names]

    def read_each(self, names: Sequence[bytes]) -> Generator[Content, None, None]:
        """Yield the content of each file, in order; see `PictureSource`."""
        yield from map(self.read, names) if any(map(is_url, names)) else self._local.read_each(names)

    def will_need(self, keys: Iterable[bytes], kept: Kept | None) -> None:
        """Begin to fetch what is on servers; see `PictureSource`."""
        keys = list(keys)
        self._read_ahead().announce(self._wanted(keys, kept))
        self._local.will_need((key for key in keys if not is_url(key)), kept)

    @contextlib.contextmanager
    def reading(self, keys: Iterable[bytes], kept: Kept | None, *, keep_on_error: bool) -> Iterator[None]:
        """Fetch these before all others, all at a time; see `PictureSource`."""
        with self._read_ahead().reading(self._wanted(list(keys), kept), keep_on_error=keep_on_error):
            yield

    def close(self) -> None:
        """End what is under way, and the threads."""
        if self._process == os.getpid():
            self._finalizer()
            self._ahead.join(_CLOSE_SECONDS)
            self._own_fetcher.close()

    def _version_or_none(self, name: bytes) -> Version | None:
        try:
            return self.version(name)
        except (RowError, OSError):
            return None

    def _taken(self, name: bytes, *, content: bool = False) -> Wanted:
        """Wait for a URL; note what it cost, once; raise what came instead."""
        wanted = self._read_ahead().wait(_text(name), content=content)
        costs, wanted.costs = wanted.costs, None
        if costs is not None:
            note_read(costs.read_bytes)
            for _ in range(costs.num_retries):
                note_retry()
        if wanted.error is not None:
            raise copy.copy(wanted.error) from wanted.error.__cause__  # several threads may raise it
        return wanted

    def _wanted(self, keys: Sequence[bytes], kept: Kept | None) -> list[tuple[str, Any]]:
        urls = [key for key in keys if is_url(key)]
        if kept is not None and self._remote.immutable:
            version = self._fetcher().version("")
            urls = [key for key in urls if not _has(kept, key, version)] if version is not None else urls
            kept = None
        return [
            (text, None if kept is None else partial(_has, kept, key))
            for key in urls
            if (text := _text_or_none(name_of(key))) is not None
        ]

    def _read_ahead(self) -> ReadAhead:
        self._fetcher()
        return self._ahead

    def _fetcher(self) -> Fetcher:
        """Return this process's connections and threads; those of a parent are not a child's to use."""
        if self._process != os.getpid():
            fetcher = Fetcher(self._remote, self._permission, self._max_bytes, self._schemes)
            keep_seconds = max(_KEEP_SECONDS, 2 * self._remote.total_seconds)
            self._ahead = ReadAhead(fetcher, self._remote.max_concurrent, self._remote.ahead_bytes, keep_seconds)
            self._own_fetcher = fetcher
            self._finalizer = weakref.finalize(self, self._ahead.end)
            self._process = os.getpid()
        return self._own_fetcher


def _has(kept: Kept, key: bytes, version: Version) -> bool:
    return not kept.will_need([(key, version)])


def _text(name: bytes) -> str:
    text = _text_or_none(name)
    if text is None:
        raise RowError("its URL is not UTF-8", stage="read")
    return text


def _text_or_none(name: bytes) -> str | None:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _are_urls(paths: PathColumn) -> BoolArray:
    if not pc.any(pc.match_substring(paths.array, b"://")).as_py():  # far faster, and nearly always the end of it
        return np.zeros(len(paths.array), np.bool_)
    return np.asarray(pc.match_substring_regex(paths.array, _ANY_URL))


def _leaves_base(paths: PathColumn) -> BoolArray:
    return np.asarray(pc.match_substring_regex(paths.array, r"^/|(^|/)\.\.?(/|$)"))


def _schemes(paths: PathColumn, base: str | None) -> set[str]:
    """Return the first letters before ``://`` of all URLs."""
    found = pc.unique(pc.extract_regex(paths.array, r"^(?P<scheme>[A-Za-z0-9]+)://").field("scheme")).to_pylist()
    return {scheme.decode().lower() for scheme in [*found, os.fsencode(base or "").partition(b":")[0]] if scheme}


def _refuse(paths: PathColumn, name: str, refused: BoolArray, why: str, what_to_do: str) -> None:
    places = np.flatnonzero(refused)
    if len(places):
        first = os.fsdecode(paths.take(places[:1])[0])
        raise ConfigError(
            f"{listed(paths.rows_of(places))} of column {name!r} {why}: the first is {first!r}."
            f" Nothing was asked for. {what_to_do}"
        )


def _not_asked_for(paths: PathColumn, name: str, are_urls: BoolArray) -> ConfigError:
    places = np.flatnonzero(are_urls)
    first = os.fsdecode(paths.take(places[:1])[0])
    scheme = first.partition(":")[0].lower()
    found = f"{listed(paths.rows_of(places))} of column {name!r} hold URLs"
    if scheme not in SCHEMES:
        return ConfigError(
            f"{found}: the first is {first!r}. Of these, {', '.join(SCHEMES)} can be read. Write plain paths."
        )
    return ConfigError(
        f"{found}, and pictures are read from servers only where that is allowed: the first is {first!r}. Nothing was"
        f' asked for. If the table is your own, allow their scheme, remote=rl.Remote("{scheme}"), or how they begin:'
        f' remote=rl.Remote("{_beginning(first)}").'
    )


def _beginning(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/"
