"""A load into a table from its rows to the end of their import: waiting on a virtual clock, and what a retry finds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.contract.dcp.upload_history import HistoryEntry, ImportState, common_verdict
from optimove_provider.loads.dcp.load import ImportFailed, NotImported, confirm, filed_report, outcome, run
from optimove_provider.loads.ledger.ledger import NO_LEDGER
from optimove_provider.surroundings import Surroundings
from tests.support import s3_target
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
        return common_verdict([HistoryEntry(key, status) for key in s3_keys])


def waiting(target, history, clock=None):
    """A load whose file is uploaded, and whose import is waited for."""
    report = target.report()
    report.s3_keys = (target.to.key(1),)
    clock = clock or VirtualTime()
    staging = replace(target.staging, surroundings=Surroundings(now=clock.now, sleep=clock.sleep))
    load = target.load(ROWS, report, None, outcome_of=history)
    return replace(load, to=replace(load.to, staging=staging))


def test_it_looks_at_once_and_then_at_every_pause_until_the_files_are_imported(target):
    clock, history = VirtualTime(), History(done_at=4)
    began = clock.now()
    assert outcome(waiting(target, history, clock), HOUR, MINUTE).verdict is ImportState.DONE
    assert (history.asked, clock.now() - began) == (4, 3 * MINUTE)


def test_a_failed_import_ends_the_wait_too(target):
    failed = common_verdict([HistoryEntry("a", "failed")])
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
    assert outcome(waiting(target, history), wait, MINUTE, defer).verdict is ImportState.DONE, "nothing is left to wait"


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
        confirm(target.staging, report, common_verdict([HistoryEntry(report.s3_keys[0], "failed")]), 1)
    assert any("unknown" in note for note in report.notes) == (mode == "changed")
    assert target.ledger.read().holder is None


def test_a_full_import_without_a_ledger_says_so(target):
    report = target.report()
    run(target.load(ROWS, report, None))
    assert (report.state, report.notes) == ("uploaded", [NO_LEDGER])
