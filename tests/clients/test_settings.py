"""Settings: read from a connection's fields, complete or refused at once, and silent about secrets."""

import pytest

from optimove_provider.clients.settings import REQUESTS_PER_10S, TIMEOUT_SECONDS, DcpSettings, OptixSettings
from optimove_provider.contract.dcp import config as dcp
from optimove_provider.contract.optix import data_connections as optix
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Request

OPTIX = {"password": "key-1", "brand_api_key": "key-2"}
DCP = {"password": "token-1"}


def complaint(kind, fields):
    with pytest.raises(SettingsError) as caught:
        kind.read("mine", fields)
    return str(caught.value)


def test_one_error_names_all_that_is_missing_or_wrong():
    fields = {"host": "localhost", "timeout_seconds": "soon", "requests_per_10s": -1}
    assert complaint(OptixSettings, fields) == (
        "connection 'mine': host 'localhost' is no URL: begin it with https://; password (the x-api-key) is missing; "
        "brand_api_key (the x-brand-key) is missing; timeout_seconds 'soon' is no positive number; "
        "requests_per_10s '-1' is no positive number. Mend the connection's fields"
    )


def test_dcp_names_all_that_is_missing_or_wrong_too():
    fields = {"profile_host": "a", "s3_endpoint_url": "b", "upload_history_url": "https://c"}
    assert complaint(DcpSettings, fields) == (
        "connection 'mine': password (the classic token) is missing; "
        "profile_host 'a' is no URL: begin it with https://; s3_endpoint_url 'b' is no URL: begin it with https://; "
        "upload_history_url 'https://c' lacks {table_id}. Mend the connection's fields"
    )


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_a_blank_secret_counts_as_missing(blank):
    assert "password (the x-api-key) is missing" in complaint(OptixSettings, {**OPTIX, "password": blank})


@pytest.mark.parametrize("secret", ["line\nbreak", "naïve", "key\x00"])
def test_a_secret_that_no_header_can_carry_is_named_and_not_shown(secret):
    text = complaint(OptixSettings, {**OPTIX, "password": secret})
    assert "password (the x-api-key) has characters that no header can carry" in text
    assert secret not in text


@pytest.mark.parametrize("number", ["0", 0, "-1", "nan", "inf", "many", [1]])
def test_numbers_must_be_positive_and_finite(number):
    assert "timeout_seconds" in complaint(OptixSettings, {**OPTIX, "timeout_seconds": number})


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("https://[::1", ""),
        ("https://a:port", " 'https://a'"),  # what stands for a port may be a password
        ("ftp://a", " 'ftp://a'"),
        ("//a", " '//a'"),
        ("a", " 'a'"),
    ],
)
def test_a_host_that_is_no_url_is_refused(host, shown):
    assert f"host{shown} is no URL" in complaint(OptixSettings, {**OPTIX, "host": host})


@pytest.mark.parametrize("blank", [None, "", " "])
def test_blank_fields_take_the_vendors_defaults(blank):
    optix_fields = dict.fromkeys(("host", "port", "timeout_seconds", "requests_per_10s"), blank)
    names = ("profile_host", "import_bucket", "s3_endpoint_url", "region", "aws_conn_id", "upload_method")
    names = (*names, "upload_history_url")
    read = OptixSettings.read("mine", {**optix_fields, **OPTIX})
    assert (read.host, read.timeout_seconds, read.requests_per_10s) == (
        optix.BASE_URL,
        TIMEOUT_SECONDS,
        REQUESTS_PER_10S,
    )
    assert DcpSettings.read("mine", {**optix_fields, **dict.fromkeys(names, blank), **DCP}) == DcpSettings(
        conn_id="mine", host=dcp.BASE_URL, token="token-1"
    )


@pytest.mark.parametrize(
    ("host", "port", "base_url"),
    [
        ("http://localhost/api/v1", 8099, "http://localhost:8099/api/v1"),
        ("http://localhost/api/v1/", "8099", "http://localhost:8099/api/v1"),
        ("http://localhost:1/api", 8099, "http://localhost:1/api"),
        ("http://[::1]/api", 8099, "http://[::1]:8099/api"),
        ("http://[::1]:1/api", 8099, "http://[::1]:1/api"),
        ("http://localhost", None, "http://localhost"),
        ("", 443, "https://api.opti-x.optimove.net/api/data-connections/v1"),
    ],
)
def test_a_port_beside_the_url_goes_in_unless_the_url_has_one(host, port, base_url):
    assert OptixSettings.read("mine", {**OPTIX, "host": host, "port": port}).host == base_url


