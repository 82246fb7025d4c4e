"""The sensors and the trigger: one meaning, deferred or not, whether a history tells or profiles are read back."""

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

from optimove_provider.emulator.model.faults import Fault, ImportFault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.hooks.s3 import import_client
from optimove_provider.loads.evidence.upload_history import remember
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpWriteProfilesOperator,
)
from optimove_provider.sensors.dcp import DcpProfileSensor, DcpUploadSensor
from optimove_provider.tasks.readback import upload_history
from optimove_provider.tasks.staging import staging
from optimove_provider.triggers.dcp import FIRST_POLL_SECONDS, DcpUploadTrigger

pytestmark = pytest.mark.any_version

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poking", "deferred"])
SOFT_OR_NOT = pytest.mark.parametrize("soft_fail", [False, True])
ROWS = [{"customerId": "1", "age": "30"}, {"customerId": "2", "age": "31"}]


@pytest.fixture
def table(emulator) -> int:
    service = DcpCreateServiceOperator(task_id="service", name="Shop").execute({})
    made = DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    table = made.execute({})
    attributes = {"age": "long", "born": "datetime yyyy-mm-dd"}
    return DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=attributes).execute({})


@pytest.fixture
def put(emulator, table):
    """A function that uploads rows as a file, after some of them are remembered, and returns its key."""

    def put(rows=ROWS, sample=(), name="rows.csv"):
        with DcpHook().get_conn() as client:
            found = client.read_table(table)
            key = f"{found.s3_path}/{name}"
            if sample:
                remember(staging(), client, found, client.list_attributes(table), key, sample)
            text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows), ""])
            s3 = import_client(client.settings, found)
            s3.put_object(Bucket=client.settings.import_bucket, Key=key, Body=text.encode())
        return key

    return put


@pytest.fixture
def uploaded(put, table) -> tuple[int, dict]:
    """A table, and what an import of two rows into it returns."""
    return table, {"s3_keys": [put(sample=ROWS)], "rows": 2}


@pytest.fixture
def no_history(change_connection):
    """Nothing tells but the profiles themselves."""
    change_connection("dcp_default", extra={"upload_history_url": ""})


def sensor(uploaded, **kwargs) -> DcpUploadSensor:
    table, output = uploaded
    kwargs = {"poke_interval": 0.01, "timeout": 60, **kwargs}
    return DcpUploadSensor(task_id="wait", table_id=table, s3_key=output, **kwargs)


def finish(waiting):
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


@BOTH_MODES
def test_fewer_rows_than_the_operator_sent_are_a_failure(uploaded, deferrable):
    table, output = uploaded
    with pytest.raises(AirflowFailException, match="3 of the 5 rows that were sent are missing"):
        finish(sensor((table, {**output, "accepted": 5}), deferrable=deferrable))
    assert finish(sensor((table, {**output, "accepted": 2}), deferrable=deferrable))["rows_processed"] == 2


@pytest.mark.parametrize("form", ["mapped", "counted"])
def test_the_rows_of_several_imports_are_counted_together(uploaded, put, form):
    table, output = uploaded
    outputs = [{**output, "accepted": 2}, {"s3_keys": [put(sample=ROWS, name="more.csv")], "accepted": 3}]
    keys = [key for one in outputs for key in one["s3_keys"]]
    given = {"mapped": outputs, "counted": {"s3_keys": keys, "accepted": 5}}[form]
    with pytest.raises(AirflowFailException, match="1 of the 5 rows that were sent are missing"):
        DcpUploadSensor(task_id="wait", table_id=table, s3_key=given).execute({})
    assert DcpUploadSensor(task_id="wait", table_id=table, s3_key=keys).execute({})["rows_processed"] == 4


@pytest.mark.parametrize(
    "given", [None, 5, "", {}, {"s3_keys": None}, [["a.csv"]], {"s3_keys": ["a.csv"], "accepted": "n/a"}]
)
def test_what_is_no_key_is_said(uploaded, given):
    with pytest.raises(AirflowFailException, match="expected an S3 key, a list of them, or the output"):
        DcpUploadSensor(task_id="wait", table_id=uploaded[0], s3_key=given).execute({})
    with pytest.raises(AirflowFailException, match="table_id 'prod': expected the number of a table"):
        DcpUploadSensor(task_id="wait", table_id="prod", s3_key="a.csv").execute({})


def test_nothing_uploaded_is_nothing_to_wait_for(uploaded):
    table, output = uploaded
    waiting = DcpUploadSensor(task_id="wait", table_id=table, s3_key={**output, "s3_keys": []})
    assert waiting.execute({})["rows_processed"] == 0


