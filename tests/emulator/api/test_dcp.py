"""The DCP config API: shapes, statuses and rules of the vendor's REST reference."""

import re

import pytest

from optimove_provider.emulator import TOKEN
from optimove_provider.emulator.model.switches import Switches

BASE = "/experiment/v1"
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
def service(ask):
    return ask.json("POST", f"{BASE}/dcp_services", {"name": "My service"})


@pytest.fixture
def create_table(ask, service):
    def create_table(**wanted):
        return ask("POST", f"{BASE}/dcp_services/{service['id']}/dcp_datasources", wanted)

    return create_table


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Token": "wrong"}, 403), ({"Authorization": "Bearer x"}, 401)]
)
@pytest.mark.parametrize("path", ["/dcp_services", "/nowhere"])
def test_the_token_is_asked_for(ask, headers, status, path):
    answer = ask("GET", BASE + path, headers=headers)
    assert answer.status == status
    assert answer.json()["message"] == "Authentication Failed"
    assert set(answer.json()) == {"message", "uuid"}


@pytest.mark.parametrize(
    ("accepted", "token", "bearer"), [("token", 200, 401), ("bearer", 401, 200), ("both", 200, 200)]
)
def test_a_token_is_looked_for_where_the_switch_says(ask, state, accepted, token, bearer):
    state.switches = Switches(accepted_auth=accepted)
    for headers, status in (({"Token": TOKEN}, token), ({"Authorization": f"Bearer {TOKEN}"}, bearer)):
        assert ask("GET", f"{BASE}/dcp_services", headers=headers).status == status
    wrong = {"Token": "wrong", "Authorization": "Bearer wrong"}
    assert ask("GET", f"{BASE}/dcp_services", headers=wrong).status == 403
    assert ask("GET", f"{BASE}/dcp_services", headers={"Authorization": "Basic x"}).status == 401


def test_a_service(ask, service):
    assert service["id"] > 2**31
    assert service["s3_path"] == f"dcp/{service['id']}"
    assert INSTANT.fullmatch(service["created"])
    assert INSTANT.fullmatch(service["last_modified"])
    assert service["aws_access_key"]
    assert service["aws_secret_key"]
    assert ask.json("GET", f"{BASE}/dcp_services") == [service]


def test_an_account_has_one_service(ask, service):
    second = ask("POST", f"{BASE}/dcp_services", {"name": "Another"})
    assert second.status == 400
    assert ask.json("GET", f"{BASE}/dcp_services") == [service]


def test_what_is_created_is_answered_201(ask, create_table):
    table = create_table(name="T", keyfield_locator_type="uid")
    assert table.status == 201
    attributes = f"{BASE}/dcp_datasources/{table.json()['id']}/dcp_datasource_attributes"
    assert ask("POST", attributes, {"name": "a", "datatype": "long"}).status == 201


def test_a_service_lists_its_own_tables_where_support_has_allowed_several(ask, state, service):
    allowed = dict(state.services)
    state.services.clear()
    second = ask.json("POST", f"{BASE}/dcp_services", {"name": "Another"})
    state.services |= allowed
    for one in (service, second):
        (table,) = ask.json("GET", f"{BASE}/dcp_services/{one['id']}/dcp_datasources")
        assert table["dcp_service_id"] == one["id"]


def test_a_service_brings_the_optimizely_table(ask, service):
    (table,) = ask.json("GET", f"{BASE}/dcp_services/{service['id']}/dcp_datasources")
    assert table["is_optimizely"] is True
    assert (table["keyfield_locator_type"], table["keyfield_locator_name"]) == ("uid", None)


def test_a_table(ask, service, create_table):
    created = create_table(
        name="My Data Warehouse", keyfield_locator_type="cookie", keyfield_locator_name="_my_hashedEmailcookie"
    ).json()
    assert created["s3_path"] == f"dcp/{service['id']}/{created['id']}"
    assert created["dcp_service_id"] == service["id"]
    assert created["description"] is None
    assert created["attributes"] == []
    assert created["is_optimizely"] is False
    assert created["aws_access_key"] == service["aws_access_key"]
    assert ask.json("GET", f"{BASE}/dcp_datasources/{created['id']}") == created
    assert created in ask.json("GET", f"{BASE}/dcp_services/{service['id']}/dcp_datasources")


