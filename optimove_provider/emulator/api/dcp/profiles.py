"""The DCP profile API: profiles, the consolidated view and aliases, answered from the contract's rows. No I/O here.

Documented (REST reference, dcpcustomerprofiles and dcpalias): the paths, ids as strings, 201 for a write, that values
overwrite earlier ones, and that a key which is not registered or a value of another datatype fails the write. Guesses:
every other status, and that a refused write stores nothing.
"""

from typing import Any

from optimove_provider.contract.dcp import profiles
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.dcp.config import admit, refuse
from optimove_provider.emulator.api.dcp.lists import service_of, table_of
from optimove_provider.emulator.api.dcp.profile_values import shown_values, written_value
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.dcp import Table
from optimove_provider.emulator.replies import Refusal, json_answer, json_object


def _table(call: Call, name: str) -> Table:
    table = table_of(call, name)
    if table.service is not service_of(call):
        raise Refusal(404, "there is no such table in the service")
    if table.archived:  # a guess
        raise Refusal(404, "the table is archived")
    return table


def _optimizely_table(call: Call) -> Table:
    table = _table(call, "optimizely_table_id")
    if not table.is_optimizely:
        raise Refusal(400, f"table {table.id} is not the Optimizely table of its service")
    return table


def _envelope(table: Table, customer_id: str, data: object) -> dict[str, Any]:
    return {
        "dcpServiceId": str(table.service.id),
        "datasourceId": str(table.id),
        "customerId": customer_id,
        "data": data,
    }


_PAGE = Response(200, b"<html><body>Please log in</body></html>", {"content-type": "text/html"})


def _read_profile(call: Call) -> Response:
    table, customer_id = _table(call, "table_id"), call.path["customer_id"]
    advance(call.state, polled_table=table.id)
    wanted = call.state.switches.profile_read
    if wanted == "html":
        return _PAGE
    if wanted != "ok":
        raise Refusal(wanted, "profiles are not read here (profile_read)")
    data = table.profiles.get(customer_id)
    if data is None and call.state.switches.unknown_profile == "404":
        raise Refusal(404, "there is no such profile")
    shown = shown_values(table, data or {}, call.state.switches)
    return json_answer(200, _envelope(table, customer_id, shown))


def _write_profile(call: Call) -> Response:
    table, customer_id, state = _table(call, "table_id"), call.path["customer_id"], call.state
    data = json_object(json_object(call.json).get("data"))
    values = {name: written_value(table, name, value, state.switches) for name, value in data.items()}
    table.upsert(customer_id, values, state.clock() + state.switches.profile_lag_seconds)
    table.show_written(state.clock())
    if state.switches.profile_write_answer == "echo":
        return json_answer(201, _envelope(table, customer_id, data))
    return Response(201)


def _read_consolidated_view(call: Call) -> Response:
    if call.state.switches.consolidated_path == "2016":
        raise Refusal(404, "there is no such path")
    return _consolidated_view(call, _optimizely_table(call))


def _read_consolidated_view_2016(call: Call) -> Response:
    service, tables = service_of(call), call.state.tables.values()
    optimizely = [one for one in tables if one.service is service and one.is_optimizely and not one.archived]
    if call.state.switches.consolidated_path == "2020" or not optimizely:
        raise Refusal(404, "there is no such path")
    return _consolidated_view(call, optimizely[0])


def _consolidated_view(call: Call, optimizely: Table) -> Response:
    """The profile in each table that knows the user: in the Optimizely table by its id, in others by an alias."""
    user_id = call.path["optimizely_user_id"]
    advance(call.state)
    ids = {str(optimizely.id): user_id, **optimizely.service.aliases.get(user_id, {})}
    tables = {str(table.id): table for table in call.state.tables.values()}
    found = [
        _envelope(tables[table_id], customer_id, _shown(call, tables[table_id], customer_id))
        for table_id, customer_id in ids.items()
        if customer_id in tables[table_id].profiles
    ]
    if not found and call.state.switches.unknown_view == "404":
        raise Refusal(404, "no table knows this user")
    return json_answer(200, found)


def _shown(call: Call, table: Table, customer_id: str) -> dict[str, Any]:
    return dict(shown_values(table, table.profiles[customer_id], call.state.switches))


def _read_aliases(call: Call) -> Response:
    table, user_id = _optimizely_table(call), call.path["optimizely_user_id"]
    aliases = table.service.aliases.get(user_id)
    if aliases is None and call.state.switches.unknown_profile == "404":
        raise Refusal(404, "there are no aliases for this user")
    return json_answer(200, _envelope(table, user_id, aliases or {}))


def _create_aliases(call: Call) -> Response:
    table, user_id = _optimizely_table(call), call.path["optimizely_user_id"]
    data = json_object(json_object(call.json).get("data"))
    known = {str(one.id) for one in call.state.tables.values() if one.service is table.service}
    for table_id, customer_id in data.items():
        if table_id not in known:
            raise Refusal(400, f"{table_id!r} is no table of the service")
        if not isinstance(customer_id, str) or not customer_id:
            raise Refusal(400, f"table {table_id}: a customer id is expected, as a string that is not empty")
    aliases, switches = table.service.aliases, call.state.switches
    if user_id in aliases and switches.aliases_again == "replace":
        del aliases[user_id]
    aliases.setdefault(user_id, {}).update(data)
    return json_answer(201, _envelope(table, user_id, data)) if switches.alias_answer == "echo" else Response(201)


HANDLERS: dict[Endpoint, Handler] = {
    profiles.READ_PROFILE: _read_profile,
    profiles.WRITE_PROFILE: _write_profile,
    profiles.READ_CONSOLIDATED: _read_consolidated_view,
    profiles.READ_CONSOLIDATED_2016: _read_consolidated_view_2016,
    profiles.READ_ALIASES: _read_aliases,
    profiles.CREATE_ALIASES: _create_aliases,
}
PROFILES = Api(PREFIXES[profiles.API], HANDLERS, admit, refuse)
