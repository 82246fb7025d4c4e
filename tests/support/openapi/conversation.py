"""schemathesis talks to an emulator of what its description says, and tells what does not hold."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import engine, hooks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events

from optimove_provider.contract.wire.messages import Endpoint
from optimove_provider.emulator import Switches
from optimove_provider.emulator.server import EmulatorServer
from tests.support.openapi.world import KEYS, World

PHASES = ("coverage", "fuzzing", "stateful")
NOT_OURS = {"use_after_free": "what is deleted is archived, and is still there to be read"}
"""Checks that do not apply, and why."""


@dataclass
class Found:
    """How many requests were tried, by phase and by status, and each failure, told once."""

    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def operations(self) -> set[str]:
        """Those that were asked."""
        return {operation for operation, _ in self.statuses}

    def successes(self, operation: str) -> int:
        """How often one was successful."""
        return sum(times for (asked, status), times in self.statuses.items() if asked == operation and status < 300)


@dataclass(frozen=True)
class Talk:
    """What is talked about: the description under some switches, with so many examples for each endpoint.

    Phases: "coverage" tries the bounds of each schema, and each part of a request wrong, "fuzzing" what chance makes,
    "stateful" chains of requests about what earlier ones have made, three times as many as examples. `row`: that
    endpoint only. `served`: the emulator's switches, where they are not those that are described.
    """

    described: Switches
    examples: int
    seed: int
    phases: Sequence[str] = PHASES
    row: Endpoint | None = None
    served: Switches | None = None


def converse(emulator: EmulatorServer, talk: Talk) -> Found:
    """Ask for everything that is described."""
    world, found = World(emulator), Found()
    emulator.state.switches = talk.described
    schema = schemathesis.openapi.from_url(f"{emulator.url}/_emulator/openapi.json", config=_config(talk))
    if talk.row:
        schema = schema.include(operation_id=f"{talk.row.api}.{talk.row.name}")
    emulator.state.switches = talk.served or talk.described

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        _aim(world, case)

    schemathesis.hook(before_call)
    try:
        for event in engine.from_schema(schema).execute():
            _note(event, found)
    finally:
        hooks.unregister(before_call)
    return found


def _config(talk: Talk) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict({
        "seed": talk.seed,
        "headers": KEYS,
        "continue-on-failure": True,
        "checks": {name: {"enabled": False} for name in NOT_OURS},
        "generation": {"max-examples": talk.examples, "database": "none"},
        "phases": {
            "examples": {"enabled": False},
            "coverage": {"enabled": "coverage" in talk.phases},
            "fuzzing": {"enabled": "fuzzing" in talk.phases},
            "stateful": {"enabled": "stateful" in talk.phases, "generation": {"max-examples": talk.examples * 3}},
        },
    })  # fmt: skip


def is_chained(meta: Any) -> bool:
    """Whether a request comes after others, and may be about what those have made."""
    return bool(meta.phase.name.value == "stateful")


def _aim(world: World, case: Any) -> None:
    """Make a request one about what is there, so that what is wrong with it on purpose is all that is wrong."""
    meta = case.meta
    if meta is None:
        return
    wrong = {place for place, one in meta.components.items() if one.mode.is_negative}
    if ParameterLocation.PATH not in wrong and not (is_chained(meta) and world.has(case.path_parameters)):
        case.path_parameters = {name: world.ids[name] for name in case.path_parameters}
    if ParameterLocation.BODY in meta.components:
        case.body = world.make_possible(case)


def _note(event: Any, found: Found) -> None:
    if isinstance(event, events.ScenarioFinished):
        recorder = event.recorder
        found.cases[event.phase.value] += len(recorder.cases)
        for case_id, one in recorder.interactions.items():
            if one.response:
                found.statuses[recorder.cases[case_id].value.operation.label, one.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info:
                    failure = check.failure_info.failure
                    title = f"{recorder.cases[case_id].value.operation.label}: {failure.title}"
                    found.failures.setdefault(title, f"{failure.message}\n{check.failure_info.code_sample}")
    elif isinstance(event, events.NonFatalError | events.FatalError):
        found.failures.setdefault(f"{getattr(event, 'label', '')}: error", str(getattr(event, "info", event)))
