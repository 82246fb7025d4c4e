"""The trigger by itself: it always says something, that is short, and strangers in its triggerer do not wait for it."""

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from optimove_provider.contract.wire.outside import MAX_MESSAGE
from optimove_provider.sensors.dcp import DcpUploadSensor
from optimove_provider.triggers.dcp import THREADS, DcpUploadTrigger

WORKING = {
    "table_id": 7,
    "s3_keys": ["dcp/1/7/f.csv"],
    "dcp_conn_id": "dcp_default",
    "poll_seconds": 0.01,
    "first_poll_seconds": 0,
    "max_failed_polls": 0,
}


def event_of(**changed):
    """The one event of a trigger, as Airflow stores it."""

    async def events():
        return [event.payload async for event in DcpUploadTrigger(**{**WORKING, **changed}).run()]

    (payload,) = asyncio.run(events())
    return json.loads(json.dumps(payload))


BROKEN = {
    "no such connection": {"dcp_conn_id": "there_is_none"},
    "a time that is no number": {"poll_seconds": float("nan")},
    "a time that no clock has": {"first_poll_seconds": 1e20},
    "a time that is infinite": {"first_poll_seconds": float("inf")},
    "a time that is a text": {"first_poll_seconds": "soon"},
    "samples of another version": {"samples": [{"s3_key": "f.csv"}]},
    "samples that are none": {"samples": 7},
    "an old number of polls": {"max_failed_polls": None, "dcp_conn_id": "broken_dcp"},
}


@pytest.mark.parametrize("changed", BROKEN.values(), ids=BROKEN)
def test_it_says_something_whatever_is_wrong(emulator, monkeypatch, changed):
    """A report against Airflow: a trigger that ends without an event leaves its task deferred for ever."""
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN_DCP", json.dumps({"conn_type": "optimizely_dcp", "host": "http://a b"}))
    payload = event_of(**changed)
    assert set(payload) == {"error", "retry_helps"}
    waiting = DcpUploadSensor(task_id="wait", table_id=7, s3_key="f.csv")
    with pytest.raises(AirflowException) as raised:
        waiting.execute_complete({}, payload)
    assert isinstance(raised.value, AirflowFailException) is not payload["retry_helps"]


@pytest.mark.parametrize("name", ["poll_seconds", "first_poll_seconds"])
def test_a_time_that_is_none_is_named(emulator, name):
    assert event_of(**{name: float("nan")})["error"].startswith(f"{name}=nan: expected a timedelta or seconds")


@pytest.fixture
def answering(emulator, change_connection):
    """A function that has the history answered so; it gives the connections that came, which are held until `go`."""
    go, arrived = threading.Event(), []

    def answer(connection, body):
        with connection:
            connection.recv(65536)
            go.wait(30)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def serve(listening, body):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            arrived.append(connection)
            threading.Thread(target=answer, args=[connection, body]).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def start(body):
            threading.Thread(target=serve, args=[listening, body], daemon=True).start()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}/{{table_id}}"
            change_connection("dcp_default", extra={"upload_history_url": url})
            return go, arrived

        yield start
        go.set()
        listening.shutdown(socket.SHUT_RDWR)


def test_strangers_in_the_same_triggerer_do_not_wait(answering):
    """Six answers that came slowly once filled the threads that all triggers of a triggerer share."""
    go, arrived = answering(b'[{"file": "f.csv", "status": "completed"}]')

    async def all_at_once():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        ours = [asyncio.ensure_future(anext(DcpUploadTrigger(**WORKING).run())) for _ in range(6)]
        while len(arrived) < 6:
            await asyncio.sleep(0.01)
        stranger = await asyncio.wait_for(asyncio.to_thread(lambda: "done"), 20)
        still = [one.done() for one in ours]
        go.set()
        return stranger, still, [event.payload for event in await asyncio.gather(*ours)]

    stranger, still, payloads = asyncio.run(asyncio.wait_for(all_at_once(), 60))
    assert (stranger, still) == ("done", [False] * 6)
    assert [one["outcome"]["state"] for one in payloads] == ["done"] * 6


def test_they_share_connections(emulator, change_connection):
    """A thousand that poll at once are to connect as often as they have threads, and not a thousand times."""
    connections = []

    class History(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self):
            super().setup()
            connections.append(self)

        def do_GET(self):
            body = b'[{"file": "f.csv", "status": "completed"}]'
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), History) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{{table_id}}"
        change_connection("dcp_default", extra={"upload_history_url": url})
        for _ in range(2 * THREADS):
            assert event_of()["outcome"]["state"] == "done"
        server.shutdown()
    assert len(connections) <= THREADS


@pytest.mark.parametrize(
    ("entry", "member"),
    [
        ({"file": "f.csv", "status": "failed", "message": "x" * 5_000_000}, "outcome"),
        ({"file": "f.csv", "status": "f" * 5_000_000}, "outcome"),
        ({"file": "f.csv", "status": {"x": "y" * 5_000_000}}, "error"),
        ({"file": "f.csv", "status": "failed", "message": "NUL \0 and half a character \ud83d"}, "outcome"),
    ],
)
def test_an_event_is_short_and_something_that_a_database_takes(answering, entry, member):
    go, _ = answering(json.dumps([entry]).encode())
    go.set()
    told = event_of()[member]
    assert len(json.dumps(told)) < MAX_MESSAGE
    assert not [one for one in ("\0", "\ud83d") if one in (told if member == "error" else "".join(texts_of(told)))]


def texts_of(outcome):
    return [str(value) for entry in outcome["entries"] for value in entry.values()]


def test_an_exception_is_short_too(answering):
    failed = {"file": "f.csv", "status": "failed", "message": "x" * 10_000_000}
    go, _ = answering(json.dumps([failed]).encode())
    go.set()
    waiting = DcpUploadSensor(task_id="wait", table_id=7, s3_key=["f.csv"], deferrable=False)
    with pytest.raises(AirflowFailException) as raised:
        waiting.execute({})
    assert len(str(raised.value)) < MAX_MESSAGE
