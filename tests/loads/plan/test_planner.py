"""What a plan says of a load: counts, files, examples, digest, warnings."""

import json
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.plan.plan import Plan, PlanInput
from optimove_provider.loads.plan.planner import NO_LEDGER_YET, is_below_watermark
from optimove_provider.loads.spool import row_files
from optimove_provider.loads.spool.row_files import ROWS
from tests.support.ledgers import age, hour, rows_in, some

SNAPSHOT = {"source_is": "snapshot"}
DAY = 86_400


def test_a_first_load_is_all_new(target):
    plan = target.plan(target.frozen({"a": 1, "b": 1}, hour(1), **SNAPSHOT))
    assert (some(plan), plan.rows, plan.to_send, plan.known) == ({"new": 2}, 2, 2, 0)
    assert rows_in(target.staging, plan.sent) == {"a": 1, "b": 1}
    assert (plan.removed, plan.warnings) == (None, (NO_LEDGER_YET,))


def test_an_empty_load_is_planned(target):
    plan = target.load({}, hour(1))
    assert (some(plan), plan.rows, plan.load.filled) == ({}, 0, {})


def test_all_rows_are_accounted_for(local_target):
    local_target.load({"same": 1, "other": 1, "newer": 1, "gone": 1}, hour(1), **SNAPSHOT)
    local_target.load({"newer": 3}, hour(3))
    plan = local_target.plan(local_target.frozen({"same": 1, "other": 2, "newer": 2, "new": 2}, hour(2), **SNAPSHOT))
    assert some(plan) == {"unchanged": 1, "changed": 1, "stale": 1, "new": 1, "removed": 1}
    assert plan.rows == sum(plan.counts.values()) - plan.counts["removed"]
    assert rows_in(local_target.staging, plan.sent) == {"other": 2, "new": 2}


@pytest.mark.parametrize(("every", "groups"), [(3, [5000, 2819]), (50, [470])], ids=["many", "few"])
def test_what_is_sent_is_what_was_frozen_in_row_groups_of_5000(target, every, groups):
    rows = {number: number for number in range(23_456)}
    target.load({**rows, **{number: -1 for number in range(0, 23_456, every)}}, hour(1))
    frozen = target.frozen(rows, hour(2))
    plan = target.plan(frozen)
    assert some(plan) == {"changed": sum(groups), "unchanged": 23_456 - sum(groups)}
    wanted = [row for row in _all(target, frozen.rows_folder) if (row["_row"] - 1) % every == 0]
    assert _all(target, plan.sent) == wanted
    [path] = row_files.paths(target.staging, plan.sent)
    with target.staging.open(path) as stream:
        found = pq.read_metadata(stream)
    assert [found.row_group(number).num_rows for number in range(found.num_row_groups)] == groups


def _all(target, folder):
    return [row for batch in row_files.read_rows(target.staging, folder, ROWS.names) for row in batch.to_pylist()]


def test_keys_are_compared_as_texts(local_target):
    local_target.load({"1": 1, "00123": 1}, hour(1))
    assert some(local_target.plan(local_target.frozen({1: 1, 123: 1, "1": 1}, hour(2)))) == {"new": 2, "unchanged": 1}


def test_full_trusts_no_fingerprint_and_sends_nothing_stale(local_target):
    local_target.load({"a": 1, "b": 3}, hour(1))
    local_target.load({"b": 3}, hour(3))
    plan = local_target.load({"a": 1, "b": 2, "c": 2}, hour(2), mode="full")
    assert some(plan) == {"unknown": 1, "stale": 1, "new": 1}


def test_a_refused_row_is_neither_sent_nor_removed(local_target):
    local_target.load({"a": 1, "b": 1}, hour(1), **SNAPSHOT)
    plan = local_target.load({"a": 1, "b": ...}, hour(2), source_is="snapshot", on_removed="expire")
    assert (some(plan), plan.rows, plan.removed) == ({"unchanged": 1}, 1, None)


@pytest.mark.parametrize(
    ("passed", "counts"),
    [(0, {"unchanged": 1}), (4 * DAY, {"unchanged": 1}), (6 * DAY, {"expiring": 1}), (11 * DAY, {"expiring": 1})],
)
def test_a_row_is_sent_again_before_it_expires(local_target, passed, counts):
    local_target.load({"a": 1}, hour(1), ttl_seconds=10 * DAY)
    local_target.clock.forward(passed - 60)
    local_target.load({"other": 1}, hour(2), ttl_seconds=10 * DAY)
    local_target.clock.forward(60)
    assert some(local_target.plan(local_target.frozen({"a": 1}, hour(3), ttl_seconds=10 * DAY))) == counts


def test_a_row_is_sent_again_if_it_may_be_gone_at_the_load_after_next(local_target):
    local_target.load({"a": 1}, hour(1), ttl_seconds=10 * DAY)
    local_target.clock.forward(3.5 * DAY)
    plan = local_target.plan(local_target.frozen({"a": 1}, hour(2), ttl_seconds=10 * DAY))
    assert (some(plan), plan.warnings) == ({"expiring": 1}, ())


