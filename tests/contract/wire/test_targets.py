"""The one form of a host, a uuid and a table's id: two spellings are one, and what has no form is refused."""

import uuid

import pytest

from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.dcp import config, profiles
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.targets import connection_uuid, host_url, id_number, table_id
from optimove_provider.emulator import API_KEY, BRAND_KEY, TOKEN

ONE = "https://api.example/v1"
UUID = str(uuid.UUID(int=0xABCDEF))


@pytest.mark.parametrize(
    "spelled",
    [
        "HTTPS://api.example/v1",
        "https://API.Example/v1",
        "https://api.example./v1",
        "https://api.example:443/v1",
        "https://api.example:0443/v1/",
        "https://api.example:/v1",
        "https://api.example/v1///",
        "https://api.example/%76%31",
        " https://api.example/v1\n",
        "https://\uff41pi.example/v1",
        "https://api\u3002example/v1",
    ],
)
def test_spellings_of_one_host_are_one(spelled):
    assert host_url(spelled) == ONE
    assert OptixSettings.read("c", {"host": spelled, "password": API_KEY, "brand_api_key": BRAND_KEY}).host == ONE
    read = DcpSettings.read("c", {"host": spelled, "password": TOKEN, "profile_host": spelled})
    assert (read.host, read.profile_host) == (ONE, ONE)


@pytest.mark.parametrize(
    ("spelled", "form"),
    [
        ("http://[0:0:0:0:0:0:0:1]:8099/", "http://[::1]:8099"),
        ("http://[2001:DB8::0:1]", "http://[2001:db8::1]"),
        ("http://127.0.0.1:80", "http://127.0.0.1"),
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://xn--BCHER-kva.example", "https://xn--bcher-kva.example"),
        ("http://api.example:443", "http://api.example:443"),
        ("https://api.example/Some/Path", "https://api.example/Some/Path"),
        ("https://api.example/ä", "https://api.example/%C3%A4"),
    ],
)
def test_each_host_has_one_form_which_is_its_own(spelled, form):
    assert host_url(spelled) == form == host_url(form)


@pytest.mark.parametrize(
    "wrong",
    [
        "api.example",
        "ftp://api.example",
        "https://",
        "https:api.example",
        "https://api.example?",
        "https://api.example/#",
        "https://api.example//v1",
        "https://api.example/./v1",
        "https://api.example/a/%2e%2e/v1",
        "https://api.example/a%2Fv1",
        "https://api.example/%zz",
        "https://api exam.ple",
        "https://api.exa\tmple",
        "https://api..example",
        "https://-api.example",
        "https://api.example:0",
        "https://api.example:65536",
        "https://127.1",
        "https://0x7f000001",
        "https://[::1",
        "https://[::g]",
        "https://[fe80::1%25eth0]",
        "https://api.example\\v1",
        "https://[api.example]",
        "https://[v1.example]:443",
        "https://api.example:+443",
        "https://api.example:\u0664\u0664\u0663",
        "https://stra\u00dfe.example",  # another host by each of the two rules for such names
        "https://\u03c3\u03c2.example",
    ],
)
def test_what_has_no_one_form_is_refused(wrong):
    with pytest.raises(SettingsError):
        host_url(wrong)
    with pytest.raises(SettingsError, match=r"host .*; password"):  # with all else that is wrong
        OptixSettings.read("c", {"host": wrong, "brand_api_key": BRAND_KEY})


def test_who_asks_is_no_part_of_the_place():
    """Reports and ledgers of earlier versions may have it; a connection may not."""
    for spelled in ("https://u:p@API.example/v1/", "https://@api.example/v1"):
        assert host_url(spelled) == ONE
        with pytest.raises(SettingsError, match=r"host '\*\*\*@.*' has a user or a password"):
            OptixSettings.read("c", {"host": spelled, "password": API_KEY, "brand_api_key": BRAND_KEY})


@pytest.mark.parametrize("blank", [None, "", "  ", "\n"])
def test_blank_is_the_vendors(blank):
    keys = {"password": "key", "brand_api_key": BRAND_KEY, "port": 443}
    assert OptixSettings.read("c", {"host": blank, **keys}).host == optix.BASE_URL
    read = DcpSettings.read("c", {"host": blank, "profile_host": blank, **keys})
    assert (read.host, read.profile_host) == (config.BASE_URL, profiles.BASE_URL)


