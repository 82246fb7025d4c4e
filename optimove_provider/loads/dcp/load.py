"""One load into a table, from rows to the end of their import: run it, wait for its files, confirm it."""

import logging
from collections.abc import Callable
from datetime import timedelta

from optimove_provider.contract.dcp.readback import is_shown
from optimove_provider.contract.dcp.upload_history import ImportState, Outcome, counted
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.dcp.changed_import import ChangedImport
from optimove_provider.loads.dcp.full_import import FullImport
from optimove_provider.loads.dcp.in_doubt import UNKNOWN, InDoubtFiles
from optimove_provider.loads.dcp.options import TableImport, table_ledger
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal, Stage
from optimove_provider.loads.state.staging import Staging
from optimove_provider.surroundings import after

log = logging.getLogger(__name__)


class ImportFailed(OptimoveProviderError):
    """The vendor refused a file, or rows of it. The text is the history's."""


class NotImported(OptimoveProviderError):
    """It was waited long enough for an import. A retry goes on waiting."""

    retry_helps = True


def run(load: TableImport, wait: timedelta = timedelta(0), resumed: bool = False) -> None:
    """Check the rows and upload them, or what of them changed; or tell in the report what would be done.

    The report's state is "uploaded" if there is something to be confirmed, which is waited for so long: no other load
    works on the table meanwhile, if this one compares. `resumed`: this try has begun before. Raises TargetBusy, and
    what checking, planning and uploading raise.
    """
    course = ChangedImport(load) if load.mode == "changed" else FullImport(load)
    if load.options.dry_run:
        course.plan()
    elif isinstance(course, ChangedImport):
        course.run(wait, resumed)
    else:
        course.run()


def outcome(
    load: TableImport, wait: timedelta, pause: timedelta, defer: Callable[[timedelta], object] | None = None
) -> Outcome:
    """Look every `pause`, until it is known how the import of the load's files ended.

    Where the first look cannot tell, and there is a `defer`, that is called with the time that is left, and does not
    return: somebody else goes on looking. Raises NotImported where the next look would come after `wait`.
    """
    surroundings = load.staging.surroundings
    until = after(surroundings.now(), wait)
    while (found := load.outcome_of(load.report.s3_keys)).state is ImportState.WAIT:
        log.info("%s", found.sentence)
        left = until - surroundings.now()
        if defer:
            defer(max(left, timedelta(0)))
        if pause > left:
            raise NotImported(f"not imported within {wait}: {found.sentence}. A retry waits on")
        surroundings.sleep(pause.total_seconds())
    return found


def filed_report(staging: Staging, load_id: str) -> Report:
    """The report that a load filed when it had uploaded its files."""
    report = Report(load_id, {})
    report.restore(staging.read(f"reports/{load_id}.json") or {})
    return report


def confirm(staging: Staging, report: Report, outcome: Outcome, try_number: int = 1) -> None:
    """Take over how the import of a load's files ended, whatever its mode, into report, ledger and journal.

    What was planned by the ledger is entered there, or becomes unknown; the keys of a full import were made unknown
    before. Raises ImportFailed if the import failed, or rows of it; CommitConflict where another load has changed the
    ledger: then the load's intent stays. Raises TargetBusy while another load has the table.
    """
    journal = Journal(staging, report.load_id)
    if journal.result:
        report.restore(journal.result)
        return
    outcome = counted(outcome, report.accepted)
    log.info("%s", outcome.sentence)
    with keep_account(report, staging, all_or_nothing=True):
        _resolve(table_ledger(staging, report), journal, report, outcome, try_number)
        try:
            _apply(report, outcome)
        except ImportFailed:
            if journal.plan:
                report.note(UNKNOWN)
            raise
        journal.finish(report.as_json())


def _resolve(ledger: Ledger | None, journal: Journal, report: Report, outcome: Outcome, try_number: int) -> None:
    """Files whose fate is known are in doubt no more; the ledger learns what was planned, or that it is unknown."""
    if ledger and journal.plan:
        with acquired(ledger.manifest_file, report.load_id, try_number, report.task) as lease:
            InDoubtFiles(ledger).settle(report.load_id, outcome)
            _enter(ledger, lease, journal, outcome)
            report.ledger_version = ledger.read().version
    elif ledger:
        InDoubtFiles(ledger).settle(report.load_id, outcome)


def _enter(ledger: Ledger, lease: Lease, journal: Journal, outcome: Outcome) -> None:
    if outcome.state is not ImportState.DONE or not is_shown(outcome):
        ledger.resolve_as_unknown(lease)
        return
    if journal.stage is not Stage.COMMITTED:  # once: a retry of the task may come after another load
        ledger.commit(lease, Plan.from_json(journal.plan).as_commit(ledger.staging.surroundings.now()))
        journal.committed()
    compaction.maintain(ledger, lease)


def _apply(report: Report, outcome: Outcome) -> None:
    """Take over how the import itself ended: rows that the history reports failed are rejected. Where nothing shows
    that it has, the state stays "uploaded".

    Raises ImportFailed if there are any, or if a file failed as a whole.
    """
    if outcome.state is ImportState.DONE:
        if is_shown(outcome):
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
