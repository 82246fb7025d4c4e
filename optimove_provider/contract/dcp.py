"""Dynamic Customer Profiles (DCP): endpoints, limits, and the conversations over them. No I/O here.

Sources: "guide" is the current "Customer Profiles" page (docs.developers.optimizely.com); "REST reference" is the
vendor's archived reference of 2020, folders dcpservices, dcptables, dcpattributes, overview.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optimove_provider.contract.datatypes import Attribute
from optimove_provider.contract.errors import Disagreement, SettingsError, UnreadableAnswer, succeed
from optimove_provider.contract.uploads import HistoryEntry, Outcome, Verdict, judge
from optimove_provider.contract.wire import Endpoint, Flow, Response, Sleep, T, json_body

API = "dcp"
HISTORY_API = "dcp_history"
BASE_URL = "https://www.optimizelyapis.com/experiment/v1"
PROFILE_BASE_URL = "https://vis.optimizely.com/api"
TOKEN_HEADER = "Token"  # noqa: S105 - the name of a header, not a token
IMPORT_BUCKET = "optimizely-import"
S3_REGION = "us-east-1"
"""The region is documented nowhere; this one is what third-party uploaders use (inferred)."""

LOCATOR_TYPES = ("cookie", "query parameter", "js_variable", "uid")
LOCATOR_NAME = re.compile(r"[a-zA-Z_][a-zA-Z_0-9$]*")
"""Both: REST reference, dcptables. A name is required unless the type is `uid`, which has none."""


def _row(name: str, method: str, path: str, source: str, *, retry_safe: bool) -> Endpoint:
    # REST reference, overview: after a 429 or 503, wait at least 60 seconds.
    return Endpoint(name, API, method, path, retry_safe, f"REST reference, {source}", least_wait_seconds=60.0)


LIST_SERVICES = _row("list_services", "GET", "/dcp_services", "dcpservices, list", retry_safe=True)
CREATE_SERVICE = _row("create_service", "POST", "/dcp_services", "dcpservices, create", retry_safe=False)
LIST_TABLES = _row(
    "list_tables", "GET", "/dcp_services/{service_id}/dcp_datasources", "dcptables, list", retry_safe=True
)
CREATE_TABLE = _row(
    "create_table",
    "POST",
    "/dcp_services/{service_id}/dcp_datasources",
    "dcptables, create",
    retry_safe=False,
)
READ_TABLE = _row("read_table", "GET", "/dcp_datasources/{table_id}", "dcptables, read", retry_safe=True)
LIST_ATTRIBUTES = _row(
    "list_attributes",
    "GET",
    "/dcp_datasources/{table_id}/dcp_datasource_attributes",
    "dcpattributes, list",
    retry_safe=True,
)
CREATE_ATTRIBUTE = _row(
    "create_attribute",
    "POST",
    "/dcp_datasources/{table_id}/dcp_datasource_attributes",
    "dcpattributes, create",
    retry_safe=False,
)
UPLOAD_HISTORY = Endpoint(
    "upload_history",
    HISTORY_API,
    "GET",
    "{table_id}",
    retry_safe=True,
    source="assumed: the vendor documents no endpoint for its Upload History. The URL is the one that the connection's "
    "`upload_history_url` names; the table id takes the place of its {table_id}.",
)
ENDPOINTS = (
    LIST_SERVICES,
    CREATE_SERVICE,
    LIST_TABLES,
    CREATE_TABLE,
    READ_TABLE,
    LIST_ATTRIBUTES,
    CREATE_ATTRIBUTE,
    UPLOAD_HISTORY,
)


@dataclass(frozen=True, slots=True)
class Service:
    """A DCP service: at most one an account, the parent of all tables."""

    id: int
    name: str
    archived: bool = False

    @classmethod
    def from_json(cls, service: Mapping[str, Any]) -> "Service":
        """Read a service as the API returns it; the AWS keys it carries are left behind."""
        return cls(int(service["id"]), str(service["name"]), bool(service.get("archived")))


@dataclass(frozen=True, slots=True)
class Table:
    """A table (a "datasource" in URLs): where imports for it go, and with which keys. The keys stay out of the repr."""

    id: int
    name: str
    service_id: int
    keyfield_locator_type: str = ""
    keyfield_locator_name: str | None = None
    archived: bool = False
    s3_path: str = ""
    aws_access_key: str = field(default="", repr=False)
    aws_secret_key: str = field(default="", repr=False)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Table":
        """Read a table as the API returns it."""
        return cls(
            id=int(table["id"]),
            name=str(table["name"]),
            service_id=int(table.get("dcp_service_id") or 0),
            keyfield_locator_type=str(table.get("keyfield_locator_type") or ""),
            keyfield_locator_name=table.get("keyfield_locator_name"),
            archived=bool(table.get("archived")),
            s3_path=str(table.get("s3_path") or ""),
            aws_access_key=str(table.get("aws_access_key") or ""),
            aws_secret_key=str(table.get("aws_secret_key") or ""),
        )


@dataclass(frozen=True, slots=True)
class Ensured:
    """What an ensure flow found or made: its id, and the names it had to create."""

    id: int
    created: tuple[str, ...] = ()


def _objects(endpoint: Endpoint, response: Response, wanted: type) -> Any:
    try:
        found = response.json()
    except ValueError:
        found = None
    if not isinstance(found, wanted):
        raise UnreadableAnswer(endpoint, response, f"a JSON {'array' if wanted is list else 'object'}")
    return found


def _read(endpoint: Endpoint, response: Response, read: Callable[[Any], T], found: object) -> T:
    try:
        return read(found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UnreadableAnswer(endpoint, response, f"an object as documented ({error!r})") from None


def _list(endpoint: Endpoint, read: Callable[[Any], T], **path: object) -> Flow[list[T]]:
    response = succeed(endpoint, (yield endpoint.request(None, **path)))
    return [_read(endpoint, response, read, found) for found in _objects(endpoint, response, list)]


def _create(endpoint: Endpoint, wanted: Mapping[str, Any], **path: object) -> Flow[Response]:
    body = json_body({name: value for name, value in wanted.items() if value is not None})
    return succeed(endpoint, (yield endpoint.request(body, **path)))


def _id(endpoint: Endpoint, response: Response) -> int:
    return _read(endpoint, response, lambda created: int(created["id"]), _objects(endpoint, response, dict))


def list_services() -> Flow[list[Service]]:
    """All services of the account, archived ones included if the API lists them."""
    return (yield from _list(LIST_SERVICES, Service.from_json))


def read_table(table_id: int) -> Flow[Table]:
    """One table, with the AWS keys and the S3 path of its imports."""
    response = succeed(READ_TABLE, (yield READ_TABLE.request(table_id=table_id)))
    return _read(READ_TABLE, response, Table.from_json, _objects(READ_TABLE, response, dict))


def list_attributes(table_id: int) -> Flow[list[Attribute]]:
    """The attributes registered for a table, archived ones included if the API lists them."""
    return (yield from _list(LIST_ATTRIBUTES, Attribute.from_json, table_id=table_id))


def ensure_service(name: str) -> Flow[Ensured]:
    """Keep the account's service, or create it. An account has at most one, so one under another name is kept too.

    Where Support has allowed several, the one called `name` is meant; without it the choice is left to a person.
    """
    services = [service for service in (yield from list_services()) if not service.archived]
    named = [service for service in services if service.name == name] or services
    if len(named) > 1:
        names = ", ".join(f"{service.name!r} ({service.id})" for service in named)
        raise Disagreement(f"the account has several DCP services, and {name!r} does not name one: {names}")
    if named:
        return Ensured(named[0].id)
    created = yield from _create(CREATE_SERVICE, {"name": name})
    return Ensured(_id(CREATE_SERVICE, created), (name,))


def check_locator(locator_type: str, locator_name: str | None) -> None:
    """Raise SettingsError unless type and name are what the API documents."""
    if locator_type not in LOCATOR_TYPES:
        raise SettingsError(f"keyfield_locator_type {locator_type!r}: expected one of {', '.join(LOCATOR_TYPES)}")
    if locator_type == "uid":
        if locator_name is not None:
            raise SettingsError("keyfield_locator_name: a table located by uid has none; leave it out")
    elif not LOCATOR_NAME.fullmatch(locator_name or ""):
        raise SettingsError(
            f"keyfield_locator_name {locator_name!r}: a {locator_type} locator needs a name that matches "
            f"{LOCATOR_NAME.pattern}"
        )


def ensure_table(
    service_id: int,
    name: str,
    keyfield_locator_type: str,
    keyfield_locator_name: str | None = None,
    description: str | None = None,
) -> Flow[Ensured]:
    """Keep the service's table of this name, or create it. A table that locates customers otherwise is an error.

    The description is set at creation and not compared: people edit it.
    """
    check_locator(keyfield_locator_type, keyfield_locator_name)
    found = yield from _list(LIST_TABLES, Table.from_json, service_id=service_id)
    table = _only([table for table in found if table.name == name], f"table {name!r} of service {service_id}")
    if table:
        _agree(table, keyfield_locator_type, keyfield_locator_name)
        return Ensured(table.id)
    wanted = {
        "name": name,
        "description": description,
        "keyfield_locator_type": keyfield_locator_type,
        "keyfield_locator_name": keyfield_locator_name,
    }
    created = yield from _create(CREATE_TABLE, wanted, service_id=service_id)
    return Ensured(_id(CREATE_TABLE, created), (name,))


def _only(tables: Sequence[Table], what: str) -> Table | None:
    if len(tables) > 1:
        raise Disagreement(f"{what} exists {len(tables)} times: ids {', '.join(str(table.id) for table in tables)}")
    if tables and tables[0].archived:
        raise Disagreement(f"{what} (id {tables[0].id}) is archived: restore it in the web UI, or choose another name")
    return tables[0] if tables else None


def _agree(table: Table, locator_type: str, locator_name: str | None) -> None:
    there = (table.keyfield_locator_type, table.keyfield_locator_name)
    wanted = (locator_type, locator_name)
    if there != wanted:
        raise Disagreement(
            f"table {table.name!r} (id {table.id}) finds its customers by {there[0]} {there[1]!r}, not by "
            f"{wanted[0]} {wanted[1]!r}: change the operator to what is there, or the table in the web UI"
        )


def ensure_attributes(table_id: int, attributes: Iterable[Attribute]) -> Flow[Ensured]:
    """Keep the registered attributes and register the missing ones. Nothing is registered if one disagrees.

    The API can change neither name, datatype nor format of an attribute (REST reference, dcpattributes, update).
    """
    wanted = list(attributes)
    registered = {attribute.name: attribute for attribute in (yield from list_attributes(table_id))}
    complaints = list(_complaints(wanted, registered))
    if complaints:
        raise Disagreement(f"table {table_id}: " + "; ".join(complaints))
    missing = [attribute for attribute in wanted if attribute.name not in registered]
    for attribute in missing:
        yield from _create(CREATE_ATTRIBUTE, attribute.as_json(), table_id=table_id)
    return Ensured(table_id, tuple(attribute.name for attribute in missing))


def _complaints(wanted: Sequence[Attribute], registered: Mapping[str, Attribute]) -> Iterator[str]:
    for attribute in wanted:
        there = registered.get(attribute.name)
        if there is None:
            continue
        if there.archived:
            yield f"attribute {attribute.name!r} is archived: restore it in the web UI, or use another name"
        elif (there.datatype, there.format) != (attribute.datatype, attribute.format):
            yield (
                f"attribute {attribute.name!r} is registered as {there.kind}, not {attribute.kind}, and the API "
                f"cannot change that: use {there.kind}, or register the values under a new name"
            )


def upload_history(table_id: int) -> Flow[list[HistoryEntry]]:
    """The files uploaded for a table, from the connection's `upload_history_url`."""
    return (yield from _list(UPLOAD_HISTORY, HistoryEntry.from_json, table_id=table_id))


def upload_outcome(table_id: int, s3_keys: Sequence[str]) -> Flow[Outcome]:
    """What the history says about these files now."""
    return judge((yield from upload_history(table_id)), s3_keys)


def wait_for_uploads(table_id: int, s3_keys: Sequence[str], poll_seconds: float) -> Flow[Outcome]:
    """Ask every `poll_seconds` until every file is imported or one has failed."""
    while (outcome := (yield from upload_outcome(table_id, s3_keys))).verdict is Verdict.WAIT:
        yield Sleep(poll_seconds, outcome.sentence)
    return outcome
