"""A record, looked up by its key in the ledger of its target."""

from datetime import timedelta

import pytest

from optimove_provider.loads.history.loads import Target
from optimove_provider.loads.history.record import manifest_of, sightings
from tests.support.optix_target import SETTINGS, Killed, numbered
from tests.support.optix_target import Target as Emulated

IDS = [f"6f0f5d3a-0000-4000-8000-00000000000{n}" for n in range(6)]


@pytest.fixture
def target(tmp_path):
    return Emulated(tmp_path)


def found(target, key, later=timedelta(0)):
    told = Target("optix", target.data_connection_uuid, SETTINGS.place)
    now = target.staging.surroundings.now() + later
    return sightings(target.staging, manifest_of(target.staging, told), key, now)


def test_the_last_load_that_brought_it_comes_first(target):
    target.load(numbered(20), IDS[0])
    target.load(numbered(2), IDS[1], ttl_seconds=60)
    newest, older = found(target, "2")
    assert (newest.load_id, older.load_id) == (IDS[1], IDS[0])
    assert newest.state == "live"
    assert '"n":0.5' in newest.record
    assert newest.expires
    assert older.expires is None
    assert [one.load_id for one in found(target, "3")] == [IDS[0]]
    assert found(target, "2", later=timedelta(days=1))[0].state == "expired"
    assert found(target, "21") == []


def test_of_layers_that_were_compacted_the_last_is_left_without_its_load(target):
    target.load(numbered(3), IDS[0])
    target.load(numbered(3), IDS[1])
    (one,) = found(target, "2")
    assert (one.load_id, one.state) == ("", "live")
    assert one.generation > target.staging.surroundings.now() - timedelta(hours=1)


def test_a_number_and_a_text_are_both_found(target):
    target.load(numbered(2), IDS[0], key_type="integer")
    assert found(target, "1")[0].key == 1
    assert found(target, "01") == []


def test_what_a_load_that_died_may_have_sent_is_not_known(target):
    target.kill_at, target.killed_after = 1, True
    with pytest.raises(Killed):
        target.load(numbered(2), IDS[0])
    (one,) = found(target, "1")
    assert (one.state, one.load_id) == ("unknown", IDS[0])
    assert "nobody could tell" in one.meaning


def test_a_rejected_key_is_not_there(target):
    target.load(numbered(3, bad=[2]), IDS[0], mode="full", max_rejected=1)
    (one,) = found(target, "2")
    assert (one.state, one.record) == ("tombstone", None)


def test_a_target_without_a_ledger_has_none(target):
    assert manifest_of(target.staging, Target("optix", "no such uuid", SETTINGS.place)) is None
