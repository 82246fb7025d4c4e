"""DCP objects that are changed, archived and listed: what the reference documents, and the guesses beside it."""

import pytest

from optimove_provider.emulator import TOKEN, Switches

BASE, VIS = "/experiment/v1", "/vis/api"


@pytest.fixture
def urls(table):
    """The URLs of the service, the table, its attributes and one attribute."""
    service, one = f"{BASE}/dcp_services/{table['dcp_service_id']}", f"{BASE}/dcp_datasources/{table['id']}"
    ltv = next(attribute["id"] for attribute in table["attributes"] if attribute["name"] == "LTV")
    return {
        "service": service,
        "tables": f"{service}/dcp_datasources",
        "table": one,
        "attributes": f"{one}/dcp_datasource_attributes",
        "attribute": f"{BASE}/dcp_datasource_attributes/{ltv}",
        "profile": f"{VIS}/customer_profile/{table['dcp_service_id']}/{table['id']}/c1",
    }


@pytest.mark.parametrize("kind", ["service", "table"])
def test_a_put_changes_what_it_names_is_answered_202_and_the_rest_stays(ask, clock, urls, kind):
    before = ask.json("GET", urls[kind])
    clock.now += 1
    changed = ask("PUT", urls[kind], {"name": "Another", "unknown": 1})
    assert changed.status == 202
    assert changed.json() == {**before, "name": "Another", "last_modified": changed.json()["last_modified"]}
    assert changed.json()["last_modified"] > before["last_modified"]
    assert ask.json("GET", urls[kind]) == changed.json()


def test_a_table_gets_another_description_and_locator(ask, urls):
    wanted = {"description": "d", "keyfield_locator_type": "uid", "keyfield_locator_name": None}
    found = ask.json("PUT", urls["table"], wanted)
    assert {name: found[name] for name in wanted} == wanted
    assert ask.json("PUT", urls["table"], {"description": None})["description"] is None


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": ""},
        {"name": None},
        {"description": 1},
        {"keyfield_locator_type": "uid"},
        {"keyfield_locator_name": "a-b"},
    ],
)
def test_a_table_is_changed_whole_or_not_at_all(ask, urls, wanted):
    before = ask.json("GET", urls["table"])
    assert ask("PUT", urls["table"], {"name": "X", **wanted}).status == 400
    assert ask.json("GET", urls["table"]) == before


def test_an_attribute_is_read_with_its_table_and_instants(ask, table, urls):
    found = ask.json("GET", urls["attribute"])
    assert (found["name"], found["dcp_datasource_id"]) == ("LTV", table["id"])
    assert {"created", "last_modified"} <= found.keys()


def test_an_archived_attribute_can_neither_be_written_read_nor_imported(ask, objects, table, urls):
    assert ask("POST", urls["profile"], {"data": {"LTV": 1, "vip": True}}).status == 201
    answer = ask("DELETE", urls["attribute"])
    assert (answer.status, answer.body) == (204, b"")
    assert ask("DELETE", urls["attribute"]).status == 204
    assert ask.json("GET", urls["attribute"])["archived"] is True
    assert ask.json("GET", urls["profile"])["data"] == {"vip": True}
    assert ask("POST", urls["profile"], {"data": {"LTV": 1}}).status == 400
    objects.put(f"{table['s3_path']}/f.csv", b"customerId,LTV\nc1,7\n")
    assert [entry["status"] for entry in ask.control("uploads")] == ["failed"]


def test_an_archived_attribute_is_replaced_under_its_name(ask, urls):
    ask("POST", urls["profile"], {"data": {"LTV": 1}})
    ask("DELETE", urls["attribute"])
    assert ask("POST", urls["attributes"], {"name": "LTV", "datatype": "string"}).status == 201
    assert ask("POST", urls["attributes"], {"name": "LTV", "datatype": "string"}).status == 400
    assert ask.json("GET", urls["profile"])["data"] == {}
    assert ask("POST", urls["profile"], {"data": {"LTV": "x"}}).status == 201


def test_the_name_of_an_archived_attribute_may_be_taken(ask, state, urls):
    state.switches = Switches(archived_name="taken")
    ask("DELETE", urls["attribute"])
    assert ask("POST", urls["attributes"], {"name": "LTV", "datatype": "string"}).status == 400


@pytest.mark.parametrize("kind", ["table", "service"])
def test_what_is_deleted_is_archived_and_takes_no_file(ask, objects, table, urls, kind):
    assert ask("POST", urls["profile"], {"data": {"LTV": 1}}).status == 201
    answer = ask("DELETE", urls[kind])
    assert (answer.status, answer.body) == (204, b"")
    assert ask.json("GET", urls["table"])["archived"] is True
    assert ask.json("GET", urls["service"])["archived"] is (kind == "service")
    assert ask("GET", urls["profile"]).status == 404
    objects.put(f"{table['s3_path']}/f.csv", b"customerId,LTV\nc1,7\n")
    (entry,) = ask.control("uploads")
    assert (entry["status"], entry["message"]) == ("failed", "the table is archived")


