"""One load that several workers send: planned once, sent side by side, committed once."""

from datetime import timedelta

import pyarrow as pa
import pytest

from optimove_provider.clients.timeline import total
from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.lease import TargetBusy, acquired
from optimove_provider.loads.optix.bisect import BisectTooLong, RequestIsWrong
from optimove_provider.loads.optix.transaction import ShardsOutdated
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.plan.replan import PlanChanged
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.sharded import load as sharded
from optimove_provider.loads.sharded.load import ShardOfAnotherPlan, ShardTooLate
from optimove_provider.loads.sharded.reservation import ReservationLost
from optimove_provider.loads.sharded.shard import Shard, Sharding, cut
from optimove_provider.loads.state.journal import BatchTooOld, Journal
from optimove_provider.options import Guards
from tests.support.optix_target import LOAD_ID, Killed, numbered, record
from tests.support.workers.sharded_target import ShardedTarget

OTHER = "6f0f5d3a-0000-4000-8000-00000000000b"
ROWS = 42_000  # nine slices


@pytest.fixture
def target(tmp_path):
    return ShardedTarget(tmp_path / "staging")


def whole(count=ROWS, but=()):
    return {str(row): record(row) for row in range(1, count + 1) if row not in but}


def test_all_rows_become_visible_at_once_and_are_accounted_for(target):
    shards = target.plan(numbered(ROWS), shards=3)
    assert [(one.number, one.of, one.first, one.end) for one in shards] == [(1, 3, 0, 2), (2, 3, 2, 5), (3, 3, 5, 8)]
    told = [target.shard(one) for one in reversed(shards)]
    assert [one["accepted"] for one in told] == [15_000, 15_000, 10_000]
    assert target.visible == {}
    assert target.holder.is_reserved
    report = target.commit()
    assert target.visible == whole()
    assert (report.state, report.rows, report.accepted, report.unsent) == ("committed", ROWS, ROWS, 0)
    assert len({batch for _, _, batch in target.requests}) == 1
    assert [completed for _, completed, _ in target.requests] == [False] * 8 + [True]
    assert total(report.requests, "answered") == total(report.requests) >= len(target.requests)
    assert target.holder is None
    assert target.give_up() is False


def test_what_one_slice_holds_or_nothing_needs_no_shard(target):
    assert target.plan(numbered(5000), shards=8) == []
    assert target.commit().accepted == 5000
    assert target.plan(numbered(5000), OTHER, shards=8, mode="changed", source_is="delta") == []
    report = target.commit(OTHER)
    assert (report.state, report.unchanged) == ("nothing_to_send", 5000)
    assert target.visible == whole(5000)


