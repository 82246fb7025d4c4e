"""Opti-X as a world has it: the emulator, trouble on the way there and back, and a judge who sees what arrives.

The judge knows nothing of the code under test. Each record bears the hidden version of its key, and what is visible of
a key may never fall back to an older one.
"""

import json
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response
from optimove_provider.emulator import State, send
from tests.simulation.source import version_of

if TYPE_CHECKING:
    from tests.simulation.world import Try, World

SIGN_IN = Response(200, b"<!DOCTYPE html><html><body>Sign in</body></html>", {"content-type": "text/html"})
_ANSWERS = {
    "429": Response(429, b"", {"retry-after": "7"}),
    "429 for long": Response(429, b"", {"retry-after": "90"}),
    "503": Response(503, b"try later"),
    "500 undone": Response(500, b"trouble"),
    "sign-in page": SIGN_IN,
    "forbidden": Response(403, b'{"message": "Forbidden"}'),
}
"""Nothing is done for these."""
_DONE = {"500 done": Response(500, b"trouble"), "202": Response(202, b'{"message": "queued"}')}
_WRITES = ("upload_data", "update_data")
LATEST = 50.0
"""Seconds after which a request is carried out, at the latest, whose answer was lost: less than a lease outlasts it."""


class WrongWorld(AssertionError):
    """A promise is broken."""


class Vendor:
    """One emulator with one data connection; `highest` is the highest version that was visible of each key, `gone` that
    of a record which was made to expire."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.state = State(lambda: world.now(0.0).timestamp(), seed=str(world.seed))
        self.highest, self.gone = dict[str, int](), dict[str, int]()
        self.handled = 0

    def send(self, request: Request, sender: "Try") -> Answer:
        """What a client gets."""
        world, name = self.world, request.endpoint.name if request.endpoint else ""
        world.step(f"request {name}")
        fault = world.chaos.of_request()
        if fault:
            world.tell(f"{fault}: {name}")
        if fault == "lost before":
            return Lost("the connection was refused")
        if fault == "late":
            late = world.chaos.random.random() * LATEST
            world.scheduler.spawn("late request", lambda: self._handle(request, sender, is_late=True), late)
            return Lost("no answer in time")
        if fault in _ANSWERS:
            return _ANSWERS[fault]
        answer = self._handle(request, sender)
        if b'"batch_completed":true' in (request.body or b"") and world.chaos.is_end_of_closing():
            world.die("as the batch is completed")
        world.step(f"answer {name}")
        if fault == "lost after":
            return Lost("the connection was reset")
        return _DONE[fault] if fault in _DONE and isinstance(answer, Response) and answer.ok else answer

    def _handle(self, request: Request, sender: "Try", is_late: bool = False) -> Answer:
        name = request.endpoint.name if request.endpoint else ""
        if name in _WRITES and not is_late:
            self.world.check_writer(sender)
        answer = send(self.state, request)
        self.handled += 1
        self.world.tell(f"{name}: {_status(answer)} {_summary(request)}{' late' if is_late else ''}")
        self.judge()
        return answer

    def judge(self) -> None:
        """Raise WrongWorld where a key has fallen back."""
        for key, record in self.records().items():
            version = version_of(record.data["value"])
            if version < self.highest.get(key, 0):
                raise WrongWorld(f"{key} fell from version {self.highest[key]} to {version}")
            if record.ttl is not None:
                self.gone[key] = version
            elif version <= self.gone.get(key, 0):
                raise WrongWorld(f"{key} of version {version} is there again, although it had been made to expire")
            self.highest[key] = version

    def records(self, ahead: float = 0.0) -> dict[str, Any]:
        """The visible records, by key, some seconds from now."""
        now = self.state.clock() + ahead
        found: dict[str, Any] = {}
        for connection in self.state.connections.values():
            connection.show_accepted(now)
            found |= connection.visible(now)
        return found

    @property
    def values(self) -> dict[str, str]:
        """What stays visible, once what was made to expire is gone."""
        return {key: record.data["value"] for key, record in self.records(ahead=5.0).items()}


def _status(answer: Answer) -> str:
    return str(answer.status) if isinstance(answer, Response) else "lost"


def _summary(request: Request) -> str:
    """The rows of a request, for the trace."""
    body = json.loads(request.body or b"{}")
    rows = body if isinstance(body, list) else body.get("data", [])
    told = " ".join(f"{row.get('id')}={str(row.get('value', '')).partition(' ')[0]}" for row in map(_row, rows))
    closes = " closes" if isinstance(body, dict) and body.get("batch_completed") else ""
    ttl = f" ttl={body['ttl_seconds']}" if isinstance(body, dict) and body.get("ttl_seconds") else ""
    return f"[{told}]{closes}{ttl}"


def _row(item: Any) -> dict[str, Any]:
    """A record, also where an update wraps it."""
    if not isinstance(item, dict):
        return {}
    return {"id": item["primary_key"], **item["data"]} if "primary_key" in item else item