@pytest.mark.parametrize("locator", ["cookie", "query parameter", "js_variable"])
def test_locators_need_a_name_except_uid(create_table, locator):
    named = create_table(name="T", keyfield_locator_type=locator, keyfield_locator_name="_a$1")
    assert named.status == 201
    assert create_table(name="T", keyfield_locator_type=locator).status == 400


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"name": "T"},
        {"keyfield_locator_type": "uid"},
        {"name": "T", "keyfield_locator_type": "uuid"},
        {"name": "T", "keyfield_locator_type": "uid", "keyfield_locator_name": "a"},
        {"name": "T", "keyfield_locator_type": "cookie", "keyfield_locator_name": "1a"},
        {"name": "T", "keyfield_locator_type": "cookie", "keyfield_locator_name": "a-b"},
        {"name": "T", "keyfield_locator_type": "cookie", "keyfield_locator_name": 5},
        {"name": 5, "keyfield_locator_type": "uid"},
        {"name": "T", "keyfield_locator_type": "uid", "description": 5},
    ],
)
def test_tables_that_are_refused(ask, service, create_table, wanted):
    assert create_table(**wanted).status == 400
    assert len(ask.json("GET", f"{BASE}/dcp_services/{service['id']}/dcp_datasources")) == 1


@pytest.mark.parametrize("path", ["dcp_services/1/dcp_datasources", "dcp_datasources/1", "dcp_datasources/x"])
def test_ids_that_do_not_exist_are_404(ask, service, path):
    assert ask("GET", f"{BASE}/{path}").status == 404


def test_attributes(ask, table):
    url = f"{BASE}/dcp_datasources/{table['id']}/dcp_datasource_attributes"
    listed = ask.json("GET", url)
    assert listed == [{**one, "dcp_datasource_id": table["id"]} for one in table["attributes"]]
    created = ask.json("POST", url, {"name": "Life-time value", "datatype": "long", "description": "in cents"})
    assert created["dcp_datasource_id"] == table["id"]
    assert INSTANT.fullmatch(created["created"])
    shown = {name: created[name] for name in listed[0]}
    assert ask.json("GET", url) == [*listed, shown]
    assert shown == {
        "id": created["id"],
        "name": "Life-time value",
        "datatype": "long",
        "format": None,
        "description": "in cents",
        "is_value_public": False,
        "archived": False,
        "dcp_datasource_id": table["id"],
    }


def test_attribute_names_are_case_sensitive(ask, table):
    url = f"{BASE}/dcp_datasources/{table['id']}/dcp_datasource_attributes"
    assert ask("POST", url, {"name": "ltv", "datatype": "long"}).status == 201
    refused = ask("POST", url, {"name": "LTV", "datatype": "long"})
    assert refused.status == 400
    assert "'LTV'" in refused.json()["message"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "a"},
        {"datatype": "long"},
        {"name": "a", "datatype": "text"},
        {"name": "a", "datatype": "datetime"},
        {"name": "a", "datatype": "datetime", "format": "dd/mm/yyyy"},
        {"name": "a", "datatype": "long", "format": "epoch"},
        {"name": "CUSTOMERID", "datatype": "string"},
        [],
    ],
)
def test_attributes_that_are_refused(ask, table, wanted):
    url = f"{BASE}/dcp_datasources/{table['id']}/dcp_datasource_attributes"
    assert ask("POST", url, wanted).status == 400
    assert [one["id"] for one in ask.json("GET", url)] == [one["id"] for one in table["attributes"]]


def test_a_trailing_slash_is_accepted(ask, service):
    assert ask.json("GET", f"{BASE}/dcp_services/") == [service]


def test_query_and_host_do_not_matter(ask, service):
    assert ask.json("GET", f"http://127.0.0.1:80{BASE}/dcp_services?x=/y") == [service]


def test_a_service_is_read_renamed_and_deleted(ask, service):
    path = f"{BASE}/dcp_services/{service['id']}"
    assert ask.json("GET", path) == service
    changed = ask("PUT", path, {"name": "Renamed", "s3_path": "elsewhere"})
    assert changed.status == 202
    assert changed.json()["name"] == "Renamed"
    assert changed.json()["s3_path"] == service["s3_path"]
    assert ask("PUT", path, {}).json()["name"] == "Renamed"
    deleted = ask("DELETE", path)
    assert (deleted.status, deleted.body) == (204, b"")
    assert ask.json("GET", path)["archived"] is True
    assert all(table["archived"] for table in ask.json("GET", f"{path}/dcp_datasources"))
    assert ask("POST", f"{BASE}/dcp_services", {"name": "The next"}).status == 201


