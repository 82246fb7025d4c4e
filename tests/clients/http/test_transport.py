"""Real sockets: what becomes of a request when the other side refuses, drops, redirects or says nothing."""

import datetime
import gzip
import ipaddress
import logging
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from contextlib import contextmanager, suppress
from itertools import takewhile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from optimove_provider import __version__
from optimove_provider.clients.http.transport import MAX_ANSWER_BYTES, Transport
from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.contract.wire.messages import Lost, Request, Response

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: Value\r\n\r\n{}"
OK = KEPT.replace(b"X-Name", b"Connection: close\r\nX-Name")
"""For a server that hangs up: a client that is not told may meet the end only when it sends its next request."""


def read_request(connection):
    """The head, as lines, and the body."""
    with connection.makefile("rb") as stream:
        head = [line.decode().rstrip() for line in takewhile(bytes.strip, stream)]
        sizes = [int(line.partition(": ")[2]) for line in head if line.startswith("Content-Length")]
        return head, stream.read(sum(sizes))


@contextmanager
def serving(respond, connections=1):
    """A server that takes a few connections and hands each, after its request was read, to `respond`."""
    seen = []

    def serve():
        for _ in range(connections):
            connection, _ = listening.accept()
            with connection:
                seen.append(read_request(connection))
                with suppress(OSError):  # the client has heard enough
                    respond(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)  # a client that gave up on a busy machine may never come
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", seen
        thread.join()


@pytest.fixture
def transport(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    transport = Transport(timeout_seconds=10)
    yield transport
    transport.close()


def get(url):
    return Request("GET", url, {"x-api-key": "secret"})


def test_an_answer_comes_back_whole(transport):
    with serving(lambda connection: connection.sendall(OK)) as (url, _):
        answer = transport(get(url))
    assert answer == Response(200, b"{}", {"content-length": "2", "connection": "close", "x-name": "Value"})


def test_a_request_leaves_as_it_is_and_names_this_package(transport):
    with serving(lambda connection: connection.sendall(OK)) as (url, seen):
        transport(Request("POST", f"{url}/a%2Fb?c=d", {"Content-Type": "application/json"}, '{"é":1}'.encode()))
    head, body = seen[0]
    assert head[0] == "POST /a%2Fb?c=d HTTP/1.1"
    assert f"User-Agent: airflow-provider-optimove/{__version__}" in head
    assert "Content-Type: application/json" in head
    assert body == '{"é":1}'.encode()


def test_a_refused_connection_never_left(transport):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    answer = transport(get(f"http://127.0.0.1:{port}/secret?token=secret"))
    assert answer.sent is False
    assert answer.reason.startswith(f"http://127.0.0.1:{port}: ConnectionError (")
    assert "secret" not in answer.reason


def test_an_unknown_host_never_left(transport):
    answer = transport(get("http://nowhere.invalid/"))
    assert (type(answer), answer.sent) == (Lost, False)
    assert "http://nowhere.invalid:http" in answer.reason


@pytest.mark.parametrize("url", ["http://", "http://a..b/"])
def test_a_url_that_names_no_host_never_left(transport, url):
    assert transport(get(url)).sent is False


@pytest.mark.parametrize("part", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], ids=["nothing", "half"])
def test_a_connection_dropped_before_the_end_of_the_answer_may_have_worked(transport, part):
    with serving(lambda connection: connection.sendall(part)) as (url, _):
        answer = transport(get(url))
    assert (type(answer), answer.sent) == (Lost, True)


def test_a_connection_that_was_reset_may_have_worked(transport):
    def reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

    with serving(reset) as (url, _):
        assert transport(get(url)).sent is True


def test_an_answer_that_never_comes_is_given_up():
    hushed = threading.Event()
    transport = Transport(timeout_seconds=0.2)
    with serving(lambda _: hushed.wait(10)) as (url, _):
        answer = transport(get(url))
        hushed.set()
    transport.close()
    assert answer.sent is True
    assert "ReadTimeout (Read timed out. (read timeout=0.2))" in answer.reason