@BOTH_MODES
@SOFT_OR_NOT
def test_a_failed_import_fails_in_the_historys_own_words(emulator, uploaded, deferrable, soft_fail):
    emulator.state.switches = Switches(import_after_polls=2)
    emulator.state.faults.order(ImportFault(message="disk on fire"))
    with pytest.raises(AirflowSkipException if soft_fail else AirflowFailException) as raised:
        finish(sensor(uploaded, deferrable=deferrable, soft_fail=soft_fail))
    # Airflow replaces the words of a resumed sensor's failure when it skips, and keeps them as the cause.
    assert "disk on fire" in f"{raised.value} {raised.value.__cause__}"


def test_a_completed_file_with_failed_rows_is_a_failure(emulator, table, put):
    emulator.state.switches = Switches(row_failure="row")
    key = put([{"customerId": "1", "age": "30"}, {"customerId": "2", "age": "old"}])
    with pytest.raises(AirflowFailException, match="1 row processed, 1 failed"):
        DcpUploadSensor(task_id="wait", table_id=table, s3_key=key).execute({})


@SOFT_OR_NOT
def test_a_timeout_while_poking(emulator, uploaded, soft_fail):
    emulator.state.switches = Switches(import_after_seconds=3600)
    with pytest.raises(AirflowSkipException if soft_fail else AirflowSensorTimeout):
        sensor(uploaded, timeout=0.05, soft_fail=soft_fail).execute({})


@SOFT_OR_NOT
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


@BOTH_MODES
def test_profiles_are_read_back_where_no_history_tells(emulator, uploaded, no_history, deferrable):
    emulator.state.switches = Switches(import_after_seconds=0.3)
    result = finish(sensor(uploaded, deferrable=deferrable))
    assert result["rows_processed"] is None
    (entry,) = result["files"]
    assert (entry["status"], entry["evidence"]) == ("completed", "read_back")
    assert "of 2 sampled profiles, 2 carry the file's values" in entry["message"]
    assert result["evidence"] == {"kind": "sampled", "read_back": 2}, "nobody told how many rows were sent"


@BOTH_MODES
def test_it_says_of_how_many_rows_some_were_read_back(emulator, uploaded, no_history, deferrable):
    emulator.state.switches = Switches(import_after_seconds=0.1)
    table, output = uploaded
    result = finish(sensor((table, {**output, "accepted": 1000}), deferrable=deferrable))
    assert result["evidence"] == {"kind": "sampled", "read_back": 2, "of": 1000}


@BOTH_MODES
@pytest.mark.parametrize("status", [400, 401, 403])
def test_profiles_that_cannot_be_read_are_named_with_the_status(emulator, uploaded, no_history, deferrable, status):
    emulator.state.switches = Switches(import_after_seconds=3600)
    looked_at = 2 if deferrable else 0  # the first look is the sensor's own
    emulator.state.faults.order(Fault("read_profile", skip=looked_at, times=99, status=status))
    told = rf"table {uploaded[0]}: whether its files are imported cannot be seen: .*read_profile was answered {status}"
    with pytest.raises(AirflowFailException, match=told):
        finish(sensor(uploaded, deferrable=deferrable))


def test_profiles_that_could_not_be_read_before_the_upload_are_named_too(emulator, table, put, no_history):
    key = put()
    with DcpHook().get_conn() as client:
        found = client.read_table(table)
        remembering = upload_history(client, table, staging()).remembering(found, client.list_attributes(table))
        emulator.state.switches = Switches(profile_read=403)
        remembering(key, ROWS)
    emulator.state.switches = Switches()
    with pytest.raises(AirflowFailException, match=r"cannot be seen: .*answered 403.*upload_history_url"):
        finish(sensor((table, key)))


def test_what_was_so_before_the_upload_counts_as_done(table, put, no_history):
    DcpWriteProfilesOperator(task_id="w", table_id=table, profiles=[{"customerId": "1", "age": 30}]).execute({})
    key = put(ROWS[:1], sample=ROWS[:1])
    result = DcpUploadSensor(task_id="wait", table_id=table, s3_key=key).execute({})
    assert result["files"][0]["evidence"] == "unchanged_before"


def test_a_profile_that_others_wrote_since_is_not_waited_for(emulator, table, put, no_history):
    emulator.state.switches = Switches(import_after_seconds=3600)
    key = put(sample=ROWS)
    others = [{"customerId": row["customerId"], "age": 99} for row in ROWS]
    DcpWriteProfilesOperator(task_id="w", table_id=table, profiles=others).execute({})
    result = DcpUploadSensor(task_id="wait", table_id=table, s3_key=key).execute({})
    assert result["files"][0]["evidence"] == "overwritten"
    assert "2 were overwritten by others since ('1', '2')" in result["files"][0]["message"]


@BOTH_MODES
def test_a_file_that_nobody_remembers_is_sampled_from_the_bucket(emulator, table, put, no_history, deferrable):
    emulator.state.switches = Switches(import_after_seconds=0.3)
    key = put([{"customerId": str(number), "age": str(number)} for number in range(100)])
    result = finish(sensor((table, key), deferrable=deferrable))
    assert result["files"][0]["evidence"] == "read_back"
    assert "of 20 sampled profiles" in result["files"][0]["message"]


