"""One span of time for a whole request: connecting, sending, and the answer to its last byte.

The timeouts of sockets count between two bytes, so what drips would last for ever. Here the connection is shut down
when the time is over, wherever the request is just then: in a handshake of a proxy, among the headers, or in the body.
"""

import math
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from urllib3 import PoolManager

_current = threading.local()


class Deadline:
    """Ends a request of this thread after so many seconds: a context manager, around all that the request does."""

    def __init__(self, seconds: float):
        self.is_over = False
        self._seconds = seconds
        self._sockets, self._lock = list[socket.socket](), threading.Lock()

    def __enter__(self) -> Self:
        _current.deadline = self
        _watchdog.add(self, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        _current.deadline = None
        _watchdog.leave(self)
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()

    def watch(self, connected: socket.socket) -> None:
        """Shut this connection down when the time is over; at once if it is."""
        # A duplicate: TLS takes the socket that it wraps away, and the connection stays the same.
        own = socket.socket(fileno=os.dup(connected.fileno()))
        with self._lock:
            self._sockets.append(own)
            if self.is_over:
                _shut_down(own)

    def end(self) -> None:
        """The time is over."""
        with self._lock:
            self.is_over = True
            for one in self._sockets:
                _shut_down(one)


class _Watchdog:
    """A thread that ends what is due, for all requests of this process: one for each costs as much as a request."""

    def __init__(self) -> None:
        self._due = dict[Deadline, float]()
        self._wakes, self._changed = math.inf, threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline, seconds: float) -> None:
        """End it after so many seconds."""
        with self._changed:
            self._due[deadline] = due = time.monotonic() + seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="optimove-deadlines", daemon=True)
                self._thread.start()
            elif due < self._wakes:
                self._changed.notify()

    def leave(self, deadline: Deadline) -> None:
        """Its request is over."""
        with self._changed:
            self._due.pop(deadline, None)

    def _watch(self) -> None:
        while True:
            for one in self._over():
                one.end()

    def _over(self) -> list[Deadline]:
        with self._changed:
            while not (over := [one for one, due in self._due.items() if due <= time.monotonic()]):
                self._wakes = min(self._due.values(), default=math.inf)
                self._changed.wait(self._wakes - time.monotonic() if self._due else None)
            for one in over:
                del self._due[one]
            return over


_watchdog = _Watchdog()
os.register_at_fork(after_in_child=_watchdog.__init__)  # type: ignore[misc]  # whose thread stayed behind


def is_under_way() -> bool:
    """Whether this thread is in the middle of a request."""
    return getattr(_current, "deadline", None) is not None


def _shut_down(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


def _watch(connected: socket.socket | None) -> None:
    deadline: Deadline | None = getattr(_current, "deadline", None)
    if deadline and connected and connected.fileno() >= 0:
        deadline.watch(connected)


class _Watched:
    """What a connection of urllib3 does beside its own work: it hands its socket to the deadline of the request."""

    def _new_conn(self: Any) -> Any:
        timeout = self.timeout
        try:
            self.timeout = timeout / _addresses(self._dns_host, self.port)  # it is the time of each of them
            connected = super()._new_conn()  # type: ignore[misc]  # of the class that this one is mixed into
        finally:
            self.timeout = timeout
        _watch(connected)
        return connected

    def request(self: Any, *arguments: Any, **named: Any) -> Any:
        _watch(self.sock)  # which is that of an earlier request
        return super().request(*arguments, **named)  # type: ignore[misc]


def _addresses(host: str, port: int) -> int:
    with suppress(OSError, ValueError):
        return len(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)) or 1
    return 1


def watched(manager: "PoolManager") -> "PoolManager":
    """The same manager, whose connections keep to the deadline of the request that they are used for."""
    manager.pool_classes_by_scheme = {
        scheme: _watching(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


def _watching(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls, _Watched):
        return pool
    connection = type(pool.ConnectionCls.__name__, (_Watched, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
