"""Importing into DCP only what the table does not have already, by its ledger: freeze, plan, upload, wait, commit.

The ledger learns of a load once its import is confirmed. Until then the lease is kept without renewal ("settling"), to
the end of the wait, and the rows are pending: if nobody confirms them, the next load takes them for unknown.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from optimove_provider.contract.errors import SettingsError
from optimove_provider.contract.readback import is_shown
from optimove_provider.contract.uploads import Outcome, Verdict
from optimove_provider.loads.accounting import accounted
from optimove_provider.loads.checks import CsvFile
from optimove_provider.loads.delivery import Delivery, Samples
from optimove_provider.loads.duplicates import refuse_duplicates
from optimove_provider.loads.guards import Guards
from optimove_provider.loads.imports import UNKNOWN, ImportFailed, settle
from optimove_provider.loads.imports_check import RowCheck, Wanted
from optimove_provider.loads.imports_spool import Freezer, csv_text
from optimove_provider.loads.journal import Journal
from optimove_provider.loads.lease import Lease, held
from optimove_provider.loads.ledger import Ledger
from optimove_provider.loads.parts import Destination, Uploads, files_of
from optimove_provider.loads.plan import Frozen, Plan
from optimove_provider.loads.planning import planned, still_holds
from optimove_provider.loads.pointer import OtherPointer
from optimove_provider.loads.report import Report
from optimove_provider.loads.slices import PartsWriter
from optimove_provider.loads.spool import OpenRows
from optimove_provider.loads.staging import Staging
from optimove_provider.loads.unconfirmed import Ask, Unconfirmed


@dataclass(frozen=True, slots=True)
class Comparison:
    """How rows are compared with the ledger. `generation` is the instant that they stand for, None the one at which the
    source is opened. `assume_settled`: files of earlier loads that nobody confirmed are taken for imported."""

    source_is: Literal["snapshot", "delta"] = "snapshot"
    guards: Guards = field(default_factory=Guards)
    generation: datetime | None = None
    expected_plan: str | None = None
    assume_settled: bool = False


class ChangedImport:
    """One import of what changed. `ask` tells what became of other loads' files."""

    def __init__(
        self,
        source: CsvFile | OpenRows,
        wanted: Wanted,
        comparison: Comparison,
        to: Destination,
        report: Report,
        ledger: Ledger | None,
        ask: Ask,
        samples: Samples | None = None,
    ) -> None:
        if ledger is None:
            raise SettingsError(
                "mode='changed' needs a ledger, and [optimove] staging is on a storage without compare-and-swap: use a "
                "local folder or S3, or mode='full'"
            )
        self._source, self._wanted, self._comparison, self._to = source, wanted, comparison, to
        self._report, self._ledger, self._ask = report, ledger, ask
        self._journal = Journal(to.staging, to.load_id)
        self._delivery = Delivery(to, report, samples, partial(Unconfirmed(ledger).drop, to.load_id))

    def run(self, try_number: int, wait: timedelta, resumed: bool = False) -> None:
        """Upload what changed and keep the lease for as long as the import is waited for; `confirm` has to follow.

        Where nothing changed, the load is committed at once, and has no files. `resumed`: this try has read the source
        before. Raises TargetBusy, StillImporting, and what checking, planning and uploading raise.
        """
        if result := self._journal.course.result:
            self._report.restore(result)
            return
        with accounted(self._report, all_or_nothing=True), self._delivery.refusable():
            columns = self._columns(resumed)
            with self._lease(try_number) as lease:
                plan = self._plan()
                if plan.to_send:
                    self._upload(lease, plan, columns)
                    self._settle(lease, try_number, wait)
                    return
                if not plan.fenced:
                    self._ledger.commit(lease, plan.accepted(datetime.now(UTC)))
            self._report.state = "nothing_to_send"
        self._journal.finish(self._report.as_json())

    def plan(self) -> None:
        """Tell in the report what `run` would do. Nothing is sent, and only the report is left in staging."""
        try:
            with accounted(self._report, all_or_nothing=True):
                self._columns(resumed=False)
                self._plan()
                self._report.state = "planned"
        finally:
            self._to.staging.remove_folder(self._journal.folder)

    def _lease(self, try_number: int) -> AbstractContextManager[Lease]:
        """The lease of the table. What an earlier try of this load left settling is taken over: it sends no more."""
        load_id = self._to.load_id
        holder = _holder(self._to.staging, load_id, try_number)
        return held(self._ledger.pointer_file, load_id, holder, self._report.task)

    def _columns(self, resumed: bool) -> list[str]:
        """Freeze the rows, unless an earlier try began to send; returns the header's names."""
        course, report = self._journal.course, self._report
        if course.spool is None or not self._journal.is_read(resumed):
            course.spool = {**self._freeze(self._journal.read_again()), "report": report.as_json()}
            self._journal.save()
        report.restore(course.spool["report"])
        return list(course.spool["columns"])

    def _freeze(self, folder: str) -> dict[str, Any]:
        staging = self._to.staging
        staging.remove_folder(folder)
        with PartsWriter(staging, folder) as parts:
            freezer = Freezer(parts)
            RowCheck(self._source, self._wanted, staging, self._report).run(freezer)
            freezer.finish()
        refuse_duplicates(staging, parts.parts, "customerId")
        return {"columns": freezer.columns, "filled": freezer.filled, "folder": folder}

    def _plan(self) -> Plan:
        compared, journal, spool = self._comparison, self._journal, self._journal.course.spool or {}
        self._refuse_other_pointer()
        frozen = Frozen(
            self._to.load_id,
            spool["folder"],
            compared.generation or journal.opened,
            compared.source_is,
            "changed",
            filled=spool["filled"],
        )
        return planned(self._ledger, journal, frozen, self._report, compared.guards, compared.expected_plan)

    def _refuse_other_pointer(self) -> None:
        """Where the ledger has changed since the plan, what was uploaded by it is aborted; unless it is visible."""
        course, pointer, load_id = self._journal.course, self._ledger.read(), self._to.load_id
        if not course.batch or still_holds(course, pointer, load_id):
            return
        if self._delivery.visible:
            raise OtherPointer(
                f"files of load {load_id} were uploaded, and others have changed the table's ledger since: {UNKNOWN}"
            )
        self._delivery.give_up(abort=True)

    def _upload(self, lease: Lease, plan: Plan, columns: list[str]) -> None:
        if not self._delivery.take_up():
            self._begin(lease, plan)
            with Uploads(self._to, self._wanted.max_file_bytes) as uploads:
                for text in csv_text(self._to.staging, plan.sent, columns):
                    uploads.write(text)
                uploads.finish()
            self._delivery.decide(uploads)
        Unconfirmed(self._ledger).note(self._to.load_id, self._report.s3_keys)
        self._delivery.complete(lease.check)
        self._report.accepted, self._report.state = plan.to_send, "uploaded"

    def _begin(self, lease: Lease, plan: Plan) -> None:
        """From here on the frozen rows stay what they are."""
        unconfirmed = Unconfirmed(self._ledger)
        if self._comparison.assume_settled:
            unconfirmed.drop_all()
        unconfirmed.refuse(self._to.load_id, self._ask, self._unseen)
        self._ledger.mark_pending(lease, plan.version, plan.generation, plan.sent)
        self._journal.course.batch = 1
        self._journal.save()

    def _unseen(self, load_id: str) -> list[str]:
        """The files that another load began, and that never became visible: a retry of it looks at the ledger first."""
        files = files_of(replace(self._to, load_id=load_id))
        return [file.key for file in files if not file.is_visible()]

    def _settle(self, lease: Lease, try_number: int, wait: timedelta) -> None:
        """Keep the lease without renewal. A later try has to know whose it was, so that is written first."""
        staging, load_id = self._to.staging, self._to.load_id
        holder = _holder(staging, load_id, try_number)
        staging.write(f"loads/{load_id}/settling.json", {"try": holder})
        lease.settle(datetime.now(UTC) + wait)


