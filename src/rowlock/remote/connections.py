"""Connections of urllib3 that look whom they talk to before a byte is sent, and that can be ended from outside."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from rowlock.errors import RowError
from rowlock.remote.addresses import refused_address

if TYPE_CHECKING:
    from rowlock.remote.permission import Permission

__all__ = ["Requests", "pool_of"]


class Requests:
    """The requests under way: which connection each thread is at, and until when."""

    def __init__(self) -> None:
        self._deadline = threading.local()
        self._under_way: dict[int, tuple[Any, float]] = {}
        self._is_over = False

    @contextlib.contextmanager
    def until(self, deadline: float) -> Any:
        """End this thread's requests in the ``with`` block at `deadline` (of `time.monotonic`)."""
        self._deadline.value = deadline
        try:
            yield
        finally:
            self._under_way.pop(threading.get_ident(), None)

    def began(self, connection: Any) -> None:
        """Take note of the connection that this thread's request goes through."""
        self._under_way[threading.get_ident()] = connection, self._deadline.value
        self.check_going_on()

    def check_going_on(self) -> None:
        """Raise if all requests were ended: one that `end` could not see yet must not begin."""
        if self._is_over:
            raise ConnectionAbortedError(errno.ECONNABORTED, "all requests were ended")

    def end(self) -> None:
        """End all requests, those too that are about to begin. Takes no lock: finalisers call it."""
        self._is_over = True
        self.end_overdue(math.inf)

    def end_overdue(self, now: float | None = None) -> None:
        """End requests whose time is up, however slowly bytes still trickle."""
        now = time.monotonic() if now is None else now
        for connection, deadline in list(self._under_way.values()):
            if now > deadline:
                with contextlib.suppress(OSError, AttributeError):  # not connected yet, or closed meanwhile
                    connection.sock.shutdown(socket.SHUT_RDWR)


def pool_of(permission: Permission, requests: Requests, max_concurrent: int) -> urllib3.PoolManager:
    """Return a pool whose connections keep to `permission`. Proxies of the environment are not used."""

    class Checked:
        """Mixed into a connection: `_new_conn` is where urllib3 opens the socket, before TLS."""

        host: str
        port: int
        default_port: int
        is_tls = False
        sock: socket.socket | None

        def _new_conn(self) -> socket.socket:
            connected: socket.socket = super()._new_conn()  # type: ignore[misc]  # of the connection it is mixed into
            try:
                _check_peer(permission, "https" if self.is_tls else "http", self.host, self.port, connected)
                self.sock = connected  # where `end` finds it
                requests.check_going_on()
            except BaseException:
                connected.close()
                raise
            return connected

        def request(self, *args: Any, **kwargs: Any) -> None:
            requests.began(self)
            super().request(*args, **kwargs)  # type: ignore[misc]  # of the connection it is mixed into

    class CheckedHTTP(Checked, HTTPConnection):  # type: ignore[misc]  # urllib3 is Any to the checker
        pass

    class CheckedHTTPS(Checked, HTTPSConnection):  # type: ignore[misc]  # urllib3 is Any to the checker
        is_tls = True

    class Pool(urllib3.HTTPConnectionPool):  # type: ignore[misc]  # urllib3 is Any to the checker
        ConnectionCls: Any = CheckedHTTP

    class TLSPool(urllib3.HTTPSConnectionPool):  # type: ignore[misc]  # urllib3 is Any to the checker
        ConnectionCls: Any = CheckedHTTPS

    manager = urllib3.PoolManager(num_pools=64, maxsize=max_concurrent, retries=False)
    manager.pool_classes_by_scheme = {"http": Pool, "https": TLSPool}
    return manager


def _check_peer(permission: Permission, scheme: str, host: str, port: int, connected: socket.socket) -> None:
    """Refuse a peer that is not public, unless its host was allowed by name.

    The address is that of the connected socket: a name that resolves to another address at every look (DNS rebinding)
    gains nothing.
    """
    if permission.names(scheme, host, port):
        return
    why = refused_address(connected.getpeername()[0])
    if why is not None:
        raise RowError(
            f"the host {host!r} leads to {why}; nothing was sent. If that is meant, allow it by name:"
            f" rl.Remote('{scheme}://{host}{'' if port in (80, 443) else f':{port}'}/')",
            stage="read",
        )
