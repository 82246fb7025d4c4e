"""Profiles and aliases: the conversations, the forms of a value, and what reading back shows."""

import asyncio
from functools import partial

import pytest

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.clients.http.drive import run
from optimove_provider.clients.settings import DcpSettings
from optimove_provider.contract.cells.datatypes import Attribute, Verdict, in_unit
from optimove_provider.contract.cells.values import comparable, json_value
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.dcp import profiles, readback
from optimove_provider.contract.dcp.upload_history import ImportState, Outcome
from optimove_provider.contract.dcp.waiting import LONGEST_ASKED, wait
from optimove_provider.contract.wire.errors import Refused, ServerTrouble, SettingsError, UnreadableAnswer
from optimove_provider.contract.wire.messages import Response, json_body
from optimove_provider.emulator import TOKEN, State, Switches, send

SETTINGS = DcpSettings(
    conn_id="dcp_default", host="http://e/experiment/v1", profile_host="http://e/vis/api", token=TOKEN
)
LONG, DOUBLE, BOOL, TEXT = (Attribute("a", datatype) for datatype in ("long", "double", "bool", "string"))
DATE, INSTANT, EPOCH = (
    Attribute("a", "datetime", format) for format in ("yyyy-mm-dd", "yyyy-mm-ddThh:mm:ssZ", "epoch")
)


@pytest.fixture
def state():
    return State()


@pytest.fixture
def client(state):
    return DcpClient(SETTINGS, send=partial(send, state))


@pytest.fixture
def service(client):
    return client.ensure_service("profiles").id


@pytest.fixture
def table(client, service):
    table = client.ensure_table(service, "customers", "uid").id
    client.ensure_attributes(table, [Attribute("ltv", "double"), Attribute("vip", "bool")])
    return table


@pytest.mark.parametrize("answer", ["empty", "echo"])
def test_a_profile_is_written_in_parts_and_read_whole(client, state, service, table, answer):
    state.switches = Switches(profile_write_answer=answer)
    client.write_profile(service, table, "oeu1234.5678", {"ltv": 1.5})
    client.write_profile(service, table, "oeu1234.5678", {"vip": True})
    assert client.read_profile(service, table, "oeu1234.5678") == {"ltv": 1.5, "vip": True}


@pytest.mark.parametrize("customer_id", ["a/b", "a b", "50%", "é", "?x=1#y", "sfdc1223a3_ji$ddd", "mkto1245433:213ad"])
def test_any_customer_id_survives_the_url(client, state, service, table, customer_id):
    client.write_profile(service, table, customer_id, {"vip": False})
    assert state.tables[table].profiles == {customer_id: {"vip": False}}


@pytest.mark.parametrize("unknown", ["404", "empty"])
def test_an_unknown_customer_has_no_profile(client, state, service, table, unknown):
    state.switches = Switches(unknown_profile=unknown)
    assert client.read_profile(service, table, "nobody") is None


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"data":null}', b'{"data":{}}'])
def test_any_empty_answer_is_no_profile(body):
    assert run(profiles.read_profile(1, 2, "3"), lambda _: Response(200, body)) is None


@pytest.mark.parametrize("body", [b'{"ltv":5}', b'{"customerId":"3","values":{"ltv":5}}', b'{"profile":null}'])
def test_an_answer_that_keeps_its_values_elsewhere_is_not_taken_for_an_unknown_customer(body):
    with pytest.raises(UnreadableAnswer, match="data is missing"):
        run(profiles.read_profile(1, 2, "3"), lambda _: Response(200, body))
    with pytest.raises(UnreadableAnswer, match="data is missing"):
        run(profiles.read_aliases(1, 2, "3"), lambda _: Response(200, body))


def test_an_answer_of_ids_alone_is_no_profile():
    said = b'{"customerId":"3","datasourceId":2}'
    assert run(profiles.read_profile(1, 2, "3"), lambda _: Response(200, said)) is None


def test_a_refused_write_keeps_the_servers_words(client, service, table):
    with pytest.raises(Refused, match="attribute 'height' is not registered"):
        client.write_profile(service, table, "1", {"height": 1})


def test_aliases_join_tables_in_the_consolidated_view(client, service, table):
    (optimizely,) = (one.id for one in client.list_tables(service) if one.is_optimizely)
    assert client.read_aliases(service, optimizely, "oeu1") == {}
    client.write_profile(service, table, "cust/1", {"vip": True})
    client.create_aliases(service, optimizely, "oeu1", {str(table): "cust/1"})
    assert client.read_aliases(service, optimizely, "oeu1") == {str(table): "cust/1"}
    view = client.read_consolidated_view(service, optimizely, "oeu1")
    assert view == [profiles.Profile(str(table), "cust/1", {"vip": True})]


