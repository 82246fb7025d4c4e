"""A delta with deletions and stamps that dies at any of its steps: its retry ends as if it had not died."""

import json

import pytest

from optimove_provider.records.to_json.stamps import stamp_text
from tests.support.crash.deltas import DeltaTarget
from tests.support.crash.dying import deaths, fate
from tests.support.optix_transactions import counts, night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"
ROWS = {"a": "9", "u": "1", "d": ..., "e": ..., "n": "1"}
STAMPS = [stamp_text({"run": name}) for name in ("before", "first", "second", "other")]


class StampedTarget(DeltaTarget):
    @property
    def stamps(self):
        """What was sent last of each record, by key: its stamp; and of those that expire, by which they went."""
        found = self.state.connections[self.data_connection_uuid].visible(self.state.clock() + 2)
        return {key: record.data.get("run") for key, record in found.items()}

    @property
    def gone(self):
        """With which stamp each record was last made to expire."""
        bodies = [json.loads(body) for body in self.bodies]
        return {one["id"]: one.get("run") for body in bodies if body["ttl_seconds"] == 1 for one in body["data"]}


@pytest.fixture(scope="module")
def dead(quick_disk):
    """The target after the delta died before each of its steps."""
    with fate() as one:
        target = StampedTarget(quick_disk / "target", one)
        target.sync({"a": "1", "u": "1", "d": "1", "e": "1"}, night(0), stamp=STAMPS[0])
        found = deaths(target, quick_disk / "dead", lambda: target.delta(ROWS, night(1), LOAD_ID, stamp=STAMPS[1]))
        assert len(found) > 30
        yield found


def copies(dead, folder):
    for number, one in enumerate(dead):
        copy = one.copied(folder / str(number))
        copy.__class__ = StampedTarget
        yield copy


def is_frozen(target):
    """Whether the rows were read, and the stamp is known with them."""
    told = target.staging.read_whole(f"loads/{LOAD_ID}/load.json") or {}
    return bool(told.get("spool") or told.get("result"))


def test_a_retry_ends_as_if_nothing_had_happened(dead, folder):
    for target in copies(dead, folder):
        stamp = "first" if is_frozen(target) else "second"
        report = target.delta(ROWS, night(1), LOAD_ID, stamp=STAMPS[2])
        assert (report.state, counts(report), report.deleted, report.expired) == ("committed", (2, 1, 0, 0), 2, 2)
        assert target.values == {"a": "9", "u": "1", "n": "1"}
        assert target.stamps == {"a": stamp, "u": "before", "n": stamp}
        assert set(target.gone.values()) <= {"before"}
        target.check_ledger()
        assert not target.ledger.read().intents


def test_a_deleted_key_that_came_back_before_the_retry_stays(dead, folder):
    for target in copies(dead, folder):
        target.delta({"d": "2"}, night(2), stamp=STAMPS[3])
        report = target.delta(ROWS, night(1), LOAD_ID, stamp=STAMPS[2])
        assert (report.rows, report.unsent) == (5, 0)
        assert target.values == {"a": "9", "u": "1", "d": "2", "n": "1"}
        assert target.stamps["d"] == "other"
        target.check_ledger()
        assert not target.ledger.read().intents
