"""What a loading task leaves in XCom, and the buttons on its page, on real Airflow, however the load ends."""

import json
from contextlib import nullcontext

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred

from optimove_provider.contract.dcp.upload_history import HistoryEntry, Outcome
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.links.load import LINKS
from optimove_provider.loads.ledger.lease import acquire
from optimove_provider.loads.ledger.ledger import ledger_of
from optimove_provider.operators.dcp import (
    DcpS3ImportOperator,
)
from optimove_provider.operators.optix import OptixUploadOperator
from optimove_provider.tasks.staging import staging
from optimove_provider.tasks.telling.operator import TellingOperator
from tests.support.operators import OPERATORS
from tests.support.running import context
from tests.support.telling.runs import SECRET_VALUE

COUNTS = {"accepted", "rejected", "unchanged", "stale", "deleted", "suppressed", "unsent"}
OF_EVERY_ACCOUNT = {"load_id", "state", "rows", *COUNTS, "target"}
OF_EVERY_ACCOUNT |= {"batch_uuid", "window", "generation", "seconds", "requests", "throttled", "report", "evidence"}
OF_EVERY_ACCOUNT |= {"visibility", "next_step"}


ENDS = {
    "retried": ("success", "committed", 1, 1, 0),
    "queried": ("success", "committed", 2, 2, 0),
    "planned": ("success", "planned", 1, 0, 0),
    "doubled": ("failed", "failed", 0, 0, 0),
    "keyless": ("failed", "failed", 2, 0, 1),
    "mapped[0]": ("success", "committed", 1, 1, 0),
    "mapped[1]": ("success", "committed", 2, 2, 0),
    "updated": ("success", "committed", 1, 1, 0),
    "uploaded": ("success", "uploaded", 1, 1, 0),
    "imported": ("success", "committed", 1, 1, 0),
    "written": ("success", "committed", 1, 1, 0),
    "aliases": ("success", "committed", 1, 1, 0),
    "no_table": ("failed", "failed", 0, 0, 0),
}


def test_every_end_of_every_load_is_told_in_xcom_and_has_its_buttons(all_kinds):
    found = {}
    for task, told in all_kinds.xcoms.items():
        account = told["account"]
        counts = (account[name] for name in ("state", "rows", "accepted", "rejected"))
        found[task] = (all_kinds.states[task], *counts)
        assert set(account) == OF_EVERY_ACCOUNT
        assert account["load_id"] == told["load_id"]
        assert told["_link_LoadReportLink"] == f"/plugin/optimove_nav/optimove/load?id={told['load_id']}"
        assert bool(told["_link_RejectedRowsLink"]) == bool(account["rejected"])
    assert found == ENDS
    seen = {task: told["account"]["visibility"] for task, told in all_kinds.xcoms.items()}
    invisible = {"planned", "doubled", "keyless", "no_table"}
    assert {task for task, one in seen.items() if one == "not visible"} == invisible
    assert {task for task, one in seen.items() if one == "not known"} == {"uploaded"}
    assert {task for task, told in all_kinds.xcoms.items() if told["account"]["next_step"]} == {"doubled", "keyless"}
    evidence = {task: told["account"]["evidence"] for task, told in all_kinds.xcoms.items()}
    assert (evidence["queried"], evidence["uploaded"], evidence["keyless"]) == ("counted", "none", "")


def test_an_account_tells_target_batch_window_and_requests_and_nothing_of_a_row(all_kinds):
    accounts = {task: told["account"] for task, told in all_kinds.xcoms.items()}
    queried = accounts["queried"]
    assert queried["window"] == {"start": "2026-01-01T00:00:00+00:00", "end": "2026-01-02T00:00:00+00:00"}
    assert queried["generation"] == "2026-01-02T00:00:00+00:00"
    assert queried["target"]["optix"] == all_kinds.connection
    assert {accounts[task]["batch_uuid"] for task in ("retried", "queried", "mapped[0]")} < all_kinds.batches
    assert [accounts[task]["requests"] for task in ("retried", "queried", "keyless")] == [1, 2, 0]
    assert accounts["queried"]["throttled"] == 1
    assert accounts["no_table"]["target"] == {}
    assert all_kinds.xcoms["queried"]["_link_VendorLink"] == f"http://{all_kinds.host}/"
    assert all_kinds.xcoms["no_table"]["_link_VendorLink"] == ""
    shown = json.dumps([{**told, "return_value": None} for told in all_kinds.xcoms.values()])
    assert SECRET_VALUE not in shown
    assert "emulator-" not in shown


