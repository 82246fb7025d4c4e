"""Dry runs and links: what a flow would do, what it does, and what it refuses."""

import json
from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.patience import Retries
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp.ensure import Ensured
from optimove_provider.contract.wire.errors import Disagreement, Refused
from optimove_provider.emulator import TOKEN, Fault, State, send

SETTINGS = DcpSettings(conn_id="dcp_default", host="http://emulator/experiment/v1", token=TOKEN)
PROJECT = 1234


@pytest.fixture
def state():
    return State()


@pytest.fixture
def client(state):
    return DcpClient(SETTINGS, send=partial(send, state))


def changes(state):
    return [request["endpoint"] for request in state.requests if request["method"] != "GET"]


def test_a_dry_run_of_everything_changes_nothing(client, state):
    assert client.ensure_service("profiles", dry_run=True) == Ensured(None, ("profiles",))
    service = client.ensure_service("profiles").id
    assert client.ensure_table(service, "customers", "uid", dry_run=True) == Ensured(None, ("customers",))
    table = client.ensure_table(service, "customers", "uid").id
    wanted = [Attribute("ltv", "long"), Attribute("vip", "bool")]
    assert client.ensure_attributes(table, wanted, dry_run=True) == Ensured(table, ("ltv", "vip"))
    link = client.link_project(PROJECT, service, dry_run=True)
    assert link == Ensured(PROJECT, (f"link of project {PROJECT} to service {service}",))
    assert changes(state) == ["create_service", "create_table"]


def test_a_dry_run_tells_what_disagrees_and_what_would_be_created(client):
    service = client.ensure_service("profiles").id
    table = client.ensure_table(service, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    found = client.ensure_table(service, "customers", "cookie", "cid", dry_run=True)
    assert found.id == table
    assert "finds its customers by uid None, not by cookie 'cid'" in found.disagreements[0]
    found = client.ensure_attributes(table, [Attribute("ltv", "double"), Attribute("vip", "bool")], dry_run=True)
    assert found.created == ("vip",)
    assert "'ltv' is registered as long, not double, and the API cannot change that" in found.disagreements[0]


@pytest.mark.parametrize("shown", [None, ""])
@pytest.mark.parametrize("wanted", [None, ""])
def test_no_name_of_a_locator_is_none_in_either_form(client, state, shown, wanted):
    service = client.ensure_service("profiles").id
    table = client.ensure_table(service, "customers", "uid", wanted).id
    listed = {**state.tables[table].as_json(), "keyfield_locator_name": shown}
    state.faults.order(Fault("list_tables", status=200, body=json.dumps([listed])))
    assert client.ensure_table(service, "customers", "uid", wanted) == Ensured(table)
    assert state.tables[table].keyfield_locator_name is None


def test_an_attribute_that_nobody_knows_is_archived_by_the_text_of_its_id(client, state):
    table = client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    (listed,) = (one.as_json() for one in state.tables[table].attributes.values())
    odd = {**listed, "id": str(listed["id"]), "datatype": "geo"}
    state.faults.order(Fault("list_attributes", status=200, body=json.dumps([odd])))
    assert client.archive_attributes(table, {"ltv": None}) == [listed["id"]]
    assert client.list_attributes(table)[0].archived


def test_a_project_is_linked_once(client, state):
    service = client.ensure_service("profiles").id
    assert client.read_project(PROJECT).dcp_service_id is None
    assert client.link_project(PROJECT, service).created
    assert client.link_project(PROJECT, service) == Ensured(PROJECT)
    assert client.read_project(PROJECT).dcp_service_id == service
    assert changes(state) == ["create_service", "update_project"]


def test_a_link_to_another_service_is_replaced_only_if_that_is_asked_for(client, state):
    service = client.ensure_service("profiles").id
    state.projects[PROJECT].dcp_service_id = 7
    with pytest.raises(Disagreement, match=r"is linked to service 7, not to .*: its audiences may use that one"):
        client.link_project(PROJECT, service)
    assert state.projects[PROJECT].dcp_service_id == 7
    assert client.link_project(PROJECT, service, dry_run=True).disagreements
    client.link_project(PROJECT, service, replace=True)
    assert state.projects[PROJECT].dcp_service_id == service


@pytest.mark.parametrize(("project", "service"), [(99, None), (PROJECT, 99)])
def test_neither_project_nor_service_is_made_up(client, project, service):
    service = service or client.ensure_service("profiles").id
    with pytest.raises(Refused, match="there is no"):
        client.link_project(project, service)


def test_only_the_description_of_an_attribute_can_change(client, state):
    table = client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    registered = state.tables[table].attributes["ltv"]
    client.describe_attribute(registered.id, "lifetime value")
    assert client.list_attributes(table) == [Attribute("ltv", "long", description="lifetime value")]


@pytest.mark.parametrize("is_lost", [True, False])
@pytest.mark.parametrize("kind", ["service", "table", "attribute"])
def test_what_is_not_found_any_more_was_deleted_if_an_answer_was_lost(state, kind, is_lost):
    client = DcpClient(SETTINGS, send=partial(send, state), retries=Retries(attempts=2, first_wait=0))
    service = client.ensure_service("profiles").id
    table = client.ensure_table(service, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "long")])
    (attribute,) = (one.id for one in client.list_attributes(table))
    delete = {
        "service": lambda: client.delete_service(service),
        "table": lambda: client.delete_table(table),
        "attribute": lambda: client.archive_attributes(table, {"ltv": None}),
    }[kind]
    lost = [Fault(f"delete_{kind}", lost="after")] if is_lost else []
    state.faults.order(*lost, Fault(f"delete_{kind}", status=404))
    if is_lost:
        assert delete() == ([attribute] if kind == "attribute" else None)
    else:
        with pytest.raises(Refused):
            delete()
