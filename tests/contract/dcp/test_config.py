"""The conversations with DCP: with the emulator where it can be brought about there, else with written answers."""

from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.drive import run
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure
from optimove_provider.contract.dcp.upload_history import ImportState
from optimove_provider.contract.dcp.waiting import wait
from optimove_provider.contract.wire.errors import Disagreement, SettingsError, UnreadableAnswer
from optimove_provider.contract.wire.messages import Response, json_body
from optimove_provider.emulator import TOKEN, State, send

SETTINGS = DcpSettings(conn_id="dcp_default", host="http://emulator/experiment/v1", token=TOKEN)
SERVICE = {"id": 3_000_000_001, "name": "profiles"}
TABLE = {
    "id": 3_000_000_002,
    "name": "customers",
    "dcp_service_id": SERVICE["id"],
    "keyfield_locator_type": "cookie",
    "keyfield_locator_name": "cid",
    "s3_path": "dcp/1/2",
    "aws_access_key": "AKIA",
    "aws_secret_key": "very secret",
}


@pytest.fixture
def state():
    return State()


@pytest.fixture
def client(state):
    return DcpClient(SETTINGS, send=partial(send, state))


def converse(flow, *bodies):
    """Run a flow whose requests are answered with these JSON values in turn; returns its result and the requests."""
    asked, answers = [], iter(bodies)

    def send(request):
        asked.append(request)
        return Response(200, json_body(next(answers)))

    return run(flow, send), asked


def refused(flow, *bodies):
    """The sentence with which a flow stops, after as many requests as there are bodies."""
    with pytest.raises(Disagreement) as caught:
        converse(flow, *bodies)
    return str(caught.value)


def posts(state):
    return [request["endpoint"] for request in state.requests if request["method"] == "POST"]


def test_a_service_is_created_once_and_then_kept(client, state):
    created = client.ensure_service("profiles")
    assert created.created == ("profiles",)
    assert client.ensure_service("profiles") == ensure.Ensured(created.id)
    assert posts(state) == ["create_service"]


def test_the_accounts_one_service_is_kept_under_any_name(client, state):
    created = client.ensure_service("profiles")
    assert client.ensure_service("other") == ensure.Ensured(created.id)


def test_of_several_services_the_named_one_is_meant():
    found, _ = converse(ensure.ensure_service("other"), [SERVICE, {"id": 7, "name": "other"}])
    assert found == ensure.Ensured(7)


def test_of_several_services_none_is_guessed():
    sentence = refused(ensure.ensure_service("mine"), [SERVICE, {"id": 7, "name": "other"}])
    assert "'mine' does not name one: 'profiles' (3000000001), 'other' (7)" in sentence


def test_an_archived_service_is_not_kept():
    found, asked = converse(ensure.ensure_service("profiles"), [{**SERVICE, "archived": True}], {"id": 8})
    assert found == ensure.Ensured(8, ("profiles",))
    assert [request.method for request in asked] == ["GET", "POST"]


def test_a_table_is_created_once_and_then_kept(client, state):
    service = client.ensure_service("profiles").id
    created = client.ensure_table(service, "customers", "cookie", "cid", "all of them")
    assert created.created == ("customers",)
    assert client.ensure_table(service, "customers", "cookie", "cid") == ensure.Ensured(created.id)
    assert posts(state) == ["create_service", "create_table"]
    assert state.tables[created.id].description == "all of them"


def test_a_description_that_people_edited_is_no_disagreement(client):
    service = client.ensure_service("profiles").id
    created = client.ensure_table(service, "customers", "uid", description="one")
    assert client.ensure_table(service, "customers", "uid", description="another").id == created.id


@pytest.mark.parametrize(("locator_type", "locator_name"), [("uid", None), ("js_variable", "cid"), ("cookie", "other")])
def test_a_table_that_finds_customers_otherwise_is_a_disagreement(locator_type, locator_name):
    sentence = refused(ensure.ensure_table(SERVICE["id"], "customers", locator_type, locator_name), [TABLE])
    assert f"by cookie 'cid', not by {locator_type} {locator_name!r}" in sentence


def test_a_table_that_is_there_twice_is_a_disagreement():
    sentence = refused(ensure.ensure_table(SERVICE["id"], "customers", "uid"), [TABLE, {**TABLE, "id": 5}])
    assert "exists 2 times: ids 3000000002, 5" in sentence


def test_an_archived_table_is_a_disagreement():
    sentence = refused(ensure.ensure_table(SERVICE["id"], "customers", "cookie", "cid"), [{**TABLE, "archived": True}])
    assert "is archived: restore it in the web UI" in sentence


@pytest.mark.parametrize(
    ("locator_type", "locator_name"),
    [
        ("uid", None),
        ("uid", ""),
        ("cookie", "cid"),
        ("query parameter", "_id$1"),
        ("js_variable", "C"),
    ],
)
def test_locators_that_are_documented(locator_type, locator_name):
    dcp.check_locator(locator_type, locator_name)


@pytest.mark.parametrize(
    ("locator_type", "locator_name", "complaint"),
    [
        ("header", "cid", "keyfield_locator_type 'header'"),
        ("uid", "cid", "located by uid has none"),
        ("cookie", None, "needs a name"),
        ("cookie", "", "needs a name"),
        ("cookie", "1st", "needs a name"),
        ("cookie", "cid\n", "needs a name"),
        ("js_variable", "a.b", "needs a name"),
        ("query parameter", "é", "needs a name"),
    ],
)
def test_other_locators_are_refused_before_anything_is_asked(client, state, locator_type, locator_name, complaint):
    with pytest.raises(SettingsError, match=complaint):
        client.ensure_table(1, "customers", locator_type, locator_name)
    assert not state.requests


