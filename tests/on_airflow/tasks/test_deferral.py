"""A load that finds its target busy gives its worker back, and goes on later; and which tries belong to one load."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from optimove_provider.emulator.model.faults import Fault
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from optimove_provider.tasks.staging import begin_load, staging
from tests.support.ledgers import let_lease_end
from tests.support.running import context, run

ONE = {"run_id": "a", "try_number": 1, "max_tries": 1}
RETRIED = {"run_id": "a", "try_number": 2, "max_tries": 1}
CLEARED = {"run_id": "a", "try_number": 2, "max_tries": 2}


@pytest.fixture
def connection(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "customers.csv"
    file.write_text("id,age\n1,30\n2,40\n")
    return file


def upload(connection, file, kind=OptixUploadOperator, **arguments):
    return kind(task_id="load", data_connection_uuid=connection, primary_key="id", source=str(file), **arguments)


def ledger(emulator, connection):
    return ledger_of(staging(), "optix", f"{emulator.url}/api/data-connections/v1", connection)


def ages(emulator, connection):
    visible = emulator.state.connections[connection].visible(emulator.state.clock())
    return {key: int(record.data["age"]) for key, record in visible.items()}


def deferred_by(try_):
    with pytest.raises(TaskDeferred) as deferred:
        try_()
    return deferred.value


def resumed(operator, deferral, told):
    return operator.resume_execution(deferral.method_name, {"event": {}, **deferral.kwargs}, told)


@pytest.mark.parametrize("kind", [OptixUploadOperator, OptixUpdateOperator])
def test_a_load_waits_without_its_worker_and_does_not_read_its_source_again(emulator, connection, file, kind):
    other = acquire(ledger(emulator, connection).manifest_file, "the other load", 1)
    operator = upload(connection, file, kind)
    told = context(operator)
    deferral = deferred_by(lambda: operator.execute(told))
    file.write_text("id,age\n3,50\n")
    again = deferred_by(lambda: resumed(operator, deferral, told))
    other.release()
    result = resumed(operator, again, told)
    assert (result["rows"], ages(emulator, connection)) == (2, {"1": 30, "2": 40})
    assert result["load_id"] == deferral.kwargs["waiting"]["load_id"] == again.kwargs["waiting"]["load_id"]


def test_the_first_wait_is_longer_than_ten_seconds_and_the_others_grow_to_a_minute(emulator, connection, file):
    acquire(ledger(emulator, connection).manifest_file, "the other load", 1)
    operator = upload(connection, file)
    told, pauses = context(operator), []
    deferral = deferred_by(lambda: operator.execute(told))
    for _ in range(4):
        due = deferral.trigger.serialize()[1]["moment"] - datetime.now(UTC)
        pauses.append(round(due.total_seconds()))
        deferral = deferred_by(lambda last=deferral: resumed(operator, last, told))
    assert pauses == [12, 24, 48, 60]


def test_a_retry_waits_for_the_end_of_the_dead_trys_lease_and_no_longer(emulator, connection, file):
    operator = upload(connection, file)
    load_id = begin_load(staging(), context(operator, **ONE))
    lease = acquire(ledger(emulator, connection).manifest_file, load_id, 1)
    retry = deferred_by(lambda: operator.execute(context(operator, **RETRIED)))
    assert retry.kwargs["waiting"]["load_id"] == load_id
    assert timedelta(0) <= retry.trigger.moment - ends_of(lease) < timedelta(seconds=1)


def ends_of(lease):
    return lease.manifest_file.read().holder.until


def test_what_is_deferred_holds_no_secret(emulator, connection, file):
    acquire(ledger(emulator, connection).manifest_file, "the other load", 1)
    deferral = deferred_by(lambda: run(upload(connection, file)))
    assert set(deferral.kwargs["waiting"]) == {"load_id", "since", "times"}
    assert json.loads(json.dumps(deferral.kwargs)) == deferral.kwargs


def test_after_lock_timeout_the_task_fails_and_names_who_has_the_target(emulator, connection, file):
    acquire(ledger(emulator, connection).manifest_file, "the other load", 3)
    operator = upload(connection, file, lock_timeout=timedelta(seconds=30))
    told = context(operator)
    deferral = deferred_by(lambda: operator.execute(told))
    deferral.kwargs["waiting"]["since"] -= 31
    said = r"load the other load, try 3, until.*waited for 0:00:3[1-9].*lock_timeout"
    with pytest.raises(AirflowException, match=said):
        resumed(operator, deferral, told)
    assert not issubclass(AirflowException, AirflowFailException), "Airflow's retries may help"


def test_a_cleared_load_that_was_finished_reads_its_source_again(emulator, connection, file):
    first = run(upload(connection, file), **ONE)
    file.write_text("id,age\n1,31\n")
    second = run(upload(connection, file), **CLEARED)
    assert (second["accepted"], second["load_id"] != first["load_id"]) == (1, True)
    assert ages(emulator, connection) == {"1": 31, "2": 40}


@pytest.mark.parametrize(("try_", "age"), [(RETRIED, 30), (CLEARED, 31)], ids=["retried", "cleared"])
def test_a_load_that_failed_after_its_first_request(emulator, connection, file, try_, age):
    """Its retry goes on with the rows that it had read, after a Clear they are read again. Nothing of it arrived."""
    emulator.state.faults.order(Fault("upload_data", times=1, status=404, body="no more"))
    with pytest.raises(AirflowException, match="no more"):
        run(upload(connection, file), **ONE)
    assert not ledger(emulator, connection).read().intents
    file.write_text("id,age\n1,31\n2,40\n")
    result = run(upload(connection, file), **try_)
    assert (result["accepted"], ages(emulator, connection)) == (2, {"1": age, "2": 40})
    assert not ledger(emulator, connection).read().intents


def test_a_load_that_is_cleared_while_it_runs_is_waited_out(emulator, connection, file, monkeypatch):
    """Airflow kills its process; its lease ends a minute later, and what it may have sent is unknown."""

    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("optimove_provider.loads.ledger.lease.Lease.release", lambda self: None)
        patch.setattr("optimove_provider.loads.optix.transaction.Transaction._commit", die)
        with pytest.raises(Killed):
            run(upload(connection, file), **ONE)
    file.write_text("id,age\n1,31\n2,40\n")
    operator = upload(connection, file, mode="changed")
    told = context(operator, **CLEARED)
    deferral = deferred_by(lambda: operator.execute(told))
    assert ledger(emulator, connection).read().holder.task == "task dag.load of run a"
    let_lease_end(ledger(emulator, connection))
    result = resumed(operator, deferral, told)
    assert (result["accepted"], ages(emulator, connection)) == (2, {"1": 31, "2": 40})
    assert staging().read(f"reports/{result['load_id']}.json")["plan"]["unknown"] == 2


def test_a_run_that_is_deleted_and_made_again_is_another_load(emulator, connection, file):
    first, second = (run(upload(connection, file), **ONE) for _ in range(2))
    assert first["load_id"] != second["load_id"]
    assert len(emulator.state.connections[connection].completed_batches) == 2
    assert emulator.state.violations == []


def test_so_it_is_after_staging_has_forgotten_the_first(emulator, connection, file):
    run(upload(connection, file), **ONE)
    for folder in ("tries", "loads"):
        staging().remove_folder(folder)
    run(upload(connection, file), **ONE)
    assert len(emulator.state.connections[connection].completed_batches) == 2
    assert emulator.state.violations == []


def test_what_cannot_be_swept_is_no_failure_of_a_load(emulator, connection, file, caplog):
    """A file that somebody put among the ledgers."""
    staging().write_text("ledgers/README.txt", "not a ledger")
    assert run(upload(connection, file))["state"] == "committed"
    assert "was not swept" in caplog.text


def test_less_than_a_day_is_too_short_to_keep_what_is_under_way(emulator, connection, file, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__KEEP_DAYS", "0")
    with pytest.raises(AirflowFailException, match="keep_days is 0: expected at least 1"):
        run(upload(connection, file))
    assert ages(emulator, connection) == {}


@pytest.mark.parametrize(
    ("mode", "modes"), [("", (0o700, 0o600)), ("private", (0o700, 0o600)), ("group", (0o770, 0o660))]
)
def test_who_may_read_what_a_load_leaves_is_a_setting(emulator, connection, file, monkeypatch, mode, modes):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__STAGING_MODE", mode)
    before = os.umask(0o022)
    try:
        run(upload(connection, file))
    finally:
        os.umask(before)
    place = staging()
    left = [Path(place.root), *Path(place.root).rglob("*")]
    assert {(path.is_dir(), stat.S_IMODE(path.stat().st_mode) & 0o777) for path in left} == {
        (True, modes[0]),
        (False, modes[1]),
    }


def test_a_staging_mode_that_is_none_is_told_before_anything_is_sent(emulator, connection, file, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPTIMOVE__STAGING_MODE", "0644")
    with pytest.raises(AirflowFailException, match=r"staging_mode is '0644': expected private .* or group"):
        run(upload(connection, file))
    assert ages(emulator, connection) == {}


def test_a_report_that_cannot_be_written_makes_no_retry_of_a_wrong_key(emulator, connection, file):
    root = Path(staging().root)
    root.mkdir(exist_ok=True)
    (root / "reports").write_text("in the way")
    emulator.state.faults.order(Fault("upload_data", status=401, times=9))
    with pytest.raises(AirflowFailException, match="401"):
        run(upload(connection, file))
    (root / "reports").unlink()
