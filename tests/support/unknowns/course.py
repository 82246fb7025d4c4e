"""A course of steps in a world with an emulator: each ends right, or red with words that say why.

A step that is green has brought the target to what the plain model says; one that is red has left nothing there that
nobody sent. Anything but an error of ours is no outcome, and goes through.
"""

import re
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.contract.wire.messages import Response
from optimove_provider.emulator import State, Switches, send
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from tests.support.openapi.word import keeps_its_word
from tests.support.virtual_time import START, VirtualTime

RETRY_DELAY = 300.0
"""Seconds between two tries of a task: Airflow's own default."""
SETTLED = 30.0
"""Seconds after which every delay of the emulator's is over."""
BETWEEN = 60.0
"""Seconds between two steps: as long as a lease outlasts a request whose answer was lost."""


class Course:
    """A world of one thread and one clock. `outcomes` says of each step "right", or what the error said.

    `told` has the notes of reports by which a step that was green said what nobody can know; `tells` are those that
    may be told.
    """

    def __init__(self, folder: Path, switches: Switches, tells: str = "") -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.time, self.asked, self.loads, self._met = VirtualTime(), 0, 0, set[str]()
        self.outcomes, self.told, self.tells = dict[str, str](), dict[str, str](), tells
        self.surroundings = self.time.surroundings()
        self.state = State(clock=lambda: START.timestamp() + self.time.elapsed, seed="unknowns")
        self.state.switches = self.switches = switches
        self.staging = replace(Staging(LocalFileSystem(), str(folder)), surroundings=self.surroundings)

    def load_id(self) -> str:
        """Of another load."""
        self.loads += 1
        return f"6f0f5d3a-0000-4000-8000-{self.loads:012}"

    def send(self, request: Any) -> Any:
        """One request to the emulator, whose answer is one that its description has."""
        self.asked += 1
        answer = send(self.state, request)
        if isinstance(answer, Response):
            keeps_its_word(self.state.switches.plain, request, answer)
        return answer

    def settle(self, seconds: float = SETTLED) -> None:
        """Let what was accepted come to be seen."""
        self.time.sleep(seconds)

    @contextmanager
    def as_guessed(self) -> Any:
        """While the block lasts, every guess is right: what cannot be made otherwise is made."""
        self._met |= self.state.switches.met
        self.state.switches = Switches()
        yield
        self.state.switches = self.switches

    @contextmanager
    def step(self, name: str, red: Callable[[], object] = lambda: None) -> Any:
        """What is done in the block is one step; `red` looks at what an error leaves."""
        self.time.sleep(BETWEEN)
        try:
            yield
        except OptimoveProviderError as error:
            self.outcomes[name] = str(error)
            red()
        else:
            self.outcomes[name] = "right"

    @property
    def met(self) -> set[str]:
        """The switches that were read."""
        return self._met | self.state.switches.met

    def may_differ(self, name: str, report: Report) -> bool:
        """Whether the report of a step that is green says that the target may not be what the rows say."""
        found = [note for note in report.notes if self.tells and re.search(self.tells, note)]
        self.told |= {name: found[0]} if found else {}
        return bool(found)


def agree(found: Any, wanted: Any) -> bool:
    """Whether two records are the same, a field that is null like one that is not there."""
    if found is None or wanted is None:
        return found is wanted
    one, other = ({name: value for name, value in record.items() if value is not None} for record in (found, wanted))
    return bool(one == other)
