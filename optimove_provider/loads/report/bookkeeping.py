"""One try of a load in its report: time, state and problem are kept and filed, however the try ends."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optimove_provider.contract.how_many import how_many
from optimove_provider.contract.next_steps import RETRIES, NextStep, by_command
from optimove_provider.contract.outcomes import OUTCOMES
from optimove_provider.contract.wire.errors import OptimoveProviderError
from optimove_provider.disk.room import keeping
from optimove_provider.loads.ledger.lease import TargetBusy
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import ENDED, Doubt, Visibility, no_doubt, visibility_of
from optimove_provider.loads.state.journal import Journal, Overtaken
from optimove_provider.loads.state.staging import Staging

log = logging.getLogger(__name__)


class ReportNotWritten(OptimoveProviderError):
    """A load did all that it had to do, and could not write that down. A retry does, unless it would send again."""

    def __init__(self, report: Report, error: Exception, sends_again: bool) -> None:
        next_step = (
            "Mend that; do not run the task again for the report alone: it would send everything once more"
            if sends_again
            else "Mend that; a retry of the task writes it, and sends nothing again"
        )
        counts = ", ".join(f"{getattr(report, name)} {name}" for name in OUTCOMES)
        super().__init__(
            f"load {report.load_id} is through ({how_many(report.rows, 'row')}: {counts}), but its report could not be "
            f"written: {error}. {next_step}"
        )
        self.retry_helps = not sends_again
        self.then = NextStep.SENDS_AGAIN if sends_again else NextStep.GOES_ON


_FILING = "to write the report"


@contextmanager
def run_once(
    report: Report,
    journal: Journal,
    judge: Callable[[], None] = lambda: None,
    all_or_nothing: bool = False,
    in_doubt: Doubt = no_doubt,
) -> Iterator[bool]:
    """Keep account of a try, and tell whether there is anything left to do: a finished load is never run again.

    The result is remembered, unless the report's state is "uploaded": how such a load ends is known once its files are
    imported. `judge` comes after that, on every try, and may raise. `in_doubt` tells what may be visible uncounted.
    Raises OtherTarget, and tells nothing of it in the report, which is about the load into the first one.
    """
    journal.goes_to(report.target)
    if journal.result:
        log.info("load %s was finished by an earlier try", report.load_id)
        report.restore(journal.result)
        yield False
        try:
            judge()
        except BaseException as error:
            _tell(report, error)
            with keeping(error, _FILING):
                _file(report, journal.staging)
            raise
        with told_after(report):
            _file(report, journal.staging)
        return
    with _filed(report, journal.staging, all_or_nothing, in_doubt=in_doubt, journal=journal):
        with _timed(report, journal.staging):
            yield True
        report.refuse_unaccounted()
        _see(report, in_doubt(None))
        if report.state != "uploaded":
            journal.finish(report.as_json())
        judge()


@contextmanager
def keep_account(
    report: Report,
    staging: Staging,
    all_or_nothing: bool = False,
    sends_again: bool = False,
    in_doubt: Doubt = no_doubt,
) -> Iterator[None]:
    """Keep time, state and problem in the report, and file it; not while the load has to wait, as nothing has ended.

    `all_or_nothing`: of a load that fails, no row counts as accepted. A load that has ended keeps its state and numbers
    where its report has been told already what the error says. `sends_again`: so a retry would.
    """
    with _filed(report, staging, all_or_nothing, sends_again, in_doubt), _timed(report, staging):
        yield


@contextmanager
def kept_until_sent(report: Report, journal: Journal, in_doubt: Doubt) -> Iterator[None]:
    """Keep account of the first part of a load, which other tasks end: it leaves a report only where it fails."""
    journal.goes_to(report.target)
    with _filed_if_failed(report, journal.staging, in_doubt=in_doubt, journal=journal), _timed(report, journal.staging):
        yield


@contextmanager
def _timed(report: Report, staging: Staging) -> Iterator[None]:
    began = staging.surroundings.monotonic()
    report.began = report.began or staging.surroundings.now().isoformat()
    try:
        yield
    finally:
        report.seconds += staging.surroundings.monotonic() - began
        report.ended = staging.surroundings.now().isoformat()


@contextmanager
def _filed(
    report: Report,
    staging: Staging,
    all_or_nothing: bool,
    sends_again: bool = False,
    in_doubt: Doubt = no_doubt,
    journal: Journal | None = None,
) -> Iterator[None]:
    with _filed_if_failed(report, staging, all_or_nothing, sends_again, in_doubt, journal):
        yield
        report.refuse_unaccounted()
    _see(report, in_doubt(None))
    with told_after(report, sends_again):
        _file(report, staging)


@contextmanager
def _filed_if_failed(
    report: Report,
    staging: Staging,
    all_or_nothing: bool = False,
    sends_again: bool = False,
    in_doubt: Doubt = no_doubt,
    journal: Journal | None = None,
) -> Iterator[None]:
    try:
        yield
    except TargetBusy:
        raise
    except BaseException as error:
        if journal and isinstance(error, Exception):
            _leave_to_another(report, journal, error)
        if report.state not in ENDED or report.problem != str(error):
            report.state, report.problem = "failed", str(error)
            report.accepted = 0 if all_or_nothing else report.accepted
        _see(report, in_doubt(error))
        _tell(report, error, sends_again)
        with keeping(error, _FILING):
            _file(report, staging)
        raise


def _leave_to_another(report: Report, journal: Journal, error: Exception) -> None:
    """Raise Overtaken where another try has gone on with the load: what became of it is what that one tells."""
    try:
        was_overtaken = journal.was_overtaken
        told = journal.result_of_another
    except Exception:  # a storage that does not answer hides no error
        return
    if was_overtaken:
        report.restore(told or {"state": "failed", "visibility": Visibility.NOT_KNOWN})
        overtaken = Overtaken.of(report.load_id)
        _tell(report, overtaken)
        raise overtaken from error


def _see(report: Report, in_doubt: bool) -> None:
    kept = report.unchanged + report.stale + report.expired + report.owed.get("accepted", 0)
    report.visibility = visibility_of(report.state, report.accepted, kept, in_doubt)


def _tell(report: Report, error: BaseException, sends_again: bool = False) -> None:
    """Say first what a person has to know: in the report, in the log, and to whoever shows the error."""
    step = next_step_after(error, report.tries_left, sends_again)
    is_of_a_command = report.run.get("dag_id") == ""
    report.next_step = by_command(step) if is_of_a_command else step
    told = _with_ending(str(error), report.visibility_sentence, report.next_step)
    log.error("load %s: %s", report.load_id, told)
    if isinstance(error, OptimoveProviderError):
        error.told = told


def _with_ending(problem: str, *sentences: str) -> str:
    """A problem, and what else is to be said: what it says itself is not said twice."""
    others = [one for one in sentences if one and one.casefold() not in problem.casefold()]
    return ". ".join([problem.rstrip("."), *others])


def next_step_after(error: BaseException, tries_left: int | None, sends_again: bool = False) -> NextStep:
    """The row of the table that holds after an error: one about a retry only where there is one, and it goes on."""
    is_ours = isinstance(error, OptimoveProviderError)
    step = error.then if isinstance(error, OptimoveProviderError) else NextStep.GOES_ON
    if step is NextStep.GOES_ON and sends_again:
        step = NextStep.SENDS_AGAIN
    is_tried_again = tries_left != 0 and (not is_ours or getattr(error, "retry_helps", False))
    return step if step not in RETRIES or is_tried_again else NextStep.CLEAR


@contextmanager
def told_after(report: Report, sends_again: bool = False) -> Iterator[None]:
    """Around what is written down of a load that is through: where that fails, ReportNotWritten says what is done.

    `sends_again`: a retry would send everything once more.
    """
    try:
        yield
    except Exception as error:  # whatever a storage raises, or a page that cannot be made of something odd
        raise ReportNotWritten(report, error, sends_again) from error


def _file(report: Report, staging: Staging) -> None:
    is_odd = report.state == "failed" or report.rejected or report.not_expired or report.stale or report.unsent
    url = report.file(staging)["report"]
    log.log(logging.WARNING if is_odd else logging.INFO, "%s; report: %s", report.sentence, url)
