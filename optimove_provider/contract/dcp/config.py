"""Dynamic Customer Profiles (DCP): endpoints, limits and objects of the config host, and reading them. No I/O here.

Sources: "guide" is the current "Customer Profiles" page (docs.developers.optimizely.com); "REST reference" is the
vendor's archived reference of 2020 (`contract.dcp.reference`). What creates and changes is in `contract.dcp.ensure` and
`contract.dcp.edits`, profiles and aliases in `contract.dcp.profiles`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from optimove_provider.contract.cells.registered import Registered, one_of_each_name, registered
from optimove_provider.contract.dcp import profiles, reference
from optimove_provider.contract.dcp.upload_history import HistoryEntry, Outcome, judge, read_history
from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.answers import ask, ask_list, ask_pages, read
from optimove_provider.contract.wire.errors import Disagreement, SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Flow, Response

API = "dcp"
HISTORY_API = "dcp_history"
BASE_URL = "https://www.optimizelyapis.com/experiment/v1"
TOKEN_HEADER = "Token"  # noqa: S105 - the name of a header, not a token
IMPORT_BUCKET = "optimizely-import"
S3_REGION = "us-east-1"
"""The region is documented nowhere; this one is what third-party uploaders use (inferred)."""

LOCATOR_TYPES = ("cookie", "query parameter", "js_variable", "uid")
LOCATOR_NAME = re.compile(r"[a-zA-Z_][a-zA-Z_0-9$]*")
"""Both: REST reference, dcptables. A name is required unless the type is `uid`, which has none."""


_row = partial(reference.row, API)
_SERVICE = "/dcp_services/{service_id}"
_TABLES = f"{_SERVICE}/dcp_datasources"
_TABLE = "/dcp_datasources/{table_id}"
_ATTRIBUTES = f"{_TABLE}/dcp_datasource_attributes"
_ATTRIBUTE = "/dcp_datasource_attributes/{attribute_id}"
_PROJECT = "/projects/{project_id}"

LIST_SERVICES = _row(
    "list_services",
    "GET",
    "/dcp_services",
    "dcpservices/5-list_dcpservices",
    "Get all DCP services for this account.",
    retry_safe=True,
)
CREATE_SERVICE = _row(
    "create_service",
    "POST",
    "/dcp_services",
    "dcpservices/2-create",
    "Create a new DCP Service under your account.",
    retry_safe=False,
)
READ_SERVICE = _row(
    "read_service",
    "GET",
    _SERVICE,
    "dcpservices/1-read",
    "Get metadata for a single DCP Service.",
    retry_safe=True,
)
UPDATE_SERVICE = _row(
    "update_service",
    "PUT",
    _SERVICE,
    "dcpservices/3-update",
    "Update a single DCPService.",
    note="Only `name` is editable.",
    retry_safe=True,
)
DELETE_SERVICE = _row(
    "delete_service",
    "DELETE",
    _SERVICE,
    "dcpservices/4-delete",
    "This archives all files in the corresponding AWS account.",
    retry_safe=True,
)
LIST_TABLES = _row(
    "list_tables",
    "GET",
    _TABLES,
    "dcptables/5-list",
    "Get a list of all Tables in the specified DCP Service.",
    retry_safe=True,
)
CREATE_TABLE = _row(
    "create_table",
    "POST",
    _TABLES,
    "dcptables/2-create",
    "Create a Table for the specified DCP Service.",
    retry_safe=False,
)
READ_TABLE = _row(
    "read_table",
    "GET",
    _TABLE,
    "dcptables/1-read",
    "Get metadata for the specified Table (datasource).",
    retry_safe=True,
)
UPDATE_TABLE = _row(
    "update_table",
    "PUT",
    _TABLE,
    "dcptables/3-update",
    "Update a Table (datasource).",
    note="Editable are `name`, `description` and the locator.",
    retry_safe=True,
)
DELETE_TABLE = _row(
    "delete_table",
    "DELETE",
    _TABLE,
    "dcptables/4-delete",
    "Delete a Table (datasource).",
    note="What becomes of its data is not documented.",
    retry_safe=True,
)
LIST_ATTRIBUTES = _row(
    "list_attributes",
    "GET",
    _ATTRIBUTES,
    "dcpattributes/5-list_attributes",
    "Get a list of all attributes in the specified Table (datasource).",
    retry_safe=True,
)
CREATE_ATTRIBUTE = _row(
    "create_attribute",
    "POST",
    _ATTRIBUTES,
    "dcpattributes/2-create",
    "Create a single attribute for customer profiles in a Table (datasource).",
    retry_safe=False,
)
READ_ATTRIBUTE = _row(
    "read_attribute",
    "GET",
    _ATTRIBUTE,
    "dcpattributes/1-read",
    "Get metadata for the specified attribute.",
    retry_safe=True,
)
UPDATE_ATTRIBUTE = _row(
    "update_attribute",
    "PUT",
    _ATTRIBUTE,
    "dcpattributes/3-update",
    "Updates to an attribute's name or datatype are not currently supported.",
    note="Only `description` is editable.",
    retry_safe=True,
)
DELETE_ATTRIBUTE = _row(
    "delete_attribute",
    "DELETE",
    _ATTRIBUTE,
    "dcpattributes/4-delete",
    "Archive a single attribute.",
    note="It archives: sending it twice leaves the attribute archived.",
    retry_safe=True,
)
LIST_PROJECTS = _row(
    "list_projects",
    "GET",
    "/projects",
    "projects/5-list",
    "Get a list of all the projects in your account, with associated metadata.",
    retry_safe=True,
)
READ_PROJECT = _row(
    "read_project", "GET", _PROJECT, "projects/1-read", "Get metadata for a single project.", retry_safe=True
)
UPDATE_PROJECT = _row(
    "update_project",
    "PUT",
    _PROJECT,
    "projects/3-update",
    "Update a project's metadata",
    note="`dcp_service_id` is among the editable fields.",
    retry_safe=True,
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
    READ_SERVICE,
    UPDATE_SERVICE,
    DELETE_SERVICE,
    LIST_TABLES,
    CREATE_TABLE,
    READ_TABLE,
    UPDATE_TABLE,
    DELETE_TABLE,
    LIST_ATTRIBUTES,
    CREATE_ATTRIBUTE,
    READ_ATTRIBUTE,
    UPDATE_ATTRIBUTE,
    DELETE_ATTRIBUTE,
    LIST_PROJECTS,
    READ_PROJECT,
    UPDATE_PROJECT,
    *profiles.ENDPOINTS,
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
        return cls(members.number(service, "id"), members.text(service, "name"), members.flag(service, "archived"))


@dataclass(frozen=True, slots=True)
class Table:
    """A table (a "datasource" in URLs): where imports for it go, and with which keys. The keys stay out of the repr."""

    id: int
    name: str
    service_id: int
    keyfield_locator_type: str = ""
    keyfield_locator_name: str | None = None
    description: str | None = None
    archived: bool = False
    is_optimizely: bool = False
    s3_path: str = ""
    aws_access_key: str = field(default="", repr=False)
    aws_secret_key: str = field(default="", repr=False)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Table":
        """Read a table as the API returns it."""
        return cls(
            id=members.number(table, "id"),
            name=members.text(table, "name"),
            service_id=members.number_or_none(table, "dcp_service_id") or 0,
            keyfield_locator_type=members.text_or_none(table, "keyfield_locator_type") or "",
            keyfield_locator_name=members.text_or_none(table, "keyfield_locator_name") or None,
            description=members.remark(table, "description"),
            archived=members.flag(table, "archived"),
            is_optimizely=members.flag(table, "is_optimizely"),
            s3_path=members.text_or_none(table, "s3_path") or "",
            aws_access_key=members.text_or_none(table, "aws_access_key") or "",
            aws_secret_key=members.text_or_none(table, "aws_secret_key") or "",
        )


@dataclass(frozen=True, slots=True)
class Project:
    """An experiment project. It sees the profiles of the service that it is linked to, of at most one."""

    id: int
    name: str
    dcp_service_id: int | None = None

    @classmethod
    def from_json(cls, project: Mapping[str, Any]) -> "Project":
        """Read a project as the API returns it."""
        name = members.text_or_none(project, "project_name") or ""
        return cls(members.number(project, "id"), name, members.number_or_none(project, "dcp_service_id"))


def list_services(odd: list[str] | None = None) -> Flow[list[Service]]:
    """All services of the account, archived ones included if the API lists them; for `odd` see `ask_list`."""
    return (yield from ask_list(LIST_SERVICES, Service.from_json, odd))


def read_table(table_id: int) -> Flow[Table]:
    """One table, with the AWS keys and the S3 path of its imports."""
    return (yield from ask(READ_TABLE, Table.from_json, table_id=table_id))


def list_tables(service_id: int, odd: list[str] | None = None) -> Flow[list[Table]]:
    """The tables of a service, the one called Optimizely and archived ones included if the API lists them.

    For `odd` see `ask_list`.
    """
    return (yield from ask_list(LIST_TABLES, Table.from_json, odd, service_id=service_id))


def read_project(project_id: int) -> Flow[Project]:
    """One project, with the service that it is linked to."""
    return (yield from ask(READ_PROJECT, Project.from_json, project_id=project_id))


def list_registered(table_id: int, odd: list[str] | None = None) -> Flow[list[Registered]]:
    """All attributes that the API lists for a table: those that are archived too, and several of one name."""
    return (yield from ask_list(LIST_ATTRIBUTES, registered, odd, table_id=table_id))


def list_attributes(table_id: int, odd: list[str] | None = None) -> Flow[list[Registered]]:
    """The attributes registered for a table, one of each name: see `one_of_each_name`. For `odd` see `ask_list`."""
    return one_of_each_name((yield from list_registered(table_id, odd)))


def writable(table: Table) -> Table:
    """The table. Raises Disagreement if it is archived: what is written there, nobody will see."""
    if table.archived:
        raise Disagreement(
            f"table {table.name!r} (id {table.id}) is archived, so nothing is sent there: restore it in the web UI, or "
            "give the id of the table that replaces it"
        )
    return table


_A_KEY = re.compile(r"[!-~]+")
"""Keys are of printable ASCII, without blanks."""


def own_keys(table: Table) -> tuple[str, str]:
    """The AWS keys that the table gives for its imports. Raises SettingsError where one is lacking, as boto would look
    for a login of the machine's then, or cannot be one."""
    keys = {"aws_access_key": table.aws_access_key, "aws_secret_key": table.aws_secret_key}
    if lacking := " and ".join(name for name, key in keys.items() if not _A_KEY.fullmatch(key)):
        raise SettingsError(
            f"table {table.id} has no AWS keys of its own ({lacking} is empty, or no key): name a connection that "
            f"may write under {table.s3_path!r} in aws_conn_id"
        )
    return table.aws_access_key, table.aws_secret_key


