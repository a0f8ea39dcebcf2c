"""One picture from whichever server its URL names, with all tries."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from rowlock.errors import MissingDependencyError, RowError
from rowlock.pictures.content import Content, Version
from rowlock.remote.permission import BUCKETS
from rowlock.remote.repeating import Ending, repeated

if TYPE_CHECKING:
    from collections.abc import Callable

    from rowlock.remote.buckets import BucketClient
    from rowlock.remote.http import HttpClient
    from rowlock.remote.permission import Permission
    from rowlock.remote.settings import Remote

__all__ = ["Fetcher"]


class Fetcher:
    """What threads need to fetch; for many at once, in the process that made it.

    Parameters
    ----------
    remote : Remote
    permission : Permission
    max_bytes : int
        Larger files are errors of their rows.
    schemes : set of str
        Of the URLs that will be asked for: their libraries are loaded at once.

    Raises
    ------
    MissingDependencyError
        A library is not installed.
    """

    def __init__(self, remote: Remote, permission: Permission, max_bytes: int, schemes: set[str]) -> None:
        self._remote = remote
        self._permission = permission
        self._max_bytes = min(max_bytes, remote.max_bytes)
        self._ending = Ending()
        for scheme in schemes:
            self._client(f"{scheme}://")

    def version(self, url: str) -> Version | None:
        """Return the state of a file, without the network where it never changes.

        Raises
        ------
        RowError, OSError
        """
        if self._remote.immutable:
            return self._forever
        self._check(url)
        version: Version | None = self._repeated(self._client(url).version, url)
        return version

    def content(self, url: str) -> Content:
        """Return a file.

        Raises
        ------
        RowError
            Something is wrong with this file, or it is not allowed.
        OSError
            The network or the server failed, at every try.
        """
        self._check(url)
        content: Content = self._repeated(self._client(url).content, url)
        return content._replace(version=self._forever) if self._remote.immutable else content

    def end_overdue(self) -> None:
        """End requests that take longer than they may."""
        for client in self._clients:
            client.end_overdue()

    def end(self) -> None:
        """End what is under way. Takes no lock: finalisers call it."""
        self._ending.is_over = True
        for client in self._clients:
            client.end()

    def close(self) -> None:
        """End what is under way, and close all connections."""
        self.end()
        for client in self._clients:
            client.close()

    @cached_property
    def _forever(self) -> Version:
        return Version(repr(("immutable", *self._remote.where())).encode())

    @property
    def _clients(self) -> list[Any]:
        return [self.__dict__[name] for name in ("_web", "_buckets") if name in self.__dict__]

    def _client(self, url: str) -> Any:
        return self._buckets if url.partition(":")[0].lower() in BUCKETS else self._web

    @cached_property
    def _web(self) -> HttpClient:
        try:
            from rowlock.remote.http import HttpClient  # noqa: PLC0415 - an extra, loaded on use
        except ModuleNotFoundError as error:
            raise _missing("pictures from web servers need urllib3") from error
        return HttpClient(self._remote, self._permission, self._max_bytes)

    @cached_property
    def _buckets(self) -> BucketClient:
        try:
            from rowlock.remote.buckets import BucketClient  # noqa: PLC0415 - an extra, loaded on use
        except ModuleNotFoundError as error:
            raise _missing("pictures from buckets need obstore") from error
        return BucketClient(self._remote, self._max_bytes)

    def _check(self, url: str) -> None:
        """Refuse what is not allowed here too: the check of the column is for early and complete news."""
        why = self._permission.refusal(url)
        if why is not None:
            raise RowError(f"it is a URL {why}", stage="read")

    def _repeated(self, ask: Callable[[str, float], Any], url: str) -> Any:
        return repeated(partial(ask, url), self._remote, self._ending)


def _missing(what: str) -> MissingDependencyError:
    return MissingDependencyError(f"{what}: pip install 'rowlock[remote]'")
