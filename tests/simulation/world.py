"""One world: targets on one staging, workers, tasks and trouble, all of them from one seed."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

from tests.simulation.airflow import Airflow, Task, Try
from tests.simulation.chaos import Chaos
from tests.simulation.dcp.table import DcpTable
from tests.simulation.optix.connection import OptixConnection
from tests.simulation.scheduler import Killed, Process, Scheduler
from tests.simulation.storage import SteppedStaging, small_and_stepped
from tests.simulation.target import Target, WrongWorld
from tests.simulation.worker import BEGAN, surroundings

LONGEST, MOST_STEPS = 5 * 86_400.0, 200_000
TARGETS: tuple[Callable[["World", Random], Target], ...] = (OptixConnection, DcpTable)
"""What makes the targets of a world."""


class World:
    """Everything that a seed decides. `run` lets it go on to its end, and judges."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self._folder = seed, folder
        random = Random(seed)
        self.ids = Random(random.random())
        self.scheduler = Scheduler(Random(random.random()), LONGEST, MOST_STEPS)
        self.chaos = Chaos.drawn(Random(random.random()))
        self.targets = [made(self, random) for made in TARGETS]
        self.airflow = Airflow(self, Random(random.random()))
        self.tries = dict[Process, Try]()
        self.broken: list[WrongWorld] = []
        self.tasks = [self._target(number).task(number, random) for number in range(random.randint(7, 9))]
        self._starts = [random.uniform(0.0, random.choice((100.0, 1500.0))) for _ in self.tasks]
        self._moves = [(random.uniform(0.0, 400.0), random.choice(self.tasks)) for _ in range(random.randint(0, 3))]

    def _target(self, number: int) -> Target:
        return self.targets[number % len(self.targets)]

    def now(self, skew: float = 0.0) -> datetime:
        """The time as a clock tells it that is off by so many seconds."""
        return BEGAN + timedelta(seconds=self.scheduler.clock + skew)

    # What processes do

    def step(self, what: str) -> None:
        """Before this step others may go on, and the process may die."""
        if not self.scheduler.current.is_dead and self.chaos.is_last_step():
            self.die(f"before: {what}")
        if self.scheduler.current.is_dead:
            raise Killed
        if frozen := self.chaos.frozen(what):
            self.tell(f"stands still for {frozen:.0f} s")
            self.scheduler.freeze(self.scheduler.current.root, frozen)
        self.scheduler.pause(self.chaos.delay())

    def die(self, when: str) -> None:
        """The process that runs is gone, its threads too. Raises Killed."""
        self.tell(f"dies {when}")
        self.scheduler.current.root.kill()
        raise Killed

    def tell(self, what: str) -> None:
        """A line of the trace."""
        self.scheduler.tell(what)

    def staging(self, skew: float = 0.0) -> SteppedStaging:
        """Staging, as it is to a process on a worker whose clock is off."""
        return SteppedStaging(self, str(self._folder), surroundings(self, skew))

    def breaks(self, promise: str) -> None:
        """A promise is broken: the world ends with it once nobody goes on."""
        self.broken.append(WrongWorld(promise))

    # Its course

    def run(self) -> None:
        """Let everything happen, then heal, then judge. Raises WrongWorld, and Stuck."""
        with small_and_stepped(self):
            for target in self.targets:
                target.begin()
            for task, start in zip(self.tasks, self._starts, strict=True):
                self.airflow.run(task, start)
            for when, task in self._moves:
                self.scheduler.spawn("person", partial(self._move, task), when)
            self.scheduler.spawn("healer", self._heal, 6 * 3600.0)
            self._go_on(self.tasks)
            for target in self.targets:
                target.judge_end([task for task in self.tasks if task.target is target])
            for target in self.targets:
                target.judge_last()

    def run_tasks(self, *tasks: Task) -> None:
        """Let further tasks go through their lives, one minute from now: later by any clock."""
        for task in tasks:
            self.airflow.run(task, 60.0)
        self._go_on(tasks)

    def _move(self, task: Task) -> None:
        if task.state == "queued" and not self.chaos.healed:
            self.chaos.met["clear while it runs"] += 1
            self.tell(f"clears {task.name}")
            self.airflow.clear(task)

    def _heal(self) -> None:
        self.tell("all is well again")
        self.chaos.healed = True

    def _go_on(self, tasks: Sequence[Task]) -> None:
        self.scheduler.run()
        raised = [process.error for process in self.tries if isinstance(process.error, WrongWorld)]
        lives = [task.life.error for task in (*self.tasks, *tasks) if task.life and task.life.error]
        if found := [*raised, *lives, *self.broken]:
            raise found[0]
        for task in tasks:
            if task.state != "success":
                raise WrongWorld(f"{task.name} is {task.state} at the end")
