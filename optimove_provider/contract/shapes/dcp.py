"""What travels at the endpoints of the config host of DCP, and in an upload history. No I/O here.

Documented (REST reference of 2020): the members of each object, the statuses. What an upload history holds is ours.
"""

from collections.abc import Mapping
from typing import Any

from optimove_provider.contract.cells.datatypes import KEY_COLUMN, RULES
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles
from optimove_provider.contract.dcp.upload_history import STATES
from optimove_provider.contract.shapes.schema import (
    COUNT,
    FLAG,
    ID,
    INSTANT,
    NAME,
    TEXT,
    TEXT_OR_NULL,
    Link,
    Schema,
    Shape,
    list_of,
    members,
    one_of,
    or_null,
)
from optimove_provider.contract.wire.messages import Endpoint

DATATYPES = tuple(dict.fromkeys(rule.datatype for rule in RULES))
FORMATS = tuple(rule.format for rule in RULES if rule.format)

_TIMES = {"created": INSTANT, "last_modified": INSTANT}
_IMPORTS = {"aws_access_key": TEXT_OR_NULL, "aws_secret_key": TEXT_OR_NULL, "s3_path": TEXT_OR_NULL}
SERVICE: Schema = members(
    {"id": ID, "account_id": ID, "name": NAME, "archived": FLAG, **_IMPORTS, **_TIMES}, title="Service"
)
_ATTRIBUTE = {
    "id": ID,
    "name": NAME,
    "datatype": one_of(DATATYPES),
    "format": one_of((*FORMATS, None)),
    "description": TEXT_OR_NULL,
    "is_value_public": FLAG,
    "archived": FLAG,
}
ATTRIBUTE_OF_TABLE: Schema = members(_ATTRIBUTE, title="AttributeOfTable")
LISTED_ATTRIBUTE: Schema = members({**_ATTRIBUTE, "dcp_datasource_id": ID}, title="ListedAttribute")
ATTRIBUTE: Schema = members({**_ATTRIBUTE, "dcp_datasource_id": ID, **_TIMES}, title="Attribute")
TABLE: Schema = members(
    {
        "id": ID,
        "dcp_service_id": ID,
        "name": NAME,
        "description": TEXT_OR_NULL,
        "keyfield_locator_type": one_of(dcp.LOCATOR_TYPES),
        "keyfield_locator_name": TEXT_OR_NULL,
        "is_optimizely": FLAG,
        "attributes": list_of(ATTRIBUTE_OF_TABLE),
        "archived": FLAG,
        **_IMPORTS,
        **_TIMES,
    },
    title="Table",
)
PROJECT: Schema = members({"id": ID, "project_name": NAME, "dcp_service_id": or_null(ID)}, title="Project")
ENTRY: Schema = members(
    {
        "file": NAME,
        "status": one_of(tuple(STATES)),
        "rows_processed": COUNT,
        "rows_failed": COUNT,
        "message": TEXT,
        "created": INSTANT,
    },
    title="HistoryEntry",
)
ERROR: Schema = members(
    {"message": TEXT, "uuid": TEXT}, title="DcpError", description="Inferred from a client that reads these two."
)

NEW_SERVICE: Schema = members({"name": NAME}, title="NewService")
_LOCATOR_NAME: Schema = {"type": "string", "pattern": f"^{dcp.LOCATOR_NAME.pattern}$"}
_LOCATORS = [
    members({"keyfield_locator_type": {"const": "uid"}}, {"keyfield_locator_name": {"enum": [None, ""]}}),
    members({
        "keyfield_locator_type": one_of([one for one in dcp.LOCATOR_TYPES if one != "uid"]),
        "keyfield_locator_name": _LOCATOR_NAME,
    }),
]  # fmt: skip
NEW_TABLE: Schema = members({"name": NAME}, {"description": TEXT_OR_NULL}, oneOf=_LOCATORS, title="NewTable")
TABLE_UPDATE: Schema = members(
    {},
    {
        "name": NAME,
        "description": TEXT_OR_NULL,
        "keyfield_locator_type": one_of(dcp.LOCATOR_TYPES),
        "keyfield_locator_name": TEXT_OR_NULL,
    },
    title="TableUpdate",
    description="What is left out stays. Type and name of the locator have to fit each other, as they will be.",
)


_LETTERS = [chr(code) for code in range(0x2200)]  # with the long s, and the sign of the Kelvin


def _any_case(word: str) -> str:
    """A pattern of the word in any case, as `is_key_column` compares."""
    return "".join(f"[{''.join(one for one in _LETTERS if one.casefold() == letter)}]" for letter in word.casefold())


