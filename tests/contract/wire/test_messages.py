"""The values that cross the wire."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.contract.wire.messages import Endpoint, Request, Response, json_body

ROW = Endpoint("read", "api", "GET", "/a/{first}/b/{second_id}", retry_safe=True, source="assumed")


def test_a_row_builds_its_request():
    request = ROW.request(first="x", second_id=7)
    assert (request.method, request.url, request.endpoint) == ("GET", "/a/x/b/7", ROW)
    assert (request.body, dict(request.headers)) == (None, {})


def test_only_a_request_with_a_body_has_a_content_type():
    assert dict(ROW.request(b"{}", first=1, second_id=2).headers) == {"Content-Type": "application/json"}


def test_a_path_value_cannot_leave_its_segment():
    assert ROW.request(first="../c?d=e#f", second_id="ö %").url == "/a/..%2Fc%3Fd%3De%23f/b/%C3%B6%20%25"


def test_a_missing_path_value_is_an_error():
    with pytest.raises(KeyError, match="second_id"):
        ROW.request(first="x")


def test_path_names_come_in_order():
    assert ROW.path_names == ("first", "second_id")


@pytest.mark.parametrize(
    "shown",
    [
        Request("POST", "/a", {"x-api-key": "secret"}, b"secret", ROW),
        Response(200, b"secret"),
    ],
    ids=lambda shown: type(shown).__name__,
)
def test_a_repr_shows_neither_keys_nor_data(shown):
    assert "secret" not in f"{shown!r}{shown}"


@pytest.mark.parametrize(("status", "ok"), [(199, False), (200, True), (204, True), (299, True), (300, False)])
def test_any_2xx_is_success(status, ok):
    assert Response(status).ok is ok


def test_text_survives_bytes_that_are_not_utf8():
    assert Response(500, b"caf\xe9").text == "caf\ufffd"


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff"])
def test_json_of_another_body_is_a_value_error(body):
    with pytest.raises(ValueError, match=r".+"):
        Response(200, body).json()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text("aé\n\"'😀"), st.lists, max_leaves=5))
def test_json_bodies_read_back_and_are_one_line(value):
    body = json_body({"value": value})
    assert json.loads(body) == {"value": value}
    assert b"\n" not in body


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_json_body_holds_no_nan_and_no_infinity(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_body([value])
