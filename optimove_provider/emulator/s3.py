"""The import bucket on moto's S3 server, in this process: the only file here that knows moto.

The importer reads moto's objects directly instead of over HTTP: that is what tells it of every version of a
key, in the order in which they were put.
"""

import io
import logging
import socket
import threading
from collections.abc import Iterable
from typing import Any, BinaryIO

from optimove_provider.contract.dcp.config import IMPORT_BUCKET, S3_REGION
from optimove_provider.emulator.callers import Callers, why_foreign
from optimove_provider.emulator.connections import IDLE_SECONDS, BoundedHandler, BoundedServer
from optimove_provider.emulator.model.object_store import StoredObject


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
        wanted = (found.key, found.version)
        return io.BytesIO(next(key.value for key in self._keys() if (key.name, str(key.version_id)) == wanted))


_CONTROL = "/moto-api"
"""Moto's own side door: it shows, and forgets, whatever it holds."""


def _guarded(app: Any, callers: Callers) -> Any:
    """The application, without its side door for callers who may not use ours, and closed to pages of other sites."""

    def guarded(environ: dict[str, Any], start_response: Any) -> Any:
        def header(name: str) -> str | None:
            variable = name.upper().replace("-", "_")
            found = environ.get(variable if name == "content-type" else f"HTTP_{variable}")
            return str(found) if found else None

        why = why_foreign(header, header("host") or "")
        if not why and f"/{environ['PATH_INFO'].lstrip('/')}".startswith(_CONTROL):
            why = callers.why_refused(environ["REQUEST_METHOD"], header, None)
        if not why:
            return app(environ, start_response)
        body = f"{why}\n".encode()
        start_response("403 Forbidden", [("content-type", "text/plain"), ("content-length", str(len(body)))])
        return [body]

    return guarded


class S3Server:
    """moto's S3 over HTTP, in a thread, until `stop`. Raises OSError if the port is taken."""

    def __init__(self, host: str, port: int, callers: Callers | None = None, idle_seconds: float = IDLE_SECONDS):
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
                _guarded(DomainDispatcherApplication(create_backend_app), callers or Callers(host)),
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
