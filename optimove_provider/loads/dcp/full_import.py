"""Importing every row into DCP: checked and uploaded in one pass, and nothing is visible unless all of it is right."""

from optimove_provider.contract.dcp.evidence import NOT_SEEN
from optimove_provider.loads.dcp.columns import attributes_of
from optimove_provider.loads.dcp.invalidation import Invalidation, invalidation_of
from optimove_provider.loads.dcp.kept_rows import kept_for_verification
from optimove_provider.loads.dcp.options import TableImport
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.plan.columns import LoadColumns
from optimove_provider.loads.report.bookkeeping import keep_account, run_once
from optimove_provider.loads.upload.sink import Nowhere
from optimove_provider.loads.upload.uploads import Uploads


class FullImport:
    """One import of all rows, under names never used before.

    A CSV file goes up as it is, unpacked, without blank lines; one with tabs is rewritten with commas: every uploader
    that is known sends .csv files. Rows older than a newer snapshot are not sent, and the table's ledger learns which
    keys it cannot vouch for any more.
    """

    def __init__(self, load: TableImport) -> None:
        self._load, self._report, self._journal = load, load.report, load.journal()
        self._publication = load.publication(self._journal)

    def run(self) -> None:
        """Check and upload, or finish what an earlier try had checked and sent; then `confirm` may follow.

        What is refused is aborted; what broke off, a retry of the same load continues: it sends only what is missing,
        under the same names. Raises TargetBusy, PartlyVisible, and what checking and uploading raise.
        """
        with run_once(
            self._report, self._journal, all_or_nothing=True, in_doubt=self._publication.in_doubt
        ) as unfinished:
            if unfinished:
                right = invalidation_of(self._load, self._publication.in_doubt_for)
                with right as invalidation, self._publication.abort_if_refused():
                    self._run(invalidation)

    def plan(self) -> None:
        """Tell in the report what `run` would do. Nothing is sent."""
        with keep_account(self._report, self._load.staging, all_or_nothing=True):
            self._load.row_check().run(Nowhere())
            self._report.state = "planned"

    def _run(self, invalidation: Invalidation) -> None:
        if self._publication.resume():
            self._publish(invalidation.of(self._journal.prepared_age))
        elif invalidation.is_below_watermark:
            with invalidation.keys() as observers:
                self._load.row_check(observers).run(Nowhere())
            self._end_as_stale(invalidation, visible=0)
        else:
            self._upload(invalidation)
            self._publish(invalidation)

    def _upload(self, invalidation: Invalidation) -> None:
        load = self._load
        with Uploads(load.destination, load.options.max_file_bytes) as uploads:
            self._journal.begin_files()
            with invalidation.keys() as observers, kept_for_verification(load, uploads) as sink:
                load.row_check(observers).run(sink)
            uploads.finish()
        self._publication.prepare(uploads, invalidation.age)

    def _publish(self, invalidation: Invalidation) -> None:
        """Make the files visible, if no newer snapshot was committed before all of them were."""
        report, visible = self._report, self._publication.visible
        if visible < len(report.s3_keys):
            if invalidation.is_below_watermark:
                self._end_as_stale(invalidation, visible)
                return
            self._write(invalidation)
        self._publication.commit(invalidation.right)
        report.accepted = report.rows - report.rejected
        report.state = "uploaded" if report.s3_keys else "nothing_to_send"
        report.tell_evidence(NOT_SEEN)

    def _write(self, invalidation: Invalidation) -> None:
        """Tell the ledger what these files will cost it, and the report of columns that came or went."""
        columns = attributes_of(invalidation.columns)
        known = LoadColumns(self._load.ledger, self._report) if self._load.ledger else None
        if known:
            known.note(columns)
        invalidation.write(self._report.s3_keys)
        if known:
            known.committed(columns)

    def _end_as_stale(self, invalidation: Invalidation, visible: int) -> None:
        """Abort, and send nothing: a newer snapshot is committed.

        Raises PartlyVisible if some files are visible, and OtherColumns if the snapshot lacks columns of these rows.
        """
        report, age = self._report, invalidation.age
        self._publication.abort()
        report.s3_keys = ()
        if visible:
            raise PartlyVisible(
                f"files of load {report.load_id}, of {age}, became visible, and a "
                "newer snapshot was committed before all of them had. The others were aborted, and nothing more of it "
                "is sent. Clear the task to read the source again"
            )
        invalidation.check_stale(report.rows - report.rejected)
        report.note("a newer snapshot is committed, so that nothing of this load is sent")
        report.state, report.stale = "nothing_to_send", report.rows - report.rejected
