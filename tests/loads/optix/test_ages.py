"""How old rows are is when they were read, or what they stand for: never when they were sent."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from optimove_provider.loads.optix.load import load
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.report.report import Report
from optimove_provider.surroundings import REAL
from tests.support.ledgers import let_lease_end
from tests.support.optix_target import Killed, opened
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night, rows

IDS = (f"6f0f5d3a-0000-4000-9000-{number:012}" for number in range(10**6))
DELTA = {"mode": "changed", "source_is": "delta", "guards": NO_GUARDS}


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def update(target, values, meanwhile=lambda: None, load_id=None, **settings):
    """An update that reads its rows; then something else happens, and only then it goes on."""
    report = Report(load_id or next(IDS), {})
    source = _source(values, meanwhile)
    load_update(target.client, source, target.staging, report, Update(target.wanted(**settings)))
    return report


def upload(target, values, meanwhile=lambda: None, **settings):
    report = Report(next(IDS), {})
    load(target.client, _source(values, meanwhile), target.staging, report, target.wanted(**{**DELTA, **settings}))
    return report


def _source(values, meanwhile):
    def read():
        held = rows(values)
        meanwhile()
        return opened(held)

    return read


def test_of_two_updates_the_one_that_read_later_stays(target):
    report = update(target, {"k": "older"}, lambda: update(target, {"k": "newer"}))
    assert (target.values, counts(report), report.state) == ({"k": "newer"}, (0, 0, 1, 0), "nothing_to_send")


@pytest.mark.parametrize(
    "how", [DELTA, DELTA | {"mode": "full"}, {"source_is": "snapshot"}], ids=["changed", "full", "snapshot"]
)
def test_an_update_leaves_alone_what_a_load_that_read_later_has_brought(target, how):
    newer = lambda: target.sync({"k": "newer"}, None, **how)  # noqa: E731
    report = update(target, {"k": "older", "other": "1"}, newer)
    assert (target.values["k"], report.rows, report.unsent) == ("newer", 2, 0)
    assert report.stale == (2 if how.get("source_is") == "snapshot" else 1)


def test_an_update_leaves_alone_what_a_load_that_died_may_have_brought(target):
    def dies():
        target.kill_at, target.killed_after = len(target.bodies) + 1, True
        with pytest.raises(Killed):
            upload(target, {"k": "newer"})
        target.kill_at = 0
        let_lease_end(target.ledger)

    report = update(target, {"k": "older"}, dies)
    assert (target.values, report.stale) == ({"k": "newer"}, 1)


def test_what_an_update_marks_is_as_old_as_its_rows(target):
    """A delta that read after it, and is planned before it was sent, is not older for that."""
    upload(target, {"k": "0"})
    later = []
    delta = lambda: later.append(upload(target, {"k": "delta"}, lambda: update(target, {"k": "update"})))  # noqa: E731
    assert update(target, {"k": "first"}, delta).stale == 1
    assert (target.values, counts(later[0])) == ({"k": "update"}, (0, 0, 1, 0))
    assert counts(upload(target, {"k": "last"})) == (1, 0, 0, 0)


def test_an_update_stands_for_its_window(target):
    upload(target, {"k": "2"}, generation=night(2))
    assert update(target, {"k": "1", "new": "1"}, generation=night(1)).stale == 1
    assert update(target, {"k": "3"}, generation=night(3)).accepted == 1
    assert counts(upload(target, {"k": "2", "new": "2"}, generation=night(2))) == (1, 0, 1, 0)
    assert target.values == {"k": "3", "new": "2"}


def test_an_update_brings_back_nothing_that_a_newer_snapshot_has_made_to_expire(target):
    target.sync({"gone": "1", "k": "1"}, night(1))
    target.sync({"k": "1"}, night(3), on_removed="expire")
    assert update(target, {"gone": "2"}, generation=night(2)).stale == 1


def test_an_update_that_dies_sends_the_same_rows_again(target):
    keys = [f"{number:05}" for number in range(10_001)]
    upload(target, {keys[0]: "newer"}, generation=night(2))
    target.kill_at, load_id = len(target.bodies) + 2, next(IDS)
    with pytest.raises(Killed):
        update(target, dict.fromkeys(keys, "older"), load_id=load_id, generation=night(1))
    target.kill_at = 0
    let_lease_end(target.ledger)
    report = update(target, {}, load_id=load_id, generation=night(1))
    assert counts(report) == (10_000, 0, 1, 0)
    assert (target.values[keys[0]], set(target.values.values())) == ("newer", {"older", "newer"})


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("ahead", [timedelta(hours=12), timedelta(days=26_000)])
def test_a_window_that_is_not_over_keeps_no_later_load_out(target, dies, ahead):
    if dies:
        target.kill_at, target.killed_after = len(target.bodies) + 1, True
    with pytest.raises(Killed) if dies else nullcontext():
        target.sync({"a": "morning"}, datetime.now(UTC) + ahead, source_is="delta")
    target.kill_at = 0
    let_lease_end(target.ledger)
    target.sync({"a": "evening"}, None, source_is="delta")
    assert target.values == {"a": "evening"}


def test_a_snapshot_of_a_window_that_is_not_over_keeps_no_later_load_out(target):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    target.sync({"a": "1", "b": "1"}, tomorrow)
    target.sync({"a": "1"}, tomorrow, on_removed="expire")
    assert counts(update(target, {"b": "2"}, generation=tomorrow)) == (1, 0, 0, 0)
    assert counts(target.sync({"a": "2", "b": "2"}, None)) == (2, 0, 0, 0)


def test_of_two_loads_of_one_window_the_one_that_read_later_stays(target):
    report = upload(
        target, {"k": "01:00"}, lambda: upload(target, {"k": "01:30"}, generation=night(1)), generation=night(1)
    )
    assert (target.values, report.stale) == ({"k": "01:30"}, 1)


@pytest.mark.parametrize("later", ["snapshot", "delta"])
def test_a_snapshot_that_read_first_expires_nothing_that_a_load_of_its_window_has_brought(target, later):
    target.sync({"k": "1"}, night(0))
    brings = lambda: target.sync({"k": "1", "new": "1"}, night(1), source_is=later)  # noqa: E731
    report = upload(target, {"k": "1"}, brings, generation=night(1), source_is="snapshot", on_removed="expire")
    assert (report.expired, target.values) == (0, {"k": "1", "new": "1"})


def test_a_window_that_is_read_again_corrects_what_it_brought(target):
    target.sync({"k": "1", "gone": "1"}, night(1))
    report = target.sync({"k": "2"}, night(1), on_removed="expire")
    assert (report.accepted, report.expired) == (1, 1)
    assert counts(upload(target, {"gone": "again"}, generation=night(1))) == (1, 0, 0, 0)


def test_a_retry_keeps_the_age_of_the_rows_that_it_sends(target):
    target.kill_at, target.killed_after, load_id = len(target.bodies) + 1, False, next(IDS)
    with pytest.raises(Killed):
        target.sync({"k": "1"}, night(1), load_id, source_is="delta")
    target.kill_at = 0
    target.let_a_minute_pass()
    target.sync({"k": "2"}, night(2), source_is="delta")
    assert target.sync({}, night(3), load_id, source_is="delta").stale == 1
    assert target.values == {"k": "2"}


def on_a_worker(target, seconds_ahead):
    """From here on loads run where the clock is so far ahead of the right time."""
    now = lambda: REAL.now() + timedelta(seconds=seconds_ahead)  # noqa: E731
    target.staging = replace(target.staging, surroundings=replace(REAL, now=now))


@pytest.mark.parametrize("how", [DELTA, {"source_is": "snapshot"}, DELTA | {"mode": "full"}])
def test_a_load_after_one_that_died_where_the_clock_was_ahead_is_the_later_one(target, how):
    on_a_worker(target, 12)
    target.kill_at = 1
    with pytest.raises(Killed):
        target.sync({"k": "1", "other": "1"}, night(0), **how)
    let_lease_end(target.ledger)
    on_a_worker(target, -12)
    target.kill_at = 0
    report = target.sync({"k": "1", "other": "1"}, night(0), **how)
    assert (counts(report), target.values) == ((2, 0, 0, 0), {"k": "1", "other": "1"})


def test_what_is_read_later_counts_although_the_clock_was_behind(target):
    on_a_worker(target, 12)
    target.sync({"k": "older"}, night(0), **DELTA)
    on_a_worker(target, -12)
    report = target.sync({"k": "newer"}, night(0), **DELTA)
    on_a_worker(target, 0)
    assert (counts(report), target.values) == ((1, 0, 0, 0), {"k": "newer"})
    assert counts(target.sync({"k": "newest"}, night(0), **DELTA)) == (1, 0, 0, 0)
