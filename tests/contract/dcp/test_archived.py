"""Archived and live objects of one name, objects that nobody here can judge, and what changes and archives them."""

from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.drive import run
from optimove_provider.clients.patience import Retries
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute, by_name
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure
from optimove_provider.contract.dcp.ensure import Ensured
from optimove_provider.contract.wire.errors import Disagreement, Refused, UnreadableAnswer
from optimove_provider.contract.wire.messages import Response, json_body
from optimove_provider.emulator import TOKEN, Fault, State, Switches, send

SETTINGS = DcpSettings(
    conn_id="dcp_default",
    host="http://emulator/experiment/v1",
    token=TOKEN,
    profile_host="http://emulator/vis/api",
)


@pytest.fixture
def state():
    return State()


@pytest.fixture
def client(state):
    return DcpClient(SETTINGS, send=partial(send, state), retries=Retries(attempts=2, first_wait=0))


@pytest.fixture
def service(client):
    return client.ensure_service("profiles").id


@pytest.fixture
def table(client, service):
    return client.ensure_table(service, "customers", "uid").id


def changes(state):
    return [request["endpoint"] for request in state.requests if request["method"] != "GET"]


def listed(flow, *entries):
    return run(flow, lambda _: Response(200, json_body(list(entries))))


ORDERS = ("archived_first", "archived_last")
LONG = {"id": 1, "name": "ltv", "datatype": "long", "archived": True}
DOUBLE = {"id": 2, "name": "ltv", "datatype": "double"}


@pytest.mark.parametrize("order", ORDERS)
def test_an_attribute_is_archived_and_replaced_and_then_kept(client, state, table, order):
    state.switches = Switches(archived_order=order)
    client.ensure_attributes(table, [Attribute("ltv", "long"), Attribute("vip", "bool")])
    for _ in range(2):
        done = client.archive_attributes(table, {"ltv": "long"})
        client.ensure_attributes(table, [Attribute("ltv", "double")])
    assert done == Ensured(table)
    assert client.list_attributes(table) == [Attribute("ltv", "double"), Attribute("vip", "bool")] or order == ORDERS[1]
    assert {one.name: one.kind for one in client.list_attributes(table)} == {"ltv": "double", "vip": "bool"}
    assert sorted((one.name, one.kind, one.archived) for one in client.list_every_attribute(table)) == [
        ("ltv", "double", False),
        ("ltv", "long", True),
        ("vip", "bool", False),
    ]
    assert changes(state).count("delete_attribute") == 1
    with pytest.raises(Disagreement, match="'ltv' is registered as double, not long"):
        client.ensure_attributes(table, [Attribute("ltv", "long")])


@pytest.mark.parametrize("entries", [(LONG, DOUBLE), (DOUBLE, LONG), (LONG, {**LONG, "id": 3}, DOUBLE)])
def test_the_live_one_of_a_name_is_meant_in_any_order(entries):
    (found,) = listed(dcp.list_attributes(1), *entries)
    assert (found.id, found.kind, found.archived) == (2, "double", False)


def test_of_archived_ones_alone_one_is_listed():
    (found,) = listed(dcp.list_attributes(1), LONG, {**DOUBLE, "archived": True})
    assert found.archived


def test_live_ones_that_differ_are_named_and_only_they_stand_in_the_way():
    twice = [Attribute("ltv", "long"), Attribute("ltv", "double"), Attribute("vip", "bool"), Attribute("vip", "bool")]
    found = by_name(twice)
    assert found["ltv"].problem == "it is registered twice, as long and as double: archive one"
    assert found["vip"] == Attribute("vip", "bool")


def test_an_archived_one_of_the_same_datatype_is_not_replaced_behind_somebodys_back(client, table):
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    client.archive_attributes(table, {"ltv": None})
    with pytest.raises(Disagreement, match="is archived: restore it in the web UI, as its values are kept there"):
        client.ensure_attributes(table, [Attribute("ltv", "long")])


def test_where_an_archived_name_is_taken_the_vendor_says_so(client, state, table):
    state.switches = Switches(archived_name="taken")
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    client.archive_attributes(table, {"ltv": None})
    with pytest.raises(Refused, match="has an attribute 'ltv' already"):
        client.ensure_attributes(table, [Attribute("ltv", "double")])


def test_an_unknown_name_archives_nothing(client, state, table):
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    with pytest.raises(Disagreement, match="lists no attribute 'ltw', only 'ltv': check the names, or say missing_ok"):
        client.archive_attributes(table, {"ltv": None, "ltw": None})
    assert "delete_attribute" not in changes(state)
    assert client.archive_attributes(table, {"ltv": None, "ltw": None}, dry_run=True).archived == ("ltv",)
    assert client.archive_attributes(table, {"ltv": None, "ltw": None}, missing_ok=True).archived == ("ltv",)


def test_where_lists_leave_out_what_is_archived_it_can_be_archived_again_all_the_same(client, state, table):
    state.switches = Switches(archived_in_lists="no")
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    client.archive_attributes(table, {"ltv": None})
    assert client.list_every_attribute(table) == []
    with pytest.raises(Disagreement, match="the API does not list such ones"):
        client.archive_attributes(table, {"ltv": None})
    assert client.archive_attributes(table, {"ltv": None}, missing_ok=True) == Ensured(table)


def test_a_lost_answer_to_an_archival_is_no_failure(client, state, table):
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    state.faults.order(Fault("delete_attribute", lost="after"), Fault("delete_attribute", status=404))
    assert client.archive_attributes(table, {"ltv": None}).archived == ("ltv",)


