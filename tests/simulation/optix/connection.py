"""A data connection of Opti-X in a world: which tasks load it, and how a try of each does."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix import data_connections
from optimove_provider.emulator import send
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.optix.load import load, plan
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from tests.simulation.airflow import Task, Try
from tests.simulation.optix import switches
from tests.simulation.optix.oracle import Oracle
from tests.simulation.optix.tasks import CONNECTION, DAYS, KINDS, WEIGHTS, options_of
from tests.simulation.optix.vendor import Vendor
from tests.simulation.source import POISON, Cell, Source, version_of
from tests.simulation.storage import SLICE_ROWS, as_staging
from tests.simulation.target import WrongWorld
from tests.support.ledgers import check_claims
from tests.support.optix_target import SETTINGS

if TYPE_CHECKING:
    from tests.simulation.world import World

KEYS = 8


class OptixConnection:
    """A `Target` of a world."""

    smaller: Sequence[tuple[Any, str, Any]] = ((data_connections, "MAX_RECORDS", SLICE_ROWS),)

    def __init__(self, world: "World", random: Random) -> None:
        self.world = world
        poison = random.choice((0.0, 0.0, 0.15))
        self.source = Source(Random(random.random()), KEYS, DAYS, 0.5, random.choice((0.1, 0.3)), poison, world.cut)
        self.vendor = Vendor(self)
        named = random.choice(("none", "index"))
        self.vendor.state.switches = switches.drawn(random, Switches(poison=POISON, poison_named=named))

    def task(self, number: int, random: Random) -> Task:
        """One of KINDS."""
        kind = random.choices(KINDS, WEIGHTS)[0]
        return Task(f"{number} {kind}", kind, random.randint(1, DAYS), self)

    def begin(self) -> None:
        """The data connection is created."""
        OptixClient(SETTINGS, partial(send, self.vendor.state)).create_connection("customers", "id")
        (found,) = self.vendor.state.connections.values()
        found.data_connection_uuid = CONNECTION
        self.vendor.state.connections = {CONNECTION: found}

    def run(self, one: Try) -> Report:
        """A load, an update or a dry run."""
        task, staging = one.task, self.world.staging(one.skew)
        client = OptixClient(SETTINGS, partial(self.vendor.send, sender=one), surroundings=staging.surroundings)
        report = Report(one.load_id, {"optix": CONNECTION}, task=f"task crm.{task.name} of run run")
        open_rows = partial(self._opened, self.cells(task))
        options = options_of(task)
        if task.kind == "update":
            load_update(client, open_rows, staging, report, Update(options), one.try_number, one.resumed)
        elif task.kind == "dry run":
            plan(client, open_rows, staging, report, options)
        else:
            load(client, open_rows, staging, report, options, one.try_number, one.resumed)
        return report

    def cells(self, task: Task) -> dict[str, Cell]:
        """What the source has for a task."""
        return self.source.snapshot(task.day) if "snapshot" in task.kind else self.source.delta(task.day)

    @contextmanager
    def _opened(self, cells: dict[str, Cell]) -> Iterator[Iterator[pa.RecordBatch]]:
        self.world.step("open the source")
        keys, texts = list(cells), [cell.text for cell in cells.values()]
        columns = {"id": pa.array(keys, pa.string()), "value": pa.array(texts, pa.string())}
        yield iter([pa.RecordBatch.from_pydict(columns)])

    @property
    def ledger(self) -> Ledger:
        """The target's ledger, seen from outside."""
        found = ledger_of(as_staging(self.world.staging()), "optix", SETTINGS.host, CONNECTION)
        assert found
        return found

    def check_writer(self, sender: Try) -> None:
        """Whoever writes to the target has its lease."""
        holder = self.ledger.read().holder
        if holder is None or (holder.load_id, holder.try_number) != (sender.load_id, sender.try_number):
            found = f"try {holder.try_number} of {holder.load_id} has" if holder else "nobody has"
            self.world.breaks(f"{sender.task.name} writes, and {found} the lease")

    def judge_end(self, tasks: Sequence[Task]) -> None:
        """What is visible is what the loads say in order, and the ledger knows nothing false."""
        oracle = Oracle(tasks, self.cells)
        oracle.check_sums()
        check_claims(self.ledger, self.vendor.values, "value")
        oracle.check_visible(self.vendor.values)
        self._tell_switches()
        if self.ledger.read().intents:
            raise WrongWorld("all loads are done, and an intent is left")

    def _tell_switches(self) -> None:
        """Which settings are not the guess, of switches that mattered."""
        found = self.vendor.state.switches
        for name, value in switches.set_in(found.plain):
            if name in found.met:
                self.world.coverage.has("switch", f"{name} {value}")

    def judge_last(self) -> None:
        """A newer snapshot, in which nothing is refused, brings the target to what it says, whatever was there."""
        self.source.mend()
        for attempt in range(2):
            self.world.run_tasks(Task(f"last {attempt}", "snapshot", DAYS + 1, self))
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
        self.world.run_tasks(Task("uncover", "delta", DAYS + 1, self))
        self.source.take_away(hidden)
