"""The typed facades: errors that name the connection, keys that are shown nowhere, one behaviour sync and async."""

import asyncio
import base64
import html
import json
from functools import partial
from urllib.parse import quote

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.patience import Retries
from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.cells.datatypes import Attribute
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import ensure
from optimove_provider.contract.dcp.upload_history import ImportState
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import (
    ApiError,
    AuthenticationError,
    DoubtfulSuccess,
    OptimoveProviderError,
    Unreachable,
    UnreadableAnswer,
)
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
    with pytest.raises(AuthenticationError, match=r"'mine'.*403.*Token \(auth_scheme Token\) in the connection"):
        client.list_services()


def test_other_errors_name_the_connection_too():
    client = OptixClient(optix_settings(), send=partial(send, State()))
    with pytest.raises(ApiError, match=r"^connection 'mine': .* POST upload_data was answered 404"):
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


ENCODERS = [quote, json.dumps, html.escape, lambda text: base64.b64encode(text.encode()).decode()]


@pytest.mark.parametrize("encoded", ENCODERS, ids=["percent", "JSON", "HTML", "Base64"])
@pytest.mark.parametrize("status", [200, 201, 400, 500])
def test_keys_are_in_no_error_in_whatever_form_they_come_back(encoded, status, caplog):
    key = 'key/"with&all<+kinds'
    echo = {"status": "error", "error": encoded(f"user:{key}"), "data": key}
    answer = Response(status, json_body(echo), {"content-type": f"text/{encoded(key)}", "retry-after": key})
    settings = optix_settings(api_key=key, brand_api_key=key[:5])
    with pytest.raises(OptimoveProviderError) as caught:
        OptixClient(settings, send=lambda _: answer, retries=AT_ONCE).upload_data(
            "u", optix.Records(1, b"[{}]"), **BATCH
        )
    shown = f"{caught.value!r}{caught.value}{vars(caught.value)}{caplog.text}"
    assert not [one for one in (key, encoded(key), "all<+kinds") if one in shown]
    assert "***" in shown


LARGE = {"id": 7, "name": "x", "aws_secret_key": "body-canary"}
UNREADABLE = {
    "nested too deeply": b"[" * 200_000 + b"]" * 200_000,
    "an object nested too deeply": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a float that none is": json.dumps(LARGE).replace("7", "1e999").encode(),
    "a number that is none": json.dumps(LARGE).replace("7", "NaN").encode(),
    "a number of many digits": json.dumps(LARGE).replace("7", "9" * 5000).encode(),
    "no number": json.dumps(LARGE).replace("7", '"body-canary"').encode(),
    "a list": json.dumps([LARGE]).encode(),
    "an id that is an object": json.dumps({**LARGE, "id": LARGE}).encode(),
    "half a character": b'{"id": 7, "name": "\\ud83d", "aws_secret_key": 1, "dcp_service_id": "body-canary"}',
    "no JSON": b"{body-canary",
    "not even text": b"\xff\xfe\x00body-canary",
    "nothing": b"",
}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_an_answer_that_cannot_be_read_is_an_error_of_ours_which_holds_none_of_it(body):
    client = DcpClient(dcp_settings(), send=lambda _: Response(200, body), retries=AT_ONCE)
    with pytest.raises((UnreadableAnswer, DoubtfulSuccess), match="connection 'mine': ") as caught:
        client.read_table(7)
    error = caught.value
    while error:
        assert "body-canary" not in f"{error!r}{error.args}{vars(error)}"
        error = error.__cause__ or error.__context__


def test_an_answer_without_an_end_is_neither_read_nor_asked_for_again():
    asked = []

    def send(request):
        asked.append(request)
        return Response(200, b"[" + b" " * 100, is_cut=True)

    with pytest.raises(UnreadableAnswer, match=r"list_services: .* lacks an end"):
        DcpClient(dcp_settings(), send=send).list_services()
    assert len(asked) == 1


def test_what_says_no_says_so_however_deep_or_odd_its_rest_is():
    for rest in ('"x": 1e999', '"x": NaN', f'"x": {"9" * 5000}', f'"x": {"[" * 5000}{"]" * 5000}'):
        answer = Response(200, f'{{"success": false, {rest}}}'.encode())
        with pytest.raises(DoubtfulSuccess):
            OptixClient(optix_settings(), send=lambda _, answer=answer: answer, retries=AT_ONCE).update_data(
                "u", optix.Items(1, b"[{}]")
            )


def test_a_history_is_told_in_few_words_and_without_its_token():
    entry = {"file": "f.csv", "status": "failed", "message": "token history-token is " + "wrong " * 1_000_000}
    others = [{"file": f"{number}.csv", "status": "history-token" * 99} for number in range(3)]
    settings = dcp_settings(upload_history_token="history-token")
    client = DcpClient(settings, send=lambda _: Response(200, json_body([*others, entry])))
    outcome = json.dumps(client.upload_outcome(1, ["f.csv"]).as_json())
    assert len(outcome) < 10_000
    assert ("history-token" in outcome, "token *** is wrong" in outcome) == (False, True)


def test_odd_entries_of_a_history_show_no_token_either(caplog):
    odd = [{"file": "history-token.csv"}, {"file": "f.csv", "status": "x" * 95 + "history-token", "rows_failed": []}]
    settings = dcp_settings(upload_history_token="history-token")
    client = DcpClient(settings, send=lambda _: Response(200, json_body(odd)))
    with pytest.raises(UnreadableAnswer) as caught:
        client.upload_outcome(1, ["f.csv"])
    assert client.upload_outcome(1, ["g.csv"]).absent == ("g.csv",)
    assert "history-token"[:9] not in f"{caught.value}{caplog.text}"


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