ATTRIBUTE_NAME: Schema = {**NAME, "not": {"pattern": f"^{_any_case(KEY_COLUMN)}$"}}
_KINDS: list[Any] = [
    members({"datatype": {"const": "datetime"}, "format": one_of(FORMATS)}),
    members({"datatype": one_of([one for one in DATATYPES if one != "datetime"])}, {"format": {"type": "null"}}),
]
NEW_ATTRIBUTE: Schema = members(
    {"name": ATTRIBUTE_NAME}, {"description": TEXT_OR_NULL}, oneOf=_KINDS, title="NewAttribute"
)
ATTRIBUTE_UPDATE: Schema = members({}, {"description": TEXT_OR_NULL}, title="AttributeUpdate")
PROJECT_UPDATE: Schema = members({}, {"dcp_service_id": or_null(ID)}, title="ProjectUpdate")

ALWAYS = (401, 403, 429, 503)
_FOUND = (*ALWAYS, 404)
_WRITTEN = (*_FOUND, 400)
_ID = "$response.body#/id"


def _next(name: str, *endpoints: Endpoint) -> tuple[Link, ...]:
    return tuple(Link(one, {name: _ID}) for one in endpoints)


_OF_SERVICE = _next(
    "service_id", dcp.READ_SERVICE, dcp.UPDATE_SERVICE, dcp.DELETE_SERVICE, dcp.LIST_TABLES, dcp.CREATE_TABLE
)
_PROFILE = {"service_id": "$response.body#/dcp_service_id", "table_id": _ID}
_BY_TABLE = (dcp.READ_TABLE, dcp.UPDATE_TABLE, dcp.DELETE_TABLE, dcp.LIST_ATTRIBUTES, dcp.CREATE_ATTRIBUTE)
_OF_TABLE = (*_next("table_id", *_BY_TABLE, dcp.UPLOAD_HISTORY), Link(profiles.WRITE_PROFILE, _PROFILE))
_OF_ATTRIBUTE = _next("attribute_id", dcp.READ_ATTRIBUTE, dcp.UPDATE_ATTRIBUTE, dcp.DELETE_ATTRIBUTE)
_USER = {"service_id": "$request.path.service_id", "optimizely_table_id": "$response.body#/0/id"}
_OF_OPTIMIZELY = (Link(profiles.CREATE_ALIASES, _USER), Link(profiles.READ_ALIASES, _USER))

SHAPES: Mapping[Endpoint, Shape] = {
    dcp.LIST_SERVICES: Shape(200, list_of(SERVICE), refused=ALWAYS),
    dcp.CREATE_SERVICE: Shape(201, SERVICE, NEW_SERVICE, (*ALWAYS, 400), leads_to=_OF_SERVICE),
    dcp.READ_SERVICE: Shape(200, SERVICE, refused=_FOUND),
    dcp.UPDATE_SERVICE: Shape(202, SERVICE, members({}, {"name": NAME}, title="ServiceUpdate"), _WRITTEN),
    dcp.DELETE_SERVICE: Shape(204, refused=_FOUND),
    dcp.LIST_TABLES: Shape(200, list_of(TABLE), refused=_FOUND, leads_to=_OF_OPTIMIZELY),
    dcp.CREATE_TABLE: Shape(201, TABLE, NEW_TABLE, _WRITTEN, leads_to=_OF_TABLE),
    dcp.READ_TABLE: Shape(200, TABLE, refused=_FOUND),
    dcp.UPDATE_TABLE: Shape(202, TABLE, TABLE_UPDATE, _WRITTEN),
    dcp.DELETE_TABLE: Shape(204, refused=_FOUND),
    dcp.LIST_ATTRIBUTES: Shape(200, list_of(LISTED_ATTRIBUTE), refused=_FOUND),
    dcp.CREATE_ATTRIBUTE: Shape(201, ATTRIBUTE, NEW_ATTRIBUTE, _WRITTEN, leads_to=_OF_ATTRIBUTE),
    dcp.READ_ATTRIBUTE: Shape(200, ATTRIBUTE, refused=_FOUND),
    dcp.UPDATE_ATTRIBUTE: Shape(202, ATTRIBUTE, ATTRIBUTE_UPDATE, _WRITTEN),
    dcp.DELETE_ATTRIBUTE: Shape(204, refused=_FOUND),
    dcp.LIST_PROJECTS: Shape(200, list_of(PROJECT), refused=ALWAYS),
    dcp.READ_PROJECT: Shape(200, PROJECT, refused=_FOUND),
    dcp.UPDATE_PROJECT: Shape(202, PROJECT, PROJECT_UPDATE, _WRITTEN),
    dcp.UPLOAD_HISTORY: Shape(200, list_of(ENTRY), refused=(404,)),
}
