"""Drivers, retries and the rate: the emulator answers, trouble is dealt out by a list, and no test really waits."""

import asyncio
import threading
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimove_provider.clients.http.drive import Budget, arun, polite, run
from optimove_provider.clients.http.patience import TESTING, Patience, Retries
from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import OptimoveProviderError, Refused, ServerTrouble, Unreachable
from optimove_provider.contract.wire.messages import Lost, Response, Sleep
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN, State, send
from optimove_provider.surroundings import REAL
from tests.support.virtual_time import START, ClientTime

OPTIX = OptixSettings(
    conn_id="optix", host="http://emulator/api/data-connections/v1", api_key=API_KEY, brand_api_key=BRAND_KEY
)
DCP = DcpSettings(conn_id="dcp", host="http://emulator/experiment/v1", token=TOKEN)
RETRIES = Retries()
NEVER_LEFT, LOST = Lost("refused", sent=False), Lost("dropped")


class Wire:
    """Answers from the list of troubles; None in it, and its end, stand for an answer of the emulator."""

    def __init__(self, troubles, settings=OPTIX, seed="same ids every time"):
        self.troubles, self.settings, self.state = list(troubles), settings, State(seed=seed)
        self.log, self.time = [], ClientTime()

    def send(self, request):
        trouble = self.troubles.pop(0) if self.troubles else None
        self.log.append((request.endpoint, request.url, request.body, trouble))
        return trouble or send(self.state, self.settings.address(request))

    @property
    def naps(self):
        return self.time.naps

    async def nap(self, seconds):
        self.time.sleep(seconds)

    def run(self, flow, retries=RETRIES, **surroundings):
        return run(self.polite(flow, retries, **surroundings), self.send, self.time.sleep)

    def arun(self, flow, retries=RETRIES):
        return asyncio.run(arun(self.polite(flow, retries), self.send, self.nap))

    def polite(self, flow, retries, **surroundings):
        patience = Patience(replace(self.time.surroundings, **surroundings))
        return polite(flow, retries, Budget(1000, clock=lambda: 0.0), patience)


def journey():
    """Two requests that may be repeated, and before them one that may not."""
    data_connection_uuid = yield from optix.create_connection("customers", "id")
    for number in (1, 2):
        yield Sleep(number, "between slices")
        records, batch_uuid = optix.Records(1, b'[{"id":%d}]' % number), "00000000-0000-0000-0000-000000000001"
        yield from optix.upload_data(data_connection_uuid, records, batch_uuid=batch_uuid, batch_completed=number == 2)
    return data_connection_uuid


def ending(driver, flow):
    try:
        return driver(flow)
    except OptimoveProviderError as error:
        return type(error), error.endpoint


