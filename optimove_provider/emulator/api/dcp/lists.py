"""What a path of DCP names, and what is listed: archived or not, in which order, on how many pages. No I/O here."""

from collections.abc import Iterable
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.api.routes import Call
from optimove_provider.emulator.model.dcp import Service, Table
from optimove_provider.emulator.replies import Refusal, json_answer


class Shown(Protocol):
    """Something that the API lists."""

    def as_json(self) -> dict[str, Any]:
        """As it is listed."""
        ...


def table_of(call: Call, name: str = "table_id") -> Table:
    """The table that the path names, in this member. Raises Refusal 404."""
    table = call.state.tables.get(call.number(name))
    if table is None:
        raise Refusal(404, "there is no such table")
    return table


def service_of(call: Call) -> Service:
    """The service that the path names. Raises Refusal 404."""
    service = call.state.services.get(call.number("service_id"))
    if service is None:
        raise Refusal(404, "there is no such service")
    return service


def listed(call: Call, found: Iterable[Shown]) -> Response:
    """The answer that lists them."""
    return on_pages(call, in_order(call, [one.as_json() for one in found]))


def in_order(call: Call, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is listed of it, in which order: the switches speak of what is archived only."""
    if not any(one.get("archived") for one in found):
        return found
    if call.state.switches.archived_in_lists == "no":
        return [one for one in found if not one["archived"]]
    is_last = call.state.switches.archived_order == "archived_last"
    return sorted(found, key=lambda one: bool(one["archived"]) is is_last)


def on_pages(call: Call, found: list[dict[str, Any]]) -> Response:
    """The whole list, or one page of it and a link to the next: no paging is documented."""
    size = call.state.switches.list_page_size if len(found) > 1 else 0
    if not size:
        return json_answer(200, found)
    url = urlsplit(call.request.url)
    asked = parse_qs(url.query).get("page", ["1"])[0]
    page = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 10 else 1
    answer = json_answer(200, found[(page - 1) * size : page * size])
    if page * size >= len(found):
        return answer
    link = url._replace(query=f"page={page + 1}").geturl()
    return Response(answer.status, answer.body, {**answer.headers, "link": f'<{link}>; rel="next"'})
