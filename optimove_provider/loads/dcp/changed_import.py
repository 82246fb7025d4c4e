"""Importing into DCP only what the table does not have already, by its ledger: freeze, plan, upload, wait, commit.

The ledger learns of a load once its import is confirmed. Until then the lease is kept without renewal ("detached"), to
the end of the wait, and the rows are an intent: if nobody confirms them, the next load takes them for unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.loads.dcp.confirmation import UNKNOWN
from optimove_provider.loads.dcp.csv_spool import Freezer, csv_text
from optimove_provider.loads.dcp.in_doubt import Ask, InDoubtFiles
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.replan import plan_or_reuse, still_holds
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.spool.unique_keys import refuse_duplicates
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.multipart import files_of
from optimove_provider.loads.upload.publication import Publication, Samples
from optimove_provider.loads.upload.uploads import Uploads
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.loads.validation.row_check import ImportOptions, RowCheck
from optimove_provider.options import Guards


@dataclass(frozen=True, slots=True)
class ChangedOptions:
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
        wanted: ImportOptions,
        comparison: ChangedOptions,
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
        self._spool: Mapping[str, Any] = {}
        self._delivery = Publication(to, report, samples, partial(InDoubtFiles(ledger).drop, to.load_id))

    def run(self, try_number: int, wait: timedelta, resumed: bool = False) -> None:
        """Upload what changed and keep the lease for as long as the import is waited for; `confirm` has to follow.

        Where nothing changed, the load is committed at once, and has no files. `resumed`: this try has read the source
        before. Raises TargetBusy, StillImporting, and what checking, planning and uploading raise.
        """
        if result := self._journal.result:
            self._report.restore(result)
            return
        with keep_account(self._report, self._to.staging.surroundings, all_or_nothing=True), self._delivery.refusable():
            columns = self._columns(resumed)
            with acquired(self._ledger.manifest_file, self._to.load_id, try_number, self._report.task) as lease:
                plan = self._plan()
                if plan.to_send:
                    self._upload(lease, plan, columns)
                    lease.detach(self._to.staging.surroundings.now() + wait)
                    return
                if not plan.below_watermark:
                    self._ledger.commit(lease, plan.as_commit(self._to.staging.surroundings.now()))
            self._report.state = "nothing_to_send"
        self._journal.finish(self._report.as_json())

    def plan(self) -> None:
        """Tell in the report what `run` would do. Nothing is sent, and only the report is left in staging."""
        try:
            with keep_account(self._report, self._to.staging.surroundings, all_or_nothing=True):
                self._columns(resumed=False)
                self._plan()
                self._report.state = "planned"
        finally:
            self._to.staging.remove_folder(self._journal.folder)

    def _columns(self, resumed: bool) -> list[str]:
        """Freeze the rows, unless an earlier try began to send; returns the header's names."""
        journal, report = self._journal, self._report
        spool = journal.rows(resumed)
        if spool is None:
            found = self._freeze(journal.begin_reading())
            spool = journal.rows_read({**found, "report": report.as_json()})
        report.restore(spool["report"])
        self._spool = spool
        return list(spool["columns"])

    def _freeze(self, folder: str) -> dict[str, Any]:
        staging = self._to.staging
        staging.remove_folder(folder)
        with RowFilesWriter(staging, folder) as parts:
            freezer = Freezer(parts)
            RowCheck(self._source, self._wanted, staging, self._report).run(freezer)
            freezer.finish()
        refuse_duplicates(staging, parts.written, "customerId")
        return {"columns": freezer.columns, "filled": freezer.filled, "folder": folder}

    def _plan(self) -> Plan:
        compared, journal, spool = self._comparison, self._journal, self._spool
        self._refuse_other_manifest()
        frozen = PlanInput(
            self._to.load_id,
            spool["folder"],
            compared.generation or journal.opened,
            compared.source_is,
            "changed",
            filled=spool["filled"],
        )
        return plan_or_reuse(self._ledger, journal, frozen, self._report, compared.guards, compared.expected_plan)

    def _refuse_other_manifest(self) -> None:
        """Where the ledger has changed since the plan, what was uploaded by it is aborted; unless it is visible."""
        journal, manifest, load_id = self._journal, self._ledger.read(), self._to.load_id
        if not journal.has_sent or still_holds(journal, manifest):
            return
        if self._delivery.visible:
            raise CommitConflict(
                f"files of load {load_id} were uploaded, and others have changed the table's ledger since: {UNKNOWN}",
                journal.plan["planned_against"],
                manifest.version,
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
        InDoubtFiles(self._ledger).note(self._to.load_id, self._report.s3_keys)
        self._delivery.complete(lease.check)
        self._report.accepted, self._report.state = plan.to_send, "uploaded"

    def _begin(self, lease: Lease, plan: Plan) -> None:
        """From here on the frozen rows stay what they are."""
        unconfirmed = InDoubtFiles(self._ledger)
        if self._comparison.assume_settled:
            unconfirmed.drop_all()
        unconfirmed.refuse(self._to.load_id, self._ask, self._unseen)
        self._ledger.write_intent(lease, plan.planned_against, plan.load.generation, plan.sent)
        self._journal.begin_files()

    def _unseen(self, load_id: str) -> list[str]:
        """The files that another load began, and that never became visible: a retry of it looks at the ledger first."""
        files = files_of(replace(self._to, load_id=load_id))
        return [file.key for file in files if not file.is_visible()]
