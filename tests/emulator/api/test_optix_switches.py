"""Each Opti-X switch, in both or all of its positions."""

import pytest

from optimove_provider.contract.optix.data_connections import MAX_ITEMS
from optimove_provider.contract.optix.named_rows import named_rows
from optimove_provider.contract.wire.messages import json_body
from optimove_provider.emulator import API_KEY

BASE = "/api/data-connections/v1"
NOWHERE = f"{BASE}/connections/nowhere"
BATCH = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
OPEN = {"batch_uuid": BATCH, "batch_completed": False}
CLOSING = {"batch_uuid": BATCH, "batch_completed": True}


@pytest.fixture
def switch(ask):
    return lambda **switches: ask.json("PUT", "/_emulator/switches", switches)


@pytest.fixture
def upload(ask, connection):
    def upload(*records, **rest):
        return ask("POST", f"{connection}/upload_data", {"data": list(records), **rest})

    return upload


@pytest.fixture
def update(ask, connection):
    def update(*items):
        return ask("PUT", f"{connection}/update_data", list(items))

    return update


@pytest.fixture
def shown(ask):
    """The data connection as the control state shows it."""
    return lambda: ask.control("state")["connections"][0]


@pytest.fixture
def records(shown):
    return lambda: {key: record["data"] for key, record in shown()["records"].items()}


def item(key, **rest):
    return {"primary_key": key, "data": {"v": 2}, **rest}


@pytest.mark.parametrize("status", [200, 201])
def test_create_status(ask, switch, status):
    switch(create_status=status)
    assert ask("POST", f"{BASE}/connections", {"name": "n", "primary_key": "id"}).status == status


@pytest.mark.parametrize(
    ("body", "uploaded", "updated"),
    [
        ("empty", b"", b""),
        ("success", b'{"success": true}', b'{"success": true}'),
        ("batch", f'{{"success": true, "batch_uuid": "{BATCH}"}}'.encode(), b'{"success": true}'),
    ],
)
def test_success_body(switch, upload, update, body, uploaded, updated):
    switch(success_body=body)
    assert upload({"id": 1}, **CLOSING).body == uploaded
    assert update(item(1)).body == updated


@pytest.mark.parametrize(
    ("envelope", "at"),
    [("main", ["message"]), ("detail", ["detail"]), ("x", ["error", "message"]), ("text", None)],
)
def test_error_envelope(ask, switch, envelope, at):
    switch(error_envelope=envelope)
    answer = ask("POST", f"{NOWHERE}/upload_data", {})
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/plain" if at is None else "application/json")
    message = answer.text if at is None else answer.json()
    for name in at or ():
        message = message[name]
    assert message == "there is no data connection with this uuid"


@pytest.mark.parametrize("envelope", ["main", "detail", "x", "text"])
def test_every_envelope_names_the_bad_records(switch, upload, update, envelope):
    switch(error_envelope=envelope)
    assert named_rows(upload({"id": 1}, {}, {"id": 2}, 7).text, 4) == (1, 3)
    assert named_rows(update(item(1), item(2), item(None)).text, 3) == (2,)


@pytest.mark.parametrize("status", [400, 422])
def test_schema_status(ask, switch, upload, update, status):
    switch(schema_status=status)
    refused = [
        ask("POST", f"{BASE}/connections", {"name": 1}),
        upload({"id": None}),
        upload({"id": 1}, batch_uuid="one"),
        upload({"id": 1}, ttl_seconds="60"),
        update({"primary_key": 1}),
        update(item(1, ttl="60")),
        update(),
    ]
    assert [answer.status for answer in refused] == [status] * len(refused)
    assert upload({"ID": 1}).status == 400


@pytest.mark.parametrize("status", [400, 404])
def test_unknown_uuid_status(ask, switch, status):
    switch(unknown_uuid_status=status)
    assert ask("POST", f"{NOWHERE}/upload_data", {"data": [{"id": 1}]}).status == status
    assert ask("PUT", f"{NOWHERE}/update_data", [item(1)]).status == status


@pytest.mark.parametrize("status", [401, 403, 404])
def test_wrong_brand_status(ask, switch, status):
    switch(wrong_brand_status=status)
    assert ask("GET", BASE, headers={"x-api-key": API_KEY, "x-brand-key": "another"}).status == status
    assert ask("GET", BASE, headers={}).status == 401


@pytest.mark.parametrize(
    ("identity", "found"), [("typed", {"1", "1 (number)", "2 (number)", "2"}), ("text", {"1", "2"})]
)
def test_key_identity(switch, upload, update, records, identity, found):
    switch(key_identity=identity)
    upload({"id": 1}, {"id": "1"}, {"id": "2"})
    update(item(2))
    assert set(records()) == found


@pytest.mark.parametrize(
    ("duplicates", "statuses"),
    [
        ("last_wins", [200, 200, 200]),
        ("refuse_in_request", [400, 200, 200]),
        ("refuse_in_batch", [400, 200, 400]),
    ],
)
def test_duplicate_keys(switch, upload, update, duplicates, statuses):
    switch(duplicate_keys=duplicates)
    twice = upload({"id": 0}, {"id": 1}, {"id": 1}, **OPEN)
    assert [twice.status, upload({"id": 2}, **OPEN).status, upload({"id": 2}, **CLOSING).status] == statuses
    assert named_rows(twice.text, 3) == (() if twice.ok else (2,))
    assert update(item(1), item(1)).status == statuses[0]


