"""The DCP config API, answered from the contract's rows. No I/O here.

Strict where the REST reference of 2020 says something: the Token header, 201 for what is created, one service
an account, the locator rules, the datatypes and formats of attributes. The rest are guesses, named where they
stand.
"""

from dataclasses import replace
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.rate import keep_the_rate
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call, Handler
from optimove_provider.emulator.model.dcp import Credentials, Project, Registered, Service, Table
from optimove_provider.emulator.model.state import TOKEN, State
from optimove_provider.emulator.replies import Refusal, json_answer, json_object, optional_text, required_text


def admit(call: Call) -> None:
    """REST reference, responses: a missing token is 401, an invalid or revoked one 403."""
    token = call.header(dcp.TOKEN_HEADER)
    if token is None:
        raise Refusal(401, "Authentication Failed")
    if token != TOKEN:
        raise Refusal(403, "Authentication Failed")
    keep_the_rate(call.state, call.state.dcp_recent, call.state.switches.dcp_requests_per_minute, 60.0)


def refuse(state: State, refusal: Refusal) -> Response:
    how = state.switches.dcp_error_body
    if how == "json":
        # Inferred from a third-party client, which parses these two members of an error.
        answer = json_answer(refusal.status, {"message": refusal.message, "uuid": state.ids.uuid()})
    else:
        text = refusal.message.encode("utf-8", "replace") if how == "text" else b""
        answer = Response(refusal.status, text, {"content-type": "text/plain; charset=utf-8"})
    return Response(answer.status, answer.body, {**answer.headers, **refusal.headers})


def _service(call: Call) -> Service:
    service = call.state.services.get(call.number("service_id"))
    if service is None:
        raise Refusal(404, "there is no such service")
    return service


def table_of(call: Call) -> Table:
    """The table that the path names. Raises Refusal 404."""
    table = call.state.tables.get(call.number("table_id"))
    if table is None:
        raise Refusal(404, "there is no such table")
    return table


def _list_services(call: Call) -> Response:
    return json_answer(200, [service.as_json() for service in call.state.services.values()])


def _create_service(call: Call) -> Response:
    state = call.state
    name = required_text(json_object(call.json), "name")
    if state.services:
        raise Refusal(
            state.switches.second_service_status, "the account has a DCP service already, and can have one only"
        )
    # Guess: the shape of AWS keys. They are made up.
    credentials = Credentials("AKIA" + state.ids.secret(16), state.ids.secret(40))
    service = Service(state.ids.number(), name, credentials, state.timestamp())
    state.services[service.id] = service
    if state.switches.optimizely_table == "created":
        _add_table(state, service, "Optimizely", ("uid", None), "Optimizely datasource").is_optimizely = True
    return json_answer(201, service.as_json())


def _list_tables(call: Call) -> Response:
    service = _service(call)
    return json_answer(200, [table.as_json() for table in call.state.tables.values() if table.service is service])


def _create_table(call: Call) -> Response:
    # Guesses: names need not be unique, and members that are not known are ignored.
    service, state = _service(call), call.state
    wanted = json_object(call.json)
    locator_type = required_text(wanted, "keyfield_locator_type")
    locator_name = optional_text(wanted, "keyfield_locator_name")
    try:
        dcp.check_locator(locator_type, locator_name)
    except SettingsError as error:
        raise Refusal(400, str(error)) from None
    name, description = required_text(wanted, "name"), optional_text(wanted, "description")
    table = _add_table(state, service, name, (locator_type, locator_name), description)
    return json_answer(201, table.as_json())


def _add_table(
    state: State, service: Service, name: str, locator: tuple[str, str | None], description: str | None
) -> Table:
    table = Table(state.ids.number(), service, name, *locator, description, state.timestamp())
    state.tables[table.id] = table
    return table


def _read_table(call: Call) -> Response:
    return json_answer(200, table_of(call).as_json())


def _list_attributes(call: Call) -> Response:
    return json_answer(200, [registered.as_json() for registered in table_of(call).attributes.values()])


def _create_attribute(call: Call) -> Response:
    table, state = table_of(call), call.state
    attribute = _attribute(json_object(call.json))
    # Guesses, all refused with 400: a name that is registered already (names are case-sensitive, so "ltv" and
    # "LTV" are two), and one that no file could hold because its column is the customer id.
    if attribute.name in table.attributes:
        raise Refusal(400, f"the table has an attribute {attribute.name!r} already")
    if is_key_column(attribute.name):
        raise Refusal(400, f"{attribute.name!r} is the name of the key column")
    registered = Registered(state.ids.number(), attribute, state.timestamp())
    table.attributes[attribute.name] = registered
    return json_answer(201, _whole(table, registered))


def _attribute(wanted: dict[str, Any]) -> Attribute:
    name, datatype = required_text(wanted, "name"), required_text(wanted, "datatype")
    format, description = optional_text(wanted, "format"), optional_text(wanted, "description")
    if datatype != "datetime" and format is not None:
        # Documented: "otherwise null". Guess: that the API minds.
        raise Refusal(400, f"format belongs to datatype datetime, not to {datatype}")
    try:
        return Attribute(name, datatype, format, description)
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def _update_attribute(call: Call) -> Response:
    table, registered = _registered(call)
    wanted = json_object(call.json)
    wrong = sorted({"name", "datatype", "format"} & wanted.keys())
    if wrong and call.state.switches.attribute_put == "400":
        raise Refusal(400, f"not supported: {', '.join(wrong)}")
    if "description" in wanted:
        attribute = replace(registered.attribute, description=optional_text(wanted, "description"))
        registered.attribute, registered.last_modified = attribute, call.state.timestamp()
    return json_answer(202, _whole(table, registered))


def _registered(call: Call) -> tuple[Table, Registered]:
    wanted = call.number("attribute_id")
    for table in call.state.tables.values():
        for registered in table.attributes.values():
            if registered.id == wanted:
                return table, registered
    raise Refusal(404, "there is no such attribute")


def _whole(table: Table, registered: Registered) -> dict[str, Any]:
    return {
        **registered.as_json(),
        "dcp_datasource_id": table.id,
        "created": registered.created,
        "last_modified": registered.last_modified or registered.created,
    }


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
        if linked is not None and linked not in call.state.services:
            raise Refusal(400, f"there is no DCP service {linked!r}")
        project.dcp_service_id = linked
    return json_answer(202, project.as_json())


HANDLERS: dict[Endpoint, Handler] = {
    dcp.LIST_SERVICES: _list_services,
    dcp.CREATE_SERVICE: _create_service,
    dcp.LIST_TABLES: _list_tables,
    dcp.CREATE_TABLE: _create_table,
    dcp.READ_TABLE: _read_table,
    dcp.LIST_ATTRIBUTES: _list_attributes,
    dcp.CREATE_ATTRIBUTE: _create_attribute,
    dcp.UPDATE_ATTRIBUTE: _update_attribute,
    dcp.READ_PROJECT: _read_project,
    dcp.UPDATE_PROJECT: _update_project,
}
DCP = Api(PREFIXES[dcp.API], HANDLERS, admit, refuse, trailing_slash=True)
