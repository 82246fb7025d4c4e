"""The Opti-X Data Connections API, answered from the contract's rows. No I/O here.

Strict where the walkthrough, "Using your data connections" and its tables say something: both keys, 5000
records, the primary key in each record, the defaults of the optional fields, 200 for an upload. The rest are
guesses, each named beside its constant.
"""

import json
import uuid
from typing import Any

from optimove_provider.contract import optix
from optimove_provider.contract.wire import Endpoint, Response
from optimove_provider.emulator.connections import Connection, Record
from optimove_provider.emulator.refusals import (
    Refusal,
    json_answer,
    json_object,
    optional_text,
    required_text,
)
from optimove_provider.emulator.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.state import API_KEY, BRAND_KEY, State

# Not documented: 200 or 201. Guess: as a POST that creates usually answers.
CREATED_STATUS = 201
# Not documented: 404 or 400. Guess: as for any resource that does not exist.
UNKNOWN_CONNECTION_STATUS = 404
# Not documented for fields of a wrong type, only for "bad format" in general: 400, not 422.
SCHEMA_STATUS = 400
# Not documented: 401 or 403 for a right API key with a wrong brand key. Guess: as for a wrong API key.
WRONG_BRAND_STATUS = 401


def _admit(call: Call) -> None:
    """Both keys on every request, whatever it asks for."""
    if call.header(optix.API_KEY_HEADER) != API_KEY:
        raise Refusal(401, f"{optix.API_KEY_HEADER} is missing, wrong or expired")
    if call.header(optix.BRAND_KEY_HEADER) != BRAND_KEY:
        raise Refusal(WRONG_BRAND_STATUS, f"{optix.BRAND_KEY_HEADER} is missing or wrong")


def _refuse(state: State, refusal: Refusal) -> Response:
    # The envelope is not documented. Guess: that of the vendor's main API (status, error, message).
    reason = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}.get(refusal.status, "Error")
    return json_answer(refusal.status, {"status": refusal.status, "error": reason, "message": refusal.message})


def _create_connection(call: Call) -> Response:
    # Guesses: the name need not be unique, and members that are not known are ignored.
    wanted = json_object(call.json)
    connection = Connection(
        call.state.ids.uuid(),
        required_text(wanted, "name"),
        required_text(wanted, "primary_key"),
        optional_text(wanted, "description"),
    )
    call.state.connections[connection.data_connection_uuid] = connection
    return json_answer(CREATED_STATUS, {"data_connection_uuid": connection.data_connection_uuid})


def _upload_data(call: Call) -> Response:
    connection = call.state.connections.get(call.path["data_connection_uuid"])
    if connection is None:
        raise Refusal(UNKNOWN_CONNECTION_STATUS, "there is no data connection with this uuid")
    upload = json_object(call.json)
    batch_uuid, completed = _batch(call.state, upload)
    # Guess: a time to live starts with the request, not with the completion of its batch.
    ttl_seconds = _ttl_seconds(upload)
    expires = None if ttl_seconds is None else call.state.clock() + ttl_seconds
    # Guess: one bad record refuses the whole request (the sibling APIs validate a request as a whole).
    records = [
        Record(_key(index, record, connection.primary_key), record, expires)
        for index, record in enumerate(_data(upload))
    ]
    connection.upload(records, batch_uuid, completed=completed)
    # The body is not documented. Guess: "success", as the Sports API answers, and the batch, which may be our
    # own.
    return json_answer(200, {"success": True, "batch_uuid": batch_uuid})


def _data(upload: dict[str, Any]) -> list[Any]:
    data = upload.get("data")
    if not isinstance(data, list):
        raise Refusal(SCHEMA_STATUS, "data is required, as a list of objects")
    if len(data) > optix.MAX_RECORDS:
        raise Refusal(400, f"{len(data)} records: at most {optix.MAX_RECORDS} are allowed in a request")
    if not data:
        # Not documented. Guess: refused, so that nobody relies on closing a batch with an empty request.
        raise Refusal(SCHEMA_STATUS, "data is empty")
    return data


def _key(index: int, record: object, primary_key: str) -> str:
    if not isinstance(record, dict):
        raise Refusal(400, f"data[{index}] is no object")
    if primary_key not in record:
        raise Refusal(400, f"data[{index}] lacks the primary key {primary_key!r}")
    value = record[primary_key]
    # Samples show integers and strings. Guess: everything else, and the empty string, is refused.
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise Refusal(SCHEMA_STATUS, f"data[{index}]: the primary key {primary_key!r} is no string or number")
    return json.dumps(value)


def _ttl_seconds(upload: dict[str, Any]) -> int | None:
    ttl_seconds = upload.get("ttl_seconds")
    if ttl_seconds is None:
        return None
    # Not documented: 0 and less. Guess: refused.
    if isinstance(ttl_seconds, bool) or not isinstance(ttl_seconds, int) or ttl_seconds <= 0:
        raise Refusal(SCHEMA_STATUS, "ttl_seconds must be a positive integer or null")
    return ttl_seconds


def _batch(state: State, upload: dict[str, Any]) -> tuple[str, bool]:
    completed = upload.get("batch_completed", True)
    if not isinstance(completed, bool):
        raise Refusal(SCHEMA_STATUS, "batch_completed must be true or false")
    # Guess: a null counts as left out.
    given = upload.get("batch_uuid")
    if given is None:
        return state.ids.uuid(), completed
    try:
        return str(uuid.UUID(given)), completed
    except (ValueError, AttributeError, TypeError):
        raise Refusal(SCHEMA_STATUS, "batch_uuid must be a UUID") from None


def _reach(call: Call) -> Response:
    # Assumed: nothing is documented at the base URL.
    raise Refusal(404, "there is nothing to read here")


HANDLERS: dict[Endpoint, Handler] = {
    optix.CREATE_CONNECTION: _create_connection,
    optix.UPLOAD_DATA: _upload_data,
    optix.REACH: _reach,
}
OPTIX = Api(PREFIXES[optix.API], HANDLERS, _admit, _refuse)
