"""One writer per target: who has the lease, for how long, and what the one who lost it may still do."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from optimove_provider.loads.ledger.lease import RENEWED_EVERY, Held, Lease, LeaseLost, acquire, release_of
from optimove_provider.loads.ledger.manifest import ManifestFile
from optimove_provider.loads.state import compare_and_swap
from tests.support.ledgers import TARGET, hour


def manifest_file(target, **surroundings):
    """That of a process with other surroundings."""
    staging = target.staging
    return ManifestFile(replace(staging, surroundings=replace(staging.surroundings, **surroundings)), TARGET)


class Renewals:
    """What a lease has repeated for it, one time after the other."""

    stopped = False

    def begin(self, every, again, name):
        self.every, self.again = every, again
        return self

    def stop(self):
        self.stopped = True


def test_one_at_a_time(target):
    lease = target.lease("a")
    assert isinstance(lease, Lease)
    held = target.lease("b")
    assert held == Held("a", 1, target.clock.now + timedelta(seconds=60))
    assert str(held) == "load a, try 1, until 2026-05-06 16:01:00 UTC unless renewed"
    told = str(replace(held, task="task dag.load of run r"))
    assert told == "task dag.load of run r (load a, try 1), until 2026-05-06 16:01:00 UTC unless renewed"
    lease.release()
    assert isinstance(target.lease("b"), Lease)


def test_a_lease_that_a_person_releases_ends_no_sooner_than_its_load_stops(target):
    lease = target.lease("a")
    target.clock.forward(20)
    lease.renew()
    assert release_of(target.ledger.manifest_file, "a")
    lease.check()  # of a load that lives after all: until it knows, it may send
    assert isinstance(target.lease("b"), Held)
    with pytest.raises(LeaseLost):
        lease.renew()
    target.clock.forward(59)
    assert isinstance(target.lease("b"), Held)
    target.clock.forward(1)
    assert isinstance(target.lease("b"), Lease)


def test_a_lease_that_another_load_takes_while_a_person_releases_it_stays_that_loads(local_target):
    local_target.lease("a")
    taken = []

    def meanwhile():
        local_target.clock.forward(60)
        taken.append(local_target.lease("b"))
        return uuid.uuid4()

    assert not release_of(manifest_file(local_target, new_id=meanwhile), "a")
    taken[0].renew()
    assert local_target.manifest.holder.load_id == "b"


def test_a_lease_that_waits_for_an_import_is_released_at_once(target):
    lease = target.lease("a")
    lease.detach(target.clock.now + timedelta(days=1))
    assert not release_of(target.ledger.manifest_file, "b")
    assert release_of(target.ledger.manifest_file, "a")
    assert isinstance(target.lease("b"), Lease)


def test_a_retry_waits_the_old_try_out(target):
    target.lease("a", 1)
    target.clock.forward(59)
    assert isinstance(target.lease("a", 2), Held)
    target.clock.forward(1)
    assert isinstance(target.lease("a", 2), Lease)


def test_a_task_that_resumes_takes_its_own_lease_over(target):
    first = target.lease("a")
    second = target.lease("a")
    second.renew()
    with pytest.raises(LeaseLost):
        first.renew()


def test_renewing_makes_it_last(target):
    lease = target.lease("a")
    for _ in range(3):
        target.clock.forward(50)
        lease.renew()
    target.clock.forward(50)
    assert isinstance(target.lease("b"), Held)
    target.clock.forward(10)
    assert isinstance(target.lease("b"), Lease)


def test_a_lease_is_trusted_for_half_a_minute(target):
    lease = target.lease("a")
    target.clock.forward(30)
    lease.check()
    target.clock.forward(1)
    with pytest.raises(LeaseLost, match=r"load a: its lease .* was last renewed 31 s ago") as caught:
        lease.check()
    assert caught.value.retry_helps
    lease.renew()  # nobody took it
    lease.check()


def test_it_is_renewed_while_the_storage_comes_back_and_until_somebody_else_has_it(local_target, monkeypatch, caplog):
    def fails(*_):
        raise OSError("the storage did not answer")

    renewals, clock = Renewals(), local_target.clock
    with acquire(manifest_file(local_target, repeat=renewals.begin), "a", 1):
        assert renewals.every == RENEWED_EVERY
        clock.forward(20)
        assert renewals.again()
        assert local_target.manifest.holder.renewed_at == clock.now
        with monkeypatch.context() as storage:
            storage.setattr(compare_and_swap, "replace", fails)
            assert renewals.again()
        assert "could not be renewed" in caplog.text
        assert "the storage did not answer" in caplog.text
        clock.forward(60)
        local_target.lease("b")
        assert not renewals.again()
        assert "load b has it now" in caplog.text
        assert not renewals.stopped
    assert renewals.stopped
    assert local_target.manifest.holder.load_id == "b"


def test_renewing_leaves_the_version_alone(target):
    lease = target.lease("a")
    before = target.manifest.version
    lease.renew()
    lease.release()
    assert target.manifest.version == before


def test_who_lost_it_cannot_renew_and_takes_nobody_elses(target):
    lost = target.lease("a")
    target.clock.forward(61)
    lease = target.lease("b")
    with pytest.raises(LeaseLost, match=r"load a lost its lease .* load b has it now"):
        lost.renew()
    lost.release()
    lease.renew()
    lease.release()
    with pytest.raises(LeaseLost, match=r"nobody has it now"):
        lost.renew()


def test_it_is_given_back_at_the_end_and_after_an_error(target):
    with target.lease("a"):
        assert isinstance(target.lease("b"), Held)
    lease = target.lease("b")
    with pytest.raises(ZeroDivisionError), lease:
        raise ZeroDivisionError
    assert isinstance(target.lease("c"), Lease)


def test_a_detached_lease_stays_until_its_deadline(target):
    with target.lease("a") as lease:
        lease.detach(hour(102))
    target.clock.forward(7199)
    assert target.lease("b") == Held("a", 1, hour(102))
    resumed = target.lease("a", 2)
    resumed.check()
    assert isinstance(target.lease("a", 1), Held), "it is no longer detached"
    resumed.release()
    assert isinstance(target.lease("b"), Lease)


def test_a_detached_lease_ends(target):
    with target.lease("a") as lease:
        lease.detach(hour(102))
    target.clock.forward(7200)
    assert isinstance(target.lease("b"), Lease)


def test_it_outlasts_a_request_whose_answer_was_lost(target):
    lease = acquire(target.ledger.manifest_file, "a", 1, "", lambda: timedelta(seconds=45))
    with lease:
        target.clock.forward(10)
    target.clock.forward(44)
    assert isinstance(target.lease("b"), Held)
    assert isinstance(target.lease("a", 2), Held), "nor may it send what it plans anew"
    target.clock.forward(1)
    assert isinstance(target.lease("b"), Lease)


def test_it_does_not_outlast_anything_where_somebody_else_has_it(target):
    lost = acquire(target.ledger.manifest_file, "a", 1, "", lambda: timedelta(seconds=45))
    target.clock.forward(61)
    lease = target.lease("b")
    lost.release()
    lease.release()
    assert isinstance(target.lease("c"), Lease)