@pytest.mark.parametrize(("stay", "visible"), [(True, {"old", "kept"}), (False, {"kept"})])
def test_old_rows_stay(switch, upload, records, stay, visible):
    switch(old_rows_stay=stay)
    upload({"id": "old"}, {"id": "kept"})
    upload({"id": "old"}, {"id": "new"}, **OPEN)
    assert set(records()) == visible
    upload({"id": "last"}, **CLOSING)
    assert set(records()) == {"old", "kept", "new", "last"}


@pytest.mark.parametrize(("reuse", "status"), [("accept", 200), ("refuse", 400)])
def test_completed_batch(ask, switch, upload, shown, reuse, status):
    switch(completed_batch=reuse)
    upload({"id": 1}, **CLOSING)
    assert upload({"id": 1}, **CLOSING).status == status
    assert ask.control("state")["violations"] == []
    assert upload({"id": 2}, **CLOSING).status == status
    assert BATCH in ask.control("state")["violations"][0]
    assert shown()["batches"][0]["completions"] == (3 if status == 200 else 1)


def test_open_batch_seconds(switch, clock, upload, records, shown):
    switch(open_batch_seconds=60)
    upload({"id": "a"}, **OPEN)
    clock.now += 59
    upload({"id": "b"}, **OPEN)
    assert shown()["batches"][0]["state"] == "open"
    clock.now += 1
    assert (shown()["batches"][0]["state"], shown()["open_batches"]) == ("forgotten", 0)
    upload({"id": "c"}, **OPEN)
    clock.now += 59
    upload({"id": "d"}, **CLOSING)
    assert set(records()) == {"c", "d"}


@pytest.mark.parametrize(
    ("absent", "status", "found"),
    [("upsert", 200, {"a", "b", "gone"}), ("404", 404, {"a"}), ("ignore", 200, {"a"})],
)
def test_absent_key(switch, clock, upload, update, records, absent, status, found):
    switch(absent_key=absent)
    upload({"id": "a", "v": 1})
    upload({"id": "gone"}, ttl_seconds=1)
    clock.now += 1
    answer = update(item("a"), item("b"), item("gone"))
    assert answer.status == status
    assert named_rows(answer.text, 3) == (() if answer.ok else (1, 2))
    assert set(records()) == found
    assert records()["a"]["v"] == (2 if answer.ok else 1)


@pytest.mark.parametrize(("limit", "most"), [(5000, MAX_ITEMS), (2, 2)])
def test_update_limit(switch, update, records, limit, most):
    switch(update_limit=limit)
    assert update(*(item(number) for number in range(most + 1))).status == 400
    assert records() == {}
    assert update(*(item(number) for number in range(most))).status == 200
    switch(update_limit=0)
    assert update(*(item(number) for number in range(most + 1))).status == 200


@pytest.mark.parametrize(("zero", "status"), [("refuse", 400), ("expire", 200)])
def test_zero_ttl(switch, upload, update, records, zero, status):
    upload({"id": "a"}, {"id": "b"})
    switch(zero_ttl=zero)
    assert upload({"id": "a"}, ttl_seconds=0).status == status
    assert update(item("b", ttl=0)).status == status
    assert set(records()) == (set() if status == 200 else {"a", "b"})
    assert upload({"id": "a"}, ttl_seconds=-1).status == 400


@pytest.mark.parametrize("told", [True, False])
def test_requests_per_10s(ask, switch, clock, told):
    switch(requests_per_10s=2, retry_after=told)
    assert [ask("GET", BASE).status for _ in range(2)] == [404, 404]
    clock.now += 3.5
    refused = ask("GET", BASE)
    assert (refused.status, refused.headers.get("retry-after")) == (429, "7" if told else None)
    clock.now += 6.5
    assert [ask("GET", BASE).status for _ in range(3)] == [404, 404, 429]


def test_max_body_bytes(ask, connection, switch):
    body = json_body({"data": [{"id": 1}]})
    switch(max_body_bytes=len(body))
    assert ask("POST", f"{connection}/upload_data", body=body).status == 200
    assert ask("POST", f"{connection}/upload_data", body=body + b" ").status == 413


@pytest.mark.parametrize(("bad", "stored"), [("request", set()), ("record", {"1 (number)", "2 (number)"})])
def test_bad_record(switch, upload, update, shown, bad, stored):
    switch(bad_record=bad)
    keys = {name.removesuffix(" (number)") for name in stored}
    assert upload({"id": 1}, {"ID": 7}, {"id": 2}).status == 400
    assert set(shown()["records"]) == keys
    assert update(item(1), item(None)).status == 400
    assert shown()["records"].get("1", {}).get("data") == ({"id": 1, "v": 2} if keys else None)
    assert shown()["requests_accepted"] == 0
    assert upload({"ID": 1}, **CLOSING).status == 400
    assert BATCH not in [batch["batch_uuid"] for batch in shown()["batches"]]


