"""The forms that an Opti-X refusal may take: none is documented. No I/O here."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.model.state import State
from optimove_provider.emulator.replies import Misshapen, Refusal, json_answer

_CODES = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 429: "RATE_LIMIT_EXCEEDED"}


def refuse(state: State, refusal: Refusal) -> Response:
    """The refusal in the form that the switches ask for."""
    if isinstance(refusal, Misshapen):
        refusal.status = state.switches.schema_status
    return _ENVELOPES[state.switches.error_envelope](state, refusal)


def _main(state: State, refusal: Refusal) -> Response:
    reason = HTTPStatus(refusal.status).phrase
    return json_answer(refusal.status, {"status": refusal.status, "error": reason, "message": refusal.message})


def _detail(state: State, refusal: Refusal) -> Response:
    return json_answer(refusal.status, {"detail": list(refusal.details) or refusal.message})


def _x(state: State, refusal: Refusal) -> Response:
    error = {
        "code": _CODES.get(refusal.status, "VALIDATION_ERROR"),
        "message": refusal.message,
        "details": list(refusal.details),
        "requestId": state.ids.uuid(),
    }
    return json_answer(refusal.status, {"error": error})


def _text(state: State, refusal: Refusal) -> Response:
    return Response(
        refusal.status, refusal.message.encode("utf-8", "replace"), {"content-type": "text/plain; charset=utf-8"}
    )


def _empty(state: State, refusal: Refusal) -> Response:
    return Response(refusal.status)


_ENVELOPES: Mapping[str, Callable[[State, Refusal], Response]] = {
    "main": _main,
    "detail": _detail,
    "x": _x,
    "text": _text,
    "empty": _empty,
}
