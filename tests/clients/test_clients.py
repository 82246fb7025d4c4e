"""The typed facades: errors that name the connection, keys that are shown nowhere, one behaviour sync and async."""

import asyncio
from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.patience import Retries
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure
from optimove_provider.contract.dcp.upload_history import ImportState
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import ApiError, AuthenticationError, OptimoveProviderError, Unreachable
from optimove_provider.contract.wire.messages import Lost, Response, json_body
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, EmulatorServer, Fault, State, send

AT_ONCE = Retries(attempts=5, first_wait=0)
BATCH = {"batch_uuid": "00000000-0000-0000-0000-000000000001", "batch_completed": True}


def optix_settings(base="http://emulator", **fields):
    host = f"{base}/api/data-connections/v1"
    return OptixSettings(**{"conn_id": "mine", "host": host, "api_key": API_KEY, "brand_api_key": BRAND_KEY, **fields})


def dcp_settings(base="http://emulator", **fields):
    history = f"{base}/_emulator/uploads/{{table_id}}"
    host = f"{base}/experiment/v1"
    return DcpSettings(**{"conn_id": "mine", "host": host, "token": TOKEN, "upload_history_url": history, **fields})


@pytest.mark.parametrize("wrong", [{"api_key": "expired"}, {"brand_api_key": "another"}])
def test_a_wrong_opti_x_key_names_the_connection_and_both_headers(wrong):
    client = OptixClient(optix_settings(**wrong), send=partial(send, State()))
    with pytest.raises(AuthenticationError, match=r"connection 'mine'.*401.*x-api-key and x-brand-key") as caught:
        client.create_connection("customers", "id")
    assert caught.value.status == 401


def test_a_wrong_dcp_token_names_the_connection_and_the_header():
    client = DcpClient(dcp_settings(token="revoked"), send=partial(send, State()))
    with pytest.raises(AuthenticationError, match=r"connection 'mine'.*403.*Token in the connection"):
        client.list_services()


def test_other_errors_name_the_connection_too():
    client = OptixClient(optix_settings(), send=partial(send, State()))
    with pytest.raises(ApiError, match=r"^connection 'mine': POST upload_data was answered 404"):
        client.upload_data("unknown", optix.Records(1, b"[{}]"), **BATCH)


def echo(request, kind):
    """What a careless server, or proxy, says: all that it was sent."""
    text = f"{dict(request.headers)} {request.url}"
    return Lost(text) if kind == "lost" else Response(kind, text.encode())


@pytest.mark.parametrize("kind", [400, 401, 403, 500, "lost"])
@pytest.mark.parametrize(
    ("client", "flow"),
    [
        (
            OptixClient(optix_settings(), send=lambda _: None, retries=AT_ONCE),
            partial(optix.create_connection, "a", "b"),
        ),
        (DcpClient(dcp_settings(), send=lambda _: None, retries=AT_ONCE), partial(ensure.ensure_service, "a")),
    ],
    ids=["optix", "dcp"],
)
def test_keys_are_in_no_error_even_if_the_server_echoes_them(client, flow, kind):
    echoing = type(client)(client.settings, send=partial(echo, kind=kind), retries=AT_ONCE)
    with pytest.raises(OptimoveProviderError) as caught:
        echoing.run(flow())
    shown = f"{caught.value!r}{caught.value}{vars(caught.value)}"
    assert not [secret for secret in client.settings.secrets if secret in shown]
    assert "***" in shown


def test_a_secret_that_the_cut_would_split_is_gone_all_the_same():
    client = OptixClient(optix_settings(), send=lambda _: Response(400, b"x" * 1995 + API_KEY.encode()))
    with pytest.raises(ApiError) as caught:
        client.create_connection("a", "b")
    assert API_KEY[:3] not in str(caught.value)


@pytest.mark.parametrize(
    "outcome",
    [
        [{"file": "f.csv", "status": "completed"}],
        [{"file": "f.csv", "status": "failed", "message": "bad date"}],
        None,
    ],
)
def test_sync_and_async_end_alike(outcome):
    def client():
        answer = Response(404, b"nothing") if outcome is None else Response(200, json_body(outcome))
        return DcpClient(dcp_settings(), send=lambda _: answer)

    def ending(call):
        try:
            return call()
        except OptimoveProviderError as error:
            return type(error), str(error)

    found = ending(lambda: client().upload_outcome(1, ["f.csv"]))
    assert found == ending(
        lambda: asyncio.run(client().wait(partial(dcp.upload_outcome, 1, ["f.csv"]), 30, max_failed_polls=0))
    )


def test_an_unreachable_host_is_retried_and_says_what_was_tried():
    client = DcpClient(dcp_settings(), send=lambda _: Lost("refused", sent=False), retries=AT_ONCE)
    with pytest.raises(
        Unreachable, match=r"connection 'mine': GET list_services got no answer: refused \(tried 5 times"
    ):
        client.list_services()


@pytest.fixture(scope="module")
def server():
    with EmulatorServer() as server:
        yield server


def test_opti_x_over_sockets(server):
    server.state.faults.order(Fault("upload_data", lost="after"))
    with OptixClient(optix_settings(server.url), retries=AT_ONCE) as client:
        created = client.create_connection("customers", "id", "all of them")
        client.upload_data(created, optix.Records(1, b'[{"id":"1"}]'), ttl_seconds=60, **BATCH)
        client.update_data(created, optix.Items(1, b'[{"primary_key":"2","data":{"x":1},"ttl":60}]'))
        assert client.reach().status == 404
    stored = server.state.connections[created].records.values()
    assert [record.data for record in stored] == [{"id": "1"}, {"id": "2", "x": 1}]


def test_dcp_over_sockets(server):
    with DcpClient(dcp_settings(server.url)) as client:
        service = client.ensure_service("profiles")
        table = client.ensure_table(service.id, "customers", "uid").id
        client.ensure_attributes(table, [Attribute("ltv", "double")])
        assert client.list_attributes(table) == [Attribute("ltv", "double")]
        assert client.read_table(table).s3_path == f"dcp/{service.id}/{table}"
        assert client.upload_outcome(table, ["f.csv"]).absent == ("f.csv",)
        assert asyncio.run(client.wait(partial(dcp.upload_outcome, table, []), 30)).state is ImportState.DONE