def service_of(table: Table) -> int:
    """The service whose profiles the table has. Raises Disagreement if the API has not named one."""
    if not table.service_id:
        raise Disagreement(
            f"table {table.name!r} (id {table.id}) is given without a dcp_service_id, so no URL of a profile can be "
            "made: look at the table in the web UI, or ask the vendor"
        )
    return table.service_id


def read_service(service_id: int) -> Flow[Service]:
    """One service; the AWS keys that it carries are left behind."""
    return (yield from ask(READ_SERVICE, Service.from_json, service_id=service_id))


def read_attribute(attribute_id: int) -> Flow[Registered]:
    """One attribute, archived or not."""
    return (yield from ask(READ_ATTRIBUTE, registered, attribute_id=attribute_id))


def list_projects() -> Flow[list[Project]]:
    """The projects of the account."""
    return (yield from ask_list(LIST_PROJECTS, Project.from_json))


def check_locator(locator_type: str, locator_name: str | None) -> None:
    """Raise SettingsError unless type and name are what the API documents; an empty name is none."""
    if locator_type not in LOCATOR_TYPES:
        raise SettingsError(f"keyfield_locator_type {locator_type!r}: expected one of {', '.join(LOCATOR_TYPES)}")
    if locator_type == "uid":
        if locator_name:
            raise SettingsError("keyfield_locator_name: a table located by uid has none; leave it out")
    elif not LOCATOR_NAME.fullmatch(locator_name or ""):
        raise SettingsError(
            f"keyfield_locator_name {locator_name!r}: a {locator_type} locator needs a name that matches "
            f"{LOCATOR_NAME.pattern}"
        )


