"""The import operator against the running emulator: tries, files, rows, and waiting for the import itself."""

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.faults import ImportFault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.tasks.staging import staging
from optimove_provider.triggers.dcp import DcpUploadTrigger
from tests.support.running import context, run

pytestmark = pytest.mark.any_version

ATTRIBUTES = [{"name": "age", "datatype": "long"}, {"name": "born", "datatype": "datetime", "format": "yyyy-mm-dd"}]
GOOD = "customerId,age,born\n00123,30,1990-02-28\n00124,,\n"
BAD = "customerId,age,born\n00123,30,1990-02-28\n00124,3O,1990-02-30\n"
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting here", "deferred"])


@pytest.fixture
def table(emulator) -> int:
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    table = run(
        DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    )
    return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=ATTRIBUTES))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "customers.csv"
    path.write_text(GOOD)
    return path


def importing(table, source=None, **kwargs) -> DcpS3ImportOperator:
    return DcpS3ImportOperator(
        task_id="import", table_id=table, source=None if source is None else str(source), **kwargs
    )


def put(emulator, table):
    """The keys of all files under the table's path, in the order in which they were put."""
    path = emulator.state.tables[table].s3_path
    return [found.key for found in emulator.state.objects.list() if found.key.startswith(path)]


def test_every_run_imports_under_a_new_name(emulator, table, file):
    results = [run(importing(table, file)) for _ in range(2)]
    assert [(result["state"], result["accepted"]) for result in results] == [("uploaded", 2)] * 2
    assert put(emulator, table) == [key for result in results for key in result["s3_keys"]]
    assert len(set(put(emulator, table))) == 2
    assert json.loads(json.dumps(results)) == results


def test_a_retry_belongs_to_the_same_load_and_a_clear_to_a_new_one(emulator, table, file):
    first = run(importing(table, file), run_id="a", try_number=1, max_tries=1)
    retry = run(importing(table, file), run_id="a", try_number=2, max_tries=1)
    assert retry == first
    cleared = run(importing(table, file), run_id="a", try_number=3, max_tries=3)
    assert put(emulator, table) == [*first["s3_keys"], *cleared["s3_keys"]]
    assert cleared["load_id"] != first["load_id"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(BAD, "row 2, line 3, column 'age', rule long: value '3O'", id="value"),
        pytest.param("age,born\n30,1990-02-28\n", "customerId", id="no customerId"),
        pytest.param("customerId,Age\n1,30\n", "'Age'.*'age'", id="unknown header"),
    ],
)
def test_a_bad_file_is_never_visible(emulator, table, file, content, message):
    file.write_text(content)
    with pytest.raises(AirflowFailException, match=message):
        run(importing(table, file))
    assert put(emulator, table) == []


def test_the_valid_rows_of_a_bad_file_can_be_imported(emulator, table, file):
    file.write_text(BAD)
    result = run(importing(table, file, on_invalid="split", max_rejected=1))
    assert (result["state"], result["accepted"], result["rejected"]) == ("uploaded", 1, 1)
    advance(emulator.state)
    assert emulator.state.tables[table].profiles == {"00123": {"age": 30, "born": "1990-02-28"}}


def test_a_dry_run_leaves_the_bucket_as_it_is(emulator, table, file):
    result = run(importing(table, file, dry_run=True, wait=True))
    assert (result["state"], result["rows"], result["s3_keys"]) == ("planned", 2, [])
    assert put(emulator, table) == []


def test_rows_of_a_query_are_imported_as_csv(emulator, table):
    query = """SELECT '00123' AS customerId, 30 AS age, '1990-02-28' AS born UNION ALL SELECT 'a"b,', NULL, NULL"""
    result = run(importing(table, sql=query, sql_conn_id="warehouse_default"))
    assert (result["rows"], result["state"]) == (2, "uploaded")
    advance(emulator.state)
    assert emulator.state.tables[table].profiles == {"00123": {"age": 30, "born": "1990-02-28"}, 'a"b,': {}}


def test_an_empty_source_uploads_nothing(emulator, table, file):
    file.write_text("customerId,age\n")
    result = run(importing(table, file, wait=True))
    assert (result["state"], result["s3_keys"]) == ("nothing_to_send", [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either source= or sql="),
        ({"source": "x.csv", "on_invalid": "skip"}, "on_invalid 'skip'"),
        ({"source": "x.csv", "epoch_unit": "days"}, "epoch_unit 'days'"),
        ({"source": "/no/such/file.csv"}, "/no/such/file.csv.*is not there"),
    ],
)
def test_wrong_arguments_are_named(table, arguments, message):
    with pytest.raises(AirflowFailException, match=message):
        run(importing(table, **arguments))


def test_the_tables_secret_is_nowhere_in_staging_or_the_result(emulator, table, file):
    result = run(importing(table, file))
    with DcpHook().get_conn() as client:
        secret = client.read_table(table).aws_secret_key
    assert secret
    assert secret not in json.dumps(result)
    place = staging()
    assert all(secret.encode() not in place.fs.cat_file(path) for path in place.fs.find(place.root))


def finish(operator, **try_):
    """The result of a task that waits, in the triggerer too if it defers, as Airflow does it."""
    try_context = context(operator, **try_)
    try:
        return operator.execute(try_context)
    except TaskDeferred as deferred:
        assert operator.deferrable
        _, kwargs = deferred.trigger.serialize()
        trigger = DcpUploadTrigger(**{**json.loads(json.dumps(kwargs)), "first_poll_seconds": 0})
        payload = json.loads(json.dumps(asyncio.run(anext(trigger.run())).payload))
        return operator.resume_execution(deferred.method_name, {**deferred.kwargs, "event": payload}, try_context)


@BOTH_MODES
@pytest.mark.parametrize("history", [True, False], ids=["history", "read back"])
def test_waiting_ends_when_the_files_are_imported(emulator, change_connection, table, file, deferrable, history):
    emulator.state.switches = Switches(import_after_polls=2 if history else 0)
    if not history:
        change_connection("dcp_default", extra={"upload_history_url": ""})
    result = finish(importing(table, file, wait=True, poke_interval=0.01, deferrable=deferrable))
    assert (result["state"], result["rows"], result["accepted"], result["rejected"]) == ("committed", 2, 2, 0)
    assert set(emulator.state.tables[table].profiles) == {"00123", "00124"}
    assert len(result["s3_keys"]) == 1


@BOTH_MODES
def test_a_failed_import_fails_the_task_in_the_histories_words(emulator, table, file, deferrable):
    emulator.state.switches = Switches(import_after_polls=2)
    emulator.state.faults.order(ImportFault(message="the importer is broken"))
    with pytest.raises(AirflowFailException, match=r"the import failed: .*the importer is broken"):
        finish(importing(table, file, wait=True, poke_interval=0.01, deferrable=deferrable))


def test_a_wait_that_lasts_too_long_can_be_taken_up_by_a_retry(emulator, table, file):
    emulator.state.switches = Switches(import_after_polls=3)
    waiting = importing(table, file, wait=True, poke_interval=0.01, wait_timeout=timedelta(0), deferrable=False)
    with pytest.raises(AirflowException, match="not imported within 0:00:00"):
        run(waiting, run_id="a", try_number=1, max_tries=1)
    again = importing(table, file, wait=True, poke_interval=0.01, deferrable=False)
    assert run(again, run_id="a", try_number=2, max_tries=1)["state"] == "committed"
    assert len(put(emulator, table)) == 1
