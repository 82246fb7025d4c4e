"""From a request to the handler of the contract row that it fits. No I/O here."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint, Request, Response
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.replies import Refusal, read_json

PREFIXES: Mapping[str, str] = {
    optix.API: "/api/data-connections/v1",
    dcp.API: "/experiment/v1",
    profiles.API: "/vis/api",
    subject_access.API: "/v2",
    dcp.HISTORY_API: "/_emulator/uploads/",
}
"""Where each API of the contract is served."""

_PATH = re.compile(r"(?:[a-z]+://[^/?#]*)?([^?#]*)", re.IGNORECASE)


@dataclass
class Call:
    """A request on its way to a handler. `path` holds the decoded values of the row's `{names}`.

    `endpoint` is None where the URL fits no row.
    """

    state: State
    request: Request
    api: "Api | None" = None
    endpoint: Endpoint | None = None
    path: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def json(self) -> Any:
        """The body's JSON value. Raises Refusal 400."""
        return read_json(self.request.body)

    @cached_property
    def sha256(self) -> str | None:
        """The digest of the body, in hex: two requests with the same are byte for byte repeats."""
        return hashlib.sha256(self.request.body).hexdigest() if self.request.body else None

    def header(self, name: str) -> str | None:
        """A header's value, whatever the case of its name."""
        for found, value in self.request.headers.items():
            if found.lower() == name.lower():
                return value
        return None

    def number(self, name: str) -> int:
        """A path value that is an id. Raises Refusal 404 when it is no number, as nothing has such an id."""
        text = self.path[name]
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise Refusal(404, f"{text!r} is no id")
        return int(text)


Handler = Callable[[Call], Response]


@dataclass(frozen=True)
class Api:
    """One API under one prefix: who is let in, what answers each row, how a refusal looks."""

    prefix: str
    handlers: Mapping[Endpoint, Handler]
    admit: Callable[[Call], None]
    refuse: Callable[[State, Refusal], Response]
    trailing_slash: bool = False

    def owns(self, path: str) -> bool:
        """Whether the path lies under the prefix."""
        return path == self.prefix or path.startswith(self.prefix.rstrip("/") + "/")

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """The row that a request fits, and the values of its names."""
        given = (path.removesuffix("/") if self.trailing_slash else path).split("/")
        for endpoint in self.handlers:
            values = _fit(f"{self.prefix}{endpoint.path}".split("/"), given)
            if endpoint.method == method and values is not None:
                return endpoint, values
        return None

    def answer(self, call: Call) -> Response:
        """Let the row's handler answer; refusals take this API's form."""
        try:
            self.admit(call)
            if call.endpoint is None:
                raise self._unknown(call.request.method, url_path(call.request.url))
            return self.handlers[call.endpoint](call)
        except Refusal as refusal:
            answer = self.refuse(call.state, refusal)
            return Response(answer.status, answer.body, {**answer.headers, **refusal.headers})

    def _unknown(self, method: str, path: str) -> Refusal:
        """Why no row fits: a path that none has, or a method. Guess: of either, what HTTP has for it."""
        there = [row.method for row in self.handlers if self.find(row.method, path)]
        if not there:
            return Refusal(404, f"there is no {method} {path}")
        allowed = ", ".join(dict.fromkeys(there))
        return Refusal(405, f"there is no {method} {path}, only {allowed}", headers={"allow": allowed})


def url_path(url: str) -> str:
    """The path of an absolute URL, or of one that is a path already, still percent-encoded."""
    found = _PATH.match(url)
    return found[1] if found else url


def _fit(template: list[str], given: list[str]) -> dict[str, str] | None:
    if len(template) != len(given):
        return None
    values = {}
    for expected, segment in zip(template, given, strict=True):
        text = unquote(segment)
        if expected.startswith("{") and text:
            values[expected[1:-1]] = text
        elif expected != text:
            return None
    return values
