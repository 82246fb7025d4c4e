"""What a load had and could not bring keeps older loads from its keys, and takes nothing from what is known of them."""

import pytest

from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.query import live_keys
from tests.support.ledgers import Clock, Target, age, hour, ledger_rows, record, some

pytestmark = pytest.mark.any_version

SNAPSHOT = {"source_is": "snapshot"}
EXPIRE = {"source_is": "snapshot", "on_removed": "expire"}
UNFIT = {"k": ..., "other": 1}


def refuse(target, rows, generation, rejected, **how):
    """A load of which the server refuses some rows, by their numbers."""
    frozen = target.frozen(rows, generation, **how)
    lease = target.lease(frozen.load_id)
    plan = target.plan(frozen)
    target.write_intent(lease, plan)
    target.send(plan, rejected)
    target.ledger.commit(lease, plan.as_commit(target.clock()), rejected)
    lease.release()
    return plan


@pytest.fixture
def target(local_target):
    return local_target


@pytest.fixture(params=["unfit", "refused"])
def reject(request, target):
    """A load that has `k` and cannot bring it, and another key."""
    if request.param == "unfit":
        return lambda generation, **how: target.load(UNFIT, generation, **how)
    return lambda generation, **how: refuse(target, {"k": 9, "other": 1}, generation, [1], **how)


@pytest.mark.parametrize("mode", ["changed", "full"])
def test_what_a_newer_delta_had_and_could_not_bring_is_not_brought_by_an_older_load(target, reject, mode):
    reject(hour(2), mode=mode)
    assert some(target.load({"k": 1, "new": 1}, hour(1), mode=mode)) == {"stale": 1, "new": 1}
    assert "k" not in target.store


def test_what_the_target_has_of_it_stays_known(target, reject):
    target.load({"k": 0}, hour(0), ttl_seconds=10**6)
    before = ledger_rows(target.ledger)['"k"']
    reject(hour(2))
    row = ledger_rows(target.ledger)['"k"']
    assert (row["record"], row["opened"]) == (record("k", 0), hour(2))
    assert {**row, "generation": hour(0), "opened": hour(0)} == before
    assert some(target.load({"k": 1}, hour(1))) == {"stale": 1}
    assert some(target.load({"k": 0}, hour(3), ttl_seconds=10**6)) == {"unchanged": 1}
    assert some(target.load({"other": 1}, hour(4), **SNAPSHOT)) == {"unchanged": 1, "removed": 1}


def test_a_key_that_was_never_brought_is_not_there(target, reject):
    reject(hour(2))
    assert live_keys(target.staging, target.manifest, target.clock()) == 1
    plan = target.load({"other": 1}, hour(3), **EXPIRE)
    assert (some(plan), plan.gone) == ({"unchanged": 1}, None)
    assert some(target.load({"k": 1}, hour(4))) == {"new": 1}
    assert some(target.load({"k": 1}, hour(5))) == {"unchanged": 1}


def test_a_load_is_not_kept_out_by_its_own_mark(target, reject):
    """Rows of a rejected file are as old as the load that they are of."""
    reject(hour(2))
    assert some(target.load({"k": 1}, hour(2))) == {"new": 1}
    reject(hour(2))
    assert some(target.load({"k": 1}, hour(2))) == {"unchanged": 1}


def test_what_is_newer_than_the_rejected_row_keeps_its_age(target, reject):
    target.load({"k": 3}, hour(3))
    reject(hour(2))
    assert ledger_rows(target.ledger)['"k"']["opened"] == hour(3)
    assert some(target.load({"k": 4}, hour(3))) == {"changed": 1}


def test_the_newest_of_several_rejections_counts(target, reject):
    for number in (2, 4, 3):
        reject(hour(number))
    assert some(target.load({"k": 1}, hour(3.5))) == {"stale": 1}
    assert some(target.load({"k": 1}, hour(4))) == {"new": 1}


