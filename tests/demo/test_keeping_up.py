"""What `make up` keeps from one start to the next."""

import json
import socket
import sqlite3
from contextlib import closing

import pytest

from optimove_provider.demo import airflow_home, keeping_up, warehouse
from optimove_provider.emulator import EmulatorServer
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from tests.support.running import context


@pytest.fixture
def made(tmp_path):
    return airflow_home.connections("http://127.0.0.1:8099", "http://127.0.0.1:8100", tmp_path / "warehouse.db")


def exported(fields, **changed):
    """A connection as `airflow connections export` writes it."""
    extra = json.dumps(fields["extra"]) if "extra" in fields else ""
    return {"login": None, "schema": None, "port": None, **fields, "extra": extra, **changed}


@pytest.mark.parametrize("conn_id", ["optix_default", "dcp_default", "warehouse_default"])
def test_a_connection_that_nobody_edited_is_known_again_and_an_edited_one_too(made, conn_id):
    fields = made[conn_id]
    assert keeping_up._is_made_of(exported(fields), fields)
    assert not keeping_up._is_made_of(exported(fields, host="https://the.vendors"), fields)
    if "password" in fields:
        assert not keeping_up._is_made_of(exported(fields, password="another"), fields)
        assert not keeping_up._is_made_of(exported(fields, extra='{"region": "eu-west-1"}'), fields)


def test_the_days_with_data_are_those_of_the_orders_and_there_are_none_before(tmp_path):
    database = tmp_path / "warehouse.db"
    assert warehouse.days(database) is None
    database.touch()  # as a start that was interrupted left it
    assert warehouse.days(database) is None
    warehouse.load_orders(database)
    assert warehouse.days(database) == ("1997-01-01", "1998-06-30")


def test_a_view_has_the_profiles_that_the_readme_selects(tmp_path):
    database = tmp_path / "warehouse.db"
    warehouse.load_orders(database)
    with closing(sqlite3.connect(database)) as connection:
        assert sorted(connection.execute("SELECT * FROM customer_profiles")) == list(warehouse.profiles(database))


def test_loads_go_on_when_the_emulator_is_on_other_ports(airflow_db, tmp_path, monkeypatch):
    def run():
        with EmulatorServer(state_file=tmp_path / "emulator.jsonl") as emulator:
            connections = keeping_up.connections_to(emulator, tmp_path / "warehouse.db")
            for name, fields in airflow_home.as_variables(connections).items():
                monkeypatch.setenv(name, fields)
            create = OptixCreateConnectionOperator(task_id="create", name="on ports", primary_key="id")
            uuid = create.execute(context(create))
            rows = [{"id": str(number)} for number in range(30)]
            upload = OptixUploadOperator(
                task_id="upload", data_connection_uuid=uuid, primary_key="id", source=rows, mode="changed"
            )
            result = upload.execute(context(upload))
            return emulator.port, uuid, result["accepted"], result["unchanged"]

    first, second = run(), run()
    assert first[0] != second[0]
    assert first[1:] == (second[1], 30, 0)
    assert second[2:] == (0, 30)


def test_ports_that_are_taken_are_named_with_the_command_for_others(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert keeping_up.keep_up(tmp_path, tmp_path, port, 1) == 1
    told = capsys.readouterr().err
    assert f"port {port}" in told
    assert 'make up UP="--port 8081 --emulator-port 8199"' in told


def free_ports():
    """Two that nobody has now; somebody else may take one, or the next one to it, before they are used."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def test_a_second_one_in_the_same_folder_says_that_the_first_is_running(tmp_path, capsys):
    with EmulatorServer(state_file=tmp_path / "emulator.jsonl"):
        for _ in range(5):
            assert keeping_up.keep_up(tmp_path, tmp_path, *free_ports()) == 1
            told = capsys.readouterr().err
            if not told.startswith("Taken on"):
                break
    assert "belongs to an emulator that is running" in told
