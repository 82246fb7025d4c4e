"""By what evidence rows were accepted: kept with them, through compaction and from older formats, and planned by."""

from dataclasses import asdict
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from optimove_provider.contract.wire.evidence import NONE, SAMPLED, Evidence
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.plan import guards
from optimove_provider.loads.plan.plan import COUNTED_ROWS, Plan
from optimove_provider.options import Guards
from tests.support.ledgers import hour, ledger_rows, rows_in, some

pytestmark = pytest.mark.any_version

SNAPSHOT = {"source_is": "snapshot"}
TWENTY = Evidence(SAMPLED, 20, 1000)
MONTH = timedelta(days=30).total_seconds()


def evidence_in(target):
    return {key: (row["evidence"], row["unproven_since"]) for key, row in ledger_rows(target.ledger).items()}


def planned(target, rows, reverify_after=MONTH, number=9, **how):
    return target.plan(target.frozen(rows, hour(number), reverify_after=reverify_after, **{**SNAPSHOT, **how}))


def compacted(target):
    lease = target.lease("compacting")
    assert compaction.compact(target.ledger, lease, "200MB")
    lease.release()


@pytest.mark.parametrize("rejected", [(), (2,)], ids=["linked", "rewritten"])
def test_evidence_is_kept_with_the_rows_and_by_compaction(target, rejected):
    began = target.clock.now
    target.load({"a": 1, "b": 1}, hour(1), TWENTY, rejected)
    target.clock.forward(5)
    target.load({"c": 1}, hour(2))
    kept = {'"a"': ("sampled 20 of 1000", began), '"c"': ("counted", None)}
    assert {**evidence_in(target), **kept} == evidence_in(target)
    compacted(target)
    assert {**evidence_in(target), **kept} == evidence_in(target)


def test_what_nobody_counted_is_sent_again_after_a_while_and_is_no_change(local_target):
    local_target.load({"counted": 1}, hour(1))
    local_target.load({"sampled": 1}, hour(2), TWENTY)
    local_target.load({"none": 1, "changes": 1}, hour(3), Evidence(NONE, why="nobody looked"))
    rows = {"counted": 1, "sampled": 1, "none": 1, "changes": 2}
    early = planned(local_target, rows)
    assert some(early) == {"unchanged": 3, "changed": 1}
    local_target.clock.forward(MONTH + 1)
    plan = planned(local_target, rows)
    assert some(plan) == {"unchanged": 1, "reverified": 2, "changed": 1}
    assert (plan.to_send, plan.rows, plan.digest) == (3, 4, early.digest)
    assert rows_in(local_target.staging, plan.sent) == {"sampled": 1, "none": 1, "changes": 2}
    assert any("2 rows that look unchanged are sent again" in told for told in plan.warnings)
    guards.check(plan, local_target.manifest, Guards(max_changed_share=0.0001))
    assert some(planned(local_target, rows, reverify_after=None)) == some(early)
    assert some(planned(local_target, rows, reverify_after=1e300)) == some(early)
    assert some(planned(local_target, rows, mode="full", source_is="delta"))["unknown"] == 3


def test_no_time_at_all_sends_them_with_every_load(local_target):
    local_target.load({"a": 1}, hour(1), TWENTY)
    local_target.clock.forward(1)
    assert some(planned(local_target, {"a": 1}, reverify_after=0)) == {"reverified": 1}


def test_a_row_that_went_again_is_as_new_as_that(local_target):
    local_target.load({"a": 1}, hour(1), TWENTY)
    local_target.clock.forward(MONTH + 1)
    local_target.load({"a": 1}, hour(2), Evidence(SAMPLED, 1, 1), reverify_after=MONTH, **SNAPSHOT)
    assert evidence_in(local_target) == {'"a"': ("sampled 1 of 1", local_target.clock.now)}
    assert some(planned(local_target, {"a": 1})) == {"unchanged": 1}


def test_a_delta_that_finds_a_row_unchanged_does_not_prove_it(local_target):
    local_target.load({"a": 1}, hour(1), TWENTY)
    local_target.clock.forward(MONTH - 1)
    local_target.load({"a": 1}, hour(2), reverify_after=MONTH)
    assert evidence_in(local_target)['"a"'][0] == "sampled 20 of 1000"
    local_target.clock.forward(2)
    assert some(planned(local_target, {"a": 1})) == {"reverified": 1}


def test_more_expiring_rows_are_no_less_expiring(local_target):
    local_target.load({"a": 1}, hour(1), TWENTY, ttl_seconds=10)
    local_target.clock.forward(8)
    assert some(planned(local_target, {"a": 1}, 1, ttl_seconds=10)) == {"expiring": 1}


def as_format_1(target):
    """The ledger, as the version before wrote it."""
    path = f"{target.ledger.manifest_file.folder}/manifest.json"
    found = target.staging.read(path)
    for layer in found["layers"]:
        del layer["has_evidence"]
        origin = layer["origin"] or {}
        for name in ("evidence", "unproven_since"):
            origin.pop(name, None)
        if not origin:
            with target.staging.open(layer["path"]) as stream:
                table = pq.read_table(stream).drop_columns(["evidence", "unproven_since"])
            with target.staging.open_new(layer["path"]) as out:
                pq.write_table(table, out)
    target.staging.write(path, {**found, "format": 1})


@pytest.mark.parametrize("rejected", [(), (2,)], ids=["linked", "rewritten"])
def test_rows_of_an_older_ledger_have_no_evidence_and_are_as_old_as_their_source(target, rejected):
    target.load({"a": 1, "b": 1}, hour(1), COUNTED_ROWS, rejected)
    as_format_1(target)
    assert evidence_in(target)['"a"'] == (None, hour(1))
    span = (target.clock.now - hour(1)).total_seconds()
    assert some(planned(target, {"a": 1}, span + 1, source_is="delta")) == {"unchanged": 1}
    assert some(planned(target, {"a": 1}, span - 1, source_is="delta")) == {"reverified": 1}
    target.load({"c": 1}, hour(2))
    compacted(target)
    assert evidence_in(target)['"a"'] == (None, hour(1))
    assert evidence_in(target)['"c"'] == ("counted", None)


def test_a_plan_of_the_version_before_is_carried_out(local_target):
    local_target.load({"a": 1, "b": 1}, hour(1))
    plan = planned(local_target, {"a": 2}, source_is="delta")
    found = plan.as_json()
    del found["counts"]["reverified"], found["load"]["reverify_after"]
    assert Plan.from_json(found).to_send == 1
    assert asdict(Plan.from_json(found).load)["reverify_after"] is None
