"""One world: a source, a target, workers, tasks and trouble, all of them from one seed; and what must be true in it."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.emulator import send
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.optix.load import load, plan
from optimove_provider.loads.optix.options import OptixTarget, UploadOptions
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.options import Sending
from optimove_provider.surroundings import Surroundings
from tests.simulation.airflow import KINDS, Airflow, Task, Try
from tests.simulation.chaos import Chaos
from tests.simulation.scheduler import Killed, Process, Scheduler
from tests.simulation.source import POISON, Cell, Source, version_of
from tests.simulation.storage import SteppedStaging, as_staging, small_and_stepped
from tests.simulation.vendor import Vendor, WrongWorld
from tests.support.ledgers import check_claims
from tests.support.optix_target import SETTINGS
from tests.support.optix_transactions import NO_GUARDS
from tests.support.virtual_time import AtOnce

BEGAN = datetime(2020, 3, 1, tzinfo=UTC)
LONGEST, MOST_STEPS = 5 * 86_400.0, 200_000
KEYS, DAYS = 8, 5
CONNECTION = "00000000-0000-4000-8000-000000000001"


class World:
    """Everything that a seed decides. `run` lets it go on to its end, and judges."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self._folder = seed, folder
        random = Random(seed)
        self._ids = Random(random.random())
        self.scheduler = Scheduler(Random(random.random()), LONGEST, MOST_STEPS)
        self.chaos = Chaos.drawn(Random(random.random()))
        poison = random.choice((0.0, 0.0, 0.15))
        self.source = Source(Random(random.random()), KEYS, DAYS, 0.5, random.choice((0.1, 0.3)), poison)
        self.vendor = Vendor(self)
        named = random.choice(("none", "index"))
        self.vendor.state.switches = Switches(poison=POISON, poison_named=named)
        self.airflow = Airflow(self, Random(random.random()))
        self.tries = dict[Process, Try]()
        self.broken: list[WrongWorld] = []
        self.tasks = [self._task(number, random) for number in range(random.randint(7, 9))]
        self._starts = [random.uniform(0.0, random.choice((100.0, 1500.0))) for _ in self.tasks]
        self._moves = [(random.uniform(0.0, 400.0), random.choice(self.tasks)) for _ in range(random.randint(0, 3))]

    @staticmethod
    def _task(number: int, random: Random) -> Task:
        kind = random.choices(KINDS, (5, 5, 1, 1, 2, 1))[0]
        return Task(f"{number} {kind}", kind, random.randint(1, DAYS))

    def now(self, skew: float) -> datetime:
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

    def staging(self, skew: float) -> SteppedStaging:
        """Staging, as it is to a process on a worker whose clock is off."""
        return SteppedStaging(self, str(self._folder), self._surroundings(skew))

    def load(self, one: Try) -> Report:
        """What the task's process does."""
        task, staging = one.task, self.staging(one.skew)
        client = OptixClient(SETTINGS, partial(self.vendor.send, sender=one), surroundings=staging.surroundings)
        report = Report(one.load_id, {"optix": CONNECTION}, task=f"task crm.{task.name} of run run")
        open_rows = partial(self._opened, self._cells(task))
        options = _options(task)
        if task.kind == "update":
            load_update(client, open_rows, staging, report, Update(options), one.try_number, one.resumed)
        elif task.kind == "dry run":
            plan(client, open_rows, staging, report, options)
        else:
            load(client, open_rows, staging, report, options, one.try_number, one.resumed)
        return report

    def _cells(self, task: Task) -> dict[str, Cell]:
        return self.source.snapshot(task.day) if "snapshot" in task.kind else self.source.delta(task.day)

    @contextmanager
    def _opened(self, cells: dict[str, Cell]) -> Iterator[Iterator[pa.RecordBatch]]:
        self.step("open the source")
        keys, texts = list(cells), [cell.text for cell in cells.values()]
        columns = {"id": pa.array(keys, pa.string()), "value": pa.array(texts, pa.string())}
        yield iter([pa.RecordBatch.from_pydict(columns)])

    def _surroundings(self, skew: float) -> Surroundings:
        chance = self.chaos.random
        return Surroundings(
            now=lambda: self.now(skew),
            nanoseconds=lambda: int(self.now(skew).timestamp() * 1e9),
            monotonic=lambda: self.scheduler.clock,
            sleep=self._sleep,
            new_id=lambda: uuid.UUID(int=self._ids.getrandbits(128), version=4),
            draw=chance.uniform,
            pool=lambda size, name: AtOnce(),
            repeat=self._repeat,
        )

    def _sleep(self, seconds: float) -> None:
        self.scheduler.pause(seconds)

    def _repeat(self, every: timedelta, call: Callable[[], bool], name: str) -> "_Repeated":
        return _Repeated(self, every.total_seconds(), call, name)

    # What must be true

    def check_writer(self, sender: Try) -> None:
        """Whoever writes to the target has its lease."""
        holder = self.ledger.read().holder
        if holder is None or (holder.load_id, holder.try_number) != (sender.load_id, sender.try_number):
            found = f"try {holder.try_number} of {holder.load_id} has" if holder else "nobody has"
            self.broken.append(WrongWorld(f"{sender.task.name} writes, and {found} the lease"))

    @property
    def ledger(self) -> Ledger:
        """The target's ledger, seen from outside."""
        found = ledger_of(as_staging(self.staging(0.0)), "optix", SETTINGS.host, CONNECTION)
        assert found
        return found

    def run(self) -> None:
        """Let everything happen, then heal, then judge. Raises WrongWorld, and Stuck."""
        with small_and_stepped(self):
            self._make_connection()
            for task, start in zip(self.tasks, self._starts, strict=True):
                self.airflow.run(task, start)
            for when, task in self._moves:
                self.scheduler.spawn("person", partial(self._move, task), when)
            self.scheduler.spawn("healer", self._heal, 6 * 3600.0)
            self._go_on()
            self._judge_end()
            self._judge_last()

    def _make_connection(self) -> None:
        OptixClient(SETTINGS, partial(send, self.vendor.state)).create_connection("customers", "id")
        (found,) = self.vendor.state.connections.values()
        found.data_connection_uuid = CONNECTION
        self.vendor.state.connections = {CONNECTION: found}

    def _move(self, task: Task) -> None:
        if task.state == "queued" and not self.chaos.healed:
            self.chaos.met["clear while it runs"] += 1
            self.tell(f"clears {task.name}")
            self.airflow.clear(task)

    def _heal(self) -> None:
        self.tell("all is well again")
        self.chaos.healed = True

    def _go_on(self) -> None:
        self.scheduler.run()
        for process, one in self.tries.items():
            if isinstance(process.error, WrongWorld):
                raise process.error
            if one.task.life and one.task.life.error:
                raise one.task.life.error
        for task in self.tasks:
            if task.life and task.life.error:
                raise task.life.error
        if self.broken:
            raise self.broken[0]

    def _judge_end(self) -> None:
        """All tasks are green: what is visible is what the loads say in order, and the ledger knows nothing false."""
        for task in self.tasks:
            if task.state != "success":
                raise WrongWorld(f"{task.name} is {task.state} at the end")
            for report in task.accounts:
                _check_sum(task, report)
        check_claims(self.ledger, self.vendor.values, "value")
        expected, doubtful = self._in_order()
        found = {key: version_of(text) for key, text in self.vendor.values.items() if key not in doubtful}
        if found != expected:
            raise WrongWorld(f"visible is {found}, and the loads in order make {expected}")
        if self.ledger.read().intents:
            raise WrongWorld("all loads are done, and an intent is left")

    def _in_order(self) -> tuple[dict[str, int], set[str]]:
        """The versions that the loads bring, one day after the other; and the keys of which nobody can say that: some
        version of them is refused, or an update has written them, so that nobody knows a record to let expire."""
        store, doubtful = dict[str, Cell](), set[str]()
        for task in sorted(self.tasks, key=lambda one: (one.day, "snapshot" not in one.kind)):
            cells = self._cells(task)
            if task.kind == "dry run":
                continue
            if "snapshot" in task.kind:
                store = {key: cell for key, cell in store.items() if key in cells}
            store |= cells
            doubtful |= {key for key, cell in cells.items() if cell.is_poison or task.kind == "update"}
        return {key: cell.version for key, cell in store.items() if key not in doubtful}, doubtful

    def _judge_last(self) -> None:
        """A newer snapshot, in which nothing is refused, brings the target to what it says, whatever was there."""
        self.source.mend()
        for attempt in range(2):
            last = Task(f"last {attempt}", "snapshot", DAYS + 1)
            self.tasks = [last]
            self.airflow.run(last, 60.0)  # later by any clock
            self._go_on()
            expected = {key: cell.version for key, cell in self.source.snapshot(DAYS + 1).items()}
            found = {key: version_of(text) for key, text in self.vendor.values.items()}
            check_claims(self.ledger, self.vendor.values, "value")
            if found == expected:
                return
            hidden = found.keys() - expected.keys()
            if attempt or {key: found[key] for key in expected} != expected:
                raise WrongWorld(f"visible is {found}, and the last snapshot has {expected}")
            self._uncover(hidden)

    def _uncover(self, hidden: set[str]) -> None:
        """Load records of which nobody knows what they are, as the report of the snapshot says, so that they can go."""
        self.source.bring_back(hidden)
        task = Task("uncover", "delta", DAYS + 1)
        self.tasks = [task]
        self.airflow.run(task, 60.0)
        self._go_on()
        self.source.take_away(hidden)