def test_another_service_may_be_created_when_the_first_is_archived(ask, urls):
    assert ask("POST", f"{BASE}/dcp_services", {"name": "B"}).status == 400
    ask("DELETE", urls["service"])
    assert ask("POST", f"{BASE}/dcp_services", {"name": "B"}).status == 201


@pytest.mark.parametrize("path", ["dcp_services/1", "dcp_datasources/1", "dcp_datasource_attributes/1", "projects/1"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_what_is_not_there_is_404(ask, urls, method, path):
    assert ask(method, f"{BASE}/{path}", {} if method == "PUT" else None).status == 404


def test_projects_are_listed(ask):
    (project,) = ask.json("GET", f"{BASE}/projects/")
    assert project == ask.json("GET", f"{BASE}/projects/1234")
    assert ask.json("GET", f"{BASE}/projects") == [project]


@pytest.mark.parametrize(("listed", "names"), [("yes", ["LTV", "vip", "LTV"]), ("no", ["vip", "LTV"])])
def test_lists_show_what_is_archived_or_not(ask, state, urls, listed, names):
    ask("DELETE", urls["attribute"])
    ask("POST", urls["attributes"], {"name": "LTV", "datatype": "string"})
    state.switches = Switches(archived_in_lists=listed)
    found = ask.json("GET", urls["attributes"])
    assert [one["name"] for one in found if one["name"] in ("LTV", "vip")] == names
    state.switches = Switches(archived_in_lists=listed, archived_order="archived_last")
    found = ask.json("GET", urls["attributes"])
    newest = next(one for one in found if one["name"] == "LTV")
    assert newest["archived"] is False


@pytest.mark.parametrize("form", ["datatype", "format", "null"])
def test_a_table_may_have_an_attribute_of_a_kind_that_no_page_describes(ask, state, urls, form):
    state.switches = Switches(odd_attribute=form)
    *_, odd = ask.json("GET", urls["attributes"])
    assert (odd["name"], odd["datatype"]) == ("odd", {"datatype": "decimal", "format": "datetime", "null": None}[form])


def test_lists_may_come_in_pages(ask, state, urls):
    whole = ask.json("GET", urls["tables"])
    state.switches = Switches(list_page_size=1)
    first = ask("GET", urls["tables"])
    target, _, rest = first.headers["link"].removeprefix("<").partition(">")
    assert (first.json(), rest) == (whole[:1], '; rel="next"')
    second = ask("GET", f"http://127.0.0.1:80{target}")
    assert (second.json(), second.headers.get("link")) == (whole[1:], None)
    state.switches = Switches(list_page_size=1, next_page="elsewhere")
    assert ask("GET", urls["tables"]).headers["link"].startswith("<https://elsewhere.example/")
    assert "link" not in ask("GET", f"{BASE}/dcp_services").headers


def test_ids_may_be_texts_on_the_config_host_too(ask, state, table, urls):
    state.switches = Switches(config_ids="text")
    found = ask.json("GET", urls["table"])
    assert (found["id"], found["dcp_service_id"]) == (str(table["id"]), str(table["dcp_service_id"]))
    assert {type(one["id"]) for one in found["attributes"]} == {str}


TOKENS = (
    {"Token": TOKEN},
    {"Authorization": f"Bearer {TOKEN}"},
    {"Authorization": "Bearer wrong"},
    {"Authorization": TOKEN},
)


@pytest.mark.parametrize(
    ("accepted", "statuses"),
    [("token", [200, 401, 401, 401]), ("bearer", [401, 200, 403, 401]), ("both", [200, 200, 403, 401])],
)
def test_a_token_or_a_bearer_is_accepted_or_both(ask, state, accepted, statuses):
    state.switches = Switches(dcp_auth=accepted)
    assert [ask("GET", f"{BASE}/dcp_services", headers=headers).status for headers in TOKENS] == statuses


@pytest.mark.parametrize(
    ("form", "status", "body"),
    [("empty", 200, b"[]"), ("404", 404, None), ("null", 200, b"null"), ("no_body", 200, b"")],
)
def test_the_view_of_a_user_whom_nobody_knows(ask, state, urls, form, status, body):
    optimizely = next(one["id"] for one in ask.json("GET", urls["tables"]) if one["is_optimizely"])
    service = urls["service"].rpartition("/")[2]
    state.switches = Switches(unknown_view=form)
    answer = ask("GET", f"{VIS}/consolidatedCustomerView/{service}/{optimizely}/nobody")
    assert (answer.status, answer.body if body is not None else None) == (status, body)


def test_the_view_may_have_the_path_of_2016(ask, state, urls):
    optimizely = next(one["id"] for one in ask.json("GET", urls["tables"]) if one["is_optimizely"])
    service = urls["service"].rpartition("/")[2]
    paths = [f"{VIS}/consolidatedCustomerView/{service}{middle}/u" for middle in (f"/{optimizely}", "")]
    assert [ask("GET", path).status for path in paths] == [200, 404]
    state.switches = Switches(consolidated_path="2016")
    assert [ask("GET", path).status for path in paths] == [404, 200]
