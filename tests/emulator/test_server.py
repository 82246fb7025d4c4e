"""Over HTTP: the same answers as in process, real S3, lost connections, a clean stop."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from urllib.parse import urlsplit

import boto3
import pytest
import requests
from botocore.config import Config

from optimove_provider.emulator import (
    API_KEY,
    AWS_ACCESS_KEY,
    AWS_SECRET_KEY,
    BRAND_KEY,
    TOKEN,
    EmulatorServer,
    State,
    Switches,
)

BATCH = "7f4cdd7e-5a80-4b62-a6b3-12a8a5a12c59"
BUCKET = "optimizely-import"


@pytest.fixture
def server(clock):
    with EmulatorServer(state=State(clock=clock, seed="test")) as server:
        yield server


@pytest.fixture
def s3(server):
    client = boto3.client(
        "s3",
        endpoint_url=server.s3_url,
        region_name="us-east-1",
        aws_access_key_id=AWS_ACCESS_KEY,
        aws_secret_access_key=AWS_SECRET_KEY,
        config=Config(proxies={}),
    )
    with closing(client):
        yield client


@pytest.fixture
def session(server):
    with requests.Session() as session:
        session.trust_env = False
        yield session


def conversation(put):
    """What both emulators are asked, in order; each step may use the answers so far. `put` stores an object."""
    optix, dcp = "/api/data-connections/v1", "/experiment/v1"
    seen = []
    seen.append((yield "GET", optix, None))
    seen.append((yield "POST", f"{optix}/connections", {"name": "ö", "primary_key": "id"}))
    upload = f"{optix}/connections/{seen[-1]['data_connection_uuid']}/upload_data"
    yield "POST", upload, {"data": [{"id": 1, "x": "é"}], "batch_uuid": BATCH, "batch_completed": False}
    yield "POST", upload, {"data": [{"id": "b"}], "batch_uuid": BATCH, "ttl_seconds": 60}
    yield "POST", upload, {"data": [{"x": 1}]}
    yield "POST", upload.replace("connections/", "connections/%2F"), {"data": []}
    yield "PUT", upload, {}
    yield "PUT", upload.replace("upload_data", "update_data"), [{"primary_key": 1, "data": {"x": "ü"}, "ttl": 60}]
    service = yield "POST", f"{dcp}/dcp_services", {"name": "s"}
    yield "POST", f"{dcp}/dcp_services", {"name": "s"}
    wanted = {"name": "T", "keyfield_locator_type": "uid"}
    table = yield "POST", f"{dcp}/dcp_services/{service['id']}/dcp_datasources/", wanted
    attributes = f"{dcp}/dcp_datasources/{table['id']}/dcp_datasource_attributes"
    yield "POST", attributes, {"name": "LTV", "datatype": "long"}
    yield "GET", attributes, None
    yield "GET", f"{dcp}/dcp_datasources/{table['id']}?x=1", None
    put(f"{table['s3_path']}/a b.csv", b"customerId,LTV\n1,5\n")
    put(f"{table['s3_path']}/bad.csv", b"customerId,LTV\n1,five\n")
    yield "GET", f"/_emulator/uploads/{table['id']}", None
    yield "GET", "/_emulator/uploads", None
    yield "GET", "/_emulator/state", None
    yield "POST", "/_emulator/faults", {"status": 503, "headers": {"Retry-After": "1"}, "body": "later"}
    yield "GET", f"{dcp}/dcp_services", None
    yield "GET", "/nowhere", None
    yield "GET", "/_emulator/", None


def hold(conversation, ask):
    """Ask what the conversation asks; returns (status, body, content type) of each answer."""
    answers, answer = [], None
    while True:
        try:
            method, url, value = conversation.send(answer)
        except StopIteration:
            return answers
        status, body, content_type = ask(method, url, value)
        answer = json.loads(body) if content_type == "application/json" else None
        if url == "/_emulator/state":  # whoever puts files over S3 meets switches that nobody meets in process
            body = json.dumps({name: told for name, told in answer.items() if name != "switches_met"})
        answers.append((method, url, status, body, content_type))


def test_it_answers_in_process_what_it_answers_over_http(server, session, s3, ask, objects, keys):
    def in_process(method, url, value):
        answer = ask(method, url, value)
        return answer.status, answer.body, answer.headers.get("content-type")

    def over_http(method, url, value):
        # The start page names the emulator as it was asked, and in process it was not.
        headers = {**keys, "Host": "127.0.0.1:8099"}
        answer = session.request(method, server.url + url, json=value, headers=headers, timeout=10)
        return answer.status_code, answer.content, answer.headers.get("content-type")

    def put(key, data):
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)

    expected = hold(conversation(objects.put), in_process)
    assert hold(conversation(put), over_http) == expected
    assert [status for _, _, status, _, _ in expected].count(200) >= 8


def test_both_versions_of_a_key_are_seen_and_imported_in_order(server, session, s3, keys):
    service = session.post(f"{server.url}/experiment/v1/dcp_services", json={"name": "s"}, headers=keys).json()
    (table,) = session.get(
        f"{server.url}/experiment/v1/dcp_services/{service['id']}/dcp_datasources", headers=keys
    ).json()
    key = f"{table['s3_path']}/a.csv"
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=key, Body=f"customerId\n{number}\n".encode())
    s3.delete_object(Bucket=BUCKET, Key=key)
    history = session.get(f"{server.url}/_emulator/uploads/{table['id']}").json()
    assert [entry["file"] for entry in history] == [key] * 3
    state = session.get(f"{server.url}/_emulator/state").json()
    assert list(state["tables"][0]["profiles"]) == ["0", "1", "2"]


def test_a_new_server_does_not_import_what_an_earlier_one_was_sent(clock, s3, server, session, keys):
    service = session.post(f"{server.url}/experiment/v1/dcp_services", json={"name": "s"}, headers=keys).json()
    (table,) = session.get(
        f"{server.url}/experiment/v1/dcp_services/{service['id']}/dcp_datasources", headers=keys
    ).json()
    s3.put_object(Bucket=BUCKET, Key=f"{table['s3_path']}/a.csv", Body=b"customerId\n1\n")
    with EmulatorServer(state=State(clock=clock, seed="test")) as second:
        session.post(f"{second.url}/experiment/v1/dcp_services", json={"name": "s"}, headers=keys)
        assert session.get(f"{second.url}/_emulator/state").json()["tables"][0]["id"] == table["id"]
        assert session.get(f"{second.url}/_emulator/uploads").json() == []
    assert len(session.get(f"{server.url}/_emulator/uploads").json()) == 1


@pytest.mark.parametrize(("lost", "services"), [("before", 0), ("after", 1)])
def test_a_lost_connection_is_reset_without_an_answer(server, session, keys, lost, services):
    url = f"{server.url}/experiment/v1/dcp_services"
    session.post(f"{server.url}/_emulator/faults", json={"lost": lost})
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        session.post(url, json={"name": "s"}, headers=keys)
    assert len(session.get(url, headers=keys).json()) == services


def test_latency_holds_back_an_answer_of_an_api_and_no_other_request(server, keys):
    server.state.switches = Switches(latency_seconds=3600)
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as waiting:
        waiting.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        while not raw(server, "GET /_emulator/requests HTTP/1.0").endswith('"lost": null}]'):
            pass
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)


def raw(server, head):
    """Send these lines, return all that comes back until the server hangs up."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "QUERY", "PATCH"])