def test_a_word_that_is_no_upload_method_is_refused():
    assert DcpSettings.read("mine", {**DCP, "upload_method": "put"}).upload_method == "put"
    told = complaint(DcpSettings, {**DCP, "upload_method": "PUT it"})
    assert "upload_method 'PUT it': expected auto, multipart or put" in told


def test_numbers_may_come_as_text():
    read = OptixSettings.read("mine", {**OPTIX, "timeout_seconds": "2.5", "requests_per_10s": "7"})
    assert (read.timeout_seconds, read.requests_per_10s) == (2.5, 7.0)


def test_an_addressed_request_has_its_base_url_and_both_keys():
    request = OptixSettings.read("mine", OPTIX).address(optix.CREATE_CONNECTION.request(b"{}"))
    assert request.url == f"{optix.BASE_URL}/connections"
    assert dict(request.headers) == {
        "Content-Type": "application/json",
        "x-api-key": "key-1",
        "x-brand-key": "key-2",
    }


def test_dcp_takes_the_classic_token():
    request = DcpSettings.read("mine", DCP).address(dcp.LIST_SERVICES.request())
    assert (request.url, dict(request.headers)) == (f"{dcp.BASE_URL}/dcp_services", {"Token": "token-1"})


def test_the_history_is_asked_without_the_vendors_token():
    history_url = "https://example.com/{table_id}/history?table={table_id}"
    settings = DcpSettings.read("mine", {**DCP, "upload_history_url": history_url})
    request = settings.address(dcp.UPLOAD_HISTORY.request(table_id=7))
    assert request.url == "https://example.com/7/history?table=7"
    assert "token-1" not in request.headers.values()


def test_a_history_without_a_url_says_what_to_set():
    with pytest.raises(SettingsError, match="'mine': set upload_history_url"):
        DcpSettings.read("mine", DCP).address(dcp.UPLOAD_HISTORY.request(table_id=7))


@pytest.mark.parametrize("settings", [OptixSettings.read("mine", OPTIX), DcpSettings.read("mine", DCP)])
def test_secrets_are_shown_nowhere(settings):
    request = settings.address(Request("GET", "/"))
    for secret in settings.secrets:
        assert secret in request.headers.values()
        assert secret not in f"{settings!r}{settings}{request!r}{request}"
        assert settings.redact(f"<{secret}> {secret}") == "<***> ***"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("host", "https://bob:s3cret@customer.test:0"),
        ("host", "bob:s3cret@customer.test"),
        ("profile_host", "https://bob:s3cret@customer.test/../a"),
        ("s3_endpoint_url", "s3://bob:s3cret@customer.test"),
        ("upload_history_url", "https://bob:s3cret@customer.test/history"),
    ],
)
def test_a_complaint_about_a_url_does_not_show_the_password_in_it(name, url):
    told = complaint(DcpSettings, {**DCP, name: url})
    assert name in told
    assert "customer.test" in told
    assert "s3cret" not in told


@pytest.mark.parametrize("kind", [OptixSettings, DcpSettings])
def test_a_password_in_a_url_is_refused(kind):
    told = complaint(kind, {**OPTIX, **DCP, "host": "https://bob:s3cret@a.test"})
    assert "host '***@a.test' has a user or a password" in told


def test_dcp_takes_an_oauth_token_where_the_connection_says_so():
    for scheme, headers in (("Bearer", {"Authorization": "Bearer token-1"}), ("", {"Token": "token-1"})):
        settings = DcpSettings.read("mine", {**DCP, "auth_scheme": scheme})
        request = settings.address(dcp.LIST_SERVICES.request())
        assert dict(request.headers) == headers
        assert "token-1" not in f"{settings!r}{request!r}{settings.key_names(dcp.LIST_SERVICES)}"
        assert settings.redact(f"{request.headers}").count("token-1") == 0


@pytest.mark.parametrize("scheme", ["bearer", "Basic", "token", "OAuth"])
def test_another_scheme_is_refused(scheme):
    with pytest.raises(SettingsError, match=r"auth_scheme '.*': expected Token or Bearer"):
        DcpSettings.read("mine", {**DCP, "auth_scheme": scheme})


@pytest.mark.parametrize("pasted", ["Bearer token-1", "bearer token-1", "Token token-1", "Token: token-1"])
def test_a_token_that_was_copied_with_its_scheme_is_refused_and_not_shown(pasted):
    with pytest.raises(SettingsError, match="enter the token alone, and set auth_scheme") as caught:
        DcpSettings.read("mine", {**DCP, "password": pasted, "auth_scheme": "Bearer"})
    assert "token-1" not in str(caught.value)
