"""The Opti-X Data Connections API, answered from the contract's rows. No I/O here.

Strict where the walkthrough, "Using your data connections" and "Managing Data Connections" say something: both
keys, 5000 records, the primary key in each record, the defaults of the optional fields, 200 for an upload. The rest are
guesses: those of `switches.py`, and some that are named where they stand.
"""

import re
from typing import Any

from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.optix.errors import refuse
from optimove_provider.emulator.api.optix.records import Taken, judge, read_ttl, update_reader, upload_reader
from optimove_provider.emulator.api.rate import keep_the_rate
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.model.optix import Batch, Connection, Record
from optimove_provider.emulator.model.state import API_KEY, BRAND_KEY, State
from optimove_provider.emulator.replies import (
    Misshapen,
    Refusal,
    json_answer,
    json_object,
    optional_text,
    required_text,
)

_WINDOW_SECONDS = 10.0
_UUID = re.compile("[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _admit(call: Call) -> None:
    """Both keys on every request, whatever it asks for."""
    switches = call.state.switches
    if call.header(optix.API_KEY_HEADER) != API_KEY:
        raise Refusal(401, f"{optix.API_KEY_HEADER} is missing, wrong or expired")
    if call.header(optix.BRAND_KEY_HEADER) != BRAND_KEY:
        raise Refusal(switches.wrong_brand_status, f"{optix.BRAND_KEY_HEADER} is missing or wrong")
    _keep_the_rate(call.state)
    if call.request.body and 0 < switches.max_body_bytes < len(call.request.body):
        raise Refusal(switches.too_large_status, f"at most {switches.max_body_bytes} bytes are read")


def _keep_the_rate(state: State) -> None:
    switches = state.switches
    try:
        keep_the_rate(state, state.recent, switches.requests_per_10s, _WINDOW_SECONDS)
    except Refusal as refusal:
        refusal.status = switches.rate_limit_status
        raise


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
    switches = call.state.switches
    return json_answer(switches.create_status, _created(switches.created_uuid, connection.data_connection_uuid))


def _created(form: str, data_connection_uuid: str) -> dict[str, Any]:
    said = {"uuid": data_connection_uuid, "null": None, "number": 7, "no_uuid": "created"}
    return {} if form == "missing" else {"data_connection_uuid": said[form]}


def _upload_data(call: Call) -> Response:
    connection, switches, now = _connection(call), call.state.switches, call.state.clock()
    upload = json_object(call.json)
    batch_uuid, completed = _batch(call.state, upload)
    _note_reuse(call, connection.batches.get(batch_uuid))
    try:
        ttl = read_ttl(upload.get("ttl_seconds"), switches)
    except ValueError as problem:
        raise Misshapen(f"ttl_seconds {problem}") from None
    read = upload_reader(connection, switches, ttl, now)
    taken = Taken(switches, connection.batches.get(batch_uuid))
    records, refusal = judge(_data(call.state, upload), "data", read, taken)
    _stop(call.state, records, refusal)
    batch = connection.upload(records, batch_uuid, now)
    if completed:
        _complete(call, connection, batch)
    return _answer(call.state, connection, refusal, {"batch_uuid": batch_uuid})


def _complete(call: Call, connection: Connection, batch: Batch) -> None:
    switches, now = call.state.switches, call.state.clock()
    held = batch.complete(call.sha256)
    if any(record.ttl is not None for record in held.values()) and switches.ttl_starts == "completion":
        held = {key: record.from_now(now) for key, record in held.items()}
    connection.accept(held, now + switches.visible_after_seconds, now)


def _update_data(call: Call) -> Response:
    connection, switches, now = _connection(call), call.state.switches, call.state.clock()
    items = call.json
    if not isinstance(items, list) or not items:
        raise Misshapen("a list of items is expected")
    if 0 < switches.update_limit < len(items):
        raise Refusal(400, f"{len(items)} items: at most {switches.update_limit} are allowed in a request")
    read = update_reader(connection, switches, now)
    records, refusal = judge(items, "items", read, Taken(switches))
    _stop(call.state, records, refusal)
    written = connection.update(records, now, inserts=lambda: switches.absent_key == "upsert")
    connection.accept(written, now + switches.visible_after_seconds, now)
    return _answer(call.state, connection, refusal, {})


def _connection(call: Call) -> Connection:
    connection = call.state.connections.get(call.path["data_connection_uuid"])
    if connection is None:
        raise Refusal(call.state.switches.unknown_uuid_status, "there is no data connection with this uuid")
    call.state.look_at(connection)
    return connection


def _stop(state: State, records: list[Record], refusal: Refusal | None) -> None:
    """Raise the refusal unless the good records are to be stored all the same."""
    if refusal and (state.switches.bad_record == "request" or not records):
        raise refusal


def _answer(state: State, connection: Connection, refusal: Refusal | None, batch: dict[str, Any]) -> Response:
    if refusal:
        raise refusal
    connection.requests_accepted += 1
    status, body = state.switches.success_status, state.switches.success_body
    if body == "empty" or status == 204:
        return Response(status)
    return json_answer(status, {"success": True, **(batch if body == "batch" else {})})


def _data(state: State, upload: dict[str, Any]) -> list[Any]:
    data = upload.get("data")
    if not isinstance(data, list):
        raise Misshapen("data is required, as a list of objects")
    if len(data) > optix.MAX_RECORDS:
        many = f"{len(data)} records: at most {optix.MAX_RECORDS} are allowed in a request"
        state.violations.append(f"{optix.UPLOAD_DATA.name} with {many}")
        raise Refusal(400, many)
    if not data:
        # Not documented. Guess: refused, so that nobody relies on closing a batch with an empty request.
        raise Misshapen("data is empty")
    return data


def _batch(state: State, upload: dict[str, Any]) -> tuple[str, bool]:
    completed = upload.get("batch_completed", True)
    if not isinstance(completed, bool):
        raise Misshapen("batch_completed must be true or false")
    # Guess: a null counts as left out.
    given = upload.get("batch_uuid")
    if given is None:
        return state.ids.uuid(), completed
    # Guess: in its usual form only, in either case.
    if not isinstance(given, str) or not _UUID.fullmatch(given):
        raise Misshapen("batch_uuid must be a UUID")
    return given.lower(), completed


def _note_reuse(call: Call, batch: Batch | None) -> None:
    """A completed batch is over: another request under its uuid, but for the closing one again, is a violation."""
    if batch is None or not batch.completions:
        return
    if call.sha256 != batch.closing:
        call.state.violations.append(f"batch {batch.batch_uuid} was completed before this request to it")
    if call.state.switches.completed_batch == "refuse":
        raise Refusal(400, f"batch {batch.batch_uuid} is completed already")


def _reach(call: Call) -> Response:
    # Assumed: nothing is documented at the base URL.
    raise Refusal(404, "there is nothing to read here")


HANDLERS: dict[Endpoint, Handler] = {
    optix.CREATE_CONNECTION: _create_connection,
    optix.UPLOAD_DATA: _upload_data,
    optix.UPDATE_DATA: _update_data,
    optix.REACH: _reach,
}
OPTIX = Api(PREFIXES[optix.API], HANDLERS, _admit, refuse)