def test_a_method_that_no_row_has_is_refused_by_the_api(server, session, keys, method):
    for _ in range(2):  # the connection goes on
        answer = session.request(method, f"{server.url}/experiment/v1/projects", headers=keys, timeout=10)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        assert bool(answer.content) is (method != "HEAD")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"Content-Length: {64 * 2**20 + 1}", 413),
        ("Content-Length: 99999999999999999999999999", 413),
        ("Content-Length: -1", 400),
        ("Transfer-Encoding: chunked", 411),
    ],
)
def test_bodies_that_are_not_read(server, header, status):
    answer = raw(server, f"POST /experiment/v1/dcp_services HTTP/1.1\r\nHost: x\r\n{header}")
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert "connection: close" in answer


def test_a_client_that_asks_whether_to_go_on_is_told_at_once(server):
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_it_stops_while_a_client_keeps_its_connection_open(clock):
    with EmulatorServer(state=State(clock=clock)) as server:
        address = urlsplit(server.url)
        idle = socket.create_connection((address.hostname, address.port), timeout=10)
        idle.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 404 ")
    with idle:
        assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=10)


def two_free_ports():
    """A port whose next one is free too."""
    for port in range(20_000 + os.getpid() % 101, 60_000, 101):  # tests of other processes look for some, too
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 1)):
                return port
        except OSError:
            continue
    raise RuntimeError("no two free ports")


def test_s3_takes_the_next_port(clock):
    port = two_free_ports()
    with EmulatorServer(port=port, state=State(clock=clock)) as server:
        assert (server.url, server.s3_url) == (f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")


@pytest.mark.parametrize("taken", [0, 1])
def test_a_port_that_is_taken_is_an_error_and_nothing_stays_behind(clock, taken):
    port = two_free_ports()
    with socket.create_server(("127.0.0.1", port + taken)), pytest.raises(OSError, match="in use"):
        EmulatorServer(port=port, state=State(clock=clock)).__enter__()
    with socket.create_server(("127.0.0.1", port + 1 - taken)) as other:
        assert other.getsockname()[1] == port + 1 - taken


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "optimove_provider.emulator", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_where_it_is_and_stops_on_a_signal(session, number):
    port = two_free_ports()
    with start("--port", str(port)) as process:
        welcome = "".join(process.stdout.readline() for _ in range(6))
        assert f"http://127.0.0.1:{port}/_emulator/" in welcome
        assert session.get(f"http://127.0.0.1:{port}/_emulator/").status_code == 200
        process.send_signal(number)
        assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 0
    assert [word for word in (API_KEY, BRAND_KEY, TOKEN, "Ctrl-C") if word not in welcome] == []


def test_the_command_says_that_a_port_is_taken():
    port = two_free_ports()
    with socket.create_server(("127.0.0.1", port)), start("--port", str(port)) as process:
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert out == ""
    assert f"port {port}" in errors
    assert "in use" in errors
    assert "Traceback" not in errors


def test_the_command_says_what_to_install_when_moto_is_missing():
    program = (
        "import sys; sys.modules['moto'] = None; from optimove_provider.emulator.__main__ import main; "
        "sys.exit(main(['--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "pip install airflow-provider-optimove[emulator]" in done.stderr
    assert "Traceback" not in done.stderr
