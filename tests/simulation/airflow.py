"""Airflow as a world has it: one task instance through its tries, deferrals, deaths and what people do to it.

Its words are Airflow's own. A process that no longer answers is noticed after some minutes, or thought dead although it
lives; one whose task is no longer its own goes on until its next heartbeat.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.state.load_id import TaskTry, begin
from tests.simulation.chaos import MOVES
from tests.simulation.scheduler import Process
from tests.simulation.target import Deferred, Target, WrongWorld
from tests.simulation.task_instance import RETRIES, TaskInstance
from tests.simulation.worker import MOST_SKEW, Skew

if TYPE_CHECKING:
    from tests.simulation.world import World

RETRY_DELAY, LOCK_TIMEOUT = 300.0, 3600.0
NOTICED_AFTER = (60.0, 1800.0)
"""Seconds until Airflow notices a death: others load meanwhile."""
HEARTBEAT = 40.0
"""Seconds for which a process goes on at most, once its task is no longer its own."""
BY_PEOPLE = tuple(move for move in MOVES if move != "zombie")


@dataclass
class Task(TaskInstance):
    """One task instance: what it loads, and what became of it. `how` is what its DAG states, for its target to know;
    `accounts` has what each end that was green returned, `done_in_vain` that of loads that failed when they were
    through."""

    name: str
    kind: str
    day: int
    target: Target
    how: Any = None
    life: Process | None = None
    green_at: float = 0.0
    accounts: list[Any] = field(default_factory=list)
    done_in_vain: list[Any] = field(default_factory=list)


@dataclass
class Try:
    """One process of a try: it loads on one worker, whose clock is off by `skew`. `kept` is what the process before it
    of the same try, which deferred, gave to its trigger. `is_shard`: it is a mapped task of the group that the task
    stands for."""

    task: Task
    load_id: str
    try_number: int
    skew: Skew
    resumed: bool
    kept: Any = None
    is_shard: bool = False


class Airflow:
    """Runs the tasks of a world."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world, self._random = world, random
        self.workers = [Skew(random.uniform(-MOST_SKEW, MOST_SKEW)) for _ in range(random.randint(2, 3))]

    def run(self, task: Task, after: float) -> None:
        """Let a task go through its life, some seconds from now."""
        task.life = self.world.scheduler.spawn(f"airflow {task.name}", lambda: self._live(task), after)

    # What people do

    def draw_moves(self, tasks: Sequence[Task]) -> list[tuple[float, Callable[[], None]]]:
        """What people will do, and when."""
        chance, drawn = self._random, list[tuple[float, Callable[[], None]]]()
        for number in range(chance.randint(1, 4)):
            move, task = chance.choice(BY_PEOPLE), chance.choice(tasks)
            when = chance.uniform(0.0, 3000.0) if move == "clear after its end" else chance.uniform(0.0, 500.0)
            drawn.append((when, partial(self._move, number, move, task)))
        return drawn

    def _move(self, number: int, move: str, task: Task) -> None:
        if move == "clear after its end" and task.life:
            self.world.scheduler.wait_for(task.life, 7200.0)
        is_over = task.state in ("success", "failed")
        if is_over != (move == "clear after its end") or task.try_number == 0:
            return
        if not self.world.chaos.moves(number, move):
            return
        self.world.tell(f"{move}: {task.name}, which is {task.state}")
        is_green = task.state == "success"
        {"mark failed": task.mark_failed, "run deleted": task.delete}.get(move, task.clear)()
        if is_green:
            self.run(task, 0.0)
        elif task.life:
            self.world.scheduler.wake(task.life)

    # What a task goes through

    def _live(self, task: Task) -> None:
        while task.state != "success":
            self._try(task)
            self.world.tell(f"{task.state or 'cleared'} after try {task.try_number}")
            if task.state == "up_for_retry":
                self.world.scheduler.pause(RETRY_DELAY)
            if task.state == "failed":
                if not self.world.chaos.healed:
                    self.world.scheduler.pause(self._random.uniform(300.0, 3000.0))
                if task.state == "failed":
                    task.clear()

    def _try(self, task: Task) -> None:
        """One try, with its deferrals."""
        task.schedule()
        known = _Known(self.world.scheduler.clock)
        while (wait := self._process(task, known)) is not None:
            task.defer()
            self.world.scheduler.pause(wait)
            if task.state != "deferred":
                return
            task.schedule()
            known.is_resumed = True

    def _process(self, task: Task, known: "_Known") -> float | None:
        """One process of a try. Returns the seconds until the next one, where it defers."""
        process, one = self._begin(task, known)
        self.world.scheduler.wait_for(process, self._patience())
        known.load_id = one.load_id
        if task.state != "running":
            return self._taken(task, process)
        if not process.is_over:
            self.world.chaos.met["zombie"] += 1
            self.world.tell(f"{process.name} is thought dead")
            return task.fail()
        if process.is_dead:
            self.world.scheduler.pause(self._random.uniform(*NOTICED_AFTER))
            return task.fail() if task.state in ("running", "restarting") else None
        return self._ended(task, process, known)

    def _taken(self, task: Task, process: Process) -> None:
        """A person took the task from its process."""
        self.world.scheduler.spawn("sigterm", process.kill, self._random.uniform(0.0, HEARTBEAT))
        if task.state == "restarting":
            task.fail()

    def _patience(self) -> float:
        """Seconds until a process is thought dead that is not: mostly more than any lives."""
        return self._random.uniform(1.0, 100.0) if self.world.chaos.does("zombie", 0.05, counts=False) else 100_000.0

    def _begin(self, task: Task, known: "_Known") -> tuple[Process, Try]:
        task.run()
        skew = self._random.choice(self.workers)
        one = Try(task, known.load_id, task.try_number, skew, known.is_resumed, known.kept)
        self.world.coverage.begins(task)
        name = f"{task.name} try {task.try_number}"
        return self.world.scheduler.spawn(name, lambda: self._load(one)), one

    def _load(self, one: Try) -> Any:
        task = one.task
        self.world.tries[self.world.scheduler.current] = one
        if not one.load_id:
            named = TaskTry("crm", task.name, "run", -1, one.try_number, task.max_tries, RETRIES)
            one.load_id = begin(self.world.staging(one.skew), named)
        return task.target.run(one)

    def _ended(self, task: Task, process: Process, known: "_Known") -> float | None:
        error, now = process.error, self.world.scheduler.clock
        if error is None:
            task.accounts.append(process.result)
            task.green_at = now
            self.world.coverage.ends(task, process.result)
            return task.succeed()
        if isinstance(error, Deferred):
            known.kept, known.since = error.kept, now + error.seconds
            return error.seconds
        if isinstance(error, TargetBusy) and now - known.since <= LOCK_TIMEOUT:
            return known.next_wait()
        self.world.tell(f"{type(error).__name__}: {error}")
        if not isinstance(error, OptimoveProviderError | OSError):
            raise WrongWorld(f"{task.name} raised {type(error).__name__}: {error}") from error
        is_final = isinstance(error, OptimoveProviderError) and not error.retry_helps
        return task.fail(not is_final and not isinstance(error, PartlyVisible))  # that says: clear the task


@dataclass
class _Known:
    """What one process of a try leaves to the next one: it waits for the target `since`."""

    since: float
    load_id: str = ""
    is_resumed: bool = False
    kept: Any = None
    wait: float = 12.0

    def next_wait(self) -> float:
        """Seconds until the target is asked for again."""
        wait, self.wait = self.wait, min(2 * self.wait, 60.0)
        return wait
