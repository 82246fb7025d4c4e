"""What acceptance tests of other tools ask of a destination and no test of ours had asked: docs/peers-tests.md."""

import json

import pytest

from optimove_provider.loads.optix.load import load
from optimove_provider.loads.report.report import Report
from optimove_provider.records.read.sources import list_batches
from tests.support.optix_target import opened
from tests.support.optix_transactions import NO_GUARDS, TransactionTarget, counts, night

ODD = "id~!@#$%^&*()`[]{}|;':\",./<>?\\ é"
NAMES = (
    "camelCase",
    "UPPER",
    "with space",
    "naïve",
    "a+b",
    "1st",
    "order",
    "Foo.Bar",
    "foo.bar",
    "$ref",
    "__proto__",
    "'",
)
TEXTS = {
    "line feed": "a\nb",
    "carriage return": "a\rb\r\n",
    "separators of lines and paragraphs": "a\u2028b\u2029c\u0085d",
    "tab and other controls": "\t\x01\x1f",
    "quotes": "\"'\\\\ \\n \\u0041",
    "beyond the basic plane": "😀\U0001d518 e\u0301",
    "what looks like something else": "null",
    "looks like JSON": '{"a": [1]}',
    "empty": "",
}


@pytest.fixture
def target(tmp_path):
    return TransactionTarget(tmp_path)


def sync(target, records, generation, load_id=None, primary_key="id", **settings):
    """Load a list of records as a changed snapshot, whatever their columns."""
    target.loads += 1
    report = Report(load_id or f"6f0f5d3a-0000-4000-8000-{target.loads:012}", target.named)
    settings = {"mode": "changed", "source_is": "snapshot", "guards": NO_GUARDS, **settings}
    wanted = target.wanted(generation=generation, **settings)
    wanted = type(wanted)(**{**_fields(wanted), "target": _keyed(wanted.target, primary_key)})
    load(target.client, lambda: opened(list_batches(records)), target.staging, report, wanted)
    return report


def _fields(value):
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _keyed(target, primary_key):
    return type(target)(**{**_fields(target), "primary_key": primary_key})


def test_texts_with_every_kind_of_line_end_arrive_and_count_as_unchanged(target):
    records = [{"id": name, "text": text, text or "-": 1} for name, text in TEXTS.items()]
    assert sync(target, records, night(0)).accepted == len(TEXTS)
    found = {key: data.get("text") for key, data in target.visible.items()}
    assert found == TEXTS
    for name, text in TEXTS.items():
        assert target.visible[name][text or "-"] == 1, "as the name of a field, too"
    assert sync(target, records, night(1)).unchanged == len(TEXTS)


def test_any_name_may_be_a_fields_and_the_keys(tmp_path):
    target = TransactionTarget(tmp_path)
    target.data_connection_uuid = target.client.create_connection("odd", ODD)
    rows = [{ODD: "1", **dict.fromkeys(NAMES, "a\nb")}, {ODD: "2", **dict.fromkeys(NAMES, "c")}]
    sync(target, rows, night(0), primary_key=ODD)
    assert list(target.visible.values()) == rows
    rows[1] = {**rows[1], "order": "other"}
    assert counts(sync(target, rows, night(1), primary_key=ODD)) == (1, 1, 0, 0)
    assert sync(target, rows[:1], night(2), primary_key=ODD, on_removed="expire").expired == 1


def test_keys_that_are_false_in_most_languages_are_keys(target):
    keys = ["0", "false", "-", " 0", "00", "null", "NaN"]
    assert sync(target, [{"id": key, "n": number} for number, key in enumerate(keys)], night(0)).accepted == len(keys)
    assert {key: data["n"] for key, data in target.visible.items()} == {key: n for n, key in enumerate(keys)}
    assert sync(target, [{"id": key, "n": 9} for key in keys], night(1)).accepted == len(keys)
    assert {data["n"] for data in target.visible.values()} == {9}


def test_zero_is_a_key_and_null_is_none(target):
    records = [{"id": 0, "n": 1}, {"id": None, "n": 2}, {"id": -1, "n": 3}]
    report = sync(target, records, night(0), key_type="integer", max_rejected=1)
    assert (report.accepted, report.rejected, sorted(data["id"] for data in target.visible.values())) == (2, 1, [-1, 0])


def test_columns_that_come_go_and_change_their_type_leave_nothing_of_before(target):
    first = [{"id": "1", "drop": "x", "change": 42}, {"id": "2", "drop": "y", "change": 43}]
    sync(target, first, night(0))
    second = [{"id": "1", "change": "forty-two", "add": [1, {"a": None}]}, {"id": "2", "change": "43", "add": None}]
    assert sync(target, second, night(1)).accepted == 2
    assert target.visible == {
        "1": {"id": "1", "change": "forty-two", "add": [1, {"a": None}]},
        "2": {"id": "2", "change": "43"},
    }
    assert sync(target, second, night(2)).unchanged == 2, "it is stable from then on"


def test_records_of_the_key_alone_are_records(target):
    assert sync(target, [{"id": "1"}, {"id": "2"}], night(0)).accepted == 2
    assert target.visible == {"1": {"id": "1"}, "2": {"id": "2"}}
    assert sync(target, [{"id": "1"}, {"id": "2", "name": "b"}], night(1)).accepted == 1
    assert sync(target, [{"id": "1"}, {"id": "2"}], night(2)).accepted == 1, "and so they are again"
    assert target.visible == {"1": {"id": "1"}, "2": {"id": "2"}}


def test_a_record_replaces_the_one_before_and_merges_no_field_of_it(target):
    sync(target, [{"id": "1", "a": "1", "b": "2"}], night(0))
    sync(target, [{"id": "1", "b": None, "c": "3"}], night(1))
    assert target.visible == {"1": {"id": "1", "c": "3"}}


def test_many_targets_with_one_staging_do_not_touch_each_other(target):
    """In turn and of one name, each into a data connection of its own, the later loads leave the others as they are."""
    uuids = [target.client.create_connection(f"stream {number // 2}", "id") for number in range(20)]
    for round_ in range(2):
        for number, uuid in enumerate(uuids):
            target.data_connection_uuid = uuid
            report = target.sync({"a": f"{number} {round_ * (number % 2)}", str(number): "x"}, night(round_))
            assert report.accepted == (2 if not round_ else number % 2)
    for number, uuid in enumerate(uuids):
        target.data_connection_uuid = uuid
        assert target.values == {"a": f"{number} {number % 2}", str(number): "x"}


def test_the_newest_of_two_loads_counts_whatever_a_column_of_the_rows_says(target):
    """No column is a cursor: a row without the column, or with a smaller number in it, is as new as its load."""
    sync(target, [{"id": "1", "updated_at": "2026-01-02"}, {"id": "2", "updated_at": None}], night(0))
    sync(target, [{"id": "1", "updated_at": "2026-01-01"}, {"id": "2", "version": 1}], night(1))
    assert target.visible == {"1": {"id": "1", "updated_at": "2026-01-01"}, "2": {"id": "2", "version": 1}}
    assert json.loads(json.dumps(target.visible)) == target.visible
