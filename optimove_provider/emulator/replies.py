"""JSON in and out, and the one exception by which a handler refuses a request. No I/O here."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from optimove_provider.contract.wire.messages import JSON_TYPE, Response


class Refusal(Exception):
    """The request is answered with this status, and with this message in the API's own envelope.

    `details` are members that an envelope may add, one for each thing that is wrong.
    """

    def __init__(
        self,
        status: int,
        message: str,
        details: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message = status, message
        self.details, self.headers = details, headers or {}


class Misshapen(Refusal):
    """The body is JSON, and not what it should be. Which status that has may be a guess: `status` is the likely one."""

    def __init__(self, message: str):
        super().__init__(400, message)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is beyond a double")
    return number


def read_json(body: bytes | None) -> Any:
    """The body's JSON value. Raises Refusal 400 for anything else, NaN and infinities included."""
    try:
        return json.loads(body or b"", parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no valid JSON: {error}") from None


def json_object(value: Any) -> dict[str, Any]:
    """The value, which must be a JSON object. Raises Misshapen."""
    if not isinstance(value, dict):
        raise Misshapen("a JSON object is expected")
    return value


def required_text(value: dict[str, Any], name: str) -> str:
    """A member that must be there, and be text that is not empty. Raises Misshapen."""
    text = value.get(name)
    if not isinstance(text, str) or not text:
        raise Misshapen(f"{name} is required, as a string that is not empty")
    return text


def optional_text(value: dict[str, Any], name: str) -> str | None:
    """A member that may be absent or null, and is text otherwise. Raises Misshapen."""
    text = value.get(name)
    if text is not None and not isinstance(text, str):
        raise Misshapen(f"{name} must be a string or null")
    return text


def whole_number(value: Any) -> int | None:
    """A whole number, also one that is written 3.0, as JSON knows no other kind; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def json_answer(status: int, value: object) -> Response:
    """A JSON answer. ASCII only: values may hold half of a surrogate pair, which UTF-8 cannot carry."""
    return Response(status, json.dumps(value, allow_nan=False).encode(), {"content-type": JSON_TYPE})
