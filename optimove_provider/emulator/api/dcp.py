"""The DCP config API and the upload history, answered from the contract's rows. No I/O here.

Strict where the REST reference of 2020 says something: the Token header, 201 for what is created, 202 for what is
changed, 204 for what is deleted, one service an account, the locator rules. Attributes are in `dcp_attributes`. The
rest are guesses, named where they stand.
"""

from typing import Any

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.dcp_attributes import (
    archive_attribute,
    create_attribute,
    list_attributes,
    read_attribute,
    shown_attributes,
    table_of,
    update_attribute,
)
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.listing import answer, list_answer, listed
from optimove_provider.emulator.model.dcp import Credentials, Project, Service, Table
from optimove_provider.emulator.model.state import TOKEN, State
from optimove_provider.emulator.replies import Refusal, json_answer, json_object, optional_text, required_text


def admit(call: Call) -> None:
    """REST reference, responses: a missing token is 401, an invalid or revoked one 403."""
    token, bearer = call.header(dcp.TOKEN_HEADER), _bearer(call)
    given = [one for one in (token, bearer) if one is not None]
    if given and call.state.switches.dcp_auth != "both":
        given = [one for one in [token if call.state.switches.dcp_auth == "token" else bearer] if one is not None]
    if not given:
        raise Refusal(401, "Authentication Failed")
    if given != [TOKEN]:
        raise Refusal(403, "Authentication Failed")


def _bearer(call: Call) -> str | None:
    """REST reference, OAuth, API access: "Authorization: Bearer [token]" instead of "Token: [token]"."""
    scheme, _, token = (call.header("Authorization") or "").partition(" ")
    return token.strip() if scheme.casefold() == "bearer" else None


def _admit_everybody(call: Call) -> None:
    """The history is no vendor's: it takes no token."""


def refuse(state: State, refusal: Refusal) -> Response:
    # Inferred from a third-party client, which parses these two members of an error.
    return json_answer(refusal.status, {"message": refusal.message, "uuid": state.ids.uuid()})


def _service(call: Call) -> Service:
    service = call.state.services.get(call.number("service_id"))
    if service is None:
        raise Refusal(404, "there is no such service")
    return service


def _list_services(call: Call) -> Response:
    return list_answer(
        call.state.switches, call.request.url, [service.as_json() for service in call.state.services.values()]
    )


def _create_service(call: Call) -> Response:
    state = call.state
    name = required_text(json_object(call.json), "name")
    # Guess: an archived one does not count.
    if any(not service.archived for service in state.services.values()):
        raise Refusal(
            state.switches.second_service_status, "the account has a DCP service already, and can have one only"
        )
    # Guess: the shape of AWS keys. They are made up.
    credentials = Credentials("AKIA" + state.ids.secret(16), state.ids.secret(40))
    service = Service(state.ids.number(), name, credentials, state.timestamp())
    state.services[service.id] = service
    # The text of 2016 says that a service brings the Optimizely table; the one of 2020 is silent. Guess: it
    # does.
    _add_table(state, service, "Optimizely", ("uid", None), "Optimizely datasource").is_optimizely = True
    return answer(call.state.switches, 201, service.as_json())


def _read_service(call: Call) -> Response:
    return answer(call.state.switches, 200, _service(call).as_json())


def _update_service(call: Call) -> Response:
    service, wanted = _service(call), json_object(call.json)
    if "name" in wanted:
        service.name, service.last_modified = required_text(wanted, "name"), call.state.timestamp()
    return answer(call.state.switches, 202, service.as_json())


def _delete_service(call: Call) -> Response:
    """Documented: "archives all files". Guess: the service and its tables are archived with them, and stay readable."""
    service = _service(call)
    service.archived, service.last_modified = True, call.state.timestamp()
    for table in call.state.tables.values():
        if table.service is service:
            _archive(call.state, table)
    return Response(204)


def _list_tables(call: Call) -> Response:
    service = _service(call)
    return list_answer(
        call.state.switches,
        call.request.url,
        [_shown(call, table) for table in call.state.tables.values() if table.service is service],
    )


def _shown(call: Call, table: Table) -> dict[str, Any]:
    attributes = listed(call.state.switches, shown_attributes(call.state.switches, table))
    return {**table.as_json(), "attributes": attributes}