@pytest.mark.parametrize(("named", "rows"), [("index", (1, 3)), ("none", ())])
@pytest.mark.parametrize("envelope", ["main", "detail"])
def test_poison(switch, upload, update, records, named, rows, envelope):
    switch(poison="☠", poison_named=named, error_envelope=envelope)
    answer = upload({"id": 0}, {"id": 1, "x": "a☠b"}, {"id": 2, "x": "fine"}, {"id": 3, "x": [{"y": "☠"}]})
    assert (answer.status, named_rows(answer.text, 4)) == (400, rows)
    answer = update(item(0), {"primary_key": 1, "data": {"x": "☠"}})
    assert (answer.status, named_rows(answer.text, 2)) == (400, rows[:1])
    assert records() == {}
    assert upload({"id": 0}, {"id": 2, "x": "fine"}).status == 200


def test_the_state_counts_what_was_sent_twice(upload, update, shown):
    upload({"id": 1}, {"id": 2}, **OPEN)
    upload({"id": 1}, {"id": 2}, **OPEN)
    upload({"id": 3}, **CLOSING)
    update(item(3))
    assert (shown()["requests_accepted"], shown()["records_received"], len(shown()["records"])) == (4, 6, 3)
    assert shown()["batches"] == [
        {"batch_uuid": BATCH, "state": "completed", "requests": 3, "records": 5, "completions": 1}
    ]


def test_a_batch_that_is_used_after_its_completion_is_open_again(ask, upload, shown):
    upload({"id": 1}, **CLOSING)
    upload({"id": 2}, **OPEN)
    (batch,) = shown()["batches"]
    assert (batch["state"], batch["completions"]) == ("open", 1)
    assert len(ask.control("state")["violations"]) == 1


def test_too_many_records_are_a_violation(ask, upload):
    upload(*({"id": number} for number in range(5001)))
    assert ["5001" in violation for violation in ask.control("state")["violations"]] == [True]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success_status(switch, upload, update, status):
    switch(success_status=status)
    answers = [upload({"id": 1}), update(item(1))]
    assert [(answer.status, bool(answer.body)) for answer in answers] == [(status, status != 204)] * 2


@pytest.mark.parametrize(
    ("nulls", "stored"), [("stored", {"id": "a", "v": None}), ("absent", {"id": "a"}), ("refuse", None)]
)
def test_null_values(switch, upload, records, nulls, stored):
    switch(null_values=nulls)
    assert upload({"id": "a", "v": None}).ok is (stored is not None)
    assert records().get("a") == stored


@pytest.mark.parametrize("nested", ["stored", "refuse"])
def test_nested_values(switch, upload, nested):
    switch(nested_values=nested)
    assert upload({"id": "a", "v": [1]}).ok is (nested == "stored")


def test_visible_after_seconds(switch, clock, upload, update, records):
    switch(visible_after_seconds=10, absent_key="ignore")
    upload({"id": "a", "v": 1})
    update(item("a"), item("b"))
    assert records() == {}
    clock.now += 10
    assert records() == {"a": {"v": 2, "id": "a"}}


@pytest.mark.parametrize(("starts", "left"), [("request", {"b"}), ("completion", {"a", "b"})])
def test_ttl_starts(switch, clock, upload, records, starts, left):
    switch(ttl_starts=starts)
    upload({"id": "a"}, ttl_seconds=60, **OPEN)
    clock.now += 50
    upload({"id": "b"}, ttl_seconds=60, **CLOSING)
    clock.now += 20
    assert set(records()) == left


def test_max_ttl_seconds(switch, upload, update):
    switch(max_ttl_seconds=60)
    answers = [upload({"id": 1}, ttl_seconds=61), upload({"id": 1}, ttl_seconds=60), update(item(1, ttl=61))]
    assert [answer.status for answer in answers] == [400, 200, 400]


@pytest.mark.parametrize("status", [413, 400])
def test_too_large_status(switch, upload, status):
    switch(max_body_bytes=10, too_large_status=status)
    assert upload({"id": 1}).status == status


@pytest.mark.parametrize("status", [429, 503])
def test_rate_limit_status(ask, switch, status):
    switch(requests_per_10s=1, rate_limit_status=status)
    assert [ask("GET", BASE).status for _ in range(2)] == [404, status]


def test_an_error_may_have_no_body(switch, upload):
    switch(error_envelope="empty")
    assert (upload({}).status, upload({}).body) == (400, b"")


def test_a_switch_is_met_only_where_it_matters(ask, upload, update):
    upload({"id": "a"})
    update(item("a"))
    met = set(ask.control("state")["switches_met"])
    unmet = {"schema_status", "key_identity", "duplicate_keys", "absent_key", "old_rows_stay", "completed_batch"}
    assert not met & (unmet | {"open_batch_seconds", "zero_ttl", "max_ttl_seconds", "null_values", "poison_named"})
    assert {"success_body", "success_status", "update_limit"} <= met
