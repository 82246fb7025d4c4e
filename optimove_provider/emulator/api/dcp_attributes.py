"""The attributes of DCP tables, answered from the contract's rows. No I/O here.

Documented (REST reference, dcpattributes): datatypes and formats, which of them a list shows, that only the description
can be changed, and that what is archived can neither be read nor written, and be replaced. Guesses are named where they
stand.
"""

from dataclasses import replace
from typing import Any

from optimove_provider.contract.cells.datatypes import Attribute, is_key_column
from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.api.routes import Call
from optimove_provider.emulator.listing import answer, list_answer
from optimove_provider.emulator.model.dcp import Registered, Table
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal, json_object, optional_text, required_text


def table_of(call: Call) -> Table:
    """The table that a path names. Raises Refusal 404."""
    table = call.state.tables.get(call.number("table_id"))
    if table is None:
        raise Refusal(404, "there is no such table")
    return table


def shown_attributes(switches: Switches, table: Table) -> list[dict[str, Any]]:
    """The attributes of a table as it shows them itself."""
    return [*(registered.as_json() for registered in table.attributes.values()), *_odd(switches)]


_ODD: dict[str, Any] = {"id": 1, "name": "odd", "description": None, "is_value_public": False, "archived": False}
"""One that nobody has registered, and that no page describes."""
_KINDS: dict[str, dict[str, Any]] = {
    "datatype": {"datatype": "geo", "format": None},
    "format": {"datatype": "datetime", "format": "rfc3339"},
    "null": {"datatype": None, "format": None},
}


def _odd(switches: Switches) -> list[dict[str, Any]]:
    return [] if switches.odd_attribute == "none" else [{**_ODD, **_KINDS[switches.odd_attribute]}]


def list_attributes(call: Call) -> Response:
    """All of a table, as the reference lists them: with the table's id, without instants."""
    table = table_of(call)
    shown = shown_attributes(call.state.switches, table)
    return list_answer(call.state.switches, call.request.url, [{**one, "dcp_datasource_id": table.id} for one in shown])


def create_attribute(call: Call) -> Response:
    """Register one."""
    table, state = table_of(call), call.state
    attribute = _attribute(json_object(call.json))
    # Guesses, all refused with 400: a name that a live attribute has (names are case-sensitive, so "ltv" and "LTV" are
    # two), and one that no file could hold because its column is the customer id.
    archived = [one for one in table.attributes.values() if one.attribute.name == attribute.name]
    if attribute.name in table.live or (archived and state.switches.archived_name == "taken"):
        raise Refusal(400, f"the table has an attribute {attribute.name!r} already")
    if is_key_column(attribute.name):
        raise Refusal(400, f"{attribute.name!r} is the name of the key column")
    registered = Registered(state.ids.number(), attribute, state.timestamp())
    table.attributes[registered.id] = registered
    return answer(call.state.switches, 201, _whole(table, registered))


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


def read_attribute(call: Call) -> Response:
    """One, archived or not."""
    return answer(call.state.switches, 200, _whole(*_registered(call)))


def update_attribute(call: Call) -> Response:
    """Change the description. Guess: of an archived one, too."""
    table, registered = _registered(call)
    wanted = json_object(call.json)
    wrong = sorted({"name", "datatype", "format"} & wanted.keys())
    if wrong and call.state.switches.attribute_put == "400":
        raise Refusal(400, f"not supported: {', '.join(wrong)}")
    if "description" in wanted:
        attribute = replace(registered.attribute, description=optional_text(wanted, "description"))
        registered.attribute, registered.last_modified = attribute, call.state.timestamp()
    return answer(call.state.switches, 202, _whole(table, registered))


def archive_attribute(call: Call) -> Response:
    """Archive one. Guess: again, if it is archived already. That it can be unarchived is documented, and not how."""
    table, registered = _registered(call)
    table.archive(registered)
    registered.last_modified = call.state.timestamp()
    return Response(204)


def _registered(call: Call) -> tuple[Table, Registered]:
    wanted = call.number("attribute_id")
    for table in call.state.tables.values():
        if wanted in table.attributes:
            return table, table.attributes[wanted]
    raise Refusal(404, "there is no such attribute")


def _whole(table: Table, registered: Registered) -> dict[str, Any]:
    return {
        **registered.as_json(),
        "dcp_datasource_id": table.id,
        "created": registered.created,
        "last_modified": registered.last_modified or registered.created,
    }
