"""Opti-X uploads: what is documented is strict, what a test relies on of the rest is named in the emulator."""

import pytest

from optimove_provider.contract.optix.data_connections import MAX_RECORDS

BASE = "/api/data-connections/v1"
BATCH = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
OTHER = "8f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"


@pytest.fixture
def upload(ask, connection):
    def upload(*records, **rest):
        return ask("POST", f"{connection}/upload_data", {"data": list(records), **rest})

    return upload


@pytest.fixture
def records(ask):
    def records():
        (connection,) = ask.control("state")["connections"]
        return {key: record["data"] for key, record in connection["records"].items()}

    return records


def test_the_walkthrough(ask, upload, records):
    assert upload({"id": 1, "purchase_amount": 10}).status == 200
    assert records() == {"1": {"id": 1, "purchase_amount": 10}}
    (connection,) = ask.control("state")["connections"]
    assert (connection["name"], connection["primary_key"]) == ("My Data Connection", "id")
    assert (connection["open_batches"], connection["completed_batches"]) == (0, 1)


def test_an_upload_replaces_each_record_whole_and_leaves_the_others(upload, records):
    upload({"id": "a", "x": 1, "y": 2}, {"id": "b", "x": 1})
    upload({"id": "a", "y": 3})
    assert records() == {"a": {"id": "a", "y": 3}, "b": {"id": "b", "x": 1}}


def test_a_number_and_its_text_are_two_keys(upload, records):
    upload({"id": 1}, {"id": "1"}, {"id": 2})
    assert records() == {"1": {"id": "1"}, "1 (number)": {"id": 1}, "2": {"id": 2}}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "x-api-key"),
        ({"x-api-key": "wrong", "x-brand-key": "emulator-brand-key"}, "x-api-key"),
        ({"x-api-key": "emulator-api-key"}, "x-brand-key"),
        ({"x-api-key": "emulator-api-key", "x-brand-key": "wrong"}, "x-brand-key"),
    ],
)
@pytest.mark.parametrize("path", ["", "/connections", "/nowhere", "/connections/x/upload_data"])
def test_both_keys_are_asked_for_everywhere_before_anything_else(ask, headers, message, path):
    answer = ask("POST", BASE + path, headers=headers)
    assert answer.status == 401
    assert message in answer.text


def test_header_names_have_no_case(ask):
    headers = {"X-API-Key": "emulator-api-key", "X-BRAND-KEY": "emulator-brand-key"}
    assert ask("GET", BASE, headers=headers).status == 404


def test_at_most_5000_records(upload, records):
    many = [{"id": number} for number in range(MAX_RECORDS + 1)]
    refused = upload(*many)
    assert refused.status == 400
    assert "5001" in refused.text
    assert records() == {}
    assert upload(*many[:-1]).status == 200
    assert len(records()) == MAX_RECORDS


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"data": [{"id": NaN}]}', b'{"data": [{"id": 1, "x": 1e999}]}', b"\xff", b"[" * 100_000],
)
def test_what_is_no_json_is_refused(ask, connection, body):
    answer = ask("POST", f"{connection}/upload_data", body=body)
    assert answer.status == 400
    assert "JSON" in answer.json()["message"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("text", "no object"),
        ({"ID": 1}, "lacks the primary key 'id'"),
        ({"id": None}, "no string or number"),
        ({"id": True}, "no string or number"),
        ({"id": ""}, "no string or number"),
        ({"id": [1]}, "no string or number"),
    ],
)
def test_one_bad_record_refuses_the_whole_request_and_is_named(upload, records, bad, why):
    answer = upload({"id": 1}, {"id": 2}, bad)
    assert answer.status == 400
    assert "data[2]" in answer.json()["message"]
    assert why in answer.json()["message"]
    assert records() == {}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"data": {"id": 1}},
        {"data": []},
        {"data": [{"id": 1}], "ttl_seconds": "60"},
        {"data": [{"id": 1}], "ttl_seconds": True},
        {"data": [{"id": 1}], "ttl_seconds": 1.5},
        {"data": [{"id": 1}], "ttl_seconds": 10**400},
        {"data": [{"id": 1}], "ttl_seconds": 0},
        {"data": [{"id": 1}], "batch_uuid": "one"},
        {"data": [{"id": 1}], "batch_uuid": 7},
        {"data": [{"id": 1}], "batch_uuid": "{" + "0" * 32 + "}"},
        {"data": [{"id": 1}], "batch_uuid": "0" * 32},
        {"data": [{"id": 1}], "batch_completed": None},
    ],
)
def test_fields_of_a_wrong_kind_are_refused(ask, connection, records, value):
    assert ask("POST", f"{connection}/upload_data", value).status == 400
    assert records() == {}


