"""Control routes: trouble on order, the request log, switches, reset, the start page."""

import hashlib
from dataclasses import fields
from typing import get_args, get_type_hints

import pytest

from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import subject_access
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.messages import Lost, Request, Response, json_body
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, Fault, State, Switches, handle, send
from optimove_provider.emulator.dispatch import APIS

SERVICES = "/experiment/v1/dcp_services"
ROWS = (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS)


@pytest.fixture
def order(ask):
    return lambda *faults: ask.json("POST", "/_emulator/faults", list(faults))


def test_every_row_of_the_contract_has_a_handler_and_every_handler_a_row():
    handled = [row for api in APIS for row in api.handlers if row.api != "emulator"]
    assert sorted(handled, key=repr) == sorted(ROWS, key=repr)


def test_every_row_is_reached_by_the_request_that_its_client_builds(state, keys):
    for row in ROWS:
        path = {name: "1" for name in row.path_names}
        prefix = next(api.prefix for api in APIS if row in api.handlers)
        request = row.request(b"{}", **path)
        send(state, Request(request.method, prefix + request.url, keys, request.body))
    assert [entry["endpoint"] for entry in state.requests] == [row.name for row in ROWS]


def test_row_names_are_unlike_each_other_since_faults_are_ordered_by_them():
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_an_ordered_answer_comes_instead_and_nothing_is_done(ask, order):
    order({"endpoint": "create_service", "status": 429, "headers": {"Retry-After": "7"}, "body": "slow down"})
    assert ask.json("GET", SERVICES) == []
    answer = ask("POST", SERVICES, {"name": "s"})
    assert (answer.status, answer.text, answer.headers) == (429, "slow down", {"retry-after": "7"})
    assert ask.json("GET", SERVICES) == []
    assert ask("POST", SERVICES, {"name": "s"}).status == 201


def test_skip_and_times(ask, order):
    order({"endpoint": "list_services", "skip": 2, "times": 2, "status": 503})
    assert [ask("GET", SERVICES).status for _ in range(6)] == [200, 200, 503, 503, 200, 200]
    assert ask.control("faults") == []


def test_every_nth_request_for_as_long_as_the_times_last(ask, order):
    order({"endpoint": "list_services", "skip": 1, "every": 3, "times": 2, "status": 429})
    assert [ask("GET", SERVICES).status for _ in range(11)] == [*[200] * 3, 429, 200, 200, 429, *[200] * 4]
    assert ask.control("faults") == []


def test_two_orders_that_meet_every_nth_request(ask, order):
    order({"every": 2, "times": 99, "status": 429}, {"every": 2, "times": 99, "status": 503})
    assert [ask("GET", SERVICES).status for _ in range(8)] == [200, 429, 503, 429, 200, 429, 503, 429]


def test_a_request_that_one_fault_skips_may_meet_the_next(ask, order):
    order({"status": 500, "skip": 1}, {"status": 502})
    assert [ask("GET", SERVICES).status for _ in range(3)] == [502, 500, 200]


def test_a_star_meets_every_endpoint_but_no_control_route(ask, order):
    order({"status": 500, "times": 2})
    assert ask.control("requests") == []
    assert ask("GET", SERVICES).status == 500
    assert ask("GET", "/_emulator/uploads/1").status == 500
    assert ask("GET", "/api/data-connections/v1").status == 404


def test_faults_are_met_in_the_order_of_their_orders(ask, order):
    order({"status": 500}, {"endpoint": "list_services", "status": 502}, {"status": 503})
    assert [ask("GET", SERVICES).status for _ in range(4)] == [500, 502, 503, 200]


@pytest.mark.parametrize(("lost", "services"), [("before", 0), ("after", 1)])
def test_a_lost_connection_before_or_after_the_work(ask, state, keys, order, lost, services):
    order({"endpoint": "create_service", "lost": lost})
    answer = send(state, Request("POST", SERVICES, keys, json_body({"name": "s"})))
    assert isinstance(answer, Lost)
    assert answer.sent
    assert len(ask.json("GET", SERVICES)) == services
    assert ask.control("requests")[0]["status"] is None
    assert lost in ask.control("requests")[0]["lost"]


def test_handle_answers_as_the_vendor_would_whatever_was_ordered(state, keys):
    state.faults.order(Fault(status=500), Fault(lost="before"))
    assert handle(state, Request("GET", SERVICES, keys)).status == 200
    assert len(state.faults.answers) == 2
    assert not state.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"endpoint": "list_servces", "status": 500},
        {"endpoint": ["*"], "status": 500},
        {"status": 500, "lost": "after"},
        {"status": 99},
        {"status": True},
        {"status": "500"},
        {"lost": "during"},
        {"status": 500, "times": 0},
        {"status": 500, "skip": -1},
        {"status": 500, "every": 0},
        {"status": 500, "tmes": 2},
        {"status": 500, "number": 7},
        {"status": 500, "headers": {"Retry-After": 7}},
        {"status": 500, "body": {"a": 1}},
        {"import": 5},
        {"import": "", "status": 500},
        "status",
    ],
)
def test_orders_that_make_no_sense_are_refused_and_none_of_their_list_is_kept(ask, wrong):
    assert ask("POST", "/_emulator/faults", [{"status": 500}, wrong]).status == 400
    assert ask.control("faults") == []


