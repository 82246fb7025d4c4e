"""What the suppression list keeps out: of every kind of load, in every account."""

import pyarrow as pa
import pytest

from optimove_provider.loads.ledger.lease import acquired
from optimove_provider.loads.optix.load import load
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.suppression import suppression_list
from optimove_provider.options import Guards
from tests.support.dcp.importing import Vendor
from tests.support.ledgers import hour, some
from tests.support.optix_target import opened
from tests.support.optix_transactions import TransactionTarget, night, planned

LOAD = "6f0f5d3a-0000-4000-8000-000000000001"
NOBODY = "6f0f5d3a-0000-4000-8000-00000000aaaa"


@pytest.fixture
def connection(tmp_path):
    return TransactionTarget(tmp_path)


def suppress(ledger, *keys):
    with acquired(ledger.manifest_file, NOBODY, 1) as lease:
        suppression_list.add(ledger, lease, keys, "a test")


def summed(report):
    """Rows accepted, unchanged, stale and suppressed; the account adds up."""
    assert report.unsent == 0
    return report.accepted, report.unchanged, report.stale, report.suppressed


@pytest.mark.parametrize("how", [{"source_is": "snapshot"}, {"source_is": "delta"}, {"mode": "full"}])
def test_a_plan_leaves_them_out_whatever_the_ledger_has_of_them(local_target, how):
    local_target.load({"same": 1, "changed": 1, "there": 1}, hour(1))
    suppress(local_target.ledger, "same", "changed", "new")
    plan = local_target.load({"same": 1, "changed": 2, "new": 1, "there": 2}, hour(2), **how)
    assert some(plan) == {"suppressed": 3, "changed": 1}
    assert local_target.store == {"same": 1, "changed": 1, "there": 2}


def test_the_first_load_into_a_target_leaves_them_out_too(local_target):
    suppress(local_target.ledger, "a")
    plan = local_target.load({"a": 1, "b": 1}, hour(1), compared=False, judged=False)
    assert (some(plan), local_target.store) == ({"suppressed": 1, "new": 1}, {"b": 1})


def test_a_key_that_a_snapshot_has_is_not_removed_by_it_and_what_it_lacks_is(local_target):
    local_target.load({"a": 1, "b": 1, "c": 1}, hour(1))
    suppress(local_target.ledger, "a", "b")
    plan = local_target.load({"a": 1, "c": 1}, hour(2), source_is="snapshot", on_removed="expire")
    assert some(plan) == {"suppressed": 1, "unchanged": 1, "removed": 1}
    assert local_target.store == {"a": 1, "c": 1}


def test_a_row_that_cannot_travel_is_rejected_whoever_it_is_of(local_target):
    local_target.load({"a": 1, "b": 1}, hour(1))
    suppress(local_target.ledger, "a")
    assert some(local_target.load({"a": ..., "b": 2}, hour(2))) == {"changed": 1}


def test_who_is_taken_off_is_sent_again(local_target):
    suppress(local_target.ledger, "a")
    local_target.load({"a": 1}, hour(1))
    with acquired(local_target.ledger.manifest_file, NOBODY, 1) as lease:
        suppression_list.remove(local_target.ledger, lease, ["a"])
    assert some(local_target.load({"a": 1}, hour(2))) == {"new": 1}


def test_a_plan_that_was_made_before_does_not_hold_any_more(connection):
    connection.sync({"a": "1", "b": "1"}, night(0))
    before = planned(connection, {"a": "2", "b": "2"}, night(1)).plan["digest"]
    suppress(connection.ledger, "a")
    report = planned(connection, {"a": "2", "b": "2"}, night(1))
    assert (report.suppressed, report.plan["changed"], report.plan["suppressed"]) == (1, 1, 1)
    assert report.plan["digest"] != before


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_a_load_accounts_for_them(connection, mode):
    suppress(connection.ledger, "a")
    report = connection.sync({"a": "1", "b": "1"}, night(1), mode=mode)
    assert (summed(report), connection.values) == ((1, 0, 0, 1), {"b": "1"})
    assert "2 rows: 1 accepted, 1 suppressed" in report.sentence
    assert report.result(connection.staging)["suppressed"] == 1
    page = connection.staging.url(f"reports/{report.load_id}.html")
    with connection.staging.fs.open(page) as file:
        assert "left out, as their keys are on the suppression list" in file.read().decode()
    report = connection.sync({"a": "2"}, night(2), mode=mode)
    assert (report.state, summed(report), connection.values) == ("nothing_to_send", (0, 0, 0, 1), {"b": "1"})


def test_an_integer_key_is_kept_out_by_its_digits(connection):
    suppress(connection.ledger, "7")
    report = Report(LOAD, {})
    options = connection.wanted(key_type="integer")
    load(connection.client, lambda: opened_integers(7, 8), connection.staging, report, options)
    assert (summed(report), list(connection.visible)) == ((1, 0, 0, 1), ["8"])


def test_rows_of_columns_that_come_late_are_left_out_too(connection):
    """Where nulls travel, every row has every column."""
    suppress(connection.ledger, "a")
    report = connection.sync({"a": None, "b": None}, night(1), nulls="null")
    assert (summed(report), connection.values) == ((1, 0, 0, 1), {"b": None})


def test_an_update_leaves_them_out(connection):
    connection.sync({"a": "1", "b": "1", "c": "1"}, night(3))
    suppress(connection.ledger, "a")
    report = connection.update({"a": "2", "b": "2"}, night(4))
    assert (summed(report), connection.values) == ((1, 0, 0, 1), {"a": "1", "b": "2", "c": "1"})
    report = connection.update({"a": "2"}, night(5))
    assert (report.state, summed(report)) == ("nothing_to_send", (0, 0, 0, 1))
    report = connection.update({"a": "2", "b": "0"}, night(1))  # older than the newest snapshot
    assert (report.state, summed(report)) == ("nothing_to_send", (0, 0, 2, 0))


def test_a_guard_counts_them_as_rows_of_the_source(connection):
    """A third of the customers were suppressed: the next snapshot is no accident for that."""
    keys = [f"k{number}" for number in range(30)]
    connection.sync(dict.fromkeys(keys, "1"), night(0))
    suppress(connection.ledger, *keys[:20])
    report = connection.sync(dict.fromkeys(keys, "1"), night(1), guards=Guards(), on_removed="expire")
    assert summed(report) == (0, 10, 0, 20)
    with pytest.raises(GuardStopped, match="min_rows_share"):
        connection.sync(dict.fromkeys(keys[:10], "1"), night(2), guards=Guards(), on_removed="expire")


def test_an_import_of_what_changed_asks_the_list_of_its_table(tmp_path):
    vendor = Vendor(tmp_path)
    vendor.load(b"customerId,ltv\n1,1\n2,1\n")
    suppress(vendor.ledger, "1")
    report = vendor.load(b"customerId,ltv\n1,2\n2,2\n")
    assert (report.state, summed(report)) == ("committed", (1, 0, 0, 1))
    assert {one: values["ltv"] for one, values in vendor.profiles.items()} == {"1": 1, "2": 2}


def opened_integers(*keys):
    return opened([pa.RecordBatch.from_pydict({"id": list(keys)})])