def test_the_port_beside_the_url_is_part_of_the_form():
    keys = {"password": "key", "brand_api_key": BRAND_KEY}
    for host, port, form in [
        ("http://E", "8099", "http://e:8099"),
        ("http://e", 80, "http://e"),
        ("http://e:1", "2", "http://e:1"),
        ("http://[::1]/v1", "7", "http://[::1]:7/v1"),
    ]:
        assert OptixSettings.read("c", {"host": host, "port": port, **keys}).host == form


@pytest.mark.parametrize(
    "spelled", [UUID.upper(), f" {UUID}\n", UUID.replace("-", ""), f"{{{UUID}}}", f"urn:uuid:{UUID}"]
)
def test_spellings_of_one_uuid_are_one(spelled):
    assert connection_uuid(spelled) == UUID


@pytest.mark.parametrize("wrong", ["", "None", None, UUID[:-1], 7])
def test_what_is_no_uuid_is_refused(wrong):
    with pytest.raises(SettingsError, match="data_connection_uuid"):
        connection_uuid(wrong)


@pytest.mark.parametrize("spelled", [678, "678", " 678\n", "0678"])
def test_spellings_of_one_table_are_one(spelled):
    assert table_id(spelled) == "678"


@pytest.mark.parametrize("wrong", ["", "None", None, True, "6.7", 6.0, "-6", "0"])
def test_what_is_no_table_is_refused(wrong):
    with pytest.raises(SettingsError, match="table_id"):
        table_id(wrong)


@pytest.mark.parametrize("alias", ["same", "other", "", None])
def test_an_alias_is_read(alias):
    fields = {"password": API_KEY, "brand_api_key": BRAND_KEY, "target_alias": alias}
    assert OptixSettings.read("c", fields).target_alias == (alias or "")


def test_an_alias_that_says_nothing_known_is_refused():
    with pytest.raises(SettingsError, match="target_alias 'yes'"):
        DcpSettings.read("c", {"password": TOKEN, "target_alias": "yes"})


@pytest.mark.parametrize("port", ["+80", "8_0", "\u0668\u0660", "80.0", "0", True])
def test_a_port_beside_the_url_is_digits(port):
    with pytest.raises(SettingsError):
        host_url("http://api.example", port)
    assert host_url("http://api.example", " 80\n") == "http://api.example"


@pytest.mark.parametrize(
    "spelled", ["{UUID}", "{{{UUID}}}", "urn:uuid:{UUID}", "urn:uuid:{{{UUID}}}", " {UUID}\n", "{UUID_DIGITS}"]
)
def test_a_uuid_is_known_in_the_forms_that_it_has(spelled):
    named = spelled.format(UUID=UUID.upper(), UUID_DIGITS=UUID.replace("-", ""))
    assert connection_uuid(named) == UUID


@pytest.mark.parametrize(
    "wrong",
    [
        f"+{UUID[1:]}",
        f"{{{{{UUID}}}}}",
        f"{{{UUID}",
        UUID.replace("-", "", 1),
        UUID.replace("0", "\uff10", 1),
        f"uuid:{UUID}",
    ],
)
def test_what_only_looks_like_a_uuid_is_refused(wrong):
    with pytest.raises(SettingsError, match="is no uuid"):
        connection_uuid(wrong)


@pytest.mark.parametrize("wrong", ["\uff17", "9" * 5000, "1e3", "7.0"])
def test_a_table_id_is_digits_and_not_thousands_of_them(wrong):
    with pytest.raises(SettingsError, match="expected the number of a table"):
        table_id(wrong)


@pytest.mark.parametrize("wrong", ["prod", None, True, 7.9, "1_0", "", -1, [7]])
def test_a_number_of_a_service_is_not_guessed(wrong):
    with pytest.raises(SettingsError, match=r"service_id .*: expected the number of a service"):
        id_number("service_id", wrong)
    assert id_number("service_id", " 07\n") == 7