def test_a_redirect_is_an_answer_and_is_not_followed(transport):
    with serving(lambda connection: connection.sendall(OK)) as (elsewhere, seen_there):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        with serving(lambda connection: connection.sendall(moved)) as (url, _):
            answer = transport(get(url))
        assert seen_there == []
        transport(get(elsewhere))  # lets that server end
    assert (answer.status, answer.headers["location"]) == (307, elsewhere)


def test_each_thread_has_a_session_and_all_are_closed(transport):
    with serving(lambda connection: connection.sendall(OK), connections=3) as (url, seen):
        threads = [threading.Thread(target=transport, args=[get(url)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 3


@pytest.fixture
def certificate(tmp_path):
    """A key with its own certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    no_password = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password)
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def serving_tls(certificate, respond):
    """A TLS server for one connection; `respond` gets the TLS socket, and may drop below it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve():
        connection, _ = listening.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65536)
                respond(secured)
        except OSError:
            return  # the client did not trust the certificate, or has gone

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)  # a client that gave up on a busy machine may never come
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_a_certificate_that_is_not_trusted_ends_it_before_the_request(certificate, transport):
    with serving_tls(certificate, lambda secured: secured.sendall(OK)) as url:
        answer = transport(get(url))
    assert (type(answer), answer.sent) == (Lost, False)
    assert "SSLError" in answer.reason


def test_broken_encryption_in_the_answer_may_have_worked(certificate, transport, monkeypatch):
    def garble(secured):
        with socket.socket(fileno=secured.detach()) as bare:
            bare.sendall(b"\x17\x03\x03\x00\x10" + b"x" * 16)

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with serving_tls(certificate, garble) as url:
        answer = transport(get(url))
    assert (type(answer), answer.sent) == (Lost, True)


def bomb(size):
    """So many blanks, packed: a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * (1 << 20)) for _ in range(size >> 20)) + packer.flush()


BOMB = bomb(200 << 20)


def head(*lines, status=200):
    return b"\r\n".join([b"HTTP/1.1 %d So" % status, *lines, b"", b""])


def plain(connection):
    connection.sendall(head())
    while True:
        connection.sendall(b" " * 65536)


def packed(connection):
    connection.sendall(head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(BOMB)) + BOMB)


def packed_in_chunks(connection):
    start = head(b"Content-Encoding: gzip", b"Transfer-Encoding: chunked")
    connection.sendall(start + b"%x\r\n" % len(BOMB) + BOMB + b"\r\n0\r\n\r\n")


def packed_twice(connection):
    body = gzip.compress(BOMB)
    connection.sendall(head(b"Content-Encoding: gzip, gzip", b"Content-Length: %d" % len(body)) + body)


def one_chunk(connection):
    connection.sendall(head(b"Transfer-Encoding: chunked") + b"7fffffff\r\n")
    while True:
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize("respond", [plain, packed, packed_in_chunks, packed_twice, one_chunk])
def test_no_more_of_an_answer_is_read_than_any_answer_should_have(transport, respond):
    with serving(respond) as (url, _):
        answer = transport(get(url))
    assert (answer.is_cut, len(answer.body)) == (True, MAX_ANSWER_BYTES)


def endless_headers(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-A: b\r\n" * 1000)


def one_endless_header(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        connection.sendall(b"b" * 65536)


@pytest.mark.parametrize("respond", [endless_headers, one_endless_header])
def test_headers_have_an_end_too(transport, respond):
    with serving(respond) as (url, _):
        answer = transport(get(url))
    assert (type(answer), answer.sent) == (Lost, True)


def dripping(start, drop=b" "):
    def respond(connection):
        connection.sendall(start)
        while True:
            connection.sendall(drop)
            time.sleep(0.02)

    return respond


DRIPS = {
    "a body": dripping(head()),
    "a packed body": dripping(head(b"Content-Encoding: gzip"), b"\0"),
    "a body in chunks": dripping(head(b"Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "a body of known length": dripping(head(b"Content-Length: 9999")),
    "a header": dripping(b"HTTP/1.1 200 OK\r\nX-A: "),
    "headers": dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "the first line": dripping(b"HTTP/1.1 20"),
    "answers that are none yet": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("respond", DRIPS.values(), ids=DRIPS)
def test_what_drips_is_given_up_when_the_time_is_over(respond):
    """A report against requests: its timeout is no limit for a download, each byte sets the clock back."""
    transport, began = Transport(timeout_seconds=0.2), time.monotonic()
    with serving(respond) as (url, _):
        answer = transport(get(url))
    transport.close()
    assert (type(answer), answer.sent) == (Lost, True)
    assert answer.reason.endswith(": no whole answer within 0.2 s")
    assert time.monotonic() - began < 5


def test_what_drips_through_tls_is_given_up_too(certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    transport = Transport(timeout_seconds=0.5)
    with serving_tls(certificate, dripping(head())) as url:
        answer = transport(get(url))
    transport.close()
    assert "no whole answer within 0.5 s" in answer.reason


def test_a_connection_that_is_used_again_has_its_own_time():
    def twice(connection):
        connection.sendall(KEPT)
        read_request(connection)
        dripping(head())(connection)

    transport = Transport(timeout_seconds=0.3)
    with serving(twice) as (url, _):
        assert transport(get(url)).status == 200
        time.sleep(0.3)
        assert "no whole answer" in transport(get(url)).reason
    transport.close()


def test_a_request_that_ends_sooner_than_an_earlier_one_is_given_up_first():
    seen = {}

    def ask(seconds):
        transport, began = Transport(timeout_seconds=seconds), time.monotonic()
        with serving(dripping(head())) as (url, _):
            transport(get(url))
        seen[seconds] = time.monotonic() - began
        transport.close()

    longer = threading.Thread(target=ask, args=(2.0,))
    longer.start()
    time.sleep(0.2)
    ask(0.2)
    assert seen[0.2] < 1.5
    longer.join()
    assert 2 < seen[2.0] < 8


def test_a_process_that_was_forked_has_deadlines_too():
    """Airflow forks its workers, and a thread that watches over requests stays behind in the parent."""
    code = """if True:
        import os, sys
        from optimove_provider.clients.http.transport import Transport
        from optimove_provider.contract.wire.messages import Request

        request = Request("GET", sys.argv[1], {})
        answers = [Transport(timeout_seconds=0.2)(request).reason]
        child = os.fork()
        if not child:
            reason = Transport(timeout_seconds=0.2)(request).reason
            os._exit("no whole answer" not in reason)
        print(answers, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
    with serving(dripping(head()), connections=2) as (url, _):
        command = [sys.executable, "-W", "ignore", "-c", code, url]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "no whole answer" in told
    assert told.split()[-1] == "0"


def test_no_request_starts_a_thread_of_its_own(transport, monkeypatch):
    start, started = threading.Thread.start, []
    with serving(lambda connection: connection.sendall(OK), connections=4) as (url, _):
        transport(get(url))  # the first of all starts the one that watches over them
        monkeypatch.setattr(threading.Thread, "start", lambda thread: started.append(thread) or start(thread))
        for _ in range(3):
            transport(get(url))
    assert started == []


def test_a_body_that_nobody_takes_is_given_up_too():
    transport, hushed = Transport(timeout_seconds=0.2), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        answer = transport(Request("POST", url, {}, b"x" * 50_000_000))
        hushed.set()
    transport.close()
    assert (type(answer), answer.sent) == (Lost, True)


def test_logins_of_the_environment_do_not_count(transport, tmp_path, monkeypatch):
    """A report against requests: a .netrc replaces the Authorization that the caller gave."""
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login somebody password netrc-canary\ndefault login a password b\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(lambda connection: connection.sendall(OK), connections=2) as (url, seen):
        transport(get(url))
        transport(Request("GET", url, {"Authorization": "Bearer mine"}))
    assert not [line for line in seen[0][0] if line.casefold().startswith("authorization")]
    assert [line for line in seen[1][0] if line.startswith("Authorization")] == ["Authorization: Bearer mine"]


def test_cookies_of_one_answer_are_not_sent_with_the_next_request(transport):
    cookie = head(b"Set-Cookie: session=1", b"Content-Length: 0", b"Connection: close")
    with serving(lambda connection: connection.sendall(cookie), connections=2) as (url, seen):
        transport(get(url))
        transport(get(url))
    assert not [line for line in seen[1][0] if line.startswith("Cookie")]


def test_a_proxy_of_the_environment_counts(transport, monkeypatch):
    with serving(lambda connection: connection.sendall(OK)) as (url, seen):
        monkeypatch.delenv("NO_PROXY")
        monkeypatch.setenv("http_proxy", url.replace("http://", "http://user:proxy-canary@"))
        assert transport(get("http://nowhere.invalid/v1")).status == 200
    assert seen[0][0][0] == "GET http://nowhere.invalid/v1 HTTP/1.1"


BUNDLES = ("file.pem'", "certificates")
MISCONFIGURED = {
    "no library for SOCKS": (
        {"all_proxy": "socks5://u:canary@127.0.0.1:1"},
        r"ALL_PROXY.*pip install 'requests\[socks\]'",
    ),
    "a proxy without a host": ({"http_proxy": "http://u:canary@"}, "HTTP_PROXY.* is no URL of a proxy"),
    "a proxy's port": ({"http_proxy": "http://u:canary@proxy:port"}, "HTTP_PROXY.* is no URL of a proxy"),
    "a proxy of no kind": ({"all_proxy": "foo://u:canary@proxy:80"}, "ALL_PROXY.* is no URL of a proxy"),
    "a proxy with a line feed": ({"http_proxy": "http://u:canary@proxy\n:80"}, "HTTP_PROXY.* is no URL of a proxy"),
    "a proxy with an empty label": ({"http_proxy": "http://u:canary@a..b:80"}, "HTTP_PROXY.* is no URL of a proxy"),
    "a proxy with a long label": (
        {"http_proxy": f"http://u:canary@{'a' * 99}:80"},
        "HTTP_PROXY.* is no URL of a proxy",
    ),
    "no certificates": ({"REQUESTS_CA_BUNDLE": "/no/such/file.pem"}, "REQUESTS_CA_BUNDLE .*'/no/such/file.pem'"),
    "certificates for curl": ({"CURL_CA_BUNDLE": __file__}, "CURL_CA_BUNDLE .* is no file of certificates"),
}


@pytest.mark.parametrize(("environment", "told"), MISCONFIGURED.values(), ids=MISCONFIGURED)
def test_what_is_wrong_in_the_environment_is_named_and_not_asked_again(transport, monkeypatch, environment, told):
    for name in ("NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=told) as caught:
        transport(get(f"http{'s' * told.endswith(BUNDLES)}://nowhere.invalid/"))
    assert "canary" not in "".join(map(str, chain_of(caught.value)))


def chain_of(error):
    """An error, and all that hangs on to it."""
    while error:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://a:99999/", "http://a:port/", "http://\ud83d/", "ftp://a", "", "\x00"]
)
def test_no_address_is_a_raw_error(transport, url):
    assert isinstance(transport(get(url)), Lost)


def test_libraries_write_nothing_of_a_request_into_the_log(transport, caplog):
    """A report of others: urllib3 warns of headers that it cannot parse, with the URL and all that the server said."""
    caplog.set_level("DEBUG")
    echo = b"HTTP/1.1 200 OK\r\nnone: but\r\nsecret-canary\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda connection: connection.sendall(echo)) as (url, _):
        transport(get(f"{url}/history?token=url-canary"))
    assert "canary" not in caplog.text
    logging.getLogger("urllib3.connectionpool").warning("of another library")
    assert "of another library" in caplog.text
