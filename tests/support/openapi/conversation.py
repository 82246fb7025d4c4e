"""schemathesis talks to an emulator of what its description says, and tells what does not hold."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis import engine, hooks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events

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


def converse(emulator: EmulatorServer, examples: int, seed: int, phases: tuple[str, ...] = PHASES) -> Found:
    """Try all endpoints; `examples` are for each endpoint, and for each of these phases."""
    world, found = World(emulator), Found()
    schema = schemathesis.openapi.from_url(
        f"{emulator.url}/_emulator/openapi.json", config=_config(examples, seed, phases)
    )

    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        _aim(world, case)

    schemathesis.hook(before_call)
    try:
        for event in engine.from_schema(schema).execute():
            _note(event, found)
    finally:
        hooks.unregister(before_call)
    return found


def _config(examples: int, seed: int, phases: tuple[str, ...]) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict({
        "seed": seed,
        "headers": KEYS,
        "continue-on-failure": True,
        "checks": {name: {"enabled": False} for name in NOT_OURS},
        "generation": {"max-examples": examples, "database": "none"},
        "phases": {name: {"enabled": name in phases} for name in ("examples", *PHASES)},
    })  # fmt: skip


def is_chained(meta: Any) -> bool:
    """Whether a request comes after others, and may be about what those have made."""
    return bool(meta.phase.name.value == "stateful")


def _aim(world: World, case: Any) -> None:
    """Make a request one about what is there, but for what is wrong with it on purpose."""
    meta = case.meta
    if meta is None:
        return
    wrong = {place for place, one in meta.components.items() if one.mode.is_negative}
    if ParameterLocation.PATH not in wrong and not (is_chained(meta) and world.has(case.path_parameters)):
        case.path_parameters = {name: world.ids[name] for name in case.path_parameters}
    if ParameterLocation.BODY in meta.components and ParameterLocation.BODY not in wrong:
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
