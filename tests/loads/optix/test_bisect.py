"""Rows that the server refuses are found, all others land, and a wrong request is told from a bad row."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimove_provider.clients.http.drive import run
from optimove_provider.contract.optix.data_connections import UPLOAD_DATA
from optimove_provider.contract.wire.errors import AuthenticationError, Refused, succeed
from optimove_provider.contract.wire.messages import Flow, Request, Response
from optimove_provider.loads.optix.bisect import BisectBudget, BisectTooLong, Put, RequestIsWrong, send_or_bisect
from optimove_provider.loads.state.bisect_log import Answered

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
        return {one.position: one.reason for one in run(send_or_bisect(range(rows), put, hunt), self.send)}


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


def naming(bad: set[int], say: Callable[[int, int], str]) -> Answer:
    """Refuses bad rows, and names one in its way: it is told the place of the first, and how many rows there are."""

    def answer(rows: Sequence[int]) -> Response:
        found = [place for place, row in enumerate(rows) if row in bad]
        return Response(400, say(found[0], len(rows)).encode()) if found else Response(200)

    return answer


def test_hundreds_of_bad_rows_that_the_server_names_are_all_found() -> None:
    bad = set(range(0, 1600, 2))
    server = Server(naming(bad, lambda first, _: f"data[{first}] is bad"))
    assert set(server.deliver(1700, BisectBudget(100_000, 50, accepted=True))) == bad
    assert server.landed == set(range(1700)) - bad


@pytest.mark.parametrize(
    "say",
    [
        lambda _, count: f"data[{count - 1}] is bad",
        lambda *_: "error in index: 0",
        lambda *_: "data[7] is bad",
        lambda first, _: f"data[{first + 1}] is bad",
        lambda first, count: " ".join(f"data[{row}]" for row in range(count) if row != first),
    ],
    ids=["last", "first", "fixed", "counted from 1", "all others"],
)
@pytest.mark.parametrize("accepted", [True, False])
def test_a_server_that_names_the_wrong_row_costs_few_requests(say: Callable[[int, int], str], accepted: bool) -> None:
    server = Server(naming({1234}, say))
    assert set(server.deliver(5000, BisectBudget(10_000, 50, accepted=accepted))) == {1234}
    assert len(server.asked) <= 40
    assert server.landed == set(range(5000)) - {1234}


@given(st.integers(3, 120), st.data())
def test_whatever_the_server_names_all_rows_are_told_right(rows: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=rows))
    places = data.draw(st.lists(st.integers(0, rows), max_size=5))
    server = Server(naming(bad, lambda *_: " ".join(f"data[{place}]" for place in places)))
    assert set(server.deliver(rows, BisectBudget(10_000, 50, accepted=True))) == bad
    assert server.landed == set(range(rows)) - bad


def test_the_bound_on_requests_holds_whatever_the_server_names() -> None:
    server = Server(naming(set(range(2000)), lambda first, _: f"data[{first}] is bad"))
    with pytest.raises(BisectTooLong):
        server.deliver(2000, BisectBudget(1500, 50, accepted=True))
    assert len(server.asked) == 1501


class Dead(Exception):
    """The process is gone."""


def dying(server: Server, at: int) -> Server:
    """The server, and a client that dies before so many more requests are answered."""
    answer, left = server.answer, [at]

    def dies(rows: Sequence[int]) -> Response:
        left[0] -= 1
        if left[0] < 0:
            raise Dead
        return answer(rows)

    again = Server(dies)
    again.asked, again.landed = server.asked, server.landed
    return again


@given(st.integers(3, 120), st.integers(1, 12), st.data())
def test_a_retry_goes_on_inside_the_slice(rows: int, each: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, rows - 1), max_size=rows))
    kept: list[Answered] = []
    budget, tries = BisectBudget(10_000, 50, accepted=True), 0
    server = Server(refusing(bad))
    while True:
        tries += 1
        client = dying(server, at=each + 1)
        try:
            flow = send_or_bisect(range(rows), client.put, budget, list(kept), kept.append)
            rejected = run(flow, client.send)
            break
        except Dead:
            assert tries < 1000
    assert {one.position for one in rejected} == bad
    assert server.landed == set(range(rows)) - bad
    sent_twice = [one for one in kept if not one.status]
    assert sum(len(one.rows) for one in sent_twice) == len({row for one in sent_twice for row in one.rows})


def test_an_answer_survives_its_own_json() -> None:
    answered = Answered((1, 2, 3, 7, 9, 10), 422, "bad")
    assert Answered.from_json(answered.as_json()) == answered
