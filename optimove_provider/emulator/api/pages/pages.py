"""The pages themselves: the start page, one data connection, one table. No I/O but reading templates."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.api.pages.endpoints import vendors
from optimove_provider.emulator.api.pages.examples import FAULTS, SWITCHES
from optimove_provider.emulator.api.routes import Call
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.optix import Connection, Record
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal

if TYPE_CHECKING:
    import jinja2

ON_A_PAGE = 50
SHOWN_REQUESTS = 12
_HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
}


def start_page(call: Call, control: Iterable[tuple[str, str, str]]) -> Response:
    """What it holds, trouble on order, switches, endpoints. `control`: method, path, purpose of control routes."""
    state = call.state
    advance(state)
    default, now = asdict(Switches()), asdict(state.switches.plain)
    return _page(
        "start.html",
        state=state,
        connections=[(one, len(_visible(state, one))) for one in state.connections.values()],
        tables=[(table, _files(state, table.id)) for table in state.tables.values()],
        requests=list(islice(reversed(state.requests), SHOWN_REQUESTS)),
        orders=state.faults.open,
        changed={name: value for name, value in now.items() if value != default[name]},
        default=default,
        faults=FAULTS,
        switches=SWITCHES,
        vendors=vendors(),
        control=control,
        url=f"http://{call.header('host') or '127.0.0.1:8099'}/_emulator",
    )


def connection_page(call: Call) -> Response:
    """A data connection, with its records and its batches. Raises Refusal 404."""
    connection = call.state.connections.get(call.path["data_connection_uuid"])
    if connection is None:
        raise Refusal(404, "there is no such data connection")
    records = _visible(call.state, connection)
    shown = _Shown.of(call, records)
    rows = [(key, record.data, _instant(record.expires)) for key, record in shown.rows]
    batches = [(one, _instant(one.opened)) for one in islice(reversed(connection.batches.values()), ON_A_PAGE)]
    return _page("connection.html", connection=connection, shown=shown, rows=rows, batches=batches)


def table_page(call: Call) -> Response:
    """A table of DCP, with its attributes, profiles and files. Raises Refusal 404."""
    advance(call.state)
    table = call.state.tables.get(call.number("table_id"))
    if table is None:
        raise Refusal(404, "there is no such table")
    uploads = [one for one in reversed(call.state.uploads) if one.table_id == table.id]
    return _page("table.html", table=table, shown=_Shown.of(call, table.profiles), uploads=uploads[:ON_A_PAGE])


def refused_page(refusal: Refusal) -> Response:
    """Why a form was not taken."""
    return _page("refused.html", refusal.status, message=refusal.message)


@dataclass(frozen=True, slots=True)
class _Shown:
    """One page of things by key, or the one whose key was asked for."""

    rows: Sequence[tuple[str, Any]]
    total: int
    number: int
    key: str

    @classmethod
    def of(cls, call: Call, things: Mapping[str, Any]) -> "_Shown":
        asked = parse_qs(urlsplit(call.request.url).query)
        key, text = asked.get("key", [""])[0].strip(), asked.get("page", ["1"])[0]
        number = max(1, int(text)) if text.isascii() and text.isdecimal() and len(text) < 10 else 1
        if key:
            found = [(key, things[key])] if key in things else []
            return cls(found, len(things), 1, key)
        first = (number - 1) * ON_A_PAGE
        return cls(list(islice(things.items(), first, first + ON_A_PAGE)), len(things), number, "")

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // ON_A_PAGE))

    def link(self, number: int) -> str:
        """The query of another page; empty where there is none."""
        return f"?{urlencode({'page': number})}" if 1 <= number <= self.pages and not self.key else ""


def _visible(state: State, connection: Connection) -> Mapping[str, Record]:
    state.look_at(connection)
    return connection.visible(state.clock(), lambda: state.switches.plain.old_rows_stay)


def _files(state: State, table_id: int) -> dict[str, int]:
    states = [upload.status for upload in state.uploads if upload.table_id == table_id]
    return {status: states.count(status) for status in dict.fromkeys(states)}


def _instant(at: float | None) -> str:
    if at is None:
        return "never"
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OSError, OverflowError, ValueError):
        return "after the year 9999"


def _order_text(order: Any) -> str:
    """An order as it would be sent: without what is as ever."""
    shown = {name: value for name, value in asdict(order).items() if name in _ALWAYS or value}
    del shown["number"]
    if shown.get("every") == 1:
        del shown["every"]
    return json.dumps({_ALWAYS.get(name, name): value for name, value in shown.items()})


_ALWAYS = {"endpoint": "endpoint", "key_contains": "import", "number": "number"}
"""Members of an order that are always shown, and what they are called."""


def _page(name: str, status: int = 200, **values: Any) -> Response:
    return Response(status, _templates().get_template(name).render(**values).encode("utf-8", "replace"), _HEADERS)


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.PackageLoader("optimove_provider.emulator.api.pages"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    found.filters |= {"order_text": _order_text, "json": lambda value: json.dumps(value, ensure_ascii=False)}
    return found