def test_a_ttl_that_is_too_short_is_warned_of(local_target):
    local_target.load({"a": 1}, hour(1))
    local_target.clock.forward(DAY)
    [warning] = local_target.plan(local_target.frozen({"a": 1}, hour(2), ttl_seconds=DAY)).warnings
    assert "ttl_seconds=86400 is less than twice the time since the load before (86400 s)" in warning


def test_without_a_ttl_a_row_that_would_go_is_sent_to_stay(local_target):
    local_target.load({"a": 1}, hour(1), ttl_seconds=10 * DAY)
    assert some(local_target.load({"a": 1}, hour(2))) == {"expiring": 1}
    assert some(local_target.load({"a": 1}, hour(3))) == {"unchanged": 1}


def test_a_row_expires_no_later_than_the_ledger_says(local_target):
    plan = local_target.plan(local_target.frozen({"a": 1}, hour(1), ttl_seconds=60))
    assert plan.as_commit(hour(9)).origin.expires == local_target.clock.now + timedelta(seconds=60)


def test_examples_show_what_changes(target):
    target.load({"a": 1, "b": 2}, hour(1))
    plan = target.plan(target.frozen({"a": 1, "b": "new"}, hour(2)))
    assert plan.examples == ({"kind": "changed", "key": "b", "columns": {"value": [2, "new"]}},)


def test_a_first_plan_has_examples_of_what_is_new(local_target):
    plan = local_target.plan(local_target.frozen({"a": 1}, hour(1)))
    assert plan.examples == ({"kind": "new", "key": "a", "columns": {"id": [None, "a"], "value": [None, 1]}},)


def test_examples_have_each_kind_that_is_there(local_target):
    local_target.load({"a": 1, "b": 2, "c": 3}, hour(1), **SNAPSHOT)
    ledger = local_target.ledger
    with acquired(ledger.manifest_file, "other", 1) as lease:
        ledger.invalidate(lease, [('"c"', None)], age(1))
    plan = local_target.plan(local_target.frozen({"a": 9, "c": 3, "d": 4}, hour(2), **SNAPSHOT))
    told = {one["kind"]: (one["key"], one["columns"]["value"]) for one in plan.examples}
    assert told == {
        "changed": ("a", [1, 9]),
        "unknown": ("c", [None, 3]),
        "new": ("d", [None, 4]),
        "removed": ("b", [2, None]),
    }


def test_a_digest_is_of_what_is_applied(local_target):
    local_target.load({"a": 1, "b": 1, "c": 1}, hour(1), ttl_seconds=DAY, **SNAPSHOT)

    def digest(rows, number=2, **how):
        return local_target.plan(local_target.frozen(rows, hour(number), **SNAPSHOT, **how)).digest

    shown = digest({"a": 2, "b": 1, "n": 1}, ttl_seconds=DAY)
    assert digest({"n": 1, "b": 1, "a": 2}, 3, ttl_seconds=DAY) == shown
    assert digest({"n": 1, "b": 1, "a": 2}, 3, ttl_seconds=9 * DAY) != shown
    others = [{"a": 3, "b": 1, "n": 1}, {"a": 2, "b": 1}, {"a": 2, "b": 1, "m": 1}, {"a": 2, "c": 1, "n": 1}]
    assert shown not in [digest(rows) for rows in others]
    local_target.load({"a": 1}, hour(1))
    assert digest({"a": 2, "b": 1, "n": 1}, ttl_seconds=DAY) != shown


def test_a_plan_is_kept_as_json(local_target):
    local_target.load({"a": 1}, hour(1))
    plan = local_target.plan(local_target.frozen({"a": 2}, hour(2), ttl_seconds=DAY, source_is="snapshot"))
    assert Plan.from_json(json.loads(json.dumps(plan.as_json()))) == plan


def test_the_watermark(local_target):
    assert not is_below_watermark(local_target.manifest, age(1))
    local_target.load({"a": 1}, hour(2), **SNAPSHOT)
    assert [is_below_watermark(local_target.manifest, age(number)) for number in (1, 2, 3)] == [True, False, False]


def test_a_delta_removes_nothing():
    with pytest.raises(SettingsError, match='needs source_is="snapshot"'):
        PlanInput("a", "folder", age(1), on_removed="expire")


def test_a_layer_of_a_newer_format_is_an_error(local_target):
    local_target.load({"a": 1}, hour(1))
    path = f"{local_target.staging.root}/{local_target.manifest.layers[0].path}"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"optimove.format": "2"}), path)
    with pytest.raises(DataError, match=r"newer version of this provider \(format 2, this one knows 1\)"):
        local_target.plan(local_target.frozen({"a": 1}, hour(2)))
