"""What users of other tools have reported about uploads by several workers, tried on a load in shards."""

import pytest

from optimove_provider.loads.ledger.lease import LeaseLost
from optimove_provider.loads.sharded.reservation import ReservationLost
from optimove_provider.loads.state.journal import Overtaken
from tests.support.optix_target import Killed, numbered, record
from tests.support.workers.sharded_target import ShardedTarget

OTHER = "6f0f5d3a-0000-4000-8000-00000000000b"
ROWS = 22_000  # five slices
WHOLE = {str(row): record(row) for row in range(1, ROWS + 1)}


@pytest.fixture
def target(tmp_path):
    return ShardedTarget(tmp_path / "staging")


@pytest.fixture
def disturbed(target, monkeypatch):
    """A worker of whose requests one is preceded by something else."""

    def made(number, do):
        worker, seen, send = target.worker(), [], target.send

        def sent(request):
            seen.append(request)
            if len(seen) == number:
                do()
            return send(request)

        monkeypatch.setattr(worker, "_send", sent)
        return worker

    return made


def test_a_teardown_that_runs_while_a_worker_still_sends_loses_no_row(target, disturbed):
    """apache/airflow#29332: a teardown ran when its own upstream was over, while other tasks in its scope still ran."""
    first, second = target.plan(numbered(ROWS), shards=2)
    with pytest.raises(ReservationLost, match="not reserved for it any more"):
        target.shard(first, client=disturbed(1, lambda: (target.give_up(), target.pass_by(6))))
    assert len(target.requests) == 1, "what was under way, and nothing after that"
    assert target.holder is not None, "others wait until that cannot arrive any more"
    target.pass_by(61)
    for one in (first, second):
        target.shard(one, try_number=2)
    report = target.commit()
    assert (report.accepted, target.visible, len(target.completed)) == (ROWS, WHOLE, 1)


def test_a_message_that_is_delivered_twice_sends_the_same_rows_twice_and_no_others(target, disturbed):
    """celery/celery#5306: a task that outlasts the broker's visibility timeout runs on a second worker beside the
    first."""
    first, second = target.plan(numbered(ROWS), shards=2)
    told = target.shard(first, client=disturbed(2, lambda: target.shard(first)))
    assert told["accepted"] == 10_000
    target.shard(second)
    report = target.commit()
    assert (report.accepted, report.rejected, target.visible) == (ROWS, 0, WHOLE)
    assert len({batch for _, _, batch in target.requests}) == 1


def test_an_upload_that_two_workers_complete_at_once_is_completed_with_all_its_rows(target, monkeypatch):
    """Eventual-Inc/Daft#5108: an upload was completed twice, the second time with no part at all."""
    for one in target.plan(numbered(ROWS), shards=2):
        target.shard(one)
    send, seen = target.send, []

    def sent(request):
        seen.append(request)
        if len(seen) == 1:
            assert target.commit().accepted == ROWS
        return send(request)

    monkeypatch.setattr(target.client, "_send", sent)
    with pytest.raises((LeaseLost, Overtaken)):
        target.commit()
    assert (target.visible, len(target.completed)) == (WHOLE, 1)
    assert target.commit(try_number=2).accepted == ROWS


def test_a_worker_that_wakes_up_after_its_lease_neither_renews_nor_ends_that_of_another(target, disturbed):
    """aegra/aegra#547: a worker that stalled past its lease went on to renew, and then released, that of whoever came
    after it."""
    first, _ = target.plan(numbered(ROWS), shards=2)
    newer = []

    def another_takes_its_turn():
        target.pass_by(3601)
        newer.extend(target.plan(numbered(ROWS), OTHER, shards=2))

    with pytest.raises(ReservationLost, match=f"load {OTHER} has it now"):
        target.shard(first, client=disturbed(1, another_takes_its_turn))
    held = target.holder
    assert (held.load_id, held.is_reserved) == (OTHER, True)
    assert target.give_up() is False
    assert target.holder == held
    for one in newer:
        target.shard(one)
    assert target.commit(OTHER).accepted == ROWS
    assert target.visible == WHOLE


def test_a_worker_of_which_one_request_was_cut_off_does_not_say_that_all_is_sent(target):
    """matrixorigin/matrixone#29267: a parallel upload that was cancelled skipped parts, and returned success."""
    first, second = target.plan(numbered(ROWS), shards=2)
    target.kill_at = len(target.bodies) + 2
    with pytest.raises(Killed):
        target.shard(second, max_in_flight=4)
    target.kill_at = 0
    target.shard(first)
    assert len(target.journal().outcomes()) < 4
    target.pass_by(61)
    report = target.commit()
    assert (report.accepted, report.unsent, target.visible) == (ROWS, 0, WHOLE)
