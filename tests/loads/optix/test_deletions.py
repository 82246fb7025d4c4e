"""Deltas with deletions: the records of their keys expire, after what is there has come, and each row is accounted."""

import json
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from optimove_provider.contract.wire.errors import DataError, SettingsError
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.plan.guards import GuardStopped
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.options import Guards
from optimove_provider.records.read.sources import list_batches
from optimove_provider.records.rejected_lines import rejected_row
from optimove_provider.records.to_json.deletions import is_deletion
from optimove_provider.records.to_json.stamps import stamp_text
from tests.support.crash.deltas import DeltaTarget
from tests.support.crash.dying import fate
from tests.support.ledgers import ledger_rows
from tests.support.optix_transactions import NO_GUARDS, counts, night


@pytest.fixture
def target(tmp_path):
    with fate() as one:
        yield DeltaTarget(tmp_path, one)


def test_the_records_of_deletions_expire_after_the_others_have_come(target):
    target.sync({"a": "1", "b": "1", "c": "1"}, night(0))
    target.bodies.clear()
    report = target.delta({"a": "2", "b": ..., "n": "1"}, night(1))
    assert (report.state, counts(report), report.deleted, report.expired) == ("committed", (2, 0, 0, 0), 1, 1)
    assert target.sent() == [("a", "2", None), ("n", "1", None), ("b", "1", 1)]
    assert all("gone" not in record for body in target.bodies for record in json.loads(body)["data"])
    assert target.values == {"a": "2", "c": "1", "n": "1"}
    assert "1 deleted" in report.sentence
    assert "gone" not in report.formulas
    target.check_ledger()
    assert ledger_rows(target.ledger)['"b"']["state"] == "tombstone"


