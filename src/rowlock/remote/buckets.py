"""Objects in buckets (S3 and its like, Google Cloud Storage), by obstore: one try each."""

from __future__ import annotations

import datetime as dt
import errno
import os
import threading
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions
from obstore.store import GCSStore, S3Store

from rowlock.errors import ForkedLoaderError, RowError
from rowlock.meter import note_read
from rowlock.pictures.content import Content
from rowlock.remote.repeating import MomentaryError
from rowlock.remote.versions import UNKNOWN, bucket_version

if TYPE_CHECKING:
    from rowlock.pictures.content import Version
    from rowlock.remote.settings import Remote

__all__ = ["BucketClient"]

_OF_THE_OBJECT = (
    FileNotFoundError,
    exceptions.NotFoundError,
    exceptions.PermissionDeniedError,
    exceptions.UnauthenticatedError,
    exceptions.InvalidPathError,
    ValueError,  # a key with // or .. in it
)

_process_of_runtime = 0


class BucketClient:
    """Buckets, each opened when it is first asked, for many threads at once.

    Parameters
    ----------
    remote : Remote
    max_bytes : int
        A larger object is an error.
    """

    def __init__(self, remote: Remote, max_bytes: int) -> None:
        self._remote = remote
        self._max_bytes = max_bytes
        self._stores: dict[str, Any] = {}
        self._lock = threading.Lock()

    def version(self, url: str, deadline: float) -> Version | None:  # noqa: ARG002 - obstore keeps the time
        """Ask for the state of an object; as `HttpClient.version`."""
        store, key = self._place(url)
        try:
            return bucket_version(obstore.head(store, key))
        except _OF_THE_OBJECT:
            return None
        except exceptions.BaseError as error:
            if "501 Not Implemented" in str(error):
                return None
            raise _momentary(error) from error

    def content(self, url: str, deadline: float) -> Content:  # noqa: ARG002 - obstore keeps the time
        """Fetch an object; as `HttpClient.content`."""
        store, key = self._place(url)
        try:
            answer = obstore.get(store, key)
            meta = answer.meta
            self._check_size(meta["size"])
            data = bytes(answer.bytes())
        except _OF_THE_OBJECT as error:
            raise RowError(_reason(error), stage="read") from error
        except exceptions.BaseError as error:
            raise _momentary(error) from error
        if len(data) != meta["size"]:
            raise MomentaryError(
                RowError(f"the transfer ended after {len(data):,} of {meta['size']:,} bytes, every time", stage="read")
            )
        note_read(len(data))
        return Content(data, bucket_version(meta) or UNKNOWN)

    def end_overdue(self) -> None:
        """Do nothing: obstore ends requests by itself."""

    def end(self) -> None:
        """Do nothing: nothing of ours is under way."""

    def close(self) -> None:
        """Let go of all buckets."""
        self._stores = {}

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise RowError(
                f"the object has {num_bytes:,} bytes, more than the {self._max_bytes:,} that are allowed; it was not"
                " read. The limit is the less of rl.Remote(max_bytes=) and what a picture of max_pixels needs",
                stage="read",
            )

    def _place(self, url: str) -> tuple[Any, str]:
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        name = f"{scheme.lower()}://{bucket}"
        with self._lock:
            if name not in self._stores:
                self._stores[name] = self._opened(scheme.lower(), bucket)
            return self._stores[name], key

    def _opened(self, scheme: str, bucket: str) -> Any:
        _check_process()
        remote, endpoint = self._remote, self._remote.endpoint
        client: Any = {
            "connect_timeout": dt.timedelta(seconds=remote.connect_seconds),
            "read_timeout": dt.timedelta(seconds=remote.read_seconds),
            "timeout": dt.timedelta(seconds=remote.total_seconds),
        }
        if endpoint is not None and endpoint.startswith("http://"):
            client["allow_http"] = True
        settings: dict[str, Any] = {"region": remote.region} if scheme == "s3" and remote.region else {}
        if endpoint is not None:
            settings["endpoint" if scheme == "s3" else "base_url"] = endpoint
        if remote.anonymous:
            settings["skip_signature"] = True
        kind: Any = S3Store if scheme == "s3" else GCSStore
        return kind(bucket, client_options=client, retry_config={"max_retries": 0}, **settings)


def _momentary(error: Exception) -> MomentaryError:
    text = _reason(error)
    if "169.254.169.254" in text or "metadata" in text:
        text += ". No credentials were found; for public buckets, rl.Remote(..., anonymous=True)"
    return MomentaryError(OSError(errno.EIO, text))


def _reason(error: Exception) -> str:
    """Return the first line: what follows is for who debugs obstore, or the body of an answer."""
    return str(error).partition("\n")[0].partition(": <?xml")[0]


def _check_process() -> None:
    """Refuse to hang: the threads of obstore's runtime live in the process that first used it."""
    global _process_of_runtime  # noqa: PLW0603 - obstore has one runtime a process
    if _process_of_runtime not in (0, os.getpid()):
        raise ForkedLoaderError(
            "buckets were read before this process was forked, and the threads that read them live in the parent;"
            " start processes with the 'spawn' method"
        )
    _process_of_runtime = os.getpid()
