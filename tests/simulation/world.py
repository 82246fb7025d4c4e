"""One world: targets on one staging, workers, tasks and trouble, all of them from one seed."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from tests.simulation.airflow import Airflow, Task, Try
from tests.simulation.chaos import Chaos
from tests.simulation.coverage import Coverage, wanted
from tests.simulation.cut import WHOLE, Cut
from tests.simulation.dcp import table as dcp
from tests.simulation.dcp.tasks import KINDS as DCP_KINDS
from tests.simulation.liveness import BOUNDS, Ended, ended, too_slow
from tests.simulation.optix.connection import NAMES, WANTED, WIDE_KEYS, OptixConnection, key_name
from tests.simulation.optix.tasks import DAYS
from tests.simulation.optix.tasks import KINDS as OPTIX_KINDS
from tests.simulation.scheduler import Killed, Process, Scheduler
from tests.simulation.storage import SLICE_ROWS, SteppedStaging, small_and_stepped
from tests.simulation.target import Target, WrongWorld
from tests.simulation.unsynced import Unsynced
from tests.simulation.worker import BEGAN, RIGHT, Skew, surroundings

HEALED_AFTER, MOST_STEPS = 6 * 3600.0, 8_000
_LATE = 2.0
"""Hours beyond what is promised, after which nobody waits for an end any more."""
MIXES: tuple[tuple[Callable[["World", Random], Target], ...], ...] = (
    (OptixConnection,),
    (OptixConnection,),
    (OptixConnection, OptixConnection),
    (dcp.DcpTable,),
    (dcp.DcpTable,),
    (OptixConnection, dcp.DcpTable),
)
"""What makes the targets of a world: one of these rows."""
MOST_TASKS = 5
WIDE = 0.1
"""How many worlds have slices of one row, and loads in eight shards."""
TO_BE_MET = (*wanted((OPTIX_KINDS, DCP_KINDS)), *WANTED, *dcp.WANTED)
"""What worlds are to meet, some of them."""
SHRINKABLE = frozenset(
    (
        *(f"task {number}" for number in range(MOST_TASKS)),
        *(f"key {key_name(name, number)}" for name in (*NAMES, dcp.NAME) for number in range(WIDE_KEYS)),
        *(f"day {day}" for day in range(1, DAYS + 1)),
    )
)
"""What a world can do without, besides faults and moves."""


class World:
    """Everything that a seed decides. `run` lets it go on to its end, and judges."""

    def __init__(self, seed: int, folder: Path, cut: Cut = WHOLE) -> None:
        self.seed, self._folder, self.cut, self.coverage = seed, folder, cut, Coverage()
        self.is_wide = Random(f"{seed} of eight").random() < WIDE
        random = Random(seed)
        self.ids = Random(random.random())
        self.scheduler = Scheduler(Random(random.random()), MOST_STEPS)
        self.chaos = Chaos.drawn(Random(random.random()), cut)
        self.targets = list[Target]()
        for made in random.choice(MIXES):
            self.targets.append(made(self, random))
        self.unsynced = Unsynced(self)
        self.chaos.clock = lambda: self.scheduler.clock
        self.ended: Ended | None = None
        self.airflow = Airflow(self, Random(random.random()))
        self.tries = dict[Process, Try]()
        self.broken: list[WrongWorld] = []
        self.tasks = [
            self._target(number).task(number, random) for number in range(random.randint(MOST_TASKS - 1, MOST_TASKS))
        ]
        self.starts = [random.uniform(0.0, random.choice((100.0, 1500.0))) for _ in self.tasks]
        self._moves = self.airflow.draw_moves(self.tasks)

    def _target(self, number: int) -> Target:
        return self.targets[number % len(self.targets)]

    @property
    def slice_rows(self) -> int:
        """How many rows a slice has in this world."""
        return 1 if self.is_wide else SLICE_ROWS

    def now(self, skew: Skew = RIGHT) -> datetime:
        """The time as a worker's clock tells it."""
        return BEGAN + timedelta(seconds=self.scheduler.clock + skew.seconds)

    # What processes do

    def step(self, what: str) -> None:
        """Before this step others may go on, and the process may die."""
        if not self.scheduler.current.is_dead and (death := self.chaos.death()):
            self.die(f"before: {what} ({death})", death == "loss of power")
        if self.scheduler.current.is_dead:
            raise Killed
        if frozen := self.chaos.frozen(what):
            self.tell(f"stands still for {frozen:.0f} s")
            self.scheduler.freeze(self.scheduler.current.root, frozen)
        if jump := self.chaos.jump():
            self.tell(f"the worker's clock jumps by {jump:.1f} s")
            self.tries[self.scheduler.current].skew.jump(jump)
        self.scheduler.pause(self.chaos.delay())

    def die(self, when: str, with_power: bool = False) -> None:
        """The process that runs is gone, its threads too. Raises Killed."""
        self.tell(f"dies {when}")
        if with_power:
            self.unsynced.lose(self.scheduler.current.root)
        self.scheduler.current.root.kill()
        raise Killed

    def tell(self, what: str) -> None:
        """A line of the trace, in which staging has the same name wherever it is."""
        self.scheduler.tell(what.replace(str(self._folder), "/staging"))

    def staging(self, skew: Skew = RIGHT) -> SteppedStaging:
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
            for number, (task, start) in enumerate(zip(self.tasks, self.starts, strict=True)):
                if self.cut.keeps(f"task {number}"):
                    self.airflow.run(task, start)
            self.tasks = [task for task in self.tasks if task.life]
            for when, move in self._moves:
                self.scheduler.spawn("person", move, when)
            self.scheduler.spawn("healer", self._heal, HEALED_AFTER)
            self._go_on(self.tasks)
            self._judge_liveness()
            for target in self.targets:
                target.judge_end([task for task in self.tasks if task.target is target])
            for target in self.targets:
                target.judge_last()

    def _judge_liveness(self) -> None:
        self.ended = ended(self, self.tasks)
        waits = max(target.waits for target in self.targets)
        if told := too_slow(self.ended, self.chaos.met, waits, SLICE_ROWS // self.slice_rows):
            raise WrongWorld(told)

    def run_tasks(self, *tasks: Task) -> None:
        """Let further tasks go through their lives, one minute from now: later by any clock."""
        for task in tasks:
            self.airflow.run(task, 60.0)
        self._go_on(tasks)

    def _heal(self) -> None:
        self.tell("all is well again")
        self.chaos.healed = True
        for target in self.targets:
            target.heal()

    def _go_on(self, tasks: Sequence[Task]) -> None:
        hours = BOUNDS["all"].hours + max(target.waits for target in self.targets) + _LATE
        self.scheduler.run(max(self.scheduler.clock, HEALED_AFTER) + 3600 * hours)
        raised = [process.error for process in self.tries if isinstance(process.error, WrongWorld)]
        lives = [task.life.error for task in (*self.tasks, *tasks) if task.life and task.life.error]
        if found := [*raised, *lives, *self.broken]:
            raise found[0]
        for task in tasks:
            if task.state != "success":
                raise WrongWorld(f"{task.name} is {task.state} at the end")
