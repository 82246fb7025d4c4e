"""Small sets over REST: every record is accounted for, and a refused one keeps its reason."""

import json
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.dcp import DcpClient
from optimove_provider.contract.cells.datatypes import in_unit
from optimove_provider.contract.wire.errors import AuthenticationError, DataError, SettingsError
from optimove_provider.emulator import Fault, send
from optimove_provider.loads.ledger.lease import LeaseLost
from optimove_provider.loads.profiles.profiles import ProfileEncoder, create_aliases, write_profiles
from optimove_provider.loads.profiles.rest_load import RestLoad, records_of
from optimove_provider.loads.report.max_rejected import TooManyRejected
from optimove_provider.loads.report.report import Report
from optimove_provider.loads.state.staging import Staging
from tests.support.dcp.profiles import ATTRIBUTES, SETTINGS, client, load, state, table
from tests.support.virtual_time import ClientTime

__all__ = ["client", "load", "state", "table"]  # fixtures


def write(client, table, records, load, **writing):
    write_profiles(client, client.read_table(table), records, ProfileEncoder.to(ATTRIBUTES, **writing), load)


def rejected(tmp_path):
    lines = [json.loads(line) for line in (tmp_path / "reports" / "load.rejected.jsonl").read_text().splitlines()]
    assert {line.pop("load") for line in lines} == {"load"}
    assert len({(line.pop("generation"), line.pop("opened")) for line in lines}) == 1
    return lines


def allowing(load, max_rejected):
    return RestLoad(load.staging, load.report, max_rejected)


def test_records_become_profiles_by_datatype(client, state, table, load):
    records = [
        {"customerId": "1", "ltv": "1.5", "vip": "TRUE", "since": "1651676123", "note": 7},
        {"CUSTOMERID": 2, "ltv": 3, "vip": False, "since": 0, "note": None},
        {"customerId": "3", "note": ""},
    ]
    write(client, table, records, load)
    assert state.tables[table].profiles == {
        "1": {"ltv": 1.5, "vip": True, "since": 1651676123, "note": "7"},
        "2": {"ltv": 3.0, "vip": False, "since": 0},
        "3": {},
    }
    assert (load.report.state, load.report.rows, load.report.accepted, load.report.unsent) == ("committed", 3, 3, 0)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"customerId": "1", "height": 1}, "attribute 'height' is not registered, or archived"),
        ({"customerId": "1", "ltv": "2,3"}, "attribute 'ltv', value '2,3': expected a decimal number"),
        ({"customerId": "1", "ltv": float("nan")}, "NaN and infinities are no JSON numbers"),
        ({"customerId": "1", "ltv": [1]}, "a list or an object has no form in CSV"),
        ({"ltv": 1}, "expected one customerId, found 0"),
        ({"customerId": "1", "CustomerID": "1"}, "expected one customerId, found 2"),
        ({"customerId": " "}, "customerId ' ': text that is not empty is expected"),
        ({"customerId": ".."}, "customerId '..' cannot be part of a URL"),
        ({"customerId": True}, "customerId True: text"),
    ],
)
def test_what_is_unfit_is_found_before_anything_is_sent(client, state, table, load, tmp_path, record, reason):
    with pytest.raises(TooManyRejected, match="1 of 2 rows were rejected, and max_rejected allows 0") as raised:
        write(client, table, [{"customerId": "ok", "ltv": 1}, record], load)
    assert "Nothing was sent" in str(raised.value)
    assert state.tables[table].profiles == {}
    (line,) = rejected(tmp_path)
    assert reason in line["reason"]
    assert (line["row"], line["status"]) == (2, None)
    assert (load.report.state, load.report.rejected, load.report.unsent) == ("failed", 1, 1)


def test_a_refused_profile_keeps_the_servers_words_and_the_others_go_on(client, state, table, load, tmp_path):
    state.faults.order(Fault("write_profile", skip=1, status=422, body="no such customer"))
    records = [{"customerId": str(number), "ltv": number} for number in range(3)]
    with pytest.raises(TooManyRejected, match=r"row 2: no such customer\. Everything else was accepted"):
        write(client, table, records, load)
    assert set(state.tables[table].profiles) == {"0", "2"}
    assert rejected(tmp_path) == [{"row": 2, "reason": "no such customer", "status": 422, "record": records[1]}]
    assert (load.report.accepted, load.report.rejected, load.report.unsent) == (2, 1, 0)