@pytest.mark.parametrize(
    ("slices", "shards", "workers", "count"),
    [(8, None, 4, 4), (3, None, 4, 3), (1000, None, 4, 8), (0, None, 4, 0), (9, 5, 4, 5), (9, 100, 1, 9),
     (10**6, None, 7, 1024), (10**6, 1024, 1, 1024)],
)  # fmt: skip
def test_how_many_shards_there_are(slices, shards, workers, count):
    found = cut("id", 1, "digest", range(slices), Sharding(shards, workers).count(slices))
    assert len(found) == count
    assert [number for one in found for number in one.numbers] == list(range(slices))
    assert len({len(one.numbers) // 2 for one in found}) <= 2
    assert all(len(one.numbers) for one in found)


def test_what_is_no_shard_says_what_to_map_over():
    with pytest.raises(SettingsError, match=r"is none: pass what OptixPlanOperator returns"):
        Shard.from_json({"load_id": "x"})


def test_rows_that_the_server_refuses_in_any_shard_are_kept_with_its_words(target):
    target.state.switches = Switches(poison="poison")
    bad, unfit = (7, 12_345, 29_999, ROWS), (3, 20_000)
    for one in target.plan(numbered(ROWS, bad=unfit, poison=bad), shards=4, max_rejected=10):
        target.shard(one)
    report = target.commit()
    assert (report.accepted, report.rejected) == (ROWS - 6, 6)
    assert sorted(line["row"] for line in target.rejected) == sorted((*bad, *unfit))
    assert target.visible == whole(but=(*bad, *unfit))


def test_max_rejected_is_judged_over_all_shards_before_the_first_request(target):
    with pytest.raises(TooManyRejected, match="3 of 42000 rows"):
        target.plan(numbered(ROWS, bad=(1, 20_000, 41_000)), shards=4, max_rejected=2)
    assert target.requests == []
    assert target.holder is None
    assert target.report.state == "failed"


def test_guards_and_an_approved_plan_are_asked_before_the_first_request(target):
    target.plan(numbered(20_000), source_is="snapshot", mode="changed", shards=2)
    for one in target.plan(numbered(20_000), source_is="snapshot", mode="changed", shards=2, try_number=2):
        target.shard(one)
    target.commit()
    sent = len(target.requests)
    with pytest.raises(GuardStopped):
        target.plan(numbered(100), OTHER, source_is="snapshot", mode="changed", guards=Guards())
    with pytest.raises(PlanChanged):
        target.plan(numbered(20_000), OTHER, source_is="snapshot", mode="changed", expected_plan="0" * 16)
    assert (len(target.requests), target.holder) == (sent, None)


def test_a_key_that_is_in_two_shards_is_found(target):
    twice = [*numbered(20_000), *numbered(1)]
    with pytest.raises(DataError, match=r"holds keys twice.*in rows 1 and 20001"):
        target.plan(twice, shards=4)
    assert target.requests == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("request_number", [1, 4, 8])
def test_a_shard_that_is_killed_goes_on_by_itself_and_sends_its_own_slices_only(target, request_number, after):
    shards = target.plan(numbered(ROWS), shards=3)
    target.kill_at, target.killed_after, killed = request_number, after, []
    for one in shards:
        try:
            target.shard(one)
        except Killed:
            killed.append(one)
    (dead,) = killed
    target.bodies.clear()
    target.kill_at = 0
    told = target.shard(dead, try_number=2)
    assert told["accepted"] == 5000 * len(dead.numbers)
    assert 1 <= len(target.bodies) <= len(dead.numbers)
    report = target.commit()
    assert (report.accepted, target.visible) == (ROWS, whole())
    assert len(target.completed) == 1
    assert timedelta(seconds=50) < target.holder.until - target.surroundings.now() <= timedelta(seconds=60)


def test_a_shard_that_was_never_sent_is_sent_by_what_commits(target):
    first, *_ = target.plan(numbered(ROWS), shards=3)
    target.shard(first)
    assert target.commit().accepted == ROWS
    assert target.visible == whole()


def test_clear_of_a_shard_does_nothing_once_the_batch_is_completed(target):
    first, *others = target.plan(numbered(ROWS), shards=3)
    for one in (first, *others):
        target.shard(one)
    target.commit()
    sent = len(target.requests)
    assert target.shard(first, try_number=2)["state"] == "completed before"
    assert len(target.requests) == sent


def test_clear_of_a_shard_before_the_commit_sends_nothing_again(target):
    shards = target.plan(numbered(ROWS), shards=3)
    for one in shards:
        target.shard(one)
    sent = len(target.requests)
    assert target.shard(shards[1], try_number=2)["accepted"] == 15_000
    assert len(target.requests) == sent


def test_clear_of_the_commit_returns_the_same_account_and_sends_nothing(target):
    for one in target.plan(numbered(ROWS), shards=3):
        target.shard(one)
    before = target.commit().as_json()
    sent = len(target.requests)
    after = target.commit(try_number=2).as_json()
    assert {**after, "task": ""} == {**before, "task": ""}
    assert len(target.requests) == sent


@pytest.mark.parametrize("request_number", range(1, 3))
@pytest.mark.parametrize("after", [False, True])
def test_a_commit_that_is_killed_goes_on(target, request_number, after):
    shards = target.plan(numbered(ROWS), shards=3)
    for one in shards[:2]:
        target.shard(one)
    # What is left: three slices of the third shard, and the last one.
    target.bodies.clear()
    target.kill_at, target.killed_after = {1: 2, 2: 4}[request_number], after
    with pytest.raises(Killed):
        target.commit()
    target.kill_at = 0
    target.pass_by(61)
    report = target.commit(try_number=2)
    assert (report.accepted, target.visible, len(target.completed)) == (ROWS, whole(), 1)


def test_a_shard_that_is_cleared_while_the_batch_may_be_completed_is_refused(target):
    shards = target.plan(numbered(ROWS), shards=3)
    for one in shards:
        target.shard(one)
    target.bodies.clear()
    target.kill_at, target.killed_after = 1, True
    with pytest.raises(Killed):
        target.commit()
    with pytest.raises(ShardTooLate, match=r"shard 2 of 3 of load .*the task that commits has gone on without it"):
        target.shard(shards[1], try_number=2)
    target.kill_at = 0
    target.pass_by(61)
    assert target.commit(try_number=2).accepted == ROWS


def test_a_plan_that_is_cleared_is_a_new_load_and_the_old_shards_stop(target):
    old = target.plan(numbered(ROWS), shards=3)
    target.shard(old[0])
    with pytest.raises(TargetBusy, match="until"):  # what the old shards have under way may still arrive
        target.plan(numbered(ROWS), OTHER, shards=2)
    assert target.holder.until - target.surroundings.now() <= timedelta(seconds=60)
    with pytest.raises((ReservationLost, TargetBusy)):
        target.shard(old[1])
    target.pass_by(61)
    new = target.plan(numbered(ROWS), OTHER, shards=2)
    with pytest.raises(TargetBusy):
        target.shard(old[1], try_number=2)
    for one in new:
        target.shard(one)
    report = target.commit(OTHER)
    assert (report.accepted, target.visible) == (ROWS, whole())
    with pytest.raises(ShardsOutdated, match="another load has written to the target since this one was planned"):
        target.shard(old[1], try_number=3)


def test_another_load_waits_for_as_long_as_a_shard_says_anything(target):
    first, second, third = target.plan(numbered(ROWS), shards=3)
    target.pass_by(3000)
    target.shard(first)
    target.pass_by(3000)  # 100 minutes since the plan
    with pytest.raises(TargetBusy):
        target.load(numbered(10), OTHER)
    target.shard(second)
    target.shard(third)
    assert target.commit().accepted == ROWS


def test_a_load_whose_deadline_passes_gives_way_and_says_so(target):
    shards = target.plan(numbered(ROWS), shards=3)
    target.shard(shards[0])
    target.pass_by(3601)
    assert target.load(numbered(10), OTHER, mode="full").accepted == 10
    with pytest.raises(ShardsOutdated):
        target.shard(shards[1])
    with pytest.raises(ShardsOutdated, match="never completed, so nothing of it is visible"):
        target.commit()
    assert target.visible == whole(10)
    assert target.report.next_step.startswith("Clear the first task of the group")


def test_a_deadline_that_passed_unnoticed_is_no_harm(target):
    shards = target.plan(numbered(ROWS), shards=3)
    target.pass_by(3601)
    for one in shards:
        target.shard(one)
    assert target.commit().accepted == ROWS


def test_the_age_of_the_batch_is_judged_by_what_commits_alone(target):
    first, second, third = target.plan(numbered(ROWS), shards=3)
    target.shard(first)
    target.pass_by(2000)
    target.shard(second)
    target.shard(third)
    target.pass_by(901)
    with pytest.raises(BatchTooOld, match=r"acknowledged nothing of batch .* for 0:15:01"):
        target.commit()
    assert target.visible == {}
    assert "Clear the first task of the group" in target.report.next_step
    assert (target.report.unsent, target.holder) == (ROWS, None)
    for one in target.plan(numbered(ROWS), OTHER, shards=3):
        target.shard(one)
    assert target.commit(OTHER).accepted == ROWS
    assert target.visible == whole()


def test_a_load_that_fails_for_good_is_given_up_and_a_cleared_shard_takes_it_up_again(target):
    first, second, third = target.plan(numbered(ROWS), shards=3)
    target.shard(first)
    target.shard(third)
    assert target.give_up() is True
    assert (target.holder, target.ledger.read().intents) == (None, {})
    report = target.report
    assert (report.state, report.rows, report.unsent) == ("failed", ROWS, ROWS)
    assert "25000 rows had been answered with success under it" in report.problem
    assert total(report.requests, "answered") >= len(target.requests) == 5
    assert report.next_step.startswith("Mend what the failed task says, and Clear that task")
    sent = len(target.requests)
    target.shard(second, try_number=2)
    assert len(target.requests) == sent + 3
    assert target.commit().accepted == ROWS
    assert target.visible == whole()


def test_a_load_that_was_given_up_does_not_overwrite_what_came_since(target):
    first, second, third = target.plan(numbered(ROWS), shards=3)
    target.shard(first)
    target.give_up()
    newer = [{"id": 1, "n": 0.5, "word": "new"}]
    assert target.load([pa.RecordBatch.from_pylist(newer)], OTHER).accepted == 1
    for one in (second, third):
        with pytest.raises(ShardsOutdated):
            target.shard(one, try_number=2)
    assert target.holder is None
    with pytest.raises(ShardsOutdated):
        target.commit()
    assert target.visible == {"1": {"id": "1", "n": 0.5, "word": "new"}}


def test_a_plan_that_is_tried_again_goes_on_with_the_same_load(target):
    before = target.plan(numbered(ROWS), shards=3)
    again = target.plan(numbered(ROWS), shards=3, try_number=2)
    assert [one.numbers for one in again] == [one.numbers for one in before]
    for one in again:
        target.shard(one)
    assert target.commit().accepted == ROWS
    assert len(target.completed) == 1


def test_a_shard_of_rows_that_were_read_anew_is_refused(target):
    shards = target.plan(numbered(ROWS), shards=3)
    target.give_up()
    target.plan(numbered(30_000), OTHER, shards=2)
    other = [Shard(**{**one.as_json(), "load_id": OTHER}) for one in shards]
    with pytest.raises(ShardOfAnotherPlan, match="its rows are not those which that load sends now"):
        target.shard(other[0])


def test_only_what_changed_is_sent_in_shards_and_what_is_gone_expires(target):
    for one in target.plan(numbered(30_000), source_is="snapshot", mode="changed", shards=3):
        target.shard(one)
    target.commit()
    settings = {"source_is": "snapshot", "mode": "changed", "on_removed": "expire"}
    settings["guards"] = Guards(max_changed_share=None, max_removed_share=None)
    target.state.switches = Switches(poison="poison")
    shards = target.plan(numbered(25_000, poison=range(1, 12_001, 1000)), OTHER, shards=2, max_rejected=20, **settings)
    for one in shards:
        target.shard(one)
    report = target.commit(OTHER)
    assert (report.unchanged, report.rejected, report.expired) == (25_000 - 12, 12, 5000)
    target.pass_by(5)
    assert set(target.visible) == {str(row) for row in range(1, 25_001)}


def test_a_plan_that_is_made_anew_in_a_later_try_is_sent_by_a_batch_of_its_own(target, monkeypatch):
    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "begin_shards", killed)
        with pytest.raises(Killed):
            target.plan(numbered(ROWS), shards=3)
    target.pass_by(61)
    assert target.load(numbered(10), OTHER).accepted == 10
    shards = target.plan(numbered(ROWS), shards=3, try_number=2)
    for one in shards:
        assert target.shard(one)["state"] == "sent"
    assert (target.commit().accepted, target.visible) == (ROWS - 10, whole())
    assert {batch for *_, batch in target.requests[1:]} == {target.journal().batch_uuid}


def test_a_single_slice_is_sent_however_late_its_commit_comes(target):
    assert target.plan(numbered(10)) == []
    target.pass_by(1800)
    assert target.commit().accepted == 10
    assert target.visible == whole(10)


def test_a_load_that_a_shard_took_up_again_is_revoked_where_its_plan_is_cleared(target):
    first, second, _ = target.plan(numbered(ROWS), shards=3)
    target.shard(first)
    target.give_up()
    target.shard(second, try_number=2)
    with pytest.raises(TargetBusy):
        target.plan(numbered(ROWS), OTHER, shards=3)
    assert target.holder.until - target.surroundings.now() <= timedelta(seconds=60)
    target.pass_by(61)
    for one in target.plan(numbered(ROWS), OTHER, shards=3):
        target.shard(one)
    assert target.commit(OTHER).accepted == ROWS


def before_it_looks_at_the_lease(monkeypatch, do):
    """Let `do` happen just after a shard has read how far its load came."""
    looked = sharded._is_held

    def after(*arguments):
        monkeypatch.setattr(sharded, "_is_held", looked)
        do()
        return looked(*arguments)

    monkeypatch.setattr(sharded, "_is_held", after)


def test_a_load_that_is_given_up_while_a_shard_begins_is_taken_up_again(target, monkeypatch):
    shards = target.plan(numbered(ROWS), shards=3)
    before_it_looks_at_the_lease(monkeypatch, target.give_up)
    for one in shards:
        assert target.shard(one, try_number=2)["state"] == "sent"
    assert target.commit().accepted == ROWS


def test_a_load_that_is_committed_while_a_shard_begins_is_left_alone(target, monkeypatch):
    shards = target.plan(numbered(ROWS), shards=3)
    before_it_looks_at_the_lease(monkeypatch, target.commit)
    assert target.shard(shards[0], try_number=2)["state"] == "completed before"
    assert target.holder is None
    assert [completed for _, completed, _ in target.requests] == [False] * 8 + [True]


def test_the_same_fault_in_three_places_of_a_shard_is_of_rows_where_another_shard_got_some_accepted(target):
    target.state.switches = Switches(poison="poison")
    bad = (10_001, 12_501, 15_000)  # those of the second shard's first slice that are tried alone
    first, second, third = target.plan(numbered(ROWS, poison=bad), shards=3, max_rejected=5)
    assert second.first == 2
    with pytest.raises(RequestIsWrong, match="3 rows from different places"):
        target.shard(second)
    for one in (first, second, third):
        target.shard(one, try_number=2)
    report = target.commit()
    assert (report.accepted, report.rejected, target.visible) == (ROWS - 3, 3, whole(but=bad))


def test_a_shard_whose_requests_for_refused_rows_do_not_suffice_names_its_share_and_goes_on(target):
    target.state.switches = Switches(poison="poison")
    bad = tuple(range(10_500, 10_560))
    shards = target.plan(numbered(ROWS, poison=bad), shards=3, max_rejected=100, max_bisect_requests=90)
    target.shard(shards[0])
    with pytest.raises(BisectTooLong, match=r"shard 2 of 3 .*: 30 requests .* share of max_bisect_requests=90: where"):
        target.shard(shards[1])
    spent = len(target.requests)
    for one in shards[1:]:
        target.shard(one, try_number=2, max_bisect_requests=2000)
    assert len(target.requests) - spent < 400
    report = target.commit(sending=target.wanted(max_bisect_requests=2000).sending)
    assert (report.rejected, target.visible) == (60, whole(but=bad))


def test_what_a_shard_fails_of_is_told_where_its_end_cannot_be_written_down(target, monkeypatch):
    (first, *_) = target.plan(numbered(ROWS), shards=3)
    target.kill_at = 1

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sharded.ShardTry, "end", full)
    with pytest.raises(Killed) as caught:
        target.shard(first)
    assert "No space left on device" in caught.value.__notes__[0]


def test_a_load_that_no_ledger_can_have_leaves_nothing_to_give_up(target, monkeypatch):
    target.options = target.wanted()
    monkeypatch.setattr(sharded, "ledger_of", lambda *_: None)
    assert target.give_up() is False


def test_a_lease_that_others_took_while_a_load_was_to_be_given_up_stays_theirs(target):
    """What commits was cleared, or another load came, just after a teardown had looked."""
    target.plan(numbered(ROWS), shards=3)
    with acquired(target.ledger.manifest_file, LOAD_ID, 2, "what commits") as lease:
        before = target.ledger.read()
        report = Report(LOAD_ID, target.named)
        assert sharded.give_up(target.client, target.staging, target.options.target, report) is False
        assert target.ledger.read() == before
        lease.check()