def test_a_delta_of_deletions_alone_and_of_a_key_that_comes_back(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    report = target.delta({"a": ...}, night(1))
    assert (report.state, counts(report), report.deleted) == ("committed", (0, 0, 0, 0), 1)
    assert target.delta({"a": "1"}, night(2)).plan["new"] == 1
    assert target.values == {"a": "1", "b": "1"}


def test_a_key_that_the_ledger_does_not_have_costs_no_request_and_keeps_older_rows_out(target):
    target.sync({"a": "1"}, night(0), source_is="delta")
    sent = len(target.bodies)
    report = target.delta({"x": ..., "y": ...}, night(2))
    assert (report.state, counts(report), report.deleted, report.expired) == ("nothing_to_send", (0, 0, 0, 0), 2, 0)
    assert report.plan["absent"] == 2
    assert "2 deletions have keys that the ledger does not have" in " ".join(report.notes)
    assert len(target.bodies) == sent
    assert counts(target.delta({"x": "1", "z": "1"}, night(1))) == (1, 0, 1, 0)
    assert counts(target.delta({"x": "1"}, night(3))) == (1, 0, 0, 0)


def test_into_a_target_without_a_ledger(target):
    report = target.delta({"a": "1", "b": ...}, night(1))
    assert (counts(report), report.deleted) == ((1, 0, 0, 0), 1)
    assert counts(target.delta({"b": "1"}, night(0))) == (0, 0, 1, 0)


def test_a_stale_deletion_does_nothing(target):
    target.sync({"a": "1", "b": "1"}, night(3), source_is="delta")
    report = target.delta({"a": ..., "c": "1"}, night(2))
    assert (counts(report), report.deleted, report.expired) == ((1, 0, 1, 0), 0, 0)
    target.sync({"z": "1"}, night(5))
    report = target.delta({"a": ..., "z": ..., "b": "1"}, night(4))
    assert (report.state, counts(report), report.deleted) == ("nothing_to_send", (0, 0, 3, 0), 0)
    assert target.values["a"] == "1"


def test_an_older_row_does_not_bring_a_deleted_key_back(target):
    target.sync({"a": "1"}, night(0))
    target.delta({"a": ...}, night(5))
    assert counts(target.delta({"a": "4"}, night(4))) == (0, 0, 1, 0)
    assert target.values == {}


def test_a_key_whose_record_nobody_knows_any_more_is_sent_alone(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.update({"a": "2"}, night(1))
    target.bodies.clear()
    report = target.delta({"a": ...}, night(2))
    assert (report.deleted, report.expired, target.sent()) == (1, 1, [("a", None, 1)])
    assert target.values == {"b": "1"}


def test_it_carries_the_stamp_that_the_record_was_accepted_with(target):
    target.sync({"a": "1"}, night(0), stamp=stamp_text({"run": "first"}))
    target.delta({"a": ..., "b": "1"}, night(1), stamp=stamp_text({"run": "second"}))
    assert target.sent("run")[1:] == [("b", "second", None), ("a", "first", 1)]


def test_many_deletions_are_an_accident_unless_the_guard_is_off(target):
    values = {str(number): "1" for number in range(30)}
    target.sync(values, night(0))
    guards = Guards(max_changed_share=None)
    with pytest.raises(GuardStopped, match=r"the source deletes 7 of 30 records that the target has.*max_removed_sh"):
        target.delta(dict.fromkeys(list(values)[:7], ...), night(1), guards=guards)
    assert target.report.unsent == 7
    assert target.delta(dict.fromkeys(list(values)[:6], ...), night(1), guards=guards).deleted == 6


def test_a_deletion_that_the_server_refuses_is_a_rejected_row_and_can_be_replayed(target):
    target.sync({"a": "1", "b": "poison", "c": "1"}, night(0))
    target.state.switches = Switches(poison="poison")
    with pytest.raises(TooManyRejected, match="1 of 4 rows were rejected"):
        target.delta({"a": "2", "b": ..., "c": ..., "d": "1"}, night(1), "6f0f5d3a-0000-4000-8000-00000000beef")
    report = target.report
    assert (counts(report), report.deleted, report.rejected, report.not_expired) == ((2, 0, 0, 0), 1, 1, 0)
    (line,) = target.rejected
    assert (line["row"], line["status"], line["record"]) == (2, 400, {"id": "b", "gone": True})
    target.state.switches = Switches()
    age = {"generation": night(1), "opened": datetime.fromisoformat(report.replay["opened"])}
    assert report.replay["deleted_column"] == "gone"
    again = target.rows(
        list(list_batches([rejected_row(line)])),
        "6f0f5d3a-0000-4000-8000-00000000feed",
        mode="full",
        deleted_column="gone",
        all_may_be_bad=True,
        **age,
    )
    assert (again.deleted, target.values) == (1, {"a": "2", "d": "1"})
    live = list(list_batches([{"id": "e", "value": "1"}]))  # what the server refused of the others lacks the column
    assert target.rows(live, "6f0f5d3a-0000-4000-8000-00000000f00d", deleted_column="gone", **age).accepted == 1


def test_a_value_that_says_neither_rejects_its_row_before_anything_is_sent(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    sent = len(target.bodies)
    batch = pa.RecordBatch.from_pydict(
        {"id": ["a", "b", "c", "d"], "value": ["2"] * 4, "gone": ["maybe", "TRUE", " f ", None]}
    )
    load_id = "6f0f5d3a-0000-4000-8000-00000000beef"
    how = {"source_is": "delta", "deleted_column": "gone", "guards": NO_GUARDS, "generation": night(1)}
    with pytest.raises(TooManyRejected, match="column 'gone': it says neither that the row is a deletion nor"):
        target.rows([batch], load_id, **how)
    assert len(target.bodies) == sent
    assert target.rejected[0]["record"] == {"id": "a", "value": "2", "gone": "maybe"}
    report = target.rows([batch], load_id.replace("beef", "feed"), max_rejected=1, **how)
    assert (counts(report), report.rejected, report.deleted) == ((2, 0, 0, 0), 1, 1)
    assert target.values == {"a": "1", "c": "2", "d": "2"}


def test_of_a_deletion_only_the_key_counts(target):
    """What else it holds may be anything, or null; without a key it is rejected as any row is."""
    target.sync({"a": "1"}, night(0))
    batch = pa.RecordBatch.from_pydict({"id": ["a", "b", None], "n": [float("nan"), 1.0, None], "gone": [1, 0, 1]})
    how = {"source_is": "delta", "deleted_column": "gone", "nulls": "refuse", "max_rejected": 1, "guards": NO_GUARDS}
    report = target.rows([batch], "6f0f5d3a-0000-4000-8000-00000000beef", generation=night(1), **how)
    assert (counts(report), report.rejected, report.deleted) == ((1, 0, 0, 0), 1, 1)
    assert target.rejected[0]["row"] == 3


def test_a_key_that_is_there_and_deleted_refuses_the_load(target):
    batch = pa.RecordBatch.from_pydict({"id": ["a", "b", "a"], "gone": [False, False, True]})
    with pytest.raises(DataError, match=r'keys twice.*"a" in rows 1 and 3'):
        target.rows([batch], "6f0f5d3a-0000-4000-8000-00000000beef", source_is="delta", deleted_column="gone")


@pytest.mark.parametrize("rows", [[pa.RecordBatch.from_pydict({"id": ["a"]})], None])
def test_a_source_without_the_column_is_refused(target, rows):
    rows = rows or list(list_batches([{"id": "a", "n": 1}]))
    with pytest.raises(DataError, match="deleted_column='gone' is missing; the source has id"):
        target.rows(rows, "6f0f5d3a-0000-4000-8000-00000000beef", source_is="delta", deleted_column="gone")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source_is": "snapshot"}, "deleted_column='gone' needs source_is='delta'"),
        ({"deleted_column": "id"}, "deleted_column='id': expected the name of a column other than the primary key"),
    ],
)
def test_what_contradicts_it_is_refused(target, settings, message):
    with pytest.raises(SettingsError, match=message):
        target.wanted(**{"source_is": "delta", "deleted_column": "gone", **settings})


@pytest.mark.parametrize("value", [True, 1, 1.0, Decimal(1), "true", "T", " Yes ", "y", "1"])
def test_these_say_that_a_row_is_a_deletion(value):
    assert is_deletion(value)


@pytest.mark.parametrize("value", [None, False, 0, 0.0, Decimal("0.0"), "false", "F", "no", "N", "0", "", " "])
def test_these_say_that_it_is_none(value):
    assert is_deletion(value) is False


@pytest.mark.parametrize(
    "value", [2, -1, 0.5, float("nan"), "d", "deleted", "2026-01-01", datetime(2026, 1, 1), date(2026, 1, 1), b"1", []]
)
def test_these_say_neither(value):
    assert is_deletion(value) is None
