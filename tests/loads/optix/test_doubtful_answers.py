"""A 2xx that is no success is an open question, whichever way rows travel: never a success, never a bad row."""

from functools import partial

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.wire.errors import Disagreement, DoubtfulSuccess, UnreadableAnswer
from optimove_provider.emulator import TOKEN, Fault, State, send
from optimove_provider.emulator.api.doubtful import DOUBTFUL
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.loads.optix.create_connection import create_once
from optimove_provider.loads.optix.update import Update, load_update
from optimove_provider.loads.profiles.profiles import ProfileEncoder, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from tests.support.optix_target import LOAD_ID, Target, numbered, opened
from tests.support.virtual_time import ClientTime

DCP = DcpSettings(conn_id="dcp", host="http://e/experiment/v1", profile_host="http://e/vis/api", token=TOKEN)


@pytest.fixture
def target(tmp_path):
    return Target(tmp_path)


@pytest.mark.parametrize("form", DOUBTFUL)
def test_an_upload_is_not_committed_and_nothing_is_taken_apart(target, form):
    target.state.switches = Switches(doubtful_success=form)
    with pytest.raises(DoubtfulSuccess, match="which is no success"):
        target.load(numbered(10))
    assert (target.report.state, target.report.accepted, target.report.unsent) == ("failed", 0, 10)
    assert {count for count, _, _ in target.requests} == {10}


def test_an_upload_that_was_in_doubt_is_completed_by_a_retry_under_the_same_batch(target):
    target.state.switches = Switches(doubtful_success="html", doubtful_work_done=False)
    with pytest.raises(DoubtfulSuccess, match="a proxy or a sign-in page answered"):
        target.load(numbered(10))
    target.state.switches = Switches()
    assert target.load(iter(())).accepted == 10
    assert len({batch for _, _, batch in target.requests}) == 1


def test_an_answer_that_is_no_success_once_costs_one_more_request(target):
    target.state.faults.order(Fault("upload_data", status=207, body="[]"))
    assert target.load(numbered(10)).accepted == 10
    assert len(target.requests) == 2


@pytest.mark.parametrize("form", DOUBTFUL)
def test_an_update_is_not_accepted(target, form):
    target.state.switches, report = Switches(doubtful_success=form), Report(LOAD_ID, {})
    with pytest.raises(DoubtfulSuccess):
        load_update(target.client, lambda: opened(numbered(3)), target.staging, report, Update(target.wanted()))
    assert (report.state, report.accepted, report.rejected) == ("failed", 0, 0)


@pytest.mark.parametrize("form", DOUBTFUL)
def test_a_data_connection_is_not_made_again(target, form):
    before = len(target.state.connections)
    target.state.switches = Switches(doubtful_success=form)
    with pytest.raises((DoubtfulSuccess, UnreadableAnswer)):
        create_once(target.client, target.staging, "once", "id")
    target.state.switches = Switches()
    with pytest.raises(Disagreement, match="Look in the Opti-X UI"):
        create_once(target.client, target.staging, "once", "id")
    assert len(target.state.connections) == before + 1


@pytest.mark.parametrize("status", [408, 499])
def test_a_request_of_which_a_proxy_lost_the_end_makes_no_row_bad(target, status):
    target.state.faults.order(Fault("upload_data", times=3, status=status))
    assert target.load(numbered(10)).accepted == 10


@pytest.mark.parametrize("form", DOUBTFUL)
def test_neither_profiles_nor_what_they_need_are_taken_for_written(tmp_path, form):
    state = State()
    client = DcpClient(DCP, send=partial(send, state), surroundings=ClientTime().surroundings)
    state.switches = Switches(doubtful_success=form, doubtful_work_done=False)
    with pytest.raises(DoubtfulSuccess):
        client.ensure_service("profiles")
    state.switches = Switches()
    table = client.read_table(client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id)
    client.ensure_attributes(table.id, [Attribute("ltv", "double")])
    state.switches, report = Switches(doubtful_success=form), Report("load", {})
    load = RestLoad(Staging(LocalFileSystem(), str(tmp_path)), report)
    encoder = ProfileEncoder.to([Attribute("ltv", "double")])
    with pytest.raises(DoubtfulSuccess):
        write_profiles(client, table, [{"customerId": "1", "ltv": 1}], encoder, load)
    assert (report.state, report.accepted, report.rejected) == ("failed", 0, 0)


@pytest.mark.parametrize("status", [429, 503])
def test_what_was_certainly_not_made_is_asked_for_again(status):
    state = State()
    client = DcpClient(DCP, send=partial(send, state), surroundings=ClientTime().surroundings)
    for name in ("create_service", "create_table", "create_attribute"):
        state.faults.order(Fault(name, status=status, headers={"retry-after": "5"}))
    table = client.ensure_table(client.ensure_service("profiles").id, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "double")])
    assert [one.name for one in client.list_attributes(table)] == ["ltv"]