def test_the_log_has_counts_and_names_and_no_secret(ask, connection):
    batch = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
    value = {"data": [{"id": 1}, {"id": 2}], "batch_uuid": batch, "batch_completed": False}
    ask("POST", f"{connection}/upload_data?key=hidden", value)
    ask("POST", f"{connection}/upload_data", body=b"{")
    ask("GET", "/experiment/v1/nowhere")
    log = ask.control("requests")
    assert log[0]["endpoint"] == "create_connection"
    assert log[1] == {
        "method": "POST",
        "path": f"{connection}/upload_data",
        "endpoint": "upload_data",
        "headers": ["token", "x-api-key", "x-brand-key"],
        "sha256": hashlib.sha256(json_body(value)).hexdigest(),
        "records": 2,
        "batch_uuid": batch,
        "batch_completed": False,
        "status": 200,
        "lost": None,
    }
    assert (log[2]["status"], log[2]["records"]) == (400, None)
    assert (log[3]["status"], log[3]["endpoint"], log[3]["sha256"]) == (404, None, None)
    shown = repr(log)
    assert [secret for secret in (API_KEY, BRAND_KEY, TOKEN, "hidden") if secret in shown] == []


def test_the_log_counts_the_items_of_an_update(ask, connection):
    ask("PUT", f"{connection}/update_data", [{"primary_key": 1, "data": {}}] * 3)
    ask("PUT", f"{connection}/update_data", {"data": []})
    assert [(entry["endpoint"], entry["records"]) for entry in ask.control("requests")[1:]] == [
        ("update_data", 3),
        ("update_data", None),
    ]


def test_the_log_is_bounded(state, keys):
    for _ in range(10_001):
        send(state, Request("GET", "/nowhere", keys))
    assert len(state.requests) == 10_000


def test_the_state_shows_no_aws_keys(ask, table):
    shown = ask("GET", "/_emulator/state").text
    assert table["s3_path"] in shown
    assert table["aws_access_key"] not in shown
    assert table["aws_secret_key"] not in shown


def test_reset_forgets_everything_and_imports_no_old_file(ask, state, objects, connection, table):
    ask.json("PUT", "/_emulator/switches", {"import_after_polls": 3})
    ask.json("POST", "/_emulator/faults", {"status": 500})
    objects.put(f"{table['s3_path']}/old.csv", b"customerId\n1\n")
    ask.json("POST", "/_emulator/reset")
    nothing = {name: [] for name in ("connections", "services", "tables", "violations", "switches_met")}
    assert ask.control("state") == nothing
    assert [ask.control(name) for name in ("requests", "faults", "uploads")] == [[], [], []]
    assert ask.control("switches")["import_after_polls"] == 0
    assert ask.json("POST", SERVICES, {"name": "s"})["id"] > table["id"]
    assert ask.control("uploads") == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"import_after": 1},
        {"import_after_polls": -1},
        {"import_after_polls": 1.5},
        {"import_after_polls": True},
        {"import_after_seconds": "5"},
        {"row_failure": "rows"},
        {"create_status": 204},
        {"create_status": "201"},
        {"schema_status": True},
        {"old_rows_stay": 1},
        {"poison": None},
        {"update_limit": 1.0},
        [],
    ],
)
def test_switches_that_make_no_sense_are_refused(ask, wrong):
    before = ask.control("switches")
    assert ask("PUT", "/_emulator/switches", wrong).status == 400
    assert ask.control("switches") == before


def test_every_switch_is_shown_and_can_be_set(ask):
    shown = ask.control("switches")
    assert set(shown) == {field.name for field in fields(Switches)}
    changed = {
        name: next((choice for choice in get_args(kind) if choice != shown[name]), None)
        or {bool: False, str: "text", int: 7, float: 0.5}[kind]
        for name, kind in get_type_hints(Switches).items()
    }
    assert ask.json("PUT", "/_emulator/switches", changed) == changed == ask.control("switches")
    assert not [name for name in shown if shown[name] == changed[name]]


def test_an_order_can_be_withdrawn(ask, order):
    orders = order({"status": 500}, {"import": "x"}, {"status": 502})
    assert [one["number"] for one in sorted(orders, key=lambda one: one["number"])] == [1, 2, 3]
    left = ask.json("DELETE", "/_emulator/faults/2")
    assert [(one["number"], one["status"]) for one in left] == [(1, 500), (3, 502)]
    assert ask("DELETE", "/_emulator/faults/2").status == 404
    assert ask("DELETE", "/_emulator/faults/x").status == 404
    ask.json("DELETE", "/_emulator/faults/1")
    assert order({"status": 503})[-1]["number"] == 4


def test_other_paths_are_404_and_say_where_something_is(ask):
    answer = ask("GET", "/")
    assert answer.status == 404
    assert "/_emulator" in answer.text


@pytest.mark.parametrize(("path", "allowed"), [
    ("/api/data-connections/v1/connections", "POST"),
    ("/experiment/v1/dcp_services/", "GET, POST"),
    ("/v2/subject-access-requests", "POST"),
    ("/_emulator/switches", "GET, PUT"),
    ("/_emulator/uploads/1", "GET"),
])  # fmt: skip
def test_another_method_is_405_and_says_which_there_are(ask, keys, path, allowed):
    answer = ask("PATCH", path, headers={**keys, "Authorization": f"Bearer {TOKEN}"})
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


def test_a_state_needs_nothing():
    assert isinstance(send(State(), Request("GET", "/_emulator/state")), Response)
