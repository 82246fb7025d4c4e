"""A connection's form: what is refused, in words that show nothing that may be a secret."""

import pytest

from optimove_provider.clients.settings import DcpSettings, OptixSettings
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.wire.errors import SettingsError

OPTIX = {"password": "key-1", "brand_api_key": "key-2"}
DCP = {"password": "token-1"}
CANARY = "canary-7f3a"


def complaint(fields, kind=DcpSettings):
    with pytest.raises(SettingsError) as caught:
        kind.read("mine", {**OPTIX, **fields})
    assert caught.value.__context__ is None
    return str(caught.value)


@pytest.mark.parametrize("name", ["host", "profile_host", "s3_endpoint_url", "upload_history_url"])
@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{CANARY}@api.example/{{table_id}}",
        f"https://{CANARY}@api.example/{{table_id}}",
        f"https://:{CANARY}@api.example/{{table_id}}",
        f"https://user:p/{CANARY}@api.example/{{table_id}}",
        f"https://user:p#{CANARY}@api.example/{{table_id}}",
        f"https://user:{CANARY}@[::1/{{table_id}}",
        f"https://user:{CANARY}\u2100@api.example/{{table_id}}",
        f"htps://user:{CANARY}@api.example/{{table_id}}",
        f"https//user:{CANARY}@api.example/{{table_id}}",
        f"user:{CANARY}@api.example",
        f"https://api.example/{{table_id}}/#{CANARY}",
        f"https://api.example:port/{CANARY}/{{table_id}}",
        f"https://api.example\\{CANARY}/{{table_id}}",
        f"https://api.example/{{table_id}}/ {CANARY}",
        f"https://api.example/{{table_id}}?t={CANARY}\r\nX: y",
        f"//api.example/{CANARY}/{{table_id}}",
        f"api.example/{CANARY}/{{table_id}}",
        f"{CANARY}-and-so-on-for-as-long-as-a-key",
        f"https://{CANARY}-and-so-on-for-as-long-as-a-key:port",
        f"{CANARY}{'x' * 30}.of.another_kind_",
        f"https://user:{CANARY}",
        f"https://api.example:{CANARY}/{{table_id}}",
        f"user:{CANARY}",
        f"https://[{CANARY}]/{{table_id}}",
        f"https://h:80:{CANARY}",
    ],
)
def test_a_mistyped_url_names_the_field_and_no_secret(name, url):
    told = complaint({name: url})
    assert told.startswith(f"connection 'mine': {name} ")
    assert CANARY not in told


@pytest.mark.parametrize(
    "ending", [f"?key={CANARY}", f"/#{CANARY}", f"\\{CANARY}", f"/ {CANARY}", f"/{CANARY}\n/x", "/a//b"]
)
@pytest.mark.parametrize("kind", [DcpSettings, OptixSettings])
def test_a_base_url_is_an_address_alone(kind, ending):
    told = complaint({"host": f"https://api.example{ending}"}, kind)
    assert "host 'https://api.example' has" in told
    assert CANARY not in told


@pytest.mark.parametrize(
    "number", ["1e20", "1e999", "nan", "-nan", "-1", "0", "1e-300", "9" * 5000, 10**400, "1,5", True]
)
@pytest.mark.parametrize("name", ["timeout_seconds", "requests_per_10s"])
def test_numbers_that_no_clock_and_no_counter_has(name, number):
    told = complaint({name: number})
    assert name in told
    assert len(told) < 200


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://api.example/uploads", "lacks {table_id}"),
        ("https://api.example/{table}", "lacks {table_id}"),
        ("https://api.example/{table_id}?a={b}", "has a character in its query"),
        ("ftp://api.example/{table_id}", "is no URL"),
        ("{table_id}", "is no URL"),
    ],
)
def test_a_historys_url_is_a_template(url, told):
    assert told in complaint({"upload_history_url": url})


def history(**fields):
    settings = DcpSettings.read("mine", {**DCP, **fields})
    return settings, settings.address(dcp.UPLOAD_HISTORY.request(table_id=7))


def test_the_historys_own_token_is_a_header_of_its_requests_alone():
    settings, asked = history(upload_history_url="https://h.example/{table_id}", upload_history_token=CANARY)
    assert dict(asked.headers) == {"Authorization": f"Bearer {CANARY}"}
    assert CANARY not in f"{settings.address(dcp.LIST_SERVICES.request()).headers} {settings!r} {asked!r}"
    assert CANARY in settings.secrets


def test_the_historys_token_may_name_another_scheme_or_go_into_the_url():
    url = "https://h.example/{table_id}"
    assert (
        history(upload_history_url=url, upload_history_token="Basic dTpw")[0].redact("dTpw, Basic dTpw") == "***, ***"
    )
    assert history(upload_history_url=url, upload_history_token="Basic dTpw")[1].headers == {
        "Authorization": "Basic dTpw"
    }
    url = "https://h.example/{table_id}?t={upload_history_token}"
    _, asked = history(upload_history_url=url, upload_history_token="a/b&c")
    assert (asked.url, dict(asked.headers)) == ("https://h.example/7?t=a%2Fb%26c", {})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"https://h.example/{{table_id}}?token={CANARY}", f"no access with {CANARY}"),
        (f"https://h.example/{CANARY}/{{table_id}}", f"/{CANARY}/7 is not here"),
        (f"https://h.example/{{table_id}}?{CANARY}", f"what is {CANARY}?"),
        ("https://h.example/{table_id}?sig=a%2Fcanary-7f3a", "a/canary-7f3a"),
    ],
)
def test_a_token_in_the_historys_url_is_a_secret_and_is_warned_of(url, shown):
    settings, _ = history(upload_history_url=url)
    assert CANARY not in settings.redact(shown)
    assert [warning for warning in settings.warnings if "seems to hold a secret" in warning]
    assert CANARY not in f"{settings!r} {settings.warnings}"


def test_an_address_without_secrets_has_none():
    url = "http://127.0.0.1:8000/_emulator/upload-history/v1/{table_id}"
    settings, _ = history(upload_history_url=url)
    assert (settings.secrets, settings.warnings) == (("token-1",), [])


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://api.example/v1", True),
        ("http://10.0.0.1/v1", True),
        ("http://[fe80::1]/v1", True),
        ("https://api.example/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://emulator.localhost", False),
        ("http://127.1.2.3/v1", False),
        ("http://[::1]:1/v1", False),
    ],
)
@pytest.mark.parametrize("name", ["host", "profile_host", "s3_endpoint_url", "upload_history_url"])
def test_what_can_be_read_on_its_way_is_warned_of(name, url, warned):
    fields = {name: f"{url}/{{table_id}}" if name == "upload_history_url" else url}
    warnings = DcpSettings.read("mine", {**DCP, **fields}).warnings
    assert [f"connection 'mine': {name} begins with http://" in one for one in warnings] == [True] * warned


def test_a_proxys_password_is_struck_out_too(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:p%40canary@proxy.example:3128")
    settings = OptixSettings.read("mine", OPTIX)
    assert settings.redact("p@canary, p%40canary; key-1") == "***, ***; ***"


@pytest.mark.parametrize("login", ["key-canary", "key-canary:"])
def test_a_proxys_login_without_a_password_is_one(monkeypatch, login):
    monkeypatch.setenv("https_proxy", f"http://{login}@proxy.example:3128")
    assert OptixSettings.read("mine", OPTIX).redact("of key-canary") == "of ***"
