"""What a failed load says first: what happened, whether anything of it can be seen, and the next step, which holds.

Kinds of public reports: a sync that reported "0 rows sent" while all were live, since only the last answer was lost; a
"will be retried" that nobody retried, for the key had expired; a page and a log that told two different stories.
"""

import logging
import re
from contextlib import contextmanager

import pyarrow as pa
import pytest

from optimove_provider.contract.next_steps import RETRIES, NextStep
from optimove_provider.contract.wire.errors import (
    AuthenticationError,
    DataError,
    OptimoveProviderError,
    ServerTrouble,
    Unreachable,
)
from optimove_provider.emulator import Fault, Switches
from optimove_provider.loads.optix.bisect import RequestIsWrong
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.bookkeeping import next_step_after
from optimove_provider.loads.report.html import page
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.report.visibility import of_journal
from optimove_provider.loads.state.journal import Journal
from optimove_provider.options import Guards
from tests.support.optix_target import LOAD_ID, Killed, Target, numbered, opened


@pytest.fixture
def target(tmp_path):
    return Target(tmp_path)


@contextmanager
def raises(kind, told):
    """An error that tells a person something."""
    with pytest.raises(kind) as raised:
        yield raised
    assert re.search(told, raised.value.told)


def filed(target):
    """The visibility in the report, as JSON and on its page."""
    report = target.staging.read(f"reports/{target.report.load_id}.json")
    with target.staging.open(f"reports/{target.report.load_id}.html") as html:
        assert html.read().decode() == page(report)
    return report["visibility"]


COMPLETING = 2
"""Of 5001 rows the second request completes the batch."""


@pytest.mark.parametrize(
    ("fault", "error", "seen", "on_page"),
    [
        ({"status": 401}, AuthenticationError, "not visible", "Nothing of this load is visible"),
        ({"status": 503}, ServerTrouble, "not known", "visible is not known"),
        ({"lost": "before"}, Unreachable, "not known", "visible is not known"),
        ({"lost": "after"}, Unreachable, "not known", "visible is not known"),
    ],
)
def test_a_batch_whose_completion_was_not_answered_is_not_said_to_be_invisible(target, fault, error, seen, on_page):
    target.state.faults.order(Fault("upload_data", skip=COMPLETING - 1, times=10**6, **fault))
    with raises(error, on_page):
        target.load(numbered(5001), give_up_after=1)
    assert filed(target) == seen
    assert on_page in page(target.report.as_json())
    assert on_page in target.report.sentence
    assert target.report.result(target.staging)["visibility"] == seen
    assert bool(target.visible) <= (seen != "not visible")


def test_a_batch_that_was_never_to_be_completed_is_not_visible(target):
    target.state.faults.order(Fault("upload_data", times=10**6, lost="after"))
    with raises(Unreachable, r"was never completed.*Nothing of this load is visible"):
        target.load(numbered(5001), give_up_after=1)
    assert filed(target) == "not visible"
    assert target.visible == {}


def test_what_was_committed_is_visible(target):
    report = target.load(numbered(3))
    assert (filed(target), report.next_step) == ("visible", "")
    assert "3 accepted rows are visible in the target" in report.sentence


def test_too_many_rejected_rows_do_not_hide_that_the_others_are_visible(target):
    target.state.switches = Switches(poison="poison")
    with raises(DataError, r"2 accepted rows are visible"):
        target.load(numbered(3, poison=[2]))
    assert filed(target) == "visible"
    assert target.report.next_step == NextStep.MEND_ROWS


def test_a_doubt_of_an_earlier_batch_stays_until_one_is_completed(target):
    target.state.faults.order(Fault("upload_data", skip=COMPLETING - 1, times=10**6, lost="after"))
    with pytest.raises(Unreachable):
        target.load(numbered(5001), give_up_after=1)
    target.state.faults.answers.clear()
    target.state.faults.order(Fault("upload_data", times=10**6, status=401))
    with raises(AuthenticationError, "is not known"):
        target.load(numbered(5001), resume_within=0)
    assert filed(target) == "not known"
    target.state.faults.answers.clear()
    assert target.load(numbered(5001)).visibility == "visible"


def test_a_batch_that_a_retry_gives_up_was_not_visible(target):
    target.state.faults.order(Fault("upload_data", times=10**6, status=503))
    for _ in range(2):
        with pytest.raises(ServerTrouble):
            target.load(numbered(5001), resume_within=0, give_up_after=1)
        assert filed(target) == "not visible"


