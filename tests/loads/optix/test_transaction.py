"""Loads against the ledger: only what changed is sent, nothing older wins, and every way to lose data is closed."""

import io
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from optimove_provider.contract.wire.errors import DataError, Disagreement, SettingsError
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.ledger.lease import LeaseLost, TargetBusy, acquire
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from optimove_provider.options import Guards
from optimove_provider.records.read.json_lines import json_rows
from optimove_provider.surroundings import REAL
from tests.support.optix_target import Killed, opened
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night, planned, rows


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def test_what_the_target_has_already_is_not_sent(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    report = target.sync({"a": "1", "b": "3", "c": "4"}, night(1))
    assert counts(report) == (2, 1, 0, 0)
    assert {name: report.plan[name] for name in ("new", "changed", "unchanged")} == {
        "new": 1,
        "changed": 1,
        "unchanged": 1,
    }
    assert report.plan["samples"] == [
        {"kind": "changed", "key": "b", "columns": {"value": ["2", "3"]}},
        {"kind": "new", "key": "c", "columns": {"id": [None, "c"], "value": [None, "4"]}},
    ]
    assert (target.values, target.sent) == ({"a": "1", "b": "3", "c": "4"}, 4)


def test_nothing_new_is_no_request(target):
    target.sync({"a": "1"}, night(0))
    report = target.sync({"a": "1"}, night(1))
    assert (report.state, counts(report), target.sent) == ("nothing_to_send", (0, 1, 0, 0), 1)


def test_a_full_load_sends_everything_and_enters_the_ledger(target):
    target.sync({"a": "1", "b": "2"}, night(0), mode="full", source_is="delta")
    assert counts(target.sync({"a": "1", "b": "2"}, night(1), mode="full")) == (2, 0, 0, 0)
    assert counts(target.sync({"a": "1", "b": "2"}, night(2))) == (0, 2, 0, 0)


@pytest.mark.parametrize("mode", ["full", "changed"])
@pytest.mark.parametrize("source_is", ["snapshot", "delta"])
def test_a_load_older_than_a_committed_snapshot_sends_nothing(target, mode, source_is):
    target.sync({"a": "new"}, night(5))
    report = target.sync({"a": "old", "b": "old"}, night(4), mode=mode, source_is=source_is)
    assert (report.state, counts(report)) == ("nothing_to_send", (0, 0, 2, 0))
    assert target.values == {"a": "new"}


def test_an_older_delta_changes_what_no_newer_one_has(target):
    target.sync({"a": "5", "b": "5"}, night(5), source_is="delta")
    report = target.sync({"a": "4", "c": "4"}, night(4), source_is="delta")
    assert counts(report) == (1, 0, 1, 0)
    assert target.values == {"a": "5", "b": "5", "c": "4"}


def test_what_a_snapshot_lacks_is_reported_once_and_expires_when_asked(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    assert target.sync({"a": "1"}, night(1)).plan["removed"] == 1
    assert target.sync({"a": "1"}, night(2)).plan["removed"] == 0
    assert target.values == {"a": "1", "b": "2"}
    report = target.sync({"a": "1"}, night(3), on_removed="expire")
    assert (report.expired, target.completed and len(target.completed)) == (1, 2)
    now = target.state.clock() + 2
    assert set(target.state.connections[target.data_connection_uuid].visible(now)) == {"a"}
    assert counts(target.sync({"a": "1", "b": "2"}, night(4))) == (1, 1, 0, 0)


def test_a_crash_while_expiring_is_made_good_by_the_retry(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(Killed):
        target.sync({"a": "1"}, night(1), load_id, on_removed="expire")
    target.kill_at = 0
    report = target.sync({"a": "1"}, night(1), load_id, on_removed="expire")
    assert report.expired == 1
    assert not target.ledger.read().intents


def test_a_row_that_was_refused_is_neither_removed_nor_forgotten(target):
    target.state.switches = Switches(poison="poison")
    target.sync({"a": "1", "b": "2"}, night(0))
    report = target.sync({"a": "3", "b": "poison"}, night(1), on_removed="expire", max_rejected=1)
    assert (report.rejected, report.plan["removed"], target.values) == (1, 0, {"a": "3", "b": "2"})
    assert target.sync({"a": "3", "b": "3"}, night(2)).plan["changed"] == 1


def test_a_night_on_which_nothing_else_changed_is_no_worse_for_a_row_that_is_always_refused(target):
    target.state.switches = Switches(poison="poison")
    values = {str(number): "1" for number in range(9)}
    for number in range(2):
        report = target.sync({**values, "b": "poison"}, night(number), max_rejected=0.1)
        assert (report.state, report.rejected, report.unsent) == ("committed", 1, 0)
    with pytest.raises(DataError, match="refused every row"):
        target.sync({**values, "b": "poison"}, night(2))
    assert (target.report.rejected, target.report.unchanged, target.report.unsent) == (1, 9, 0)
    assert target.rejected[0]["record"]["id"] == "b"


def test_a_row_that_cannot_travel_keeps_its_key_from_being_removed(target):
    batch = {"id": ["a", "b"], "value": [1.0, float("nan")]}
    target.sync({"a": "1", "b": "2"}, night(0))
    report = target.load(
        [pa.RecordBatch.from_pydict(batch)],
        "6f0f5d3a-0000-4000-8000-00000000dead",
        generation=night(1),
        mode="changed",
        source_is="snapshot",
        on_removed="expire",
        max_rejected=1,
        guards=NO_GUARDS,
    )
    assert (report.plan["removed"], set(target.visible)) == (0, {"a", "b"})


def test_rows_without_a_key_keep_everything_from_expiring(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    report = target.sync({"a": "1", None: "2"}, night(1), on_removed="expire", max_rejected=1)
    assert (report.expired, set(target.visible)) == (0, {"a", "b"})
    assert any("no key that could be told" in note for note in report.notes)


@pytest.mark.parametrize("on_removed", ["report", "expire"])
@pytest.mark.parametrize("mode", ["full", "changed"])
def test_a_key_that_cannot_be_told_makes_no_other_one_removed(target, on_removed, mode):
    target.sync({"a": "1", "b": "2"}, night(0))
    report = target.sync({"a": "1", None: "2"}, night(1), on_removed=on_removed, mode=mode, max_rejected=1)
    assert (report.plan["removed"], report.plan["reported"], report.rejected) == (0, 0, 1)
    report = target.sync({"a": "1"}, night(2), on_removed=on_removed, mode=mode)
    assert report.plan["removed"] == 1


def test_what_was_reported_before_stays_so_while_a_key_cannot_be_told(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    target.sync({"a": "1"}, night(1))
    assert target.sync({"a": "1", None: "2"}, night(2), on_removed="expire", max_rejected=1).expired == 0
    assert target.sync({"a": "1"}, night(3), on_removed="expire").expired == 1


@pytest.mark.parametrize("cut", ['{"id":"2","value":', '["id"]', '{"value":"1"}', '{"id":null,"value":"1"}'])
def test_a_line_that_cannot_be_read_makes_no_key_removed(target, cut):
    target.sync({"1": "1", "2": "1"}, night(0))
    lines = ['{"id":"1","value":"1"}', cut]
    report = Report("6f0f5d3a-0000-4000-8000-00000000dead", {})
    wanted = target.wanted(mode="changed", source_is="snapshot", guards=NO_GUARDS, generation=night(1), max_rejected=1)
    source = lambda: nullcontext(json_rows(io.BytesIO("\n".join(lines).encode()), "x.jsonl"))  # noqa: E731
    load(target.client, source, target.staging, report, wanted)
    assert (report.plan["removed"], report.rejected) == (0, 1)


def test_a_load_that_dies_between_closing_and_commit_is_made_good_by_its_retry(target):
    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    target.kill_at, target.killed_after = 3, True  # the closing request was carried out, and nobody heard of it
    with pytest.raises(Killed):
        target.sync({str(number): "1" for number in range(10_001)}, night(0), load_id)
    target.kill_at = 0
    assert target.ledger.read().intents
    report = target.sync({}, night(0), load_id)
    assert (counts(report), len(target.completed)) == ((10_001, 0, 0, 0), 1)
    assert not target.ledger.read().intents


def test_a_load_that_dies_and_is_never_retried_leaves_its_keys_unknown(target):
    target.sync({"a": "1"}, night(0))
    target.kill_at, target.killed_after = len(target.bodies) + 1, True
    with pytest.raises(Killed):
        target.sync({"a": "2"}, night(1))
    target.kill_at = 0
    target.let_a_minute_pass()
    assert target.values == {"a": "2"}
    report = target.sync({"a": "1"}, night(2))
    assert (report.plan["unknown"], target.values) == (1, {"a": "1"})


def test_of_two_loads_that_died_the_newer_ones_rows_count(target):
    """The ledger is empty, so both marks go to its ground."""
    target.killed_after = True
    ids = ["6f0f5d3a-0000-4000-8000-00000000bee1", "6f0f5d3a-0000-4000-8000-00000000bee3"]
    for load_id, number in zip(ids, (1, 3), strict=True):
        target.kill_at = len(target.bodies) + 1
        with pytest.raises(Killed):
            target.sync({"k": str(number), "x": str(number)}, night(number), load_id, source_is="delta")
        target.let_a_minute_pass()
    target.kill_at = 0
    target.sync({"z": "2"}, night(2), source_is="delta")
    report = target.sync({"k": "1", "x": "1"}, night(1), ids[0], source_is="delta")
    assert (counts(report), target.values) == ((0, 0, 2, 0), {"k": "3", "x": "3", "z": "2"})


def test_what_a_planning_left_that_did_not_end_is_of_no_plan(target, monkeypatch):
    def die(*_):
        raise Killed

    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    target.sync({"k": "1", "u": "1"}, night(0), source_is="delta")
    with monkeypatch.context() as patch:
        patch.setattr("optimove_provider.loads.plan.planner._digest", die)
        with pytest.raises(Killed):
            target.sync({"k": "2", "u": "1"}, night(2), load_id, source_is="delta")
    target.sync({"k": "3", "u": "3"}, night(3), source_is="delta")
    assert counts(target.sync({"k": "2", "u": "1"}, night(2), load_id, source_is="delta")) == (0, 0, 2, 0)
    report = target.sync({"k": "2", "u": "1"}, night(4), source_is="delta")
    assert (counts(report), target.values) == ((2, 0, 0, 0), {"k": "2", "u": "1"})


def test_another_load_that_works_on_the_target_is_named(target):
    lease = acquire(target.ledger.manifest_file, "the other load", 3)
    with pytest.raises(TargetBusy, match="load the other load, try 3"):
        target.sync({"a": "1"}, night(0))
    assert target.requests == []
    lease.release()
    target.sync({"a": "1"}, night(0))


def test_no_request_is_repeated_once_the_lease_may_be_lost(tmp_path):
    late = timedelta(0)

    class Slow(TransactionTarget):
        def send(self, request):
            nonlocal late
            answer = super().send(request)
            if answer.status == 503:
                late = timedelta(seconds=31)
            return answer

    target = Slow(tmp_path)
    target.staging = replace(target.staging, surroundings=replace(REAL, now=lambda: REAL.now() + late))
    target.state.faults.order(Fault("upload_data", times=1, status=503))
    with pytest.raises(LeaseLost):
        target.sync({"a": "1"}, night(0))
    assert len(target.bodies) == 1


def test_after_a_wait_the_source_is_not_read_again(target):
    lease = acquire(target.ledger.manifest_file, "the other load", 3)
    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    with pytest.raises(TargetBusy):
        target.sync({"a": "1"}, night(0), load_id)
    lease.release()
    report = target.load(
        iter(()), load_id, resumed=True, generation=night(0), mode="changed", source_is="snapshot", guards=NO_GUARDS
    )
    assert (report.accepted, target.values) == (1, {"a": "1"})


def test_a_retry_after_a_guard_plans_what_the_source_says_then(target):
    target.sync({str(number): "1" for number in range(100)}, night(0))
    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    with pytest.raises(GuardStopped):
        target.sync({"1": "2"}, night(1), load_id, guards=Guards())
    report = target.sync({str(number): "1" for number in range(101)}, night(1), load_id, guards=Guards())
    assert counts(report) == (1, 100, 0, 0)


def test_a_guard_stops_a_load_with_the_numbers_and_nothing_is_sent(target):
    target.sync({str(number): "1" for number in range(100)}, night(0))
    with pytest.raises(GuardStopped, match=r"3 rows are 3.0% of the 100.*Nothing was sent"):
        target.sync({"1": "1", "2": "1", "3": "1"}, night(1), guards=Guards())
    assert (target.report.state, target.sent) == ("failed", 100)


def test_a_dry_run_tells_what_would_be_done_and_leaves_nothing_behind_but_its_report(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    before = target.staging.fs.find(target.staging.root)
    report = planned(target, {"a": "1", "b": "3"}, night(1))
    left = [path for path in target.staging.fs.find(target.staging.root) if path not in before]
    assert left == [target.staging.path(f"reports/{report.load_id}.{ending}") for ending in ("html", "json")]
    assert (report.state, report.plan["changed"], target.sent) == ("planned", 1, 2)
    result = report.result(target.staging)
    assert (result["plan"], result["changed"], result["unchanged"]) == (report.plan["digest"], 1, 1)


@pytest.mark.parametrize("known", [{}, {"a": "1"}])
def test_the_digest_of_a_full_load_covers_its_rows_too(target, known):
    target.sync(known, night(0), mode="full", source_is="delta")
    full = {"mode": "full", "source_is": "delta"}
    digests = {planned(target, values, night(1), **full).plan["digest"] for values in ({"b": "2"}, {"b": "3"})}
    assert len(digests) == 2
    digest = planned(target, {"b": "4"}, night(1), **full).plan["digest"]
    assert target.sync({"b": "4"}, night(1), expected_plan=digest, **full).accepted == 1


def test_a_full_load_of_rows_that_differ_is_another_plan(target):
    target.sync({"a": "1"}, night(0))
    full = {"mode": "full", "source_is": "delta"}
    digest = planned(target, {"a": "2"}, night(1), **full).plan["digest"]
    with pytest.raises(Disagreement, match="1 changed"):
        target.sync({"a": "999"}, night(1), expected_plan=digest, **full)


def test_a_full_load_is_guarded_against_changes_of_most_records(target):
    target.sync({str(number): "1" for number in range(100)}, night(0))
    with pytest.raises(GuardStopped, match="100 records change of about 100"):
        target.sync({str(number): "2" for number in range(100)}, night(1), mode="full", guards=Guards())
    assert target.sync({str(number): "1" for number in range(100)}, night(1), mode="full", guards=Guards()).accepted


def test_a_plan_tells_of_records_that_were_reported_before_and_will_expire_now(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    target.sync({"a": "1"}, night(1))
    report = planned(target, {"a": "1"}, night(2), on_removed="expire")
    assert (report.plan["removed"], report.plan_sentence) == (1, "1 unchanged, 1 removed")
    digest = planned(target, {"a": "1", "b": "2"}, night(2), on_removed="expire").plan["digest"]
    with pytest.raises(Disagreement, match="1 removed"):
        target.sync({"a": "1"}, night(2), on_removed="expire", expected_plan=digest)


def test_a_plan_that_reports_what_is_gone_is_no_leave_to_expire_it(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    digest = planned(target, {"a": "1"}, night(1)).plan["digest"]
    with pytest.raises(Disagreement, match="1 removed"):
        target.sync({"a": "1"}, night(1), on_removed="expire", expected_plan=digest)


def test_only_the_expected_plan_is_carried_out(target):
    target.sync({"a": "1", "b": "2"}, night(0))
    digest = planned(target, {"a": "1", "b": "3"}, night(1)).plan["digest"]
    with pytest.raises(Disagreement, match=f"not {digest}.*1 changed"):
        target.sync({"a": "1", "b": "4"}, night(1), expected_plan=digest)
    assert target.values["b"] == "2"
    assert target.sync({"a": "1", "b": "3"}, night(1), expected_plan=digest).accepted == 1


def test_an_update_makes_its_keys_unknown_to_the_next_load(target):
    target.sync({"a": "1", "b": "2"}, night(-3))
    update = Update(replace(target.wanted(), max_rejected=0))
    report = Report("6f0f5d3a-0000-4000-8000-00000000cafe", {})
    load_update(target.client, lambda: opened(rows({"a": "9"})), target.staging, report, update)
    assert (report.accepted, target.values["a"]) == (1, "9")
    later = datetime.now(UTC) + timedelta(days=1)
    assert target.sync({"a": "1", "b": "2"}, later).plan["unknown"] == 1
    assert target.values == {"a": "1", "b": "2"}


def test_what_an_update_left_unknown_is_not_made_to_expire_and_that_is_said(target):
    target.sync({"a": "1", "b": "2"}, night(-3))
    report = Report("6f0f5d3a-0000-4000-8000-00000000cafe", {})
    load_update(target.client, lambda: opened(rows({"b": "9"})), target.staging, report, Update(target.wanted()))
    report = target.sync({"a": "1"}, datetime.now(UTC) + timedelta(days=1), on_removed="expire")
    assert (report.plan["removed"], report.expired, set(target.visible)) == (1, 0, {"a", "b"})
    assert any("1 of 1 records that the source lacks cannot be made to expire" in note for note in report.notes)


def test_what_a_report_notes_is_in_the_log(target, caplog):
    report = target.sync({"a": "1"}, night(0))
    assert any("no ledger in staging: it is new" in note for note in report.notes)
    assert all(note in caplog.text for note in report.notes)
    assert target.sync({"a": "1"}, night(1)).notes == []


def test_records_are_sent_again_before_they_expire(target):
    target.sync({"a": "1"}, night(0), ttl_seconds=3600)
    assert target.sync({"a": "1"}, night(1), ttl_seconds=3600).unchanged == 1
    report = target.sync({"a": "1"}, night(2), ttl_seconds=10_000)
    assert (report.plan["expiring"], report.accepted) == (1, 1)


def test_without_compare_and_swap_a_full_load_runs_and_says_what_it_lacks(target):
    target.staging = Staging(MemoryFileSystem(), f"/{target.data_connection_uuid}")
    report = target.sync({"a": "1"}, night(0), mode="full")
    assert (report.accepted, target.values) == (1, {"a": "1"})
    assert any("no ledger" in note for note in report.notes)
    with pytest.raises(SettingsError, match="need a ledger"):
        target.sync({"a": "1"}, night(1))


def test_a_ledger_of_a_newer_version_is_refused(target):
    target.sync({"a": "1"}, night(0))
    path = f"{target.ledger.manifest_file.folder}/manifest.json"
    target.staging.write(path, {**target.staging.read(path), "format": 99})
    with pytest.raises(DataError, match="newer version of this provider"):
        target.sync({"a": "2"}, night(1))
