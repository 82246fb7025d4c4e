"""Stamps: sent with each record, and in nothing that a record is compared by."""

import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.history.record import sightings
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.optix.bisect import RequestIsWrong
from optimove_provider.loads.spool import row_files, slices
from optimove_provider.records.to_json.stamps import MAX_BYTES, stamp_text, stamped_items, stamped_records
from tests.support.ledgers import ledger_rows, let_lease_end
from tests.support.optix_target import LOAD_ID, Killed
from tests.support.optix_transactions import TransactionTarget, counts, night


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def stamped(run):
    return stamp_text({"run": run})


def runs(target):
    """The stamp of each record that is visible."""
    return {key: data.get("run") for key, data in target.visible.items()}


def sent_to_expire(target):
    """The records that were last sent with a TTL of one second."""
    bodies = [json.loads(body) for body in target.bodies]
    return {record["id"]: record for body in bodies if body.get("ttl_seconds") == 1 for record in body["data"]}


def test_each_record_that_is_sent_has_it_and_an_unchanged_one_keeps_the_one_it_had(target):
    assert target.sync({"a": "1", "b": "1"}, night(0), stamp=stamped("first")).stamp == {"run": "first"}
    report = target.sync({"a": "1", "b": "2"}, night(1), stamp=stamped("second"))
    assert counts(report) == (1, 1, 0, 0)
    assert target.visible == {
        "a": {"id": "a", "value": "1", "run": "first"},
        "b": {"id": "b", "value": "2", "run": "second"},
    }
    assert target.sync({"a": "1", "b": "2"}, night(2), stamp=stamped("third")).state == "nothing_to_send"
    assert report.plan["samples"] == [{"kind": "changed", "key": "b", "columns": {"value": ["1", "2"]}}]


def test_the_ledger_has_it_beside_the_record(target):
    target.sync({"a": "1"}, night(0), stamp=stamped("first"))
    (row,) = ledger_rows(target.ledger).values()
    assert (row["record"], row["stamp"]) == ('{"id":"a","value":"1"}', '{"run":"first"}')


def test_a_retry_sends_the_stamp_of_the_first_try_whatever_its_template_gives_now(target):
    target.kill_at = 1
    with pytest.raises(Killed):
        target.sync({"a": "1"}, night(0), LOAD_ID, stamp=stamped("first"))
    target.kill_at = 0
    let_lease_end(target.ledger)
    report = target.sync({"a": "1"}, night(0), LOAD_ID, stamp=stamped("second"))
    assert (report.stamp, runs(target)) == ({"run": "first"}, {"a": "first"})


def test_so_does_one_that_reads_the_source_again(target):
    target.state.switches = Switches(poison="poison")
    held = acquire(target.ledger.manifest_file, "6f0f5d3a-0000-4000-8000-00000000cafe", 1)
    with pytest.raises(Exception, match="another load works on this target"):
        target.sync({"a": "1"}, night(0), LOAD_ID, stamp=stamped("first"))
    held.release()
    target.sync({"a": "2"}, night(0), LOAD_ID, stamp=stamped("second"))
    assert target.visible == {"a": {"id": "a", "value": "2", "run": "first"}}


@pytest.mark.parametrize("name", ["value", "Value", "id"])
def test_one_that_is_called_like_a_column_is_refused_before_anything_is_sent(target, name):
    with pytest.raises(SettingsError, match=f"the stamp '{name}' collides with the column '{name.lower()}'"):
        target.sync({"a": "1"}, night(0), stamp=stamp_text({name: "x"}))
    with pytest.raises(SettingsError, match=f"the stamp '{name}' collides"):
        target.update({"a": "1"}, night(0), stamp=stamp_text({name: "x"}))
    assert target.bodies == []