def upload_history(table_id: int, files: Sequence[str] = (), told: set[str] | None = None) -> Flow[list[HistoryEntry]]:
    """The files uploaded for a table, from the connection's `upload_history_url`.

    Raises UnreadableAnswer for an odd entry that may be about one of the `files`; others are passed over, with a
    warning, of which `told` holds those that were given before.
    """
    response, entries = yield from _history(table_id, files, told)
    return [entry.told_by(response) for entry in entries]


def upload_outcome(table_id: int, s3_keys: Sequence[str], told: set[str] | None = None) -> Flow[Outcome]:
    """What the history says about these files now; `told` is what earlier looks of the same wait have warned of."""
    response, entries = yield from _history(table_id, s3_keys, told)
    outcome = judge(entries, s3_keys)
    return replace(outcome, entries=tuple(entry.told_by(response) for entry in outcome.entries))


def _history(table_id: int, files: Sequence[str], told: set[str] | None) -> Flow[tuple[Response, list[HistoryEntry]]]:
    pages = yield from ask_pages(UPLOAD_HISTORY, {"table_id": table_id})
    response, found = pages[0][0], [entry for _, entries in pages for entry in entries]

    def entries(listed: Sequence[Any]) -> list[HistoryEntry]:
        return read_history(listed, files, told, response.shown)

    return response, read(UPLOAD_HISTORY, response, entries, found)
