"""Subject access requests of Optimizely's REST API v2: what the vendor offers for one person's data, of all its
products at once. No I/O here.

Documented: paths, members, their words and lengths, 201 with the request as the server has it, its states. Not: how
long it takes ("the time by which the Subject Access Request must be completed" is in the answer), and what of a profile
of DCP is gone by it.
"""

from dataclasses import dataclass
from typing import Any

from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.answers import decoded, read, tell
from optimove_provider.contract.wire.messages import Endpoint, Flow

API = "optimizely_v2"
BASE_URL = "https://api.optimizely.com/v2"
_PAGE = "https://docs.developers.optimizely.com/web-experimentation/reference/create_sar_request"

REQUEST_TYPES = ("delete", "access")
"""delete: "Removes all data within an account that is associated to the identifier"; access: an export of it to S3."""
DATA_TYPE, IDENTIFIER_TYPE = "visitor", "dcp_id"
"""Of visitors, by "Any ID used to identify targeting records in Optimizely"."""
LONGEST_IDENTIFIER = 355

CREATE_SUBJECT_ACCESS_REQUEST = Endpoint(
    "create_subject_access_request",
    API,
    "POST",
    "/subject-access-requests",
    retry_safe=False,
    source='REST reference: "Removes all data within an account that is associated to the identifier defined in the '
    f'identifier field." {_PAGE}',
)
ENDPOINTS = (CREATE_SUBJECT_ACCESS_REQUEST,)


@dataclass(frozen=True, slots=True)
class SubjectAccessRequest:
    """A request as the server has it: its id, its state (pending, processing, completed, failure), and by when it must
    be done, an ISO text; None where the answer does not tell."""

    id: int
    status: str | None
    sla_deadline_time: str | None


def create_subject_access_request(customer_id: str, request_type: str) -> Flow[SubjectAccessRequest]:
    """Ask for all data of a customer of DCP to be deleted, or exported. Never sent twice by itself; what is asked for
    twice is done once more, which deletes nothing else."""
    wanted = {
        "data_type": DATA_TYPE,
        "identifier_type": IDENTIFIER_TYPE,
        "identifier": customer_id,
        "request_type": request_type,
    }
    endpoint = CREATE_SUBJECT_ACCESS_REQUEST
    response = yield from tell(endpoint, wanted)
    return read(endpoint, response, _read, decoded(endpoint, response, dict))


def _read(found: Any) -> SubjectAccessRequest:
    status, until = members.remark(found, "status"), members.remark(found, "sla_deadline_time")
    return SubjectAccessRequest(members.number(found, "id"), status, until)
