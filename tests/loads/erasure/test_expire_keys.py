"""Records of named keys are made to expire: the key alone, with a TTL of one second, in a batch of its own."""

import json

import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.key_type import OtherKeyType
from optimove_provider.loads.optix.bisect import RequestIsWrong
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.state import compare_and_swap
from tests.support.ledgers import ledger_rows
from tests.support.optix_target import Killed
from tests.support.optix_transactions import TransactionTarget, night

LOAD_ID = "6f0f5d3a-0000-4000-8000-00000000beef"


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def left(target):
    """What is visible once all that was made to expire is gone."""
    found = target.state.connections[target.data_connection_uuid].visible(target.state.clock() + 2)
    return {key: record.data.get("value") for key, record in found.items()}


def account(report):
    assert report.unsent == 0
    return report.state, report.accepted, report.rejected, report.stale


def test_the_key_alone_is_sent_to_expire_in_a_batch_of_its_own(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.bodies.clear()
    report = target.expire(["a", "never seen"])
    (body,) = map(json.loads, target.bodies)
    assert body["data"] == [{"id": "a"}, {"id": "never seen"}]
    assert (body["ttl_seconds"], body["batch_completed"], body["batch_uuid"]) == (1, True, report.batch_uuid)
    assert (account(report), left(target)) == (("committed", 2, 0, 0), {"b": "1"})
    assert "2 records were made to expire" in report.sentence
    assert (report.visibility, target.ledger.read().intents) == ("visible", {})
    states = {key: row["state"] for key, row in ledger_rows(target.ledger).items()}
    assert states == {'"a"': "tombstone", '"b"': "live", '"never seen"': "tombstone"}


def test_the_proof_tells_key_by_key_when_in_which_batch_and_how_it_was_answered(target):
    target.state.switches = Switches(poison="refused")
    report = target.expire(["a", "refused"], max_rejected=1)
    assert report.proof.endswith(f"reports/{report.load_id}.expired.jsonl")
    proof = target.proof
    assert {key: told["outcome"] for key, told in proof.items()} == {"a": "expired", "refused": "refused"}
    assert {told["batch_uuid"] for told in proof.values()} == {report.batch_uuid} == target.completed
    assert proof["refused"]["status"] == 400
    assert all(told["answered"] and told["digest"].startswith("hmac-sha256:") for told in proof.values())
    assert [row["record"] for row in target.rejected] == [{"id": "refused"}]
    assert "key by key" in report.sentence


def test_nothing_but_the_key_of_a_source_stays_in_staging(target, tmp_path):
    target.expire(["a"])
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"secret" in path.read_bytes()]


