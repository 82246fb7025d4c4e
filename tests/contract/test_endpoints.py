"""The endpoint tables: each row has a source and a flow, and only what is safe to repeat is marked so."""

import inspect
import re
import string
from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import edits, ensure, profiles, readback, subject_access, waiting
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, State, send

ROWS = (*optix.ENDPOINTS, *dcp.ENDPOINTS, *subject_access.ENDPOINTS)
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
    rest_host="http://emulator/v2",
    rest_token=TOKEN,
    upload_history_url="http://emulator/_emulator/uploads/{table_id}",
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_quotes_its_page_and_says_where_that_is_or_says_assumed(row):
    quoted = re.match(r'(walkthrough|Managing Data Connections|REST reference): "[^"]{10,}".* https://\S+$', row.source)
    assert quoted or row.source.startswith("assumed: ")


def test_names_are_unique():
    assert len({row.name for row in ROWS}) == len(ROWS)


DCP_UPDATES = {"update_service", "update_table", "update_attribute", "update_project", "write_profile"}
DCP_DELETES = {"delete_service", "delete_table", "delete_attribute"}


def test_reads_uploads_updates_and_deletes_may_be_repeated_and_nothing_else():
    reads = {row.name for row in ROWS if row.method == "GET"}
    assert {row.name for row in ROWS if row.retry_safe} == reads | {
        "upload_data",
        "update_data",
        *DCP_UPDATES,
        *DCP_DELETES,
    }


def test_dcp_documents_a_least_wait_of_a_minute():
    assert {row.least_wait_seconds for row in dcp.ENDPOINTS if row.api != dcp.HISTORY_API} == {60.0}
    assert {row.least_wait_seconds for row in optix.ENDPOINTS} == {0.0}


@pytest.mark.parametrize("row", [row for row in ROWS if row.path_names], ids=lambda row: row.name)
def test_path_values_are_percent_encoded(row):
    path = row.request(**dict.fromkeys(row.path_names, "a/b?c=d#e%20é")).url
    assert path == row.path.format(**dict.fromkeys(row.path_names, "a%2Fb%3Fc%3Dd%23e%2520%C3%A9"))
    assert set(path) <= set(string.ascii_letters + string.digits + "/_%.-")


MODULES = (optix, dcp, edits, ensure, profiles, readback, subject_access, waiting)


def flows(module):
    return {
        name
        for name, function in vars(module).items()
        if inspect.isgeneratorfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    }


def drive_every_flow(state, send):
    """Run every flow once; returns the names of those that ran."""
    ran = []

    def run(client, flow):
        ran.append(flow.__name__)
        return client.run(flow)

    drive_optix(partial(run, OptixClient(OPTIX, send=send)))
    drive_dcp(state, partial(run, DcpClient(DCP, send=send)))
    return set(ran)


def drive_optix(run):
    data_connection_uuid = run(optix.create_connection("customers", "id"))
    records = optix.Records(1, b'[{"id":1}]')
    batch_uuid = "00000000-0000-0000-0000-000000000001"
    run(optix.upload_data(data_connection_uuid, records, batch_uuid=batch_uuid, batch_completed=True))
    run(optix.update_data(data_connection_uuid, optix.Items(1, b'[{"primary_key":1,"data":{}}]')))
    run(optix.reach())


def drive_dcp(state, run):
    service = run(ensure.ensure_service("profiles")).id
    table = run(ensure.ensure_table(service, "customers", "uid")).id
    run(ensure.ensure_attributes(table, [Attribute("ltv", "double")]))
    run(ensure.link_project(1234, service))
    attribute = state.tables[table].attributes["ltv"].id
    drive_config(run, service, table, attribute)
    drive_profiles(run, service, table)
    run(subject_access.create_subject_access_request("1", "delete"))
    run(ensure.archive_attributes(table, {"ltv": None}))
    run(edits.archive_attribute(attribute))
    run(edits.delete_table(table))
    run(edits.delete_service(service))


def drive_config(run, service, table, attribute):
    for read in (dcp.list_services(), dcp.list_projects(), dcp.list_attributes(table)):
        run(read)
    for read in (dcp.read_service(service), dcp.read_table(table), dcp.read_attribute(attribute)):
        run(read)
    run(dcp.list_registered(table))
    run(dcp.read_project(1234))
    run(edits.rename_service(service, "customers"))
    run(edits.update_table(table, description="from the warehouse"))
    run(edits.describe_attribute(attribute, "lifetime value"))


def drive_profiles(run, service, table):
    (optimizely,) = (one.id for one in run(dcp.list_tables(service)) if one.is_optimizely)
    run(profiles.write_profile(service, table, "1", {"ltv": 1.5}))
    run(profiles.read_profile(service, table, "1"))
    run(profiles.create_aliases(service, optimizely, "oeu1", {str(table): "1"}))
    run(profiles.read_aliases(service, optimizely, "oeu1"))
    run(profiles.read_consolidated_view(service, optimizely, "oeu1"))
    run(profiles.read_consolidated_view(service, 1, "oeu1"))
    run(readback.read_back([]))
    looking = partial(dcp.upload_outcome, table, [])
    for history in (dcp.upload_history(table), looking(), waiting.wait(looking, 0)):
        run(history)


def test_every_row_has_a_flow_and_every_flow_uses_rows():
    seen, state = set(), State()

    def recording(request):
        seen.add(request.endpoint)
        return send(state, request)

    assert drive_every_flow(state, recording) == set().union(*map(flows, MODULES))
    assert seen == set(ROWS)
