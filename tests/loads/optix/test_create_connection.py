"""A data connection is created once, whatever happens between the intent, the request and the uuid."""

import json
import threading
from dataclasses import replace

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.contract.wire.errors import (
    AuthenticationError,
    Disagreement,
    DoubtfulSuccess,
    Refused,
    ServerTrouble,
    SettingsError,
    Unreachable,
    UnreadableAnswer,
)
from optimove_provider.contract.wire.messages import Lost, Response
from optimove_provider.emulator import API_KEY, BRAND_KEY, Fault, State, Switches, send
from optimove_provider.loads.optix.create_connection import create_once
from optimove_provider.loads.state.staging import Staging
from tests.support.virtual_time import ClientTime

SETTINGS = OptixSettings(
    conn_id="optix_default",
    host="http://emulator/api/data-connections/v1",
    api_key=API_KEY,
    brand_api_key=BRAND_KEY,
)
UUID = "0b9d6c1e-0000-4000-8000-000000000000"


class Vendor:
    """The emulator; before it answers, it deals out the troubles that it is given."""

    def __init__(self):
        self.state, self.troubles = State(), []

    def client(self, **changed):
        return OptixClient(replace(SETTINGS, **changed), send=self.send, surroundings=ClientTime().surroundings)

    def send(self, request):
        return self.troubles.pop(0) if self.troubles else send(self.state, request)


@pytest.fixture
def vendor():
    return Vendor()


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def files(staging):
    return [json.loads(staging.fs.cat_file(path)) for path in staging.fs.find(staging.root)]


def test_it_is_created_on_the_first_run_and_remembered_on_the_next(vendor, staging):
    created = create_once(vendor.client(), staging, "customers", "id", "all of them")
    assert create_once(vendor.client(), staging, "customers", "id") == created
    assert list(vendor.state.connections) == [created]
    assert vendor.state.connections[created].description == "all of them"
    assert files(staging) == [
        {
            "conn_id": "optix_default",
            "host": SETTINGS.host,
            "name": "customers",
            "primary_key": "id",
            "data_connection_uuid": created,
        }
    ]


@pytest.mark.parametrize(("name", "changed"), [("others", {}), ("customers", {"conn_id": "second"})])
def test_another_name_or_connection_id_is_another_data_connection(vendor, staging, name, changed):
    first = create_once(vendor.client(), staging, "customers", "id")
    assert create_once(vendor.client(**changed), staging, name, "id") != first


def test_another_host_is_another_data_connection(vendor, staging):
    first = create_once(vendor.client(), staging, "customers", "id")
    moved = vendor.client(host=SETTINGS.host.replace("emulator", "localhost"))
    assert create_once(moved, staging, "customers", "id") != first


def test_a_host_that_is_said_to_be_the_same_has_the_same_data_connection(vendor, staging):
    first = create_once(vendor.client(), staging, "customers", "id")
    moved = {"host": SETTINGS.host.replace("emulator", "localhost"), "target_alias": "same"}
    assert create_once(vendor.client(**moved), staging, "customers", "id") == first
    assert create_once(vendor.client(**moved), staging, "others", "id") != first
    assert len(vendor.state.connections) == 2


def test_which_of_two_hosts_is_the_same_has_to_be_told(vendor, staging):
    for host in ("emulator", "localhost"):
        create_once(vendor.client(host=SETTINGS.host.replace("emulator", host)), staging, "customers", "id")
    third = vendor.client(host=SETTINGS.host.replace("emulator", "vendor.example"), target_alias="same")
    with pytest.raises(
        SettingsError, match=r"was created at http://emulator.* and http://localhost.*data_connection_uuid"
    ):
        create_once(third, staging, "customers", "id")


def test_another_primary_key_is_a_disagreement(vendor, staging):
    created = create_once(vendor.client(), staging, "customers", "id")
    for passed in (None, created):
        with pytest.raises(Disagreement, match="created with primary_key 'id', not 'email'"):
            create_once(vendor.client(), staging, "customers", "email", data_connection_uuid=passed)


ODD_UUIDS = [
    None,
    "None",
    "",
    " ",
    "null",
    0,
    7,
    True,
    1.5,
    [UUID],
    {"uuid": UUID},
    UUID[:-1],
    12345678901234567890123456789012,
]


@pytest.mark.parametrize("odd", ODD_UUIDS)
def test_an_answer_with_no_uuid_stays_in_doubt_until_a_person_says_which(vendor, staging, odd):
    vendor.troubles = [Response(201, json.dumps({"data_connection_uuid": odd}).encode())]
    with pytest.raises(UnreadableAnswer, match=r"(?s)lacks data_connection_uuid.*Look in the Opti-X UI.*pass its uuid"):
        create_once(vendor.client(), staging, "customers", "id")
    with pytest.raises(Disagreement, match="pass its uuid as data_connection_uuid="):
        create_once(vendor.client(), staging, "customers", "id")
    assert not vendor.state.connections
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=UUID) == UUID
    assert create_once(vendor.client(), staging, "customers", "id") == UUID


