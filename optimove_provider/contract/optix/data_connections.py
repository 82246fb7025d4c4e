"""Opti-X Data Connections: endpoints, limits, and the conversations over them. No I/O here.

Source: "Walkthrough example for an Upload Data Connection", "Using your data connections" and "Managing Data
Connections", developer.optimove.com.
"""

from dataclasses import dataclass, field

from optimove_provider.contract.wire import members
from optimove_provider.contract.wire.errors import DataError, TargetGone, UnreadableCreation, succeed
from optimove_provider.contract.wire.messages import Answer, Endpoint, Flow, Lost, Response, json_body

_DOCS = "https://developer.optimove.com/docs"
_WALKTHROUGH = f"{_DOCS}/walkthrough-example-for-an-upload-data-connection"

API = "optix"
BASE_URL = "https://api.opti-x.optimove.net/api/data-connections/v1"
API_KEY_HEADER = "x-api-key"
BRAND_KEY_HEADER = "x-brand-key"
MAX_RECORDS = 5000
"""Records in one upload request. "Exceeding 5000 records per request will cause a 400 error." (walkthrough)"""
MAX_ITEMS = 5000
"""Items in one update request. Assumed: no limit is documented for updates, so the one of uploads is kept."""
CREATE_CONNECTION = Endpoint(
    "create_connection",
    API,
    "POST",
    "/connections",
    retry_safe=False,
    source=f'walkthrough: "Set up a new Data Connection using the POST /connections endpoint." {_WALKTHROUGH}',
)
UPLOAD_DATA = Endpoint(
    "upload_data",
    API,
    "POST",
    "/connections/{data_connection_uuid}/upload_data",
    retry_safe=True,
    source='walkthrough: "upload directly using the POST /connections/{data_connection_uuid}/upload_data endpoint". '
    f"Sending the same records twice is safe because an upload replaces each record whole. {_WALKTHROUGH}",
)
UPDATE_DATA = Endpoint(
    "update_data",
    API,
    "PUT",
    "/connections/{data_connection_uuid}/update_data",
    retry_safe=True,
    source='Managing Data Connections: "Update or overwrite existing data using the Update Data endpoint. Specify the '
    'primary_key, updated data, and an optional ttl." Sending the same items twice is safe because "Update and Upload '
    f'share the same complete-replacement behaviour" (walkthrough). {_DOCS}/managing-data-connections-data',
)
REACH = Endpoint(
    "reach",
    API,
    "GET",
    "",
    retry_safe=True,
    source="assumed: no read is documented. Any answer to a GET of the base URL shows that the host is reached.",
)
ENDPOINTS = (CREATE_CONNECTION, UPLOAD_DATA, UPDATE_DATA, REACH)


@dataclass(frozen=True, slots=True)
class Records:
    """One slice: `text` is a JSON array of `count` objects. More than 5000 are refused before they can be sent."""

    count: int
    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.count > MAX_RECORDS:
            raise DataError(f"{self.count} records in one request: Opti-X takes at most {MAX_RECORDS}")


@dataclass(frozen=True, slots=True)
class Items:
    """One update: `text` is a JSON array of `count` objects, at most 5000.

    Each is `{"primary_key": key value, "data": {the fields without the key column}, "ttl": seconds}`; where `ttl` is
    null or left out, the item never expires.
    """

    count: int
    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.count > MAX_ITEMS:
            raise DataError(f"{self.count} items in one update: at most {MAX_ITEMS} are sent")


def create_connection(name: str, primary_key: str, description: str | None = None) -> Flow[str]:
    """Create an upload-based data connection; returns its `data_connection_uuid`.

    `primary_key` is the name of the key field in every later record. Not known to be idempotent: never sent twice.
    """
    wanted = {"name": name, "primary_key": primary_key, "description": description}
    body = json_body({field: value for field, value in wanted.items() if value is not None})
    response = succeed(CREATE_CONNECTION, (yield CREATE_CONNECTION.request(body)))
    try:
        return members.uuid(response.json(), "data_connection_uuid")
    except ValueError as error:
        problem = str(error)  # raised below, so that no error of a parser hangs on to it
    raise UnreadableCreation(CREATE_CONNECTION, response, f"data_connection_uuid ({problem})")


def upload_data(
    data_connection_uuid: str,
    records: Records,
    *,
    batch_uuid: str,
    batch_completed: bool,
    ttl_seconds: int | None = None,
) -> Flow[None]:
    """Send one slice of a batch.

    Each record holds the connection's primary key, and replaces the stored one whole: fields that are not sent are
    removed. `ttl_seconds` None means that the data never expires.
    """
    rest = json_body({"ttl_seconds": ttl_seconds, "batch_uuid": batch_uuid, "batch_completed": batch_completed})
    body = b"".join([b'{"data":', records.text, b",", rest[1:]])  # one copy of a megabyte, not three
    answer = yield UPLOAD_DATA.request(body, data_connection_uuid=data_connection_uuid)
    _stored(UPLOAD_DATA, answer, data_connection_uuid)


def update_data(data_connection_uuid: str, items: Items) -> Flow[None]:
    """Overwrite records by key, in one request that takes part in no batch.

    Each item replaces the stored record whole: fields that are not sent are removed. Whether a key that is not there is
    inserted is not documented.
    """
    answer = yield UPDATE_DATA.request(items.text, data_connection_uuid=data_connection_uuid)
    _stored(UPDATE_DATA, answer, data_connection_uuid)


def _stored(endpoint: Endpoint, answer: Answer | None, to: str) -> None:
    """What `succeed` does; a data connection that is not known there has an error of its own (assumed: 404)."""
    if isinstance(answer, Response) and answer.status == 404:
        raise TargetGone(endpoint, answer, to)
    succeed(endpoint, answer)


def reach() -> Flow[Answer]:
    """Whatever the host answers to a GET that changes nothing: all that can be learnt without a write."""
    answer = yield REACH.request()
    return answer if answer is not None else Lost("the driver sent no answer")


def has_formula(column: str) -> bool:
    """Whether a campaign's formula can name a column: colons separate the parts of one, and no escape is documented."""
    return ":" not in column


def formula(data_connection_uuid: str, column: str, default: str = "0") -> str:
    """The text that a campaign is given to show `column` of the customer's record, or `default`.

    Inferred from the one example of the walkthrough; how anything in it is escaped is not documented. A colon in
    `default` is unsafe, because colons separate the parts; for `column` see `has_formula`.
    """
    return f"DC_{data_connection_uuid}:[%CUSTOMER_ID%]::{column}:{default}"
