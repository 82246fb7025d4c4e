"""The forms that an upload history may have, and what JSON values of profiles may be."""

import pytest

BASE, VIS = "/experiment/v1", "/vis/api"


@pytest.fixture
def switch(ask):
    return lambda **switches: ask.json("PUT", "/_emulator/switches", switches)


@pytest.fixture
def history(ask, table, objects):
    for name in ("1.csv", "2.csv"):
        objects.put(f"{table['s3_path']}/{name}", b"customerId\na\n")
    return lambda: ask.json("GET", f"/_emulator/uploads/{table['id']}")


@pytest.fixture
def profile(table):
    return f"{VIS}/customer_profile/{table['dcp_service_id']}/{table['id']}/a"


@pytest.mark.parametrize(
    ("switches", "member", "shown"),
    [
        ({"history_names": "name"}, "file", ["1.csv", "2.csv"]),
        ({"history_order": "newest_first", "history_names": "name"}, "file", ["2.csv", "1.csv"]),
        ({"history_times": "seconds"}, "created", [1_700_000_000] * 2),
        ({"history_times": "milliseconds"}, "created", [1_700_000_000_000] * 2),
        ({"history_times": "mail"}, "created", ["Tue, 14 Nov 2023 22:13:20 GMT"] * 2),
        ({"history_times": "none"}, "created", [None] * 2),
        ({"history_states": "upper"}, "status", ["COMPLETED"] * 2),
        ({"history_states": "other"}, "status", ["import completed"] * 2),
        ({"history_counts": False}, "rows_processed", [None] * 2),
    ],
)
def test_forms_of_a_history(switch, history, switches, member, shown):
    switch(**switches)
    assert [entry.get(member) for entry in history()] == shown


def test_a_history_may_name_files_by_urls(switch, history, table):
    switch(history_names="url")
    assert history()[0]["file"] == f"https://optimizely-import.s3.amazonaws.com/{table['s3_path']}/1.csv"


@pytest.mark.parametrize(
    ("form", "since", "born"),
    [
        ("as_written", 86400, "2022-05-02"),
        ("iso", "1970-01-02T00:00:00Z", "2022-05-02T00:00:00Z"),
        ("seconds", 86400, 1651449600),
        ("milliseconds", 86400000, 1651449600000),
    ],
)
def test_forms_of_dates(ask, switch, profile, form, since, born):
    switch(read_dates=form)
    ask("POST", profile, {"data": {"since": 86400, "born": "2022-05-02"}})
    assert ask.json("GET", profile)["data"] == {"since": since, "born": born}


def test_an_epoch_in_milliseconds_reads_as_another_instant(ask, switch, profile):
    switch(read_dates="iso", epoch_unit="milliseconds")
    ask("POST", profile, {"data": {"since": 86400000}})
    assert ask.json("GET", profile)["data"] == {"since": "1970-01-02T00:00:00Z"}


def test_numbers_and_booleans_may_be_read_as_text(ask, switch, profile):
    switch(read_values="text")
    ask("POST", profile, {"data": {"LTV": 1, "score": 2.5, "vip": True}})
    assert ask.json("GET", profile)["data"] == {"LTV": "1", "score": "2.5", "vip": "true"}


def test_an_epoch_may_have_to_be_text(ask, switch, profile):
    switch(write_epochs="text")
    assert ask("POST", profile, {"data": {"since": 1}}).status == 400
    assert ask("POST", profile, {"data": {"since": "1"}}).status == 201


@pytest.mark.parametrize(("again", "left"), [("add", 2), ("replace", 1)])
def test_aliases_may_replace_earlier_ones(ask, switch, table, again, left):
    switch(aliases_again=again, alias_answer="echo")
    tables = ask.json("GET", f"{BASE}/dcp_services/{table['dcp_service_id']}/dcp_datasources")
    optimizely = next(one["id"] for one in tables if one["is_optimizely"])
    url = f"{VIS}/alias/{table['dcp_service_id']}/{optimizely}/u"
    for one in (table["id"], optimizely):
        assert ask.json("POST", url, {"data": {str(one): "x"}})["data"] == {str(one): "x"}
    assert len(ask.json("GET", url)["data"]) == left


@pytest.mark.parametrize(("form", "body"), [("text", b"Authentication Failed"), ("empty", b"")])
def test_the_body_of_a_refusal(ask, switch, form, body):
    switch(dcp_error_body=form)
    answer = ask("GET", f"{BASE}/dcp_services", headers={})
    assert (answer.status, answer.body) == (401, body)


def test_a_rate_by_the_minute(ask, switch, clock):
    switch(dcp_requests_per_minute=1)
    assert [ask("GET", f"{BASE}/dcp_services").status for _ in range(2)] == [200, 429]
    clock.now += 60
    assert ask("GET", f"{BASE}/dcp_services").status == 200


def test_a_service_may_bring_no_table(ask, switch):
    switch(optimizely_table="absent")
    service = ask.json("POST", f"{BASE}/dcp_services", {"name": "s"})
    assert ask.json("GET", f"{BASE}/dcp_services/{service['id']}/dcp_datasources") == []
