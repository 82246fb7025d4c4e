"""Rows that the server refuses are found, all others land, and a wrong request is told from a bad row."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.clients.drive import run
from optimove_provider.contract.optix.data_connections import UPLOAD_DATA
from optimove_provider.contract.wire.errors import AuthenticationError, Refused, succeed
from optimove_provider.contract.wire.messages import Flow, Request, Response
from optimove_provider.loads.optix.bisect import BisectBudget, BisectTooLong, Put, RequestIsWrong, send_or_bisect

Answer = Callable[[Sequence[int]], Response]


class Server:
    """Takes rows, or answers as `answer` says; remembers what it was asked and what landed."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.asked, self.landed = answer, [], set()

    def put(self, rows: Sequence[int]) -> Flow[None]:
        response = yield Request("POST", f"/{len(rows)}", body=str(list(rows)).encode())
        succeed(UPLOAD_DATA, response)

    def send(self, request: Request) -> Response:
        rows = eval(request.body or b"")  # noqa: S307 - our own list of numbers
        response = self.answer(rows)
        self.asked.append(rows)
        if response.ok:
            self.landed.update(rows)
        return response

    def deliver(self, rows: int, hunt: BisectBudget | None = None) -> dict[int, str]:
        hunt = hunt or BisectBudget(10_000, 50)
        put: Put = self.put
        return {one.position: one.reason for one in run(send_or_bisect(rows, put, hunt), self.send)}


def refusing(bad: set[int], text: Callable[[Sequence[int]], str] = lambda found: "a bad value") -> Answer:
    def answer(rows: Sequence[int]) -> Response:
        found = [index for index, row in enumerate(rows) if row in bad]
        return Response(400, text(found).encode()) if found else Response(200)

    return answer


def test_a_good_slice_takes_one_request() -> None:
    server = Server(refusing(set()))
    assert server.deliver(5000) == {}
    assert len(server.asked) == 1


@given(st.integers(3, 200), st.data())
def test_every_good_row_lands_and_every_bad_row_is_named(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=rows))
    hunt = BisectBudget(10_000, 50, accepted=True)
    server = Server(refusing(bad))
    assert set(server.deliver(rows, hunt)) == bad
    assert server.landed == set(range(rows)) - bad


@given(st.integers(3, 200), st.data())
def test_rows_that_the_answer_names_go_first(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), min_size=1, max_size=3))
    server = Server(refusing(bad, lambda found: f"data[{found[0]}] is bad"))
    hunt = BisectBudget(10_000, 50, accepted=True)
    assert set(server.deliver(rows, hunt)) == bad
    # The whole slice; then for each bad row that row alone, and all that is left.
    assert len(server.asked) <= 1 + 2 * len(bad)


def test_one_bad_row_of_5000_costs_few_requests() -> None:
    server, hunt = Server(refusing({1234})), BisectBudget(10_000, 50)
    assert server.deliver(5000, hunt) == {1234: "a bad value"}
    assert hunt.requests == len(server.asked) - 1 <= 30


def test_a_wrong_request_is_told_from_a_bad_row() -> None:
    server = Server(lambda rows: Response(422, b"no such field: id"))
    with pytest.raises(RequestIsWrong, match="no such field: id"):
        server.deliver(5000)
    assert [len(rows) for rows in server.asked] == [5000, 1, 1, 1]


def test_after_a_slice_was_accepted_the_request_cannot_be_wrong() -> None:
    server = Server(refusing(set(range(10))))
    assert len(server.deliver(10, BisectBudget(1000, 50, accepted=True))) == 10


def test_a_slice_of_two_rows_is_taken_apart_at_once() -> None:
    server = Server(refusing({0, 1}))
    assert set(server.deliver(2)) == {0, 1}


def test_too_large_a_body_is_halved_and_loses_nothing() -> None:
    server = Server(lambda rows: Response(413, b"too large") if len(rows) > 700 else Response(200))
    assert server.deliver(5000) == {}
    assert server.landed == set(range(5000))


def test_a_single_row_that_is_too_large_is_rejected() -> None:
    server = Server(lambda rows: Response(413, b"too large") if 3 in rows else Response(200))
    assert server.deliver(8) == {3: "too large"}


def test_a_bound_on_the_requests() -> None:
    server = Server(refusing(set(range(0, 5000, 50))))
    with pytest.raises(BisectTooLong, match="max_bisect_requests"):
        server.deliver(5000, BisectBudget(100, 50))
    assert len(server.asked) == 101


@pytest.mark.parametrize(("status", "error"), [(401, AuthenticationError), (404, Refused), (409, Refused)])
def test_another_refusal_is_no_bad_row(status: int, error: type[Exception]) -> None:
    server = Server(lambda rows: Response(status, b"no"))
    with pytest.raises(error):
        server.deliver(5000)
    assert len(server.asked) == 1
