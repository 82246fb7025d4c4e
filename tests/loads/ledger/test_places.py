"""One target, one ledger: however it is spelled, and whatever its host is called since."""

import uuid

import pytest
from fsspec.implementations.local import LocalFileSystem

from optimove_provider.clients.optix import OptixClient
from optimove_provider.clients.settings import OptixSettings
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator import API_KEY, BRAND_KEY, State, send
from optimove_provider.loads.ledger.lease import Held, acquire
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.loads.optix.create_connection import create_once
from optimove_provider.loads.state.staging import Staging

HOST, UUID = "http://emulator/api/data-connections/v1", str(uuid.UUID(int=0xABC))
OTHER = HOST.replace("http://emulator", "http://127.0.0.1")


@pytest.fixture
def staging(tmp_path):
    return Staging(LocalFileSystem(), str(tmp_path))


def folder(staging, host=HOST, target=UUID, alias="", kind="optix"):
    return ledger_of(staging, kind, host, target, alias).manifest_file.folder


def begin(staging, *args, **named):
    """A ledger that has been written to: the name of its folder."""
    ledger = ledger_of(staging, *(args or ("optix", HOST, UUID)), **named)
    ledger.manifest_file.change(lambda manifest: manifest.changed())
    return ledger.manifest_file.folder


PATH = "/api/data-connections/v1"
SPELLED = ["HTTP://EMULATOR", "http://emulator:80", "http://emulator.", "http://@emulator"]


@pytest.mark.parametrize("host", [*(one + PATH for one in SPELLED), HOST + "/", HOST.replace("/api", "/%61pi")])
@pytest.mark.parametrize("target", [UUID, UUID.upper(), f"{UUID}\n"])
def test_spellings_share_ledger_and_lease(staging, host, target):
    one, other = ledger_of(staging, "optix", HOST, UUID), ledger_of(staging, "optix", host, target)
    acquire(one.manifest_file, "a", 1)
    assert isinstance(acquire(other.manifest_file, "b", 1), Held)


def test_tables_share_theirs_too(staging):
    assert folder(staging, HOST, "0678\n", kind="dcp") == folder(staging, HOST.upper().lower(), "678", kind="dcp")
    assert folder(staging, HOST, "678", kind="dcp") != folder(staging, HOST, "679", kind="dcp")


@pytest.mark.parametrize(
    "other", [OTHER, HOST.replace("http:", "https:"), HOST.replace("emulator", "emulator:81"), f"{HOST}/x"]
)
def test_a_ledger_under_another_host_or_scheme_refuses_and_names_both(staging, other):
    begin(staging)
    with pytest.raises(SettingsError) as refused:
        folder(staging, other)
    assert HOST in str(refused.value)
    assert other in str(refused.value)
    assert "target_alias" in str(refused.value)


def test_the_same_target_goes_on_with_its_ledger(staging):
    begun = begin(staging)
    assert folder(staging, OTHER, alias="same") == begun == folder(staging, alias="same") == folder(staging)
    with pytest.raises(SettingsError):
        folder(staging, OTHER)  # whose connection does not say so


def test_another_target_begins_a_ledger_and_neither_is_asked_again(staging):
    begun = begin(staging)
    other = begin(staging, "optix", OTHER, UUID, alias="other")
    assert other != begun
    assert (folder(staging), folder(staging, OTHER), folder(staging, OTHER, alias="other")) == (begun, other, other)
    with pytest.raises(SettingsError, match="remove the other with airflow optimove ledger forget --host"):
        folder(staging, OTHER, alias="same")


def test_what_was_never_written_to_asks_nothing(staging):
    folder(staging, OTHER)  # a dry run with a mistake in the host
    assert begin(staging) == folder(staging)


def test_another_uuid_is_another_target(staging):
    begin(staging)
    assert folder(staging, OTHER, str(uuid.uuid4()))


@pytest.mark.parametrize(("kind", "target"), [("optix", "uuid"), ("dcp", "customers"), ("dcp", "-1")])
def test_what_names_no_target_is_refused(staging, kind, target):
    with pytest.raises(SettingsError, match=target):
        folder(staging, target=target, kind=kind)


def test_a_connection_is_made_once_however_its_host_is_written(staging):
    state = State()

    def create(host):
        fields = {"host": host, "password": API_KEY, "brand_api_key": BRAND_KEY}
        client = OptixClient(OptixSettings.read("c", fields), send=lambda request: send(state, request))
        return create_once(client, staging, "once", "id")

    assert len({create(host) for host in (HOST, HOST.replace("emulator", "EMULATOR:80"), f"{HOST}/")}) == 1
    assert len(state.connections) == 1
