"""Who may use the side door: a browser sends requests for any page, and rebound names give that page the answers.

The kinds are those of public reports about servers on a developer's own machine: a debug toolbar and a notebook server
that were asked by way of DNS rebinding, a JSON API that a form with `enctype=text/plain` reached, a test server whose
reset was one cross-site POST away, a cache whose answers could be split by a header's line feed.
"""

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from optimove_provider.emulator import EmulatorServer, Fault, State
from optimove_provider.emulator.callers import Callers
from optimove_provider.emulator.replies import Refusal

JSON = "application/json"
ANYWHERE = "0.0.0.0"  # noqa: S104 - what one binds to


def why(method="GET", body=None, callers=None, has_host=True, **headers):
    named = {name.replace("_", "-"): value for name, value in {"host": "localhost:8099", **headers}.items()}
    return (callers or Callers("127.0.0.1")).why_refused(method, named.get, body, has_host)


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:1", "127.0.0.1:8099", "127.8.9.1", "[::1]:8099", "localhost.", "a.localhost:80"]
)
def test_the_loopback_has_these_names(host):
    assert why(host=host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8099", "localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost"),
        *("10.0.0.1:8099", ANYWHERE, "[::]", "127.0.0.1@evil.example", "evil.example#localhost", "localhost:x"),
        *("", " localhost", "localhost,evil.example", "[::1", "2130706433", "xn--lcalhost-6ya"),
    ],
)
def test_no_other_host_is_answered(host):
    assert "--allowed-host" in why(host=host)


def test_hosts_that_were_named_and_the_address_that_is_bound_are_answered():
    assert why(host="emulator:8099", callers=Callers(ANYWHERE, ["Emulator"])) is None
    assert why(host="192.0.2.7:8099", callers=Callers("192.0.2.7")) is None
    assert why(host=f"{ANYWHERE}:8099", callers=Callers(ANYWHERE)) is not None


