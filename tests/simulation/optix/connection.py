"""A data connection of Opti-X in a world: which tasks load it, and what must be true of it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix import data_connections
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.emulator import send
from optimove_provider.loads.ledger.lease import release_of
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.report.report import Report
from tests.simulation.airflow import Task, Try
from tests.simulation.optix.claims import check_claims, check_outputs
from tests.simulation.optix.judge import Watched
from tests.simulation.optix.oracle import Oracle
from tests.simulation.optix.runs import Runs
from tests.simulation.optix.tasks import DAYS, IN_SHARDS, KINDS, Habits, How, is_snapshot
from tests.simulation.optix.vendor import ODDITIES, Vendor
from tests.simulation.source import Cell, Source, version_of
from tests.simulation.storage import as_staging
from tests.simulation.target import Kinds, WrongWorld
from tests.support.optix_target import SETTINGS

if TYPE_CHECKING:
    from tests.simulation.world import World

KEYS, WIDE_KEYS = 8, 16
READ_SIDE_BY_SIDE = 0.4
"""How many of the loads that many workers send are read by several, too."""
NAMES = ("north", "south")
OWED = ("sent", "accepted", "rejected_again", "dropped", "added", "left")
WANTED = (
    *(f"task: {kind} in shards" for kind in IN_SHARDS),
    *(f"switch: {told}" for told in ODDITIES),
    *(f"owed: {name}" for name in OWED),
    "lease: released by a person",
    "plan: approved",
    "replay: rejected rows",
    "shards: read",
    "shards: frozen",
    "shards: sent",
    "shards: dead",
    "shards: eight of them",
    "shards: given up",
    "shards: cleared alone",
)
"""What worlds with data connections are to meet, besides what all are."""


def key_name(target: str, number: int) -> str:
    """A key that no other target has."""
    return f"{target}-{number}"


class OptixConnection:
    """A `Target` of a world. `said` has, by load, what its rows say of keys."""

    waits = 0.0

    def __init__(self, world: "World", random: Random) -> None:
        self.world, number = world, sum(isinstance(one, OptixConnection) for one in world.targets)
        self.smaller: Sequence[tuple[Any, str, Any]] = ((data_connections, "MAX_RECORDS", world.slice_rows),)
        self.name, self.uuid = NAMES[number], f"00000000-0000-4000-8000-{number + 1:012}"
        poison = random.choice((0.0, 0.25))
        keys = [key_name(self.name, number) for number in range(WIDE_KEYS if world.is_wide else KEYS)]
        self.source = Source(Random(random.random()), keys, DAYS, 0.5, random.choice((0.1, 0.3)), poison, world.cut)
        self._kinds = Kinds(KINDS)
        self.habits, self.random = Habits.drawn(random), Random(random.random())
        self.vendor = Vendor(self, random)
        self.runs, self.said = Runs(self), dict[str, dict[str, Cell]]()
        self.reports = dict[str, Report]()
        self._mended_at = random.choice((None, random.uniform(500.0, 5000.0)))
        self._looked_after = [random.uniform(20.0, 2000.0) for _ in range(random.randint(0, 3))]
        self._last_writer: tuple[str, str] | None = None

    def task(self, number: int, random: Random) -> Task:
        """One of KINDS."""
        kind = self._kinds.drawn(random)
        how = self.habits.how(random, kind, self.source.keys)
        # By a chance of its own, so that the other worlds stay as they are. In wide worlds all are, that can be.
        chance = IN_SHARDS.get(kind, 0)
        if Random(f"{self.world.seed} {number} in shards").random() < (bool(chance) if self.world.is_wide else chance):
            kind = f"{kind} in shards"
            self.world.coverage.has("task", kind)
            how = replace(
                how, sending=replace(how.sending, resume_within=max(how.sending.resume_span, timedelta(minutes=5)))
            )
        return Task(f"{number} {kind}", kind, random.randint(1, DAYS), self, how)

    def reads_side_by_side(self, task: Task) -> bool:
        """Whether several tasks read the source of one that is a group."""
        return Random(f"{self.world.seed} {task.name} side by side").random() < READ_SIDE_BY_SIDE

    def begin(self) -> None:
        """The data connection is created."""
        OptixClient(SETTINGS, partial(send, self.vendor.state)).create_connection("customers", "id")
        watched = Watched(self.uuid, "customers", "id")
        watched.judge = self.vendor.judge
        self.vendor.state.connections = {self.uuid: watched}
        for told in self.vendor.oddities:
            self.world.coverage.has("switch", told)
        for after in self._looked_after:
            self.world.scheduler.spawn("person", self._release, after)
        if self._mended_at:
            self.world.scheduler.spawn("vendor", self.heal, self._mended_at)

    def heal(self) -> None:
        """The server takes all rows from now on."""
        self.vendor.mend()

    def _release(self) -> None:
        """A person releases the lease of a load that seems dead, and may not be."""
        holder = self.ledger.read().holder
        if holder is None:
            return
        self.world.tell(f"releases the lease of {holder.task}")
        if release_of(self.ledger.manifest_file, holder.load_id):
            self.world.coverage.has("lease", "released by a person")

    def run(self, one: Try) -> Report:
        """A load, an update, a dry run, and so on."""
        report = Report(one.load_id, {"optix": self.uuid}, task=f"task crm.{one.task.name} of run run")
        try:
            done = self.runs.run(one, report)
        except OptimoveProviderError as error:
            self._failed(one, report, error)
            raise
        self._succeeded(one, done)
        return done

    def words(self, task: Task) -> dict[str, Cell]:
        """What the rows of a task say of keys, or the lack of a row."""
        source, day = self.source, task.day
        if is_snapshot(task):
            return {key: Cell(0, is_gone=True) for key in source.keys} | source.gone(day) | source.snapshot(day)
        if "deletions" in task.kind:
            return source.deleted(day) | source.delta(day)
        if task.kind in ("expire", "suppress", "replay", "owed"):
            return source.gone(day) if task.kind == "expire" else {}
        return source.delta(day)

    @property
    def ledger(self) -> Ledger:
        """The target's ledger, seen from outside."""
        found = ledger_of(as_staging(self.world.staging()), "optix", SETTINGS.host, self.uuid)
        assert found
        return found

    # What must be true

    def check_writer(self, sender: Try) -> None:
        """Whoever writes to the target has its lease."""
        holder, kind = self.ledger.read().holder, sender.task.kind
        is_its = holder and holder.load_id == sender.load_id and (sender.is_shard or not holder.is_reserved)
        if not (holder and is_its and (sender.is_shard or holder.try_number == sender.try_number)):
            found = f"try {holder.try_number} of {holder.load_id} has" if holder else "nobody has"
            self.world.breaks(f"{sender.task.name} writes, and {found} the lease")
        before, self._last_writer = self._last_writer, (sender.load_id, kind)
        if before and before[0] != sender.load_id:
            self.world.coverage.has("writers", f"{kind} after {before[1]}")

    def _failed(self, one: Try, report: Report, error: Exception) -> None:
        self.world.coverage.has("error", type(error).__name__)
        self._check_visibility(report)
        if report.state != "planned":
            self.reports[report.load_id] = report
        if report.state == "committed":  # all is done, and some of it is more than the task bears
            one.task.done_in_vain.append(report)

    @property
    def _is_plain(self) -> bool:
        """Whether a request that is refused has done nothing. Where the server completes a batch, and refuses the
        request that did, nobody can know."""
        return self.vendor.state.switches.bad_record == "request"

    def _check_visibility(self, report: Report) -> None:
        """Nothing is visible of what a report says to be not visible."""
        judge = self.vendor.judge
        seen = judge.expired if report.mode == "expire" else judge.brought
        if self._is_plain and report.visibility == "not visible" and seen.get(report.load_id):
            self.world.breaks(f"{report.task} is said to be not visible: {seen[report.load_id]}")

    def _succeeded(self, one: Try, report: Report) -> None:
        task, judge = one.task, self.vendor.judge
        self.reports[report.load_id] = report
        if report.state == "planned":
            return
        for name in OWED:
            if report.owed.get(name):
                self.world.coverage.has("owed", name)
        self._check_visibility(report)
        said = self.said[one.load_id]
        brought = judge.brought[one.load_id].get(report.batch_uuid, set()) & said.keys()
        doubted = set[str]() if self._is_plain else self.vendor.doubted
        is_told = len(brought - doubted) <= report.accepted <= len(brought)
        if task.kind not in ("update", "expire", "suppress") and not is_told:
            self.world.breaks(f"{task.name}: {report.accepted} are accepted, and there are {sorted(brought)}")
        judge.said({key: cell for key, cell in said.items() if not (cell.is_gone and report.rejected)})
        if task.kind == "suppress":
            judge.suppressed |= set(task.how.suppressed)

    def judge_end(self, tasks: Sequence[Task]) -> None:
        """What is visible is what the loads say in order, and the ledger knows nothing false."""
        oracle = Oracle(self, tasks)
        oracle.check_sums()
        self._judge_claims()
        oracle.check_visible()
        if self.ledger.read().intents:
            raise WrongWorld("all loads are done, and an intent is left")
        if self._is_plain and (violations := self.vendor.state.violations):
            raise WrongWorld(f"the vendor's rules were broken: {violations[:3]}")
        if self.ledger.read().owed:
            self._run("owed", resend_rejected=True)
            self._judge_claims()
        oracle.check_owed()
        if owed := self.ledger.read().owed:
            raise WrongWorld(f"{owed.rows} rows are owed still, although the server takes them")

    def _judge_claims(self) -> None:
        check_claims(self.ledger, self.vendor.settled, self.world.now())

    def judge_last(self) -> None:
        """A newer snapshot, in which nothing is refused, brings the target to what it says, whatever was there."""
        self.source.mend()
        for attempt in range(2):
            self._run("snapshot")
            expected = {key: cell.version for key, cell in self._last_words().items()}
            found = {key: version_of(text) for key, text in self.vendor.values.items()}
            self._judge_claims()
            if found == expected:
                break
            hidden = found.keys() - expected.keys()
            if attempt or {key: found.get(key) for key in expected} != expected:
                raise WrongWorld(f"visible is {found}, and the last snapshot has {expected}")
            self._uncover(hidden)
        check_outputs(self)

    def _last_words(self) -> dict[str, Cell]:
        snapshot = self.source.snapshot(DAYS + 1)
        return {key: cell for key, cell in snapshot.items() if key not in self.vendor.judge.suppressed}

    def _run(self, kind: str, resend_rejected: bool = False) -> None:
        how = How(resend_rejected, is_ahead=self.habits.is_ahead)
        self.world.run_tasks(Task(f"last {kind} {len(self.reports)}", kind, DAYS + 1, self, how))

    def _uncover(self, hidden: set[str]) -> None:
        """Load records of which nobody knows what they are, as the report of the snapshot says, so that they can go."""
        self.source.bring_back(hidden)
        self._run("delta")
        self.source.take_away(hidden)