@pytest.mark.parametrize("remembered", ["None", "null", "", None, 7])
def test_what_an_earlier_version_remembered_and_is_no_uuid_is_not_used(vendor, staging, remembered):
    create_once(vendor.client(), staging, "customers", "id")
    (path,) = staging.fs.find(staging.root)
    staging.fs.pipe_file(path, json.dumps({**files(staging)[0], "data_connection_uuid": remembered}).encode())
    with pytest.raises(Disagreement, match="got no certain answer"):
        create_once(vendor.client(), staging, "customers", "id")
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=UUID) == UUID
    assert len(vendor.state.connections) == 1


def test_a_uuid_that_is_passed_and_is_none_is_refused(vendor, staging):
    with pytest.raises(SettingsError, match="'None' is no uuid"):
        create_once(vendor.client(), staging, "customers", "id", data_connection_uuid="None")
    assert files(staging) == []


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Response(400), Refused),
        (Response(401), AuthenticationError),
        (Response(404), Refused),
        (Response(301), Refused),
    ],
)
def test_a_definite_refusal_leaves_no_intent(vendor, staging, trouble, error):
    vendor.troubles = [trouble]
    with pytest.raises(error):
        create_once(vendor.client(), staging, "customers", "id")
    assert files(staging) == []
    assert create_once(vendor.client(), staging, "customers", "id") in vendor.state.connections


def test_a_connection_never_made_leaves_no_intent(vendor, staging):
    vendor.troubles = [Lost("refused", sent=False)] * 1000
    with pytest.raises(Unreachable, match=r"tried \d+ times in 600 s, until nothing had succeeded for give_up_after"):
        create_once(vendor.client(), staging, "customers", "id")
    assert files(staging) == []


def test_a_proxy_that_cannot_be_used_leaves_no_intent(staging):
    def send(_):
        raise SettingsError("HTTPS_PROXY in the environment is no URL of a proxy")

    with pytest.raises(SettingsError, match="HTTPS_PROXY"):
        create_once(OptixClient(SETTINGS, send=send), staging, "customers", "id")
    assert files(staging) == []


@pytest.mark.parametrize(
    "trouble",
    [Lost("refused", sent=False), Response(429), Response(503, b"busy", {"retry-after": "30"})],
)
def test_a_connection_that_was_certainly_not_made_is_tried_again(vendor, staging, trouble):
    vendor.troubles = [trouble] * 3
    assert create_once(vendor.client(), staging, "customers", "id") in vendor.state.connections


def test_a_connection_that_was_refused_for_too_long_leaves_no_intent(vendor, staging):
    vendor.troubles = [Response(429, headers={"retry-after": "3600"})]
    with pytest.raises(ServerTrouble, match="Retry-After: 3600") as caught:
        create_once(vendor.client(), staging, "customers", "id")
    assert caught.value.retry_helps
    assert files(staging) == []


def stopped(vendor, staging, **arguments):
    with pytest.raises(Disagreement) as caught:
        create_once(vendor.client(), staging, "customers", "id", **arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (Lost("dropped"), Unreachable),
        (Response(500), ServerTrouble),
        (Response(504), ServerTrouble),
        (Response(408), ServerTrouble),
        (Response(499, b"client closed request"), ServerTrouble),
        (Response(302), Refused),
        (Response(200, b"<html>"), DoubtfulSuccess),
        (Response(200, b'{"success": false}'), DoubtfulSuccess),
        (Response(200, b"{}"), UnreadableAnswer),
    ],
)
def test_an_uncertain_answer_stops_every_later_run_until_a_person_has_looked(vendor, staging, trouble, error):
    vendor.troubles = [trouble]
    with pytest.raises(error):
        create_once(vendor.client(), staging, "customers", "id")
    for _ in range(2):
        sentence = stopped(vendor, staging)
        assert "Look in the Opti-X UI" in sentence
        assert "data_connection_uuid=" in sentence
    assert not vendor.state.requests


def test_the_sentence_names_the_file_to_remove(vendor, staging):
    vendor.troubles = [Lost("dropped")]
    with pytest.raises(Unreachable):
        create_once(vendor.client(), staging, "customers", "id")
    (path,) = staging.fs.find(staging.root)
    assert f"remove file://{path} and run again" in stopped(vendor, staging)
    staging.fs.rm_file(path)
    assert create_once(vendor.client(), staging, "customers", "id") in vendor.state.connections


def test_what_the_lost_answer_made_is_adopted_by_its_uuid(vendor, staging):
    vendor.state.faults.order(Fault("create_connection", lost="after"))
    with pytest.raises(Unreachable):
        create_once(vendor.client(), staging, "customers", "id")
    (made,) = vendor.state.connections
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=made) == made
    assert create_once(vendor.client(), staging, "customers", "id") == made
    assert list(vendor.state.connections) == [made]


def test_a_uuid_is_adopted_without_any_request(vendor, staging):
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=UUID) == UUID
    assert create_once(vendor.client(), staging, "customers", "id") == UUID
    assert not vendor.state.requests