def test_a_request_of_http_1_0_need_not_name_a_host():
    assert why(host=None, has_host=False) is None
    assert why(host=None) is not None
    assert why(host="evil.example", has_host=False) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},  # another server of this machine
        {"origin": "https://localhost:8099"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": ""},
        {"origin": "http://localhost:8099", "sec_fetch_site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_no_page_of_another_site_is_answered(method, headers):
    assert "may not ask here" in why(method, b"{}", content_type=JSON, **headers)


@pytest.mark.parametrize("headers", [{"origin": "http://localhost:8099", "sec_fetch_site": "same-origin"}, {}])
def test_our_own_page_and_who_is_no_browser_are_answered(headers):
    assert why("POST", b"{}", content_type=JSON, **headers) is None
    assert why("GET", sec_fetch_site="none") is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain", b'{"status": 500}'),
        ("TEXT/Plain; charset=utf-8", b"[]"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("application/x-www-form-urlencoded", b"a=1"),
        ("application/x-www-form-urlencoded", None),
    ],
)
def test_what_a_form_can_send_is_refused(kind, body):
    assert JSON in why("POST", body, content_type=kind)


def test_a_form_of_our_own_page_is_taken():
    kind = "application/x-www-form-urlencoded"
    assert why("POST", b"number=1", content_type=kind, origin="http://localhost:8099") is None
    assert why("POST", b"number=1", content_type=kind, sec_fetch_site="same-origin") is None
    assert why("POST", b"number=1", content_type=kind, sec_fetch_site="none")


def test_what_no_form_can_send_is_taken():
    assert why("POST", None) is None
    assert why("POST", b' {"status": 500}', content_type="application/x-www-form-urlencoded") is None


@pytest.fixture(scope="module")
def server():
    with EmulatorServer(state=State(), idle_seconds=0.3) as server:
        yield server


def asked(url, text, wait=10):
    """Send this text, as it is, and return what comes back until the server hangs up."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=wait) as connection:
        connection.sendall(text.encode())
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def head(line, *headers):
    return "\r\n".join((f"{line} HTTP/1.1", *headers, "Connection: close", "", ""))


@pytest.mark.parametrize(
    "path", ["/_emulator/state", "/_emulator/uploads/1", "/%5Femulator/state", "//_emulator/state"]
)
def test_over_http_every_control_route_asks_who_calls(server, path):
    assert asked(server.url, head(f"GET {path}", "Host: evil.example")).startswith("HTTP/1.1 403 ")
    assert not asked(server.url, head(f"GET {path}", "Host: localhost")).startswith("HTTP/1.1 403 ")


def test_over_http_a_header_that_is_there_twice_is_refused(server):
    answer = asked(server.url, head("GET /_emulator/state", "Host: localhost", "Host: evil.example"))
    assert answer.startswith("HTTP/1.1 403 ")


def test_a_form_orders_no_faults(server):
    order = '{"status": 500}'
    form = head(
        "POST /_emulator/faults", "Host: localhost", "Content-Type: text/plain", f"Content-Length: {len(order)}"
    )
    assert asked(server.url, form + order).startswith("HTTP/1.1 403 ")
    assert server.state.faults.answers == []


@pytest.mark.parametrize("line", ["POST /moto-api/reset", "GET /moto-api/data.json", "GET //moto-api/data.json"])
def test_nobody_else_comes_in_by_the_side_door_of_s3(server, line):
    assert asked(server.s3_url, head(line, "Host: evil.example", "Content-Length: 0")).startswith("HTTP/1.1 403 ")
    page = head(line, "Host: 127.0.0.1", "Content-Length: 0", "Origin: http://evil.example")
    assert asked(server.s3_url, page).startswith("HTTP/1.1 403 ")


@pytest.mark.parametrize("part", ["", "GET / HTTP/1.1\r\nHost: loc", "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"])
@pytest.mark.parametrize("door", ["url", "s3_url"])
def test_a_connection_on_which_nothing_comes_is_closed(server, door, part):
    assert "HTTP/1.1 408" not in asked(getattr(server, door), part)  # it returns: the server has hung up


def hangs_up(connection):
    """Send a byte and another, as long as the server listens; tells whether it stopped."""
    connection.settimeout(0.05)
    for _ in range(200):
        try:
            connection.sendall(b"a")
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_headers_that_drip_have_no_more_time_than_others(server):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        assert hangs_up(connection)


def test_beyond_so_many_connections_the_next_one_is_told_to_wait():
    with EmulatorServer(state=State()) as server:
        server._apis.most_connections = 2
        address = urlsplit(server.url)
        connect = lambda: closing(socket.create_connection((address.hostname, address.port), timeout=10))  # noqa: E731
        with connect() as first, connect() as second:
            for one in (first, second):
                one.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
                assert one.recv(65536).startswith(b"HTTP/1.1 404 ")
            assert asked(server.url, "").startswith("HTTP/1.1 503 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nSet-Cookie: b=1"},
        {"X": "a\n\nHTTP/1.1 200 OK"},
        {"X\r\nY": "a"},
        {"X Y": "a"},
        {"": "a"},
        {"X": "a\0"},
        {"X": "☃"},
        {"Content-Length": "0"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_no_order_makes_two_answers_of_one(headers):
    with pytest.raises(Refusal, match="headers must be"):
        State().faults.order(Fault(status=500, headers=headers))


def test_an_answer_that_has_no_body_is_sent_without_the_one_that_was_ordered(server):
    server.state.faults.order(Fault(status=304, body="HTTP/1.1 200 OK\r\n\r\n"))
    answer = asked(server.url, head("GET /experiment/v1/dcp_services", "Host: localhost"))
    assert answer.startswith("HTTP/1.1 304 ")
    assert "200 OK" not in answer
    assert (
        json.loads(asked(server.url, head("GET /_emulator/faults", "Host: localhost")).partition("\r\n\r\n")[2]) == []
    )
