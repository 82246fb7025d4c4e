"""The description of both APIs: complete, valid, and true of each status that it names."""

import json
from dataclasses import replace
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Request, json_body
from optimove_provider.emulator import TOKEN, Switches, send
from optimove_provider.emulator.api.described.openapi import document
from optimove_provider.emulator.api.described.under_switches import SHAPES, described
from optimove_provider.emulator.api.routes import PREFIXES
from tests.support.openapi.word import keeps_its_word
from tests.support.unknowns.cases import cases

ROWS = (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS)
SETTINGS = list(cases())
NAMES = {one.name: one for one in ROWS}


def test_each_row_of_the_contract_is_described_and_nothing_else():
    assert set(SHAPES) == set(ROWS)
    found = document(Switches())["paths"]
    asked = {(method.upper(), path) for path, methods in found.items() for method in methods}
    assert asked == {(row.method, PREFIXES[row.api] + row.path) for row in ROWS}


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_it_is_whole_under_each_setting_of_each_switch():
    texts = {json.dumps(document(replace(Switches(), **{name: setting}))) for name, setting in SETTINGS}
    assert len(texts) > 40
    schemas = {}
    for found in map(json.loads, texts):
        assert_whole(found)
        schemas |= {json.dumps(one): one for one in found["components"]["schemas"].values()}
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def assert_whole(found):
    parts = found["components"]
    for reference in references(found):
        _, _, kind, part = reference.split("/")
        assert part in parts[kind], reference
    operations = {one["operationId"]: one for path in found["paths"].values() for one in path.values()}
    assert len(operations) == len(ROWS)
    answers = [answer for one in operations.values() for answer in one["responses"].values()]
    for link in (link for answer in answers for link in answer.get("links", {}).values()):
        named = {parameter["name"] for parameter in operations[link["operationId"]]["parameters"]}
        assert set(link["parameters"]) <= named


def test_it_is_served_as_the_switches_are_and_the_start_page_leads_to_it(ask):
    assert ask.control("openapi.json") == json.loads(json.dumps(document(Switches())))
    ask.json("PUT", "/_emulator/switches", {"create_status": 200, "accepted_auth": "bearer"})
    served = ask.control("openapi.json")
    assert served == json.loads(json.dumps(document(replace(Switches(), create_status=200, accepted_auth="bearer"))))
    (created,) = served["paths"]["/api/data-connections/v1/connections"].values()
    assert "200" in created["responses"]
    assert "201" not in created["responses"]
    assert 'href="/_emulator/openapi.json"' in ask("GET", "/_emulator/").text


RIGHT = {
    "create_connection": {"name": "customers", "primary_key": "id"},
    "upload_data": {"data": [{"id": 1}]},
    "update_data": [{"primary_key": 1, "data": {}}],
    "create_service": {"name": "profiles"},
    "create_table": {"name": "customers", "keyfield_locator_type": "uid"},
    "create_attribute": {"name": "ltv", "datatype": "long"},
    "write_profile": {"data": {"LTV": 1}},
    "create_aliases": {"data": {}},
    "create_subject_access_request": {
        "data_type": "visitor",
        "identifier_type": "dcp_id",
        "identifier": "1",
        "request_type": "access",
    },
}
"""Bodies that are taken; an update takes an empty object."""
WRONG = {"create_service": {"name": ""}, "create_subject_access_request": {}}


@pytest.fixture
def there(ask, connection, table):
    """What is there, by the names in a path."""
    service = table["dcp_service_id"]
    tables = ask.json("GET", f"/experiment/v1/dcp_services/{service}/dcp_datasources")
    optimizely = next(one["id"] for one in tables if one["is_optimizely"])
    profile = f"/vis/api/customer_profile/{service}/{table['id']}/c1"
    ask("POST", profile, {"data": {"LTV": 1}})
    ask("POST", f"/vis/api/alias/{service}/{optimizely}/u1", {"data": {str(table["id"]): "c1"}})
    return {
        "data_connection_uuid": connection.rpartition("/")[2],
        "service_id": service,
        "table_id": table["id"],
        "attribute_id": table["attributes"][0]["id"],
        "project_id": 1234,
        "optimizely_table_id": optimizely,
        "customer_id": "c1",
        "optimizely_user_id": "u1",
    }


