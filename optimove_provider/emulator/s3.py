"""The import bucket on moto's S3 server, in this process: the only file here that knows moto.

The importer reads moto's objects directly instead of over HTTP: that is what tells it of every version of a
key, in the order in which they were put.
"""

import http.client
import io
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO

from optimove_provider.contract.dcp.config import IMPORT_BUCKET, S3_REGION
from optimove_provider.emulator.callers import Callers, why_foreign
from optimove_provider.emulator.connections import IDLE_SECONDS, BoundedHandler, BoundedServer
from optimove_provider.emulator.model.object_store import StoredObject
from optimove_provider.emulator.s3_access import Refused
from optimove_provider.emulator.signature import Signed


class MotoObjects:
    """The import bucket of moto's default account, made if need be: moto's buckets belong to the process."""

    def __init__(self) -> None:
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.s3.models import s3_backends

        self._backend: Any = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        if IMPORT_BUCKET not in self._backend.buckets:
            self._backend.create_bucket(IMPORT_BUCKET, S3_REGION)
            # Whether the vendor's bucket keeps versions is unknown; here they show that a key was put twice.
            self._backend.put_bucket_versioning(IMPORT_BUCKET, "Enabled")

    def _keys(self) -> list[Any]:
        versions = [key for _, keys in self._backend.get_bucket(IMPORT_BUCKET).keys.iterlists() for key in keys]
        return [key for key in versions if hasattr(key, "value")]  # the others mark deletions

    def list(self) -> Iterable[StoredObject]:
        """As ObjectStore says."""
        keys = sorted(self._keys(), key=lambda key: key.last_modified)
        return [StoredObject(key.name, str(key.version_id), key.size) for key in keys]

    def read(self, found: StoredObject) -> BinaryIO:
        """As ObjectStore says."""
        return io.BytesIO(self._key(found).value)

    def _key(self, found: StoredObject) -> Any:
        wanted = (found.key, found.version)
        return next(key for key in self._keys() if (key.name, str(key.version_id)) == wanted)

    def take_away(self, found: StoredObject, moved: str | None) -> None:
        """As ObjectStore says."""
        if moved:
            with self.read(found) as body:
                self._backend.put_object(IMPORT_BUCKET, moved, body.read())
        self._backend.delete_object(IMPORT_BUCKET, found.key)

    def held(self) -> Iterable[StoredObject]:
        """As ObjectStore says."""
        keys = self._backend.get_bucket(IMPORT_BUCKET).keys
        return [found for found in self.list() if getattr(keys.get(found.key), "version_id", None) == found.version]

    def etag(self, found: StoredObject) -> str | None:
        """As ObjectStore says."""
        return str(self._key(found).etag).strip('"')

    def restore(self, found: StoredObject, data: bytes, etag: str | None) -> None:
        """As ObjectStore says."""
        if found not in self.list():
            self._backend.put_object(IMPORT_BUCKET, found.key, data, etag=etag)._version_id = found.version

    def upload_bytes(self, upload_id: str) -> int | None:
        """How many bytes the parts of an upload have; None where none is open."""
        upload = self._backend.get_bucket(IMPORT_BUCKET).multiparts.get(upload_id)
        return sum(part.size for part in upload.parts.values()) if upload else None


_CONTROL = "/moto-api"
"""Moto's own side door: it shows, and forgets, whatever it holds."""


WhyRefused = Callable[[Signed], Refused | None]
"""How S3 refuses a request; None if it does not."""


def _refuse_nothing(asked: Signed) -> None:
    return None


def _guarded(app: Any, callers: Callers, why_s3_refused: WhyRefused) -> Any:
    """The application, without its side door for callers who may not use ours, closed to pages of other sites, and to
    those whom S3 would refuse: moto asks nobody."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        def header(name: str) -> str | None:
            variable = name.upper().replace("-", "_")
            found = environ.get(variable if name == "content-type" else f"HTTP_{variable}")
            return str(found) if found else None

        why = why_foreign(header, header("host") or "")
        if not why and f"/{environ['PATH_INFO'].lstrip('/')}".startswith(_CONTROL):
            why = callers.why_refused(environ["REQUEST_METHOD"], header, None)
        elif not why and (refused := why_s3_refused(_signed(environ))):
            return _refuse(environ, start_response, refused)
        if not why:
            return app(environ, start_response)
        body = f"{why}\n".encode()
        start_response("403 Forbidden", [("content-type", "text/plain"), ("content-length", str(len(body)))])
        return [body]

    return guarded


def _signed(environ: dict[str, Any]) -> Signed:
    """The request as it came."""
    headers = {name[5:]: value for name, value in environ.items() if name.startswith("HTTP_")}
    headers |= {name: environ[name] for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)}
    named = {name.lower().replace("_", "-"): str(value) for name, value in headers.items()}
    return Signed(environ["REQUEST_METHOD"], environ["RAW_URI"], named)


def _refuse(environ: dict[str, Any], start_response: Any, refused: Refused) -> list[bytes]:
    left = int(environ.get("CONTENT_LENGTH") or 0)
    while left > 0 and (read := environ["wsgi.input"].read(min(left, 1 << 16))):  # or it were the next request
        left -= len(read)
    body = b"" if environ["REQUEST_METHOD"] == "HEAD" else refused.body
    headers = [("content-type", "application/xml"), ("content-length", str(len(body)))]
    start_response(f"{refused.status} {http.client.responses[refused.status]}", headers)
    return [body]


class S3Server:
    """moto's S3 over HTTP, in a thread, until `stop`. Raises OSError if the port is taken."""

    def __init__(
        self,
        host: str,
        port: int,
        callers: Callers | None = None,
        idle_seconds: float = IDLE_SECONDS,
        why_refused: WhyRefused = _refuse_nothing,
    ):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

        handler = type("_Handler", (BoundedHandler, WSGIRequestHandler), {"idle_seconds": idle_seconds})
        server = type("_Server", (BoundedServer, ThreadedWSGIServer), {})
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # or it prints every request
        # Bound here: moto's own ThreadedMotoServer neither reports a port that is taken nor closes its
        # socket.
        with socket.create_server((host, port)) as listening:
            self._server: Any = server(
                host,
                listening.getsockname()[1],
                _guarded(DomainDispatcherApplication(create_backend_app), callers or Callers(host), why_refused),
                handler,
                fd=listening.fileno(),
            )
        self.port: int = self._server.port
        self._thread = threading.Thread(target=self._serve, name="emulator-s3", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def stop(self) -> None:
        """Answer nothing more and give the port back."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
