"""Reads the fields of a connection: one error names all that is wrong, and shows nothing that may be a secret."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import NoOneForm, host_url, names_user

TABLE_ID, HISTORY_TOKEN = "{table_id}", "{upload_history_token}"
T = TypeVar("T")

_LEAST = 0.001
_SHOWN_HOST, _SHOWN_LABEL, _SHOWN_WORD = 60, 30, 15
"""Characters of what may be a host, of one of its labels, and of a word without a dot: keys are longer."""
_WITH_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]*\]|[^:\[\]]*)(?::\d{0,5})?", re.ASCII)
_PLACE = re.compile(r"(?:[A-Za-z]{1,6}:)?(?://)?[\w.:\[\]-]*", re.ASCII)


class Form:
    """Reads a connection's fields and remembers every complaint. An empty field counts as one left out."""

    def __init__(self, conn_id: str, fields: Mapping[str, Any]):
        self.conn_id, self.fields = conn_id, fields
        self.complaints: list[str] = []

    def text(self, name: str, default: str) -> str:
        """A field's text, or the default."""
        value = self.fields.get(name)
        return ("" if value is None else str(value).strip()) or default

    def secret(self, name: str, what: str) -> str:
        """A text that goes into a header, or an empty one."""
        value = self.text(name, "")
        if not (value.isascii() and (value.isprintable() or not value)):
            self.complaints.append(f"{name} ({what}) has characters that no header can carry: copy it anew")
        return value

    def required(self, name: str, what: str) -> str:
        """A secret that must be there."""
        value = self.secret(name, what)
        if not value:
            self.complaints.append(f"{name} ({what}) is missing")
        return value

    def place(self, name: str, default: str, port: str = "") -> str:
        """A base URL in its one form; a port that is named beside it goes in, unless the URL has one."""
        value = self.text(name, default)
        try:
            _refuse_user(value)
            return host_url(value, port) if value else ""
        except NoOneForm as error:
            self._complain(name, value, str(error))
            return ""

    def host(self, default: str) -> str:
        """The host's base URL, with the connection's port."""
        return self.place("host", default, self.text("port", ""))

    def alias(self) -> str:
        """The field `target_alias`."""
        value = self.text("target_alias", "")
        if value not in ("", "same", "other"):
            self.complaints.append(f"target_alias {value!r:.50}: expected same, other, or nothing")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of some words; the first one where there is none."""
        value = self.text(name, choices[0])
        if value not in choices:
            self.complaints.append(f"{name} {value!r:.50}: expected {', '.join(choices[:-1])} or {choices[-1]}")
        return value

    def bare_token(self, name: str, what: str) -> str:
        """A secret that must be there, without the word of a scheme before it."""
        value = self.required(name, what)
        scheme, blank, _ = value.partition(" ")
        if blank and scheme.casefold().rstrip(":") in ("bearer", "token"):
            self.complaints.append(
                f"{name} ({what}) begins with {scheme!r}: enter the token alone, and set auth_scheme"
            )
        return value

    def template(self, name: str) -> str:
        """A URL with the place of a table's id in it, and perhaps a query; or an empty text."""
        value = self.text(name, "").rstrip("/")
        if not value:
            return ""
        address, _, query = value.replace(TABLE_ID, "0").replace(HISTORY_TOKEN, "0").partition("?")
        try:
            _refuse_user(address)
            host_url(address)
            if _unfit(query):
                raise NoOneForm("has a character in its query that no URL may have: percent-encode it")
            if TABLE_ID not in value:
                raise NoOneForm(f"lacks {TABLE_ID}")
        except NoOneForm as error:
            self._complain(name, value, str(error))
        return value

    def number(self, name: str, default: float, most: float) -> float:
        """A positive number that is neither too small nor too large to be one of seconds or requests."""
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < math.inf:
            self.complaints.append(f"{name} {value!r:.50} is no positive number")
        elif not _LEAST <= number <= most:
            self.complaints.append(f"{name} {value!r:.50} is no number from {_LEAST:g} to {most:g}")
        return number

    def finish(self, kind: Callable[..., T], **values: Any) -> T:
        """The settings. Raises SettingsError with all complaints."""
        if self.complaints:
            raise SettingsError(
                f"connection {self.conn_id!r}: " + "; ".join(self.complaints) + ". Mend the connection's fields"
            )
        return kind(conn_id=self.conn_id, **values)

    def _complain(self, name: str, value: str, problem: str) -> None:
        self.complaints.append(f"{name}{_recognisable(value)} {problem}")


def _refuse_user(value: str) -> None:
    if names_user(value):
        raise NoOneForm(
            "has a user or a password (user:password@) before its host, which is refused: keys have fields of their own"
        )


def _unfit(query: str) -> bool:
    return "#" in query or any(one.isspace() or not one.isprintable() or one in '\\{}<>"' for one in query)


def _recognisable(value: str) -> str:
    """As much of a mistyped URL as tells which it is: its host. Whatever else may be a password, or a token."""
    _, at, after = value.rpartition("@")
    scheme, slashes, rest = ("", "", after) if at or "://" not in after else after.partition("://")
    host = re.split(r"[/?#\\]", rest, maxsplit=1)[0] if at or slashes or not rest.startswith("//") else rest
    if not _WITH_PORT.fullmatch(host):  # what stands for a port may be a password whose host was forgotten
        host = re.split(r"[:\[]", host, maxsplit=1)[0]
    shown = f"{scheme}{slashes}{host}"
    is_long = len(host) > _SHOWN_WORD and not {".", ":"} & set(host)
    if not host or is_long or max(map(len, host.split("."))) > _SHOWN_LABEL or not _PLACE.fullmatch(shown):
        return ""
    user = "***@" if at else ""
    return f" {user + shown[:_SHOWN_HOST]!r}" + "..." * (len(shown) > _SHOWN_HOST)
