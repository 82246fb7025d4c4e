"""One load into a table, from rows to the end of their import: run it, wait for its files, confirm it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from optimove_provider.contract.dcp.evidence import evidence_of
from optimove_provider.contract.dcp.readback import has_begun, is_shown, is_unreadable, unreadable
from optimove_provider.contract.dcp.upload_history import ImportState, Outcome, common_state, counted
from optimove_provider.contract.next_steps import NextStep
from optimove_provider.contract.wire.errors import ApiError, OptimoveProviderError, SettingsError, UnreadableAnswer
from optimove_provider.contract.wire.evidence import COUNTED, SAMPLED, Evidence
from optimove_provider.loads.dcp.changed_import import ChangedImport
from optimove_provider.loads.dcp.full_import import FullImport
from optimove_provider.loads.dcp.in_doubt import UNKNOWN, InDoubtFiles, UploadConflict
from optimove_provider.loads.dcp.kept_rows import folder_of
from optimove_provider.loads.dcp.options import TableImport, table_ledger
from optimove_provider.loads.evidence.verification import DROPPED, NOT_VERIFIED, Verification, Verified
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.max_rejected import count
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.staging import Staging
from optimove_provider.surroundings import after

log = logging.getLogger(__name__)


class ImportFailed(OptimoveProviderError):
    """The vendor refused a file, or rows of it. The text is the history's."""

    then = NextStep.MEND_SOURCE


class RowsDropped(ImportFailed):
    """The import is over, and rows that were looked for are not there; the others are."""


class OtherMode(SettingsError):
    """A try has another `mode` than the one that began the load: what that one has left is not its own."""

    then = NextStep.CLEAR


class NotImported(OptimoveProviderError):
    """It was waited long enough for an import. A retry goes on waiting."""

    retry_helps = True
    then = NextStep.WAITS_ON


def run(load: TableImport, wait: timedelta = timedelta(0), resumed: bool = False) -> None:
    """Check the rows and upload them, or what of them changed; or tell in the report what would be done.

    The report's state is "uploaded" if there is something to be confirmed, which is waited for so long: no other load
    works on the table meanwhile, if this one compares. `resumed`: this try has begun before. Raises TargetBusy, and
    what checking, planning and uploading raise; OtherMode for a load that was begun with another mode.
    """
    _refuse_other_mode(load.journal(), load.mode)
    course = ChangedImport(load) if load.mode == "changed" else FullImport(load)
    if load.options.dry_run:
        course.plan()
    elif isinstance(course, ChangedImport):
        course.run(wait, resumed)
    else:
        course.run()


def _refuse_other_mode(journal: Journal, mode: str) -> None:
    """A plan is made by one of the modes only, and without one that one sends nothing."""
    begun = "changed" if journal.plan else "full" if journal.has_sent else mode
    if mode != begun and not journal.result:
        raise OtherMode(
            f'load {journal.load_id} was begun with mode="{begun}", and this try has mode="{mode}": what is uploaded '
            f"of it, and what is known of that, belongs to the other one. Set mode back for this load, or clear the "
            "task to begin a new one"
        )


def outcome(
    load: TableImport, wait: timedelta, pause: timedelta, defer: Callable[[timedelta], object] | None = None
) -> Outcome:
    """Look every `pause`, until it is known how the import of the load's files ended; that it has begun is enough where
    rows will be read back one by one: one of the sample may be one that was dropped.

    Where the first look cannot tell, and there is a `defer`, that is called with the time that is left, and does not
    return: somebody else goes on looking. Raises NotImported where the next look would come after `wait`.
    """
    surroundings = load.staging.surroundings
    until = after(surroundings.now(), wait)
    while (found := load.outcome_of(load.report.s3_keys)).state is ImportState.WAIT:
        if load.verify and has_begun(found):
            return found
        log.info("%s", found.sentence)
        left = until - surroundings.now()
        if defer:
            defer(max(left, timedelta(0)))
        if pause > left:
            raise NotImported(f"not imported within {wait}: {found.sentence}. A retry waits on{_hint(found)}")
        surroundings.sleep(pause.total_seconds())
    return found


