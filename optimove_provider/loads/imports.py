"""Sending a load to DCP: rows are checked and uploaded in one pass, and nothing is visible unless all of it is right.

A retry of the same load sends only what is missing, and makes no second file.
"""

from dataclasses import replace
from functools import partial

from optimove_provider.contract.errors import OptimoveProviderError
from optimove_provider.contract.readback import is_shown
from optimove_provider.contract.uploads import Outcome, Verdict
from optimove_provider.loads.accounting import accounted
from optimove_provider.loads.checks import CsvFile
from optimove_provider.loads.delivery import Delivery, Samples
from optimove_provider.loads.imports_check import RowCheck, Wanted
from optimove_provider.loads.imports_turn import Turn
from optimove_provider.loads.parts import Destination, Nowhere, Uploads
from optimove_provider.loads.pointer import Overtaken
from optimove_provider.loads.report import Report
from optimove_provider.loads.spool import OpenRows
from optimove_provider.loads.unconfirmed import Unconfirmed


def import_csv(
    source: CsvFile | OpenRows,
    wanted: Wanted,
    to: Destination,
    report: Report,
    samples: Samples | None = None,
    turn: Turn | None = None,
) -> None:
    """Check rows and upload them, under names never used before; `report` tells the story.

    Nothing is visible unless every row is valid, or as `wanted` says, and no column looks like personal data, which the
    vendor's terms forbid. A CSV file goes up as it is, unpacked, without blank lines; one with tabs is rewritten with
    commas: every uploader that is known sends .csv files. What is refused is aborted; what broke off, a retry of the
    same load continues. With a `turn`, rows older than a newer snapshot are not sent, and the table's ledger learns
    which keys it cannot vouch for any more.
    """
    with accounted(report, all_or_nothing=True):
        _Import(source, wanted, to, report, samples, turn).run()


UNKNOWN = "what the table holds of this load's keys is unknown: the next load sends them again"


class ImportFailed(OptimoveProviderError):
    """The vendor refused a file, or rows of it. The text is the history's."""


def settle(report: Report, outcome: Outcome) -> None:
    """Take over how the import itself ended: rows that the history reports failed are rejected. Where nothing shows
    that it has, the state stays "uploaded".

    Raises ImportFailed if there are any, or if a file failed as a whole.
    """
    if outcome.verdict is Verdict.DONE:
        if is_shown(outcome):
            report.state = "committed"
        else:
            report.note(f"nothing shows whether the files are imported, so {UNKNOWN}: {outcome.sentence}")
        return
    if outcome.is_over and all(entry.status.lower() == "completed" for entry in outcome.entries):
        refused = min(sum(entry.rows_failed or 0 for entry in outcome.entries), report.accepted)
        report.state, report.rejected, report.accepted = (
            "committed",
            report.rejected + refused,
            report.accepted - refused,
        )
    else:
        report.state, report.accepted = "failed", 0
    report.problem = f"the import failed: {outcome.sentence}"
    raise ImportFailed(report.problem)


class _Import:
    def __init__(
        self,
        source: CsvFile | OpenRows,
        wanted: Wanted,
        to: Destination,
        report: Report,
        samples: Samples | None,
        turn: Turn | None,
    ) -> None:
        self._source, self._wanted, self._to, self._report, self._turn = source, wanted, to, report, turn
        given_up = partial(Unconfirmed(turn.ledger).drop, to.load_id) if turn else None
        self._delivery = Delivery(to, report, samples, given_up)

    def run(self) -> None:
        """Check and upload, or finish what an earlier try had checked and sent."""
        with self._delivery.refusable():
            if self._delivery.take_up():
                self._go_on()
            elif self._wanted.dry_run:
                self._check(Nowhere())
                self._report.state = "planned"
            elif self._turn and self._turn.is_fenced:
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
        if self._turn and self._turn.is_fenced and visible < len(self._report.s3_keys):
            self._give_way(self._turn, visible)
        else:
            self._complete(visible)

    def _give_way(self, turn: Turn, visible: int) -> None:
        """A newer snapshot was committed after an earlier try had sent every row, and before all of it was visible."""
        report = self._report
        self._delivery.give_up(abort=True)
        report.s3_keys = ()
        if visible:
            raise Overtaken(
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
