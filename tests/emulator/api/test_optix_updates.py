"""Opti-X updates: a bare array, a complete replacement by key, a time to live for each item."""

import pytest


@pytest.fixture
def update(ask, connection):
    return lambda items: ask("PUT", f"{connection}/update_data", items)


@pytest.fixture
def records(ask):
    def records():
        (connection,) = ask.control("state")["connections"]
        return {key: record["data"] for key, record in connection["records"].items()}

    return records


def test_the_example_of_the_vendor(update, records):
    assert update([{"primary_key": 54490, "data": {"key": "value"}, "ttl": None}]).status == 200
    assert records() == {"54490": {"id": 54490, "key": "value"}}


def test_an_update_replaces_each_record_whole_and_leaves_the_others(ask, connection, update, records):
    ask("POST", f"{connection}/upload_data", {"data": [{"id": "a", "x": 1, "y": 2}, {"id": "b", "x": 1}]})
    update([{"primary_key": "a", "data": {"y": 3}}])
    assert records() == {"a": {"id": "a", "y": 3}, "b": {"id": "b", "x": 1}}


def test_the_items_key_counts_where_its_data_names_another(update, records):
    update([{"primary_key": "a", "data": {"id": "b", "x": 1}}])
    assert records() == {"a": {"id": "a", "x": 1}}


def test_each_item_expires_by_its_own_time_to_live(clock, update, records):
    update([{"primary_key": "short", "data": {}, "ttl": 60}, {"primary_key": "ever", "data": {}}])
    clock.now += 59
    assert set(records()) == {"short", "ever"}
    clock.now += 1
    assert set(records()) == {"ever"}


@pytest.mark.parametrize(
    "bad",
    [
        "text",
        {"data": {}},
        {"primary_key": "b"},
        {"primary_key": "b", "data": []},
        {"primary_key": "", "data": {}},
        {"primary_key": True, "data": {}},
        {"primary_key": "b", "data": {}, "ttl": 0},
        {"primary_key": "b", "data": {}, "ttl": "60"},
    ],
)
def test_one_bad_item_refuses_the_whole_request_and_is_named(update, records, bad):
    answer = update([{"primary_key": "a", "data": {}}, bad])
    assert answer.status == 400
    assert "items[1]" in answer.json()["message"]
    assert records() == {}


@pytest.mark.parametrize("value", [{}, {"data": []}, [], "text", None])
def test_what_is_no_list_of_items_is_refused(update, value):
    assert update(value).status == 400