def _hint(found: Outcome) -> str:
    some = has_begun(found)
    return '. Some rows may have been dropped by the vendor: verify="all" tells which' if some else ""


def filed_report(staging: Staging, load_id: str) -> Report:
    """The report that a load filed when it had uploaded its files."""
    report = Report(load_id, {})
    report.restore(staging.read(f"reports/{load_id}.json") or {})
    return report


def confirm(
    staging: Staging, report: Report, outcome: Outcome, try_number: int = 1, verification: Verification | None = None
) -> None:
    """Take over how the import of a load's files ended, whatever its mode, into report, ledger and journal.

    What was planned by the ledger is entered there, or becomes unknown; the keys of a full import were made unknown
    before. `verification` reads rows back that nobody has counted. Raises ImportFailed if the import failed, or rows of
    it; UploadConflict where another load has changed the ledger: then the load's intent stays. Raises TargetBusy while
    another load has the table.
    """
    journal = Journal(staging, report.load_id)
    if journal.result:
        report.restore(journal.result)
        return
    outcome = counted(outcome, report.accepted)
    log.info("%s", outcome.sentence)
    with keep_account(report, staging, all_or_nothing=True, in_doubt=lambda error: True):
        seen = _resolve(
            table_ledger(staging, report), journal, report, _Seen.of(outcome, report), try_number, verification
        )
        report.tell_evidence(seen.evidence)
        try:
            _apply(report, seen)
        except RowsDropped:
            raise
        except ImportFailed:
            if journal.plan:
                report.note(UNKNOWN)
            raise
        journal.finish(report.as_json())


@dataclass(frozen=True, slots=True)
class _Seen:
    """How an import ended, by what evidence, and which rows of it were looked for and not found. `is_there`: every row
    was found, whether or not it was this import that has brought it."""

    outcome: Outcome
    evidence: Evidence
    verified: Verified = NOT_VERIFIED
    is_there: bool = False

    @classmethod
    def of(cls, outcome: Outcome, report: Report) -> "_Seen":
        return cls(outcome, evidence_of(outcome, report.accepted))

    @property
    def is_shown(self) -> bool:
        return self.outcome.state is ImportState.DONE and (is_shown(self.outcome) or self.is_there)

    def verified_by(self, verified: Verified, sent: int) -> "_Seen":
        """The same once rows were read back after the import had begun: it is over."""
        done = common_state(replace(entry, status="completed") for entry in self.outcome.entries)
        if not verified.read:
            return replace(self, outcome=done)
        kind = COUNTED if verified.read >= sent else SAMPLED
        return _Seen(done, Evidence(kind, verified.read, sent), verified)

    def found_by(self, verified: Verified, sent: int) -> "_Seen":
        """The same where nothing shows that the import has begun: rows that are not there may come still."""
        if verified.dropped or verified.read < sent:
            return self
        return _Seen(self.outcome, Evidence(COUNTED, verified.read, sent), is_there=True)


def _resolve(
    ledger: Ledger | None,
    journal: Journal,
    report: Report,
    seen: _Seen,
    try_number: int,
    verification: Verification | None,
) -> _Seen:
    """Files whose fate is known are in doubt no more; the ledger learns what was planned, or that it is unknown."""
    if ledger and journal.plan:
        with acquired(ledger.manifest_file, report.load_id, try_number, report.task) as lease:
            journal.take_up()  # whoever was faster has entered it
            seen = _verified(seen, report, folder_of(journal), verification)
            InDoubtFiles(ledger).settle(report.load_id, seen.outcome)
            _enter(ledger, lease, journal, seen)
            report.ledger_version = ledger.read().version
            return seen
    seen = _verified(seen, report, folder_of(journal), verification)
    if ledger:
        InDoubtFiles(ledger).settle(report.load_id, seen.outcome)
    return seen


