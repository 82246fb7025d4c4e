"""Sends requests over HTTP: the only file that knows the `requests` library."""

import logging
import os
import ssl
import threading
from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from ssl import SSLCertVerificationError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectTimeout, InvalidProxyURL, InvalidSchema, InvalidURL, ProxyError
from urllib3.exceptions import HTTPError, LocationParseError, MaxRetryError, NewConnectionError, SSLError

from optimove_provider import __version__
from optimove_provider.clients.http.deadline import Deadline, is_under_way, watched
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import MAX_LINK, Answer, Lost, Request, Response
from optimove_provider.contract.wire.outside import MAX_TEXT

if TYPE_CHECKING:
    from urllib3 import PoolManager

USER_AGENT = f"airflow-provider-optimove/{__version__}"
MAX_ANSWER_BYTES = 16_000_000
"""How long the body of an answer may be, unpacked. Of a longer one this much is read, and no more."""
_GRACE = 0.25
"""Seconds after the timeout, so that of an answer that never began it is told that nothing came."""
_CHUNK = 1 << 16
_CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_LONGEST_LABEL = 63
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_TALKATIVE = ("urllib3.connection", "urllib3.connectionpool", "urllib3.poolmanager", "urllib3.util.retry")
"""Loggers that write whole URLs, and what a server said, as it is: a history's URL, or an echo, may hold a secret."""


def _is_of_another(record: logging.LogRecord) -> bool:
    """Whether a library's line is not about a request of ours. What of those is to be said, their errors say."""
    return not is_under_way()


for _name in _TALKATIVE:
    logging.getLogger(_name).addFilter(_is_of_another)


class Transport:
    """A callable that sends a request. One session a thread, since a `requests.Session` is not thread-safe.

    Proxies and CA bundles of the environment count; logins of the environment (`.netrc`), and cookies, do not.
    `timeout_seconds` is for a whole request, to the last byte of its answer.
    """

    def __init__(self, timeout_seconds: float):
        self.timeout_seconds = timeout_seconds
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def __call__(self, request: Request) -> Answer:
        """Send one request with an absolute URL. A lost connection is a value, never an exception.

        Raises SettingsError for a proxy or a CA bundle of the environment that cannot be used.
        """
        seconds = min(self.timeout_seconds, request.timeout_seconds or self.timeout_seconds)
        with Deadline(seconds + _GRACE) as deadline:
            try:
                answer: Answer = self._send(request, seconds)
                problem = ""
            except Exception as error:  # requests lets those of other libraries pass, and has some of its own making
                problem = _misconfigured(error, request.url)
                answer = Lost(f"{_place(request.url)}: {_detail(error)}", sent=not _never_left(error))
        if problem:
            raise SettingsError(problem)  # outside of the handler: a library's error may hold a proxy's password
        if not deadline.is_over:
            return answer
        # What was read may look whole, where nothing says how long it is.
        reason = f"{_place(request.url)}: no whole answer within {seconds:g} s"
        return Lost(reason, sent=not isinstance(answer, Lost) or answer.sent)

    def close(self) -> None:
        """Close the sessions of all threads."""
        while self._sessions:
            self._sessions.pop().close()

    def _send(self, request: Request, seconds: float) -> Response:
        with self._session().request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
            timeout=seconds,
            # A redirect would carry the vendor's keys to wherever it points.
            allow_redirects=False,
            stream=True,
        ) as response:
            body, is_cut = _beginning(response.raw.stream(_CHUNK, decode_content=True))
            headers = {name.lower(): value[: _longest(name)] for name, value in response.headers.items()}
            return Response(response.status_code, body, headers, is_cut=is_cut)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = _new_session()
            self._sessions.append(session)
        return session


def _new_session() -> requests.Session:
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    session.headers["Accept-Encoding"] = "gzip, deflate"
    session.auth = _no_login
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


def _no_login(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
    """A login that adds nothing: without one of its own a session takes that of `.netrc`."""
    return prepared


class _Adapter(HTTPAdapter):
    """Connections that keep to the deadline of their request."""

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self.poolmanager = watched(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **named: Any) -> "PoolManager":
        return watched(super().proxy_manager_for(proxy, **named))


def _longest(header: str) -> int:
    return MAX_LINK if header.lower() == "link" else MAX_TEXT


def _beginning(chunks: Iterable[bytes]) -> tuple[bytes, bool]:
    """The body, and whether it goes on beyond what is read."""
    read = bytearray()
    for chunk in chunks:
        read += chunk
        if len(read) > MAX_ANSWER_BYTES:
            return bytes(read[:MAX_ANSWER_BYTES]), True
    return bytes(read), False


def _unusable_ca_bundle() -> str:
    """What is wrong with the certificates that the environment names; empty where nothing is."""
    name = next((name for name in _CA_BUNDLES if os.environ.get(name)), None)
    path = os.environ[name] if name else ""
    if not name or os.path.isdir(path):
        return ""
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        return f"{name} in the environment names {path!r}, which is no file of certificates: mend it, or unset it"
    return ""


def _misconfigured(error: Exception, url: str) -> str:
    """What of the environment has to be mended; empty for errors that say something of the other side."""
    names = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY in the environment"
    if isinstance(error, InvalidSchema) and "SOCKS" in str(error):
        return f"{names} names a SOCKS proxy, which needs the library PySocks: pip install 'requests[socks]'"
    of_an_address = isinstance(error, InvalidURL) or not isinstance(error, requests.RequestException)
    if isinstance(error, InvalidProxyURL) or (of_an_address and _proxy_is_odd()):
        return f"{names} is no URL of a proxy: expected http://host:port"
    return _unusable_ca_bundle() if url.startswith("https") else ""


def _proxy_is_odd() -> bool:
    return not all(_names_a_host(url) for scheme, url in getproxies().items() if scheme != "no")


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        labels = (parts.hostname or "").removesuffix(".").split(".")
        is_name = all(labels) and max(map(len, labels)) <= _LONGEST_LABEL and not any(map(_is_odd, url))
        return is_name and parts.scheme.lower() in _PROXY_SCHEMES and parts.port != 0
    except ValueError:
        return False


def _is_odd(character: str) -> bool:
    return character.isspace() or not character.isprintable()


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


def _place(url: str) -> str:
    """The host of a URL: the path and the query may hold secrets."""
    try:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or parts.scheme}"
    except ValueError:
        return "an address that is none"


def _detail(error: Exception) -> str:
    """What happened."""
    root = _root(error)
    detail = str(root).rpartition(": ")[2] if isinstance(root, HTTPError) else type(error).__name__
    return f"{type(error).__name__} ({detail})"
