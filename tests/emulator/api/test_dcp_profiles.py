"""The profile API, projects, and the guesses about DCP that can be changed."""

import pytest

from optimove_provider.emulator import Switches

BASE, VIS = "/experiment/v1", "/vis/api"


@pytest.fixture
def profile(table):
    """The URL of a profile."""
    return f"{VIS}/customer_profile/{table['dcp_service_id']}/{table['id']}/oeu1234.5678"


@pytest.fixture
def optimizely(ask, table):
    """The id of the Optimizely table."""
    tables = ask.json("GET", f"{BASE}/dcp_services/{table['dcp_service_id']}/dcp_datasources")
    return next(one["id"] for one in tables if one["is_optimizely"])


def test_a_write_is_answered_201_without_a_body(ask, table, profile):
    answer = ask("POST", profile, {"data": {"LTV": 100, "vip": True}})
    assert (answer.status, answer.body) == (201, b"")
    assert ask.json("GET", profile) == {
        "dcpServiceId": str(table["dcp_service_id"]),
        "datasourceId": str(table["id"]),
        "customerId": "oeu1234.5678",
        "data": {"LTV": 100, "vip": True},
    }


def test_a_write_can_be_answered_with_an_echo(ask, state, profile):
    state.switches = Switches(profile_write_answer="echo")
    assert ask.json("POST", profile, {"data": {"LTV": 100}})["data"] == {"LTV": 100}


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("LTV", [1, -2, 2**63 - 1], ["1", 1.5, True, None, 2**63, [1]]),
        ("score", [1, -2.5, 1e22], ["1", True, None]),
        ("vip", [True, False], ["true", 1, 0, None]),
        ("born", ["2022-05-02"], ["2022-13-01", 1651676123, ""]),
        ("seen", ["2022-05-02T10:10:59Z"], ["2022-05-02", 1651676123]),
        ("since", [0, 1651676123], ["1651676123", -1, 1.5, True]),
        ("most_viewed_category", ["shirts", "", 'a"b'], [7, None, True]),
        ("unknown", [], ["x", 1]),
    ],
)
def test_values_are_judged_by_datatype(ask, profile, name, right, wrong):
    for value in right:
        assert ask("POST", profile, {"data": {name: value}}).status == 201, value
        assert ask.json("GET", profile)["data"][name] == value
    for value in wrong:
        assert ask("POST", profile, {"data": {name: value}}).status == 400, value


def test_a_refused_write_stores_nothing(ask, profile):
    assert ask("POST", profile, {"data": {"LTV": 1, "unknown": 1}}).status == 400
    assert ask("GET", profile).status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":[]}', b"{}", b'{"data":{"score":NaN}}'])
def test_a_write_needs_a_json_object_of_data(ask, profile, body):
    assert ask("POST", profile, body=body).status == 400


def test_an_unknown_profile_can_be_empty_instead(ask, state, profile):
    state.switches = Switches(unknown_profile="empty")
    assert ask.json("GET", profile)["data"] == {}


@pytest.mark.parametrize("status", [400, 401, 403, 500])
def test_the_reading_of_profiles_can_be_refused(ask, state, profile, status):
    ask("POST", profile, {"data": {"LTV": 100}})
    state.switches = Switches(profile_read=status)
    assert (ask("GET", profile).status, ask("POST", profile, {"data": {"LTV": 1}}).status) == (status, 201)


def test_a_page_can_be_answered_for_a_profile(ask, state, profile):
    state.switches = Switches(profile_read="html")
    answer = ask("GET", profile)
    assert (answer.status, answer.headers["content-type"], answer.body[:6]) == (200, "text/html", b"<html>")


def test_what_is_written_can_be_read_later_only(ask, state, clock, table, profile):
    state.switches = Switches(profile_lag_seconds=60)
    ask("POST", profile, {"data": {"LTV": 1}})
    clock.now += 59
    assert ask("GET", profile).status == 404
    clock.now += 1
    assert ask.json("GET", profile)["data"] == {"LTV": 1}


def test_what_is_imported_can_be_read_later_only(ask, state, clock, objects, table, profile):
    state.switches = Switches(profile_lag_seconds=60)
    objects.put(f"{table['s3_path']}/f.csv", b"customerId,LTV\noeu1234.5678,7\n")
    assert [entry["status"] for entry in ask.control("uploads")] == ["completed"]
    assert ask("GET", profile).status == 404
    clock.now += 60
    assert ask.json("GET", profile)["data"] == {"LTV": 7}