def test_a_uuid_that_is_not_the_one_created_is_a_disagreement(vendor, staging):
    created = create_once(vendor.client(), staging, "customers", "id")
    assert f"is {created} in file://" in stopped(vendor, staging, data_connection_uuid=UUID)


class LateDisk(LocalFileSystem):
    """A disk on which a file turns up between looking for it and creating it."""

    cachable = False

    def cat_file(self, path, *_, **__):
        with open(path, "wb"):
            raise FileNotFoundError(path)


def test_an_intent_that_turns_up_after_looking_stops_the_run(vendor, tmp_path):
    (tmp_path / "connections").mkdir()
    assert "Look in the Opti-X UI" in stopped(vendor, Staging(LateDisk(), str(tmp_path)))
    assert not vendor.state.requests


def test_an_intent_of_which_only_the_name_is_there_stops_the_run(vendor, staging):
    create_once(vendor.client(), staging, "customers", "id")
    (path,) = staging.fs.find(staging.root)
    staging.fs.pipe_file(path, b"")
    assert "Look in the Opti-X UI" in stopped(vendor, staging)


def test_of_many_at_once_one_creates(vendor, staging):
    start, ends = threading.Barrier(8), []

    def create():
        start.wait()
        try:
            ends.append(create_once(vendor.client(), staging, "customers", "id"))
        except Disagreement:
            ends.append(None)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (created,) = vendor.state.connections
    assert (len(ends), set(ends) - {None}) == (8, {created})


@pytest.mark.parametrize("form", ["null", "missing", "number", "no_uuid"])
def test_an_answer_without_a_uuid_is_in_doubt_until_a_person_passes_it(vendor, staging, form):
    vendor.state.switches = Switches(created_uuid=form)
    with pytest.raises(UnreadableAnswer, match=r"lacks data_connection_uuid"):
        create_once(vendor.client(), staging, "customers", "id")
    with pytest.raises(Disagreement, match="Look in the Opti-X UI"):
        create_once(vendor.client(), staging, "customers", "id")
    (made,) = vendor.state.connections
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=made) == made
    assert create_once(vendor.client(), staging, "customers", "id") == made


# One that is gone


def test_one_that_is_gone_is_made_anew_once(vendor, staging, caplog):
    gone = create_once(vendor.client(), staging, "customers", "id")
    vendor.state.connections.clear()
    made = create_once(vendor.client(), staging, "customers", "id", recreate=gone.upper())
    assert made != gone
    assert list(vendor.state.connections) == [made]
    assert f"was made anew as {made}, in the place of {gone}" in caplog.text
    assert "Campaigns name the uuid" in caplog.text
    for recreate in (gone, None, UUID):
        assert create_once(vendor.client(), staging, "customers", "id", recreate=recreate) == made
    assert list(vendor.state.connections) == [made]


def test_what_is_not_remembered_is_not_made_anew(vendor, staging):
    made = create_once(vendor.client(), staging, "customers", "id", recreate=UUID)
    assert create_once(vendor.client(), staging, "customers", "id", recreate=UUID) == made
    assert list(vendor.state.connections) == [made]


def test_it_can_be_made_anew_more_than_once(vendor, staging):
    first = create_once(vendor.client(), staging, "customers", "id")
    second = create_once(vendor.client(), staging, "customers", "id", recreate=first)
    third = create_once(vendor.client(), staging, "customers", "id", recreate=second)
    assert len({first, second, third}) == 3
    assert create_once(vendor.client(), staging, "customers", "id", recreate=first) == third


def test_a_refusal_to_make_it_anew_leaves_what_was(vendor, staging):
    gone = create_once(vendor.client(), staging, "customers", "id")
    vendor.troubles.append(Response(401, b"no"))
    with pytest.raises(AuthenticationError):
        create_once(vendor.client(), staging, "customers", "id", recreate=gone)
    assert create_once(vendor.client(), staging, "customers", "id") == gone
    assert create_once(vendor.client(), staging, "customers", "id", recreate=gone) != gone


def test_a_lost_answer_about_one_made_anew_needs_a_person_and_makes_no_third(vendor, staging):
    gone = create_once(vendor.client(), staging, "customers", "id")
    vendor.troubles.append(Lost("cut", sent=True))
    with pytest.raises(Unreachable):
        create_once(vendor.client(), staging, "customers", "id", recreate=gone)
    for _ in range(2):
        with pytest.raises(Disagreement, match="got no certain answer"):
            create_once(vendor.client(), staging, "customers", "id", recreate=gone)
    assert create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=UUID) == UUID


def test_two_that_make_it_anew_at_once_make_one(vendor, staging):
    gone = create_once(vendor.client(), staging, "customers", "id")
    staging.create(f"recreated/{gone}.json", {})  # the other one is at it
    with pytest.raises(Disagreement, match="another task makes data connection 'customers' anew"):
        create_once(vendor.client(), staging, "customers", "id", recreate=gone)
    assert list(vendor.state.connections) == [gone]


def test_one_made_anew_and_one_named_contradict_each_other(vendor, staging):
    with pytest.raises(SettingsError, match="give one of them"):
        create_once(vendor.client(), staging, "customers", "id", data_connection_uuid=UUID, recreate=UUID)
