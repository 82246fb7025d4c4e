"""A load that sends owed rows and dies at any of its steps: none of them is lost, and none is owed twice."""

import json

import pytest

from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.owed.rows import read_owed
from tests.support.crash.dying import DyingTarget, deaths, fate
from tests.support.optix_transactions import counts, night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
OWING = {"source_is": "delta", "resend_rejected": True, "max_rejected": 5}
REFUSED = {"paid": "p 1", "also": "p 1", "again": "poison 1", "dropped": "p 1"}
ROWS = {"own": "2", "dropped": "2", "new": "poison"}


@pytest.fixture(scope="module")
def dead(quick_disk):
    """The target after a load died before each of its steps.

    It sends three owed rows, of which one is refused again, drops one, and adds one.
    """
    with fate() as one:
        target = DyingTarget(quick_disk / "owing", one)
        target.state.switches = Switches(poison="p")
        target.sync(REFUSED | {"good": "1"}, night(0), **OWING)
        target.state.switches = Switches(poison="poison")
        found = deaths(target, quick_disk / "dead owing", lambda: target.sync(ROWS, night(1), LOAD_ID, **OWING))
        assert len(found) > 30
        for each in found:
            each.check_ledger()
        yield found


def owed(target):
    """What is owed, and how often each was tried."""
    batches = list(read_owed(target.staging, target.ledger.read().owed))
    rows = [row for batch in batches for row in batch.to_pylist()]
    found = {json.loads(row["key"]): (json.loads(row["record"])["value"], row["tries"]) for row in rows}
    assert len(found) == len(rows)
    return found


def copies(dead, folder):
    return (one.copied(folder / str(number)) for number, one in enumerate(dead))


def test_a_retry_ends_as_if_nothing_had_happened(dead, folder):
    expected = {"sent": 3, "accepted": 2, "rejected_again": 1, "dropped": 1, "dropped_because": {"own_rows": 1}}
    for target in copies(dead, folder):
        report = target.attempt(ROWS, night(1), LOAD_ID, **OWING)
        assert (report.state, counts(report), report.rejected) == ("committed", (2, 0, 0, 0), 1)
        assert report.owed == {**expected, "added": 1, "left": 2}
        assert owed(target) == {"again": ("poison 1", 1), "new": ("poison", 0)}
        assert target.values == {"good": "1", "paid": "p 1", "also": "p 1", "own": "2", "dropped": "2"}
        target.check_ledger()
        assert not target.ledger.read().intents


def test_without_a_retry_the_next_load_sends_what_is_owed(dead, folder):
    """Also what the dead load may have sent. Of its own rows it knows nothing: they come with its retry."""
    for number, target in enumerate(copies(dead, folder)):
        is_mended = number % 2 == 0
        if is_mended:
            target.state.switches = Switches()
        was_committed = "new" in owed(target)
        assert target.attempt({"next": "3"}, night(2), None, **OWING)
        left = {"again": ("poison 1", 1 + was_committed)} | ({"new": ("poison", 1)} if was_committed else {})
        assert owed(target) == ({} if is_mended else left)
        there = {"good": "1", "next": "3", "paid": "p 1", "also": "p 1"} | ({"again": "poison 1"} if is_mended else {})
        assert there.items() <= target.values.items()
        target.check_ledger()
        assert not target.ledger.read().intents


def test_a_newer_word_before_the_retry_stays(dead, folder):
    """A load that died while it sent an owed row neither holds up nor outlives a newer one of its key."""
    for target in copies(dead[::4], folder):
        assert target.attempt({"paid": "3", "again": "3"}, night(2), None, source_is="delta")
        report = target.attempt(ROWS, night(1), LOAD_ID, **OWING)
        assert (report.rows, report.unsent, report.rejected) == (3, 0, 1)
        assert target.values == {"good": "1", "paid": "3", "also": "p 1", "again": "3", "own": "2", "dropped": "2"}
        assert owed(target) == {"new": ("poison", 0)}
        target.check_ledger()
        assert not target.ledger.read().intents