def test_a_file_that_is_nowhere_says_so(table, no_history):
    waiting = DcpUploadSensor(task_id="wait", table_id=table, s3_key="dcp/1/2/nowhere.csv")
    with pytest.raises(AirflowFailException, match=r"nowhere.csv cannot be read .* no import of ours remembers it"):
        waiting.execute({})


def test_several_files_are_waited_for_together(emulator, table, put, no_history):
    keys = [put([row], sample=[row], name=f"{row['customerId']}.csv") for row in ROWS]
    result = DcpUploadSensor(task_id="wait", table_id=table, s3_key=keys).execute({})
    assert [entry["file"] for entry in result["files"]] == keys


def test_the_trigger_carries_no_value_of_a_customer(emulator, table, put, no_history):
    emulator.state.switches = Switches(import_after_seconds=3600)
    row = {"customerId": "1", "born": "1987-06-05"}
    key = put([row], sample=[row])
    with pytest.raises(TaskDeferred) as deferred:
        sensor((table, key), deferrable=True).execute({})
    kwargs = json.dumps(deferred.value.trigger.serialize()[1])
    assert '"born"' in kwargs
    assert "1987" not in kwargs
    assert "1987" not in "".join(path.read_text() for path in _staged())


def _staged():
    from tests.conftest import HOME

    return (HOME / "optimove" / "samples").iterdir()


def test_a_few_failed_polls_are_borne(emulator, uploaded):
    emulator.state.faults.order(Fault("upload_history", times=5, status=500))  # one poll: a client tries five times
    assert sensor(uploaded).execute({})["rows_processed"] == 2


def test_without_patience_the_first_failed_poll_is_left_to_airflows_retries(emulator, uploaded):
    emulator.state.faults.order(Fault("upload_history", times=5, status=500))
    with pytest.raises(AirflowException, match="500") as raised:
        sensor(uploaded, max_failed_polls=0).execute({})
    assert not isinstance(raised.value, AirflowFailException)


def test_a_sensor_asks_nothing_while_the_server_is_to_be_left_alone(emulator, uploaded):
    emulator.state.faults.order(Fault("upload_history", status=503, headers={"retry-after": "900"}))
    waiting = sensor(uploaded)
    assert [waiting.poke({}).is_done for _ in range(3)] == [False] * 3
    waiting._not_before = 0
    assert waiting.poke({}).is_done


def test_a_rescheduled_sensor_fails_where_it_would_ask_too_soon(emulator, uploaded):
    emulator.state.faults.order(Fault("upload_history", status=503, headers={"retry-after": "900"}))
    with pytest.raises(AirflowException, match=r"Retry-After: 900.* it may be tried again from"):
        sensor(uploaded, mode="reschedule").poke({})


def test_a_profile_sensor_waits_for_customers_and_for_values(emulator, table):
    emulator.state.switches = Switches(profile_lag_seconds=0.2)
    profiles = [{"customerId": "a/b", "age": 30, "born": "1990-02-28"}]
    DcpWriteProfilesOperator(task_id="w", table_id=table, profiles=profiles).execute({})
    for wanted in ({"customer_ids": ["a/b"]}, {"profiles": {"a/b": {"age": "30", "born": "1990-02-28"}}}):
        waiting = DcpProfileSensor(task_id="p", table_id=table, poke_interval=0.05, timeout=60, **wanted)
        assert waiting.execute({}) == {"profiles": 1}


def test_a_profile_sensor_does_not_take_another_value_for_the_wanted_one(table):
    DcpWriteProfilesOperator(task_id="w", table_id=table, profiles=[{"customerId": "1", "age": 30}]).execute({})
    waiting = DcpProfileSensor(task_id="p", table_id=table, profiles={"1": {"age": 31}})
    assert not waiting.poke({}).is_done


@pytest.mark.parametrize("wanted", [{}, {"customer_ids": ["1"], "profiles": {}}, {"profiles": {"1": {"height": 1}}}])
def test_a_profile_sensor_says_what_is_wrong(table, wanted):
    with pytest.raises(AirflowFailException, match=r"either customer_ids= or profiles=|no attribute 'height'"):
        DcpProfileSensor(task_id="p", table_id=table, **wanted).execute({})


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_profile_sensor_says_whose_profile_cannot_be_read(emulator, table, status):
    emulator.state.switches = Switches(profile_read=status)
    waiting = DcpProfileSensor(task_id="p", table_id=table, customer_ids=["7"])
    told = (
        rf"the profile of customer '7' cannot be read: connection 'dcp_default': GET read_profile was answered {status}"
    )
    with pytest.raises(AirflowFailException, match=told):
        waiting.execute({})
