"""What a server says about the state of a file, and how much of it can be believed."""

from __future__ import annotations

import datetime as dt
import email.utils
from typing import TYPE_CHECKING, Any

from rowlock.pictures.content import Version

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNKNOWN", "bucket_version", "http_version"]

UNKNOWN = Version(b"")
"""Of bytes that came without any sign of their state: equal to no version that a server tells."""

_TICKS = dt.timedelta(seconds=2)


def http_version(headers: Mapping[str, str]) -> Version | None:
    """Return the state that the headers of an answer tell; None: none that proves equal bytes.

    A strong ETag does. So does Last-Modified (whole seconds) if the server's own clock was two seconds or more past it;
    a weak ETag (``W/"..."``) alone does not: it stands for equal meaning, not for equal bytes. RFC 9110, 8.8.
    """
    etag, modified = headers.get("ETag", ""), headers.get("Last-Modified", "")
    is_strong = len(etag) > 2 and not etag.startswith("W/")
    if not is_strong and not _is_past(modified, headers.get("Date", "")):
        return None
    facts = etag, modified, headers.get("Content-Length"), headers.get("x-amz-version-id")
    return Version(repr(facts).encode())


def bucket_version(meta: Mapping[str, Any]) -> Version | None:
    """Return the state of an object in a bucket."""
    if not meta.get("e_tag") and not meta.get("version"):
        return None
    facts = meta.get("e_tag"), meta.get("version"), meta["size"], str(meta.get("last_modified"))
    return Version(repr(facts).encode())


def _is_past(modified: str, date: str) -> bool:
    try:
        return email.utils.parsedate_to_datetime(date) - email.utils.parsedate_to_datetime(modified) >= _TICKS
    except (ValueError, TypeError):  # one is missing, or not a date
        return False
