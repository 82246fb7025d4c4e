"""Loads, plans, history and ledgers from the command line: on the emulator, with the connections of Airflow."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.models.connection import Connection
from airflow.utils.session import create_session

from optimove_provider.cli import main
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator


@pytest.fixture
def connection(emulator) -> str:
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def table(emulator) -> int:
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    table = DcpCreateTableOperator(task_id="table", service_id=service, name="T", keyfield_locator_type="uid")
    attributes = {"ltv": "long"}
    return DcpRegisterAttributesOperator(
        task_id="attributes", table_id=table.execute({}), attributes=attributes
    ).execute({})


@pytest.fixture
def customers(tmp_path) -> Path:
    path = tmp_path / "customers.csv"
    path.write_text("id,word\n1,well\n2,poison\n3,well\n")
    return path


def printed(capfd):
    """The result, which is JSON; in these tests Airflow logs to stdout too."""
    out = capfd.readouterr().out
    begin = min(found for found in (f"\n{out}".rfind("\n{\n"), f"\n{out}".rfind("\n[")) if found >= 0)
    return json.loads(f"\n{out}"[begin:])


def as_json(capfd, *arguments, code=0):
    capfd.readouterr()
    assert main([*map(str, arguments), "--output", "json"]) == code
    return printed(capfd)


def test_a_load_its_history_and_what_the_ledger_has_of_a_key(emulator, connection, customers, capfd):
    into = ("--data-connection", connection, "--primary-key", "id", "--mode", "changed")
    emulator.state.switches = Switches(poison="poison")
    planned = as_json(capfd, "plan", customers, *into)
    assert (planned["state"], planned["plan"]["new"]) == ("planned", 3)
    assert not emulator.state.connections[connection].visible(emulator.state.clock())
    account = as_json(capfd, "load", customers, *into, "--set", "max_rejected=1", code=1)
    assert (account["state"], account["accepted"], account["rejected"]) == ("committed", 2, 1)
    assert set(emulator.state.connections[connection].visible(emulator.state.clock())) == {"1", "3"}

    listed = as_json(capfd, "history", "--target", connection)
    assert [(load["state"], load["rows"]) for load in listed] == [("committed", 3), ("planned", 3)]
    told = as_json(capfd, "history", account["load_id"], code=1)
    assert told["task"].startswith("command line of ")
    assert [row["row"] for row in told["rejected_rows"]] == ["2"]

    (ledger,) = as_json(capfd, "ledger", "list")
    assert (ledger["target"], ledger["rows"]) == (connection, 2)
    (sighting,) = as_json(capfd, "ledger", "show", connection, "1")
    assert (sighting["state"], sighting["load_id"], json.loads(sighting["record"])["word"]) == (
        "live",
        account["load_id"],
        "well",
    )
    assert as_json(capfd, "ledger", "show", connection, "unknown", code=1) == []


def test_an_import_that_was_interrupted_goes_on(emulator, table, tmp_path, capfd):
    path = tmp_path / "profiles.csv"
    path.write_text("customerId,ltv\nc1,7\n")
    begun = as_json(capfd, "load", path, "--table", table, "--no-wait")
    assert begun["state"] == "uploaded"
    ended = as_json(capfd, "load", path, "--table", table, "--load-id", begun["load_id"], "--set", "poke_interval=0.1")
    assert (ended["state"], ended["accepted"], ended["s3_keys"]) == ("committed", 1, begun["s3_keys"])
    assert emulator.state.tables[table].profiles == {"c1": {"ltv": 7}}


@pytest.mark.parametrize("load_id", ["abc", "../../x", "", "2026-01-01"])
def test_what_is_no_load_id_is_refused(emulator, table, customers, capfd, load_id):
    before = list(emulator.state.objects.list())
    code = main(["load", str(customers), "--table", str(table), f"--load-id={load_id or ' '}"])
    assert (code, list(emulator.state.objects.list())) == (2, before)
    assert "expected the uuid that the interrupted load told" in capfd.readouterr().err


def test_a_load_into_another_target_is_not_gone_on_with(emulator, connection, table, customers, tmp_path, capfd):
    path = tmp_path / "profiles.csv"
    path.write_text("customerId,ltv\nc1,7\n")
    begun = as_json(capfd, "load", path, "--table", table, "--no-wait")
    into = ["--data-connection", connection, "--primary-key", "id"]
    assert main(["load", str(customers), *into, "--load-id", begun["load_id"].upper()]) == 2
    assert f"that load went into dcp:{table}" in capfd.readouterr().err
    assert not emulator.state.connections[connection].visible(emulator.state.clock())


@pytest.fixture
def owing(emulator, connection, customers, capfd):
    """Arguments of a load; 2, 3 and 4 are owed, and have been sent again as often as they may be."""
    into = ("--data-connection", connection, "--primary-key", "id", "--set", "max_rejected=5")
    how = (*into, "--set", "resend_rejected=true", "--set", 'sending={"owed_tries": 1}')
    emulator.state.switches = Switches(poison="poison")
    customers.write_text("id,word\n1,well\n2,poison\n3,poison\n4,poison\n")
    assert as_json(capfd, "load", customers, *how, code=1)["owed"]["left"] == 3
    customers.write_text("id,word\n5,well\n")
    assert as_json(capfd, "load", customers, *how)["owed"]["rejected_again"] == 3
    return how


def test_what_is_owed_is_listed(connection, customers, owing, capfd):
    assert as_json(capfd, "load", customers, *owing)["owed"]["sent"] == 0
    (ledger,) = as_json(capfd, "ledger", "list")
    assert ledger["owed"] == 3
    found = as_json(capfd, "ledger", "owed", connection)
    assert [(row["key"], row["tries"], row["record"]["word"]) for row in found] == [(key, 1, "poison") for key in "234"]
    assert as_json(capfd, "ledger", "owed", connection, "3", "--load-id", found[0]["load_id"]) == found[1:2]
    assert as_json(capfd, "ledger", "owed", connection, "77", code=1) == []
    assert main(["ledger", "owed", connection]) == 0
    assert "holds a value that is refused" in capfd.readouterr().out


def test_what_is_owed_is_saved_and_mended_let_go_again_or_dropped(
    emulator, connection, customers, owing, tmp_path, capfd
):
    """What is saved and mended goes with a replay, as old as it is; then nothing is owed of it any more."""
    about = ("ledger", "owed", connection)
    assert main([*about, "2", "--drop"]) == 2
    assert "nobody can be asked here whether that is to be dropped: add --yes" in capfd.readouterr().err
    assert main([*about, "2", "--drop", "--yes"]) == 0
    assert main([*about, "3", "--again"]) == 0
    assert {(row["key"], row["tries"]) for row in as_json(capfd, *about)} == {("4", 1), ("3", 0)}
    saved = tmp_path / "owed.jsonl"
    assert main([*about, "4", "--save", str(saved)]) == 0
    assert main([*about, "4", "--save", str(saved)]) == 2, "what is there already is kept"
    saved.write_text(saved.read_text().replace('"word":"poison"', '"word":"mended"'))
    replayed = as_json(capfd, "replay", saved)
    assert (replayed["accepted"], replayed["owed"]["dropped_because"]) == (1, {"own_rows": 1})
    emulator.state.switches = Switches()
    assert as_json(capfd, "load", customers, *owing)["owed"]["accepted"] == 1
    found = emulator.state.connections[connection].visible(emulator.state.clock())
    words = {key: one.data["word"] for key, one in found.items()}
    assert words == {"1": "well", "3": "poison", "4": "mended", "5": "well"}


def test_people_are_told_who_counted_the_rows(emulator, table, tmp_path, capfd):
    path = tmp_path / "profiles.csv"
    path.write_text("customerId,ltv\nc1,7\nc2,8\n")
    for more, words in (
        (["--no-wait"], "counted by nobody: the files are uploaded"),
        (["--set", "poke_interval=0.1", "--set", "verify=sample"], "c"),
    ):
        assert main(["load", str(path), "--table", str(table), *more]) == 0
        told = capfd.readouterr()
        assert re.search(rf"evidence +{words}", told.out)
        load_id = next(word for word in told.err.split() if word.endswith(":") and word.count("-") == 4)[:-1]
        assert main(["history", load_id]) == 0
        assert re.search(rf"evidence +{words}", capfd.readouterr().out)


def test_people_get_tables(emulator, connection, customers, capfd):
    into = ("--data-connection", connection, "--primary-key", "id")
    assert main(["load", str(customers), *into]) == 0
    told = capfd.readouterr()
    load_id = next(word for word in told.err.split() if word.endswith(":") and word.count("-") == 4)[:-1]
    assert main(["history"]) == 0
    assert load_id in capfd.readouterr().out
    assert main(["history", load_id]) == 0
    assert f"optix:{connection} at http" in capfd.readouterr().out
    assert main(["ledger", "show", connection, "1"]) == 0
    assert "accepted, and there" in capfd.readouterr().out
    assert main(["ledger", "show", connection]) == 0
    assert connection in capfd.readouterr().out


def test_what_failed_is_told_for_who_runs_a_command(emulator, connection, tmp_path, capfd):
    (tmp_path / "odd.csv").write_text("other,word\n1,well\n")
    assert main(["load", str(tmp_path / "odd.csv"), "--data-connection", connection, "--primary-key", "id"]) == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert told.startswith("load: the key column 'id' is missing")
    assert told.endswith("Nothing of this load is visible. Mend the source, then run the command again")
    (listed,) = as_json(capfd, "history", "--state", "failed")
    assert listed["problem"].startswith("the key column 'id' is missing")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["load", "a.csv"], "give either --data-connection UUID"),
        (["load", "a.csv", "--data-connection", "x"], "--primary-key is lacking"),
        (["plan", "a.csv", "--table", "7", "--primary-key", "id"], "--primary-key is for Opti-X"),
        (["plan", "a.csv", "--table", "7", "--set", "mdoe=full"], "--set mdoe: expected one of"),
        (["plan", "a.csv", "--table", "7", "--set", "mode"], "'mode': expected NAME=VALUE"),
        (["plan", "a.csv", "--table", "7", "--set", "max_rejected=many"], "max_rejected"),
        (["history", "nothing"], "no load 'nothing' is known"),
        (["ledger", "show", "nobody"], "nobody"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(emulator, arguments, complaint, capfd):
    assert main(arguments) == 2
    told = capfd.readouterr()
    assert complaint in told.err
    assert "Traceback" not in told.err


def test_connections_that_are_kept_in_the_database_are_found(emulator, airflow_db, table):
    with create_session() as session:
        stored = json.loads(os.environ["AIRFLOW_CONN_DCP_DEFAULT"])
        named = {name: value for name, value in stored.items() if name != "extra"}
        session.add(Connection(conn_id="made_in_the_ui", extra=json.dumps(stored["extra"]), **named))
    command = [sys.executable, "-m", "optimove_provider", "template", "--table", str(table)]
    done = subprocess.run([*command, "--dcp-conn-id", "made_in_the_ui"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "customerId,ltv\n"), done.stderr
