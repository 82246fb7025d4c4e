"""Who counted the rows of an import, as a task tells it: read back by the operator, deferred or not, or by nobody."""

import json

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.contract.wire.errors import SettingsError
from optimove_provider.emulator.importer.importer import advance
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.emulator.model.switches import Switches
from optimove_provider.operators.dcp import (
    DcpCreateServiceOperator,
    DcpCreateTableOperator,
    DcpRegisterAttributesOperator,
    DcpS3ImportOperator,
)
from tests.support.running import finished, run

pytestmark = pytest.mark.any_version

SINCE = {"name": "since", "datatype": "datetime", "format": "epoch"}
ROWS = [{"customerId": f"c{number}", "since": "1651676123"} for number in range(30)]


@pytest.fixture
def table(emulator, change_connection) -> int:
    change_connection("dcp_default", extra={"upload_history_url": ""})
    service = run(DcpCreateServiceOperator(task_id="service", name="Shop"))
    table = run(DcpCreateTableOperator(task_id="t", service_id=service, name="Customers", keyfield_locator_type="uid"))
    return run(DcpRegisterAttributesOperator(task_id="a", table_id=table, attributes=[SINCE]))


def importing(table, rows=ROWS, **how):
    how = {"mode": "changed", "wait": True, "poke_interval": 0.01, "deferrable": False, **how}
    return DcpS3ImportOperator(task_id="import", table_id=table, source=rows, **how)


def test_a_sample_is_told_as_one(emulator, table):
    result = finished(importing(table, mode="full", deferrable=True))
    assert result["evidence"] == {"kind": "sampled", "read_back": 11, "of": 30}
    assert len(json.dumps(result)) < 1000


@pytest.mark.parametrize(("mode", "deferrable"), [("full", True), ("changed", False)])
def test_all_rows_are_read_back_and_what_was_dropped_is_named(emulator, table, mode, deferrable):
    rows = [dict(row) for row in ROWS]
    rows[20]["since"] = "0"
    emulator.state.switches = Switches(import_after_seconds=0.1, row_failure="row", epoch_zero="refuse")
    told = "1 of the 30 rows that were read back are not there, such as those of 'c20'"
    with pytest.raises(AirflowFailException, match=told):
        finished(importing(table, rows, mode=mode, deferrable=deferrable, verify="all"))
    emulator.state.switches = Switches()
    result = finished(importing(table, rows, deferrable=deferrable, verify="all"))
    assert result["evidence"]["kind"] == "counted"
    assert (result["accepted"], result["unchanged"]) == ((1, 29) if mode == "changed" else (30, 0))


@pytest.mark.parametrize(("mode", "status"), [("full", 400), ("changed", 403)])
def test_no_upload_needs_profiles(emulator, table, mode, status):
    emulator.state.switches = Switches(profile_read=status)
    result = run(importing(table, mode=mode))
    assert (result["state"], result["accepted"], result["evidence"]["kind"]) == ("uploaded", 30, "none")
    assert f"read_profile was answered {status}" in result["evidence"]["why"]
    advance(emulator.state)
    assert len(emulator.state.tables[table].profiles) == 30


def test_who_does_not_wait_is_told_that_nobody_has_looked(emulator, table):
    emulator.state.switches = Switches(profile_read=403)
    result = run(importing(table, mode="full", wait=False))
    assert (result["state"], result["evidence"]["kind"]) == ("uploaded", "none")
    assert "nobody has seen yet" in result["evidence"]["why"]


def test_profiles_that_cease_to_be_readable_leave_a_deferred_wait_without_evidence(emulator, table):
    emulator.state.switches = Switches(import_after_seconds=3600)
    emulator.state.faults.order(Fault("read_profile", skip=22, times=99, status=403))  # before, and at the first look
    result = finished(importing(table, deferrable=True))
    assert (result["state"], result["evidence"]["kind"]) == ("uploaded", "none")


def test_what_nobody_counted_goes_again_when_it_is_asked_for(emulator, table):
    finished(importing(table))
    assert run(importing(table))["state"] == "nothing_to_send"
    plan = run(importing(table, reverify_after=0, dry_run=True))
    assert (plan["reverified"], plan["changed"], plan["unchanged"]) == (30, 0, 0)
    assert run(importing(table, reverify_after=None))["state"] == "nothing_to_send"


def test_verify_needs_somebody_who_waits(table):
    with pytest.raises(SettingsError, match="verify='all' needs wait=True"):
        importing(table, mode="full", wait=False, verify="all")
    importing(table, mode="full", wait=False, verify="{{ params.verify }}")