def test_a_key_that_was_gone_from_the_source_and_came_back_is_gone_again(target, reject):
    target.load({"k": 0, "other": 1}, hour(0), **SNAPSHOT)
    assert target.load({"other": 1}, hour(1), **SNAPSHOT).counts["removed"] == 1
    reject(hour(2))
    assert target.load({"other": 1}, hour(3), **SNAPSHOT).counts["removed"] == 1
    assert target.load({"other": 1}, hour(4), **EXPIRE).counts["removed"] == 1
    assert target.store == {"other": 1}


def test_what_expired_and_was_rejected_since_is_new(target, reject):
    target.load({"k": 0, "other": 1}, hour(0), **SNAPSHOT)
    target.load({"other": 1}, hour(1), **EXPIRE)
    reject(hour(3))
    assert some(target.load({"k": 0}, hour(2))) == {"stale": 1}
    assert some(target.load({"k": 0}, hour(4))) == {"new": 1}


def test_what_nobody_knows_stays_unknown(target, reject):
    target.load({"k": 9}, hour(0))
    lease = target.lease("update")
    target.ledger.invalidate(lease, [('"k"', None)], age(1))
    lease.release()
    reject(hour(3))
    assert some(target.load({"k": 9}, hour(2))) == {"stale": 1}
    assert some(target.load({"k": 9}, hour(4))) == {"unknown": 1}


def test_a_dead_load_that_may_have_brought_it_is_raised_too(target, reject):
    dead = target.frozen({"k": 1}, hour(1))
    plan = target.plan(dead)
    target.write_intent(target.lease(dead.load_id), plan)
    target.clock.forward(61)
    reject(hour(3))
    assert some(target.load({"k": 2}, hour(2))) == {"stale": 1}
    assert some(target.load({"k": 1}, hour(4))) == {"unknown": 1}


def test_a_key_of_two_rows_of_which_one_is_taken_is_there(target):
    frozen = target.frozen({"k": 1}, hour(2))
    both = target.frozen({"k": ...}, hour(2))
    commit = target.plan(frozen).as_commit(target.clock())
    object.__setattr__(commit, "frozen", both.rows_folder)
    lease = target.lease(frozen.load_id)
    target.ledger.commit(lease, commit)
    lease.release()
    assert some(target.load({"k": 1}, hour(3))) == {"unchanged": 1}


def test_a_load_of_rejected_rows_only_marks_its_keys(target):
    plan = target.load({"k": ...}, hour(2))
    assert (plan.to_send, target.manifest.rows) == (0, 1)
    assert some(target.load({"k": 1}, hour(1))) == {"stale": 1}


def test_compaction_keeps_the_marks(target, reject):
    """Marks of what is gone that live in memory only, or go after an hour, let the older record come back."""
    target.load({"known": 0}, hour(0))
    reject(hour(2))
    lease = target.lease("compacting")
    before = ledger_rows(target.ledger)
    assert compaction.compact(target.ledger, lease, "200MB")
    lease.release()
    assert (len(target.manifest.layers), ledger_rows(target.ledger)) == (1, before)
    assert some(target.load({"k": 1}, hour(1))) == {"stale": 1}


def test_a_snapshot_needs_no_marks(target, reject):
    """Nothing that is older than it is sent at all."""
    reject(hour(2), **SNAPSHOT)
    assert '"k"' not in ledger_rows(target.ledger)
    assert some(target.load({"k": 1}, hour(1))) == {"stale": 1}


def test_it_is_so_in_a_bucket_too(any_staging):
    target = Target(any_staging, Clock())
    target.load({"known": 0}, hour(0))
    target.load({"known": ..., "k": ..., "other": 1}, hour(2))
    assert some(target.load({"known": 1, "k": 1, "new": 1}, hour(1))) == {"stale": 2, "new": 1}
    assert some(target.load({"known": 0, "k": 1}, hour(3))) == {"unchanged": 1, "new": 1}


def test_a_first_load_of_which_rows_are_rejected_is_still_the_bottom(target, reject):
    """So that comparing with it is as fast as with one of which none are."""
    reject(hour(2))
    assert [layer.rows for layer in target.manifest.bottom] == [1]
    assert [layer.rows for layer in target.manifest.above] == [1]
