"""What travels at the endpoints of the profile host of DCP, and in subject access requests. No I/O here.

Documented (REST references): paths, bodies of requests, ids as texts, 201 without a body for a write. The rest is
assumed.
"""

from collections.abc import Mapping

from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.shapes.dcp import ALWAYS
from optimove_provider.contract.shapes.schema import (
    ID,
    INSTANT,
    NAME,
    OBJECT,
    TEXT,
    Link,
    Schema,
    Shape,
    list_of,
    members,
    one_of,
)
from optimove_provider.contract.wire.messages import Endpoint

_VALUE: Schema = {"type": ["string", "number", "boolean"]}
VALUES: Schema = {**OBJECT, "additionalProperties": _VALUE, "description": "By the names of registered attributes."}
ALIASES: Schema = {
    **OBJECT,
    "propertyNames": {"pattern": "^[0-9]+$"},
    "additionalProperties": NAME,
    "description": "Customer ids by the ids of tables of the service.",
}
_OF_WHOM = {"dcpServiceId": NAME, "datasourceId": NAME, "customerId": NAME}
PROFILE: Schema = members({**_OF_WHOM, "data": VALUES}, title="Profile")
KNOWN_AS: Schema = members({**_OF_WHOM, "data": ALIASES}, title="Aliases")
WRITE: Schema = members({"data": VALUES}, title="ProfileWrite")
NEW_ALIASES: Schema = members({"data": ALIASES}, title="NewAliases")

DATA_TYPES = ("user", "visitor")
IDENTIFIER_TYPES = ("email", "optimizely_end_user_id", subject_access.IDENTIFIER_TYPE, "fullstack_id", "other")
STATES = ("pending", "processing", "completed", "failure")
_WANTED = {
    "data_type": one_of(DATA_TYPES),
    "identifier_type": one_of(IDENTIFIER_TYPES),
    "identifier": {**NAME, "maxLength": subject_access.LONGEST_IDENTIFIER},
    "request_type": one_of(subject_access.REQUEST_TYPES),
}
WANTED: Schema = members(_WANTED, title="NewSubjectAccessRequest")
ASKED: Schema = members(
    {
        **_WANTED,
        "id": ID,
        "account_id": ID,
        "status": one_of(STATES),
        "requested_at_time": INSTANT,
        "sla_deadline_time": INSTANT,
    },
    title="SubjectAccessRequest",
)
V2_ERROR: Schema = members({"code": TEXT, "message": TEXT, "uuid": TEXT}, title="V2Error")

_FOUND = (*ALWAYS, 404)
_WRITTEN = (*_FOUND, 400)
_CUSTOMER = {"customer_id": NAME}
_USER = {"optimizely_user_id": NAME}


def _same(*names: str) -> Mapping[str, str]:
    return {name: f"$request.path.{name}" for name in names}


_OF_PROFILE = (Link(profiles.READ_PROFILE, _same("service_id", "table_id", "customer_id")),)
_OF_USER = _same("service_id", "optimizely_table_id", "optimizely_user_id")

SHAPES: Mapping[Endpoint, Shape] = {
    profiles.READ_PROFILE: Shape(200, PROFILE, refused=_FOUND, path=_CUSTOMER),
    profiles.WRITE_PROFILE: Shape(201, None, WRITE, _WRITTEN, _CUSTOMER, leads_to=_OF_PROFILE),
    profiles.READ_CONSOLIDATED: Shape(200, list_of(PROFILE), None, _WRITTEN, _USER),
    profiles.READ_CONSOLIDATED_2016: Shape(200, list_of(PROFILE), None, _FOUND, _USER),
    profiles.READ_ALIASES: Shape(200, KNOWN_AS, None, _WRITTEN, _USER),
    profiles.CREATE_ALIASES: Shape(
        201,
        None,
        NEW_ALIASES,
        _WRITTEN,
        _USER,
        leads_to=(Link(profiles.READ_ALIASES, _OF_USER), Link(profiles.READ_CONSOLIDATED, _OF_USER)),
    ),
    subject_access.CREATE_SUBJECT_ACCESS_REQUEST: Shape(201, ASKED, WANTED, (400, 401)),
}
