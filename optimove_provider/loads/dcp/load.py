"""One load into a table, from rows to the end of their import: run it, wait for its files, confirm it."""

import logging
from collections.abc import Callable
from datetime import timedelta

from optimove_provider.contract.dcp.upload_history import ImportState, Outcome
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.loads.dcp import confirmation
from optimove_provider.loads.dcp.changed_import import ChangedImport
from optimove_provider.loads.dcp.full_import import FullImport
from optimove_provider.loads.dcp.options import TableImport, table_ledger
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)


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
    until = surroundings.now() + wait
    while (found := load.outcome_of(load.report.s3_keys)).verdict is ImportState.WAIT:
        log.info("%s", found.sentence)
        left = until - surroundings.now()
        if defer:
            defer(max(left, timedelta(0)))
        if pause > left:
            raise NotImported(f"not imported within {wait}: {found.sentence}")
        surroundings.sleep(pause.total_seconds())
    return found


def filed_report(staging: Staging, load_id: str) -> Report:
    """The report that a load filed when it had uploaded its files."""
    report = Report(load_id, {})
    report.restore(staging.read(f"reports/{load_id}.json") or {})
    return report


def confirm(staging: Staging, report: Report, outcome: Outcome, try_number: int) -> None:
    """Take over into the report, the ledger and the journal how the import of a load's files ended.

    Raises ImportFailed, CommitConflict, TargetBusy.
    """
    log.info("%s", outcome.sentence)
    journal = Journal(staging, report.load_id)
    confirmation.confirm(table_ledger(staging, report), journal, report, outcome, try_number)