def test_a_record_that_is_sent_again_to_expire_carries_the_stamp_it_was_accepted_with(target):
    """Of a layer as it was sent, one without its rejected rows, one that is compacted, and of a removal that waited."""
    target.state.switches = Switches(poison="poison")
    target.sync({"a": "1", "b": "1", "c": "1", "d": "1"}, night(0))
    target.sync({"b": "2"}, night(1), source_is="delta", stamp=stamped("plain"))
    target.sync({"c": "2", "x": "poison"}, night(1), source_is="delta", stamp=stamped("bisected"), max_rejected=1)
    target.sync({"d": "2", "f": "2"}, night(1), source_is="delta", stamp=stamped("compacted"))
    assert len(target.ledger.read().layers) == 1
    target.sync({"e": "1"}, night(1), source_is="delta", stamp=stamped("last"))
    assert target.ledger.read().layers[-1].origin
    assert target.sync({"z": "1"}, night(2), stamp=stamped("reports")).plan["removed"] == 6
    assert target.sync({"z": "1"}, night(3), on_removed="expire", stamp=stamped("expires")).expired == 6
    found = sent_to_expire(target)
    told = {"b": "plain", "c": "bisected", "d": "compacted", "f": "compacted", "e": "last"}
    assert {key: record.get("run") for key, record in found.items()} == {"a": None, **told}


@pytest.mark.parametrize("dies_at", [1, 2])
def test_so_does_one_of_a_load_that_died(target, dies_at):
    """Before its batch, and before the one that expires it: what it may have sent is unknown, and the stamp as well."""
    target.sync({"a": "1", "b": "1"}, night(0), stamp=stamped("first"))
    target.kill_at = len(target.bodies) + dies_at
    with pytest.raises(Killed):
        target.sync({"a": "2"}, night(1), LOAD_ID, on_removed="expire", stamp=stamped("dead"))
    target.kill_at = 0
    let_lease_end(target.ledger)
    target.sync({"z": "1"}, night(2), on_removed="expire")
    assert {key: record["run"] for key, record in sent_to_expire(target).items()} == {"a": "dead", "b": "first"}


def test_the_row_that_completes_a_batch_whose_last_slice_is_refused_is_the_same_byte_for_byte(target):
    target.state.switches = Switches(poison="poison")
    values = {str(number): "poison" if number % 2 else "1" for number in range(8)}
    target.sync(values, night(0), stamp=stamped("first"), max_rejected=4)
    sent = [json.loads(body) for body in target.bodies]
    closing = [body for body in sent if body["batch_completed"]][-1]
    assert len(closing["data"]) == 1
    assert any(closing["data"][0] in body["data"] for body in sent if not body["batch_completed"])
    assert set(runs(target).values()) == {"first"}
    assert [line["record"] for line in target.rejected] == [
        {"id": str(number), "value": "poison"} for number in (1, 3, 5, 7)
    ]
    assert target.report.replay["stamp"] == '{"run":"first"}'


def test_an_update_has_it_too_as_it_replaces_the_record(target):
    target.state.switches = Switches(poison="poison")
    target.sync({"a": "1", "b": "1"}, night(0), stamp=stamped("first"))
    target.update({"a": "2", "b": "poison"}, night(1), stamp=stamped("second"), max_rejected=1)
    assert target.visible["a"] == {"id": "a", "value": "2", "run": "second"}
    assert target.rejected[0]["record"] == {"id": "b", "value": "poison"}


def test_slices_are_cut_as_long_as_they_travel(target, monkeypatch):
    monkeypatch.setattr(slices, "RowGroups", lambda schema: row_files.RowGroups(schema, 40_000))
    target.sync({str(number): "1" for number in range(100)}, night(0), stamp=stamp_text({"run": "x" * 1000}))
    sent = [len(json.loads(body)["data"]) for body in target.bodies]
    assert sum(sent) == 100
    assert max(sent) < 40


def without_stamps(staging, path):
    """The file as a version wrote it that knew no stamps."""
    table = pq.read_table(staging.path(path))
    pq.write_table(table.drop_columns([name for name in table.column_names if "stamp" in name]), staging.path(path))


