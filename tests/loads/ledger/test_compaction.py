"""Layers made one: whatever they say, no plan is another one afterwards. After reports against merging stores."""

from tempfile import TemporaryDirectory

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.contract.wire.evidence import NONE, Evidence
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import LeaseLost
from optimove_provider.loads.ledger.manifest import CommitConflict
from optimove_provider.loads.state.staging import Staging
from tests.support.crash.shared_duck import shared_duck
from tests.support.ledgers import MEMORY, Clock, Target, hour, ledger_rows, some

SNAPSHOT = {"source_is": "snapshot"}
EXPIRE = {"source_is": "snapshot", "on_removed": "expire"}
KEYS = "abc"
HOURS = 3
LOADS = st.tuples(
    st.sampled_from(["delta", "snapshot", "expiring snapshot", "unproven delta", "dead"]),
    st.dictionaries(st.sampled_from(KEYS), st.integers(0, 1), min_size=1),
    st.integers(0, HOURS - 1),
    st.booleans(),
)
"""What a load is, its rows, when they stand for, and whether the server refuses the first one."""


def carry_out(target, load):
    kind, rows, at, is_refused = load
    if kind == "dead":
        frozen = target.frozen(rows, hour(at))
        lease, plan = target.lease(frozen.load_id), target.plan(frozen)
        if plan.to_send:
            target.write_intent(lease, plan)
        lease.release()
        return
    how = {"snapshot": SNAPSHOT, "expiring snapshot": EXPIRE}.get(kind, {})
    evidence = {"evidence": Evidence(NONE)} if kind == "unproven delta" else {}
    target.load(rows, hour(at), rejected=(1,) if is_refused else (), **evidence, **how)


def plans(target):
    """What becomes of loads of all ages, from before anything was loaded to after everything."""
    every = {key: 0 for key in KEYS}
    return [
        (some(plan), plan.digest)
        for at in range(-1, HOURS + 1)
        for how in ({}, SNAPSHOT)
        for plan in [target.plan(target.frozen(every, hour(at), **how))]
    ]


@pytest.mark.any_version  # what it asks of DuckDB, other tests ask there, too
@settings(max_examples=8, deadline=None)
@given(st.lists(LOADS, min_size=2, max_size=6))
def test_no_plan_is_another_one_afterwards(loads):
    """A store gave the rows of a merged file the number of the newest one: deleted rows came back, older ones won."""
    with TemporaryDirectory() as folder, shared_duck():
        target = Target(Staging(LocalFileSystem(), folder), Clock())
        for load in loads:
            carry_out(target, load)
        before = plans(target)
        lease = target.lease("compacting")
        compaction.compact(target.ledger, lease, MEMORY)
        lease.release()
        assert plans(target) == before


def test_what_others_enter_meanwhile_is_not_merged_away(local_target, monkeypatch):
    """A compaction was checked against the state that it found when it was through, not the one that it had read."""
    local_target.load({"a": 1, "b": 1}, hour(0), **SNAPSHOT)
    local_target.load({"a": 2}, hour(1))
    lease = local_target.lease("compacting")
    merged = compaction._merged

    def slowly(*arguments):
        found = merged(*arguments)
        local_target.clock.forward(3600)
        local_target.load({"b": 3}, hour(2))
        return found

    monkeypatch.setattr(compaction, "_merged", slowly)
    before = dict(local_target.store)
    with pytest.raises((CommitConflict, LeaseLost)):
        compaction.compact(local_target.ledger, lease, MEMORY)
    assert local_target.store == {**before, "b": 3}
    assert {key: row["generation"] for key, row in ledger_rows(local_target.ledger).items()} == {
        '"a"': hour(1),
        '"b"': hour(2),
    }
