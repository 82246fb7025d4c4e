"""What a world asks of a target: a data connection or a table, with its source, its vendor and its judge."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from tests.simulation.airflow import Task, Try


class Target(Protocol):
    """One of the targets of a world. It draws all that it decides from the chance that it is made with.

    `smaller` has constants of the code that are small in a world: module, name and value. `waits` are hours that a
    target itself may take until it has done what was asked.
    """

    smaller: Sequence[tuple[Any, str, Any]]
    waits: float

    def task(self, number: int, random: Random) -> "Task":
        """A task of one of the kinds that the target has, whose name begins with the number."""

    def begin(self) -> None:
        """What is done once, before any task: what a person or an earlier DAG has set up. Nothing goes wrong in it."""

    def run(self, one: "Try") -> Any:
        """What the process of a try does, from its load's id on. Returns what the operator would, which becomes one of
        the task's accounts, and raises what it would: TargetBusy and Deferred where it defers."""

    def heal(self) -> None:
        """All is well again: what the vendor itself has wrong is mended too, for tasks that fail until it is."""

    def judge_end(self, tasks: Sequence["Task"]) -> None:
        """After all of the target's tasks are green. Raises WrongWorld."""

    def judge_last(self) -> None:
        """Run what brings the target to the source's last day, whatever was there, by `world.run_tasks`; and judge
        that. Raises WrongWorld."""


class WrongWorld(AssertionError):
    """A promise is broken."""


class Deferred(Exception):
    """The process of a try ends, as its task waits for something: so many seconds later the same try goes on in another
    one, as `resumed`, and has what this one kept of it."""

    def __init__(self, seconds: float, kept: Any = None) -> None:
        super().__init__(f"for {seconds:.0f} s")
        self.seconds, self.kept = seconds, kept


class Kinds:
    """Of what kind each task of a target is, by how often each is to be; and now and then as the one before."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights, self._last = weights, ""

    def drawn(self, random: Random) -> str:
        """The kind of the next one."""
        if not self._last or random.random() > 0.15:
            self._last = random.choices(list(self._weights), list(self._weights.values()))[0]
        return self._last
