"""Opti-X as a world has it: the emulator, its switches as the seed sets them, and trouble on the way there and back."""

import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.messages import Answer, Lost, Request, Response
from optimove_provider.emulator import State, send
from optimove_provider.emulator.model.switches import Switches
from tests.simulation.answers import ANSWERS, DONE, REFUSED, without_work
from tests.simulation.optix.judge import Judge
from tests.simulation.source import POISON

if TYPE_CHECKING:
    from tests.simulation.airflow import Try
    from tests.simulation.optix.connection import OptixConnection

_WRITES = ("upload_data", "update_data")
_SWITCHES: Mapping[str, tuple[Any, ...]] = {
    "poison_named": ("none",),
    "success_status": (201, 202, 204),
    "success_body": ("empty", "success"),
    "error_envelope": ("detail", "x", "text", "empty"),
    "schema_status": (422,),
    "key_identity": ("text",),
    "duplicate_keys": ("refuse_in_request", "refuse_in_batch"),
    "old_rows_stay": (False,),
    "completed_batch": ("refuse",),
    "open_batch_seconds": (7200.0,),
    "visible_after_seconds": (3.0, 400.0),
    "absent_key": ("ignore",),
    "ttl_starts": ("completion",),
    "requests_per_10s": (4,),
    "rate_limit_status": (503,),
    "max_body_bytes": (230,),
    "too_large_status": (400,),
    "bad_record": ("record",),
    "retry_after": (False,),
}
"""What may be otherwise than guessed. `open_batch_seconds` is longer than any load here is resumed."""

ODDITIES = tuple(f"{name}={value}" for name, values in _SWITCHES.items() for value in values)


def drawn(random: Random) -> Switches:
    """About a fifth of the guesses are wrong."""
    other = {name: random.choice(values) for name, values in _SWITCHES.items() if random.random() < 0.2}
    if other.get("bad_record") == "record":
        # It stores rows of a request that it refuses, and refuses them when they come again: they are there, and every
        # answer about them says that they are not.
        other.pop("duplicate_keys", None)
    return Switches(poison=POISON, **other)


class Vendor:
    """One emulator with one data connection."""

    def __init__(self, target: "OptixConnection", random: Random) -> None:
        self.target, self.world = target, target.world
        self.state = State(lambda: self.world.now().timestamp(), seed=f"{self.world.seed} {target.name}")
        self.state.switches = drawn(random)
        self.judge = Judge(target)
        self.doubted = set[str]()

    @property
    def oddities(self) -> list[str]:
        """The switches that are not as guessed."""
        set_to = {name: getattr(self.state.switches.plain, name) for name in _SWITCHES}
        return [f"{name}={value}" for name, value in set_to.items() if value != getattr(Switches(), name)]

    def mend(self) -> None:
        """From now on it takes what it refused."""
        self.state.switches = replace(self.state.switches.plain, poison="")

    def send(self, request: Request, sender: "Try") -> Answer:
        """What a client gets."""
        world, name = self.world, request.endpoint.name if request.endpoint else ""
        world.step(f"request {name}")
        fault = world.chaos.of_request()
        if fault:
            world.tell(f"{fault}: {name}")
        if answer := without_work(world, fault, lambda: self._handle(request, sender, is_late=True)):
            return answer
        if fault in ANSWERS:
            self.doubted |= rows_of(request).keys() if fault in REFUSED else set()
            return ANSWERS[fault]
        answer = self._handle(request, sender)
        if completes(request) and world.chaos.is_end_of_closing():
            world.die("as the batch is completed")
        world.step(f"answer {name}")
        if fault == "lost after":
            return Lost("the connection was reset")
        return DONE[fault] if fault in DONE and isinstance(answer, Response) and answer.ok else answer

    def _handle(self, request: Request, sender: "Try", is_late: bool = False) -> Answer:
        name = request.endpoint.name if request.endpoint else ""
        if name in _WRITES and not is_late:
            self.target.check_writer(sender)
        known = list(self.state.violations)
        answer = send(self.state, request)
        if isinstance(answer, Response) and answer.ok:
            self.judge.accepted(sender, batch_of(request))
        else:
            self.doubted |= self.judge.refused(sender, batch_of(request))
        if is_late:  # it was sent in time
            self.state.violations = known
        self.world.tell(f"{name}: {_status(answer)} {_summary(request)}{' late' if is_late else ''}")
        return answer

    def records(self, ahead: float = 0.0) -> dict[str, Any]:
        """The visible records, by key, some seconds from now."""
        now = self.state.clock() + ahead
        found: dict[str, Any] = {}
        for connection in self.state.connections.values():
            connection.show_accepted(now)
            found |= connection.visible(now)
        return found

    @property
    def settled(self) -> dict[str, dict[str, Any]]:
        """What stays visible, once all that was accepted can be seen, and what was made to expire is gone."""
        ahead = 5.0 + self.state.switches.visible_after_seconds
        return {key: record.data for key, record in self.records(ahead).items()}

    @property
    def values(self) -> dict[str, str]:
        """The same, each key's text alone."""
        return {key: data.get("value", "") for key, data in self.settled.items()}


def batch_of(request: Request) -> str:
    """The batch of an upload; "" for anything else."""
    body = json.loads(request.body or b"{}")
    return str(body.get("batch_uuid", "")) if isinstance(body, dict) else ""


def completes(request: Request) -> bool:
    """Whether it completes a batch."""
    return b'"batch_completed":true' in (request.body or b"")


def rows_of(request: Request) -> dict[str, dict[str, Any]]:
    """The records of a request, by key."""
    body = json.loads(request.body or b"{}")
    rows = body if isinstance(body, list) else body.get("data", [])
    return {row["id"]: row for row in map(_row, rows) if "id" in row}


def _status(answer: Answer) -> str:
    return str(answer.status) if isinstance(answer, Response) else "lost"


def _summary(request: Request) -> str:
    """The rows of a request, for the trace."""
    body = json.loads(request.body or b"{}")
    told = " ".join(f"{key}={str(row.get('value', '')).partition(' ')[0]}" for key, row in rows_of(request).items())
    closes = " closes" if completes(request) else ""
    ttl = f" ttl={body['ttl_seconds']}" if isinstance(body, dict) and body.get("ttl_seconds") else ""
    return f"[{told}]{closes}{ttl}"


def _row(item: Any) -> dict[str, Any]:
    """A record, also where an update wraps it."""
    if not isinstance(item, dict):
        return {}
    return {"id": item["primary_key"], **item["data"]} if "primary_key" in item else item
