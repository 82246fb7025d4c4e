"""The endpoint tables: each row has a source and a flow, and only what is safe to repeat is marked so."""

import inspect
import re
import string
from dataclasses import replace
from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure, profiles, readback, waiting
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, State, send

ROWS = (*optix.ENDPOINTS, *dcp.ENDPOINTS)
OPTIX = OptixSettings(
    conn_id="optix_default",
    host="http://emulator/api/data-connections/v1",
    api_key=API_KEY,
    brand_api_key=BRAND_KEY,
)
DCP = DcpSettings(
    conn_id="dcp_default",
    host="http://emulator/experiment/v1",
    token=TOKEN,
    profile_host="http://emulator/vis/api",
    upload_history_url="http://emulator/_emulator/uploads/{table_id}",
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_quotes_its_page_and_says_where_it_is_or_says_assumed(row):
    if row.source.startswith("assumed:"):
        return
    assert row.source.startswith(
        ("walkthrough: ", "Managing Data Connections: ", "REST reference: ", "REST reference of ")
    )
    assert re.search(r'"[^"]{15,}"', row.source)
    assert re.search(r"\(https://[a-z.]+/[\w./-]+\)$", row.source)


def test_names_are_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)


DCP_UPDATES = {"update_attribute", "update_project", "update_service", "update_table", "write_profile"}
DCP_UPDATES.add("archive_attribute")


def test_reads_uploads_and_updates_may_be_repeated_and_nothing_else():
    reads = {row.name for row in ROWS if row.method == "GET"}
    assert {row.name for row in ROWS if row.retry_safe} == reads | {"upload_data", "update_data", *DCP_UPDATES}


def test_dcp_documents_a_least_wait_of_a_minute():
    assert {row.least_wait_seconds for row in dcp.ENDPOINTS if row.api != dcp.HISTORY_API} == {60.0}
    assert {row.least_wait_seconds for row in optix.ENDPOINTS} == {0.0}


@pytest.mark.parametrize("row", [row for row in ROWS if row.path_names], ids=lambda row: row.name)
def test_path_values_are_percent_encoded(row):
    path = row.request(**dict.fromkeys(row.path_names, "a/b?c=d#e%20é")).url
    assert path == row.path.format(**dict.fromkeys(row.path_names, "a%2Fb%3Fc%3Dd%23e%2520%C3%A9"))
    assert set(path) <= set(string.ascii_letters + string.digits + "/_%.-")


MODULES = (optix, dcp, ensure, profiles, readback, waiting)


def flows(module):
    return {
        name
        for name, function in vars(module).items()
        if inspect.isgeneratorfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


def drive_every_flow(state, send):
    """Run every flow once; returns the names of those that ran."""
    ran = []

    def running(client):
        def run(flow):
            ran.append(flow.__name__)
            return client.run(flow)

        return run

    drive_optix(running(OptixClient(OPTIX, send=send)))
    drive_dcp(running(DcpClient(DCP, send=send)), state)
    return set(ran)


def drive_optix(run):
    data_connection_uuid = run(optix.create_connection("customers", "id"))
    records = optix.Records(1, b'[{"id":1}]')
    batch_uuid = "00000000-0000-0000-0000-000000000001"
    run(optix.upload_data(data_connection_uuid, records, batch_uuid=batch_uuid, batch_completed=True))
    run(optix.update_data(data_connection_uuid, optix.Items(1, b'[{"primary_key":1,"data":{}}]')))
    run(optix.reach())


def drive_dcp(run, state):
    service = run(ensure.ensure_service("profiles"))
    table = run(ensure.ensure_table(service.id, "customers", "uid"))
    run(ensure.ensure_attributes(table.id, [Attribute("ltv", "double")]))
    for read in (
        dcp.list_services(),
        dcp.read_service(service.id),
        dcp.read_table(table.id),
        dcp.list_attributes(table.id),
        dcp.list_every_attribute(table.id),
        dcp.list_projects(),
    ):
        run(read)
    run(ensure.update_service(service.id, "all profiles"))
    run(ensure.update_table(table.id, "all customers"))
    (optimizely,) = (one for one in run(dcp.list_tables(service.id)) if one.is_optimizely)
    attribute_id = next(seen.id for seen in state.tables[table.id].attributes.values())
    drive_profiles(run, service.id, table.id, optimizely.id)
    run(ensure.describe_attribute(attribute_id, "lifetime value"))
    run(dcp.read_attribute(attribute_id))
    run(dcp.read_project(1234))
    run(ensure.link_project(1234, service.id))
    for history in (
        dcp.upload_history(table.id),
        dcp.upload_outcome(table.id, []),
        waiting.wait(partial(dcp.upload_outcome, table.id, []), 0),
    ):
        run(history)
    run(ensure.archive_attributes(table.id, {"ltv": None}))
    run(ensure.delete_table(table.id))
    run(ensure.delete_service(service.id))


def drive_profiles(run, service, table, optimizely):
    run(profiles.write_profile(service, table, "1", {"ltv": 1.5}))
    run(profiles.read_profile(service, table, "1"))
    run(profiles.create_aliases(service, optimizely, "oeu1", {str(table): "1"}))
    run(profiles.read_aliases(service, optimizely, "oeu1"))
    run(profiles.read_consolidated_view(service, optimizely, "oeu1"))
    run(readback.read_back([]))
    run(profiles.read_consolidated_view(service, optimizely, "nobody"))


def test_every_row_has_a_flow_and_every_flow_uses_rows():
    seen, state = set(), State()
    state.switches = replace(state.switches, unknown_view="404")

    def recording(request):
        seen.add(request.endpoint)
        return send(state, request)

    assert drive_every_flow(state, recording) == set().union(*map(flows, MODULES))
    assert seen == set(ROWS)
