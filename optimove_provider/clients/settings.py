"""What a client needs to know, as frozen values. Secrets stay out of every repr."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Request
from optimove_provider.contract.wire.targets import NoOneForm, host_url

TIMEOUT_SECONDS = 60.0
REQUESTS_PER_10S = 50.0
"""The main Optimove API documents 50 requests per 10 seconds; for these two APIs no limit is published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What both vendors' settings share. `timeout_seconds` bounds connecting, and each wait for an answer.

    `host` has the one form of `contract.wire.targets`. `target_alias` says of a uuid or table that has a ledger under
    another host whether that is the "same" target or an "other" one; "" where nobody said.
    """

    conn_id: str
    host: str = field(repr=False)
    target_alias: str = ""
    timeout_seconds: float = TIMEOUT_SECONDS
    requests_per_10s: float = REQUESTS_PER_10S

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that must never be shown."""
        raise NotImplementedError

    def credentials(self, endpoint: Endpoint | None) -> Mapping[str, str]:
        """The headers that authenticate a request to an endpoint, by the vendor's names."""
        raise NotImplementedError

    def base_url(self, api: str) -> str:
        """Where the paths of `api` begin."""
        raise NotImplementedError

    def target(self, kind: str, target: str | int) -> dict[str, str | int]:
        """What a report calls a target: {"optix": uuid, "host": ...} or {"dcp": table, "host": ...}."""
        alias = {"target_alias": self.target_alias} if self.target_alias else {}
        return {kind: target, "host": self.place, **alias}

    @property
    def place(self) -> str:
        """The host as ledgers and reports know it: without user and password."""
        return host_url(self.host)

    def address(self, request: Request) -> Request:
        """The request with an absolute URL and the vendor's headers: ready to be sent."""
        api = request.endpoint.api if request.endpoint else ""
        headers = {**request.headers, **self.credentials(request.endpoint)}
        return replace(request, url=self.base_url(api) + request.url, headers=headers)

    def redact(self, text: str) -> str:
        """The text with every secret replaced by ***."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class OptixSettings(Settings):
    """Settings of Opti-X Data Connections."""

    api_key: str = field(repr=False)
    brand_api_key: str = field(repr=False)

    @classmethod
    def read(cls, conn_id: str, fields: Mapping[str, Any]) -> Self:
        """Read the fields of a connection: host, port, password, brand_api_key, timeout_seconds, requests_per_10s,
        target_alias.

        Raises SettingsError, which names everything that is missing or wrong at once.
        """
        form = _Form(conn_id, fields)
        return form.finish(
            cls,
            host=form.host(optix.BASE_URL),
            api_key=form.required("password", "the x-api-key"),
            brand_api_key=form.required("brand_api_key", "the x-brand-key"),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Both keys, and a password in the host's URL."""
        return (self.api_key, self.brand_api_key, *_passwords(self.host))

    def credentials(self, endpoint: Endpoint | None) -> Mapping[str, str]:
        """Both keys, as the walkthrough sends them."""
        return {optix.API_KEY_HEADER: self.api_key, optix.BRAND_KEY_HEADER: self.brand_api_key}

    def base_url(self, api: str) -> str:
        """Opti-X has one API."""
        return self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class DcpSettings(Settings):
    """Settings of Dynamic Customer Profiles. `upload_history_url` is a template with {table_id} in it, or empty."""

    token: str = field(repr=False)
    profile_host: str = field(default=profiles.BASE_URL, repr=False)
    import_bucket: str = dcp.IMPORT_BUCKET
    s3_endpoint_url: str = field(default="", repr=False)
    region: str = dcp.S3_REGION
    aws_conn_id: str = ""
    upload_history_url: str = field(default="", repr=False)

    @classmethod
    def read(cls, conn_id: str, fields: Mapping[str, Any]) -> Self:
        """Read the fields of a connection: host, port, password, and the extras that bear the names of the attributes.

        Raises SettingsError, which names everything that is missing or wrong at once.
        """
        form = _Form(conn_id, fields)
        return form.finish(
            cls,
            host=form.host(dcp.BASE_URL),
            token=form.required("password", "the classic token"),
            profile_host=form.place("profile_host", profiles.BASE_URL),
            import_bucket=form.text("import_bucket", dcp.IMPORT_BUCKET),
            s3_endpoint_url=form.url("s3_endpoint_url", ""),
            region=form.text("region", dcp.S3_REGION),
            aws_conn_id=form.text("aws_conn_id", ""),
            upload_history_url=form.template("upload_history_url", "{table_id}"),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token, and passwords in URLs."""
        urls = (self.host, self.profile_host, self.s3_endpoint_url, self.upload_history_url)
        return (self.token, *_passwords(*urls))

    def credentials(self, endpoint: Endpoint | None) -> Mapping[str, str]:
        """The classic token; none for the upload history, which is no vendor's."""
        return {} if endpoint is dcp.UPLOAD_HISTORY else {dcp.TOKEN_HEADER: self.token}

    def base_url(self, api: str) -> str:
        """The profile host, or the config host; the history's URL is a template of its own."""
        return self.profile_host if api == profiles.API else self.host

    def address(self, request: Request) -> Request:
        """As for any vendor; but the history is no vendor's, so it is asked without the vendor's token."""
        if request.endpoint is not dcp.UPLOAD_HISTORY:
            return super(DcpSettings, self).address(request)
        if not self.upload_history_url:
            raise SettingsError(
                f"connection {self.conn_id!r}: set upload_history_url (a URL with {{table_id}} in it) to read the "
                "upload history; the vendor documents no endpoint for it"
            )
        return replace(request, url=self.upload_history_url.replace("{table_id}", request.url))


S = TypeVar("S", bound=Settings)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


_USER = re.compile(r"^([^/]*//)?[^/?#]*@")


def _shown(url: str) -> str:
    """A URL, or what was to be one, without the user and the password in it."""
    return _USER.sub(lambda found: f"{found[1] or ''}***@", url)


def _passwords(*urls: str) -> tuple[str, ...]:
    """The passwords that stand in URLs."""
    return tuple(found for url in urls if (found := urlsplit(url).password))


class _Form:
    """Reads a connection's fields and remembers every complaint. An empty field counts as one left out."""

    def __init__(self, conn_id: str, fields: Mapping[str, Any]):
        self.conn_id, self.fields = conn_id, fields
        self.complaints: list[str] = []

    def text(self, name: str, default: str) -> str:
        value = self.fields.get(name)
        return ("" if value is None else str(value).strip()) or default

    def required(self, name: str, what: str) -> str:
        value = self.text(name, "")
        if not value:
            self.complaints.append(f"{name} ({what}) is missing")
        elif not (value.isascii() and value.isprintable()):
            self.complaints.append(f"{name} ({what}) has characters that no header can carry")
        return value

    def url(self, name: str, default: str) -> str:
        value = self.text(name, default).rstrip("/")
        if value and not _is_url(value):
            self.complaints.append(f"{name} {_shown(value)!r} is no URL: begin it with https://")
        return value

    def place(self, name: str, default: str, port: str = "") -> str:
        """A base URL in its one form; a port that is named beside it goes in, unless the URL has one."""
        value = self.text(name, default)
        try:
            return host_url(value, port, with_user=True)
        except NoOneForm as error:
            self.complaints.append(f"{name} {_shown(value)!r} {error}")
            return value

    def host(self, default: str) -> str:
        """The host's base URL, with the connection's port."""
        return self.place("host", default, self.text("port", ""))

    def alias(self) -> str:
        value = self.text("target_alias", "")
        if value not in ("", "same", "other"):
            self.complaints.append(f"target_alias {value!r}: expected same, other, or nothing")
        return value

    def template(self, name: str, placeholder: str) -> str:
        value = self.url(name, "")
        if value and placeholder not in value:
            self.complaints.append(f"{name} {_shown(value)!r} lacks {placeholder}")
        return value

    def positive(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number < float("inf"):
            self.complaints.append(f"{name} {value!r} is no positive number")
        return number

    def finish(self, kind: type[S], **values: Any) -> S:
        values["timeout_seconds"] = self.positive("timeout_seconds", TIMEOUT_SECONDS)
        values["target_alias"] = self.alias()
        values["requests_per_10s"] = self.positive("requests_per_10s", REQUESTS_PER_10S)
        if self.complaints:
            raise SettingsError(f"connection {self.conn_id!r}: " + "; ".join(self.complaints))
        return kind(conn_id=self.conn_id, **values)
