"""`stamp=` of operators: rendered once a load, by the run that loads."""

from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUpdateOperator, OptixUploadOperator
from tests.support.running import context, run

STAMP = {"synced_at": "{{ dag_run.run_after }}", "run_id": "{{ run_id }}", "by": "night", "n": 1}
ROWS = [{"id": "a", "gone": False}, {"id": "b", "gone": False}]


@pytest.fixture
def uuid(emulator):
    return OptixCreateConnectionOperator(task_id="create", name="Customers", primary_key="id").execute({})


def visible(emulator, uuid):
    found = emulator.state.connections[uuid].visible(emulator.state.clock() + 2)
    return {key: record.data for key, record in found.items()}


@pytest.mark.parametrize("operator", [OptixUploadOperator, OptixUpdateOperator])
def test_what_a_run_renders_is_in_each_record(emulator, uuid, operator):
    run(OptixUploadOperator(task_id="load", data_connection_uuid=uuid, primary_key="id", source=ROWS))
    task = operator(task_id="load", data_connection_uuid=uuid, primary_key="id", source=ROWS[:1], stamp=STAMP)
    given = {**context(task), "run_id": "manual__1", "dag_run": {"run_after": datetime(2026, 1, 2, tzinfo=UTC)}}
    task.render_template_fields(given)
    task.execute(given)
    told = {"synced_at": "2026-01-02 00:00:00+00:00", "run_id": "manual__1", "by": "night", "n": 1}
    assert visible(emulator, uuid) == {"a": {**ROWS[0], **told}, "b": ROWS[1]}


@pytest.mark.parametrize("value", ["{{ params.missing }}", "{{ logical_date }}"])
def test_one_that_a_run_renders_to_nothing_is_refused(emulator, uuid, value):
    task = OptixUploadOperator(
        task_id="load", data_connection_uuid=uuid, primary_key="id", source=ROWS, stamp={"at": value}
    )
    given = {**context(task), "params": {"missing": ""}, "logical_date": None, "dag_run": None}
    task.render_template_fields(given)
    with pytest.raises(AirflowFailException, match=r"stamp=\{'at': .*was rendered as .*is missing"):
        task.execute(given)
    assert visible(emulator, uuid) == {}


def test_a_template_that_nothing_renders_is_no_stamp(emulator, uuid):
    task = OptixUploadOperator(
        task_id="load", data_connection_uuid=uuid, primary_key="id", source=ROWS, stamp={"at": "{{ run_id }}"}
    )
    with pytest.raises(AirflowFailException, match=r"was rendered as '\{\{ run_id \}\}'"):
        run(task)
