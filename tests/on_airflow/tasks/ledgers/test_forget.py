"""Ledgers that a person begins anew by the command."""

import io
import sys

import pytest

from optimove_provider.cli import main
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.optix import OptixHook
from optimove_provider.loads.ledger import compaction
from optimove_provider.loads.ledger.lease import LeaseLost, acquire
from optimove_provider.loads.ledger.ledger import Ledger, ledger_of
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from optimove_provider.tasks.staging import staging
from tests.support.running import run

pytestmark = pytest.mark.any_version

ROWS = [{"id": number, "word": "well"} for number in range(1, 4)]


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def ledger(emulator, connection):
    """The ledger of a connection after one load."""
    assert upload(connection)["accepted"] == 3
    with OptixHook().get_conn() as client:
        return ledger_of(staging(), "optix", client.settings.host, connection)


def upload(connection, **settings):
    rows = settings.pop("rows", ROWS)
    wanted = {"data_connection_uuid": connection, "primary_key": "id", "source": rows, "mode": "changed", **settings}
    return run(OptixUploadOperator(task_id="upload", **wanted))


def forget(capfd, *arguments):
    """The exit code, and what was printed and told."""
    capfd.readouterr()
    code = main(["ledger", "forget", *arguments])
    told = capfd.readouterr()
    return code, told.out, told.err


def files(ledger):
    return staging().names(f"{ledger.manifest_file.folder}/layers")


def test_a_ledger_begins_anew_and_the_next_load_sends_everything(emulator, connection, ledger, capfd):
    assert upload(connection)["unchanged"] == 3
    version = ledger.read().version
    code, out, err = forget(capfd, connection, "--yes")
    assert (code, "data connection" in out, connection in out, "forgotten: " in out) == (0, True, True, True)
    assert "3 rows, keys of type string" in err
    assert "The next load sends every row" in err
    assert "nothing keeps an older one from overwriting newer records" in err
    assert (ledger.read().layers, ledger.read().holder, files(ledger)) == ((), None, [])
    assert ledger.read().version > version
    assert upload(connection)["accepted"] == 3


def test_keys_may_be_of_another_type_after_it(emulator, connection, ledger, capfd):
    with pytest.raises(Exception, match=f"airflow optimove ledger forget {connection}"):
        upload(connection, key_type="integer")
    assert forget(capfd, connection, "--yes")[0] == 0
    assert upload(connection, key_type="integer")["accepted"] == 3
    assert ledger.read().key_type == "integer"


def test_nothing_is_forgotten_by_a_dry_run(emulator, connection, ledger, capfd):
    before = ledger.read()
    code, out, _ = forget(capfd, connection, "--dry-run")
    assert (code, out.startswith("would be forgotten: data connection"), ledger.read()) == (0, True, before)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "is_gone"), [("yes\n", True), ("y\n", False), ("", False)])
def test_a_person_is_asked_first(emulator, connection, ledger, capfd, monkeypatch, typed, is_gone):
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    code, out, err = forget(capfd, connection)
    assert (code, "Forget it? Type yes: " in err, ledger.read().layers == ()) == (0, True, is_gone)
    assert ("nothing was forgotten" in out) is not is_gone


def test_where_nobody_can_be_asked_nothing_is_forgotten(emulator, connection, ledger, capfd, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    code, _, err = forget(capfd, connection)
    assert (code, "add --yes" in err, bool(ledger.read().layers)) == (2, True, True)


def test_while_a_load_works_on_the_target_only_force_forgets(emulator, connection, ledger, capfd):
    lease = acquire(ledger.manifest_file, "load-1", 1, "dag nightly, task upload")
    code, _, err = forget(capfd, connection, "--yes")
    assert (code, "dag nightly, task upload" in err, bool(ledger.read().layers)) == (2, True, True)
    code, _, err = forget(capfd, connection, "--yes", "--force")
    assert (code, "stop its task first" in err, ledger.read().layers) == (0, True, ())
    with pytest.raises(LeaseLost):
        lease.renew()


def test_while_rows_may_have_been_sent_only_force_forgets(emulator, connection, ledger, capfd):
    lease = acquire(ledger.manifest_file, "load-1", 1)
    ledger.write_intent(lease, ledger.read().version, ledger.read().layers[0].origin.age, "loads/load-1/spool")
    lease.release()
    code, _, err = forget(capfd, connection, "--yes")
    assert (code, "load-1. Let their retries" in err, bool(ledger.read().layers)) == (2, True, True)
    assert forget(capfd, connection, "--yes", "--force")[0] == 0
    assert (ledger.read().layers, dict(ledger.read().intents)) == ((), {})


def test_a_plan_that_was_made_before_is_not_carried_out_after_it(emulator, connection, ledger):
    seen = ledger.read().version
    compaction.forget(ledger)
    upload(connection)
    assert ledger.read().version > seen


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("8f14e45f-ceea-467f-a0e6-0e0a9c6b7f11", "has no ledger in"),
        ("12", "table 12 has no ledger in"),
        ("nightly", "is no uuid"),
    ],
)
def test_what_has_no_ledger_is_said_and_nothing_else_is_forgotten(emulator, connection, ledger, capfd, target, said):
    code, _, err = forget(capfd, connection, target, "--yes")
    assert (code, said in err, bool(ledger.read().layers)) == (2, True, True)


def test_of_ledgers_under_several_hosts_one_has_to_be_named(emulator, connection, ledger, capfd):
    other = ledger_of(staging(), "optix", "https://other.example/v1", connection, "other")
    other.manifest_file.change(lambda manifest: manifest.changed())
    code, _, err = forget(capfd, connection, "--yes")
    assert (code, "say with --host" in err, "https://other.example/v1" in err) == (2, True, True)
    assert forget(capfd, connection, "--yes", "--host", "https://OTHER.example:443/v1/")[0] == 0
    assert ledger.read().layers
    assert forget(capfd, connection, "--yes")[0] == 0


def test_a_forgotten_ledger_asks_for_no_alias_under_another_host(emulator, connection, ledger, capfd):
    forget(capfd, connection, "--yes")
    assert ledger_of(staging(), "optix", "https://new.example/v1", connection)


def test_the_ledger_of_a_table_goes_with_its_profiles_and_columns(emulator, capfd):
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    made = DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    table = run(made)
    run(DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes={"age": "long", "shoe": "long"}))
    rows = [{"customerId": "a", "age": 30}]
    wanted = {"mode": "changed", "wait": True, "poke_interval": 0.01, "deferrable": False}
    run(DcpS3ImportOperator(task_id="i", table_id=table, source=rows, **wanted))
    profiles = [{"customerId": "a", "shoe": 43}]
    run(DcpWriteProfilesOperator(task_id="w", table_id=table, profiles=profiles))
    with DcpHook().get_conn() as client:
        own = ledger_of(staging(), "dcp", client.settings.host, str(table))
    beside = Ledger(staging(), f"{own.manifest_file.folder.removeprefix('ledgers/')}/profiles")
    assert own.read().layers
    assert beside.read().layers
    code, out, _ = forget(capfd, str(table), "--yes")
    assert (code, f"table {table} at" in out, own.read().layers, beside.read().layers) == (0, True, (), ())
    assert not {"columns.json", "load_columns.json"} & set(staging().names(own.manifest_file.folder))
    assert run(DcpS3ImportOperator(task_id="i", table_id=table, source=rows, **wanted))["accepted"] == 1
