"""Subject access requests of Optimizely's REST API v2, answered from the contract's row. No I/O here.

Documented: the members and their words, 201 with the request. Guesses: that a deletion empties the profiles of the
id in all tables, and does so at once.
"""

from typing import Any

from optimove_provider.contract.dcp import subject_access
from optimove_provider.contract.shapes import profiles as shapes
from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator.api.routes import PREFIXES, Api, Call
from optimove_provider.emulator.model.state import TOKEN, State
from optimove_provider.emulator.replies import Refusal, json_answer, json_object

_WORDS = {
    "data_type": shapes.DATA_TYPES,
    "identifier_type": shapes.IDENTIFIER_TYPES,
    "request_type": subject_access.REQUEST_TYPES,
}


def _admit(call: Call) -> None:
    """The API takes OAuth 2.0 and personal tokens, as a Bearer."""
    scheme, _, token = (call.header("authorization") or "").partition(" ")
    if scheme.casefold() != "bearer" or token.strip() != TOKEN:
        raise Refusal(401, "Invalid credentials")


def _refuse(state: State, refusal: Refusal) -> Response:
    told = {"code": str(refusal.status), "message": refusal.message, "uuid": state.ids.uuid()}
    return json_answer(refusal.status, told)


def _create(call: Call) -> Response:
    wanted = json_object(call.json)
    for name, words in _WORDS.items():
        if wanted.get(name) not in words:
            raise Refusal(400, f"{name} must be one of {', '.join(words)}")
    identifier = wanted.get("identifier")
    if not isinstance(identifier, str) or not 0 < len(identifier) <= subject_access.LONGEST_IDENTIFIER:
        raise Refusal(400, f"identifier must be a text of at most {subject_access.LONGEST_IDENTIFIER} characters")
    if (wanted["request_type"], wanted["identifier_type"]) == ("delete", subject_access.IDENTIFIER_TYPE):
        for table in call.state.tables.values():
            table.profiles.pop(identifier, None)
    told: dict[str, Any] = {
        **{name: wanted[name] for name in (*_WORDS, "identifier")},
        "id": call.state.ids.number(),
        "account_id": 1,
        "status": "pending",
        "requested_at_time": call.state.timestamp(),
        "sla_deadline_time": call.state.timestamp(),
    }
    return json_answer(201, told)


SUBJECT_ACCESS = Api(
    PREFIXES[subject_access.API],
    {subject_access.CREATE_SUBJECT_ACCESS_REQUEST: _create},
    _admit,
    _refuse,
)