ANSWERS = [Response(status) for status in (307, 400, 401, 408, 429, 500, 503, 599)]
SLOW_DOWN = Response(429, headers={"retry-after": "7"})
troubles = st.lists(st.sampled_from([None, NEVER_LEFT, LOST, SLOW_DOWN, *ANSWERS]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(troubles)
def test_both_drivers_have_the_same_conversation(troubles):
    blocking, awaiting = Wire(troubles), Wire(troubles)
    assert ending(blocking.run, journey()) == ending(awaiting.arun, journey())
    assert blocking.log == awaiting.log
    assert blocking.naps == awaiting.naps


@settings(max_examples=60, deadline=None)
@given(troubles)
def test_a_post_that_may_have_worked_is_never_repeated(troubles):
    wire = Wire(troubles)
    ending(wire.run, journey())
    *earlier, _ = [trouble for endpoint, _, _, trouble in wire.log if endpoint is optix.CREATE_CONNECTION]
    assert all(trouble is NEVER_LEFT or trouble.status == 429 for trouble in earlier)


@settings(max_examples=60, deadline=None)
@given(troubles)
def test_no_request_is_sent_more_often_than_allowed(troubles):
    wire = Wire(troubles)
    ending(partial(wire.run, retries=Retries(attempts=5)), journey())
    bodies = [body for _, _, body, _ in wire.log]
    assert max(map(bodies.count, bodies)) <= 5


@pytest.mark.parametrize("trouble", [LOST, Response(500), Response(503), Response(408), Response(499)])
def test_an_unsafe_post_gets_one_try_when_it_may_have_worked(trouble):
    wire = Wire([trouble])
    with pytest.raises((Unreachable, ServerTrouble)):
        wire.run(optix.create_connection("customers", "id"))
    assert (len(wire.log), wire.naps) == (1, [])


def test_an_unsafe_post_that_never_left_is_sent_again():
    wire = Wire([NEVER_LEFT, NEVER_LEFT])
    assert wire.run(optix.create_connection("customers", "id")) in wire.state.connections
    assert (len(wire.log), len(wire.state.connections), wire.naps) == (3, 1, [1.0, 2.0])


@pytest.mark.parametrize("status", [301, 400, 404, 422])
def test_a_refusal_is_not_repeated(status):
    wire = Wire([Response(status)], DCP)
    with pytest.raises(Refused):
        wire.run(dcp.list_services())
    assert len(wire.log) == 1


def test_waits_double_and_end_with_what_was_tried():
    wire = Wire([LOST] * 9)
    with pytest.raises(Unreachable, match=r"dropped \(tried 7 times in \d+ s\)"):
        wire.run(read(), Retries(attempts=7, longest_wait=10))
    assert wire.naps == [1, 2, 4, 8, 10, 10]


def read():
    return dcp.list_services()


@pytest.mark.parametrize(("first", "sent"), [(LOST, True), (Response(502), True), (NEVER_LEFT, False)])
def test_one_try_that_may_have_arrived_is_enough_to_be_unsure(first, sent):
    with pytest.raises(Unreachable) as caught:
        Wire([first, *[NEVER_LEFT] * 4]).run(read(), Retries(attempts=5))
    assert caught.value.sent is sent


@pytest.mark.parametrize(("drawn", "wait"), [(0.5, 0.5), (1.0, 1.0)])
def test_jitter_shortens_a_wait_by_up_to_half(drawn, wait):
    wire = Wire([LOST], DCP)
    wire.run(read(), draw=lambda least, most: drawn)
    assert wire.naps == [wait]


def test_the_default_jitter_stays_between_half_and_one():
    for _ in range(100):
        wire = Wire([LOST], DCP)
        wire.run(read(), draw=REAL.draw)
        assert 0.5 <= wire.naps[0] <= 1


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {}, 60),
        (503, {}, 60),
        (503, {"retry-after": "5"}, 60),
        (429, {"retry-after": "90"}, 90),
        (429, {"retry-after": "300"}, 300),
        (500, {"retry-after": "1.5"}, 1.5),
        (500, {}, 1),
        (500, {"retry-after": "5"}, 5),
        (500, {"retry-after": "soon"}, 1),
        (500, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1),
    ],
)
def test_how_long_dcp_is_left_alone(status, headers, wait):
    wire = Wire([Response(status, headers=headers)], DCP)
    wire.run(read())
    assert wire.naps == [wait]


def test_opti_x_names_no_least_wait():
    wire = Wire([None, Response(429)])
    wire.run(journey())
    assert wire.naps == [1, 1.0, 2]


@pytest.mark.parametrize("seconds", [90, 540])
def test_retry_after_may_be_a_date(seconds):
    date = format_datetime(START + timedelta(seconds=seconds), usegmt=True)
    wire = Wire([Response(500, headers={"retry-after": date})], DCP)
    wire.run(read())
    assert wire.naps == [seconds]


