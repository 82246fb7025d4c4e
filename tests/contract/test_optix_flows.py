"""The conversations with Opti-X, driven by hand: what they ask, and what they make of the answer."""

import json

import pytest

from optimove_provider.clients.drive import run
from optimove_provider.contract import optix
from optimove_provider.contract.errors import DataError, Refused, UnreadableAnswer
from optimove_provider.contract.wire import Lost, Response

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


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'"uuid"', b'{"uuid":"x"}'])
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


def test_records_stay_out_of_the_repr():
    assert "secret" not in repr(optix.Records(1, b'["secret"]'))


@pytest.mark.parametrize("answer", [Response(404), Response(401), Lost("refused")])
def test_reaching_returns_whatever_comes(answer):
    found, request = converse(optix.reach(), answer)
    assert found is answer
    assert (request.method, request.url, request.body) == ("GET", "", None)