def test_a_table_is_updated_in_part_and_deleted(ask, create_table):
    table = create_table(name="T", keyfield_locator_type="cookie", keyfield_locator_name="c").json()
    path = f"{BASE}/dcp_datasources/{table['id']}"
    described = ask("PUT", path, {"description": "all customers"})
    assert described.status == 202
    changed = {"description": "all customers", "last_modified": described.json()["last_modified"]}
    assert described.json() == {**table, **changed}
    moved = ask.json("PUT", path, {"keyfield_locator_type": "uid", "keyfield_locator_name": None})
    assert (moved["keyfield_locator_type"], moved["keyfield_locator_name"]) == ("uid", None)
    assert ask("PUT", path, {"keyfield_locator_type": "cookie"}).status == 400
    assert ask("DELETE", path).status == 204
    assert ask.json("GET", path)["archived"] is True


@pytest.fixture
def attributes(create_table):
    table = create_table(name="T", keyfield_locator_type="uid").json()
    return f"{BASE}/dcp_datasources/{table['id']}/dcp_datasource_attributes"


def test_an_attribute_is_archived_and_replaced_by_one_of_its_name(ask, attributes):
    first = ask.json("POST", attributes, {"name": "ltv", "datatype": "string"})
    path = f"{BASE}/dcp_datasource_attributes/{first['id']}"
    assert ask.json("GET", path) == first
    assert ask("POST", attributes, {"name": "ltv", "datatype": "long"}).status == 400
    assert [ask("DELETE", path).status for _ in range(2)] == [204, 204]
    assert ask.json("GET", path)["archived"] is True
    second = ask.json("POST", attributes, {"name": "ltv", "datatype": "long"})
    listed = ask.json("GET", attributes)
    assert [(one["id"], one["archived"]) for one in listed] == [(first["id"], True), (second["id"], False)]


def test_lists_look_as_the_reference_prints_them(ask, attributes):
    ask("POST", attributes, {"name": "ltv", "datatype": "long"})
    table = ask.json("GET", attributes.rpartition("/")[0])
    reduced = {"archived", "datatype", "description", "format", "id", "is_value_public", "name"}
    assert [set(one) for one in table["attributes"]] == [reduced]
    (listed,) = ask.json("GET", attributes)
    assert set(listed) == reduced | {"dcp_datasource_id"}
    assert listed["dcp_datasource_id"] == table["id"]
    assert [one["id"] for one in ask.json("GET", f"{BASE}/projects/")] == [1234]


def test_switches_of_lists(ask, state, attributes):
    for name in ("a", "b"):
        made = ask.json("POST", attributes, {"name": name, "datatype": "long"})
    ask("DELETE", f"{BASE}/dcp_datasource_attributes/{made['id']}")

    def names(**switches):
        state.switches = Switches(**switches)
        return [one["name"] for one in ask.json("GET", attributes)]

    assert names() == ["b", "a"]
    assert names(archived_order="archived_last") == ["a", "b"]
    assert names(archived_in_lists="no") == ["a"]
    assert names(odd_attribute="format") == ["b", "a", "odd"]
    assert names(list_page_size=1) == ["b"]
    first = ask("GET", attributes)
    assert first.headers["link"] == f'<{attributes}?page=2>; rel="next"'
    second = ask("GET", f"{attributes}?page=2")
    assert [one["name"] for one in second.json()] == ["a"]
    assert "link" not in second.headers


def test_what_is_archived_is_neither_read_nor_written(ask, state, attributes):
    ask("POST", attributes, {"name": "kept", "datatype": "long"})
    made = ask.json("POST", attributes, {"name": "gone", "datatype": "long"})
    service = ask.json("GET", f"{BASE}/dcp_services")[0]
    table = ask.json("GET", attributes.rpartition("/")[0])
    profile = f"/vis/api/customer_profile/{service['id']}/{table['id']}/1"
    assert ask("POST", profile, {"data": {"kept": 1, "gone": 2}}).status == 201
    ask("DELETE", f"{BASE}/dcp_datasource_attributes/{made['id']}")
    assert ask.json("GET", profile)["data"] == {"kept": 1}
    assert ask("POST", profile, {"data": {"gone": 3}}).status == 400
    ask("DELETE", f"{BASE}/dcp_datasources/{table['id']}")
    assert ask("GET", profile).status == ask("POST", profile, {"data": {"kept": 1}}).status == 404
    state.objects.put(f"{table['s3_path']}/late.csv", b"customerId,kept\n1,2\n")
    assert ask.json("GET", f"/_emulator/uploads/{table['id']}")[0]["status"] == "failed"
