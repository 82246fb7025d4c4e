"""Real sockets: what becomes of a request when the other side refuses, drops, redirects or says nothing."""

import datetime
import ipaddress
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from optimove_provider import __version__
from optimove_provider.clients.transport import Transport
from optimove_provider.contract.wire.messages import Lost, Request, Response

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Name: Value\r\n\r\n{}"


def read_request(connection):
    """The head, as lines, and the body."""
    with connection.makefile("rb") as stream:
        head = [line.decode().rstrip() for line in iter(stream.readline, b"\r\n")]
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
                respond(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
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
    assert answer == Response(200, b"{}", {"content-length": "2", "x-name": "Value"})


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
