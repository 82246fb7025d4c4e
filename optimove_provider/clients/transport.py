"""Sends requests over HTTP: the only file that knows the `requests` library."""

import threading
from ssl import SSLCertVerificationError
from urllib.parse import urlsplit

import requests
from requests.exceptions import ConnectTimeout, InvalidURL, ProxyError
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, NewConnectionError, SSLError

from optimove_provider import __version__
from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response

USER_AGENT = f"airflow-provider-optimove/{__version__}"


class Transport:
    """A callable that sends a request. One session a thread, since a `requests.Session` is not thread-safe."""

    def __init__(self, timeout_seconds: float):
        self.timeout_seconds = timeout_seconds
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def __call__(self, request: Request) -> Answer:
        """Send one request with an absolute URL. A lost connection is a value, never an exception."""
        try:
            response = self._session().request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,
                timeout=min(self.timeout_seconds, request.timeout_seconds or self.timeout_seconds),
                # A redirect would carry the vendor's keys to wherever it points.
                allow_redirects=False,
            )
        except (requests.RequestException, HTTPError) as error:
            return Lost(_reason(request.url, error), sent=not _never_left(error))
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, response.content, headers)

    def close(self) -> None:
        """Close the sessions of all threads."""
        while self._sessions:
            self._sessions.pop().close()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.headers["User-Agent"] = USER_AGENT
            self._sessions.append(session)
        return session


def _root(error: Exception) -> object:
    inner = error.args[0] if error.args else error
    return inner.reason if isinstance(inner, MaxRetryError) else inner


def _never_left(error: Exception) -> bool:
    if isinstance(error, ConnectTimeout | InvalidURL | LocationParseError | ProxyError):
        return True
    root = _root(error)
    # Other trouble with TLS may come with the answer.
    untrusted = isinstance(root, SSLError) and isinstance(root.args[0], SSLCertVerificationError)
    return untrusted or isinstance(root, NewConnectionError)


def _reason(url: str, error: Exception) -> str:
    """What happened and to which host: the path and the query of a URL may hold secrets."""
    parts = urlsplit(url)
    root = _root(error)
    detail = str(root).rpartition(": ")[2] if isinstance(root, HTTPError) else type(error).__name__
    return f"{parts.scheme}://{parts.hostname}:{parts.port or parts.scheme}: {type(error).__name__} ({detail})"