@pytest.mark.parametrize("max_rejected", [1, 0.5])
def test_some_may_be_rejected(client, table, load, max_rejected):
    write(client, table, [{"customerId": "1"}, {"customerId": ""}], allowing(load, max_rejected))
    assert (load.report.state, load.report.accepted, load.report.rejected) == ("committed", 1, 1)
    assert load.report.rejected_file.endswith("rejected.jsonl")


def test_a_load_of_nothing_but_unfit_records_sends_nothing(client, table, load):
    write(client, table, [{"customerId": ""}], allowing(load, 1))
    assert load.report.state == "nothing_to_send"


def test_anything_but_a_refusal_stops_the_load(client, state, table, load):
    state.faults.order(Fault("write_profile", skip=1, status=401))
    with pytest.raises(AuthenticationError):
        write(client, table, [{"customerId": str(number)} for number in range(3)], load)
    assert (load.report.state, load.report.accepted, load.report.unsent) == ("failed", 1, 2)


def test_a_lost_answer_is_sent_again(client, state, table, load):
    state.faults.order(Fault("write_profile", lost="after"))
    write(client, table, [{"customerId": "1", "ltv": 1}], load)
    assert load.report.accepted == 1


def test_a_doubtful_value_is_a_note_or_an_error(client, table, load, tmp_path):
    write(client, table, [{"customerId": "1", "since": 1651676123000}], load)
    (note,) = load.report.notes
    assert "row 1: attribute 'since', value '1651676123000': this looks like milliseconds" in note
    with pytest.raises(TooManyRejected):
        write(client, table, [{"customerId": "1", "since": 1651676123000}], load, strict=True)
    assert "expected whole seconds" in rejected(tmp_path)[0]["reason"]


INSTANT = datetime(2022, 5, 4, 14, 55, 23, tzinfo=UTC)


@pytest.mark.parametrize(("unit", "number"), [("seconds", 1651676123), ("milliseconds", 1651676123000)])
@pytest.mark.parametrize(
    "value", [INSTANT, INSTANT.replace(tzinfo=None), INSTANT.astimezone(timezone(timedelta(hours=2)))]
)
def test_an_instant_becomes_an_epoch_of_that_unit(client, state, table, load, value, unit, number):
    encoder = ProfileEncoder.to(in_unit(ATTRIBUTES, unit), strict=True)
    write_profiles(client, client.read_table(table), [{"customerId": "1", "since": value}], encoder, load)
    assert state.tables[table].profiles["1"] == {"since": number}


def test_an_instant_that_an_epoch_cannot_say_is_refused(client, table, load):
    with pytest.raises(TooManyRejected, match="expected whole seconds"):
        write(client, table, [{"customerId": "1", "since": datetime(2022, 5, 4, 14, 55, 23, 5)}], load)


def test_epochs_in_milliseconds_are_fine_where_that_is_declared(client, state, table, load):
    encoder = ProfileEncoder.to(in_unit(ATTRIBUTES, "milliseconds"), strict=True)
    write_profiles(client, client.read_table(table), [{"customerId": "1", "since": 1651676123000}], encoder, load)
    assert load.report.notes == []
    assert state.tables[table].profiles["1"] == {"since": 1651676123000}


def test_a_source_is_small_too():
    batch = pa.RecordBatch.from_pylist([{"customerId": str(number)} for number in range(5000)])
    assert len(records_of([batch])) == 5000
    with pytest.raises(DataError, match="more than 5000 records: import a file"):
        records_of([batch, batch])


def test_a_negative_max_rejected_is_refused(load):
    with pytest.raises(SettingsError, match="max_rejected=-1"):
        allowing(load, -1)


def test_aliases_go_by_user(client, state, table, load):
    service = client.read_table(table).service_id
    records = [{"optimizely_user_id": "oeu1", "aliases": [{"table_id": table, "customer_id": 7}]}]
    create_aliases(client, service, records, load)
    assert state.services[service].aliases == {"oeu1": {str(table): "7"}}
    assert load.report.accepted == 1


@pytest.mark.parametrize(
    "record",
    [
        {"aliases": [{"table_id": "{t}", "customer_id": "1"}]},
        {"optimizely_user_id": "oeu1"},
        {"optimizely_user_id": "oeu1", "aliases": [{"table_id": 99, "customer_id": "1"}]},
        {"optimizely_user_id": "oeu1", "aliases": [{"table_id": "{t}", "customer_id": ""}]},
        {"optimizely_user_id": "oeu1", "aliases": [{"table_id": "{t}", "customer_id": "1"}] * 2},
    ],
)
def test_an_alias_without_user_table_or_customer_is_unfit(client, state, table, load, record):
    record = json.loads(json.dumps(record).replace("{t}", str(table)))
    service = client.read_table(table).service_id
    with pytest.raises(TooManyRejected, match="Nothing was sent"):
        create_aliases(client, service, [record], load)
    assert state.services[service].aliases == {}


