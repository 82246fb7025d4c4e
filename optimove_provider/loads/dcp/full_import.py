"""Sending a load to DCP: rows are checked and uploaded in one pass, and nothing is visible unless all of it is right.

A retry of the same load sends only what is missing, and makes no second file.
"""

from dataclasses import replace
from functools import partial

from optimove_provider.loads.dcp.in_doubt import InDoubtFiles
from optimove_provider.loads.dcp.invalidation import LedgerInvalidation
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.spool.freeze import OpenRows
from optimove_provider.loads.upload.destination import Destination
from optimove_provider.loads.upload.publication import Publication, Samples
from optimove_provider.loads.upload.sink import Nowhere
from optimove_provider.loads.upload.uploads import Uploads
from optimove_provider.loads.validation.csv_file import CsvFile
from optimove_provider.loads.validation.row_check import ImportOptions, RowCheck


def import_csv(
    source: CsvFile | OpenRows,
    wanted: ImportOptions,
    to: Destination,
    report: Report,
    samples: Samples | None = None,
    turn: LedgerInvalidation | None = None,
) -> None:
    """Check rows and upload them, under names never used before; `report` tells the story.

    Nothing is visible unless every row is valid, or as `wanted` says, and no column looks like personal data, which the
    vendor's terms forbid. A CSV file goes up as it is, unpacked, without blank lines; one with tabs is rewritten with
    commas: every uploader that is known sends .csv files. What is refused is aborted; what broke off, a retry of the
    same load continues. With a `turn`, rows older than a newer snapshot are not sent, and the table's ledger learns
    which keys it cannot vouch for any more.
    """
    with keep_account(report, to.staging.surroundings, all_or_nothing=True):
        _Import(source, wanted, to, report, samples, turn).run()


class _Import:
    def __init__(
        self,
        source: CsvFile | OpenRows,
        wanted: ImportOptions,
        to: Destination,
        report: Report,
        samples: Samples | None,
        turn: LedgerInvalidation | None,
    ) -> None:
        self._source, self._wanted, self._to, self._report, self._turn = source, wanted, to, report, turn
        given_up = partial(InDoubtFiles(turn.ledger).drop, to.load_id) if turn else None
        self._delivery = Publication(to, report, samples, given_up)

    def run(self) -> None:
        """Check and upload, or finish what an earlier try had checked and sent."""
        with self._delivery.refusable():
            if self._delivery.take_up():
                self._go_on()
            elif self._wanted.dry_run:
                self._check(Nowhere())
                self._report.state = "planned"
            elif self._turn and self._turn.is_below_watermark:
                self._check(Nowhere())
                self._tell_stale()
            else:
                self._upload()
                self._complete(self._delivery.visible)

    def _go_on(self) -> None:
        """Finish what an earlier try had sent, with the generation of its rows; or give way to a newer snapshot."""
        visible, generation = self._delivery.visible, self._delivery.generation
        if self._turn and generation:
            self._turn = replace(self._turn, generation=generation)
        if self._turn and self._turn.is_below_watermark and visible < len(self._report.s3_keys):
            self._give_way(self._turn, visible)
        else:
            self._complete(visible)

    def _give_way(self, turn: LedgerInvalidation, visible: int) -> None:
        """A newer snapshot was committed after an earlier try had sent every row, and before all of it was visible."""
        report = self._report
        self._delivery.give_up(abort=True)
        report.s3_keys = ()
        if visible:
            raise PartlyVisible(
                f"files of load {report.load_id}, of {turn.generation.isoformat()}, became visible, and a newer "
                "snapshot was committed before all of them had. The others were aborted, and nothing more of it is sent"
            )
        self._tell_stale()

    def _tell_stale(self) -> None:
        report = self._report
        report.note("a newer snapshot is committed, so that nothing of this load is sent")
        report.state, report.stale = "nothing_to_send", report.rows - report.rejected

    def _upload(self) -> None:
        with Uploads(self._to, self._wanted.max_file_bytes) as uploads:
            if self._turn:
                with self._turn.keys() as watchers:
                    RowCheck(self._source, self._wanted, self._to.staging, self._report, watchers).run(uploads)
            else:
                self._check(uploads)
            uploads.finish()
        self._delivery.decide(uploads, self._turn.generation if self._turn else None)

    def _check(self, sink: Uploads | Nowhere) -> None:
        RowCheck(self._source, self._wanted, self._to.staging, self._report).run(sink)

    def _complete(self, visible: int) -> None:
        report, turn = self._report, self._turn
        if turn and visible < len(report.s3_keys):
            turn.mark(report.s3_keys)
        self._delivery.complete(turn.lease.check if turn else lambda: None)
        report.accepted = report.rows - report.rejected
        report.state = "uploaded" if report.s3_keys else "nothing_to_send"
