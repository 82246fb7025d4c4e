"""The emulator over HTTP: a thin wrapper around `send`, with S3 on a port of its own.

`wbufsize` and `disable_nagle_algorithm` matter: http.server writes headers and body separately, and on a
connection that is kept open Nagle's algorithm and the delayed acknowledgement then hold each answer back for
40 ms.
"""

import socket
import struct
import sys
import threading
from collections.abc import Callable, Collection
from contextlib import ExitStack
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from optimove_provider.contract.wire.messages import Lost, Request, Response
from optimove_provider.emulator.callers import Callers
from optimove_provider.emulator.connections import IDLE_SECONDS, BoundedHandler, BoundedServer
from optimove_provider.emulator.dispatch import is_control, is_look, latency_seconds, send
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.kept.keeper import Keeper
from optimove_provider.emulator.kept.state_file import StateFile
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.replies import json_answer
from optimove_provider.emulator.s3 import MotoObjects, S3Server
from optimove_provider.emulator.s3_access import Refused, S3Access
from optimove_provider.emulator.signature import Signed

MAX_BODY_BYTES = 64 * 2**20
"""Not documented for either API; here it bounds what one request may cost."""

_MOTO_MISSING = "S3 needs moto, which is missing: pip install airflow-provider-optimove[emulator]"


class _Handler(BoundedHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: "_Server"

    def handle_expect_100(self) -> bool:
        """Say "100 Continue" at once: it would wait in the write buffer otherwise."""
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def _serve(self) -> None:
        body, refused = self._read()
        if refused is None and is_control(self.path):
            refused = self._refuse_caller(body)
        if refused is not None:
            self.close_connection = True
            return self._write(refused)
        request = Request(self.command, self.path, dict(self.headers), body)
        if not is_look(request):
            self.server.touch()
        with self.server.lock:
            answer = send(self.server.state, request)
            latency = latency_seconds(self.server.state, request)
        self.server.stopping.wait(latency)
        if isinstance(answer, Lost):
            self.close_connection = True
            return self.server.reset(self.connection)
        return self._write(answer)

    def _read(self) -> tuple[bytes | None, Response | None]:
        """The body, or the answer that refuses it unread."""
        if "Transfer-Encoding" in self.headers:
            return None, json_answer(411, {"message": "send a Content-Length"})
        length = self.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdecimal()):
            return None, json_answer(400, {"message": "the Content-Length is no number"})
        if len(length) > 15 or int(length) > MAX_BODY_BYTES:
            return None, json_answer(413, {"message": f"at most {MAX_BODY_BYTES} bytes are read"})
        return self.rfile.read(int(length)) or None, None

    def _refuse_caller(self, body: bytes | None) -> Response | None:
        """The answer to who may not use the control routes."""
        if any(len(self.headers.get_all(name, [])) > 1 for name in ("host", "origin", "content-type")):
            why: str | None = "a header that says who is asking is there twice"
        else:
            has_host = self.request_version >= "HTTP/1.1"
            why = self.server.callers.why_refused(self.command, self.headers.get, body, has_host)
        return json_answer(403, {"message": why}) if why else None

    def _write(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        is_bodiless = answer.status in (204, 304)
        if not is_bodiless:
            self.send_header("content-length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if not is_bodiless and self.command != "HEAD":  # or it would be taken for the next answer
            self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve
    do_HEAD = do_OPTIONS = do_TRACE = do_QUERY = _serve  # refused by the API, as it refuses others

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the request log under /_emulator/requests has it all."""


class _Server(BoundedServer, ThreadingHTTPServer):
    daemon_threads = False  # so that closing the server waits for them, and none outlives it
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        state: State,
        lock: Any,
        callers: Callers,
        idle_seconds: float,
        touch: Callable[[], None],
    ):
        self.state, self.lock, self.callers, self.touch = state, lock, callers, touch
        self._reset: set[Any] = set()
        self.stopping = threading.Event()
        super().__init__(address, type("_TimedHandler", (_Handler,), {"idle_seconds": idle_seconds}))
        self._thread = threading.Thread(target=self._serve, name="emulator", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self.serve_forever(poll_interval=0.05)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection: with a FIN, or with a RST if it is to be reset."""
        if request in self._reset:
            self._reset.discard(request)
            self.open_connections.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def reset(self, connection: socket.socket) -> None:
        """Have a connection end as if its peer had crashed: the client is told at once, and gets no answer."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reset.add(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up before it had its answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Answer nothing more, end the connections that are kept open and their threads, give the port back."""
        self.stopping.set()
        self.shutdown()
        self._thread.join()
        for connection in list(self.open_connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client was faster
        self.server_close()


class EmulatorServer:
    """Both APIs on one port and S3 on another, while the `with` block lasts.

    Port 0 means any free port. With a fixed `port`, S3 is on the next one unless `s3_port` says otherwise. The control
    routes are there under the loopback's names, under `host` and under those of `allowed_hosts`, and not for pages of
    other sites. A connection on which no request comes within `idle_seconds` is closed. What it holds is kept in
    `state_file`, if there is one, soon after each change and at the end.
    Raises OSError if a port is taken and RuntimeError if moto is not installed, or the file is in use.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        s3_port: int = 0,
        state: State | None = None,
        allowed_hosts: Collection[str] = (),
        idle_seconds: float = IDLE_SECONDS,
        state_file: Path | None = None,
    ):
        self.host, self.port = host, port
        self._callers, self._idle_seconds = Callers(host, allowed_hosts), idle_seconds
        self.s3_port = s3_port or (port + 1 if port else 0)
        self.state, self._lock = state if state is not None else State(), threading.Lock()
        self._keeper = Keeper(StateFile(state_file), self.state, self._lock) if state_file else None

    @property
    def url(self) -> str:
        """Where both APIs and the control routes are."""
        return f"http://{self.host}:{self.port}"

    @property
    def s3_url(self) -> str:
        """The endpoint URL for S3 clients."""
        return f"http://{self.host}:{self.s3_port}"

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            objects = self._import_moto()
            self.state.objects = objects
            self.state.ignore_present_objects()
            if self._keeper:
                self._keeper.start()
                starting.callback(self._keeper.stop)
            self._access = S3Access(self.state, objects.upload_bytes)
            s3 = S3Server(self.host, self.s3_port, self._callers, self._idle_seconds, self._why_s3_refused)
            starting.callback(s3.stop)
            address = (self.host, self.port)
            server = _Server(address, self.state, self._lock, self._callers, self._idle_seconds, self._touch)
            starting.callback(server.stop)
            self.port, self.s3_port = server.server_port, s3.port
            self._running, self._apis = starting.pop_all(), server
        return self

    def _import_moto(self) -> MotoObjects:
        try:
            return MotoObjects()
        except ModuleNotFoundError as error:
            raise RuntimeError(_MOTO_MISSING) from error

    def _touch(self) -> None:
        """Before whatever may change the state."""
        if self._keeper:
            self._keeper.touch()

    def _why_s3_refused(self, asked: Signed) -> Refused | None:
        """Who looks at the bucket finds what has become of its objects by now."""
        with self._lock:
            if asked.method in ("GET", "HEAD"):
                advance(self.state)
            else:
                self._touch()
            return self._access.why_refused(asked)

    def __exit__(self, *_: object) -> None:
        self._running.close()
