"""The conversations with Opti-X, driven by hand: what they ask, and what they make of the answer."""

import json

import pytest

from optimove_provider.clients.http.drive import run
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.optix.named_rows import named_rows
from optimove_provider.contract.wire.errors import DataError, Refused, UnreadableAnswer
from optimove_provider.contract.wire.messages import Lost, Response

UUID = "0b9d6c1e-0000-4000-8000-000000000000"
CREATED = Response(201, json.dumps({"data_connection_uuid": UUID}).encode())
BATCH = {"batch_uuid": "b", "batch_completed": False}


def converse(flow, answer):
    """Run a flow of one request; returns its result and the request."""
    asked = []

    def send(request):
        asked.append(request)
        return answer

    return run(flow, send), *asked


def test_creating_returns_the_uuid():
    created, request = converse(optix.create_connection("customers", "id", "all of them"), CREATED)
    assert created == UUID
    assert (request.method, request.url) == ("POST", "/connections")
    assert json.loads(request.body) == {"name": "customers", "primary_key": "id", "description": "all of them"}


def test_a_description_that_is_left_out_is_not_sent():
    _, request = converse(optix.create_connection("customers", "id"), CREATED)
    assert json.loads(request.body) == {"name": "customers", "primary_key": "id"}


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"uuid"', b'{"uuid":"x"}'])
def test_an_answer_without_the_uuid_is_unreadable(body):
    with pytest.raises(UnreadableAnswer, match="lacks data_connection_uuid"):
        converse(optix.create_connection("customers", "id"), Response(201, body))


@pytest.mark.parametrize("ttl_seconds", [None, 3600])
def test_an_upload_carries_the_slice_untouched_and_the_batch(ttl_seconds):
    records = optix.Records(2, '[{"id":1.10},{"id":"é"}]'.encode())
    _, request = converse(optix.upload_data(UUID, records, ttl_seconds=ttl_seconds, **BATCH), Response(200))
    assert request.url == f"/connections/{UUID}/upload_data"
    assert records.text in request.body
    data = json.loads(records.text)
    assert json.loads(request.body) == {"data": data, "ttl_seconds": ttl_seconds, **BATCH}


def test_an_upload_needs_no_body_in_its_answer():
    assert converse(optix.upload_data(UUID, optix.Records(1, b"[{}]"), **BATCH), Response(204))[0] is None


def test_a_refused_upload_raises_the_vendors_words():
    with pytest.raises(Refused, match="upload_data was answered 400: bad format"):
        converse(optix.upload_data(UUID, optix.Records(1, b"[{}]"), **BATCH), Response(400, b"bad format"))


def test_5001_records_cannot_even_be_built():
    optix.Records(5000, b"[]")
    with pytest.raises(DataError, match="5001 records in one request: Opti-X takes at most 5000"):
        optix.Records(5001, b"[]")


@pytest.mark.parametrize("kind", [optix.Records, optix.Items])
def test_records_stay_out_of_the_repr(kind):
    assert "secret" not in repr(kind(1, b'["secret"]'))


def test_an_update_is_the_bare_array_untouched():
    items = optix.Items(1, b'[{"primary_key":54490,"data":{"key":"value"},"ttl":null}]')
    done, request = converse(optix.update_data(UUID, items), Response(204))
    assert done is None
    assert (request.method, request.url) == ("PUT", f"/connections/{UUID}/update_data")
    assert request.body == items.text


def test_a_refused_update_raises_the_vendors_words():
    with pytest.raises(Refused, match="update_data was answered 404: no such item"):
        converse(optix.update_data(UUID, optix.Items(1, b"[{}]")), Response(404, b"no such item"))


def test_5001_items_cannot_even_be_built():
    optix.Items(5000, b"[]")
    with pytest.raises(DataError, match="5001 items in one update: at most 5000 are sent"):
        optix.Items(5001, b"[]")


def test_the_formula_is_the_walkthroughs():
    walkthroughs = "DC_34f8cfca-85fa-444f-97b2-a5b8cbff6907:[%CUSTOMER_ID%]::purchase_amount:0"
    assert optix.formula("34f8cfca-85fa-444f-97b2-a5b8cbff6907", "purchase_amount") == walkthroughs
    assert optix.formula("u", "first_name", "friend") == "DC_u:[%CUSTOMER_ID%]::first_name:friend"


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("data[12] lacks the primary key", (12,)),
        ("records[3], items[4]; data[1]", (1, 3, 4)),
        ("data.12.x: not a number; data.12.y: missing", (12,)),
        ('{"detail":[{"loc":["body","data",7,"x"],"msg":"m"},{"loc":["body", "data", 2],"msg":"m"}]}', (2, 7)),
        ("('body', 'data', 9)", (9,)),
        ('{"loc":["body",5,"ttl"]}', (5,)),
        ('{"errors":[{"index": 4}]} index 6, index=8', (4, 6, 8)),
        ("data[99] data[100] data[12345678901]", (99,)),
        ("data[0]", (0,)),
        ("", ()),
        ("400 records: at most 5 are allowed", ()),
        ('{"loc":["body",37],"msg":"Expecting value"}', ()),
        ("row 12, metadata[3], data[x], data[-1], id 42, reindex 5", ()),
    ],
)
def test_rows_that_a_refusal_names(text, rows):
    assert named_rows(text, 100) == rows


@pytest.mark.parametrize("answer", [Response(404), Response(401), Lost("refused")])
def test_reaching_returns_whatever_comes(answer):
    found, request = converse(optix.reach(), answer)
    assert found is answer
    assert (request.method, request.url, request.body) == ("GET", "", None)
