"""Named keys whose expiry dies at any of its steps: a retry, or the next load, ends as if it had not died."""

import pytest

from optimove_provider.emulator.model.switches import Switches
from tests.support.crash.dying import DyingTarget, deaths, fate
from tests.support.ledgers import ledger_rows
from tests.support.optix_transactions import night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
KEYS = ["a", "unknown", "poison"]
SETTINGS = {"suppress": True, "max_rejected": 1}
GONE = {"b": "1", "poison": "1"}
"""What is left once the keys are gone: the record that the server refuses to replace stays."""


@pytest.fixture(scope="module")
def fates():
    with fate() as found:
        yield found


def died(before, folder, suppress):
    target = before.copied(folder / f"expiring {suppress}")
    settings = {**SETTINGS, "suppress": suppress}
    found = deaths(target, folder / f"dead {suppress}", lambda: target.expire(KEYS, night(1), LOAD_ID, **settings))
    assert len(found) > 15
    return found


@pytest.fixture(scope="module")
def before(quick_disk, fates):
    """A target with three records, one of which is refused from now on."""
    target = DyingTarget(quick_disk / "before an expiry", fates)
    target.sync({"a": "1", "b": "1", "poison": "1"}, night(0))
    target.state.switches = Switches(poison="poison")
    return target


@pytest.fixture(scope="module")
def suppressing(before, quick_disk):
    """The target after the load died before each of its steps, which puts the keys on the list."""
    return died(before, quick_disk, suppress=True)


@pytest.fixture(scope="module")
def dead(before, quick_disk):
    """The same without a list."""
    return died(before, quick_disk, suppress=False)


def copies(found, folder):
    return (one.copied(folder / str(number)) for number, one in enumerate(found))


def some(found):
    """A fourth of them: each costs a load more, and `test_any_order` dies anywhere."""
    return found[::4]


def retried(target, **settings):
    return target.attempt(KEYS, night(1), LOAD_ID, does=target.expire, **{**SETTINGS, **settings})


def check_mended(target):
    target.check_ledger()
    assert target.ledger.read().intents == {}


def test_a_retry_ends_as_if_nothing_had_happened(suppressing, folder):
    for target in copies(suppressing, folder):
        report = retried(target)
        assert (report.state, report.accepted, report.rejected, report.unsent) == ("committed", 2, 1, 0)
        outcomes = {key: told["outcome"] for key, told in target.proof.items()}
        assert outcomes == {"a": "expired", "unknown": "expired", "poison": "refused"}
        assert {told["batch_uuid"] for told in target.proof.values()} <= target.completed
        assert (target.values, target.ledger.read().suppressed.keys) == (GONE, 3)
        assert ledger_rows(target.ledger)['"a"']["state"] == "tombstone"
        check_mended(target)


def test_once_the_list_is_written_no_load_brings_them_back_before_the_retry(suppressing, folder):
    """What came before that is newer, and all the same gone in the end."""
    kept_out = 0
    for target in copies(some(suppressing), folder):
        report = target.attempt({"a": "2", "b": "2"}, night(2), None, source_is="delta")
        assert (report.rows, report.unsent) == (2, 0)
        kept_out += report.suppressed
        assert retried(target)
        assert target.values == {"b": "2", "poison": "1"}
        check_mended(target)
    assert 0 < kept_out <= len(suppressing)


def test_without_a_list_a_key_that_came_back_before_the_retry_stays(dead, folder):
    for target in copies(some(dead), folder):
        assert target.attempt({"a": "2"}, night(2), None, source_is="delta").accepted == 1
        report = retried(target, suppress=False)
        assert (report.rows, report.unsent, target.values["a"]) == (3, 0, "2")
        check_mended(target)


def test_without_a_retry_the_next_snapshot_brings_the_target_to_what_it_says(dead, folder):
    for target in copies(some(dead), folder):
        report = target.attempt({"a": "2", "b": "2"}, night(2), None, on_removed="expire", max_rejected=9)
        assert (report.rows, report.unsent) == (2, 0)
        assert {key: value for key, value in target.values.items() if key != "poison"} == {"a": "2", "b": "2"}
        target.check_ledger()
