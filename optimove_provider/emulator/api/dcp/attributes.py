"""The attributes of DCP tables, answered from the contract's rows. No I/O here.

Strict where the REST reference of 2020 says something; the rest are guesses, named where they stand.
"""

from dataclasses import replace
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.emulator.api.dcp.lists import in_order, on_pages, table_of
from optimove_provider.emulator.api.routes import Call, Handler
from optimove_provider.emulator.model.dcp import Registered, Table
from optimove_provider.emulator.replies import Refusal, json_answer, json_object, optional_text, required_text


def _list_attributes(call: Call) -> Response:
    table = table_of(call)
    found = [{**one.as_json(), "dcp_datasource_id": table.id} for one in table.registered]
    return on_pages(call, in_order(call, found) + _odd(call))


def _odd(call: Call) -> list[dict[str, Any]]:
    """An attribute of a kind that no page knows, if the switch asks for one."""
    kinds = {"datatype": ("decimal", None), "format": ("datetime", "rfc-2822")}
    datatype, format = kinds.get(call.state.switches.odd_attribute, ("", None))
    odd = Registered(1, Attribute("odd", "string"), call.state.timestamp()).as_json()
    return [{**odd, "datatype": datatype, "format": format}] if datatype else []


def _create_attribute(call: Call) -> Response:
    table, state = table_of(call), call.state
    attribute = _attribute(json_object(call.json))
    # Documented: an archived one is replaced by another of its name. Guesses, all refused with 400: a name that is
    # registered already (names are case-sensitive, so "ltv" and "LTV" are two), and one that no file could hold because
    # its column is the customer id.
    there = table.attributes.get(attribute.name)
    if there and not there.attribute.archived:
        raise Refusal(400, f"the table has an attribute {attribute.name!r} already")
    if is_key_column(attribute.name):
        raise Refusal(400, f"{attribute.name!r} is the name of the key column")
    registered = Registered(state.ids.number(), attribute, state.timestamp())
    table.register(registered)
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


def _read_attribute(call: Call) -> Response:
    return json_answer(200, _whole(*_registered(call)))


def _delete_attribute(call: Call) -> Response:
    """Archives it. Guess: an archived one may be archived again; "you can unarchive" it, and no page says how."""
    _, registered = _registered(call)
    registered.attribute = replace(registered.attribute, archived=True)
    registered.last_modified = call.state.timestamp()
    return Response(204)


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
        for registered in table.registered:
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


HANDLERS: dict[Endpoint, Handler] = {
    dcp.LIST_ATTRIBUTES: _list_attributes,
    dcp.CREATE_ATTRIBUTE: _create_attribute,
    dcp.READ_ATTRIBUTE: _read_attribute,
    dcp.UPDATE_ATTRIBUTE: _update_attribute,
    dcp.DELETE_ATTRIBUTE: _delete_attribute,
}