def test_every_operator_that_returns_an_account_tells_it():
    loads = {one for one in OPERATORS if "the account" in (one.execute.__doc__ or "").lower()}
    assert len(loads) >= 5
    telling = {one for one in OPERATORS if issubclass(one, TellingOperator)}
    parts = {one for one in telling if one.__module__.endswith("sharded") and "Commit" not in one.__name__}
    assert loads == telling - parts  # whose loads another one ends
    assert all(one.operator_extra_links == LINKS for one in loads)


def test_a_load_that_waits_says_so_and_keeps_its_id(emulator, connection):
    ledger = ledger_of(staging(), "optix", f"{emulator.url}/api/data-connections/v1", connection)
    other = acquire(ledger.manifest_file, "the other load", 1)
    upload = OptixUploadOperator(
        task_id="u", data_connection_uuid=connection, primary_key="id", source=[{"id": 1}], lock_timeout=99
    )
    told = context(upload)
    with pytest.raises(TaskDeferred) as deferred:
        upload.execute(told)
    waiting = dict(told["ti"].pushed)
    other.release()
    upload.resume_execution(deferred.value.method_name, {"event": {}, **deferred.value.kwargs}, told)
    after = told["ti"].pushed
    assert (waiting["account"]["state"], waiting["account"]["report"]) == ("waiting", "")
    assert (after["load_id"], after["account"]["state"]) == (waiting["load_id"], "committed")


@pytest.mark.parametrize(("ends", "state"), [("completed", "committed"), ("failed", "failed")])
def test_an_import_that_was_deferred_is_told_when_it_ends(emulator, table, ends, state):
    emulator.state.switches = Switches(import_after_polls=2)
    operator = DcpS3ImportOperator(
        task_id="i", table_id=table, source=[{"customerId": "1", "age": 3}], wait=True, deferrable=True
    )
    told = context(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(told)
    before, load_id = dict(told["ti"].pushed), deferred.value.kwargs["load_id"]
    (key,) = deferred.value.trigger.serialize()[1]["s3_keys"]
    entry = HistoryEntry(file=key, status=ends, rows_processed=1)
    event = {"outcome": Outcome(entry.state, (entry,), ()).as_json()}
    raises = pytest.raises(AirflowFailException) if ends == "failed" else nullcontext()
    with raises:
        operator.resume_execution("execute_complete", {"event": event, "load_id": load_id}, told)
    after = told["ti"].pushed
    assert (before["load_id"], before["account"]["state"]) == (load_id, "uploaded")
    assert (after["load_id"], after["account"]["state"], after["account"]["rows"]) == (load_id, state, 1)


def test_what_airflow_cannot_be_told_makes_no_load_fail(emulator, connection, caplog):
    upload = OptixUploadOperator(task_id="u", data_connection_uuid=connection, primary_key="id", source=[{"id": 1}])
    told = context(upload)

    def push(key, value):
        if key == "account":
            raise RuntimeError("the API server is gone")

    told["ti"].xcom_push = push
    assert upload.execute(told)["state"] == "committed"
    assert "Airflow was not told" in caplog.text


def test_a_wrong_source_is_told_as_a_failure(emulator, connection):
    upload = OptixUploadOperator(task_id="u", data_connection_uuid=connection, primary_key="id", source="/no/such.csv")
    told = context(upload)
    with pytest.raises(AirflowFailException):
        upload.execute(told)
    assert told["ti"].pushed["account"]["state"] == "failed"
    assert next(iter(told["ti"].pushed)) == "load_id"
