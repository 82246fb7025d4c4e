"""The side door under `/_emulator/`: what is stored, what was asked, and trouble on order.

No vendor has anything like it. It takes no key and shows neither keys nor the values of headers. No I/O here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, get_args, get_type_hints

from optimove_provider.contract.wire.messages import JSON_TYPE, Endpoint, Response
from optimove_provider.emulator.api.described.openapi import as_text, document
from optimove_provider.emulator.api.pages import pages
from optimove_provider.emulator.api.pages.forms import json_of, taken
from optimove_provider.emulator.api.routes import Api, Call, Handler
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.dcp import Service, Table
from optimove_provider.emulator.model.faults import read_fault
from optimove_provider.emulator.model.optix import Batch, Connection
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal, json_answer, json_object

PREFIX = "/_emulator"
NAME = "emulator"


def _row(method: str, path: str, does: str) -> Endpoint:
    return Endpoint(f"{method} {path}", NAME, method, path, retry_safe=method != "POST", source=does)


def _admit(call: Call) -> None:
    """Everybody who gets as far as here: over HTTP, `callers` says who may."""


def _refuse(state: State, refusal: Refusal) -> Response:
    return json_answer(refusal.status, {"message": refusal.message})


def _start(call: Call) -> Response:
    return pages.start_page(call, [(row.method, PREFIX + row.path, row.source) for row in HANDLERS])


def _openapi(call: Call) -> Response:
    described = as_text(document(call.state.switches.plain))
    return Response(200, described.encode(), {"content-type": JSON_TYPE})


def _state(call: Call) -> Response:
    state = call.state
    advance(state)
    now = state.clock()
    shown = {
        "connections": [_connection(state, connection, now) for connection in state.connections.values()],
        "services": [_without_keys(service) for service in state.services.values()],
        "tables": [_table(table) for table in state.tables.values()],
        "violations": state.violations,
        "switches_met": sorted(state.switches.met),
    }
    return json_answer(200, shown)


def _connection(state: State, connection: Connection, now: float) -> dict[str, Any]:
    state.look_at(connection)
    records = connection.visible(now, lambda: state.switches.old_rows_stay)
    return {
        "data_connection_uuid": connection.data_connection_uuid,
        "name": connection.name,
        "primary_key": connection.primary_key,
        "records": {key: {"data": record.data, "expires": record.expires} for key, record in records.items()},
        "open_batches": len(connection.open_batches),
        "completed_batches": len(connection.completed_batches),
        "requests_accepted": connection.requests_accepted,
        "records_received": connection.records_received,
        "batches": [_batch(batch) for batch in connection.batches.values()],
    }


def _batch(batch: Batch) -> dict[str, Any]:
    return {name: getattr(batch, name) for name in ("batch_uuid", "state", "requests", "records", "completions")}


def _without_keys(item: Service | Table) -> dict[str, Any]:
    return {name: value for name, value in item.as_json().items() if not name.startswith("aws_")}


def _table(table: Table) -> dict[str, Any]:
    return {**_without_keys(table), "service_id": table.service.id, "profiles": table.profiles}


def _reset(call: Call) -> Response:
    call.state.reset()
    return json_answer(200, {})


def _switches(call: Call) -> Response:
    return json_answer(200, asdict(call.state.switches.plain))


def _set_switches(call: Call) -> Response:
    _set(call, json_object(call.json))
    return _switches(call)


def _set(call: Call, wanted: Mapping[str, Any]) -> None:
    known = get_type_hints(Switches)
    for name, value in wanted.items():
        if name not in known:
            raise Refusal(400, f"switch {name!r} is unknown: one of {_listed(known)}")
        _check_switch(name, value, known[name])
    call.state.switches = replace(call.state.switches.plain, **wanted)


def _check_switch(name: str, value: Any, kind: Any) -> None:
    if choices := get_args(kind):
        # True equals 1, and 200.0 equals 200.
        right, words = any(value == c and type(value) is type(c) for c in choices), f"one of {_listed(choices)}"
    elif kind is bool or kind is str:
        right, words = isinstance(value, kind), "true or false" if kind is bool else "a string"
    else:
        number = int if kind is int else int | float
        right = isinstance(value, number) and not isinstance(value, bool) and value >= 0
        words = f"a {'whole ' if kind is int else ''}number that is not negative"
    if not right:
        raise Refusal(400, f"switch {name} is {words}")


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _faults(call: Call) -> Response:
    faults = call.state.faults
    imports = [
        {"import": fault.key_contains, "message": fault.message, "times": fault.times, "number": fault.number}
        for fault in faults.imports
    ]
    return json_answer(200, [*(asdict(fault) for fault in faults.answers), *imports])


def _order_faults(call: Call) -> Response:
    _order(call, call.json)
    return _faults(call)


def _order(call: Call, wanted: Any) -> None:
    call.state.faults.order(*map(read_fault, wanted if isinstance(wanted, list) else [wanted]))


def _withdraw(call: Call) -> Response:
    call.state.faults.withdraw(call.number("number"))
    return _faults(call)


def _order_form(call: Call) -> Response:
    return taken(call, "order", lambda text: _order(call, json_of(text)), "orders")


def _withdraw_form(call: Call) -> Response:
    return taken(call, "number", lambda text: call.state.faults.withdraw(int(text)), "orders")


def _switch_form(call: Call) -> Response:
    return taken(call, "switches", lambda text: _set(call, json_object(json_of(text))), "switches")


def _requests(call: Call) -> Response:
    return json_answer(200, list(call.state.requests))


def _uploads(call: Call) -> Response:
    advance(call.state)
    return json_answer(200, [upload.entry.as_json() for upload in call.state.uploads])


HANDLERS: dict[Endpoint, Handler] = {
    _row("GET", "/", "this page"): _start,
    _row("GET", "/openapi.json", "both APIs as they are served now, as OpenAPI 3.1"): _openapi,
    _row("GET", "/state", "what is stored and visible, and violations of the vendors' rules"): _state,
    _row("POST", "/reset", "forget everything; ids go on"): _reset,
    _row(
        "GET", "/switches", f"the guesses that can be changed: {', '.join(f.name for f in fields(Switches))}"
    ): _switches,
    _row("PUT", "/switches", "change some of them: a JSON object"): _set_switches,
    _row("GET", "/faults", "the orders that are still open"): _faults,
    _row("POST", "/faults", "order trouble: one JSON object, or a list of them"): _order_faults,
    _row("DELETE", "/faults/{number}", "withdraw an order"): _withdraw,
    _row("POST", "/order", "what the form of this page sends: an order"): _order_form,
    _row("POST", "/withdraw", "the same: an order is withdrawn"): _withdraw_form,
    _row("POST", "/switch", "the same: switches are set"): _switch_form,
    _row("GET", "/connections/{data_connection_uuid}", "a page of a data connection's records"): pages.connection_page,
    _row("GET", "/tables/{table_id}", "a page of a table's profiles"): pages.table_page,
    _row("GET", "/requests", "what was asked, the oldest first; no header values"): _requests,
    _row("GET", "/uploads", "the upload history of all tables"): _uploads,
}
CONTROL = Api(PREFIX, HANDLERS, _admit, _refuse)