@pytest.mark.parametrize("mode", ["full", "changed"])
def test_what_an_older_version_froze_is_sent(target, mode):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.kill_at = len(target.bodies) + 1
    with pytest.raises(Killed):
        target.sync({"a": "2", "b": "1"}, night(1), LOAD_ID, mode=mode)
    for folder in ("spool-1", "plan-1/sent", "plan-1/kept"):
        for path in row_files.paths(target.staging, f"loads/{LOAD_ID}/{folder}"):
            without_stamps(target.staging, path)
    state = target.staging.read(f"loads/{LOAD_ID}/load.json")
    target.staging.write(f"loads/{LOAD_ID}/load.json", {name: one for name, one in state.items() if name != "stamp"})
    target.kill_at = 0
    let_lease_end(target.ledger)
    assert target.sync({"a": "2"}, night(1), LOAD_ID, mode=mode, stamp=stamped("new")).unsent == 0
    assert (target.values, runs(target)) == ({"a": "2", "b": "1"}, {"a": None, "b": None})


def test_what_an_older_version_entered_into_the_ledger_has_none(target):
    target.sync({"a": "1", "b": "1"}, night(0))
    target.sync({**dict.fromkeys("efgh", "1"), "b": "2"}, night(0), source_is="delta")  # compacted
    target.sync({"c": "1"}, night(0), source_is="delta")
    assert [bool(layer.origin) for layer in target.ledger.read().layers] == [False, True]
    for layer in target.ledger.read().layers:
        without_stamps(target.staging, layer.path)
    target.sync({"d": "1"}, night(1), on_removed="expire", stamp=stamped("new"))
    assert {key: record.get("run") for key, record in sent_to_expire(target).items()} == dict.fromkeys("abcefgh")
    assert runs(target)["d"] == "new"


def test_a_wrong_request_is_told_although_all_rows_have_one_stamp(target):
    target.state.switches = Switches(poison="first")
    values = {str(number): "1" for number in range(200)}
    with pytest.raises(RequestIsWrong):
        target.sync(values, night(0), stamp=stamped("first"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('a"\\é', '"a\\"\\\\é"'),
        (1, "1"),
        (0.5, "0.5"),
        (True, "true"),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00Z"'),
    ],
)
def test_values_have_the_forms_that_those_of_rows_have(target, value, text):
    assert stamp_text({"of": value}) == f'{{"of":{text}}}'
    told = pa.array([stamp_text({"of": value}), None])
    records = pa.array(['{"id":"é"}', '{"id":"b"}'])
    assert stamped_records(records, told).to_pylist() == [f'{{"id":"é","of":{text}}}', '{"id":"b"}']
    items = pa.array(['{"primary_key":1,"data":{},"ttl":null}', '{"primary_key":1,"data":{"},\\"ttl\\":":1},"ttl":2}'])
    assert stamped_items(items, pa.array([told[0].as_py()] * 2)).to_pylist() == [
        f'{{"primary_key":1,"data":{{"of":{text}}},"ttl":null}}',
        f'{{"primary_key":1,"data":{{"}},\\"ttl\\":":1,"of":{text}}},"ttl":2}}',
    ]


@pytest.mark.parametrize("value", [None, {}, [1], float("nan"), 10**400, object()])
def test_what_no_row_could_hold_is_refused(value):
    with pytest.raises(SettingsError, match=r"stamp=\{'of': "):
        stamp_text({"of": value})


def test_one_that_is_too_long_is_refused():
    with pytest.raises(SettingsError, match=f"at most {MAX_BYTES} are taken"):
        stamp_text({"of": "x" * MAX_BYTES})


def test_fields_are_in_the_order_of_their_names_and_none_is_no_stamp():
    assert stamp_text({"b": 1, "a": 2}) == '{"a":2,"b":1}'
    assert (stamp_text({}), stamp_text(None)) == ("", "")


def test_a_record_is_told_by_its_key_with_the_stamp_it_has(target):
    target.sync({"a": "1"}, night(0), stamp=stamped("first"))
    target.sync({"a": "1"}, night(1), stamp=stamped("second"))
    found = sightings(target.staging, target.ledger.read(), "a", datetime.now(UTC))
    assert [one.stamp for one in found] == ['{"run":"first"}']
