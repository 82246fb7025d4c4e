"""Time, state and problem of a load, kept in its report however it ends; and a finished load is never run again."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.journal import Journal
from optimove_provider.surroundings import Surroundings

log = logging.getLogger(__name__)


@contextmanager
def run_once(report: Report, journal: Journal, all_or_nothing: bool = False) -> Iterator[bool]:
    """Whether there is anything left to do; keeps state, problem and time in the report, and the result in staging.

    A load whose files are uploaded is not finished: its end is known once they are imported.
    """
    if journal.result:
        log.info("load %s was finished by an earlier try", report.load_id)
        report.restore(journal.result)
        yield False
        return
    with keep_account(report, journal.staging.surroundings, all_or_nothing):
        yield True
    if report.state != "uploaded":
        journal.finish(report.as_json())


@contextmanager
def keep_account(report: Report, surroundings: Surroundings, all_or_nothing: bool = False) -> Iterator[None]:
    """Keep time, state and problem in the report. `all_or_nothing`: of a load that fails, no row counts as accepted."""
    began = surroundings.monotonic()
    try:
        yield
        report.refuse_unaccounted()
    except TargetBusy:
        raise  # nothing has failed: the load waits
    except BaseException as error:
        report.state, report.problem = "failed", str(error)
        if all_or_nothing:
            report.accepted = 0
        raise
    finally:
        report.seconds += surroundings.monotonic() - began
