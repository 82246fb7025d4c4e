"""What counts as a success: 200 with anything that does not say the contrary, and hardly any other 2xx."""

import json
from typing import get_args

import pytest

from optimove_provider.contract.wire.errors import DoubtfulSuccess, succeed
from optimove_provider.contract.wire.messages import Endpoint, Response
from optimove_provider.contract.wire.success import AnswerMeaning, judge
from optimove_provider.emulator.api.doubtful import DOUBTFUL
from optimove_provider.emulator.model.switches import DoubtfulSuccess as Forms

ROW = Endpoint("upload_data", "optix", "POST", "/upload_data", retry_safe=True, source="assumed")
HTML = {"content-type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    "answer",
    [
        *(Response(status) for status in (200, 201, 202, 204)),
        Response(200, headers=HTML),
        Response(200, b"OK", HTML),
        Response(200, b'"a <b>"', HTML),
        Response(200, b"accepted"),
        Response(200, b"not JSON: \xff"),
        Response(200, b"[" * 100_000),
        Response(201, b"\n"),
        Response(202, b'{"batch_uuid": "x"}'),
        Response(200, b'{"success": true, "errors": [], "error": null, "failed": 0, "rejected": {}, "status": "ok"}'),
        Response(200, b'{"status": 200, "ok": 1, "success": null, "errors": ""}'),
        Response(200, b'{"data": {"success": false, "errors": ["x"]}}'),
        Response(200, b'{"error": " ", "failed": "0", "status": "200"}'),
        Response(200, b'[{"error": "of an element"}]'),
        Response(200, b"null"),
    ],
    ids=repr,
)
def test_a_success(answer):
    assert judge(answer) is AnswerMeaning.DONE
    assert succeed(ROW, answer) is answer


@pytest.mark.parametrize(
    "answer",
    [
        *DOUBTFUL.values(),
        *(Response(status) for status in (203, 205, 206, 207, 208, 226, 250, 299)),
        Response(200, b"Welcome<br><form>", HTML),
        Response(200, "\ufeff<html>".encode("utf-16")),
        Response(200, json.dumps({"success": False}).encode("utf-16")),
        Response(201, b"see <a>"),
        Response(200, b'{"a":' * 100_000),
        Response(200, b'{"success": false, "seconds": NaN}'),
        Response(200, b"<?xml version='1.0'?><Error/>"),
        *(
            Response(200, json.dumps(body).encode())
            for body in (
                {"Success": False},
                {"success": "false"},
                {"success": 0},
                {"status": "FAILED"},
                {"status": 400},
                {"status": 500},
                {"status": False},
                {"status": "500"},
                {"status": " 422 "},
                {"success": 0.0},
                {"error": {"code": 1}},
                {"failures": 3},
                {"data": [], "errors": "bad"},
            )
        ),
    ],
    ids=repr,
)
def test_a_2xx_that_is_no_success_is_in_doubt(answer):
    assert judge(answer) is AnswerMeaning.IN_DOUBT
    with pytest.raises(DoubtfulSuccess, match="is not known") as caught:
        succeed(ROW, answer)
    assert caught.value.retry_helps
    assert not caught.value.certainly_not_done


def test_it_is_told_who_answered_and_no_more_is_shown():
    with pytest.raises(DoubtfulSuccess, match="a proxy or a sign-in page answered"):
        succeed(ROW, DOUBTFUL["html"])
    with pytest.raises(DoubtfulSuccess, match='status: "error"') as caught:
        succeed(ROW, Response(200, b'{"status": "error", "aws_secret_key": "do not show"}'))
    assert "do not show" not in str(caught.value) + caught.value.text


@pytest.mark.parametrize(
    ("status", "headers", "meaning"),
    [
        (400, {}, AnswerMeaning.REFUSED),
        (401, {}, AnswerMeaning.REFUSED),
        (404, {}, AnswerMeaning.REFUSED),
        (301, {}, AnswerMeaning.REFUSED),
        (303, {}, AnswerMeaning.IN_DOUBT),
        (408, {}, AnswerMeaning.IN_DOUBT),
        (460, {}, AnswerMeaning.IN_DOUBT),
        (499, {}, AnswerMeaning.IN_DOUBT),
        (500, {"retry-after": "1"}, AnswerMeaning.IN_DOUBT),
        (503, {}, AnswerMeaning.IN_DOUBT),
        (503, {"retry-after": "1"}, AnswerMeaning.NOT_NOW),
        (429, {}, AnswerMeaning.NOT_NOW),
        (199, {}, AnswerMeaning.IN_DOUBT),
        (999, {}, AnswerMeaning.IN_DOUBT),
    ],
)
def test_what_other_statuses_say_of_the_work(status, headers, meaning):
    assert judge(Response(status, b"why", headers)) is meaning


def test_the_emulator_has_a_switch_for_each_form():
    assert set(get_args(Forms)) == {"none", *DOUBTFUL}