def update(target, rows):
    target.report = Report(LOAD_ID, {})
    batches = [pa.RecordBatch.from_pylist([{"id": str(row)} for row in range(rows)])]
    update = Update(target.wanted(give_up_after=1))
    load_update(target.client, lambda: opened(batches), target.staging, target.report, update)


@pytest.mark.parametrize(
    ("fault", "error", "seen", "said"),
    [
        ({"status": 401}, AuthenticationError, "visible", "5000 accepted rows are visible in the target; the others"),
        (
            {"lost": "after"},
            Unreachable,
            "not known",
            "5000 accepted rows are visible; whether others are is not",
        ),
    ],
)
def test_an_update_is_visible_as_far_as_it_was_answered(target, fault, error, seen, said):
    target.state.faults.order(Fault("update_data", skip=1, times=10**6, **fault))
    with raises(error, said):
        update(target, 5001)
    assert filed(target) == seen


def test_records_by_rest_are_visible_as_far_as_they_were_answered(target):
    def send(record, may_send):
        if record["id"] == 2:
            raise OSError("the line is dead")

    target.report = Report(LOAD_ID, {})
    with pytest.raises(OSError, match="dead"):
        RestLoad(target.staging, target.report).run([{"id": 1}, {"id": 2}], lambda record, _: record, send)
    assert filed(target) == "not known"
    assert target.report.next_step == NextStep.SENDS_AGAIN


def test_a_dry_run_says_that_nothing_was_sent(target):
    target.report = Report(LOAD_ID, {}, visibility="not visible")
    assert target.report.visibility_sentence == "Nothing was sent"


@pytest.mark.parametrize(("kill_at", "after", "seen"), [(1, True, "not visible"), (2, False, "not known")])
def test_a_killed_load_tells_by_its_journal(target, kill_at, after, seen):
    target.kill_at, target.killed_after = kill_at, after
    with pytest.raises(Killed):
        target.load(numbered(5001))
    assert of_journal(Journal(target.staging, LOAD_ID), "full", was_killed=True) == seen


# The next step


def test_a_wrong_key_is_not_followed_by_a_retry(target):
    target.state.faults.order(Fault("upload_data", times=9, status=401))
    with pytest.raises(AuthenticationError) as told:
        target.load(numbered(3))
    assert told.value.told.endswith(NextStep.MEND_CONNECTION)
    assert "goes on from here" not in told.value.told


def test_after_a_wrong_request_it_is_the_columns(target):
    target.state.faults.order(Fault("upload_data", times=99, status=422, body="no such field: id"))
    with raises(RequestIsWrong, re.escape(NextStep.MEND_COLUMNS)):
        target.load(numbered(200))
    assert target.report.next_step == NextStep.MEND_COLUMNS


def test_after_a_guard_it_is_its_parameter(target):
    with raises(GuardStopped, re.escape(NextStep.CHANGE_GUARD)):
        target.load([], source_is="snapshot", mode="changed", guards=Guards())
    assert target.report.next_step == NextStep.CHANGE_GUARD


def test_a_retry_is_promised_while_there_is_one():
    error = OptimoveProviderError("x")
    error.retry_helps, error.then = True, NextStep.GOES_ON
    assert [next_step_after(error, left) for left in (None, 1, 0)] == [
        NextStep.GOES_ON,
        NextStep.GOES_ON,
        NextStep.CLEAR,
    ]
    assert next_step_after(error, 1, sends_again=True) == NextStep.SENDS_AGAIN


def every_error(kind=OptimoveProviderError):
    yield kind
    for one in kind.__subclasses__():
        yield from every_error(one)


@pytest.mark.parametrize("kind", list(every_error()))
def test_each_error_promises_a_retry_only_if_one_helps(kind):
    assert kind.retry_helps or kind.then not in RETRIES


def test_the_log_has_the_persons_sentence_once(target, caplog):
    target.state.faults.order(Fault("upload_data", times=9, status=401))
    with caplog.at_level(logging.INFO), pytest.raises(AuthenticationError):
        target.load(numbered(3))
    [told] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert "was answered 401" in told.getMessage()
    assert "Nothing of this load is visible. Mend the connection" in told.getMessage()


def test_rejected_rows_are_a_warning(target, caplog):
    target.state.switches = Switches(poison="poison")
    with caplog.at_level(logging.INFO):
        target.load(numbered(3, poison=[2]), max_rejected=1)
    told = [one for one in caplog.records if "1 rejected" in one.getMessage() and "committed" in one.getMessage()]
    assert [one.levelno for one in told] == [logging.WARNING]