WANTED = (
    Attribute("ltv", "double", description="lifetime value"),
    Attribute("since", "datetime", "yyyy-mm-dd"),
)


@pytest.fixture
def table(client):
    return client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id


def test_attributes_are_registered_once_and_then_kept(client, state, table):
    assert client.ensure_attributes(table, WANTED) == ensure.Ensured(table, ("ltv", "since"))
    assert client.ensure_attributes(table, WANTED) == ensure.Ensured(table)
    assert client.list_attributes(table) == list(WANTED)
    assert posts(state).count("create_attribute") == 2


def test_only_missing_attributes_are_registered(client, table):
    client.ensure_attributes(table, WANTED[:1])
    assert client.ensure_attributes(table, WANTED) == ensure.Ensured(table, ("since",))


def test_an_attribute_that_is_registered_otherwise_names_both_and_registers_nothing(client, table):
    client.ensure_attributes(table, WANTED)
    other = [Attribute("new", "bool"), Attribute("ltv", "string"), Attribute("since", "datetime", "epoch")]
    with pytest.raises(Disagreement) as caught:
        client.ensure_attributes(table, other)
    assert "'ltv' is registered as double, not string" in str(caught.value)
    assert "'since' is registered as datetime yyyy-mm-dd, not datetime epoch" in str(caught.value)
    assert client.list_attributes(table) == list(WANTED)


def test_another_description_is_no_disagreement(client, table):
    client.ensure_attributes(table, [Attribute("ltv", "double", description="one")])
    assert client.ensure_attributes(table, [Attribute("ltv", "double", description="another")]) == ensure.Ensured(table)


def test_an_archived_attribute_is_replaced():
    archived = {"id": 1, "name": "ltv", "datatype": "long", "format": None, "archived": True}
    found, _ = converse(ensure.ensure_attributes(1, WANTED[:1]), [archived], {"id": 2})
    assert found.created == ("ltv",)


def test_a_table_is_read_with_its_keys_and_shows_none():
    table, _ = converse(dcp.read_table(TABLE["id"]), TABLE)
    assert (table.s3_path, table.aws_access_key, table.aws_secret_key) == ("dcp/1/2", "AKIA", "very secret")
    assert "AKIA" not in f"{table!r}{table}"
    assert "secret" not in f"{table!r}{table}"


def test_a_services_aws_keys_are_left_behind():
    (service,), _ = converse(dcp.list_services(), [{**SERVICE, "aws_secret_key": "very secret"}])
    assert service == dcp.Service(SERVICE["id"], "profiles")


@pytest.mark.parametrize(
    ("flow", "bodies"),
    [
        (dcp.list_services, ["no list"]),
        (dcp.list_services, [[{"name": "no id"}]]),
        (dcp.list_services, [["no object"]]),
        (partial(ensure.ensure_service, "profiles"), [[], {"name": "no id"}]),
        (partial(ensure.ensure_table, 1, "customers", "uid"), [[None]]),
        (partial(ensure.ensure_table, 1, "customers", "uid"), [[], []]),
        (partial(dcp.read_table, 1), [{"id": "no number", "name": "customers", "aws_secret_key": "very secret"}]),
        (partial(dcp.list_attributes, 1), [["no object"]]),
        (partial(dcp.list_attributes, 1), [[{"datatype": "long"}, {"name": 5, "datatype": "long"}]]),
        (partial(dcp.upload_history, 1), [{}]),
        (partial(dcp.upload_history, 1, ["t/no status"]), [[{"file": "no status"}]]),
        (partial(dcp.upload_history, 1, ["f"]), [[{"file": "f", "status": "failed", "rows_failed": "some"}]]),
    ],
)
def test_an_answer_that_is_not_as_documented_is_unreadable(flow, bodies):
    with pytest.raises(UnreadableAnswer, match="lacks") as caught:
        converse(flow(), *bodies)
    assert "very secret" not in str(caught.value)


def test_what_was_registered_needs_no_body_in_the_answer():
    found, _ = converse(ensure.ensure_attributes(1, WANTED[:1]), [], None)
    assert found.created == ("ltv",)


def test_an_attribute_that_cannot_be_read_is_told_to_who_asks_for_odd_ones():
    odd = []
    found, _ = converse(dcp.list_attributes(1, odd), [{"id": 7, "name": "ltv", "datatype": "double"}, {}])
    assert ([one.name for one in found], len(odd)) == (["ltv"], 1)


def entry(status):
    return [{"file": "f.csv", "status": status}]


def test_waiting_ends_when_every_file_is_imported():
    naps, answers = [], iter([[], entry("pending"), entry("processing"), entry("completed")])
    outcome = run(
        wait(partial(dcp.upload_outcome, 1, ["f.csv"]), 30),
        lambda _: Response(200, json_body(next(answers))),
        naps.append,
    )
    assert outcome.state is ImportState.DONE
    assert naps == [30, 30, 30]


def test_a_wait_says_what_it_waits_for():
    flow = wait(partial(dcp.upload_outcome, 1, ["f.csv"]), 30)
    next(flow)
    assert flow.send(Response(200, json_body(entry("pending")))).why == "f.csv: pending"


def test_waiting_ends_with_the_first_failure():
    outcome, asked = converse(wait(partial(dcp.upload_outcome, 1, ["f.csv", "g.csv"]), 30), entry("failed"))
    assert (outcome.state, outcome.absent, len(asked)) == (ImportState.FAILED, ("g.csv",), 1)


@pytest.mark.parametrize("description", ["long " * 2000, 7, ["a"]])
def test_a_description_of_any_kind_blocks_no_table(description):
    answer = {"id": 1, "name": "customers", "dcp_service_id": 2, "description": description}
    found = dcp.Table.from_json(answer)
    assert found.description == (description if isinstance(description, str) else None)