def test_aliases_need_the_optimizely_table(client, state, table, load):
    service = client.read_table(table).service_id
    for one in state.tables.values():
        one.is_optimizely = False
    with pytest.raises(DataError, match="aliases need its one Optimizely table; 0 are listed"):
        create_aliases(client, service, [], load)


class Odd:
    """What nobody expects in a record."""


ODD_PROFILES = [
    {"customerId": "\ud800", "ltv": 1},
    {"customerId": "b", "note": "\ud800"},
    {"customerId": "b", "ltv": 10**400},
    {"customerId": "b", "ltv": 10**5000},
    {"customerId": 10**5000, "ltv": 1},
    {"customerId": "b", 3: 1},
    {"customerId": "b", None: 1},
    {"customerId": "b", ("note",): 1},
    {"customerId": "b", "note": Odd()},
    {"customerId": "b", "\ud800": 1},
    {"customerId": Odd(), "note": "a"},
    None,
    "customerId",
    ["customerId", "b"],
    5,
]


@pytest.mark.parametrize("odd", ODD_PROFILES, ids=range(len(ODD_PROFILES)))
def test_one_odd_record_is_rejected_and_the_others_are_written(tmp_path, client, state, table, load, odd):
    records = [{"customerId": "1", "ltv": 1}, odd, {"customerId": "2", "ltv": 2}]
    write(client, table, records, allowing(load, 1))
    assert (load.report.state, load.report.accepted, load.report.rejected) == ("committed", 2, 1)
    assert state.tables[table].profiles.keys() == {"1", "2"}
    (line,) = rejected(tmp_path)
    assert (line["row"], line["status"]) == (2, None)


def test_a_profile_is_not_sent_again_once_the_lease_is_lost(state, client, table, tmp_path):
    """As on a worker that stands still while it waits to send it again, and renews no lease."""
    surroundings = ClientTime().surroundings
    waiting = DcpClient(SETTINGS, send=partial(send, state), surroundings=surroundings)
    load = RestLoad(Staging(LocalFileSystem(), str(tmp_path), surroundings), Report("load", {}))
    state.faults.order(Fault("write_profile", status=429))  # after which a minute is waited
    with pytest.raises(LeaseLost):
        write(waiting, table, [{"customerId": "1", "ltv": 1}], load)
    assert (state.tables[table].profiles, load.report.accepted) == ({}, 0)


ODD_ALIASES = [
    "text",
    5,
    True,
    {"1": "2"},
    ["x"],
    [None],
    [["1", "2"]],
    [{"table_id": "\ud800", "customer_id": "1"}],
    [{"table_id": None, "customer_id": "1"}],
    Odd(),
    [{}],
]


@pytest.mark.parametrize("odd", ODD_ALIASES, ids=range(len(ODD_ALIASES)))
def test_aliases_that_are_no_pairs_are_rejected_and_the_others_are_created(client, state, table, load, odd):
    service = client.read_table(table).service_id
    good = {"optimizely_user_id": "good", "aliases": [{"table_id": table, "customer_id": "1"}]}
    for record in ({"optimizely_user_id": "odd", "aliases": odd}, odd):
        one = RestLoad(load.staging, Report("load", {}), 1)
        create_aliases(client, service, [good, record], one)
        assert (one.report.accepted, one.report.rejected) == (1, 1)
    assert state.services[service].aliases == {"good": {str(table): "1"}}


@pytest.mark.parametrize("name", ["optimizely_user_id", "customer_id"])
def test_an_id_of_an_alias_that_is_no_unicode_is_rejected(client, table, load, name):
    ids = {"optimizely_user_id": "o", "customer_id": "1", name: "\udfff"}
    record = {
        "optimizely_user_id": ids["optimizely_user_id"],
        "aliases": [{"table_id": table, "customer_id": ids["customer_id"]}],
    }
    create_aliases(client, client.read_table(table).service_id, [record], allowing(load, 1))
    assert (load.report.accepted, load.report.rejected) == (0, 1)


@pytest.mark.parametrize("wrong", ["abc", {"customerId": "1"}, 5, None])
def test_what_is_no_list_of_records_is_refused_whatever_may_be_rejected(client, table, load, wrong):
    with pytest.raises(DataError, match="is no list of records"):
        write(client, table, wrong, allowing(load, 5))
