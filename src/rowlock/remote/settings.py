"""`Remote`: which servers pictures may come from, and how patiently, written down."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from rowlock.arguments import true_or_false, whole_number
from rowlock.errors import ConfigError
from rowlock.memory import parse_bytes
from rowlock.remote.permission import Permission

__all__ = ["Remote"]


@dataclass(frozen=True, init=False, repr=False)
class Remote:
    """Servers that pictures may be read from, for ``rl.Images(..., remote=)``; without it, URLs are refused.

    Parameters
    ----------
    *allowed : str
        Schemes (``"https"``, ``"http"``, ``"s3"``, ``"gs"``) or beginnings of URLs
        (``"https://images.example.org/"``, ``"s3://bucket/photos/"``). A URL must be covered by one, and so must every
        redirect. ``"https"`` or ``"http"`` alone covers public servers: an address of this machine or of a private
        network is refused when its connection is made. A host that is named in the beginning of a URL may be anywhere.
    max_concurrent : int
        Pictures of one input that are fetched at a time.
    ahead_bytes : int or str
        Fetched pictures that wait for their batch: when there are as many bytes, reading ahead pauses.
    max_bytes : int or str
        A larger file is an error of its row, and its transfer ends there.
    num_tries : int
        How often a picture is asked for, while the network or the server fails.
    backoff_seconds : float
        Wait before the second try; doubled before each further one, at most 30 s, varied by half either way by chance.
        A server's ``Retry-After`` counts instead, where it is longer.
    connect_seconds, read_seconds : float
        Longest wait for a connection, and for the next bytes of an answer.
    total_seconds : float
        Longest time for one picture, all tries together.
    immutable : bool
        What a URL holds never changes: a cache of pixels (``rl.Images(..., cache=)``) then knows pictures by their URL,
        and touches no network for those it has. By default the server is asked for the state of every picture in
        every epoch (a HEAD request), and one that tells none is not cached.
    region, endpoint : str, optional
        Of ``s3``, such as ``"eu-central-1"`` and ``"https://minio.example.org"``; of ``gs``, `endpoint`. By default
        as the environment says (``AWS_REGION``, ``AWS_ENDPOINT_URL``, ...).
    anonymous : bool
        Buckets are public: no credentials are looked for. By default those of the environment count
        (``AWS_ACCESS_KEY_ID``, ``GOOGLE_APPLICATION_CREDENTIALS``, ...), or of the machine's role.

    Raises
    ------
    ConfigError
        Nothing is allowed, something is neither a scheme nor the beginning of a URL, or a number is out of range.

    Examples
    --------
    >>> Remote("https", "s3://bucket/photos/")
    Remote('https', 's3://bucket/photos/')
    """

    allowed: tuple[str, ...]
    max_concurrent: int = 16
    ahead_bytes: int = 256 << 20
    max_bytes: int = 64 << 20
    num_tries: int = 6
    backoff_seconds: float = 0.25
    connect_seconds: float = 10.0
    read_seconds: float = 30.0
    total_seconds: float = 120.0
    immutable: bool = False
    region: str | None = None
    endpoint: str | None = None
    anonymous: bool = False

    def __init__(
        self,
        *allowed: str,
        max_concurrent: int = 16,
        ahead_bytes: int | str = "256MiB",
        max_bytes: int | str = "64MiB",
        num_tries: int = 6,
        backoff_seconds: float = 0.25,
        connect_seconds: float = 10.0,
        read_seconds: float = 30.0,
        total_seconds: float = 120.0,
        immutable: bool = False,
        region: str | None = None,
        endpoint: str | None = None,
        anonymous: bool = False,
    ) -> None:
        checked: dict[str, Any] = {
            "allowed": allowed,
            "max_concurrent": whole_number("max_concurrent", max_concurrent, 1),
            "ahead_bytes": parse_bytes(ahead_bytes),
            "max_bytes": parse_bytes(max_bytes),
            "num_tries": whole_number("num_tries", num_tries, 1),
            "backoff_seconds": _seconds("backoff_seconds", backoff_seconds),
            "connect_seconds": _seconds("connect_seconds", connect_seconds),
            "read_seconds": _seconds("read_seconds", read_seconds),
            "total_seconds": _seconds("total_seconds", total_seconds),
            "immutable": true_or_false("immutable", immutable),
            "region": _text("region", region),
            "endpoint": _text("endpoint", endpoint),
            "anonymous": true_or_false("anonymous", anonymous),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # frozen: set once, here
        self.permission()

    def __repr__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        more = [
            f"{field.name}={given[field.name]!r}" for field in fields(self)[1:] if given[field.name] != field.default
        ]
        return f"Remote({', '.join([*map(repr, self.allowed), *more])})"

    def permission(self, *more: str) -> Permission:
        """Return what is allowed, and `more` beside it."""
        return Permission((*self.allowed, *more))

    def where(self) -> tuple[object, ...]:
        """Return what decides which file a URL means."""
        return self.allowed, self.region, self.endpoint


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigError(f"{name} must be a number of seconds above 0, not {value!r}")
    return float(value)


def _text(name: str, value: Any) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise ConfigError(f"{name} must be a text, not {value!r}")
    return value