class _Repeated:
    """A thread of a process, as the one that renews its lease."""

    def __init__(self, world: World, every: float, call: Callable[[], bool], name: str) -> None:
        self._world, self._every, self._call, self._is_stopped, self._is_calling = world, every, call, False, False
        parent = world.scheduler.current
        world.tries[self._spawned(parent, name)] = world.tries[parent]

    def _spawned(self, parent: Process, name: str) -> Process:
        self._process = self._world.scheduler.spawn(f"{parent.name} {name[-6:]}", self._run, self._every, parent)
        return self._process

    def _run(self) -> None:
        while not self._is_stopped:
            self._is_calling = True
            goes_on = self._call()
            self._is_calling = False
            if not goes_on:
                return
            self._world.scheduler.pause(self._every)

    def stop(self) -> None:
        self._is_stopped = True
        if self._is_calling:
            self._world.scheduler.wait_for(self._process, 1000.0)
        else:
            self._process.kill()


def _options(task: Task) -> UploadOptions:
    is_snapshot = "snapshot" in task.kind
    return UploadOptions(
        OptixTarget(CONNECTION, "id"),
        mode="full" if "full" in task.kind or task.kind == "update" else "changed",
        source_is="snapshot" if is_snapshot else "delta",
        on_removed="expire" if is_snapshot else "report",
        max_rejected=99,
        guards=NO_GUARDS,
        generation=BEGAN + timedelta(days=task.day - DAYS - 2),
        sending=Sending(max_in_flight=1),
    )


def _check_sum(task: Task, report: Report) -> None:
    if task.kind == "dry run":
        return
    parts = {name: getattr(report, name) for name in OUTCOMES}
    if report.rows != sum(parts.values()) or report.unsent:
        raise WrongWorld(f"{task.name}: {report.rows} rows, and {parts}")