def _verified(seen: _Seen, report: Report, folder: str, verification: Verification | None) -> _Seen:
    """What was seen, and what reading back the rows of a folder adds, where nobody has counted them."""
    goes_on, is_over = seen.outcome.state is ImportState.WAIT, seen.outcome.state is ImportState.FAILED
    if verification is None or seen.evidence.kind == COUNTED or is_over or is_unreadable(seen.outcome):
        return seen
    begun = goes_on or seen.is_shown
    try:
        verified = verification.run(folder, begun)
        return (seen.verified_by if begun else seen.found_by)(verified, report.accepted)
    except (ApiError, UnreadableAnswer) as error:
        if error.retry_helps:
            raise
        report.note(f"the rows could not be read back one by one, as verify asks: {error}")
        return _Seen.of(unreadable(report.s3_keys, error), report) if goes_on else seen


def _enter(ledger: Ledger, lease: Lease, journal: Journal, seen: _Seen) -> None:
    if not seen.is_shown:
        ledger.resolve_as_unknown(lease)
        return
    if journal.stage is not Stage.COMMITTED:  # once: a retry of the task may come after another load
        commit = Plan.from_json(journal.plan).as_commit(ledger.now, seen.evidence)
        try:
            ledger.commit(lease, commit, seen.verified.dropped, sent_before=True)  # what it holds of those is not known
        except CommitConflict as conflict:
            raise UploadConflict.by(journal.load_id, conflict.expected, conflict.found) from None
        journal.committed()
    compaction.maintain(ledger, lease)


def _apply(report: Report, seen: _Seen) -> None:
    """Take over how the import itself ended: rows that the history reports failed, or that were looked for and are not
    there, are rejected. Where nothing shows that it has ended, the state stays "uploaded".

    Raises ImportFailed if there are any, or if a file failed as a whole.
    """
    outcome = seen.outcome
    if seen.verified.dropped:
        _tell_dropped(report, seen.verified)
        raise RowsDropped(report.problem)
    if outcome.state is ImportState.DONE:
        if seen.is_shown:
            report.state = "committed"
        else:
            report.note(f"nothing shows whether the files are imported, so {UNKNOWN}: {outcome.sentence}")
        return
    if outcome.is_over and all(entry.status.lower() == "completed" for entry in outcome.entries):
        _tell_counts(report, outcome)
    else:
        report.state, report.accepted = "failed", 0
    report.problem = f"the import failed: {outcome.sentence}. Mend what it names, and clear the task"
    raise ImportFailed(report.problem)


def _tell_dropped(report: Report, verified: Verified) -> None:
    """Rows that were looked for and are not there are rejected; the others stay accepted."""
    for row in verified.dropped:
        count(report, row, DROPPED)
    dropped = len(verified.dropped)
    report.state, report.rejected, report.accepted = "committed", report.rejected + dropped, report.accepted - dropped
    if report.rejected_file:
        report.note(f"rows that are not there after the import: {verified.file}")
    else:
        report.rejected_file = verified.file
    report.problem = (
        f"{dropped} of the {verified.read} rows that were read back are not there, such as those of "
        f"{', '.join(f'{one!r:.100}' for one in verified.examples)}: the vendor seems to have dropped them. All of "
        f"them: {verified.file}. Mend them in the source, and clear the task"
    )


def _tell_counts(report: Report, outcome: Outcome) -> None:
    """Of files that were imported as far as they were: failed rows are rejected. Where others are missing, nobody knows
    which, so that none counts as accepted."""
    refused = min(sum(entry.rows_failed or 0 for entry in outcome.entries), report.accepted)
    report.rejected, report.accepted = report.rejected + refused, report.accepted - refused
    counts = [entry.rows_processed for entry in outcome.entries if entry.rows_processed is not None]
    if len(counts) == len(outcome.entries) and sum(counts) < report.accepted:
        report.state, report.accepted = "failed", 0
    else:
        report.state = "committed"
