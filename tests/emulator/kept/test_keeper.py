"""A state in a file: soon after a change, at the end, and when something is wrong with the file."""

import signal
import stat
import subprocess
import sys
import threading
import time

import boto3
import pytest
import requests
from botocore.config import Config

from optimove_provider.emulator import AWS_ACCESS_KEY, AWS_SECRET_KEY, EmulatorServer, State
from optimove_provider.emulator.kept.keeper import Keeper
from optimove_provider.emulator.kept.state_file import StateFile, TooLarge

BASE = "/api/data-connections/v1/connections"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "emulator" / "state.jsonl"


def connect(server, keys, name="mine"):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(f"{server.url}{BASE}", json={"name": name, "primary_key": "id"}, headers=dict(keys))
        return answer.json()["data_connection_uuid"]


def names(file):
    state = State()
    StateFile(file).load(state)
    return [connection.name for connection in state.connections.values()]


def test_a_server_goes_on_with_what_the_one_before_held(file, keys):
    with EmulatorServer(state_file=file) as server:
        first = connect(server, keys)
        bucket = boto3.client(
            "s3",
            endpoint_url=server.s3_url,
            region_name="us-east-1",
            aws_access_key_id=AWS_ACCESS_KEY,
            aws_secret_access_key=AWS_SECRET_KEY,
            config=Config(proxies={}),
        )
        bucket.put_object(Bucket="optimizely-import", Key="dcp/kept.csv", Body=b"x")
        bucket.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with EmulatorServer(state_file=file) as server:
        assert list(server.state.connections) == [first]
        assert "dcp/kept.csv" in {found.key for found in server.state.objects.held()}
        assert connect(server, keys, "second") != first
        assert str(file) in server.state.keeping


def test_a_change_is_in_the_file_soon_after_and_a_look_is_none(file, keys):
    with EmulatorServer(state_file=file) as server:
        requests.get(f"{server.url}/_emulator/", proxies={"http": ""}, timeout=10)
        connect(server, keys)
        until = time.monotonic() + 20
        while not (file.exists() and names(file)) and time.monotonic() < until:
            time.sleep(0.1)
        assert names(file) == ["mine"]


def test_two_emulators_cannot_have_one_file(file):
    with EmulatorServer(state_file=file), pytest.raises(RuntimeError, match="belongs to an emulator that is running"):
        EmulatorServer(state_file=file).__enter__()
    with EmulatorServer(state_file=file):
        pass


def test_a_broken_file_is_set_aside_and_said(file, capsys):
    file.parent.mkdir()
    for number in (1, 2):
        file.write_bytes(b"\xff nothing")
        with EmulatorServer(state_file=file) as server:
            assert server.state.connections == {}
            assert f"It is {file}.broken-{number} now" in server.state.keeping
        assert f"{file} cannot be read" in capsys.readouterr().err
        assert file.with_name(f"state.jsonl.broken-{number}").read_bytes() == b"\xff nothing"
    assert names(file) == []


def test_a_state_that_is_too_large_leaves_the_file_as_it_was(file, state, ask, connection, capsys):
    small = StateFile(file, most_bytes=1500)
    small.take()
    small.write(state)
    small.replace()
    ask.json("POST", f"{connection}/upload_data", {"data": [{"id": "x" * 2000}]})
    with pytest.raises(TooLarge):
        small.write(state)
    assert names(file) == ["My Data Connection"]
    small.let_go()
    keeper = Keeper(StateFile(file, most_bytes=1500), State(), threading.Lock(), pause_seconds=0)
    keeper.start()
    keeper._state.violations.append("y" * 2000)
    keeper.stop()
    assert "takes more than 1500 bytes" in keeper._state.keeping
    assert "takes more than 1500 bytes" in capsys.readouterr().err
    assert names(file) == ["My Data Connection"]


def test_a_file_that_is_too_large_is_not_read(file):
    file.parent.mkdir()
    file.write_text("x" * 2000)
    assert "more than 1500 bytes" in StateFile(file, most_bytes=1500).load(State())


def test_the_program_keeps_its_state_over_a_sigterm(file, keys):
    command = [sys.executable, "-m", "optimove_provider.emulator", "--port", "0", "--state-file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        page = next(line for line in process.stdout if "start page" in line).split()[-1]
        base = page.removesuffix("/_emulator/")
        wanted = {"name": "kept", "primary_key": "id"}
        requests.post(f"{base}{BASE}", json=wanted, headers=dict(keys), proxies={"http": ""}, timeout=10)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert f"It is kept in {file}." in rest
    assert names(file) == ["kept"]