def test_path_values_are_percent_decoded(ask, connection, records):
    base, uuid = connection.rsplit("/", 1)
    encoded = uuid.replace("-", "%2D")
    assert ask("POST", f"{base}/{encoded}/upload_data", {"data": [{"id": "a"}]}).status == 200
    assert set(records()) == {"a"}


def test_a_connection_that_does_not_exist_is_404(ask, connection):
    other = connection[:-1] + ("0" if connection[-1] != "0" else "1")
    assert ask("POST", f"{other}/upload_data", {"data": [{"id": 1}]}).status == 404


@pytest.mark.parametrize("wanted", [{"name": "a"}, {"primary_key": "id"}, {"name": "", "primary_key": "id"}, []])
def test_a_connection_needs_a_name_and_a_primary_key(ask, wanted):
    assert ask("POST", f"{BASE}/connections", wanted).status == 400
    assert ask.control("state")["connections"] == []


def test_records_expire_by_the_clock(clock, upload, records):
    upload({"id": "short"}, ttl_seconds=60)
    upload({"id": "long"}, ttl_seconds=3600.0)
    upload({"id": "ever"}, ttl_seconds=None)
    clock.now += 59.9
    assert set(records()) == {"short", "long", "ever"}
    clock.now += 0.1
    assert set(records()) == {"long", "ever"}
    clock.now += 10**9
    assert set(records()) == {"ever"}


def test_a_new_upload_sets_the_expiry_anew(clock, upload, records, ask):
    upload({"id": "a"}, ttl_seconds=60)
    upload({"id": "a"})
    upload({"id": "b"})
    upload({"id": "b"}, ttl_seconds=60)
    assert ask.control("state")["connections"][0]["records"]["b"]["expires"] == clock.now + 60
    clock.now += 60
    assert set(records()) == {"a"}


def test_rows_of_a_batch_appear_all_at_once_when_it_is_completed(ask, upload, records):
    upload({"id": "old", "v": 1}, {"id": "kept"})
    upload({"id": "old", "v": 2}, batch_uuid=BATCH, batch_completed=False)
    upload({"id": "new"}, batch_uuid=BATCH, batch_completed=False)
    assert records() == {"old": {"id": "old", "v": 1}, "kept": {"id": "kept"}}
    assert ask.control("state")["connections"][0]["open_batches"] == 1
    upload({"id": "last"}, batch_uuid=BATCH.upper(), batch_completed=True)
    assert set(records()) == {"old", "kept", "new", "last"}
    assert records()["old"] == {"id": "old", "v": 2}
    assert ask.control("state")["connections"][0]["open_batches"] == 0


def test_batches_do_not_complete_each_other(upload, records):
    upload({"id": "a"}, batch_uuid=BATCH, batch_completed=False)
    upload({"id": "b"}, batch_uuid=OTHER)
    upload({"id": "c"})
    assert set(records()) == {"b", "c"}


def test_a_batch_of_the_servers_own_has_a_uuid_and_is_complete_by_default(upload, records):
    answers = [upload({"id": number}).json()["batch_uuid"] for number in range(3)]
    assert len(set(answers)) == 3
    assert len(records()) == 3


def test_a_closing_request_sent_twice_does_no_harm(ask, upload, records):
    upload({"id": "a", "v": 1}, batch_uuid=BATCH, batch_completed=False)
    for _ in range(2):
        assert upload({"id": "b"}, batch_uuid=BATCH).status == 200
    assert set(records()) == {"a", "b"}
    assert ask.control("state")["connections"][0]["completed_batches"] == 1


def test_half_a_surrogate_pair_is_kept_and_shown(ask, connection, records):
    body = rb'{"data": [{"id": 1, "x": "\ud800"}]}'
    assert ask("POST", f"{connection}/upload_data", body=body).status == 200
    assert records() == {"1": {"id": 1, "x": "\ud800"}}