@pytest.mark.parametrize(("switch", "status"), [("any", "completed"), ("lower", "failed")])
def test_bools_in_another_case(ask, state, objects, table, switch, status):
    state.switches = Switches(bool_case=switch)
    objects.put(f"{table['s3_path']}/f.csv", b"customerId,vip\n1,TRUE\n")
    assert [entry["status"] for entry in ask.control("uploads")] == [status]


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"Token": "wrong"}, 403)])
def test_the_profile_host_asks_for_the_token_too(ask, profile, headers, status):
    assert ask("GET", profile, headers=headers).status == status


@pytest.mark.parametrize("path", ["customer_profile/{s}/99/x", "customer_profile/99/{t}/x", "alias/{s}/{t}/x"])
def test_ids_must_fit_each_other(ask, table, path):
    url = f"{VIS}/{path.format(s=table['dcp_service_id'], t=table['id'])}"
    assert ask("GET", url).status in (400, 404)


def test_the_consolidated_view_follows_aliases(ask, table, optimizely, profile):
    service = table["dcp_service_id"]
    view = f"{VIS}/consolidatedCustomerView/{service}/{optimizely}/oeu1"
    assert ask.json("GET", view) == []
    ask("POST", profile, {"data": {"LTV": 1}})
    alias = f"{VIS}/alias/{service}/{optimizely}/oeu1"
    assert ask("GET", alias).status == 404
    assert ask("POST", alias, {"data": {str(table["id"]): "oeu1234.5678"}}).status == 201
    assert ask.json("GET", alias)["data"] == {str(table["id"]): "oeu1234.5678"}
    (found,) = ask.json("GET", view)
    assert (found["datasourceId"], found["data"]) == (str(table["id"]), {"LTV": 1})


@pytest.mark.parametrize("data", [{"99": "x"}, {"{t}": ""}, {"{t}": 1}])
def test_aliases_name_tables_and_customers(ask, table, optimizely, data):
    url = f"{VIS}/alias/{table['dcp_service_id']}/{optimizely}/oeu1"
    wanted = {name.format(t=table["id"]): value for name, value in data.items()}
    assert ask("POST", url, {"data": wanted}).status == 400


def test_an_empty_id_names_nothing(ask, table):
    url = f"/vis/api/customer_profile/{table['dcp_service_id']}/{table['id']}/"
    assert ask("POST", url, {"data": {}}).status == 404
    assert ask("GET", f"{BASE}/dcp_services//dcp_datasources").status == 404


def test_a_project_is_linked_and_unlinked(ask, table):
    url = f"{BASE}/projects/1234"
    assert ask.json("GET", url)["dcp_service_id"] is None
    for linked in (table["dcp_service_id"], None):
        answer = ask("PUT", f"{url}/", {"dcp_service_id": linked})
        assert (answer.status, answer.json()["dcp_service_id"]) == (202, linked)
    for wrong in (99, {}, [], True, "1", 1.5):
        assert ask("PUT", url, {"dcp_service_id": wrong}).status == 400
    assert ask("PUT", url, {"dcp_service_id": float(table["dcp_service_id"])}).status == 202
    assert ask("GET", f"{BASE}/projects/99").status == 404


@pytest.mark.parametrize(("switch", "status"), [("ignore", 202), ("400", 400)])
def test_of_an_attribute_only_the_description_changes(ask, state, table, switch, status):
    state.switches = Switches(attribute_put=switch)
    attribute = table["attributes"][0]
    url = f"{BASE}/dcp_datasource_attributes/{attribute['id']}"
    assert ask("PUT", url, {"name": "other", "description": "new"}).status == status
    answer = ask("PUT", url, {"description": "newer"})
    assert (answer.status, answer.json()["name"], answer.json()["description"]) == (202, attribute["name"], "newer")
    assert ask("PUT", f"{BASE}/dcp_datasource_attributes/99", {"description": "x"}).status == 404


def test_the_status_of_a_second_service_is_a_switch(ask, state, table):
    state.switches = Switches(second_service_status=409)
    assert ask("POST", f"{BASE}/dcp_services", {"name": "Another"}).status == 409


def test_a_name_put_again_too_early_is_a_violation(ask, state, objects, table):
    state.switches = Switches(import_after_polls=3)
    for _ in range(2):
        objects.put(f"{table['s3_path']}/f.csv", b"customerId,LTV\n1,7\n")
        ask.control("uploads")
    assert "f.csv was put again before" in ask.control("state")["violations"][0]
