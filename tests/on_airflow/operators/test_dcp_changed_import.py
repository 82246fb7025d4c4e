"""Importing only what changed, by the operator: plan, upload, wait and commit, and whatever may come in between."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, TaskDeferred

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.faults import ImportFault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.hooks.dcp import DcpHook
from optimove_provider.loads.ledger import ledger
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.state.age import Age
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from optimove_provider.tasks.staging import staging
from tests.support.running import context, finished, run

pytestmark = pytest.mark.any_version

ATTRIBUTES = [{"name": "age", "datatype": "long"}, {"name": "note", "datatype": "string"}]
ROWS = [("00123", 30, 'a "b", c'), ("00124", None, ""), ("00125", 31, "x")]
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["waiting here", "deferred"])
DAYS = [{"start": f"2026-05-0{day}", "end": f"2026-05-0{day + 1}"} for day in range(1, 4)]


@pytest.fixture
def table(emulator) -> int:
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    table = run(
        DcpCreateTableOperator(task_id="table", service_id=service, name="Customers", keyfield_locator_type="uid")
    )
    return run(DcpRegisterAttributesOperator(task_id="attributes", table_id=table, attributes=ATTRIBUTES))


def importing(table, rows=ROWS, **kwargs) -> DcpS3ImportOperator:
    source = [dict(zip(("customerId", "age", "note"), row, strict=True)) for row in rows]
    parameters = {"mode": "changed", "wait": True, "poke_interval": 0.01, "deferrable": False, **kwargs}
    return DcpS3ImportOperator(task_id="import", table_id=table, source=source, **parameters)


def load(table, rows=ROWS, **kwargs):
    return run(importing(table, rows, **kwargs))


def texts(emulator, table):
    """The files under the table's path, in the order in which they were put."""
    found = []
    for one in emulator.state.objects.list():
        if one.key.startswith(emulator.state.tables[table].s3_path):
            with emulator.state.objects.read(one) as stream:
                found.append(stream.read().decode())
    return found


def ledger_of(table):
    with DcpHook().get_conn() as client:
        return ledger.ledger_of(staging(), "dcp", client.settings.host, str(table))


def ledger_holder(table):
    return ledger_of(table).read().holder


def some(result):
    """The counts that are not zero, and the state."""
    counts = ("rows", "accepted", "rejected", "unchanged", "stale", "deleted", "suppressed", "unsent")
    return {"state": result["state"], **{name: result[name] for name in counts if result[name]}}


@BOTH_MODES
@pytest.mark.parametrize("history", [True, False], ids=["history", "read back"])
def test_only_what_changed_is_uploaded(emulator, change_connection, table, deferrable, history):
    emulator.state.switches = Switches(import_after_polls=2 if history else 0)
    if not history:
        change_connection("dcp_default", extra={"upload_history_url": ""})
    first = finished(importing(table, deferrable=deferrable))
    assert some(first) == {"state": "committed", "rows": 3, "accepted": 3}
    again = finished(importing(table, deferrable=deferrable))
    assert some(again) == {"state": "nothing_to_send", "rows": 3, "unchanged": 3}
    assert again["s3_keys"] == []
    changed = [*ROWS[:2], ("00125", 32, "x")]
    third = finished(importing(table, changed, deferrable=deferrable))
    assert some(third) == {"state": "committed", "rows": 3, "accepted": 1, "unchanged": 2}
    assert texts(emulator, table)[1:] == ['customerId,age,note\n"00125","32","x"\n']
    assert emulator.state.tables[table].profiles == {
        "00123": {"age": 30, "note": 'a "b", c'},
        "00124": {},
        "00125": {"age": 32, "note": "x"},
    }


def test_a_dry_run_tells_the_plan_and_only_that_plan_is_carried_out(emulator, table):
    load(table)
    changed = [*ROWS[:2], ("00125", 32, "x"), ("00126", 1, "new")]
    plan = load(table, changed, dry_run=True, wait=False)
    assert (plan["state"], plan["new"], plan["changed"], plan["unchanged"]) == ("planned", 1, 1, 2)
    assert len(texts(emulator, table)) == 1
    with pytest.raises(AirflowFailException, match=f"the plan is .*, not {plan['plan']}"):
        load(table, ROWS[:2], expected_plan=plan["plan"])
    assert some(load(table, changed, expected_plan=plan["plan"]))["accepted"] == 2


def test_the_rows_of_a_failed_import_are_sent_again(emulator, table):
    load(table)
    changed = [("00123", 40, "y"), *ROWS[1:]]
    emulator.state.faults.order(ImportFault(message="the importer is broken"))
    with pytest.raises(AirflowFailException, match="the importer is broken"):
        load(table, changed)
    assert some(load(table, ROWS))["accepted"] == 1, "what the table holds of 00123 is unknown"
    assert emulator.state.tables[table].profiles["00123"]["age"] == 30