def confirm_full(ledger: Ledger | None, report: Report, outcome: Outcome) -> None:
    """Take over how a full import ended; its keys stay unknown. Raises ImportFailed."""
    if ledger:
        Unconfirmed(ledger).settle(report.load_id, outcome)
    settle(report, outcome)


def confirm(ledger: Ledger | None, report: Report, outcome: Outcome) -> None:
    """Take over how an import of what changed ended: the ledger learns its rows, or that they are unknown.

    Raises ImportFailed if the import failed, or rows of it; OtherPointer where another load has changed the ledger:
    then the load stays pending. Raises TargetBusy while another load has the table.
    """
    assert ledger  # noqa: S101 - the load had one
    staging, load_id = ledger.staging, report.load_id
    journal = Journal(staging, load_id)
    if journal.course.result:
        report.restore(journal.course.result)
        return
    with (
        accounted(report, all_or_nothing=True),
        held(ledger.pointer_file, load_id, _holder(staging, load_id, 1), report.task) as lease,
    ):
        Unconfirmed(ledger).settle(load_id, outcome)
        if outcome.verdict is Verdict.DONE and is_shown(outcome):
            _commit(ledger, lease, journal)
            ledger.tidy(lease)
        else:
            ledger.settle_pending(lease)
    try:
        settle(report, outcome)
    except ImportFailed:
        report.note(UNKNOWN)
        raise
    journal.finish(report.as_json())


def _commit(ledger: Ledger, lease: Lease, journal: Journal) -> None:
    """Enter the rows, once: a retry of the task may come after another load."""
    if not journal.course.committed:
        ledger.commit(lease, Plan.from_json(journal.course.plan).accepted(datetime.now(UTC)))
        journal.course.committed = True
        journal.save()


def _holder(staging: Staging, load_id: str, try_number: int) -> int:
    """The try of this load that has the lease, if one left it settling."""
    return int(_settling(staging, load_id).get("try", try_number))


def _settling(staging: Staging, load_id: str) -> Mapping[str, Any]:
    return staging.read(f"loads/{load_id}/settling.json") or {}
