"""What crosses the wire, as values: no I/O here.

A conversation with a vendor is a generator, a `Flow`. It yields a `Request` (or a `Sleep`) and is sent the answer: a
`Response`, or `Lost` when no answer came. Flows decide; the drivers in `clients.http.drive` only send and wait.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from string import Formatter
from typing import Any, TypeVar
from urllib.parse import quote

from optimove_provider.contract.wire.outside import redact
from optimove_provider.contract.wire.shown import shown

JSON_TYPE = "application/json"
MAX_LINK = 8000
"""Characters of a Link header that are read: of a longer one the next page may be out of sight."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of a vendor's API.

    `path` is relative to the base URL of `api`, with `{names}` in it. `retry_safe` says that sending the same request
    twice leaves the same state as sending it once. `least_wait_seconds` is the least wait after a 429 or 503.
    `source` quotes the page that documents the row, or begins with "assumed".
    """

    name: str
    api: str
    method: str
    path: str
    retry_safe: bool
    source: str
    least_wait_seconds: float = 0.0

    def request(self, body: bytes | None = None, **path: object) -> "Request":
        """Build the request; every path value is percent-encoded, `body` is JSON text as bytes."""
        encoded = {name: quote(str(value), safe="") for name, value in path.items()}
        headers = {} if body is None else {"Content-Type": JSON_TYPE}
        return Request(self.method, self.path.format(**encoded), headers, body, endpoint=self)

    @property
    def path_names(self) -> tuple[str, ...]:
        """The `{names}` of the path, in order."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `url` is a path relative to its API until the client's settings make it absolute.

    Headers and body stay out of the repr: they carry keys and customers' data. `timeout_seconds` bounds the wait for an
    answer, where the client's own timeout is longer.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    endpoint: Endpoint | None = field(default=None, repr=False)
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer. Header names become lower case; the body stays out of the repr.

    `repeated` says that an earlier try of the same request may have been carried out already, `tries` how often, and
    for how long, it was tried; `asked_seconds` for how long its server then asks to be left alone. `is_cut`: the body
    was too long, and its end is not here. `secrets` are what `shown` strikes out of whatever is shown of the answer;
    `url` is what was asked.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeated: bool = False
    tries: str = ""
    asked_seconds: float = 0.0
    is_cut: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False, compare=False)
    url: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "headers", {name.lower(): value for name, value in self.headers.items()})

    @property
    def ok(self) -> bool:
        """Any 2xx, which alone is no success yet: `success.judge` tells."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, without a byte order mark; bytes that are not of its encoding are replaced."""
        return self.body.decode(json.detect_encoding(self.body), "replace").removeprefix("\ufeff")

    def json(self) -> Any:
        """The body as JSON. Raises ValueError when it is none, or none that can be read; the error holds no body."""
        return read_json(self.body)

    def shown(self, text: str, limit: int) -> str:
        """The beginning of a text of this answer, in one line, without secrets."""
        return shown(redact(text, self.secrets, limit))

    @property
    def size(self) -> str:
        """How long the body is, and of which type, for an error that does not show it."""
        kind = self.shown(self.headers.get("content-type", "").partition(";")[0].strip(), _MAX_TYPE)
        return f"{len(self.body)} bytes of {kind or 'an unnamed type'}"


class NestedTooDeeply(ValueError):
    """JSON that is nested deeper than anything that either vendor documents."""


_MAX_TYPE = 100


def read_json(text: str | bytes, strict: bool = True) -> Any:
    """The value of a JSON text. Raises ValueError, which holds nothing of the text; NestedTooDeeply is one.

    `strict` refuses NaN, Infinity and numbers that no float or no counter holds: JSON has none, or no id is one.
    """
    refused = {"parse_constant": _no_number, "parse_float": _finite} if strict else {"parse_int": _any_size}
    try:
        return json.loads(text, **refused)
    except RecursionError:
        problem: ValueError = NestedTooDeeply("JSON that is nested too deeply")
    except ValueError:
        problem = ValueError("no JSON that can be read")
    raise problem  # here, and not above: the decoder's own error holds the whole text


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _no_number(text)


def _any_size(text: str) -> int | float:
    return int(text) if len(text) < _LONG_NUMBER else float(text)


_LONG_NUMBER = 100


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer came. `sent` is False only when it is certain that the request never left."""

    reason: str
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait `seconds` before going on; `why` is for the log."""

    seconds: float
    why: str = ""


T = TypeVar("T")
Answer = Response | Lost
Flow = Generator[Request | Sleep, Answer | None, T]
"""A conversation that ends in a T. A Request is answered by an Answer, a Sleep by None."""


def json_body(value: object) -> bytes:
    """JSON text as the vendors accept it: UTF-8, no NaN or infinity (ValueError)."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
