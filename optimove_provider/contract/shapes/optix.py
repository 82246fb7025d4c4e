"""What travels at the endpoints of Opti-X Data Connections. No I/O here.

Documented (walkthrough, "Using your data connections", "Managing Data Connections"): what a request holds, the uuid in
the answer to a creation, 200 for an upload, 400 for what is malformed or too much, 401. The rest is assumed.
"""

from collections.abc import Mapping

from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.shapes.schema import (
    FLAG,
    NAME,
    OBJECT,
    TEXT,
    TEXT_OR_NULL,
    UUID,
    Link,
    Schema,
    Shape,
    list_of,
    members,
    or_null,
)
from optimove_provider.contract.wire.messages import Endpoint

MOST_SECONDS = 2**63 - 1
"""Of a time to live: what a counter of 64 bits holds. Assumed; no limit is documented."""


def ttl(least: int = 1, most: int = MOST_SECONDS) -> Schema:
    """A time to live in seconds."""
    seconds = {"type": "integer", "minimum": least, "maximum": most}
    return {**or_null(seconds), "description": "Seconds; null, or left out, is for ever."}


KEY: Schema = {"anyOf": [NAME, {"type": "number"}]}
RECORD: Schema = {
    **OBJECT,
    "minProperties": 1,
    "description": "The whole record: it has a field called as the connection's primary key, and fields that are not "
    "sent are removed.",
}
NEW_CONNECTION: Schema = members(
    {"name": NAME, "primary_key": {**NAME, "description": "The name of the key field in every record."}},
    {"description": TEXT_OR_NULL},
    title="NewDataConnection",
)
UPLOAD: Schema = members(
    {"data": list_of(RECORD, minItems=1, maxItems=optix.MAX_RECORDS)},
    {"ttl_seconds": ttl(), "batch_uuid": or_null(UUID), "batch_completed": {**FLAG, "default": True}},
    title="Upload",
)
ITEM: Schema = members({"primary_key": KEY, "data": OBJECT}, {"ttl": ttl()}, title="Item")
UPDATE: Schema = list_of(ITEM, minItems=1, maxItems=optix.MAX_ITEMS, title="Update")
CREATED: Schema = members({"data_connection_uuid": UUID}, title="CreatedDataConnection")
SUCCESS: Schema = members({"success": {"const": True}}, title="Success")
IN_BATCH: Schema = members({"success": {"const": True}, "batch_uuid": UUID}, title="SuccessInBatch")
ERROR: Schema = members(
    {"status": {"type": "integer"}, "error": TEXT, "message": TEXT},
    title="OptixError",
    description="As the vendor's main API says it; of this one no form is documented.",
)

_PATH = {"data_connection_uuid": UUID}
_ALWAYS = (401, 429)
_OF_A_BODY = (400, 401, 413, 429)
_BY_UUID = {"data_connection_uuid": "$response.body#/data_connection_uuid"}

SHAPES: Mapping[Endpoint, Shape] = {
    optix.CREATE_CONNECTION: Shape(
        201,
        CREATED,
        NEW_CONNECTION,
        _OF_A_BODY,
        leads_to=(Link(optix.UPLOAD_DATA, _BY_UUID), Link(optix.UPDATE_DATA, _BY_UUID)),
    ),
    optix.UPLOAD_DATA: Shape(200, IN_BATCH, UPLOAD, (*_OF_A_BODY, 404), _PATH),
    optix.UPDATE_DATA: Shape(200, SUCCESS, UPDATE, (*_OF_A_BODY, 404), _PATH),
    optix.REACH: Shape(None, refused=(*_ALWAYS, 404)),
}
