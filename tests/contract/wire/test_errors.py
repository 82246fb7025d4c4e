"""Which answer raises what, and what the error says."""

import pytest

from optimove_provider.contract.wire.errors import (
    MAX_TEXT,
    ApiError,
    AuthenticationError,
    DataError,
    Disagreement,
    OptimoveProviderError,
    Refused,
    S3Refused,
    ServerTrouble,
    SettingsError,
    Unreachable,
    UnreadableAnswer,
    succeed,
)
from optimove_provider.contract.wire.messages import Endpoint, Lost, Response

ROW = Endpoint("create_table", "api", "POST", "/tables", retry_safe=False, source="assumed")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_passes(status):
    answer = Response(status)
    assert succeed(ROW, answer) is answer


@pytest.mark.parametrize(
    ("status", "error", "retry_helps"),
    [
        (301, Refused, False),
        (307, Refused, False),
        (400, Refused, False),
        (401, AuthenticationError, False),
        (403, AuthenticationError, False),
        (404, Refused, False),
        (408, ServerTrouble, True),
        (413, Refused, False),
        (422, Refused, False),
        (429, ServerTrouble, True),
        (499, ServerTrouble, True),
        (500, ServerTrouble, True),
        (503, ServerTrouble, True),
        (199, ServerTrouble, True),
        (999, ServerTrouble, True),
    ],
)
def test_other_statuses_raise_the_error_that_fits(status, error, retry_helps):
    with pytest.raises(ApiError, match=f"POST create_table was answered {status}: the reason") as caught:
        succeed(ROW, Response(status, b"the reason"))
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.endpoint) == (status, ROW)
    assert caught.value.retry_helps is retry_helps


@pytest.mark.parametrize("sent", [True, False])
def test_no_answer_is_unreachable_and_knows_whether_it_left(sent):
    with pytest.raises(Unreachable, match="POST create_table got no answer: refused") as caught:
        succeed(ROW, Lost("refused", sent))
    assert caught.value.sent is sent
    assert caught.value.retry_helps


def test_a_driver_that_sends_nothing_is_found_out():
    with pytest.raises(TypeError, match="create_table"):
        succeed(ROW, None)


def test_the_vendors_text_is_cut():
    error = Refused(ROW, Response(400, b"x" * 10_000))
    assert error.text == "x" * MAX_TEXT
    assert len(str(error)) < MAX_TEXT + 100


def test_an_empty_body_is_said_to_be_empty():
    assert str(Refused(ROW, Response(404))) == "POST create_table was answered 404 with an empty body"


def test_an_unreadable_answer_shows_its_size_and_type_but_not_its_body():
    answer = Response(200, b"aws_secret_key", {"content-type": "text/html"})
    assert (
        str(UnreadableAnswer(ROW, answer, "an id"))
        == "create_table: the answer 200 (14 bytes of text/html) lacks an id"
    )


@pytest.mark.parametrize("error", [SettingsError, DataError, Disagreement, S3Refused, UnreadableAnswer])
def test_what_only_a_person_can_mend_is_not_retried(error):
    assert issubclass(error, OptimoveProviderError)
    assert not error.retry_helps


def test_a_message_of_a_driver_colours_nothing_and_keeps_its_lines():
    error = DataError("row 1:\n  invalid input \x1b[31m\u202e\r\x00")
    assert str(error) == "row 1:\n  invalid input \\x1b[31m\\u202e\\r\ufffd"