def _create_table(call: Call) -> Response:
    # Guesses: names need not be unique, and members that are not known are ignored.
    service, state = _service(call), call.state
    wanted = json_object(call.json)
    locator_type = required_text(wanted, "keyfield_locator_type")
    locator_name = optional_text(wanted, "keyfield_locator_name")
    _check_locator(locator_type, locator_name)
    name, description = required_text(wanted, "name"), optional_text(wanted, "description")
    table = _add_table(state, service, name, (locator_type, locator_name), description)
    return answer(call.state.switches, 201, _shown(call, table))


def _check_locator(locator_type: str, locator_name: str | None) -> None:
    try:
        dcp.check_locator(locator_type, locator_name)
    except SettingsError as error:
        raise Refusal(400, str(error)) from None


def _add_table(
    state: State, service: Service, name: str, locator: tuple[str, str | None], description: str | None
) -> Table:
    table = Table(state.ids.number(), service, name, *locator, description, state.timestamp())
    state.tables[table.id] = table
    return table


def _read_table(call: Call) -> Response:
    return answer(call.state.switches, 200, _shown(call, table_of(call)))


def _update_table(call: Call) -> Response:
    """Guess: an archived table, and the Optimizely one, can be changed like any other."""
    table, wanted = table_of(call), json_object(call.json)
    name = required_text(wanted, "name") if "name" in wanted else table.name
    description = optional_text(wanted, "description") if "description" in wanted else table.description
    locator_type = str(wanted.get("keyfield_locator_type", table.keyfield_locator_type))
    locator_name = optional_text({"keyfield_locator_name": table.keyfield_locator_name, **wanted}, _LOCATOR_NAME)
    _check_locator(locator_type, locator_name)
    table.name, table.description, table.last_modified = name, description, call.state.timestamp()
    table.keyfield_locator_type, table.keyfield_locator_name = locator_type, locator_name
    return answer(call.state.switches, 202, _shown(call, table))


_LOCATOR_NAME = "keyfield_locator_name"


def _delete_table(call: Call) -> Response:
    """Guess: a table is archived, like an attribute, and can still be seen; its profiles can not."""
    _archive(call.state, table_of(call))
    return Response(204)


def _archive(state: State, table: Table) -> None:
    table.archived, table.last_modified = True, state.timestamp()


def _list_projects(call: Call) -> Response:
    return list_answer(
        call.state.switches, call.request.url, [project.as_json() for project in call.state.projects.values()]
    )


def _project(call: Call) -> Project:
    project = call.state.projects.get(call.number("project_id"))
    if project is None:
        raise Refusal(404, "there is no such project")
    return project


def _read_project(call: Call) -> Response:
    return answer(call.state.switches, 200, _project(call).as_json())


def _update_project(call: Call) -> Response:
    # Guesses: null unlinks, other members are ignored, and a service that does not exist is a bad request.
    project, wanted = _project(call), json_object(call.json)
    if "dcp_service_id" in wanted:
        linked = wanted["dcp_service_id"]
        if linked is not None and linked not in call.state.services:
            raise Refusal(400, f"there is no DCP service {linked!r}")
        project.dcp_service_id = linked
    return answer(call.state.switches, 202, project.as_json())


def _upload_history(call: Call) -> Response:
    table = table_of(call)
    advance(call.state, polled_table=table.id)
    entries = [upload.entry for upload in call.state.uploads if upload.table_id == table.id]
    return json_answer(200, [entry.as_json() for entry in entries])


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
    dcp.LIST_ATTRIBUTES: list_attributes,
    dcp.CREATE_ATTRIBUTE: create_attribute,
    dcp.READ_ATTRIBUTE: read_attribute,
    dcp.UPDATE_ATTRIBUTE: update_attribute,
    dcp.ARCHIVE_ATTRIBUTE: archive_attribute,
    dcp.LIST_PROJECTS: _list_projects,
    dcp.READ_PROJECT: _read_project,
    dcp.UPDATE_PROJECT: _update_project,
}
HISTORY_HANDLERS: dict[Endpoint, Handler] = {dcp.UPLOAD_HISTORY: _upload_history}
DCP = Api(PREFIXES[dcp.API], HANDLERS, admit, refuse, trailing_slash=True)
HISTORY = Api(PREFIXES[dcp.HISTORY_API], HISTORY_HANDLERS, _admit_everybody, refuse)
