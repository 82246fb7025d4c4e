"""What an answer says of the work that it was asked for: the one rule of success, for both vendors' APIs. No I/O here.

Neither vendor documents more than a status for most calls. So 200 is a success with anything but markup, or JSON whose
top level says no; 201, 202 and 204 are one without a body, or with such JSON. Any other 2xx promises nothing.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from optimove_provider.contract.wire.messages import NestedTooDeeply, Response, read_json

A_PROXY = "a proxy or a sign-in page answered, not the vendor"


class AnswerMeaning(Enum):
    """What became of the work."""

    DONE = "done"
    REFUSED = "refused: not done, and never will be"
    NOT_NOW = "certainly not done; asked again later, it may be"
    IN_DOUBT = "nobody knows, as after a lost answer"


CLIENT_GONE = (408, 444, 460, 499)
"""4xx of proxies and balancers that waited too long for one side or the other: the work may be done."""
MOVED = (301, 307, 308)
"""Redirects of a server that has not looked at the request; what others mean (302, 303) is open."""


def judge(answer: Response) -> AnswerMeaning:
    """What an answer says of the work."""
    status = answer.status
    if 200 <= status < 300:
        return AnswerMeaning.IN_DOUBT if contradiction(answer) else AnswerMeaning.DONE
    if status == 429 or (status == 503 and answer.headers.get("retry-after", "").strip()):
        return AnswerMeaning.NOT_NOW
    if status in MOVED or (400 <= status < 500 and status not in CLIENT_GONE):
        return AnswerMeaning.REFUSED
    return AnswerMeaning.IN_DOUBT


def contradiction(answer: Response) -> str:
    """Why a 2xx is no success, in words that quote no more than what says so; empty where it is one."""
    if answer.status not in (200, 201, 202, 204):
        return "a status that promises nothing"
    if answer.is_cut:
        return "a body that is longer than any answer should be"
    text = answer.text.strip()
    try:
        found = read_json(text, strict=False) if text else None
    except ValueError as error:
        hidden = isinstance(error, NestedTooDeeply) and text.startswith("{")
        return "an object that is nested too deeply to be read" if hidden else _of_text(answer, text)
    return _noes(answer, found) if isinstance(found, dict) else ""


def _of_text(answer: Response, text: str) -> str:
    kind = answer.headers.get("content-type", "").lower()
    if text.startswith("<") or ("html" in kind and "<" in text):
        return f"markup: {A_PROXY}"
    return "" if answer.status == 200 else f"a body that is no JSON: {A_PROXY}"


_FALSE = (False, 0, "false", "no", "0")
_NUMBER = re.compile(r"\d{1,9}(\.0*)?", re.ASCII)
_FAILED = ("error", "errors", "fail", "failed", "failure", "rejected")


def _is_false(value: Any) -> bool:
    return _word(value) in _FALSE


def _is_failure(value: Any) -> bool:
    value = _word(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value >= 400 if number else value is False or value in _FAILED


def _is_something(value: Any) -> bool:
    return bool(_word(value)) and not _is_false(value)


def _never(value: Any) -> bool:
    return False


def _word(value: Any) -> Any:
    """The value, of a text without case and the blanks around it."""
    return value.strip().casefold() if isinstance(value, str) else value


_SAYS_NO: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("success", "ok"), _is_false),
    "status": _is_failure,
    **dict.fromkeys(("error", "errors", "failed", "failures", "rejected"), _is_something),
}
_MAX_SHOWN = 300


def _noes(answer: Response, found: Mapping[str, Any]) -> str:
    """The members of the top level that say no; what is echoed below it is not searched."""
    said = [(name, value) for name, value in found.items() if _SAYS_NO.get(name.casefold(), _never)(value)]
    shown = ", ".join(answer.shown(f"{name}: {_text_of(value)}", _MAX_SHOWN) for name, value in said)
    return f"its body says no ({shown[:_MAX_SHOWN]})" if said else ""


def _text_of(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "nested too deeply to be shown"
