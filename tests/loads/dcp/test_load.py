"""A load into a table from its rows to the end of their import: waiting on a virtual clock, and what a retry finds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.contract.dcp.upload_history import HistoryEntry, ImportState, common_state
from optimove_provider.contract.wire.errors import S3Trouble
from optimove_provider.loads.dcp.load import ImportFailed, NotImported, OtherMode, confirm, filed_report, outcome, run
from optimove_provider.loads.ledger.ledger import NO_LEDGER
from optimove_provider.surroundings import Surroundings
from tests.support import s3_target
from tests.support.dcp_imports import another, break_off
from tests.support.s3_target import Calls, imported

ROWS = b"customerId,ltv\n1,1\n2,1\n"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

s3, target = s3_target.s3, s3_target.target  # fixtures


class VirtualTime:
    """A clock that goes only while somebody sleeps."""

    def __init__(self):
        self.time = datetime(2026, 5, 2, tzinfo=UTC)

    def now(self):
        return self.time

    def sleep(self, seconds):
        self.time += timedelta(seconds=seconds)


class History:
    """Tells that files are imported once it was asked so often."""

    def __init__(self, done_at):
        self.asked, self._done_at = 0, done_at

    def __call__(self, s3_keys):
        self.asked += 1
        status = "completed" if self.asked >= self._done_at else "processing"
        return common_state([HistoryEntry(key, status) for key in s3_keys])


def waiting(target, history, clock=None):
    """A load whose file is uploaded, and whose import is waited for."""
    report = target.report()
    report.s3_keys = (target.to.key(1),)
    clock = clock or VirtualTime()
    staging = replace(
        target.staging,
        surroundings=Surroundings(now=clock.now, monotonic=lambda: clock.now().timestamp(), sleep=clock.sleep),
    )
    load = target.load(ROWS, report, None, outcome_of=history)
    return replace(load, to=replace(load.to, staging=staging))


def test_it_looks_at_once_and_then_at_every_pause_until_the_files_are_imported(target):
    clock, history = VirtualTime(), History(done_at=4)
    began = clock.now()
    assert outcome(waiting(target, history, clock), HOUR, MINUTE).state is ImportState.DONE
    assert (history.asked, clock.now() - began) == (4, 3 * MINUTE)


def test_a_failed_import_ends_the_wait_too(target):
    failed = common_state([HistoryEntry("a", "failed")])
    assert outcome(waiting(target, lambda keys: failed), HOUR, MINUTE) == failed


@pytest.mark.parametrize(("wait", "looks"), [(timedelta(0), 1), (3 * MINUTE, 4), (timedelta(seconds=200), 4)])
def test_it_gives_up_where_the_next_look_would_come_too_late(target, wait, looks):
    history = History(done_at=100)
    with pytest.raises(NotImported, match=f"not imported within {wait}: .*processing") as raised:
        outcome(waiting(target, history), wait, MINUTE)
    assert (history.asked, raised.value.retry_helps) == (looks, True)


class Deferred(Exception):
    """Raised by whoever hands the wait over."""


@pytest.mark.parametrize(("wait", "left"), [(HOUR, HOUR), (timedelta(0), timedelta(0))])
def test_the_wait_is_handed_over_after_one_look(target, wait, left):
    def defer(left):
        raise Deferred(left)

    history = History(done_at=2)
    with pytest.raises(Deferred) as deferred:
        outcome(waiting(target, history), wait, MINUTE, defer)
    assert (deferred.value.args, history.asked) == ((left,), 1)
    assert outcome(waiting(target, history), wait, MINUTE, defer).state is ImportState.DONE, "nothing is left to wait"


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_a_confirmed_import_is_finished_and_its_retry_asks_nobody(target, mode):
    def upload(try_number):
        report = target.report()
        run(target.load(ROWS, report, target.ledger, mode=mode, try_number=try_number), HOUR)
        return report

    report = upload(1)
    report.file(target.staging)
    resumed = filed_report(target.staging, target.load_id)
    assert (resumed.state, resumed.accepted) == ("uploaded", 2)
    confirm(target.staging, resumed, imported(report.s3_keys), 1)
    with Calls(target.s3) as calls:
        again = upload(2)
    assert (again.state, again.accepted, calls.count) == ("committed", 2, 0)


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_only_what_was_compared_becomes_unknown_when_its_import_fails(target, mode):
    report = target.report()
    run(target.load(ROWS, report, target.ledger, mode=mode), HOUR)
    with pytest.raises(ImportFailed):
        confirm(target.staging, report, common_state([HistoryEntry(report.s3_keys[0], "failed")]), 1)
    assert any("unknown" in note for note in report.notes) == (mode == "changed")
    assert target.ledger.read().holder is None


@pytest.mark.parametrize("mode", ["full", "changed"])
@pytest.mark.parametrize("processed", [0, 1])
def test_an_import_that_took_fewer_rows_than_were_sent_has_failed(target, mode, processed):
    report = target.report()
    run(target.load(ROWS, report, target.ledger, mode=mode), HOUR)
    told = [HistoryEntry(key, "completed", rows_processed=processed, rows_failed=0) for key in report.s3_keys]
    with pytest.raises(ImportFailed, match=f"{2 - processed} of the 2 rows that were sent are missing"):
        confirm(target.staging, report, common_state(told), 1)
    assert (report.state, report.accepted, report.rejected, report.unsent) == ("failed", 0, 0, 2)
    if mode == "changed":
        later = another(target)
        run(later.load(ROWS, again := later.report(), target.ledger, mode=mode), HOUR)
        assert again.accepted == 2, "the ledger does not have them"


def test_of_an_import_with_failed_rows_the_missing_ones_are_not_accepted(target):
    report = target.report()
    run(target.load(ROWS + b"3,1\n", report, target.ledger), HOUR)
    told = [HistoryEntry(key, "completed", rows_processed=1, rows_failed=1) for key in report.s3_keys]
    with pytest.raises(ImportFailed):
        confirm(target.staging, report, common_state(told), 1)
    assert (report.state, report.accepted, report.rejected, report.unsent) == ("failed", 0, 1, 2)


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_a_wait_beyond_the_calendar_is_one_to_its_end(target, mode):
    report = target.report()
    load = target.load(ROWS, report, target.ledger, mode=mode, outcome_of=History(done_at=1))
    run(load, timedelta.max)
    assert report.state == "uploaded"
    assert outcome(load, timedelta.max, MINUTE).state is ImportState.DONE


@pytest.mark.parametrize(("begun", "later"), [("full", "changed"), ("changed", "full")])
def test_a_load_that_was_begun_with_another_mode_is_not_gone_on_with(target, begun, later):
    def run_with(mode, try_number):
        report = target.report()
        run(target.load(ROWS, report, target.ledger, mode=mode, try_number=try_number), HOUR)
        return report

    with Calls(target.s3, "CompleteMultipartUpload", break_off), pytest.raises(S3Trouble):
        run_with(begun, 1)
    with pytest.raises(OtherMode, match=f'was begun with mode="{begun}", and this try has mode="{later}"') as raised:
        run_with(later, 2)
    assert not raised.value.retry_helps
    assert run_with(begun, 3).state == "uploaded"


def test_a_full_import_without_a_ledger_says_so(target):
    report = target.report()
    run(target.load(ROWS, report, None))
    assert (report.state, report.notes) == ("uploaded", [NO_LEDGER])