@pytest.mark.parametrize("asked", ["3600", "9" * 5000, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_who_asks_for_more_than_is_left_is_quoted_and_not_waited_for(asked):
    wire = Wire([Response(429, headers={"retry-after": asked})] * 2)
    with pytest.raises(ServerTrouble) as caught:
        wire.run(optix.create_connection("customers", "id"))
    assert f"Retry-After: {asked[:100]}, and give_up_after leaves 600 s" in str(caught.value)
    assert (wire.naps, caught.value.retry_helps, caught.value.certainly_not_done) == ([], True, True)


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("  90 ", 90),
        ("0.25", 1),
        ("-90", 1),
        ("-90s", 1),
        ("+90", 90),
        ("90s", 90),
        ("90 Seconds", 90),
        ("1m30s", 90),
        ("1 minute", 60),
        ("2 min", 120),
        ("90000ms", 90),
        ("90,", 90),
        ('"90"', 90),
        ("'90'", 90),
        ("90.", 90),
        ("90; ", 90),
        ("1795824091", 90),
        ("2026-11-28T00:01:31Z", 90),
        ("2026-11-28 00:01:31 UTC", 90),
        ("2026-11-28T01:01:31+01:00", 90),
        ("in a while", 1),
        ("90 bananas", 1),
        ("5, 90", 90),
        ("Saturday, 28-Nov-26 00:01:31 GMT", 90),
        ("Sat Nov 28 00:01:31 2026", 90),
        ("Sat, 28 Nov 2026 01:01:31 +0100", 90),
        ("Fri, 27 Nov 2026 23:59:30 GMT", 1),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("driver", [Wire.run, Wire.arun])
def test_every_form_of_retry_after_is_waited_for_to_its_end(asked, wait, status, driver):
    wire = Wire([None, Response(status, headers={"retry-after": asked})])
    driver(wire, journey())
    assert wire.naps == [1, wait, 2]


def test_a_date_counts_from_the_clock_of_the_server_that_names_it():
    ahead = START + timedelta(hours=1)
    until, date = (format_datetime(ahead + timedelta(seconds=s), usegmt=True) for s in (90, 0))
    wire = Wire([Response(503, headers={"retry-after": until, "date": date})], DCP)
    wire.run(read())
    assert wire.naps == [90]


@pytest.mark.parametrize("flow", [read, lambda: optix.create_connection("customers", "id")])
@pytest.mark.parametrize(("status", "attempts"), [(429, None), (503, None), (429, 1), (503, 1)])
def test_what_is_asked_for_is_quoted_with_when_it_may_be_tried_again(flow, status, attempts):
    wire = Wire([Response(status, headers={"retry-after": "3600"})])
    with pytest.raises(ServerTrouble) as caught:
        wire.run(flow(), Retries(attempts=attempts))
    told = str(caught.value)
    assert f"was answered {status}" in told
    assert "Retry-After: 3600" in told
    assert "it may be tried again from 2026-11-28 01:00:00 UTC on" in told
    assert (wire.naps, caught.value.retry_helps, caught.value.asked_seconds) == ([], True, 3600)


def upload(number):
    records = optix.Records(1, b'[{"id":%d}]' % number)
    batch_uuid = f"00000000-0000-0000-0000-00000000000{number}"
    return optix.upload_data(batch_uuid, records, batch_uuid=batch_uuid, batch_completed=True)


def test_whoever_shares_a_client_waits_too_where_one_is_asked_to():
    time, answers = ClientTime(), [Response(429, headers={"retry-after": "90"})]
    patience = Patience(time.surroundings)
    asked, other = (polite(upload(n), RETRIES, Budget(1000, clock=lambda: 0.0), patience) for n in (1, 2))
    next(asked)
    assert asked.send(answers[0]).seconds == 90
    time.sleep(30)
    assert next(other).seconds == 60
    time.sleep(60)
    assert other.send(None).endpoint is optix.UPLOAD_DATA
    assert asked.send(None).endpoint is optix.UPLOAD_DATA


def test_whoever_shares_a_client_sends_nothing_where_one_is_asked_to_wait_for_too_long():
    wire = Wire([Response(429, headers={"retry-after": "3600"})])
    patience = Patience(wire.time.surroundings)
    for number in (1, 2):
        flow = polite(upload(number), RETRIES, Budget(1000, clock=lambda: 0.0), patience)
        with pytest.raises(ServerTrouble, match=r"Retry-After: 3600.* from 2026-11-28 01:00:00 UTC on") as caught:
            run(flow, wire.send, wire.time.sleep)
        assert caught.value.certainly_not_done
    assert len(wire.log) == 1


@given(st.text() | st.sampled_from(["9" * 5000, "Wed, 21 Oct 99999 07:28:00 GMT", "-1", "1e3", "nan"]))
def test_any_retry_after_gives_a_wait_or_an_error(text):
    wire = Wire([Response(500, headers={"retry-after": text})], DCP)
    ending(wire.run, read())
    assert all(0 < nap <= RETRIES.give_up_after for nap in wire.naps)


def test_a_server_that_is_away_for_minutes_is_outlasted():
    wire = Wire([None] + [LOST] * 16)
    wire.run(journey())
    assert 300 < sum(wire.naps) < RETRIES.give_up_after


def test_it_gives_up_when_nothing_has_succeeded_for_so_long():
    wire = Wire([LOST] * 1000, DCP)
    with pytest.raises(Unreachable, match=r"tried \d+ times in 600 s, until nothing had succeeded for give_up_after"):
        wire.run(read())
    assert (sum(wire.naps), max(wire.naps)) == (RETRIES.give_up_after, RETRIES.longest_wait)


def test_as_long_as_others_succeed_it_goes_on_for_three_times_as_long():
    time = ClientTime()
    patience = Patience(time.surroundings)
    tries = patience.begin(dcp.LIST_SERVICES.request(), RETRIES)
    while (again := tries.wait_after(Response(500), jitter=1.0)) is not None:
        time.sleep(again)
        patience.begin(dcp.LIST_SERVICES.request(), RETRIES).wait_after(Response(200), jitter=1.0)
    assert time.seconds == 3 * RETRIES.give_up_after
    assert max(time.naps) <= RETRIES.busy_wait


def test_no_answer_is_waited_for_longer_than_there_is_patience():
    time = ClientTime()
    tries = Patience(time.surroundings).begin(dcp.LIST_SERVICES.request(), TESTING)
    assert tries.next.timeout_seconds == 15
    time.sleep(12)
    assert tries.next.timeout_seconds == 3


def test_a_2xx_that_is_no_success_is_tried_again_like_a_lost_answer():
    wire = Wire([Response(200, b"<html>"), Response(207), Response(400, b"bad")], DCP)
    with pytest.raises(Refused, match=r"400: bad \(tried 3 times in 3 s\)") as caught:
        wire.run(read())
    assert not caught.value.certainly_not_done


@pytest.mark.parametrize("busy", [Response(429), Response(503, headers={"retry-after": "1"})])
def test_a_post_that_was_certainly_not_carried_out_is_sent_again(busy):
    wire = Wire([busy] * 3)
    assert wire.run(optix.create_connection("customers", "id")) in wire.state.connections
    assert len(wire.log) == 4


class Broken(Exception):
    pass


def broken(_):
    raise Broken


async def broken_nap(_):
    raise asyncio.CancelledError


def watched(closed, *steps):
    try:
        yield from steps
    finally:
        closed.append(True)


GET = dcp.LIST_SERVICES.request()


@pytest.mark.parametrize(
    ("drive", "step", "error"),
    [
        (lambda flow: run(flow, broken), GET, Broken),
        (lambda flow: run(flow, broken, broken), Sleep(1), Broken),
        (lambda flow: asyncio.run(arun(flow, broken)), GET, Broken),
        (lambda flow: asyncio.run(arun(flow, broken, broken_nap)), Sleep(1), asyncio.CancelledError),
    ],
    ids=["send", "sleep", "async send", "async sleep"],
)
def test_a_flow_is_closed_when_its_driver_fails(drive, step, error):
    closed = []
    with pytest.raises(error):
        drive(polite(watched(closed, step, step), RETRIES, Budget(10)))
    assert closed == [True]


def test_an_event_loop_goes_on_while_a_request_is_under_way():
    sender = []

    def sending(request):
        sender.append(threading.get_ident())
        return Response(200, b"[]")

    asyncio.run(arun(dcp.list_services(), sending))
    assert sender != [threading.get_ident()]


def test_a_driver_that_sends_nothing_is_found_out():
    with pytest.raises(TypeError, match="sent no answer"):
        run(polite(dcp.list_services(), RETRIES, Budget(10)), lambda _: None)


def test_the_rate_is_waited_for_before_a_request():
    wire = Wire([])
    budget = Budget(2, clock=lambda: 100.0)
    run(polite(journey(), RETRIES, budget), wire.send, wire.naps.append)
    assert wire.naps == [1, 2, 10.0]


@given(st.integers(1, 6), st.lists(st.integers(0, 12), max_size=40))
def test_no_ten_seconds_hold_more_requests_than_allowed(allowed, gaps):
    now = [0]
    budget = Budget(allowed, clock=lambda: now[0])
    slots = []
    for gap in gaps:
        now[0] += gap
        slots.append(now[0] + budget.reserve())
    assert slots == sorted(slots)
    for first in slots:
        assert sum(first <= slot < first + 10 for slot in slots) <= allowed


def test_a_rate_below_one_stretches_the_window():
    budget = Budget(0.5, clock=lambda: 0.0)
    assert [budget.reserve() for _ in range(3)] == [0.0, 20.0, 40.0]


def test_threads_share_a_budget():
    budget = Budget(3, clock=lambda: 0.0)
    waits = []
    threads = [threading.Thread(target=lambda: waits.append(budget.reserve())) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == [0.0] * 3 + [10.0] * 3 + [20.0] * 3