def test_rows_that_the_vendor_refused_leave_the_whole_load_unknown(emulator, table):
    state = emulator.state
    operator = importing(table, deferrable=True)
    state.switches = Switches(import_after_polls=2)
    try_context = context(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(try_context)
    load_id = deferred.value.kwargs["load_id"]
    key = staging().read(f"reports/{load_id}.json")["s3_keys"][0]
    entry = {"file": key, "status": "completed", "rows_processed": 2, "rows_failed": 1, "message": "row 2 is odd"}
    event = {"outcome": {"state": "failed", "entries": [entry], "absent": []}}
    with pytest.raises(AirflowFailException, match="row 2 is odd"):
        operator.resume_execution("execute_complete", {"event": event, "load_id": load_id}, try_context)
    report = staging().read(f"reports/{load_id}.json")
    assert (report["state"], report["accepted"], report["rejected"], report["unsent"]) == ("committed", 2, 1, 0)
    state.switches = Switches()
    assert some(load(table)) == {"state": "committed", "rows": 3, "accepted": 3}


def test_older_rows_than_the_newest_snapshot_are_stale(emulator, table):
    load(table, window=DAYS[1])
    older = [("00123", 1, "old"), *ROWS[1:]]
    stale = {"state": "nothing_to_send", "rows": 3, "stale": 3}
    assert some(load(table, older, window=DAYS[0])) == stale
    assert some(load(table, older, window=DAYS[0], mode="full")) == stale
    assert len(texts(emulator, table)) == 1
    assert some(load(table, older, window=DAYS[2]))["accepted"] == 1


def test_the_window_of_the_templates_is_the_generation(emulator, table):
    load(table, window=DAYS[1])
    query = "SELECT '00123' AS customerId, 1 AS age WHERE '{{ window.start }}' < '{{ window.end }}'"
    operator = DcpS3ImportOperator(
        task_id="query", table_id=table, sql=query, sql_conn_id="warehouse_default", mode="changed", wait=True
    )
    try_context = context(operator)
    try_context |= {"params": {"since": "2026-05-01", "until": "2026-05-02"}, "dag_run": None}
    operator.render_template_fields(try_context)
    assert some(operator.execute(try_context)) == {"state": "nothing_to_send", "rows": 1, "stale": 1}


def test_an_import_that_is_not_confirmed_in_time_stays_unknown(emulator, table):
    emulator.state.switches = Switches(import_after_polls=100)
    operator = importing(table, wait_timeout=timedelta(0))
    with pytest.raises(AirflowException, match="not imported within 0:00:00"):
        run(operator, run_id="a", try_number=1, max_tries=1)
    with pytest.raises(AirflowException, match="not known to be imported"):
        load(table)
    emulator.state.switches = Switches()
    assert some(load(table))["accepted"] == 3
    assert len(texts(emulator, table)) == 2


def test_a_retry_goes_on_waiting_and_commits(emulator, table):
    emulator.state.switches = Switches(import_after_polls=3)
    with pytest.raises(AirflowException, match="not imported"):
        run(importing(table, wait_timeout=timedelta(0)), run_id="a", try_number=1, max_tries=1)
    result = run(importing(table), run_id="a", try_number=2, max_tries=1)
    assert some(result) == {"state": "committed", "rows": 3, "accepted": 3}
    assert run(importing(table), run_id="a", try_number=3, max_tries=1)["state"] == "committed", "it is finished"
    assert len(texts(emulator, table)) == 1
    assert some(load(table))["unchanged"] == 3


def test_a_worker_that_dies_while_it_waits_leaves_the_wait_to_its_retry(emulator, table):
    emulator.state.switches = Switches(import_after_polls=2)
    operator = importing(table, deferrable=True)
    with pytest.raises(TaskDeferred):
        run(operator, run_id="a", try_number=1, max_tries=1)
    holder = ledger_holder(table)
    assert holder.until - datetime.now(UTC) > timedelta(hours=11), "the lease lasts as long as the wait"
    with pytest.raises(TaskDeferred) as waiting:
        load(table)
    assert waiting.value.method_name == "resume"
    result = run(importing(table), run_id="a", try_number=2, max_tries=1)
    assert some(result) == {"state": "committed", "rows": 3, "accepted": 3}
    assert ledger_holder(table) is None


def test_a_cleared_task_does_not_wait_for_the_import_that_nobody_waits_for_any_more(emulator, table):
    emulator.state.switches = Switches(import_after_polls=3)
    with pytest.raises(TaskDeferred):
        run(importing(table, deferrable=True), run_id="a", try_number=1, max_tries=1)
    cleared = {"run_id": "a", "try_number": 2, "max_tries": 2}
    with pytest.raises(AirflowException, match="not known to be imported"):
        run(importing(table), **cleared)
    emulator.state.switches = Switches()
    result = run(importing(table), **{**cleared, "try_number": 3})
    assert some(result) == {"state": "committed", "rows": 3, "accepted": 3}
    assert len(texts(emulator, table)) == 2


def test_without_a_history_a_file_of_which_no_profile_shows_anything_stays_unknown(emulator, change_connection, table):
    change_connection("dcp_default", extra={"upload_history_url": ""})
    rows = [(f"{number:05}", 1, "x") for number in range(200)]
    load(table, rows)
    emulator.state.switches = Switches(import_after_seconds=1e9)
    older = [*rows[:41], ("00041", 40, "old"), *rows[42:]]
    assert load(table, older, mode="full", wait=False)["state"] == "uploaded"
    with pytest.raises(AirflowException, match="not known to be imported"):
        load(table, [*rows[:41], ("00041", 50, "new"), *rows[42:]])


def test_a_commit_that_finds_another_ledger_fails_and_the_rows_are_sent_again(emulator, table):
    emulator.state.switches = Switches(import_after_polls=2)
    operator = importing(table, deferrable=True, wait_timeout=timedelta(0))
    try_context = context(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(try_context)
    other = acquire(ledger_of(table).manifest_file, "another load", 1)
    ledger_of(table).invalidate(other, [('"00123"', None)], Age.of(datetime.now(UTC)))
    other.release()
    load_id = deferred.value.kwargs["load_id"]
    key = staging().read(f"reports/{load_id}.json")["s3_keys"][0]
    event = {"outcome": {"state": "done", "entries": [{"file": key, "status": "completed"}], "absent": []}}
    with pytest.raises(AirflowException, match="others have changed the table's ledger since"):
        operator.resume_execution("execute_complete", {"event": event, "load_id": load_id}, try_context)
    assert staging().read(f"reports/{load_id}.json")["state"] == "failed"
    emulator.state.switches = Switches()
    assert some(load(table))["accepted"] == 3


@pytest.mark.parametrize("history", [True, False], ids=["history", "read back"])
def test_files_that_nobody_waited_for_must_be_imported_first(emulator, change_connection, table, history):
    load(table)
    emulator.state.switches = Switches(import_after_seconds=1e9)
    if not history:
        change_connection("dcp_default", extra={"upload_history_url": ""})
    changed = [("00123", 40, "y"), *ROWS[1:]]
    assert load(table, changed, mode="full", wait=False)["state"] == "uploaded"
    with pytest.raises(AirflowException, match="not known to be imported"):
        load(table)
    emulator.state.switches = Switches()
    advance(emulator.state)
    assert some(load(table)) == {"state": "committed", "rows": 3, "accepted": 3}, "all keys of it are unknown"
    assert some(load(table))["unchanged"] == 3


def test_who_knows_that_they_are_imported_can_say_so(emulator, table):
    emulator.state.switches = Switches(import_after_seconds=1e9)
    load(table, mode="full", wait=False)
    with pytest.raises(AirflowException, match="not imported within"):
        load(table, wait_timeout=timedelta(0), assume_settled=True)
    assert len(texts(emulator, table)) == 2


def test_a_full_import_makes_its_keys_unknown_and_no_others(emulator, table):
    load(table)
    load(table, ROWS[:1], mode="full")
    assert some(load(table)) == {"state": "committed", "rows": 3, "accepted": 1, "unchanged": 2}


def test_a_guard_stops_an_accident_before_anything_is_sent(emulator, table):
    load(table)
    with pytest.raises(AirflowFailException, match="min_rows_share"):
        load(table, ROWS[:1])
    assert some(load(table, ROWS[:1], guards={"min_rows_share": None})) == {
        "state": "nothing_to_send",
        "rows": 1,
        "unchanged": 1,
    }


def test_the_valid_rows_of_a_bad_source(emulator, table):
    bad = [*ROWS, ("00126", "much", "z")]
    rows = [tuple(str(cell) if cell is not None else None for cell in row) for row in bad]
    with pytest.raises(AirflowFailException, match="'much'"):
        load(table, rows)
    assert texts(emulator, table) == []
    result = load(table, rows, on_invalid="split", max_rejected=1)
    assert some(result) == {"state": "committed", "rows": 4, "accepted": 3, "rejected": 1}
    assert some(load(table, rows, on_invalid="split", max_rejected=1))["unchanged"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wait": False}, "needs wait=True"),
        ({"mode": "all"}, "mode='all'"),
        ({"mode": "full", "source_is": "snapshot"}, 'need mode="changed"'),
        ({"mode": "full", "expected_plan": "4f"}, 'need mode="changed"'),
    ],
)
def test_contradictions_are_found_when_the_dag_is_parsed(arguments, message):
    with pytest.raises(SettingsError, match=message):
        importing(1, **arguments)
