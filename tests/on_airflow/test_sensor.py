"""The sensor and its trigger: one meaning, deferred or not."""

import asyncio
import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from optimove_provider.emulator.faults import Fault, ImportFault
from optimove_provider.emulator.state import Switches
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.sensors.dcp import DcpUploadSensor
from optimove_provider.triggers.dcp import FIRST_POLL_SECONDS, DcpUploadTrigger

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poking", "deferred"])


@pytest.fixture
def uploaded(emulator) -> tuple[int, dict]:
    """A table, and the output of an import of two rows into it."""
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    table = DcpCreateTableOperator(
        task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid"
    ).execute({})
    attributes = [{"name": "age", "datatype": "long"}]
    DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=attributes).execute({})
    rows = [{"customerId": "1", "age": 30}, {"customerId": "2", "age": 31}]
    return table, DcpS3ImportOperator(task_id="import", table_id=table, source=rows).execute({})


def sensor(uploaded, **kwargs) -> DcpUploadSensor:
    table, output = uploaded
    kwargs = {"poke_interval": 0.01, "timeout": 60, **kwargs}
    return DcpUploadSensor(task_id="wait", table_id=table, s3_key=output, **kwargs)


def finish(waiting: DcpUploadSensor):
    """Run a sensor to its end, in the triggerer too if it defers, as Airflow does it."""
    try:
        return waiting.execute({})
    except TaskDeferred as deferred:
        classpath, kwargs = deferred.trigger.serialize()
        assert classpath == "optimove_provider.triggers.dcp.DcpUploadTrigger"
        trigger = DcpUploadTrigger(**{**json.loads(json.dumps(kwargs)), "first_poll_seconds": 0})
        payload = json.loads(json.dumps(asyncio.run(anext(trigger.run())).payload))
        return waiting.resume_execution(deferred.method_name, {"event": payload}, {})


@BOTH_MODES
def test_it_waits_until_the_file_is_imported(emulator, uploaded, deferrable):
    emulator.state.switches = Switches(import_after_polls=3)
    result = finish(sensor(uploaded, deferrable=deferrable))
    assert result["rows_processed"] == 2
    assert [entry["status"] for entry in result["files"]] == ["completed"]


def test_what_is_done_at_once_is_never_deferred(uploaded):
    assert sensor(uploaded, deferrable=True).execute({})["rows_processed"] == 2


@pytest.mark.parametrize("form", ["key", "keys", "output"])
def test_the_key_comes_in_three_forms(uploaded, form):
    table, output = uploaded
    key = {"key": output["s3_keys"][0], "keys": output["s3_keys"], "output": output}[form]
    assert DcpUploadSensor(task_id="wait", table_id=table, s3_key=key).execute({})["rows_processed"] == 2


def test_nothing_uploaded_is_nothing_to_wait_for(uploaded):
    table, output = uploaded
    waiting = DcpUploadSensor(task_id="wait", table_id=table, s3_key={**output, "s3_keys": []})
    assert waiting.execute({})["rows_processed"] == 0


@BOTH_MODES
@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_failed_import_fails_in_the_historys_own_words(emulator, uploaded, deferrable, soft_fail):
    emulator.state.switches = Switches(import_after_polls=2)
    emulator.state.faults.order(ImportFault(message="disk on fire"))
    with pytest.raises(AirflowSkipException if soft_fail else AirflowFailException) as raised:
        finish(sensor(uploaded, deferrable=deferrable, soft_fail=soft_fail))
    # Airflow replaces the words of a resumed sensor's failure when it skips, and keeps them as the cause.
    assert "disk on fire" in f"{raised.value} {raised.value.__cause__}"


@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_timeout_while_poking(emulator, uploaded, soft_fail):
    emulator.state.switches = Switches(import_after_seconds=3600)
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout):
        sensor(uploaded, timeout=0.05, soft_fail=soft_fail).execute({})


@pytest.mark.parametrize("soft_fail", [False, True])
def test_a_timeout_while_deferred(emulator, uploaded, soft_fail):
    emulator.state.switches = Switches(import_after_seconds=3600)
    waiting = sensor(uploaded, timeout=90, soft_fail=soft_fail, deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({})
    assert deferred.value.timeout == timedelta(seconds=90)
    # What the scheduler hands a task whose trigger ran out of time.
    failed = {"error": "Trigger timeout", "traceback": None}
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout):
        waiting.resume_execution("__fail__", failed, {})


@BOTH_MODES
@pytest.mark.parametrize("soft_fail", [False, True])
def test_without_a_history_url_it_says_what_to_set(uploaded, change_connection, deferrable, soft_fail):
    change_connection("dcp_default", extra={"upload_history_url": ""})
    with pytest.raises(AirflowSkipException if soft_fail else AirflowFailException, match="set upload_history_url"):
        finish(sensor(uploaded, deferrable=deferrable, soft_fail=soft_fail))


def test_a_key_that_expires_while_waiting_fails_the_task_by_name(emulator, uploaded):
    emulator.state.switches = Switches(import_after_seconds=3600)
    emulator.state.faults.order(Fault("upload_history", skip=1, status=401))
    with pytest.raises(AirflowFailException, match=r"dcp_default.*401.*upload_history_url"):
        finish(sensor(uploaded, deferrable=True))


def test_a_refusal_that_may_pass_is_left_to_airflows_retries(uploaded):
    event = {"error": "no answer", "retry_helps": True}
    with pytest.raises(AirflowException) as raised:
        sensor(uploaded).execute_complete({}, event)
    assert not isinstance(raised.value, AirflowFailException)


def test_the_trigger_carries_no_secret_and_polls_late_enough(emulator, uploaded):
    emulator.state.switches = Switches(import_after_seconds=3600)
    with pytest.raises(TaskDeferred) as deferred:
        sensor(uploaded, deferrable=True).execute({})
    _, kwargs = deferred.value.trigger.serialize()
    assert "emulator-token" not in json.dumps(kwargs)
    assert kwargs["first_poll_seconds"] >= FIRST_POLL_SECONDS > 10
    assert DcpUploadTrigger(**kwargs).serialize() == deferred.value.trigger.serialize()
