"""Connections that end: who says nothing, or too slowly, holds a thread for a while only, and never all of them."""

import io
import socket
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

IDLE_SECONDS = 60.0
"""From one answer, or the connection, to the end of the next request's headers: however many bytes come meanwhile."""
REQUEST_SECONDS = 300.0
"""For the body of a request; and how long a client may take for a part of its answer."""
MOST_CONNECTIONS = 256

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class _Received(io.RawIOBase):
    """What a socket receives until an instant; after that, TimeoutError."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self.until = connection, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request did not come in time")
        self._connection.settimeout(left)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(REQUEST_SECONDS)


class BoundedHandler(BaseHTTPRequestHandler):
    """Reads a request within `idle_seconds` and its body within REQUEST_SECONDS; `http.server` hangs up otherwise."""

    idle_seconds = IDLE_SECONDS

    def setup(self) -> None:
        """As ever, but reading ends in time."""
        super().setup()
        self.rfile.close()
        self._received = _Received(self.connection)
        self.rfile = io.BufferedReader(self._received)

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it."""
        self._received.until = time.monotonic() + self.idle_seconds
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the headers; the body has time of its own."""
        is_right = super().parse_request()
        self._received.until = time.monotonic() + REQUEST_SECONDS
        return is_right


class BoundedServer(ThreadingTCPServer):
    """Has a thread for each connection, and at most `most_connections`; `open_connections` are those."""

    most_connections = MOST_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.open_connections: set[Any] = set()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own. It is known before that thread exists."""
        if len(self.open_connections) >= self.most_connections:
            self._refuse(request)
            return
        self.open_connections.add(request)
        super().process_request(request, client_address)

    def _refuse(self, request: socket.socket) -> None:
        try:
            request.settimeout(1)
            request.sendall(_BUSY)
        except OSError:
            pass  # it has gone already
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.open_connections.discard(request)
        super().shutdown_request(request)
