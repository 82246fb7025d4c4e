"""Importing into DCP only what the table does not have already, by its ledger: freeze, plan, upload, wait, commit.

The ledger learns of a load once its import is confirmed. Until then the lease is kept without renewal ("detached"), to
the end of the wait, and the rows are an intent: if nobody confirms them, the next load takes them for unknown.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from optimove_provider.contract.dcp.evidence import NOT_SEEN
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.disk.room import at_the_end
from optimove_provider.loads.dcp.columns import OtherColumns, TableColumns, attributes_of
from optimove_provider.loads.dcp.csv_spool import Freezer, RefusedKeys, csv_text
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles, UploadConflict
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.dcp.profile_marks import ProfileMarks
from optimove_provider.loads.ledger.keys import keys_in
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.plan.columns import LoadColumns
from optimove_provider.loads.plan.diff import ROW_KINDS
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.replan import plan_or_reuse, still_holds
from optimove_provider.loads.report.bookkeeping import keep_account, run_once
from optimove_provider.loads.spool.row_files import REFUSED
from optimove_provider.loads.spool.slices import RowFilesWriter
from optimove_provider.loads.spool.unique_keys import refuse_duplicates
from optimove_provider.loads.state.age import Age
from optimove_provider.loads.upload.files import files_of
from optimove_provider.loads.upload.uploads import Uploads
from optimove_provider.loads.upload.visibility import Right
from optimove_provider.surroundings import after

Spool = Mapping[str, Any]
"""Frozen rows: their `folder`, the header's `columns`, the share `filled` of each, and the `report` so far."""


