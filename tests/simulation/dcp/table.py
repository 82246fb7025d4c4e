"""A table of DCP in a world: which tasks load it, and what must be true of it."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.contract.wire.evidence import COUNTED
from optimove_provider.emulator import TOKEN, send
from optimove_provider.loads.dcp.columns import OtherColumns
from optimove_provider.loads.dcp.invalidation import OverwritesNewer
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.upload import multipart, uploads
from optimove_provider.loads.upload.multipart import MultipartFile
from optimove_provider.loads.validation import row_check
from tests.simulation.airflow import Task, Try
from tests.simulation.chaos import FILES
from tests.simulation.dcp.imports import FILE_BYTES, ImportTry
from tests.simulation.dcp.oracle import Oracle
from tests.simulation.dcp.profile_writes import write
from tests.simulation.dcp.tasks import ATTRIBUTES, COLUMNS, DAYS, KINDS, PROFILES, Rows, TableTask, drawn
from tests.simulation.dcp.vendor import ODDITIES, Vendor
from tests.simulation.pool import Lock
from tests.simulation.source import Cell, Source, version_of
from tests.simulation.storage import as_staging
from tests.simulation.target import Kinds, WrongWorld
from tests.support.dcp.profiles import SETTINGS
from tests.support.ledgers import ledger_rows

if TYPE_CHECKING:
    from tests.simulation.world import World

KEYS, NAME = 8, "east"
PART_BYTES = 40
WANTED = (
    *(f"fault: {name}" for name in FILES),
    *(f"switch: {told}" for told in ODDITIES),
    "files: one overtakes what came later",
    "files: one looks imported, and is not",
    "person: settles",
    "person: splits",
)
"""What worlds with tables are to meet, besides what all are."""
HISTORY = "http://e/_emulator/uploads/{table_id}"


class DcpTable:
    """A `Target` of a world."""

    def __init__(self, world: "World", random: Random) -> None:
        self.world, self.table_id = world, 0
        self.smaller: Sequence[tuple[Any, str, Any]] = (
            (MultipartFile.begin.__func__, "__defaults__", (PART_BYTES,)),  # type: ignore[attr-defined]
            (multipart, "threading", SimpleNamespace(Lock=lambda: Lock(world))),
            (uploads, "MIN_FILE_BYTES", FILE_BYTES),
            (row_check, "BLOCK_BYTES", 64),
        )
        poison = random.choice((0.0, 0.2))
        keys = [f"{NAME}-{number}" for number in range(KEYS)]
        self.source = Source(Random(random.random()), keys, DAYS, 0.5, random.choice((0.1, 0.3)), poison, world.cut)
        self._kinds = Kinds(KINDS)
        self.settings = replace(SETTINGS, upload_history_url=random.choice((HISTORY, "", "")))
        self.vendor = Vendor(self, random)
        # A file of which no profile shows anything counts as open for twelve hours.
        self.waits = 12.0 if self.settings.upload_history_url else 60.0
        self._columns = random.choice(COLUMNS)
        self._began = dict[tuple[str, int], float]()

    def task(self, number: int, random: Random) -> TableTask:
        """One of `tasks.KINDS`."""
        return drawn(str(number), self, self._kinds.drawn(random), self._columns, random)

    def begin(self) -> None:
        """Service, table and attributes are created."""
        for told in self.vendor.oddities:
            self.world.coverage.has("switch", told)
        client = DcpClient(self.settings, partial(send, self.vendor.state))
        self.table_id = client.ensure_table(client.ensure_service("shop").id, "customers", "uid").id or 0
        client.ensure_attributes(self.table_id, ATTRIBUTES)

    def heal(self) -> None:
        """Nothing is wrong with it but what meets its requests and its files."""

    def run(self, one: Try) -> Report:
        """A process of an import, or of a profile write."""
        task = one.task
        assert isinstance(task, TableTask)
        try:
            report = self._write(one) if task.kind == PROFILES else ImportTry(self, one).run()
        except OverwritesNewer:
            task.kind = task.kind.replace("full", "changed").replace("unwaited", "changed")  # as the error says
            raise
        except OtherColumns as error:
            self._split(task, str(error))
            raise
        self._check_done(task, report)
        return report

    def _split(self, task: TableTask, told: str) -> None:
        """As the error says: a person writes the attributes that newer loads have, and the others, in a task each; and
        gives an old write up that is refused all the same, as profiles of other attributes are newer."""
        lacking = re.findall(r"'(\w+)'", told.partition(" lack ")[2].partition(", whose")[0])
        others = tuple(name for name in task.columns if name in lacking)
        if task.kind != PROFILES or not others:
            return
        is_split, task.columns = others != task.columns, tuple(one for one in task.columns if one not in others)
        task.given_up = others  # an earlier try may have written them
        if not is_split:
            return
        self.world.coverage.has("person", "splits")
        other = replace(task, name=f"{task.name} of others", columns=others, life=None, accounts=[], done_in_vain=[])
        other.delete()  # it has had no try
        self.world.tasks.append(other)
        self.world.airflow.run(other, 0.0)

    def _write(self, one: Try) -> Report:
        began, now = (one.task.name, one.try_number), self.world.scheduler.clock
        if not one.resumed:
            self._began[began] = now
            one.load_id = str(self.world.staging(one.skew).surroundings.new_id())
        return write(self, one, now - self._began[began])

    def waits_for_files(self, task: Task) -> bool:
        """Whether a task sends nothing while files are open that might overwrite it."""
        assert isinstance(task, TableTask)
        return task.compares and not task.settles

    def cells(self, task: TableTask) -> dict[str, Cell]:
        """What the source has for a task."""
        return self.source.snapshot(task.day) if task.is_snapshot else self.source.delta(task.day)

    def rows(self, task: TableTask) -> Rows:
        """The same as it reads it."""
        return task.rows_of(self.cells(task))

    @property
    def ledger(self) -> Ledger:
        """The table's ledger, seen from outside."""
        found = ledger_of(as_staging(self.world.staging()), "dcp", self.settings.host, str(self.table_id))
        assert found
        return found

    # What must be true

    def check_writer(self, sender: Try) -> None:
        """Whoever writes to the table has its lease."""
        holder = self.ledger.read().holder
        number = 1 if sender.task.kind == PROFILES else sender.try_number
        if holder is None or (holder.load_id, holder.try_number) != (sender.load_id, number):
            found = f"try {holder.try_number} of {holder.load_id} has" if holder else "nobody has"
            self.world.breaks(f"{sender.task.name} writes, and {found} the lease")

    # Of what nobody has counted it is said so, and it may be untrue.

    def _check_done(self, task: TableTask, report: Report) -> None:
        """What a report calls accepted or unchanged is there, or something newer."""
        if report.state != "committed" or report.stale:
            return
        for key, cell in self.cells(task).items():
            if key in self.vendor.doubted:
                continue
            for name in task.columns:
                found, _ = self.vendor.visible.get((key, name), (0, None))
                is_unseen = (key, name) in self.vendor.fallen and (
                    report.unchanged or report.evidence["kind"] != COUNTED
                )
                if found < cell.version and not task.is_refused(cell) and not is_unseen:
                    raise WrongWorld(f"{task.name} is committed, and {key} has {name} of version {found} still")

    def _check_ledger(self) -> None:
        """What the ledger says it knows is true of the table."""
        values = self.vendor.values
        for key, row in ledger_rows(self.ledger).items():
            if row["fingerprint"] is None:
                continue
            record = json.loads(row["record"])
            customer = record.pop("customerId")
            found = {name: str(values.get((customer, name))) for name in record}
            places = {(customer, name) for name in record}
            is_unseen = bool(places & (self.vendor.fallen if row["evidence"] != COUNTED else self.vendor.misled))
            if found != record and not is_unseen:
                raise WrongWorld(f"the ledger has {key} as {record}, and the table has {found}")

    def judge_end(self, tasks: Sequence[Task]) -> None:
        """What is visible is what the loads say in order, and the ledger knows nothing false."""
        own = [task for task in tasks if isinstance(task, TableTask)]
        oracle = Oracle(own, self.cells)
        oracle.check_sums()
        self._check_ledger()
        oracle.check_visible(self.vendor.values, self.vendor.fallen, self.vendor.doubted)

    def judge_last(self) -> None:
        """A newer snapshot, in which nothing is refused, brings its customers to what it says, whatever was there."""
        self.source.mend()
        task = TableTask("last", "changed import of a snapshot", DAYS + 1, self, columns=self._columns)
        task.reverify_after = timedelta(0)  # what nobody has counted may have been dropped
        self.world.run_tasks(task)
        self._check_ledger()
        for key, cell in self.source.snapshot(DAYS + 1).items():
            for name in self._columns:
                found = version_of(str(self.vendor.values.get((key, name), "0")))
                if found != cell.version:
                    raise WrongWorld(f"{key} has {name} of version {found}, and the last snapshot has {cell.version}")
        if self.ledger.read().intents:
            raise WrongWorld("all loads are done, and an intent is left")
        self._check_outputs()

    def _check_outputs(self) -> None:
        """No secret is in staging or in an error, and no key of another target in a report."""
        staging, secrets = as_staging(self.world.staging()), (TOKEN, self.vendor.secret)
        others = [key for other in self.world.targets if other is not self for key in other.source.keys]
        if any(secret in line for line in self.world.scheduler.trace for secret in secrets):
            raise WrongWorld("a secret is in an error")
        for path in staging.fs.find(staging.root):
            content = staging.fs.cat_file(path)
            if any(secret.encode() in content for secret in secrets):
                raise WrongWorld(f"a secret is in {path}")
            is_ours = f'"dcp": {self.table_id}'.encode() in content and "/reports/" in path
            if is_ours and (leaked := [key for key in others if f'"{key}"'.encode() in content]):
                raise WrongWorld(f"{path} of {NAME} has {leaked}")
