"""What users of stores and table formats have reported about swaps, leases and clocks, tried on a ledger of ours."""

from dataclasses import replace
from datetime import timedelta

import pytest

from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import Held, LeaseLost
from optimove_provider.loads.ledger.ledger import Ledger
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.state import compare_and_swap
from tests.support.ledgers import NOON, TARGET, Clock, Target, ledger_rows

SOME = {"a": "1", "b": "2"}


@pytest.fixture
def swaps(monkeypatch):
    """The storage: after its next swap it does what is in `then`, and has lost the answer."""
    real, then = compare_and_swap.replace, []

    def swapped(*arguments):
        done = real(*arguments)
        if not then:
            return done
        return then.pop()()

    monkeypatch.setattr(compare_and_swap, "replace", swapped)
    return then


def lost():
    raise OSError(5, "the storage did not answer")


def planned(target, rows=SOME, generation=NOON):
    frozen = target.frozen(rows, generation)
    lease, plan = target.lease(frozen.load_id), target.plan(frozen)
    target.write_intent(lease, plan)
    target.send(plan)
    return lease, plan


def test_a_commit_counts_whose_answer_was_lost_and_that_was_written_over_since(local_target, swaps):
    """A commit that timed out had succeeded, and was looked for in the newest state only, where it was no more."""
    lease, plan = planned(local_target)

    def renewed():
        local_target.clock.forward(20)
        lease.renew()
        return False  # as of a request that was made twice: the condition is not met any more

    swaps.append(renewed)
    committed = local_target.commit(lease, plan)
    assert (committed.version, len(committed.layers), committed.intents) == (2, 1, {})
    assert local_target.manifest == committed


def test_so_does_an_intent_and_what_others_have_made_is_a_conflict_still(local_target, swaps):
    frozen = local_target.frozen(SOME, NOON)
    lease, plan = local_target.lease(frozen.load_id), local_target.plan(frozen)

    def renewed():
        lease.renew()
        return False

    swaps.append(renewed)
    written = local_target.write_intent(lease, plan)
    assert (written.version, list(written.intents)) == (1, [frozen.load_id])

    def overtaken():
        local_target.ledger.manifest_file.change(lambda manifest: manifest.changed(layers=()))
        return False

    swaps.append(overtaken)
    with pytest.raises(CommitConflict):
        local_target.commit(lease, plan)


def test_files_of_a_commit_whose_outcome_is_unknown_are_kept(local_target, swaps):
    """A writer takes a lost answer for a refusal and deletes its files, which the committed version names."""
    lease, plan = planned(local_target)
    swaps.append(lost)
    with pytest.raises(OSError, match="did not answer"):
        local_target.commit(lease, plan)
    assert compaction.vacuum(local_target.ledger, lease, local_target.clock() - compaction.GRACE) == []
    assert {row["state"] for row in ledger_rows(local_target.ledger).values()} == {"live"}
    before = local_target.manifest
    assert local_target.commit(lease, plan) == before, "nothing is entered twice"


def test_files_that_a_slow_writer_has_not_named_yet_are_no_orphans(local_target):
    """A clean-up removes what no state names, which is also what a job of many hours is about to commit."""
    lease, plan = planned(local_target)
    compaction.maintain(local_target.ledger, lease)
    local_target.clock.forward(6 * 3600)
    lease.renew()
    added = local_target.ledger.layers.link(plan.sent, plan.as_commit(local_target.clock()).origin)
    compaction.maintain(local_target.ledger, lease)
    assert all(local_target.staging.fs.exists(local_target.staging.path(layer.path)) for layer in added)
    local_target.commit(lease, plan)
    assert len(ledger_rows(local_target.ledger)) == len(SOME)


class Machine:
    """A target as a machine sees it that has a clock of its own, which people set; `runs` is what it measures."""

    def __init__(self, target):
        self.clock, self.runs = Clock(), 0.0
        self.clock.now = target.clock.now
        self.target = Target(target.staging, self.clock)
        surroundings = replace(self.target.staging.surroundings, monotonic=lambda: self.runs)
        self.target.staging = replace(self.target.staging, surroundings=surroundings)
        self.target.ledger = Ledger(self.target.staging, TARGET)

    def run(self, seconds):
        self.clock.forward(seconds)
        self.runs += seconds


def test_a_clock_that_is_set_back_makes_no_lease_last_longer(local_target):
    """Leases are told by the wall clock: after it was set back, one that is over counts as fresh."""
    machine = Machine(local_target)
    lease = machine.target.lease("a")
    machine.run(5)
    machine.clock.forward(-3600)
    machine.run(26)
    with pytest.raises(LeaseLost, match="set back by about 3600 s"):
        lease.check()
    machine.clock.forward(3595)
    with pytest.raises(LeaseLost, match="was last renewed 31 s ago"):
        lease.check()


def test_nor_does_it_renew_one_that_has_ended_for_everybody_else(local_target):
    machine = Machine(local_target)
    lease = machine.target.lease("a")
    machine.clock.forward(-3600)
    for does in (lease.renew, lease.check):
        machine.run(20)
        with pytest.raises(LeaseLost, match="clock of this machine was set back by about 3600 s") as caught:
            does()
        machine.run(-20)
    assert caught.value.retry_helps
    assert local_target.manifest.holder.until > local_target.clock(), "by the clock of the others"
    assert isinstance(local_target.lease("b"), Held)


def test_a_machine_that_slept_does_not_go_on_as_if_no_time_had_passed(local_target):
    """A virtual machine is suspended with its lock, and its own clock has not gone meanwhile."""
    machine = Machine(local_target)
    lease = machine.target.lease("a")
    machine.clock.forward(3600)
    local_target.clock.forward(3600)
    other = local_target.lease("b")
    with pytest.raises(LeaseLost, match="was last renewed 3600 s ago"):
        lease.check()
    lease.release()
    other.renew()
    assert local_target.manifest.holder.load_id == "b", "whoever wakes up gives back nobody else's lease"


def test_small_steps_of_a_clock_end_no_load(local_target):
    machine = Machine(local_target)
    lease = machine.target.lease("a")
    for _ in range(10):
        machine.run(20)
        machine.clock.forward(-2)
        lease.check()
        lease.renew()
    assert machine.clock() == local_target.clock() + timedelta(seconds=180)
    assert machine.runs == 200
