"""What the ledger knows after loads that went well and loads that did not: every way to lose data, closed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from optimove_provider.loads.ledger import compaction, layers
from optimove_provider.loads.ledger.compaction import MAX_LAYERS
from optimove_provider.loads.ledger.lease import LeaseLost
from optimove_provider.loads.ledger.manifest import CommitConflict, Layer, Manifest, Origin, PlanRef, intent_folders
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import LEDGER
from tests.support.ledgers import age, hour, ledger_rows, record, rows_in, some

SNAPSHOT = {"source_is": "snapshot"}
EXPIRE = {"source_is": "snapshot", "on_removed": "expire"}


def test_a_commit_enters_what_was_sent(target):
    target.load({"a": 1, "b": 2}, hour(1), ttl_seconds=3600)
    row = ledger_rows(target.ledger)['"a"']
    assert row.pop("fingerprint") == row_files.fingerprints(row_files.pa.array([record("a", 1)]))[0].as_py()
    assert row == {
        "key": '"a"',
        "record": record("a", 1),
        "judged_by": None,
        "generation": hour(1),
        "opened": hour(1),
        "expires": target.clock.now + timedelta(seconds=3600),
        "state": "live",
        "evidence": "counted",
        "unproven_since": None,
        "stamp": None,
    }


def test_a_load_that_dies_between_closing_and_commit(target):
    target.load({"a": 1, "b": 1, "c": 1}, hour(1))
    dead = target.frozen({"a": 2}, hour(2))
    lease = target.lease(dead.load_id)
    plan = target.plan(dead)
    target.write_intent(lease, plan)
    target.send(plan)
    assert intent_folders(target.staging) == {plan.sent}
    target.clock.forward(61)
    # What the source says again is what the ledger has, and not what the target has.
    after = target.load({"a": 1, "b": 1}, hour(3))
    assert some(after) == {"unknown": 1, "unchanged": 1}
    assert target.store == {"a": 1, "b": 1, "c": 1}
    assert intent_folders(target.staging) == set()
    # The retry of the dead one finds that it is too old.
    lease = target.lease(dead.load_id, 2)
    assert not target.manifest.is_base_of(plan.ref)
    with pytest.raises(CommitConflict, match=r"planned against version 2 .* plans again from its frozen rows") as lost:
        target.commit(lease, plan)
    assert (lost.value.expected, lost.value.found) == (plan.planned_against, target.manifest.version)
    assert some(target.plan(dead)) == {"stale": 1}


def test_an_older_load_is_stale_where_the_intent_of_a_newer_one_is(target):
    target.load({"a": 1}, hour(1))
    dead = target.frozen({"a": 3, "new": 3}, hour(3))
    plan = target.plan(dead)
    target.write_intent(target.lease(dead.load_id), plan)
    target.clock.forward(61)
    assert some(target.load({"a": 2, "new": 2, "b": 2}, hour(2))) == {"stale": 2, "new": 1}
    assert {key: row["fingerprint"] for key, row in ledger_rows(target.ledger).items() if key != '"b"'} == {
        '"a"': None,
        '"new"': None,
    }


def test_what_a_dead_load_may_have_made_is_found_by_the_next_snapshot(target):
    target.load({"a": 1}, hour(1), **SNAPSHOT)
    dead = target.frozen({"ghost": 1}, hour(2))
    lease = target.lease(dead.load_id)
    plan = target.plan(dead)
    target.write_intent(lease, plan)
    target.send(plan)
    target.clock.forward(61)
    assert some(target.load({"a": 1}, hour(3), **EXPIRE)) == {"unchanged": 1, "removed": 1}
    assert target.store == {"a": 1}


def test_a_retry_with_its_lease_goes_on_with_its_plan(target):
    frozen = target.frozen({"a": 1}, hour(1))
    plan = target.plan(frozen)
    target.write_intent(target.lease(frozen.load_id), plan)
    target.clock.forward(61)
    lease = target.lease(frozen.load_id, 2)
    assert target.manifest.is_base_of(plan.ref)
    target.send(plan)
    target.commit(lease, plan)
    assert some(target.plan(target.frozen({"a": 1}, hour(2)))) == {"unchanged": 1}


def test_a_commit_that_was_not_remembered_is_made_once(target):
    frozen = target.frozen({"a": 1}, hour(1))
    lease = target.lease(frozen.load_id)
    plan = target.plan(frozen)
    target.write_intent(lease, plan)
    assert target.commit(lease, plan) == target.commit(lease, plan)


def test_a_lease_lost_and_won_again(target):
    target.load({"a": 1}, hour(1))
    slow = target.frozen({"a": 2}, hour(2))
    lease = target.lease(slow.load_id)
    plan = target.plan(slow)
    target.write_intent(lease, plan)
    target.clock.forward(61)
    target.load({"a": 3}, hour(3))
    with pytest.raises(LeaseLost):
        target.commit(lease, plan)
    with pytest.raises(LeaseLost):
        target.write_intent(lease, plan)
    again = target.lease(slow.load_id, 1)
    with pytest.raises(CommitConflict):
        target.write_intent(again, plan)
    with pytest.raises(CommitConflict):
        target.commit(again, plan)
    assert ledger_rows(target.ledger)['"a"']["record"] == record("a", 3)


def test_a_lease_lost_while_another_only_wrote_its_intent(target):
    slow = target.frozen({"a": 2}, hour(2))
    lease = target.lease(slow.load_id)
    plan = target.plan(slow)
    target.write_intent(lease, plan)
    target.clock.forward(61)
    other = target.frozen({"a": 3}, hour(3))
    target.write_intent(target.lease(other.load_id), target.plan(other))
    target.clock.forward(61)
    again = target.lease(slow.load_id, 2)
    with pytest.raises(CommitConflict):
        target.commit(again, plan)
    assert some(target.plan(slow)) == {"stale": 1}


def test_of_two_commits_one_wins(target):
    one, two = target.frozen({"a": 1}, hour(1)), target.frozen({"a": 2}, hour(2))
    first, planned_first = target.lease(one.load_id), target.plan(one)
    target.clock.forward(61)
    second, planned_second = target.lease(two.load_id), target.plan(two)
    target.commit(second, planned_second)
    with pytest.raises(LeaseLost):
        target.commit(first, planned_first)
    assert ledger_rows(target.ledger)['"a"']["record"] == record("a", 2)


def test_rejected_rows_are_not_entered(target):
    target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    frozen = target.frozen({"a": 2, "b": 2, "c": 2}, hour(2), **SNAPSHOT)
    lease = target.lease(frozen.load_id)
    plan = target.plan(frozen)
    target.ledger.commit(lease, plan.as_commit(target.clock()), rejected=[2, 3])
    lease.release()
    assert some(target.load({"a": 2, "b": 2, "c": 2}, hour(3), **SNAPSHOT)) == {"unchanged": 1, "changed": 1, "new": 1}


def test_an_older_snapshot_sends_nothing(target):
    target.load({"a": 2, "b": 2}, hour(2), **SNAPSHOT)
    for how in (SNAPSHOT, EXPIRE, {}, {"mode": "full"}):
        plan = target.load({"a": 1, "c": 1}, hour(1), **how)
        assert (some(plan), plan.below_watermark, plan.removed) == ({"stale": 2}, True, None)
    assert target.store == {"a": 2, "b": 2}
    assert target.manifest.newest_snapshot.age == age(2)


def test_an_older_delta_sends_only_what_is_not_newer(target):
    target.load({"a": 3}, hour(3))
    assert some(target.load({"a": 2, "b": 2}, hour(2))) == {"stale": 1, "new": 1}
    assert target.store == {"a": 3, "b": 2}


def test_an_unchanged_row_is_newer_too(target):
    target.load({"a": 1}, hour(1))
    assert some(target.load({"a": 1}, hour(3))) == {"unchanged": 1}
    assert some(target.load({"a": 2}, hour(2))) == {"stale": 1}


def test_a_snapshot_leaves_newer_keys_alone(target):
    target.load({"old": 1}, hour(1))
    target.load({"newer": 3}, hour(3))
    assert some(target.load({"newer": 2}, hour(2), **EXPIRE)) == {"stale": 1, "removed": 1}
    assert target.store == {"newer": 3}
    # A delta between the two is not stopped by a key that the snapshot lacked.
    assert some(target.load({"between": 1}, hour(2.5))) == {"new": 1}


def test_a_removed_key_is_reported_once_and_found_by_a_later_expire(target):
    target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    assert some(target.load({"a": 1}, hour(2), **SNAPSHOT)) == {"unchanged": 1, "removed": 1}
    assert some(target.load({"a": 1}, hour(3), **SNAPSHOT)) == {"unchanged": 1, "reported": 1}
    plan = target.load({"a": 1}, hour(4), **EXPIRE)
    assert rows_in(target.staging, plan.removed) == {"b": 1}
    assert target.store == {"a": 1}
    assert some(target.load({"a": 1}, hour(5), **EXPIRE)) == {"unchanged": 1}


def test_a_reported_key_that_came_back_may_be_removed_again(target):
    target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    target.load({"a": 1}, hour(2), **SNAPSHOT)
    assert some(target.load({"a": 1, "b": 1}, hour(3), **SNAPSHOT)) == {"unchanged": 2}
    assert some(target.load({"a": 1}, hour(4), **SNAPSHOT)) == {"unchanged": 1, "removed": 1}


def test_an_expired_key_that_came_back_is_new(target):
    target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    target.load({"a": 1}, hour(2), **EXPIRE)
    assert some(target.load({"b": 1}, hour(1))) == {"stale": 1}
    assert some(target.load({"a": 1, "b": 1}, hour(3), **EXPIRE)) == {"unchanged": 1, "new": 1}
    assert target.store == {"a": 1, "b": 1}


def test_a_load_that_dies_while_it_expires(target):
    target.load({"a": 1, "b": 1, "c": 1}, hour(1), **SNAPSHOT)
    dying = target.frozen({"a": 1}, hour(2), **EXPIRE)
    lease = target.lease(dying.load_id)
    plan = target.plan(dying)
    target.commit(lease, plan)
    target.store.pop("b"), target.store.pop("c")  # the expire batch was completed, and nobody remembers it
    target.clock.forward(61)
    assert intent_folders(target.staging) == {plan.removed}
    # A row that came back, though as it was, is sent.
    assert some(target.load({"a": 1, "b": 1}, hour(3))) == {"unchanged": 1, "unknown": 1}
    lease = target.lease(dying.load_id, 2)
    target.expire(lease, plan)
    assert target.store == {"a": 1, "b": 1}
    assert {key: row["state"] for key, row in ledger_rows(target.ledger).items()} == {
        '"a"': "live",
        '"b"': "live",
        '"c"': "tombstone",
    }


def test_unknown_keys_are_sent_whatever_the_ledger_has(target):
    target.load({"a": 1, "b": 1}, hour(1))
    lease = target.lease("an update")
    target.ledger.invalidate(lease, [('"a"', None), ('"c"', record("c", 9))], age(2))
    lease.release()
    assert some(target.load({"a": 1, "b": 1}, hour(1.5))) == {"stale": 1, "unchanged": 1}
    assert some(target.load({"a": 1, "b": 1, "c": 9}, hour(3))) == {"unknown": 2, "unchanged": 1}


def test_what_nobody_could_confirm_is_unknown(target):
    frozen = target.frozen({"a": 1}, hour(1))
    lease = target.lease(frozen.load_id)
    plan = target.plan(frozen)
    target.write_intent(lease, plan)
    assert target.ledger.resolve_as_unknown(lease).intents == {}
    lease.release()
    assert some(target.load({"a": 1}, hour(2))) == {"unknown": 1}


def test_layers_are_made_one_when_they_are_many(target):
    target.load({"a": 1, "b": 1, "gone": 1}, hour(0), **SNAPSHOT)
    target.load({"a": 1, "b": 1}, hour(1), **EXPIRE)
    for number in range(2, MAX_LAYERS + 2):
        target.load({"a": number}, hour(number))
    target.load({"a": 0, "b": 1}, hour(99), **SNAPSHOT)
    before = ledger_rows(target.ledger)
    lease = target.lease("compacting")
    version = target.manifest.version
    assert compaction.compact(target.ledger, lease, "200MB")
    assert not compaction.compact(target.ledger, lease, "200MB")
    lease.release()
    assert before.pop('"gone"')["state"] == "tombstone"  # the newest snapshot keeps older loads out anyway
    assert ledger_rows(target.ledger) == before
    assert [layer.rows for layer in target.manifest.layers] == [2]
    assert target.manifest.version == version


def test_what_one_load_has_sent_is_one_layer_in_however_many_files():
    """Frozen in parts, or large: each commit would else write the whole ledger anew."""

    def sent(number, files):
        origin = Origin(PlanRef(f"load {number}", number), age(number), None)
        return [Layer(f"{number}-{file}", 10, "", origin, True, hour(number)) for file in range(files)]

    bottom = sent(0, 3)
    bottom[0] = replace(bottom[0], rows=10**9)
    loads = [layer for number in range(1, MAX_LAYERS) for layer in sent(number, 40)]
    assert not compaction.is_due(Manifest(layers=(*bottom, *loads)))
    assert compaction.is_due(Manifest(layers=(*bottom, *loads, *sent(99, 1))))
    assert compaction.is_due(Manifest(layers=(*bottom, *sent(1, compaction.MAX_FILES))))
    own = [Layer(f"{number}", 10, "", committed_at=hour(1)) for number in range(MAX_LAYERS)]
    assert not compaction.is_due(Manifest(layers=(*bottom, *own[1:])))
    assert compaction.is_due(Manifest(layers=(*bottom, *own)))


def test_files_that_nobody_needs_go_after_a_time(target):
    for number in range(3):
        target.load({"a": number}, hour(number))
    lease = target.lease("compacting")
    compaction.compact(target.ledger, lease, "200MB")
    folder = f"{target.ledger.manifest_file.folder}/layers"
    assert compaction.vacuum(target.ledger, lease, target.clock.now - timedelta(days=3650)) == []
    assert compaction.vacuum(target.ledger, lease, target.clock.now) == [], "they were needed until now"
    old = len(target.staging.names(folder))
    assert len(compaction.vacuum(target.ledger, lease, target.clock.now + timedelta(days=36500))) == old - 1
    assert (len(target.staging.names(folder)), target.manifest.let_go) == (1, {})
    assert some(target.plan(target.frozen({"a": 2}, hour(9)))) == {"unchanged": 1}


def test_fingerprints_of_another_algorithm_are_made_again(target):
    target.load({"a": 1, "b": 1}, hour(1))
    lease = target.lease("an update")
    target.ledger.invalidate(lease, [('"b"', record("b", 1))], age(1))

    def other(layer):
        found = layers.read(target.staging, layers.of_layers([layer]), LEDGER.names)
        rows = [row for batch in found for row in batch.select(LEDGER.names).to_pylist()]
        odd = [{**row, "fingerprint": row["fingerprint"] and b"odd"} for row in rows]
        path = layer.path.replace(".parquet", "-odd.parquet")
        row_files.write(target.staging, path, [row_files.pa.RecordBatch.from_pylist(odd, LEDGER)], LEDGER)
        return layer.__class__(path, layer.rows, "crc32, 1")

    made = tuple(map(other, target.manifest.layers))
    target.ledger.manifest_file.change(lambda manifest: manifest.changed(layers=made))
    assert some(target.plan(target.frozen({"a": 1, "b": 1}, hour(2)))) == {"unchanged": 1, "unknown": 1}
