"""What a person reads of tasks that fail on real Airflow: state and next step in XCom, one traceback, no mapping."""

import pytest
from airflow.sdk import DAG

from optimove_provider.contract.next_steps import NextStep
from optimove_provider.emulator.model.faults import Fault
from optimove_provider.operators.dcp import DcpArchiveAttributesOperator
from optimove_provider.operators.optix import OptixCreateConnectionOperator, OptixUploadOperator
from tests.support.telling import runs

ROWS = [{"id": "1", "name": "Ada"}]


@pytest.fixture
def upload(connection):
    return {"data_connection_uuid": connection, "primary_key": "id", "source": ROWS, "sending": {"give_up_after": 0}}


def failed(upload, capfd):
    """The account of a task that fails, and what was printed."""
    with DAG("failing_words") as dag:
        OptixUploadOperator(task_id="load", **upload)
    run = runs.run(dag)
    assert run.states == {"load": "failed"}
    shown = capfd.readouterr()
    return run.xcoms["load"]["account"], shown.out + shown.err


def test_a_wrong_key_is_told_with_its_state_and_the_next_step(emulator, airflow_db, upload, capfd):
    emulator.state.faults.order(Fault("upload_data", times=9, status=401, body="no"))
    account, shown = failed(upload, capfd)
    assert (account["state"], account["visibility"]) == ("failed", "not visible")
    assert account["next_step"] == NextStep.MEND_CONNECTION
    assert "direct cause" not in shown
    assert "During handling" not in shown
    assert "Nothing of this load is visible. Mend the connection" in shown


def test_a_lost_answer_leaves_it_open_what_is_visible(emulator, airflow_db, upload, capfd):
    emulator.state.faults.order(Fault("upload_data", times=10**6, lost="after"))
    account, _ = failed(upload, capfd)
    assert account["visibility"] == "not known"
    assert account["next_step"] == NextStep.CLEAR  # Airflow has no retry left


def test_a_connection_that_is_gone_is_named_and_made_anew_by_a_parameter(emulator, airflow_db, upload, capfd):
    gone = upload["data_connection_uuid"]
    emulator.state.connections.clear()
    account, shown = failed(upload, capfd)
    assert account["next_step"] == NextStep.MAKE_ANEW
    assert f"data connection {gone} is not known there" in shown
    with DAG("anew_words", params={"recreate": gone}) as dag:
        made = OptixCreateConnectionOperator(
            task_id="create", name="Customers", primary_key="id", recreate="{{ params.recreate }}"
        )
        OptixUploadOperator(task_id="load", **{**upload, "data_connection_uuid": made.output})
    uuids = []
    for _ in range(2):
        run = runs.run(dag)
        assert run.states == {"create": "success", "load": "success"}
        uuids.append(run.xcoms["create"]["return_value"])
    assert len({gone, *uuids}) == 2
    assert run.xcoms["load"]["account"]["visibility"] == "visible"


def test_archived_attributes_are_told_without_a_mapping(emulator, table, monkeypatch):
    told = []
    archive = DcpArchiveAttributesOperator(task_id="a", table_id=table, names={"age": "long"})
    monkeypatch.setattr(archive.log, "info", lambda text, *values: told.append(text % values))
    [number] = archive.execute({})
    assert told == [f"attributes 'age': archived: {number}"]
