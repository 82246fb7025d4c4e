"""Lists as the DCP config API gives them: what is in them, in which order, in how many pages. No I/O here.

Documented is a bare array of all. The rest are guesses, which `switches` can change; each is asked for only where it
makes a difference.
"""

import base64
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.emulator.replies import Refusal, json_answer

Shown = dict[str, Any]
_ELSEWHERE = "https://elsewhere.example"
_IDS = ("id", "account_id", "dcp_service_id", "dcp_datasource_id")


def answer(switches: Switches, status: int, value: Any) -> Response:
    """A JSON answer of the config API."""
    return json_answer(status, _in_form(switches, value))


def list_answer(switches: Switches, url: str, items: Sequence[Shown]) -> Response:
    """The answer to a request for a list, or for a page of it."""
    found = listed(switches, items)
    if len(found) < 2 or switches.list_paging == "none":
        return answer(switches, 200, found)
    at = _cursor(url)
    page = answer(switches, 200, found[at : at + 1])
    return page if at + 1 >= len(found) else _linked(switches, url, page, at + 1)


def listed(switches: Switches, items: Sequence[Shown]) -> list[Shown]:
    """What of these is listed, in which order."""
    found = list(items)
    if any(item["archived"] for item in found if "archived" in item) and not switches.archived_in_lists:
        found = [item for item in found if not item["archived"]]
    names = [item.get("name") for item in found]
    if len(set(names)) < len(names) and switches.list_order == "newest_first":
        found.reverse()
    return found


def _cursor(url: str) -> int:
    """Where a page begins; opaque to whoever asks."""
    cursor = parse_qs(urlsplit(url).query).get("cursor", [""])[0]
    try:
        return int(base64.urlsafe_b64decode(cursor)) if cursor else 0
    except ValueError:
        raise Refusal(400, "cursor is none that was given") from None


def _linked(switches: Switches, url: str, page: Response, next_at: int) -> Response:
    place = _ELSEWHERE if switches.list_paging == "elsewhere" else ""
    cursor = base64.urlsafe_b64encode(str(next_at).encode()).decode()
    link = f'<{place}{urlsplit(url).path}?cursor={cursor}>; rel="next"'
    return Response(page.status, page.body, {**page.headers, "link": link})


def _in_form(switches: Switches, value: Any) -> Any:
    """The value, with its ids as numbers, or as texts."""
    if switches.config_ids == "number":
        return value
    if isinstance(value, list):
        return [_in_form(switches, item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: str(found) if name in _IDS and isinstance(found, int) else _in_form(switches, found)
        for name, found in value.items()
    }
