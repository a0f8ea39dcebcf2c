"""Files from web servers, by urllib3: one try each; `rowlock.remote.repeating` asks again."""

from __future__ import annotations

import email.utils
import errno
import http
import http.client
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import urllib3

from rowlock.errors import RowError
from rowlock.meter import note_read
from rowlock.pictures.content import Content
from rowlock.remote.connections import Requests, pool_of
from rowlock.remote.repeating import MomentaryError
from rowlock.remote.versions import UNKNOWN, http_version

if TYPE_CHECKING:
    from rowlock.pictures.content import Version
    from rowlock.remote.permission import Permission
    from rowlock.remote.settings import Remote

__all__ = ["HttpClient"]

_HEADERS = {"User-Agent": "rowlock", "Accept": "*/*", "Accept-Encoding": "identity"}
_MOST_REDIRECTS = 5
_REDIRECTS = {301, 302, 303, 307, 308}
_MOMENTARY = {408, 425, 429}
_PART_BYTES = 1 << 18


class HttpClient:
    """Connections to web servers, for many threads at once.

    Parameters
    ----------
    remote : Remote
    permission : Permission
    max_bytes : int
        A larger file is an error.
    """

    def __init__(self, remote: Remote, permission: Permission, max_bytes: int) -> None:
        self._remote = remote
        self._permission = permission
        self._max_bytes = max_bytes
        self._requests = Requests()
        self._pool = pool_of(permission, self._requests, remote.max_concurrent)

    def version(self, url: str, deadline: float) -> Version | None:
        """Ask for the state of a file; None: the server does not tell, or takes no such question.

        Raises
        ------
        MomentaryError
            The network or the server failed.
        RowError
            A redirect or an address is not allowed.
        """
        with self._requests.until(deadline):
            response = self._answer("HEAD", url, deadline)
            response.release_conn()
            return http_version(response.headers) if response.status == http.HTTPStatus.OK else None

    def content(self, url: str, deadline: float) -> Content:
        """Fetch a file.

        Raises
        ------
        MomentaryError
            The network or the server failed, or the transfer broke off.
        RowError
            There is no such file, it may not be read, is too large, or a redirect or an address is not allowed.
        """
        with self._requests.until(deadline):
            response = self._answer("GET", url, deadline)
            try:
                self._check(response)
                data = self._body(response, deadline)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        note_read(len(data))
        return Content(data, http_version(response.headers) or UNKNOWN)

    def end_overdue(self) -> None:
        """End requests that take longer than they may; somebody who waits calls it every second."""
        self._requests.end_overdue()

    def end(self) -> None:
        """End all requests under way. Takes no lock: finalisers call it."""
        self._requests.end()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._pool.clear()

    def _answer(self, method: str, url: str, deadline: float) -> Any:
        """Return the answer at the end of all redirects, its body still to be read."""
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._once(method, url, deadline)
            if response.status in _REDIRECTS:
                response.close()
                url = self._target(url, response)
                continue
            if response.status in _MOMENTARY or (response.status >= 500 and (method, response.status) != ("HEAD", 501)):
                response.close()
                raise MomentaryError(OSError(errno.EIO, _says(response)), _retry_after(response))
            return response
        raise RowError(f"the server redirects more than {_MOST_REDIRECTS} times, lastly to {url!r}", stage="read")

    def _once(self, method: str, url: str, deadline: float) -> Any:
        left = max(0.001, deadline - time.monotonic())
        seconds = urllib3.Timeout(min(self._remote.connect_seconds, left), min(self._remote.read_seconds, left))
        try:
            response = self._pool.urlopen(
                method, url, headers=_HEADERS, timeout=seconds, redirect=False, retries=False, preload_content=False
            )
        except (urllib3.exceptions.LocationValueError, UnicodeError) as error:
            raise RowError(f"it is not a URL that can be asked for: {error}", stage="read") from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _momentary(error) from error
        if time.monotonic() > deadline:  # its headers may end where the connection was ended
            response.close()
            raise MomentaryError(OSError(errno.ETIMEDOUT, "no whole answer came within total_seconds"))
        return response

    def _target(self, url: str, response: Any) -> str:
        target: str = urljoin(url, response.headers.get("Location") or "")
        if not response.headers.get("Location"):
            why: str | None = "says no target"
        elif target.partition(":")[0].lower() != url.partition(":")[0].lower():
            why = "leads to another scheme; write the URL that it leads to into the table if that is meant"
        else:
            refused = self._permission.refusal(target)
            why = None if refused is None else f"is a URL {refused}"
        if why is not None:
            raise RowError(f"the server redirects to {target!r}, which {why}; it was not followed", stage="read")
        return target

    def _check(self, response: Any) -> None:
        if response.status != http.HTTPStatus.OK:
            raise RowError(_says(response), stage="read")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding != "identity":
            raise RowError(f"the server sends it compressed ({encoding}), though it was asked not to", stage="read")
        if (length := _length(response)) is not None and length > self._max_bytes:
            raise _too_large(f"has {length:,} bytes", self._max_bytes)

    def _body(self, response: Any, deadline: float) -> bytes:
        """Read to the end, within the limits, whatever was promised."""
        parts, num_bytes = [], 0
        while part := _read(response, deadline):
            parts.append(part)
            num_bytes += len(part)
            if num_bytes > self._max_bytes:
                raise _too_large(f"does not end after {num_bytes:,} bytes", self._max_bytes)
        length = _length(response)
        if (num_bytes != length) if length is not None else not num_bytes:
            raise MomentaryError(_truncated(num_bytes, length))
        return b"".join(parts)


def _read(response: Any, deadline: float) -> bytes:
    """Return the next bytes; nothing: that was all."""
    try:
        part = bytes(response.read1(_PART_BYTES))
    except (urllib3.exceptions.HTTPError, OSError) as error:
        _check_time(response, deadline)
        cause = error.args[1] if isinstance(error, urllib3.exceptions.ProtocolError) and len(error.args) > 1 else error
        if isinstance(cause, (urllib3.exceptions.IncompleteRead, http.client.IncompleteRead)):
            raise MomentaryError(_truncated(response.tell(), _length(response))) from error
        raise _momentary(error) from error
    _check_time(response, deadline)
    return part


def _check_time(response: Any, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise MomentaryError(OSError(errno.ETIMEDOUT, f"only {response.tell():,} bytes came within total_seconds"))


def _momentary(error: Exception) -> MomentaryError:
    number = errno.EIO
    if isinstance(error, (urllib3.exceptions.TimeoutError, TimeoutError)):
        number = errno.ETIMEDOUT
    elif isinstance(error, urllib3.exceptions.ProtocolError):
        number = errno.ECONNRESET
    return MomentaryError(OSError(number, f"{type(error).__name__}: {error}"))


def _truncated(num_bytes: int, length: int | None) -> RowError:
    promised = "" if length is None else f" of {length:,} promised ones"
    return RowError(f"the transfer ended after {num_bytes:,} bytes{promised}, every time", stage="read")


def _too_large(what: str, max_bytes: int) -> RowError:
    return RowError(
        f"the file {what}, more than the {max_bytes:,} that are allowed; the rest was not read. The limit is the"
        " less of rl.Remote(max_bytes=) and what a picture of max_pixels needs",
        stage="read",
    )


def _length(response: Any) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _says(response: Any) -> str:
    try:
        phrase = http.HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "a status that no standard has"
    return f"the server answers {response.status} ({phrase})"


def _retry_after(response: Any) -> float:
    """Return the seconds that the server asks to wait; it says a number, or a date."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0