@pytest.mark.parametrize(
    ("attribute", "cell", "value"),
    [
        *((LONG, "-2", -2), (DOUBLE, "1", 1.0), (BOOL, "TRUE", True), (TEXT, "7", "7")),
        *((DATE, "2022-05-02", "2022-05-02"), (EPOCH, "1651676123", 1651676123)),
        (INSTANT, "2022-05-02T10:10:59Z", "2022-05-02T10:10:59Z"),
    ],
)
def test_a_cell_becomes_the_json_value_of_its_datatype(attribute, cell, value):
    found = json_value(attribute, cell)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("attribute", "forms"),
    [
        (LONG, ["7", 7]),
        (DOUBLE, ["1.50", 1.5, "15e-1"]),
        (DOUBLE, ["-0", 0.0, 0]),
        (BOOL, ["TRUE", "true", True]),
        (TEXT, ["007"]),
        (TEXT, ["7", 7]),
        (DATE, ["2022-05-02", "2022-05-02T00:00:00Z", 1651449600, 1651449600000]),
        (INSTANT, ["2022-05-02T10:10:59Z", "2022-05-02T10:10:59", "2022-05-02T12:10:59+02:00", 1651486259]),
        (EPOCH, ["1651676123", 1651676123, 1651676123000]),
        (LONG, ["", None]),
    ],
)
def test_all_forms_of_a_value_compare_alike(attribute, forms):
    assert len({comparable(attribute, form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("attribute", "one", "other"),
    [
        *((LONG, "7", 8), (TEXT, "007", "7"), (BOOL, "true", False), (DATE, "2022-05-02", "2022-05-03")),
        *((LONG, "7", None), (LONG, "7", "x"), (EPOCH, "1", 10**30), (DOUBLE, "1", [1])),
        (INSTANT, "2022-05-02T10:10:59Z", "soon"),
    ],
)
def test_other_values_do_not(attribute, one, other):
    assert comparable(attribute, one) != comparable(attribute, other)


def test_epochs_are_judged_in_the_unit_that_is_declared():
    (seconds,), (milliseconds,) = in_unit([EPOCH], "seconds"), in_unit([EPOCH], "milliseconds")
    assert seconds == EPOCH
    states = {
        cell: (seconds.rule.judge(cell), milliseconds.rule.judge(cell)) for cell in ("1651676123", "1651676123000")
    }
    assert states == {
        "1651676123": (Verdict.VALID, Verdict.DISPUTED),
        "1651676123000": (Verdict.DISPUTED, Verdict.VALID),
    }
    assert milliseconds.rule.judge("1651676123", strict=True) is Verdict.INVALID
    assert milliseconds.rule.judge("-1") is milliseconds.rule.judge("9" * 19) is Verdict.INVALID
    assert in_unit([LONG], "milliseconds")[0].rule is LONG.rule
    with pytest.raises(SettingsError, match="epoch_unit 'minutes': one of seconds, milliseconds is needed"):
        in_unit([EPOCH], "minutes")


SAMPLE = readback.Sample("dcp/1/2/f.csv", 1, 2, (Attribute("ltv", "double"), Attribute("vip", "bool")))
FILE = {"customerId": "1", "ltv": "2.50", "vip": "TRUE"}


def judged(before, now, row=FILE):
    """What reading back says of one row, given its profile before the upload and now."""
    one = readback.sampled(SAMPLE, "1", row, before)
    sample = readback.Sample(SAMPLE.s3_key, 1, 2, SAMPLE.attributes, (one,))
    again = readback.Sample.from_json(sample.as_json())
    assert again.as_json() == sample.as_json()
    entry = readback.compare(again, {"1": now})
    return entry.status, entry.evidence


@pytest.mark.parametrize(
    ("before", "now", "says"),
    [
        (None, None, ("processing", "")),
        (None, {"ltv": 2.5, "vip": True}, ("completed", "read_back")),
        ({"ltv": 1.0, "vip": True}, {"ltv": 2.5, "vip": True}, ("completed", "read_back")),
        ({"ltv": 1.0, "vip": True}, {"ltv": 1.0, "vip": True}, ("processing", "")),
        ({"ltv": 2.5, "vip": True}, {"ltv": 2.5, "vip": True}, ("completed", "unchanged_before")),
        ({"ltv": 1.0, "vip": False}, {"ltv": 9.0, "vip": True}, ("completed", "overwritten")),
        ({"ltv": 1.0, "vip": False}, {"ltv": 9.0, "vip": False}, ("processing", "")),
        (None, {"ltv": 9.0, "vip": False}, ("completed", "overwritten")),
    ],
)
def test_what_profiles_say_about_a_file(before, now, says):
    assert judged(before, now) == says


def test_empty_cells_write_nothing_so_they_show_nothing():
    assert judged({"ltv": 1.0}, {"ltv": 2.5}, {**FILE, "vip": ""}) == ("completed", "read_back")
    assert judged({"ltv": 1.0}, {"ltv": 1.0}, {"customerId": "1", "ltv": ""}) == ("completed", "unchanged_before")
    assert readback.compare(SAMPLE, {}).evidence == "no_values"


def test_an_outcome_of_reading_back_survives_the_triggers_event():
    outcome = Outcome(ImportState.DONE, (readback.compare(SAMPLE, {}),), ())
    assert Outcome.from_json(outcome.as_json()) == outcome


def polls(*statuses):
    answers = iter(statuses)

    def answer(_):
        status = next(answers)
        if isinstance(status, int):
            return Response(status)
        return Response(200, json_body([{"file": "f.csv", "status": status}]))

    return answer


def waiting(max_failed_polls):
    return wait(partial(dcp.upload_outcome, 1, ["f.csv"]), 30, max_failed_polls)


def test_failed_polls_are_borne_if_there_are_few_in_a_row():
    naps = []
    outcome = run(waiting(2), polls(500, 503, "pending", 500, 500, "completed"), naps.append)
    assert outcome.entries[0].status == "completed"
    assert naps == [30] * 5


def busy(seconds):
    return Response(429, asked_seconds=seconds)


def test_after_a_failed_poll_a_server_is_left_alone_for_as_long_as_it_asks():
    flow = waiting(max_failed_polls=3)
    next(flow)
    pause = flow.send(busy(900.0))
    assert (pause.seconds, pause.why.partition(":")[0]) == (900, "failed poll 1 of at most 3 in a row")
    flow.send(None)
    assert flow.send(busy(1.0)).seconds == 30
    flow.send(None)
    assert flow.send(busy(LONGEST_ASKED)).seconds == LONGEST_ASKED


def test_a_server_that_asks_for_more_than_a_wait_may_last_ends_it():
    flow = waiting(max_failed_polls=3)
    next(flow)
    with pytest.raises(ServerTrouble):
        flow.send(busy(4000.0))


def test_too_many_failed_polls_in_a_row_end_the_wait():
    with pytest.raises(ServerTrouble):
        run(waiting(2), polls(500, 500, 500), lambda _: None)


def test_what_only_a_person_can_mend_ends_the_wait_at_once():
    with pytest.raises(Refused):
        run(waiting(2), polls(404), lambda _: None)


def test_a_settled_profile_is_asked_for_in_one_loop(client, state, service, table):
    one = readback.sampled(SAMPLE, "1", FILE, None)
    sample = readback.Sample(SAMPLE.s3_key, service, table, SAMPLE.attributes, (one,))
    client.write_profile(service, table, "1", {"ltv": 2.5, "vip": True})
    outcome = asyncio.run(client.wait(partial(readback.read_back, [sample]), 0))
    assert outcome.entries[0].evidence == "read_back"


FORMS_OF_NOTHING = [
    (404, b"{}"),
    (204, b""),
    *((200, body) for body in (b"", b"null", b"[]", b"{}", b'{"data": null}')),
]


@pytest.mark.parametrize(("status", "body"), FORMS_OF_NOTHING)
def test_a_profile_that_nobody_wrote_is_none_in_every_form(status, body):
    answer = Response(status, body, {"content-type": "application/json"})
    assert run(profiles.read_profile(1, 2, "3"), lambda _: answer) is None


@pytest.mark.parametrize(
    "data",
    [{"ltv": None}, {"ltv": {"value": 1}}, {"ltv": [1]}, {"ltv": "1"}, {"ltv": 1e300}, {"ltv": True}, {"other": 1}],
)
def test_odd_values_are_values(data):
    answer = Response(200, json_body({"data": data}), {"content-type": "application/json"})
    assert run(profiles.read_profile(1, 2, "3"), lambda _: answer) == data
    one = readback.sampled(SAMPLE, "3", {"ltv": "2.5"}, None)
    sample = readback.Sample(SAMPLE.s3_key, 1, 2, SAMPLE.attributes, (one,))
    assert readback.compare(sample, {"3": data}).state in ImportState


@pytest.mark.parametrize("found", [2, 2.0, "2", "2.0", "+2", "2e0"])
def test_a_whole_number_is_the_same_in_every_form(found):
    assert comparable(Attribute("n", "long"), found) == "2"


def test_what_is_no_whole_number_stays_what_it_is():
    assert [comparable(Attribute("n", "long"), one) for one in ("2.5", "x", "inf", "nan")] == ["2.5", "x", "inf", "nan"]


@pytest.mark.parametrize("unknown", ["empty", "404"])
@pytest.mark.parametrize("path", ["2020", "2016"])
def test_the_view_is_read_under_either_of_its_paths(client, state, service, path, unknown):
    optimizely = next(table.id for table in client.list_tables(service) if table.is_optimizely)
    client.ensure_attributes(optimizely, [Attribute("ltv", "long")])
    client.write_profile(service, optimizely, "known", {"ltv": 1})
    state.switches = Switches(consolidated_path=path, unknown_view=unknown)
    assert client.read_consolidated_view(service, optimizely, "nobody") == []
    assert client.read_consolidated_view(service, optimizely, "known") == [
        profiles.Profile(str(optimizely), "known", {"ltv": 1})
    ]
