"""Which URLs are allowed, by their text alone: the same rules for a column of millions and for one redirect."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from rowlock.errors import ConfigError

__all__ = ["BUCKETS", "SCHEMES", "Permission", "Rule", "is_url"]

HTTP = "https", "http"
BUCKETS = "s3", "gs"
SCHEMES = HTTP + BUCKETS
_PORTS = {"https": 443, "http": 80}
_URL = r"^[A-Za-z][A-Za-z0-9+.\-]+://"
_IS_URL = re.compile(_URL.encode())
_PREFIX = re.compile(
    r"(?P<scheme>[A-Za-z0-9]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/\\?#@:\s\[\]]+)(?::(?P<port>\d{1,5}))?(?P<path>/\S*)?"
)


class Rule(NamedTuple):
    """A pattern, and what it means for a URL that it matches (or that it does not match)."""

    pattern: str
    """Of RE2 and of `re`, which read it alike."""
    refuses_match: bool
    why: str
    """After "5 rows of column 'url' "."""
    what_to_do: str


_RULES = (
    Rule(
        f"^(?i:{'|'.join(SCHEMES)})://",
        False,
        "have a URL of another kind than https, http, s3 and gs",
        "Copy those files to where they can be read, or leave the rows out.",
    ),
    Rule(
        r"^(?i:https?)://(?s:.)*[\x00-\x20\x7f\\]|^(?i:https?)://[^/?#]*@",
        True,
        "have a URL with spaces, control characters, backslashes, or a user's name in front of the host",
        "Write %20 for a space; names and passwords do not belong into tables.",
    ),
    Rule(
        r"^(?i:https?)://[^/?#]|^(?i:s3|gs)://[a-z0-9][a-z0-9._\-]{1,221}/[^/]",
        False,
        "have a URL without a host, or without the name of a bucket and a key",
        "Write s3://bucket/folder/name.jpg.",
    ),
    Rule(
        r"^[^?#]*(/|%2[fF]|%5[cC])(\.|%2[eE]){1,2}([/?#]|%2[fF]|%5[cC]|$)",
        True,
        "have a URL with . or .. in its path",
        "Write the URL that is meant.",
    ),
)


def is_url(path: bytes) -> bool:
    """Return whether a path names a server: two letters or more, and ``://``."""
    return _IS_URL.match(path) is not None


class Permission:
    """Schemes and beginnings of URLs that are allowed.

    Parameters
    ----------
    allowed : tuple of str

    Raises
    ------
    ConfigError
        None is given, or one is neither a scheme nor the beginning of a URL.
    """

    def __init__(self, allowed: tuple[Any, ...]) -> None:
        if not allowed:
            raise ConfigError(
                'rl.Remote needs what is allowed: rl.Remote("https"), rl.Remote("s3://bucket/photos/"), ...'
            )
        self._hosts: set[tuple[str, str, int]] = set()
        patterns = [self._pattern(one) for one in allowed]
        self.rules = (*_RULES, self._rule_of(allowed, patterns))
        self._compiled = [re.compile(rule.pattern) for rule in self.rules]

    def refusal(self, url: str) -> str | None:
        """Return why a URL is not allowed, as what follows "a URL"; None: it is."""
        for rule, compiled in zip(self.rules, self._compiled, strict=True):
            if (compiled.search(url) is not None) == rule.refuses_match:
                return rule.why.removeprefix("have a URL ")
        return None

    def names(self, scheme: str, host: str, port: int) -> bool:
        """Return whether a host was allowed by its name, so that it may be anywhere."""
        return (scheme, host.lower().strip("[]"), port) in self._hosts

    @staticmethod
    def _rule_of(allowed: tuple[Any, ...], patterns: list[str]) -> Rule:
        shown = ", ".join(map(repr, allowed))
        return Rule(
            f"^(?:{'|'.join(patterns)})",
            False,
            f"have a URL that is not allowed by rl.Remote({shown})",
            "If the table is your own, allow their scheme, or how they begin:"
            f" rl.Remote({shown}, 'https://images.example.org/').",
        )

    def _pattern(self, one: Any) -> str:
        if isinstance(one, str) and one.lower() in SCHEMES:
            return f"(?i:{one})://"
        found = _PREFIX.fullmatch(one) if isinstance(one, str) else None
        if found is None or found["scheme"].lower() not in SCHEMES:
            raise ConfigError(
                f"rl.Remote allows schemes ({', '.join(SCHEMES)}) and beginnings of URLs, such as"
                f" 'https://images.example.org/' or 's3://bucket/photos/', not {one!r}"
            )
        scheme, host, path = found["scheme"].lower(), found["host"], found["path"] or "/"
        if scheme in BUCKETS:
            return f"(?i:{scheme})://{_quoted(host)}{_quoted(path)}"
        port = int(found["port"] or _PORTS[scheme])
        self._hosts.add((scheme, host.lower().strip("[]"), port))
        shown_port = f"(?::{port})?" if port == _PORTS[scheme] else f":{port}"
        return f"(?i:{scheme}://{_quoted(host)}){shown_port}{_quoted(path)}"


def _quoted(text: str) -> str:
    r"""Return a pattern of this very text. `re.escape` writes ``\&`` and the like, which RE2 takes for literal too."""
    return re.escape(text)