def about(row, there):
    encoded = {name: quote(str(there[name]), safe="") for name in row.path_names}
    return PREFIXES[row.api] + row.path.format(**encoded)


@pytest.fixture
def asked(state, keys):
    """Asks a row; the answer has to be one that is described."""

    def asked(row, path, body=None, headers=None):
        content = None if body is None else json_body(body)
        all_keys = {**keys, "Authorization": f"Bearer {TOKEN}"} if headers is None else headers
        request = Request(row.method, about(row, path), all_keys, content, endpoint=row)
        answer = send(state, request)
        keeps_its_word(state.switches.plain, request, answer)
        return answer.status

    return asked


def provoke(row, status, state, there, keys):
    """What has to be asked, with which keys, so that a row answers so: path, body, headers. It may change switches."""
    body = RIGHT.get(row.name, {} if row.method in ("POST", "PUT") else None)
    if status == 400:
        wrong_table = {**there, "optimizely_table_id": there["table_id"]}
        return wrong_table, WRONG.get(row.name, [] if body is not None else None), None
    if status == 401:
        return there, body, {}
    if status == 403:
        return there, body, {**keys, "Token": "another"}
    if status == 404:
        elsewhere = {name: there[name] if "customer" in name or "user" in name else 7 for name in there}
        return elsewhere, body, None
    if status == 413:
        state.switches = replace(Switches(), max_body_bytes=5)
    elif status == 429:
        state.switches = replace(Switches(), requests_per_10s=1, dcp_requests_per_minute=1)
        send(state, Request("GET", "/api/data-connections/v1", keys))
        send(state, Request("GET", "/experiment/v1/projects", keys))
    return there, body, None


REFUSALS = [(row.name, status) for row, one in SHAPES.items() for status in one.refused if status != 503]


@pytest.mark.parametrize(("name", "status"), REFUSALS)
def test_each_refusal_that_is_described_is_met(name, status, state, there, keys, asked):
    row = NAMES[name]
    assert asked(row, *provoke(row, status, state, there, keys)) == status


def test_503_is_met_on_order_only(state, there, ask, asked):
    described_so = [row for row, one in described(Switches()).items() if 503 in one.shape.refused]
    assert {row.api for row in described_so} == {dcp.API, profiles.API}
    body = json.dumps({"message": "maintenance", "uuid": "1"})
    headers = {"content-type": "application/json"}
    ask.json("POST", "/_emulator/faults", {"endpoint": "*", "status": 503, "body": body, "headers": headers})
    assert asked(dcp.LIST_SERVICES, there) == 503


GONE_BY = {"delete_attribute", "delete_table", "delete_service"}
NEVER = {optix.REACH: 404, profiles.READ_CONSOLIDATED_2016: 404, dcp.CREATE_SERVICE: 400}
"""What has no success here: nothing to read, the path of another year, and a second service."""


def test_each_success_that_is_described_is_met(state, there, asked):
    rows = sorted(SHAPES, key=lambda row: row.name in GONE_BY)
    for row in rows:
        status = asked(row, *provoke(row, None, state, there, {}))
        assert status == NEVER.get(row, SHAPES[row].success), row.name
    state.switches = replace(Switches(), consolidated_path="2016")
    state.reset()
    assert asked(dcp.CREATE_SERVICE, there, RIGHT["create_service"]) == 201


def test_what_is_described_follows_these_switches():
    """These change what is described; under all others the same may travel, which the matrix of `unknowns` sees."""
    plain = document(Switches())
    found = {name for name, setting in SETTINGS if document(replace(Switches(), **{name: setting})) != plain}
    assert found == {
        "accepted_auth",
        "alias_answer",
        "attribute_put",
        "create_status",
        "created_uuid",
        "dcp_error_body",
        "error_envelope",
        "history_counts",
        "history_states",
        "history_times",
        "max_ttl_seconds",
        "nested_values",
        "null_values",
        "odd_attribute",
        "profile_read",
        "profile_write_answer",
        "rate_limit_status",
        "schema_status",
        "second_service_status",
        "success_body",
        "success_status",
        "update_limit",
        "wrong_brand_status",
        "zero_ttl",
    }
