"""A load that dies at any of its steps, one after the other: its retry ends as if it had not died."""

import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.manifest import PartlyVisible
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.state.journal import Journal
from tests.support.crash.dying import DyingTarget, deaths, fate
from tests.support.optix_target import Killed
from tests.support.optix_transactions import counts, night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
ROWS = {"a": "9", "u": "1", "d": "4", "e": "poison"}
SETTINGS = {"on_removed": "expire", "max_rejected": 1}
UPDATED = {"a": "9", "b": "9", "d": "9", "e": "poison"}
SNAPSHOT = {"a": "1", "b": "1", "c": "2", "d": "1"}


@pytest.fixture(scope="module")
def fates():
    with fate() as found:
        yield found


@pytest.fixture
def target(folder, fates):
    return DyingTarget(folder / "target", fates)


@pytest.fixture(scope="module")
def before(quick_disk, fates):
    """A target with four records."""
    target = DyingTarget(quick_disk / "before", fates)
    target.state.switches = Switches(poison="poison")
    target.sync({"a": "1", "u": "1", "b": "1", "c": "1"}, night(0))
    return target


@pytest.fixture(scope="module")
def dead(before, quick_disk):
    """The target after a load died before each of its steps.

    It changes one record, leaves one, and makes two expire.
    """
    target = before.copied(quick_disk / "load")
    found = deaths(target, quick_disk / "dead loads", lambda: target.sync(ROWS, night(1), LOAD_ID, **SETTINGS))
    assert len(found) > 30
    for one in found:
        one.check_ledger()
    return found


@pytest.fixture(scope="module")
def dead_updates(before, quick_disk):
    """The same of an update."""
    target = before.copied(quick_disk / "update")
    found = deaths(
        target, quick_disk / "dead updates", lambda: target.update(UPDATED, night(1), LOAD_ID, max_rejected=1)
    )
    assert len(found) > 15
    for one in found:
        one.check_ledger()
    return found


def copies(dead, folder):
    """Each of them once more."""
    return (one.copied(folder / str(number)) for number, one in enumerate(dead))


def check_mended(target):
    """Nothing is in doubt, and what the ledger says is true."""
    target.check_ledger()
    assert not target.ledger.read().intents


def test_a_retry_ends_as_if_nothing_had_happened(dead, folder):
    for target in copies(dead, folder):
        report = target.attempt(ROWS, night(1), LOAD_ID, **SETTINGS)
        assert (report.state, counts(report), report.rejected) == ("committed", (2, 1, 0, 0), 1)
        assert (report.expired, report.not_expired) == (2, 0)
        assert [row["record"]["id"] for row in target.rejected] == ["e"]
        assert target.values == {"a": "9", "u": "1", "d": "4"}
        check_mended(target)


def test_a_key_that_came_back_before_the_retry_stays(dead, folder):
    for target in copies(dead, folder):
        assert target.attempt({"b": "2"}, night(2), None, source_is="delta")
        report = target.attempt(ROWS, night(1), LOAD_ID, **SETTINGS)
        assert (report.rows, report.unsent, report.rejected) == (4, 0, 1)
        assert target.values == {"a": "9", "u": "1", "d": "4", "b": "2"}
        check_mended(target)


def test_without_a_retry_the_next_snapshot_makes_it_good(dead, folder):
    for target in copies(dead, folder):
        report = target.attempt({"a": "1", "b": "1", "c": "2"}, night(2), None, **SETTINGS)
        assert (report.rows, report.unsent) == (3, 0)
        assert target.values == {"a": "1", "b": "1", "c": "2"}
        target.check_ledger()


def update(target, load_id=LOAD_ID):
    return target.attempt(UPDATED, night(1), load_id, does=target.update, max_rejected=1)


def test_a_retry_of_an_update_ends_as_if_nothing_had_happened(dead_updates, folder):
    for target in copies(dead_updates, folder):
        report = update(target)
        assert (report.state, counts(report), report.rejected) == ("committed", (3, 0, 0, 0), 1)
        assert [row["row"] for row in target.rejected] == [4]
        assert target.values == {"a": "9", "u": "1", "b": "9", "c": "1", "d": "9"}
        check_mended(target)


def test_what_came_before_the_retry_of_an_update_stays(dead_updates, folder):
    """A delta, whether the update had sent anything before it or not; what is overtaken half-way reads again."""
    overtaken = 0
    for target in copies(dead_updates, folder):
        assert target.attempt({"b": "2", "d": "2"}, night(2), None, source_is="delta")
        was_finished = Journal(target.staging, LOAD_ID).result
        try:
            report = update(target)
        except PartlyVisible:
            overtaken += 1
            report = update(target, load_id=None)
        assert counts(report) == ((3, 0, 0, 0) if was_finished else (1, 0, 2, 0))
        assert (report.rows, report.rejected) == (4, 1)
        assert target.values == {"a": "9", "u": "1", "b": "2", "c": "1", "d": "2"}
        check_mended(target)
    assert 0 < overtaken < len(dead_updates)


def test_without_a_retry_of_an_update_the_next_snapshot_makes_it_good(dead_updates, folder):
    for target in copies(dead_updates, folder):
        report = target.attempt(SNAPSHOT, night(2), None, **SETTINGS)
        assert (report.rows, report.unsent) == (4, 0)
        assert target.values == SNAPSHOT
        check_mended(target)


def test_with_many_to_expire_a_key_that_came_back_before_the_retry_stays(target):
    """The slices of the batch that expires them: those settled before the death must not stand for other rows."""
    target.sync({**{f"k{number:06}": "1" for number in range(10_001)}, "stay": "1"}, night(0))
    target.kill_at = len(target.bodies) + 2
    with pytest.raises(Killed):
        target.sync({"stay": "1"}, night(1), LOAD_ID, on_removed="expire")
    target.kill_at = 0
    target.let_a_minute_pass()
    target.sync({"k000000": "new"}, night(2), source_is="delta")
    report = target.sync({"stay": "1"}, night(1), LOAD_ID, on_removed="expire")
    assert (report.expired, target.values) == (10_000, {"k000000": "new", "stay": "1"})
    target.check_ledger()


def test_a_record_that_is_refused_when_it_is_to_expire_stays_known_and_is_tried_again(target):
    target.sync({"a": "1", "b": "poison", "c": "3"}, night(0))
    target.state.switches = Switches(poison="poison")
    for _ in range(2):  # a retry says the same
        with pytest.raises(
            TooManyRejected, match=r"1 of 2 records that the source lacks may stay.*key 'b': .*is refused"
        ):
            target.sync({"a": "1"}, night(1), LOAD_ID, on_removed="expire")
        assert (target.report.expired, target.report.not_expired) == (1, 1)
    assert set(target.values) == {"a", "b"}
    target.check_ledger()
    assert target.sync({"a": "1"}, night(2), on_removed="expire", max_rejected=1).not_expired == 1
    target.state.switches = Switches()
    assert target.sync({"a": "1"}, night(3), on_removed="expire").expired == 1
    assert set(target.values) == {"a"}
