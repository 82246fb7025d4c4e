"""Airflow as a world has it: one task instance through its tries, deferrals, deaths and what people do to it.

Its words are Airflow's own. A Clear begins a round of tries with a new `max_tries`; a process that no longer answers
is noticed after some minutes, or thought dead although it lives.
"""

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.state.load_id import TaskTry, begin
from tests.simulation.scheduler import Process
from tests.simulation.target import Deferred, Target

if TYPE_CHECKING:
    from tests.simulation.world import World

RETRIES, RETRY_DELAY, LOCK_TIMEOUT = 2, 300.0, 3600.0
NOTICED_AFTER = (60.0, 1800.0)
"""Seconds until Airflow notices a death: others load meanwhile."""


@dataclass
class Task:
    """One task instance: what it loads, and what became of it. `how` is what its DAG states, for its target to know;
    `accounts` has what each end that was green returned."""

    name: str
    kind: str
    day: int
    target: Target
    how: Any = None
    try_number: int = 0
    max_tries: int = RETRIES
    state: str = "queued"
    life: Process | None = None
    is_cleared: bool = False
    accounts: list[Any] = field(default_factory=list)


@dataclass
class Try:
    """One process of a try: it loads on one worker, whose clock is off by `skew` seconds. `kept` is what the process
    before it of the same try, which deferred, gave to its trigger."""

    task: Task
    load_id: str
    try_number: int
    skew: float
    resumed: bool
    kept: Any = None


class Airflow:
    """Runs the tasks of a world."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world, self._random = world, random
        self.skews = [random.uniform(-8.0, 8.0) for _ in range(random.randint(2, 3))]

    def run(self, task: Task, after: float) -> None:
        """Let a task go through its life, some seconds from now."""
        task.life = self.world.scheduler.spawn(f"airflow {task.name}", lambda: self._live(task), after)

    def clear(self, task: Task) -> None:
        """As a person does."""
        task.is_cleared = True
        if task.life and not task.life.is_over:
            self.world.scheduler.wake(task.life)

    def _live(self, task: Task) -> None:
        while True:
            task.state, task.is_cleared = self._round(task), False
            self.world.tell(f"{task.state} after try {task.try_number}")
            if task.state == "success":
                return
            if task.state != "cleared" and not self.world.chaos.healed:
                self.world.scheduler.pause(self._random.uniform(300.0, 3000.0))
            task.max_tries = task.try_number + RETRIES

    def _round(self, task: Task) -> str:
        """The tries of one round: success, failed or cleared."""
        while True:
            task.try_number += 1
            ended = self._try(task)
            if ended in ("success", "failed", "cleared"):
                return ended
            if task.try_number > task.max_tries:
                return "failed"
            self.world.scheduler.pause(RETRY_DELAY)

    def _try(self, task: Task) -> str:
        """One try, with its deferrals."""
        since, load_id, pause, resumed, kept = self.world.scheduler.clock, "", 12.0, False, None
        while True:
            process, one = self._begin(task, load_id, resumed, kept)
            self.world.scheduler.wait_for(process, self._patience())
            load_id = one.load_id
            if task.is_cleared:
                self.world.scheduler.spawn("sigterm", process.kill, self._random.uniform(0.0, 40.0))
                return "cleared"
            if not process.is_over:
                self.world.chaos.met["zombie"] += 1
                self.world.tell(f"{process.name} is thought dead")
                return "retry"
            if process.is_dead:
                self.world.scheduler.pause(self._random.uniform(*NOTICED_AFTER))
                return "retry"
            if isinstance(process.error, Deferred):
                self.world.scheduler.pause(process.error.seconds)
                since, kept, resumed = self.world.scheduler.clock, process.error.kept, True
                continue
            if not isinstance(process.error, TargetBusy):
                return self._ended(task, process)
            if self.world.scheduler.clock - since > LOCK_TIMEOUT:
                return "retry"
            self.world.scheduler.pause(pause)
            pause, resumed = min(2 * pause, 60.0), True

    def _patience(self) -> float:
        """Seconds until a process is thought dead that is not: mostly more than any lives."""
        if self.world.chaos.healed or self._random.random() > 0.05:
            return 100_000.0
        return self._random.uniform(1.0, 100.0)

    def _begin(self, task: Task, load_id: str, resumed: bool, kept: Any) -> tuple[Process, Try]:
        one = Try(task, load_id, task.try_number, self._random.choice(self.skews), resumed, kept)
        name = f"{task.name} try {task.try_number}"
        return self.world.scheduler.spawn(name, lambda: self._load(one)), one

    def _load(self, one: Try) -> Any:
        task = one.task
        self.world.tries[self.world.scheduler.current] = one
        if not one.load_id:
            named = TaskTry("crm", task.name, "run", -1, one.try_number, task.max_tries, RETRIES)
            one.load_id = begin(self.world.staging(one.skew), named)
        return task.target.run(one)

    def _ended(self, task: Task, process: Process) -> str:
        error = process.error
        if error is None:
            task.accounts.append(process.result)
            return "success"
        self.world.tell(f"{type(error).__name__}: {str(error)[:300]}")
        if not isinstance(error, OptimoveProviderError | OSError):
            raise error
        if isinstance(error, PartlyVisible):  # it says: clear the task
            return "failed"
        return "failed" if isinstance(error, OptimoveProviderError) and not error.retry_helps else "retry"
