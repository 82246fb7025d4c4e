"""What a world has met, counted: so that one knows which promises were tried at all, and how often.

The names come from the code's own tables. What is added there, and is never met, is told.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import pytest

from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.loads.plan.diff import CHANGE_KINDS
from optimove_provider.loads.report.visibility import Visibility
from optimove_provider.loads.state.journal import TRANSITIONS, Journal, Stage
from tests.simulation.chaos import FAULTS, MOVES

if TYPE_CHECKING:
    from tests.simulation.airflow import Task

AT_LEAST = 20
"""So often in 1,000 worlds."""

NOT_MET = {
    "outcome: unsent": "what is green has sent all of its rows",
    "stage: completed to finished": "every target has a ledger",
    "stage: read to sending": "every target has a ledger",
}
"""What no world meets, and why."""
SELDOM = {
    "files: one looks imported, and is not": "a file is slow, nothing but profiles shows it, and others bring the same",
    "stage: planned to planned": "another load is through between the plan and the first request of one that has died",
}
"""What takes so much to meet that once in 1,000 worlds has to do, and what that is."""


class Coverage:
    """What one world has met. A name says of what kind it is: `stage: new to read`."""

    def __init__(self) -> None:
        self.met = Counter[str]()
        self.loads = set[str]()
        self.batches_begun = self.batches_completed = 0
        self._batch = dict[str, int]()
        self._begun: list[Task] = []

    def begins(self, task: "Task") -> None:
        """A process of a try begins: with which other tasks does it meet on its target?"""
        if task in self._begun:
            return
        self.met.update(_pair(other.kind, task.kind) for other in self._begun if other.target is task.target)
        self._begun.append(task)

    def ends(self, task: "Task", report: Any) -> None:
        """A try was green."""
        for name in OUTCOMES:
            self.met[f"outcome: {name}"] += bool(getattr(report, name, 0))
        if visibility := getattr(report, "visibility", None):
            self.met[f"visibility: {visibility}"] += 1

    def moved(self, before: Stage, journal: Journal) -> None:
        """A load came to another stage."""
        self.met[f"stage: {before} to {journal.stage}"] += 1
        if journal.batch > self._batch.get(journal.folder, 0):
            self._batch[journal.folder] = journal.batch
            self.batches_begun += 1
        self.batches_completed += before is Stage.CLOSING and journal.stage is Stage.COMPLETED
        self.loads.add(journal.load_id)
        if journal.stage is Stage.PLANNED:
            counts = journal.plan.get("counts", {})
            self.met.update(f"change: {kind}" for kind, count in counts.items() if count)

    def has(self, kind: str, name: str) -> None:
        """Something of a kind is met."""
        self.met[f"{kind}: {name}"] += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While the block lasts, each stage that a load comes to is counted."""
        real = Journal._move

        def counted(journal: Journal, stage: Stage) -> None:
            before = journal.stage
            real(journal, stage)
            self.moved(before, journal)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Journal, "_move", counted)
            yield


def _pair(one: str, other: str) -> str:
    return "pair: {} and {}".format(*sorted((one, other)))


def wanted(kinds: Iterable[Iterable[str]]) -> list[str]:
    """The names of all that is to be met. `kinds`: those of the tasks of each target."""
    names = [f"fault: {name}" for name in FAULTS]
    names += [f"move: {name}" for name in MOVES]
    names += [f"stage: {before} to {after}" for before, further in TRANSITIONS.items() for after in further]
    names += [f"outcome: {name}" for name in OUTCOMES]
    names += [f"change: {name}" for name in CHANGE_KINDS]
    names += [f"visibility: {name}" for name in Visibility]
    for some in kinds:
        names += sorted({_pair(*pair) for pair in combinations_with_replacement(sorted(some), 2)})
    return names


def too_rare(met: Mapping[str, int], names: Iterable[str], worlds: int) -> dict[str, int]:
    """What was met less often than is wanted of so many worlds."""
    least = AT_LEAST * worlds / 1000
    wanted = {name: min(1, least) if name in SELDOM else least for name in names if name not in NOT_MET}
    return {name: met.get(name, 0) for name, at_least in wanted.items() if met.get(name, 0) < at_least}
