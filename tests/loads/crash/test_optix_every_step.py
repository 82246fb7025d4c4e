"""A load that dies at any of its steps, one after the other: its retry ends as if it had not died."""

import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.report.max_rejected import TooManyRejected
from tests.support.crash.dying import DyingTarget, fate
from tests.support.optix_target import Killed
from tests.support.optix_transactions import counts, night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
ROWS = {"a": "9", "u": "1", "d": "4", "e": "poison"}
SETTINGS = {"on_removed": "expire", "max_rejected": 1}
MANY_STEPS = 100


@pytest.fixture(scope="module")
def fates():
    with fate() as found:
        yield found


@pytest.fixture
def target(tmp_path, fates):
    return DyingTarget(tmp_path / "target", fates)


@pytest.fixture(scope="module")
def dead(tmp_path_factory, fates):
    """A target after a load died before its first step, and one for each step after that.

    It had four records, of which the load changes one, leaves one, and makes two expire.
    """
    folder, found = tmp_path_factory.mktemp("dead"), []
    before = DyingTarget(folder / "before", fates)
    before.state.switches = Switches(poison="poison")
    before.sync({"a": "1", "u": "1", "b": "1", "c": "1"}, night(0))
    for number in range(1, MANY_STEPS):
        target = before.copied(folder / str(number))
        if target.attempt(ROWS, night(1), LOAD_ID, dies_at=number, **SETTINGS):
            assert number > 30
            return found
        target.check_ledger()
        found.append(target)
    raise AssertionError("the load has more steps")


def test_a_retry_ends_as_if_nothing_had_happened(dead, tmp_path):
    for number, one in enumerate(dead):
        target = one.copied(tmp_path / str(number))
        report = target.attempt(ROWS, night(1), LOAD_ID, **SETTINGS)
        assert (report.state, counts(report), report.rejected) == ("committed", (2, 1, 0, 0), 1)
        assert (report.expired, report.not_expired) == (2, 0)
        assert [row["record"]["id"] for row in target.rejected] == ["e"]
        assert target.values == {"a": "9", "u": "1", "d": "4"}
        target.check_ledger()
        assert not target.ledger.read().intents


def test_a_key_that_came_back_before_the_retry_stays(dead, tmp_path):
    for number, one in enumerate(dead):
        target = one.copied(tmp_path / str(number))
        assert target.attempt({"b": "2"}, night(2), None, source_is="delta")
        report = target.attempt(ROWS, night(1), LOAD_ID, **SETTINGS)
        assert (report.rows, report.unsent, report.rejected) == (4, 0, 1)
        assert target.values == {"a": "9", "u": "1", "d": "4", "b": "2"}
        target.check_ledger()
        assert not target.ledger.read().intents


def test_without_a_retry_the_next_snapshot_makes_it_good(dead, tmp_path):
    for number, one in enumerate(dead):
        target = one.copied(tmp_path / str(number))
        report = target.attempt({"a": "1", "b": "1", "c": "2"}, night(2), None, **SETTINGS)
        assert (report.rows, report.unsent) == (3, 0)
        assert target.values == {"a": "1", "b": "1", "c": "2"}
        target.check_ledger()


def test_with_many_to_expire_a_key_that_came_back_before_the_retry_stays(target):
    """The slices of the batch that expires them: those settled before the death must not stand for other rows."""
    target.sync({**{f"k{number:06}": "1" for number in range(10_001)}, "stay": "1"}, night(0))
    target.kill_at = len(target.bodies) + 2
    with pytest.raises(Killed):
        target.sync({"stay": "1"}, night(1), LOAD_ID, on_removed="expire")
    target.kill_at = 0
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
