"""One request, one answer: `handle` as the vendors would, `send` with the ordered trouble. No I/O here."""

from typing import Any
from urllib.parse import unquote

from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response
from optimove_provider.emulator.api.control import CONTROL, PREFIX
from optimove_provider.emulator.api.dcp.config import DCP
from optimove_provider.emulator.api.dcp.history import HISTORY
from optimove_provider.emulator.api.dcp.profiles import PROFILES
from optimove_provider.emulator.api.dcp.subject_access import SUBJECT_ACCESS
from optimove_provider.emulator.api.doubtful import DOUBTFUL
from optimove_provider.emulator.api.optix.connections import OPTIX
from optimove_provider.emulator.api.routes import Call, url_path
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.replies import Refusal, json_answer

APIS = (OPTIX, DCP, PROFILES, SUBJECT_ACCESS, HISTORY, CONTROL)
"""In the order in which they are asked whether a path is theirs."""


def handle(state: State, request: Request) -> Response:
    """Answer as the vendors would: nothing is lost, no ordered fault is met, nothing is logged.

    `request.url` may be absolute, or a path with or without a query.
    """
    return _answer(_route(state, request))


def send(state: State, request: Request) -> Answer:
    """Answer a client: `handle`, the ordered faults, and the request log. Control routes meet no fault.

    A connection lost on order is a `Lost`; the HTTP server drops the socket for it.
    """
    call = _route(state, request)
    if call.api is CONTROL:
        return _answer(call)
    fault = state.faults.meet(call.endpoint.name if call.endpoint else "")
    answer = _answer_with(fault, call) if fault else _answer(call)
    state.requests.append({**_described(call), **_outcome(answer)})
    return answer


def is_control(url: str) -> bool:
    """Whether a request goes in by the side door, which has no lock of its own: the upload history is there, too."""
    return f"/{unquote(url_path(url)).lstrip('/')}".startswith(PREFIX)


def is_look(request: Request) -> bool:
    """Whether a request changes nothing that is worth keeping: it looks at a control route."""
    return request.method == "GET" and is_control(request.url) and not HISTORY.owns(url_path(request.url))


def latency_seconds(state: State, request: Request) -> float:
    """How long the answer to this request is held back: not at all on a control route."""
    return 0.0 if _route(state, request).api is CONTROL else state.switches.plain.latency_seconds


def _route(state: State, request: Request) -> Call:
    path = url_path(request.url)
    api = next((api for api in APIS if api.owns(path)), None)
    if api is None:
        return Call(state, request)
    endpoint, values = api.find(request.method, path) or (None, {})
    return Call(state, request, api, endpoint, values)


def _answer(call: Call) -> Response:
    if call.api is None:
        prefixes = ", ".join(api.prefix for api in APIS)
        return json_answer(404, {"message": f"nothing is served here, only under {prefixes}"})
    is_write = call.api in (OPTIX, DCP, PROFILES, SUBJECT_ACCESS) and call.request.method != "GET"
    doubtful = DOUBTFUL.get(call.state.switches.doubtful_success) if is_write else None
    if doubtful:
        answer = call.api.answer(call) if call.state.switches.doubtful_work_done else doubtful
        return doubtful if answer.ok else answer
    return call.api.answer(call)


def _answer_with(fault: Fault, call: Call) -> Answer:
    if fault.status is not None:
        headers = {name.lower(): value for name, value in fault.headers.items()}
        return Response(fault.status, fault.body.encode(), headers)
    if fault.lost == "after":
        _answer(call)
    return Lost(f"the connection was dropped on order, {fault.lost} the work was done")


def _outcome(answer: Answer) -> dict[str, Any]:
    lost = answer.reason if isinstance(answer, Lost) else None
    return {"status": answer.status if isinstance(answer, Response) else None, "lost": lost}


def _described(call: Call) -> dict[str, Any]:
    """The request as the log keeps it: of its headers the names, of its body counts, and no values."""
    return {
        "method": call.request.method,
        "path": url_path(call.request.url),
        "endpoint": call.endpoint.name if call.endpoint else None,
        "headers": sorted(name.lower() for name in call.request.headers),
        "sha256": call.sha256,
        **_counts(call),
    }


def _counts(call: Call) -> dict[str, Any]:
    if call.endpoint is optix.UPDATE_DATA:
        return {"records": _length(_json(call))}
    return _batch(call) if call.endpoint is optix.UPLOAD_DATA else {}


def _json(call: Call) -> Any:
    try:
        return call.json
    except Refusal:
        return None


def _length(data: Any) -> int | None:
    return len(data) if isinstance(data, list) else None


def _batch(call: Call) -> dict[str, Any]:
    found = _json(call)
    upload = found if isinstance(found, dict) else {}
    return {
        "records": _length(upload.get("data")),
        "batch_uuid": upload.get("batch_uuid"),
        "batch_completed": upload.get("batch_completed", True),
    }
