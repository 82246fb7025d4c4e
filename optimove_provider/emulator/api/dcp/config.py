"""The DCP config API, answered from the contract's rows. No I/O here.

Strict where the REST reference of 2020 says something: the Token header, 201 for what is created, one service
an account, the locator rules, the datatypes and formats of attributes. The rest are guesses, named where they
stand.
"""

from typing import Any

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.dcp import attributes
from optimove_provider.emulator.api.dcp.lists import listed, service_of, table_of
from optimove_provider.emulator.api.rate import keep_the_rate
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.model.dcp import Credentials, Project, Service, Table
from optimove_provider.emulator.model.state import TOKEN, State
from optimove_provider.emulator.replies import (
    Refusal,
    json_answer,
    json_object,
    optional_text,
    required_text,
    whole_number,
)


def admit(call: Call) -> None:
    """REST reference, responses: a missing token is 401, an invalid or revoked one 403. One in a header that is not
    looked at is missing."""
    tokens = _tokens(call)
    if not tokens:
        raise Refusal(401, "Authentication Failed")
    if TOKEN not in tokens:
        raise Refusal(403, "Authentication Failed")
    keep_the_rate(call.state, call.state.dcp_recent, call.state.switches.dcp_requests_per_minute, 60.0)


def _tokens(call: Call) -> list[str]:
    """The tokens in the headers that are looked at."""
    accepted, found = call.state.switches.accepted_auth, list[str]()
    classic, (scheme, _, bearer) = call.header(dcp.TOKEN_HEADER), (call.header("authorization") or "").partition(" ")
    if accepted != "bearer" and classic is not None:
        found.append(classic)
    if accepted != "token" and scheme.casefold() == "bearer":
        found.append(bearer.strip())
    return found


def refuse(state: State, refusal: Refusal) -> Response:
    how = state.switches.dcp_error_body
    if how == "json":
        # Inferred from a third-party client, which parses these two members of an error.
        return json_answer(refusal.status, {"message": refusal.message, "uuid": state.ids.uuid()})
    text = refusal.message.encode("utf-8", "replace") if how == "text" else b""
    return Response(refusal.status, text, {"content-type": "text/plain; charset=utf-8"})


def _list_services(call: Call) -> Response:
    return listed(call, call.state.services.values())


def _create_service(call: Call) -> Response:
    state = call.state
    name = required_text(json_object(call.json), "name")
    if not all(service.archived for service in state.services.values()):
        raise Refusal(
            state.switches.second_service_status, "the account has a DCP service already, and can have one only"
        )
    # Guess: the shape of AWS keys. They are made up.
    credentials = Credentials("AKIA" + state.ids.secret(16), state.ids.secret(40), state.switches.table_keys)
    service = Service(state.ids.number(), name, credentials, state.timestamp(), state.switches.s3_path)
    state.services[service.id] = service
    if state.switches.optimizely_table == "created":
        _add_table(state, service, "Optimizely", ("uid", None), "Optimizely datasource").is_optimizely = True
    return json_answer(201, service.as_json())


def _read_service(call: Call) -> Response:
    return json_answer(200, service_of(call).as_json())


def _update_service(call: Call) -> Response:
    """Only the name is editable. Guess: other members are ignored."""
    service, wanted = service_of(call), json_object(call.json)
    if "name" in wanted:
        service.name, service.last_modified = required_text(wanted, "name"), call.state.timestamp()
    return json_answer(202, service.as_json())


def _delete_service(call: Call) -> Response:
    """Documented: it archives all files. Guess: the service and its tables are archived too."""
    service = service_of(call)
    service.archived, service.last_modified = True, call.state.timestamp()
    for table in call.state.tables.values():
        if table.service is service:
            _archive(call.state, table)
    return Response(204)


def _list_tables(call: Call) -> Response:
    service = service_of(call)
    return listed(call, [table for table in call.state.tables.values() if table.service is service])


def _create_table(call: Call) -> Response:
    # Guesses: names need not be unique, and members that are not known are ignored.
    service, state = service_of(call), call.state
    wanted = json_object(call.json)
    locator = _locator(wanted)
    name, description = required_text(wanted, "name"), optional_text(wanted, "description")
    return json_answer(201, _add_table(state, service, name, locator, description).as_json())


def _locator(wanted: dict[str, Any]) -> tuple[str, str | None]:
    locator_type = required_text(wanted, "keyfield_locator_type")
    locator_name = optional_text(wanted, "keyfield_locator_name")
    try:
        dcp.check_locator(locator_type, locator_name)
    except SettingsError as error:
        raise Refusal(400, str(error)) from None
    return locator_type, locator_name


def _add_table(
    state: State, service: Service, name: str, locator: tuple[str, str | None], description: str | None
) -> Table:
    table = Table(state.ids.number(), service, name, *locator, description, state.timestamp())
    state.tables[table.id] = table
    return table


def _read_table(call: Call) -> Response:
    return json_answer(200, table_of(call).as_json())


def _update_table(call: Call) -> Response:
    """Missing fields keep their values, null ones too. Guess: the locator is checked as it will be."""
    table, wanted = table_of(call), json_object(call.json)
    locator = {
        "keyfield_locator_type": table.keyfield_locator_type,
        "keyfield_locator_name": table.keyfield_locator_name,
    }
    table.keyfield_locator_type, table.keyfield_locator_name = _locator({**locator, **wanted})
    if "name" in wanted:
        table.name = required_text(wanted, "name")
    if "description" in wanted:
        table.description = optional_text(wanted, "description")
    table.last_modified = call.state.timestamp()
    return json_answer(202, table.as_json())


def _delete_table(call: Call) -> Response:
    # What becomes of its attributes and data is not documented. Guess: it is archived, with all that it has.
    _archive(call.state, table_of(call))
    return Response(204)


def _archive(state: State, table: Table) -> None:
    table.archived, table.last_modified = True, state.timestamp()


def _list_projects(call: Call) -> Response:
    return listed(call, call.state.projects.values())


def _project(call: Call) -> Project:
    project = call.state.projects.get(call.number("project_id"))
    if project is None:
        raise Refusal(404, "there is no such project")
    return project


def _read_project(call: Call) -> Response:
    return json_answer(200, _project(call).as_json())


def _update_project(call: Call) -> Response:
    # Guesses: null unlinks, other members are ignored, and a service that does not exist is a bad request.
    project, wanted = _project(call), json_object(call.json)
    if "dcp_service_id" in wanted:
        linked = wanted["dcp_service_id"]
        service_id = None if linked is None else whole_number(linked)
        if linked is not None and service_id not in call.state.services:
            raise Refusal(400, f"there is no DCP service {linked!r:.80}")
        project.dcp_service_id = service_id
    return json_answer(202, project.as_json())


HANDLERS: dict[Endpoint, Handler] = {
    dcp.LIST_SERVICES: _list_services,
    dcp.CREATE_SERVICE: _create_service,
    dcp.READ_SERVICE: _read_service,
    dcp.UPDATE_SERVICE: _update_service,
    dcp.DELETE_SERVICE: _delete_service,
    dcp.LIST_TABLES: _list_tables,
    dcp.CREATE_TABLE: _create_table,
    dcp.READ_TABLE: _read_table,
    dcp.UPDATE_TABLE: _update_table,
    dcp.DELETE_TABLE: _delete_table,
    **attributes.HANDLERS,
    dcp.LIST_PROJECTS: _list_projects,
    dcp.READ_PROJECT: _read_project,
    dcp.UPDATE_PROJECT: _update_project,
}
DCP = Api(PREFIXES[dcp.API], HANDLERS, admit, refuse, trailing_slash=True)
