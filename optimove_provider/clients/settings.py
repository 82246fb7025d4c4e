"""What a client needs to know, as frozen values. Secrets stay out of every repr."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies

from optimove_provider.clients.form import HISTORY_TOKEN, TABLE_ID, Form
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Request
from optimove_provider.contract.wire.outside import redact
from optimove_provider.contract.wire.targets import host_url, is_loopback

UploadMethod = Literal["auto", "multipart", "put"]
AUTHORIZATION = "Authorization"
AuthScheme = Literal["Token", "Bearer"]
TIMEOUT_SECONDS = 60.0
REQUESTS_PER_10S = 50.0
"""The main Optimove API documents 50 requests per 10 seconds; for these two APIs no limit is published."""
_WORD = re.compile(r"_?[a-z]{1,20}([_-][a-z]{1,20}){0,3}|v?\d{1,3}(\.\d+)?")
"""A part of a URL that says where, and is no secret."""
_LEAST_SECRET = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What both vendors' settings share. `timeout_seconds` is for a whole request, to the last byte of its answer.

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

    def key_names(self, endpoint: Endpoint | None) -> str:
        """Where a person finds the keys of an endpoint that refuses them."""
        return " and ".join(self.credentials(endpoint))

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
        url = request.url if "://" in request.url else self.base_url(api) + request.url
        return replace(request, url=url, headers=headers)

    @property
    def struck_out(self) -> tuple[str, ...]:
        """What is struck out of every text from outside: the connection's secrets, and those of the proxies."""
        return (*self.secrets, *_proxy_passwords())

    def redact(self, text: str) -> str:
        """The text with every secret replaced by ***, in whatever form it stands there."""
        return redact(text, self.struck_out)

    @property
    def addresses(self) -> Mapping[str, str]:
        """The URLs to which secrets or customers' data go, by the field's name."""
        return {"host": self.host}

    @property
    def warnings(self) -> list[str]:
        """What is not forbidden, and should not be so."""
        return [
            f"connection {self.conn_id!r}: {name} begins with http://, so that keys and customers' data can be read on "
            "their way; use https://"
            for name, url in self.addresses.items()
            if urlsplit(url).scheme == "http" and not is_loopback(urlsplit(url).hostname or "")
        ]


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
        form = Form(conn_id, fields)
        return form.finish(
            cls,
            host=form.host(optix.BASE_URL),
            api_key=form.required("password", "the x-api-key"),
            brand_api_key=form.required("brand_api_key", "the x-brand-key"),
            **_limits(form),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """Both keys."""
        return (self.api_key, self.brand_api_key)

    def credentials(self, endpoint: Endpoint | None) -> Mapping[str, str]:
        """Both keys, as the walkthrough sends them."""
        return {optix.API_KEY_HEADER: self.api_key, optix.BRAND_KEY_HEADER: self.brand_api_key}

    def base_url(self, api: str) -> str:
        """Opti-X has one API."""
        return self.host


@dataclass(frozen=True, slots=True, kw_only=True)
class DcpSettings(Settings):
    """Settings of Dynamic Customer Profiles.

    `auth_scheme` says how the token goes along: in a header of its own (a classic token), or as an OAuth 2.0 Bearer.
    `rest_token` is of the REST API v2, at `rest_host`, which knows no classic one; "" where nobody asks there.
    `upload_method` says how files go up: in parts, with one PUT, or in parts unless S3 refuses that.
    `upload_history_url` is a template with {table_id} in it, or empty. Where {upload_history_token} is in it, the token
    goes there; else it is a header of its own.
    """

    token: str = field(repr=False)
    auth_scheme: AuthScheme = "Token"
    profile_host: str = field(default=profiles.BASE_URL, repr=False)
    rest_host: str = field(default=subject_access.BASE_URL, repr=False)
    rest_token: str = field(default="", repr=False)
    import_bucket: str = dcp.IMPORT_BUCKET
    s3_endpoint_url: str = field(default="", repr=False)
    region: str = dcp.S3_REGION
    aws_conn_id: str = ""
    upload_method: UploadMethod = "auto"
    upload_history_url: str = field(default="", repr=False)
    upload_history_token: str = field(default="", repr=False)

    @classmethod
    def read(cls, conn_id: str, fields: Mapping[str, Any]) -> Self:
        """Read the fields of a connection: host, port, password, and the extras that bear the names of the attributes.

        Raises SettingsError, which names everything that is missing or wrong at once.
        """
        form = Form(conn_id, fields)
        return form.finish(
            cls,
            host=form.host(dcp.BASE_URL),
            token=form.bare_token("password", "the classic token"),
            auth_scheme=form.choice("auth_scheme", get_args(AuthScheme)),
            profile_host=form.place("profile_host", profiles.BASE_URL),
            rest_host=form.place("rest_host", subject_access.BASE_URL),
            rest_token=form.secret("rest_token", "the REST API v2 token"),
            import_bucket=form.text("import_bucket", dcp.IMPORT_BUCKET),
            s3_endpoint_url=form.place("s3_endpoint_url", ""),
            region=form.text("region", dcp.S3_REGION),
            aws_conn_id=form.text("aws_conn_id", ""),
            upload_method=form.choice("upload_method", get_args(UploadMethod)),
            upload_history_url=form.template("upload_history_url"),
            upload_history_token=form.secret("upload_history_token", "the upload history's own token"),
            **_limits(form),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The token, the history's own, and what of the history's URL may be one."""
        # A token may begin with the name of its scheme, which is none of the secret.
        token = (self.upload_history_token, self.upload_history_token.rpartition(" ")[2])
        history = (*dict.fromkeys(token), *_secrets_of(self.upload_history_url))
        return (self.token, *filter(None, (self.rest_token, *history)))

    @property
    def addresses(self) -> Mapping[str, str]:
        """The three hosts, S3 and the history."""
        places = {"profile_host": self.profile_host, "rest_host": self.rest_host}
        places["s3_endpoint_url"] = self.s3_endpoint_url
        return {"host": self.host, **places, "upload_history_url": self.upload_history_url}

    @property
    def warnings(self) -> list[str]:
        """And that Airflow shows the history's URL to whoever may see connections."""
        if not _secrets_of(self.upload_history_url):
            return super(DcpSettings, self).warnings
        told = (
            f"connection {self.conn_id!r}: upload_history_url seems to hold a secret, which Airflow's pages show; put "
            f"it into upload_history_token, and {HISTORY_TOKEN} in its place, or nothing if a header may carry it"
        )
        return [*super(DcpSettings, self).warnings, told]

    def credentials(self, endpoint: Endpoint | None) -> Mapping[str, str]:
        """The token; for the REST API v2 another one; for the upload history, which is no vendor's, its own one, if it
        has one."""
        if _is_of_v2(endpoint):
            return _bearer(self.rest_token)
        if endpoint is not dcp.UPLOAD_HISTORY:
            return {dcp.TOKEN_HEADER: self.token} if self.auth_scheme == "Token" else _bearer(self.token)
        if not self.upload_history_token or HISTORY_TOKEN in self.upload_history_url:
            return {}
        token = self.upload_history_token
        return {AUTHORIZATION: token} if " " in token else _bearer(token)

    def key_names(self, endpoint: Endpoint | None) -> str:
        """The token's header, and by which scheme it is made; or the fields of the REST API v2, and of the history."""
        if _is_of_v2(endpoint):
            return "rest_token"
        if endpoint is dcp.UPLOAD_HISTORY:
            return "upload_history_url or upload_history_token"
        return f"{super(DcpSettings, self).key_names(endpoint)} (auth_scheme {self.auth_scheme})"

    def base_url(self, api: str) -> str:
        """The profile host, the REST API v2's, or the config host; the history's URL is a template of its own."""
        if api == subject_access.API:
            return self.rest_host
        return self.profile_host if api == profiles.API else self.host

    def address(self, request: Request) -> Request:
        """As for any vendor; but the history is no vendor's, so it is asked without the vendor's token."""
        if _is_of_v2(request.endpoint) and not self.rest_token:
            raise SettingsError(
                f"connection {self.conn_id!r}: set rest_token, a personal access token of Optimizely's REST API v2, or "
                "one of OAuth 2.0: that API takes no classic token"
            )
        if request.endpoint is not dcp.UPLOAD_HISTORY:
            return super(DcpSettings, self).address(request)
        if not self.upload_history_url:
            raise SettingsError(
                f"connection {self.conn_id!r}: set upload_history_url (a URL with {{table_id}} in it) to read the "
                "upload history; the vendor documents no endpoint for it"
            )
        token = quote(self.upload_history_token, safe="")
        first = self.upload_history_url.replace(TABLE_ID, request.url).replace(HISTORY_TOKEN, token)
        url = request.url if "://" in request.url else first
        return replace(request, url=url, headers={**request.headers, **self.credentials(request.endpoint)})


def _is_of_v2(endpoint: Endpoint | None) -> bool:
    return endpoint is not None and endpoint.api == subject_access.API


def _bearer(token: str) -> dict[str, str]:
    return {AUTHORIZATION: f"Bearer {token}"}


def _limits(form: Form) -> dict[str, Any]:
    """What every connection may say of how it is used."""
    return {
        "target_alias": form.alias(),
        "timeout_seconds": form.number("timeout_seconds", TIMEOUT_SECONDS, most=86_400),
        "requests_per_10s": form.number("requests_per_10s", REQUESTS_PER_10S, most=1_000_000),
    }


def _proxy_passwords() -> list[str]:
    """The passwords of the environment's proxies: their errors, and their pages, may show them.

    Of a login without one, which is a key then, the name.
    """
    users = [url.rpartition("@")[0].rpartition("://")[2] for url in getproxies().values()]
    passwords = [user.partition(":")[2] or user.removesuffix(":") for user in users]
    return [one for password in passwords for one in {password, unquote(password)} if one]


def _secrets_of(url: str) -> list[str]:
    """What of a URL may be a secret: each value of its query, and each part of its path that is no plain word."""
    parts = urlsplit(url)
    values = [one.partition("=")[2] or one for one in parts.query.split("&")]
    odd = [one for one in parts.path.split("/") if not _WORD.fullmatch(one)]
    bare = [one.replace(TABLE_ID, "").replace(HISTORY_TOKEN, "") for one in (*values, *odd)]
    return sorted({form for one in bare if len(one) >= _LEAST_SECRET for form in (one, unquote(one))})
