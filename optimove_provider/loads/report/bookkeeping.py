"""One try of a load in its report: time, state and problem are kept and filed, however the try ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)


@contextmanager
def run_once(report: Report, journal: Journal, all_or_nothing: bool = False) -> Iterator[bool]:
    """Keep account of a try, and tell whether there is anything left to do: a finished load is never run again.

    The result is remembered, unless the report's state is "uploaded": how such a load ends is known once its files are
    imported.
    """
    if journal.result:
        log.info("load %s was finished by an earlier try", report.load_id)
        report.restore(journal.result)
        yield False
        _file(report, journal.staging)
        return
    with keep_account(report, journal.staging, all_or_nothing):
        yield True
        report.refuse_unaccounted()
        if report.state != "uploaded":
            journal.finish(report.as_json())


@contextmanager
def keep_account(report: Report, staging: Staging, all_or_nothing: bool = False) -> Iterator[None]:
    """Keep time, state and problem in the report, and file it; not while the load has to wait, as nothing has ended.

    `all_or_nothing`: of a load that fails, no row counts as accepted. An error that its raiser has told the report, as
    its problem, leaves the numbers as they were told.
    """
    clock = staging.surroundings.monotonic
    began = clock()
    try:
        yield
        report.refuse_unaccounted()
    except TargetBusy:
        report.seconds += clock() - began
        raise
    except BaseException as error:
        if report.problem != str(error):
            report.state, report.problem = "failed", str(error)
            report.accepted = 0 if all_or_nothing else report.accepted
        report.seconds += clock() - began
        _file(report, staging)
        raise
    report.seconds += clock() - began
    _file(report, staging)


def _file(report: Report, staging: Staging) -> None:
    log.info("%s; report: %s", report.sentence, report.file(staging))
