"""For how long a change may still be carried out whose answer did not come."""

import asyncio
from datetime import timedelta

import pytest

from optimove_provider.clients.optix import OptixClient
from optimove_provider.contract.optix.data_connections import Records
from optimove_provider.contract.wire.errors import DoubtfulSuccess, OptimoveProviderError
from optimove_provider.contract.wire.messages import Lost, Response
from optimove_provider.emulator import State, send
from tests.support.optix_target import SETTINGS
from tests.support.virtual_time import ClientTime

CONNECTION = "00000000-0000-4000-8000-000000000001"
BATCH = {"batch_uuid": "00000000-0000-0000-0000-000000000001", "batch_completed": False}
RECORDS = Records(1, b'[{"id":"1"}]')
DONE = Response(200, b'{"success": true}', {"content-type": "application/json"})
MINUTE = timedelta(seconds=60)


@pytest.fixture
def time():
    return ClientTime()


def client(time, *answers):
    """A client that gets these answers one after the other; an exception is raised."""
    left = iter(answers)

    def answered(request):
        answer = next(left)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return OptixClient(SETTINGS, answered, surroundings=time.surroundings)


def upload(client):
    client.upload_data(CONNECTION, RECORDS, **BATCH)


@pytest.mark.parametrize(
    "answer",
    [Lost("the connection was reset"), Response(500), Response(504), Response(499), Response(200, b"<html>")],
    ids=["lost", "500", "504", "499", "markup"],
)
def test_an_answer_that_says_nothing_leaves_a_doubt_though_the_next_one_is_clear(time, answer):
    one = client(time, answer, DONE)
    try:
        upload(one)
    except DoubtfulSuccess:
        upload(one)
    assert one.in_doubt_for() == MINUTE - timedelta(seconds=time.seconds)
    time.sleep(61)
    assert not one.in_doubt_for()


@pytest.mark.parametrize(
    "answer",
    [Lost("refused", sent=False), Response(429), Response(503, headers={"retry-after": "1"})],
    ids=["never sent", "429", "503 with Retry-After"],
)
def test_what_was_certainly_not_done_leaves_none(time, answer):
    one = client(time, answer, DONE)
    upload(one)
    assert not one.in_doubt_for()


def test_a_refusal_leaves_none(time):
    one = client(time, Response(400, b"{}"))
    with pytest.raises(OptimoveProviderError):
        upload(one)
    assert not one.in_doubt_for()


@pytest.mark.parametrize("ends_it", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError()], ids=repr)
def test_whoever_is_interrupted_while_waiting_leaves_one(time, ends_it):
    one = client(time, ends_it)
    with pytest.raises(type(ends_it)):
        upload(one)
    assert one.in_doubt_for() == MINUTE


def test_a_question_leaves_none(time):
    one = client(time, Lost("reset"), DONE)
    one.reach()
    assert not one.in_doubt_for()


def test_what_goes_well_leaves_none(time):
    state = State()
    one = OptixClient(SETTINGS, lambda request: send(state, request), surroundings=time.surroundings)
    one.upload_data(one.create_connection("customers", "id"), RECORDS, **BATCH)
    assert not one.in_doubt_for()