def test_a_404_for_what_is_still_there_is_one(client, state, table):
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    state.faults.order(Fault("delete_attribute", status=404))
    with pytest.raises(Refused):
        client.archive_attributes(table, {"ltv": None})


@pytest.mark.parametrize("form", ["datatype", "format", "null"])
def test_an_attribute_that_nobody_can_judge_stands_in_nobodys_way(client, state, table, form):
    state.switches = Switches(odd_attribute=form)
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    *_, odd = client.list_attributes(table)
    assert odd.name == "odd"
    assert "is" in odd.problem
    with pytest.raises(Disagreement, match=r"'odd' is registered, but (datatype|format) .* is"):
        client.ensure_attributes(table, [Attribute("odd", "string")])


@pytest.mark.parametrize("archived", ["false", 1, []])
def test_nobody_guesses_whether_an_attribute_is_archived(archived):
    (found,) = listed(dcp.list_attributes(1), {**DOUBLE, "archived": archived})
    assert "archived is" in found.problem
    assert not found.archived


def test_an_attribute_without_an_id_can_be_loaded_and_not_archived():
    entry = {**DOUBLE, "id": True}
    assert listed(dcp.list_attributes(1), entry) == [Attribute("ltv", "double")]
    with pytest.raises(
        Disagreement, match="'ltv' was listed without an id: leave it out, and archive it in the web UI"
    ):
        listed(ensure.archive_attributes(1, {"ltv": None}), entry)


@pytest.mark.parametrize("order", ORDERS)
def test_an_archived_table_of_the_name_does_not_count_beside_a_live_one(client, state, service, order):
    state.switches = Switches(archived_order=order)
    first = client.ensure_table(service, "customers", "cookie", "cid").id
    client.delete_table(first)
    with pytest.raises(Disagreement, match="is archived: restore it in the web UI"):
        client.ensure_table(service, "customers", "uid")
    state.switches = Switches(archived_order=order, archived_in_lists="no")
    second = client.ensure_table(service, "customers", "uid").id
    state.switches = Switches(archived_order=order)
    assert client.ensure_table(service, "customers", "uid") == Ensured(second)
    assert second != first


def test_an_archived_service_is_replaced_and_then_kept(client):
    first = client.ensure_service("profiles").id
    client.delete_service(first)
    second = client.ensure_service("profiles").id
    assert client.ensure_service("profiles") == Ensured(second)
    assert [one.archived for one in client.list_services()] == [True, False]


def test_a_table_gets_a_name_and_a_description_once(client, state, table):
    done = client.update_table(table, "all customers", "of the shop", dry_run=True)
    assert done == Ensured(table, changed=(f"name of table {table}", f"description of table {table}"))
    assert client.read_table(table).name == "customers"
    assert client.update_table(table, "all customers", "of the shop") == done
    assert client.update_table(table, "all customers", "of the shop") == Ensured(table)
    assert client.update_table(table, description="").changed == (f"description of table {table}",)
    assert client.update_table(table, description="") == Ensured(table)
    found = client.read_table(table)
    assert (found.name, found.description, found.keyfield_locator_type) == ("all customers", "", "uid")
    assert changes(state).count("update_table") == 2


def test_a_tables_name_is_not_given_twice(client, service, table):
    other = client.ensure_table(service, "visitors", "uid").id
    with pytest.raises(Disagreement, match=f"table {other} has the name 'visitors' already"):
        client.update_table(table, "visitors")
    with pytest.raises(Disagreement, match="without a letter"):
        client.update_table(table, " ")
    client.delete_table(other)
    client.update_table(table, "visitors")


def test_an_archived_table_is_not_changed(client, table):
    client.delete_table(table)
    with pytest.raises(Disagreement, match="is archived"):
        client.update_table(table, description="new")
    assert client.update_table(table, "customers") == Ensured(table)


def test_a_service_is_renamed_once(client, state, service):
    assert client.rename_service(service, "shop").changed == (f"name of service {service}",)
    assert client.rename_service(service, "shop") == Ensured(service)
    assert client.read_service(service).name == "shop"
    assert changes(state).count("update_service") == 1


SERVICE, TABLE = {"id": 1, "name": "n"}, {"id": 1, "name": "n", "dcp_service_id": 2}


@pytest.mark.parametrize("member", ["id", "name", "archived"])
@pytest.mark.parametrize(("flow", "whole"), [(dcp.read_service, SERVICE), (dcp.read_table, TABLE)])
def test_an_odd_member_is_named_and_not_shown(flow, whole, member):
    odd = {"id": 7.5, "name": 31337, "archived": "31337"}[member]
    with pytest.raises(UnreadableAnswer, match=f"{member} is a (number|text)") as caught:
        run(flow(1), lambda _: Response(200, json_body({**whole, member: odd})))
    assert "31337" not in str(caught.value)


@pytest.mark.parametrize(
    "member", ["s3_path", "aws_access_key", "aws_secret_key", "description", "keyfield_locator_name"]
)
def test_what_a_table_holds_as_text_is_text_or_nothing(member):
    for nothing in ({}, {member: None}):
        found = run(dcp.read_table(1), lambda _, nothing=nothing: Response(200, json_body({**TABLE, **nothing})))
        assert not getattr(found, member)
    with pytest.raises(UnreadableAnswer, match=f"{member} is a number"):
        run(dcp.read_table(1), lambda _: Response(200, json_body({**TABLE, member: 31337})))


def test_ids_may_be_texts(client, state, service, table):
    state.switches = Switches(config_ids="text")
    assert client.read_table(table).service_id == service
    assert client.ensure_attributes(table, [Attribute("ltv", "long")]).id == table
    assert client.archive_attributes(table, {"ltv": None}).archived == ("ltv",)
