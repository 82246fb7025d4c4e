"""Whether an answer, and the request that it accepts, are what the description says under some switches."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from optimove_provider.contract.wire.messages import Endpoint, Request, Response
from optimove_provider.emulator import Switches
from optimove_provider.emulator.api.described.under_switches import Described, described


def keeps_its_word(switches: Switches, request: Request, answer: Response) -> None:
    """Raise AssertionError unless an answer to a request of a contract's row is one that is described.

    What `doubtful_success` answers to writes is described nowhere.
    """
    row = request.endpoint
    assert row
    if switches.doubtful_success != "none" and request.method != "GET":
        return
    one, asked = described(switches)[row], f"{row.name}, {switches_of(switches)}"
    is_success = answer.status == one.shape.success
    assert is_success or answer.status in one.shape.refused, f"{asked}: {answer.status}"
    body = one.given if is_success else one.error
    if body is None or not answer.body:
        assert not answer.body, asked
        assert body is None or body[0] == "text/plain", asked
        return
    assert answer.headers["content-type"].partition(";")[0] == body[0], asked
    if body[0] == "application/json":
        _hold(switches, row, "given" if is_success else "error", answer.json(), asked)
    if is_success and one.shape.takes is not None:
        _hold(switches, row, "takes", json.loads(request.body or b""), asked)


def switches_of(switches: Switches) -> str:
    """Those that are not as guessed."""
    default = Switches()
    changed = {name: value for name, value in vars(switches).items() if value != getattr(default, name)}
    return str(changed or "as guessed")


def _hold(switches: Switches, row: Endpoint, what: str, value: Any, asked: str) -> None:
    problem = next(_validator(switches, row, what).iter_errors(value), None)
    assert problem is None, f"{asked}, {what}: {problem and problem.message:.500}"


@cache
def _validator(switches: Switches, row: Endpoint, what: str) -> Any:
    return Draft202012Validator(dict(_schema(described(switches)[row], what)), format_checker=FormatChecker())


def _schema(one: Described, what: str) -> Mapping[str, Any]:
    if what == "takes":
        return one.shape.takes or {}
    body = one.given if what == "given" else one.error
    return body[1] if body else {}
