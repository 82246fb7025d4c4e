"""How an import ended: taken over into the report, and committed to the ledger once it is known."""

from optimove_provider.contract.dcp.readback import is_shown
from optimove_provider.contract.dcp.upload_history import ImportState, Outcome
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.dcp.in_doubt import InDoubtFiles
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Lease, acquired
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.plan.plan import Plan
from optimove_provider.loads.report.bookkeeping import keep_account
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal, Stage

UNKNOWN = "what the table holds of this load's keys is unknown: the next load sends them again"


class ImportFailed(OptimoveProviderError):
    """The vendor refused a file, or rows of it. The text is the history's."""


def apply_outcome(report: Report, outcome: Outcome) -> None:
    """Take over how the import itself ended: rows that the history reports failed are rejected. Where nothing shows
    that it has, the state stays "uploaded".

    Raises ImportFailed if there are any, or if a file failed as a whole.
    """
    if outcome.verdict is ImportState.DONE:
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


def confirm(ledger: Ledger | None, journal: Journal, report: Report, outcome: Outcome, try_number: int = 1) -> None:
    """Take over how an import ended, whatever its mode. What was planned by the ledger is entered there, or becomes
    unknown; the keys of a full import were made unknown before.

    Raises ImportFailed if the import failed, or rows of it; CommitConflict where another load has changed the ledger:
    then the load's intent stays. Raises TargetBusy while another load has the table.
    """
    if journal.result:
        report.restore(journal.result)
        return
    with keep_account(report, journal.staging, all_or_nothing=True):
        if ledger and journal.plan:
            with acquired(ledger.manifest_file, report.load_id, try_number, report.task) as lease:
                InDoubtFiles(ledger).settle(report.load_id, outcome)
                _enter(ledger, lease, journal, outcome)
        elif ledger:
            InDoubtFiles(ledger).settle(report.load_id, outcome)
        try:
            apply_outcome(report, outcome)
        except ImportFailed:
            if journal.plan:
                report.note(UNKNOWN)
            raise
        journal.finish(report.as_json())


def _enter(ledger: Ledger, lease: Lease, journal: Journal, outcome: Outcome) -> None:
    if outcome.verdict is not ImportState.DONE or not is_shown(outcome):
        ledger.resolve_as_unknown(lease)
        return
    if journal.stage is not Stage.COMMITTED:  # once: a retry of the task may come after another load
        ledger.commit(lease, Plan.from_json(journal.plan).as_commit(ledger.staging.surroundings.now()))
        journal.committed()
    compaction.maintain(ledger, lease)