class ChangedImport:
    """One import of what changed. Raises SettingsError for a table without a ledger."""

    def __init__(self, load: TableImport) -> None:
        if load.ledger is None:
            raise SettingsError(
                "mode='changed' needs a ledger, and [optimove] staging is on a storage without compare-and-swap: use a "
                "local folder or S3, or mode='full'"
            )
        self._load, self._report, self._ledger, self._journal = load, load.report, load.ledger, load.journal()
        self._in_doubt, self._columns = InDoubtFiles(load.ledger), TableColumns(load.ledger)
        self._publication = load.publication(self._journal)

    def run(self, wait: timedelta, resumed: bool = False) -> None:
        """Upload what changed and keep the lease for as long as the import is waited for; `confirm` has to follow.

        Where nothing changed, the load is committed at once, and has no files. `resumed`: this try has read the source
        before. Raises TargetBusy, StillImporting, and what checking, planning and uploading raise.
        """
        with run_once(
            self._report, self._journal, all_or_nothing=True, in_doubt=self._publication.in_doubt
        ) as unfinished:
            if unfinished:
                with self._publication.abort_if_refused():
                    self._run(wait, resumed)

    def plan(self) -> None:
        """Tell in the report what `run` would do. Nothing is sent, and only the report is left in staging."""
        staging = self._load.staging
        remove_rows = partial(staging.remove_folder, self._journal.folder)
        with (
            at_the_end("to remove the frozen rows", remove_rows),
            keep_account(self._report, staging, all_or_nothing=True),
        ):
            self._plan(self._rows(resumed=False))
            self._report.state = "planned"

    def _run(self, wait: timedelta, resumed: bool) -> None:
        load, ledger, now = self._load, self._ledger, self._load.staging.surroundings.now
        spool = self._rows(resumed)
        whose, in_doubt_for = (load.load_id, load.try_number, self._report.task), self._publication.in_doubt_for
        with acquired(ledger.manifest_file, *whose, in_doubt_for) as lease:
            self._journal.take_up()
            plan = self._plan(spool)
            if plan.to_send:
                self._upload(lease, plan, spool["columns"])
                lease.detach(after(now(), wait))
                return
            if not plan.below_watermark:
                if any(plan.counts[kind] for kind in ROW_KINDS):  # one without any row has no values that are newer
                    self._remember_columns(spool["columns"], plan.load.age)
                ledger.commit(lease, plan.as_commit(ledger.now))
        self._report.state = "nothing_to_send"

    def _rows(self, resumed: bool) -> Spool:
        """The frozen rows, which are read unless an earlier try began to send, or this one has read them."""
        journal, report = self._journal, self._report
        spool = journal.rows(resumed)
        if spool is None:
            known = self._ledger.read()
            folder = journal.begin_reading(self._load.generation, self._load.opened, now=self._ledger.after(known))
            found = self._freeze(folder, known.key_digest.seed)
            spool = journal.rows_read({**found, "report": report.as_json()})
        report.restore(spool["report"])
        return spool

    def _freeze(self, folder: str, seed: str) -> dict[str, Any]:
        staging = self._load.staging
        staging.remove_folder(folder)
        with RowFilesWriter(staging, folder, seed=seed) as writer, RowFilesWriter(staging, folder, REFUSED) as aside:
            freezer = Freezer(writer)
            refused = RefusedKeys(lambda: freezer.columns, aside, self._load.delimiter)
            self._load.row_check(on_refused=refused.take).run(freezer)
            freezer.finish()
            refused.finish()
        refuse_duplicates(staging, "customerId", writer.written)
        return {"columns": freezer.columns, "filled": freezer.filled, "folder": folder}

    def _plan(self, spool: Spool) -> Plan:
        load, changed, journal = self._load, self._load.changed, self._journal
        self._refuse_other_manifest()
        source_is = changed.source_is if load.options.limit is None else "delta"
        frozen = PlanInput(
            load.load_id,
            spool["folder"],
            journal.age,
            source_is,
            "changed",
            filled=spool["filled"],
            is_complete=not self._report.rejected,
            reverify_after=None if changed.reverify_after is None else changed.reverify_after.total_seconds(),
        )
        if source_is == "snapshot" and self._report.rejected:
            self._report.note(
                f"{self._report.rejected} rows are refused, and their customers are not known here: nothing is taken "
                "for removed from the source"
            )
        LoadColumns(self._ledger, self._report).note(attributes_of(spool["columns"]))
        try:
            plan = plan_or_reuse(self._ledger, journal, frozen, self._report, changed.guards, changed.expected_plan)
        except GuardStopped as stopped:
            if differs := self._columns.difference(spool["columns"]):
                raise OtherColumns(f"this load has other columns than the one before: {differs}. {stopped}") from None
            raise
        self._columns.check_stale(spool["columns"], journal.age, plan.counts["stale"])
        return plan

    def _refuse_other_manifest(self) -> None:
        """Where the ledger has changed since the plan, what was uploaded by it is aborted; unless it is visible."""
        journal, manifest = self._journal, self._ledger.read()
        if not journal.has_sent or still_holds(journal, manifest):
            return
        if self._publication.visible:
            raise UploadConflict.by(journal.load_id, journal.plan["planned_against"], manifest.version)
        self._publication.abort()

    def _upload(self, lease: Lease, plan: Plan, columns: list[str]) -> None:
        if not self._publication.visible:
            keys = keys_in(self._load.staging, plan.sent)
            ProfileMarks(self._ledger).check_import(columns, keys, plan.load.age)
        if not self._publication.resume():
            self._begin(lease, plan, columns)
            with Uploads(self._load.destination, self._load.options.max_file_bytes) as uploads:
                for text in csv_text(self._load.staging, plan.sent, columns):
                    uploads.write(text)
                uploads.finish()
            self._publication.prepare(uploads)
        self._in_doubt.record(self._load.load_id, self._report.s3_keys)
        self._publication.commit(Right(lease.check, is_exclusive=True))
        self._report.accepted, self._report.state = plan.to_send, "uploaded"
        self._report.tell_evidence(NOT_SEEN)

    def _begin(self, lease: Lease, plan: Plan, columns: list[str]) -> None:
        """From here on the frozen rows stay what they are."""
        if self._load.changed.assume_settled:
            self._in_doubt.forget_all()
        self._in_doubt.resolve_others(self._load.load_id, self._load.outcome_of, self._never_visible)
        self._remember_columns(columns, plan.load.age)
        self._ledger.write_intent(lease, plan.planned_against, plan.load.age, plan.sent)
        self._journal.begin_files()

    def _remember_columns(self, columns: list[str], age: Age) -> None:
        self._columns.write(columns, age)
        LoadColumns(self._ledger, self._report).committed(attributes_of(columns))

    def _never_visible(self, load_id: str) -> list[str]:
        """The files that another load began, and that never became visible: a retry of it looks at the ledger first."""
        files = files_of(replace(self._load.to, load_id=load_id))
        return [file.key for file in files if not file.may_be_visible]