def test_a_later_load_brings_the_key_again_and_an_older_one_does_not(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.expire(["a"], night(1))
    assert target.sync({"a": "2"}, night(0.5), source_is="delta").stale == 1
    assert left(target) == {"b": "1"}
    assert target.sync({"a": "2", "b": "1"}, night(2)).plan["new"] == 1
    assert left(target) == {"a": "2", "b": "1"}


def test_what_the_ledger_has_newer_is_left_and_the_proof_says_so(target):
    target.sync({"a": "1"}, night(3), source_is="delta")
    report = target.expire(["a", "b"], night(1))
    assert (account(report), left(target)) == (("committed", 1, 0, 1), {"a": "1"})
    assert target.proof["a"]["outcome"] == "left: the target has a newer record"
    target.sync({"a": "1"}, night(3))
    report = target.expire(["a", "b"], night(2))  # older than the newest snapshot
    assert (account(report), left(target)) == (("nothing_to_send", 0, 0, 2), {"a": "1"})
    assert report.visibility_sentence == "No record was made to expire"


def test_suppressed_keys_expire_whatever_the_ledger_has_and_no_load_brings_them_back(target):
    target.sync({"a": "1", "b": "1"}, night(3))
    report = target.expire(["a"], night(1), suppress=True)
    assert (account(report), left(target)) == (("committed", 1, 0, 0), {"b": "1"})
    for generation, mode in ((4, "changed"), (5, "full"), (2, "changed")):
        target.sync({"a": "2", "b": "1"}, night(generation), mode=mode, on_removed="expire")
        assert left(target) == {"b": "1"}
    assert target.update({"a": "3"}, night(6)).suppressed == 1
    assert left(target) == {"b": "1"}


def test_removed_keys_are_no_longer_removed_by_a_snapshot(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.expire(["a"], night(1))
    report = target.sync({"b": "1"}, night(2), on_removed="expire")
    assert (report.plan["removed"], report.expired) == (0, 0)


def test_no_keys_are_nothing_to_send(target):
    assert account(target.expire([])) == ("nothing_to_send", 0, 0, 0)
    assert target.bodies == []


def test_keys_of_another_type_than_the_ledgers_are_refused_before_anything_is_sent(target):
    target.sync({"a": "1"}, night(0))
    target.bodies.clear()
    with pytest.raises(OtherKeyType):
        target.expire(["1"], key_type="integer")
    assert target.bodies == []


def test_staging_without_a_ledger_is_refused(target, monkeypatch):
    monkeypatch.setattr(compare_and_swap, "supports_compare_and_swap", lambda fs: False)
    with pytest.raises(SettingsError, match="on a storage without compare-and-swap"):
        target.expire(["a"])


def test_if_all_are_refused_the_records_stay_and_the_task_fails(target):
    target.sync({"poison": "1", "b": "1"}, night(0))
    target.state.switches = Switches(poison="poison")
    with pytest.raises(TooManyRejected):
        target.expire(["poison"])
    assert (target.proof["poison"]["outcome"], target.ledger.read().intents) == ("refused", {})
    assert left(target) == {"poison": "1", "b": "1"}


def test_a_request_that_is_wrong_stops_it_and_leaves_no_intent(target):
    target.state.switches = Switches(poison="k")
    with pytest.raises(RequestIsWrong):
        target.expire([f"k{number}" for number in range(200)])
    assert target.ledger.read().intents == {}
    target.state.switches = Switches()
    report = target.expire([f"k{number}" for number in range(200)], load_id=target.report.load_id)
    assert account(report) == ("committed", 200, 0, 0)


def test_a_retry_goes_on_where_the_last_try_ended_and_suppresses_once(target):
    target.sync({f"k{number}": "1" for number in range(7000)}, night(0))
    target.kill_at, keys = len(target.bodies) + 2, [f"k{number}" for number in range(6000)]
    with pytest.raises(Killed):
        target.expire(keys, load_id=LOAD_ID, suppress=True)
    target.kill_at = 0
    target.bodies.clear()
    report = target.expire(keys, load_id=LOAD_ID, suppress=True)
    assert (account(report), len(target.bodies)) == (("committed", 6000, 0, 0), 1)
    assert target.ledger.read().suppressed.keys == 6000
    assert len(left(target)) == 1000
    assert account(target.expire(keys, load_id=LOAD_ID, suppress=True)) == ("committed", 6000, 0, 0)
    assert len(target.bodies) == 1


def test_of_a_key_that_is_refused_when_it_comes_again_nobody_knows_whether_it_is_there(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.bodies.clear()
    target.kill_at, target.killed_after = 1, True
    with pytest.raises(Killed):
        target.expire(["a"], night(1), load_id=LOAD_ID)
    target.kill_at = 0
    target.let_a_minute_pass()
    target.state.switches = Switches(poison="a")
    with pytest.raises(TooManyRejected):
        target.expire(["a"], night(1), load_id=LOAD_ID)
    assert target.report.visibility == "not known"
    target.state.switches = Switches()
    assert left(target) == {"b": "1"}
    assert target.sync({"a": "1", "b": "1"}, night(2)).plan["unknown"] == 1
    assert left(target) == {"a": "1", "b": "1"}
